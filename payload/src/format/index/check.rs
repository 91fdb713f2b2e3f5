//! What must hold inside an index before anybody plans with it.
//! The form of single values is checked by their types; the bytes of the payload are checked by `read.rs`.

use std::collections::{HashMap, HashSet};

use super::{Encoding, Index, LinkKind};
use crate::format::layout::CHUNK_SIZE;
use crate::{Digest, PayloadError, RelPath};

/// Larger than any model: keeps sums of sizes far from overflowing.
const MAX_SIZE: u64 = 1 << 50;

/// What stands at a path of the index.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Directory,
    File,
    Link,
}

/// Whether everything in the index that refers to something else in it is right.
pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    texts(index)?;
    let entries = entries(index)?;
    parents(&entries)?;
    blobs(index)?;
    files(index)?;
    links(index, &entries)?;
    units_and_models(index)?;
    documents(index)
}

fn refuse<T>(problem: String) -> Result<T, PayloadError> {
    Err(PayloadError::Format(problem))
}

fn texts(index: &Index) -> Result<(), PayloadError> {
    let package = &index.package;
    for text in [&package.version, &package.description].into_iter().chain(index.units.iter().map(|unit| &unit.name)) {
        if text.chars().any(char::is_control) {
            return refuse(format!("{text:?} contains a control character"));
        }
    }
    Ok(())
}

fn entries(index: &Index) -> Result<HashMap<&RelPath, Kind>, PayloadError> {
    let directories = index.directories.iter().map(|entry| (&entry.path, Kind::Directory));
    let files = index.files.iter().map(|entry| (&entry.path, Kind::File));
    let links = index.links.iter().map(|entry| (&entry.path, Kind::Link));
    let mut entries = HashMap::new();
    for (path, kind) in directories.chain(files).chain(links) {
        if entries.insert(path, kind).is_some() {
            return refuse(format!("{path} is listed twice"));
        }
    }
    Ok(entries)
}

/// Nothing lies below a file or a link, and every entry's directory is listed unless it is outside the package's own.
fn parents(entries: &HashMap<&RelPath, Kind>) -> Result<(), PayloadError> {
    for path in entries.keys() {
        for above in path.ancestors() {
            if entries.get(&above).is_some_and(|kind| *kind != Kind::Directory) {
                return refuse(format!("{path} lies below {above}, which is no directory"));
            }
        }
    }
    Ok(())
}

fn blobs(index: &Index) -> Result<(), PayloadError> {
    let mut seen = HashSet::new();
    for blob in &index.blobs {
        let name = blob.digest;
        if !seen.insert(blob.digest) {
            return refuse(format!("blob {name} is listed twice"));
        }
        if blob.size > MAX_SIZE || blob.stored_size > MAX_SIZE {
            return refuse(format!("blob {name} is impossibly large"));
        }
        if blob.chunks.len() as u64 != blob.stored_size.div_ceil(CHUNK_SIZE) {
            return refuse(format!("blob {name} has {} chunks for {} bytes", blob.chunks.len(), blob.stored_size));
        }
        if blob.encoding == Encoding::Raw && blob.size != blob.stored_size {
            return refuse(format!("blob {name} is stored raw but its two sizes differ"));
        }
    }
    let used: HashSet<Digest> = index.files.iter().map(|file| file.blob).collect();
    match index.blobs.iter().find(|blob| !used.contains(&blob.digest)) {
        Some(blob) => refuse(format!("blob {} belongs to no file", blob.digest)),
        None => Ok(()),
    }
}

fn files(index: &Index) -> Result<(), PayloadError> {
    let blobs: HashSet<Digest> = index.blobs.iter().map(|blob| blob.digest).collect();
    for file in &index.files {
        if !blobs.contains(&file.blob) {
            return refuse(format!("{} has the content {}, which the payload does not have", file.path, file.blob));
        }
        if file.component >= index.components.len() {
            return refuse(format!("{} belongs to component {}, which does not exist", file.path, file.component));
        }
    }
    if index.files.is_sorted_by_key(|file| file.role) {
        Ok(())
    } else {
        refuse("its files are not in the order of installation".to_owned())
    }
}

fn links(index: &Index, entries: &HashMap<&RelPath, Kind>) -> Result<(), PayloadError> {
    for link in &index.links {
        let path = &link.path;
        match &link.kind {
            LinkKind::Hard { to } => {
                if entries.get(to) != Some(&Kind::File) {
                    return refuse(format!("hard link {path} points to {to}, which is no file of the package"));
                }
            }
            LinkKind::Symbolic { target } => {
                let Some(to) = path.resolve_link(target) else {
                    return refuse(format!("link {path} points outside: {target:?}"));
                };
                let inside = to.starts_with(&index.install.prefix) && path.starts_with(&index.install.prefix);
                if !inside || !entries.contains_key(&to) {
                    return refuse(format!("link {path} points to {to}, which is not in the package's prefix"));
                }
            }
        }
    }
    Ok(())
}

fn units_and_models(index: &Index) -> Result<(), PayloadError> {
    let files: HashSet<&RelPath> = index.files.iter().map(|file| &file.path).collect();
    let unit_files = index.units.iter().flat_map(|unit| std::iter::once(&unit.path).chain(unit.drop_in.as_ref()));
    let mut named = unit_files.chain(index.models.iter().map(|model| &model.manifest));
    if let Some(path) = named.find(|path| !files.contains(path)) {
        return refuse(format!("a unit or model names {path}, which is no file of the package"));
    }
    match index.units.iter().find(|unit| unit.path.name() != unit.name || unit.name.starts_with('-')) {
        Some(unit) => refuse(format!("unit {:?} is not the name of {}", unit.name, unit.path)),
        None => Ok(()),
    }
}

fn documents(index: &Index) -> Result<(), PayloadError> {
    let mut seen = HashSet::new();
    for document in &index.documents {
        let reserved = document.name.as_str().starts_with("index.json") || document.name.as_str().starts_with("blobs/");
        if reserved || !seen.insert(&document.name) || document.size > MAX_SIZE {
            return refuse(format!(
                "document {:?} has a reserved name, is listed twice or is too large",
                document.name
            ));
        }
    }
    Ok(())
}
