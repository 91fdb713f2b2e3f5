//! Texts of the index: visible, and of a length that people can read.
//! What is a value of its own, such as a path, is checked by its type.

use super::refuse;
use crate::format::index::Index;
use crate::{PayloadError, is_printable};

/// In bytes.
const MAX_NAME: usize = 256;
const MAX_TEXT: usize = 4096;

pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    let package = &index.package;
    if package.description.len() > MAX_TEXT || package.description.chars().any(char::is_control) {
        return refuse("its description is too long, or contains a control character");
    }
    for (what, text) in names(index) {
        if text.is_empty() || text.len() > MAX_NAME || !is_printable(text) {
            return refuse(format!("{what} {text:?} is empty, too long, or contains what cannot be seen"));
        }
    }
    let mut locations = index.components.iter().flat_map(|component| &component.sources).map(|source| &source.location);
    match locations.find(|location| location.len() > MAX_TEXT || !is_printable(location)) {
        Some(location) => refuse(format!("the source {location:?} is too long, or contains what cannot be seen")),
        None => Ok(()),
    }
}

fn names(index: &Index) -> impl Iterator<Item = (&'static str, &str)> {
    let machines = index.files.iter().filter_map(|file| file.elf.as_ref()).map(|elf| elf.machine.as_str());
    [("version", index.package.version.as_str()), ("builder version", index.build.builder_version.as_str())]
        .into_iter()
        .chain(index.components.iter().map(|component| ("component", component.name.as_str())))
        .chain(index.models.iter().map(|model| ("model", model.name.as_str())))
        .chain(machines.map(|machine| ("processor", machine)))
}
