//! What the first bytes of a local file say against it: read without fetching, hashing or unpacking anything.
//! What is placed, and how, is decided in `place.rs`, which refuses the same for the same reasons.

use std::fs::File;
use std::path::Path;

use super::archive;
use super::error::ContentError;
use super::gguf::{self, GgufError};
use super::place::release;
use crate::manifest::{Component, ComponentKind, Manifest};

/// Refuses what the build would refuse after it has read all of `path`, a regular file of `size` bytes.
pub(crate) fn look_at(manifest: &Manifest, component: &Component, path: &Path, size: u64) -> Result<(), ContentError> {
    let location = path.display().to_string();
    let unsuitable = |(problem, remedy): (String, String)| ContentError::Unsuitable {
        component: component.name.clone(),
        location: location.clone(),
        problem,
        remedy,
    };
    match &component.kind {
        ComponentKind::ConfigFile { .. } => Ok(()),
        ComponentKind::ModelFile { .. } | ComponentKind::ModelPart { .. } => {
            let file = File::open(path).map_err(ContentError::io("open", path))?;
            let header = gguf::read(file, size).map_err(|error| match error {
                GgufError::Read(source) => ContentError::io("read", path)(source),
                GgufError::NotLoadable { problem, remedy } => unsuitable((problem, remedy)),
                error @ GgufError::Truncated(_) => unsuitable((error.to_string(), gguf::FETCH_AGAIN.to_owned())),
            })?;
            let ollama = manifest.components.iter().find_map(release);
            let refusal = match &component.kind {
                ComponentKind::ModelPart { role, .. } => gguf::part_refusal(&header, *role),
                ComponentKind::ModelFile { settings, .. } => {
                    let chat = settings.template.is_some() || settings.system.is_some();
                    gguf::refusal(&header, chat, ollama.as_deref())
                }
                _ => None,
            };
            refusal.map_or(Ok(()), |refusal| Err(unsuitable(refusal)))
        }
        ComponentKind::ExternalBinary { .. } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let damaged =
                |error: std::io::Error| ContentError::Damaged { archive: location.clone(), problem: error.to_string() };
            let Some(what) = archive::problem(path, &name).map_err(damaged)? else { return Ok(()) };
            Err(ContentError::BinaryNotFound {
                component: component.name.clone(),
                archive: location.clone(),
                wanted: "program".to_owned(),
                holds: format!("it is {what}"),
                remedy: "let the source name the program, or an archive that holds it",
            })
        }
    }
}
