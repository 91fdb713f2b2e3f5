//! Links of the index, judged as the kernel resolves them.
//! A link on the machine itself, in the way of the package, is the stub's business.

use std::collections::HashMap;

use super::entries::Entries;
use super::refuse;
use crate::format::index::{File, Index, LinkKind};
use crate::{PayloadError, RelPath};

/// The kernel follows no more than 40 (`path_resolution(7)`); libraries have two or three.
const MAX_CHAIN: usize = 8;

pub(super) fn check(index: &Index, entries: &Entries<'_>) -> Result<(), PayloadError> {
    let files: HashMap<&RelPath, &File> = index.files.iter().map(|file| (&file.path, file)).collect();
    let mut leads_to = HashMap::new();
    for link in &index.links {
        let path = &link.path;
        match &link.kind {
            LinkKind::Hard { to } => match files.get(to) {
                Some(file) if file.owner == link.owner => {}
                Some(_) => return refuse(format!("hard link {path} has another owner than {to}, the same file")),
                None => return refuse(format!("hard link {path} points to {to}, which is no file of the package")),
            },
            LinkKind::Symbolic { target } => {
                leads_to.insert(path, symbolic(path, target, &index.install.prefix, entries)?);
            }
        }
    }
    loops(&leads_to)
}

/// Where a symbolic link leads. No directory above an entry is a link, so `..` at the start of a target means what it
/// says; behind the name of another link it would not.
fn symbolic(path: &RelPath, target: &str, prefix: &RelPath, entries: &Entries<'_>) -> Result<RelPath, PayloadError> {
    let after_a_name = target.split('/').skip_while(|part| *part == "..").any(|part| part == "..");
    let normalised = !target.split('/').any(|part| part.is_empty() || part == ".");
    let Some(to) = path.resolve_link(target).filter(|_| normalised && !after_a_name) else {
        return refuse(format!("link {path} points to {target:?}, which is not relative and normalised"));
    };
    if !to.starts_with(prefix) || !path.starts_with(prefix) || !entries.contains_key(&to) {
        return refuse(format!("link {path} points to {to}, which is not in the package's prefix"));
    }
    Ok(to)
}

fn loops(leads_to: &HashMap<&RelPath, RelPath>) -> Result<(), PayloadError> {
    for start in leads_to.keys() {
        let mut at: &RelPath = start;
        for _ in 0..leads_to.len().min(MAX_CHAIN) {
            match leads_to.get(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        if leads_to.contains_key(at) {
            return refuse(format!("link {start} leads to itself, or over more than {MAX_CHAIN} links"));
        }
    }
    Ok(())
}
