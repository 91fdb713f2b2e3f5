//! Optional components of the index: whatever a target leaves out, what it gets fits together.
//! What a target leaves out is the stub's business.

use std::collections::{HashMap, HashSet};

use super::refuse;
use crate::format::index::{Index, LinkKind, OnlyFor};
use crate::{PayloadError, RelPath};

/// Words that stand for all optional components, and for none.
const WORDS: [&str; 2] = ["all", "none"];

/// Whether no optional component may be called so: it is a word of `--include`.
pub fn optional_name_problem(name: &str) -> Option<&'static str> {
    WORDS.contains(&name).then_some("`--include` takes it for all optional components, or none")
}

pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    names(index)?;
    let entries = entries(index);
    for (path, only_for) in &entries {
        positions(index, path, only_for)?;
    }
    for (path, only_for) in &entries {
        if let Some(parent) = path.parent().and_then(|parent| entries.get(&parent))
            && !parent.covers(only_for)
        {
            return refuse(format!("{path} is there for components that the directory above it is not there for"));
        }
    }
    for file in index.files.iter().filter(|file| !file.only_for.positions().is_empty()) {
        if !file.only_for.positions().contains(&file.component) {
            return refuse(format!("{} is not there for the component that it belongs to", file.path));
        }
    }
    for link in &index.links {
        let LinkKind::Symbolic { target } = &link.kind else { continue };
        let to = link.path.resolve_link(target);
        if to.and_then(|to| entries.get(&to)).is_some_and(|to| !to.covers(&link.only_for)) {
            return refuse(format!("link {} is there for components that {target} is not there for", link.path));
        }
    }
    for unit in &index.units {
        let drop_in = unit.drop_in.as_ref().and_then(|path| entries.get(path));
        if drop_in.is_some_and(|drop_in| entries.get(&unit.path) != Some(drop_in)) {
            return refuse(format!("unit {} and its drop-in are not there for the same components", unit.name));
        }
    }
    Ok(())
}

fn names(index: &Index) -> Result<(), PayloadError> {
    let mut seen = HashSet::new();
    for component in &index.components {
        let unique = seen.insert(&component.name);
        if component.required {
            continue;
        }
        if !unique {
            return refuse(format!("an optional component is called {:?}, as another component is", component.name));
        }
        if let Some(problem) = optional_name_problem(&component.name) {
            return refuse(format!("no optional component can be called {:?}: {problem}", component.name));
        }
    }
    Ok(())
}

fn entries(index: &Index) -> HashMap<&RelPath, &OnlyFor> {
    let directories = index.directories.iter().map(|entry| (&entry.path, &entry.only_for));
    let files = index.files.iter().map(|entry| (&entry.path, &entry.only_for));
    let links = index.links.iter().map(|entry| (&entry.path, &entry.only_for));
    directories.chain(files).chain(links).collect()
}

fn positions(index: &Index, path: &RelPath, only_for: &OnlyFor) -> Result<(), PayloadError> {
    let positions = only_for.positions();
    let optional = |position: &usize| index.components.get(*position).is_some_and(|component| !component.required);
    if positions.is_sorted_by(|one, next| one < next) && positions.iter().all(optional) {
        Ok(())
    } else {
        refuse(format!("{path} is there for other components than optional ones, each once and in their order"))
    }
}
