//! Where the models of a package go that brings no Ollama of its own: into the store of the Ollama that is there.
//! How that is found is in `host/ollama.rs`; this turns it into an index whose paths lie in that store.

use std::borrow::Cow;

use payload::index::{Directory, Index, LinkKind, OnlyFor, Role, file_problem};
use payload::{Mode, Owner, RelPath};

use crate::error::Error;
use crate::host::models;
use crate::host::ollama::{self, Service};
use crate::host::root::{Cause, Found, Root};
use crate::record::others::Others;

/// What was decided about the store of the package's models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// The package has no models, or an Ollama of its own.
    Own,
    /// No Ollama was found: the models go where the package has them.
    Nobodys(RelPath),
    Found(ModelStore),
    /// There is an Ollama, and nobody can say where its store is, or nothing may be placed there.
    Unclear(String),
}

/// A store, and why it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStore {
    pub directory: RelPath,
    pub owner: Owner,
    /// The service whose store it is; `None` when only a receipt says that it is one.
    pub unit: Option<String>,
    pub why: String,
}

/// The index as it is carried out on this machine, and where its models go.
///
/// # Errors
/// The machine's units, accounts or receipts cannot be read.
pub fn settle<'a>(index: Cow<'a, Index>, root: &Root, others: &Others) -> Result<(Cow<'a, Index>, Store), Error> {
    let Some(own) = movable(&index) else { return Ok((index, Store::Own)) };
    let store = choose(&ollama::services(root)?, others, own.clone());
    let Store::Found(found) = &store else { return Ok((index, store)) };
    if let Some(problem) = found.directory.join("blobs").ok().and_then(|path| file_problem(&path)) {
        return Ok((index, Store::Unclear(format!("{}; {problem}", found.why))));
    }
    match root.look_directory(&found.directory) {
        // Whoever owns the store decides where that leads.
        Err(error) if matches!(error.cause, Cause::UntrustedLink(_)) => {
            return Ok((index, Store::Unclear(format!("{}; {error}", found.why))));
        }
        looked => drop(looked?),
    }
    if found.directory == own {
        return Ok((index, store));
    }
    let mut missing = Vec::new();
    for path in found.directory.ancestors().into_iter().chain([found.directory.clone()]) {
        if root.look(&path)? == Found::Absent || path == found.directory {
            missing.push(path);
        }
    }
    match moved(&index, &own, found, missing) {
        Ok(moved) => Ok((Cow::Owned(moved), store)),
        Err(problem) => Ok((index, Store::Unclear(format!("{}; {problem}", found.why)))),
    }
}

/// The store of a package whose models belong to whoever runs Ollama on the target: it has models, and neither programs
/// nor units.
fn movable(index: &Index) -> Option<RelPath> {
    let brings_ollama = !index.units.is_empty() || index.files.iter().any(|file| file.role == Role::Program);
    let mut stores = index.models.iter().map(|model| models::store_of(&model.manifest));
    let first = stores.next().flatten()?;
    (!brings_ollama && stores.all(|store| store.as_ref() == Some(&first))).then_some(first)
}

/// The unit says where a server really looks, whoever made it; without one, a receipt says where our packages put theirs.
fn choose(services: &[Service], others: &Others, own: RelPath) -> Store {
    let Some(first) = services.first() else {
        return match others.with_ollama().as_slice() {
            [] => Store::Nobodys(own),
            [(package, directory, owner), ..] => Store::Found(ModelStore {
                directory: directory.clone(),
                owner: owner.clone(),
                unit: None,
                why: format!("the package {package} has its models there"),
            }),
        };
    };
    if let Some(other) = services.iter().find(|service| service.store != first.store) {
        let (one, two) = (&first.unit, &other.unit);
        return Store::Unclear(format!("{one} and {two} both run Ollama, and do not share a store"));
    }
    let by = others.that_have(&first.path);
    let whose = by.first().map_or_else(String::new, |package| format!(" of the package {package}"));
    match &first.store {
        Ok(directory) => Store::Found(ModelStore {
            directory: directory.clone(),
            owner: first.owner.clone(),
            unit: Some(first.unit.clone()),
            why: format!("{}{whose} runs Ollama as {} with its models there", first.unit, first.owner.user),
        }),
        Err(why) => Store::Unclear(format!("{} {why}", first.unit)),
    }
}

/// The same package with the models in another store. What is not of the store stays where it is; directories that only
/// led to the store go.
fn moved(index: &Index, own: &RelPath, found: &ModelStore, missing: Vec<RelPath>) -> Result<Index, payload::PathError> {
    let service = index.service_owner();
    let path = |path: &RelPath| match path.as_str().strip_prefix(own.as_str()) {
        Some("") => Ok(found.directory.clone()),
        Some(rest) if rest.starts_with('/') => found.directory.join(&rest[1..]),
        _ => Ok(path.clone()),
    };
    let owner = |owner: &Owner| if *owner == service { found.owner.clone() } else { owner.clone() };
    let mut after = index.clone();
    after.install.prefix = found.directory.clone();
    after.install.account = Some(found.owner.clone()).filter(|owner| !owner.user.is_root());
    for file in after.files.iter_mut().filter(|file| file.path.starts_with(own)) {
        (file.path, file.owner) = (path(&file.path)?, owner(&file.owner));
    }
    for link in after.links.iter_mut().filter(|link| link.path.starts_with(own)) {
        (link.path, link.owner) = (path(&link.path)?, owner(&link.owner));
        if let LinkKind::Hard { to } = &mut link.kind {
            *to = path(to)?;
        }
    }
    for model in &mut after.models {
        model.manifest = path(&model.manifest)?;
    }
    let made = missing.into_iter().map(|path| Directory {
        path,
        mode: Mode::EXECUTABLE,
        owner: found.owner.clone(),
        only_for: OnlyFor::everybody(),
    });
    let mut directories: Vec<Directory> = made.collect();
    for directory in &index.directories {
        let leads_elsewhere =
            || index.files.iter().any(|file| file.path.starts_with(&directory.path) && !file.path.starts_with(own));
        let entry = if directory.path.starts_with(own) {
            Directory {
                path: path(&directory.path)?,
                mode: directory.mode,
                owner: owner(&directory.owner),
                only_for: directory.only_for.clone(),
            }
        } else if leads_elsewhere() {
            directory.clone()
        } else {
            continue;
        };
        if !directories.iter().any(|known| known.path == entry.path) {
            directories.push(entry);
        }
    }
    after.directories = directories;
    Ok(after)
}
