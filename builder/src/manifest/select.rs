//! Which components a build takes: those that are required, and those named with `--include`.
//! What a component is lives in `manifest.rs`.

use super::{Component, Manifest};
use crate::manifest::vocabulary::nearest;

/// Why the components cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// `--include` names what the manifest does not have.
    #[error("{manifest} has no component called {}; nothing was fetched", quoted(.unknown))]
    Unknown { manifest: String, unknown: Vec<String>, suggestion: Option<String>, optional: Vec<String> },
    /// Every component is optional and none was named.
    #[error("every component of {manifest} is optional and none was included: there is nothing to install")]
    Nothing { manifest: String, optional: Vec<String> },
}

impl SelectError {
    /// 2: usage.
    pub fn exit_code(&self) -> u8 {
        2
    }

    /// What to type next.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { suggestion: Some(name), optional, .. } => {
                format!("did you mean `--include {name}`? {}", choice(optional))
            }
            Self::Unknown { optional, .. } | Self::Nothing { optional, .. } => choice(optional),
        }
    }
}

fn choice(optional: &[String]) -> String {
    if optional.is_empty() {
        "The manifest has no optional components: everything in it is always taken".to_owned()
    } else {
        format!("Optional components: {}", optional.join(", "))
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// The required components and those in `include`, in the order of the manifest. To include a required one is no error.
pub fn select<'a>(manifest: &'a Manifest, include: &[String]) -> Result<Vec<&'a Component>, SelectError> {
    let file = payload::printable(&manifest.path.display().to_string());
    let optional: Vec<String> = manifest
        .components
        .iter()
        .filter(|component| !component.required)
        .map(|component| component.name.clone())
        .collect();
    let known = |name: &String| manifest.components.iter().any(|component| component.name == *name);
    let unknown: Vec<String> = include.iter().filter(|name| !known(name)).cloned().collect();
    if let Some(first) = unknown.first() {
        let suggestion = nearest(first, optional.iter().map(String::as_str)).map(str::to_owned);
        return Err(SelectError::Unknown { manifest: file, unknown, suggestion, optional });
    }
    let chosen: Vec<&Component> = manifest
        .components
        .iter()
        .filter(|component| component.required || include.contains(&component.name))
        .collect();
    if chosen.is_empty() { Err(SelectError::Nothing { manifest: file, optional }) } else { Ok(chosen) }
}
