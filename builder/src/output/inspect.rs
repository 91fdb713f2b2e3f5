//! Looking into a finished package on the connected side: what it states, and whether every byte is right.
//! The same reader as the stub's does the work; it is in the crate `payload`.

use std::io;
use std::path::{Path, PathBuf};

use payload::index::{Component, ComponentKind, Index, Model, lookalikes};
use payload::{
    Package, Parts, PayloadError, Piece, PublicKey, Signature, Trust, printable, words_of_digest, words_of_key,
};

use super::emit::directory_of;
use super::terms::Terms;
use super::tree;
use crate::small_file;

/// Opens a package: its stub and index are intact then. Volumes are looked for beside the first one, and in `volumes`.
pub fn open(path: &Path, volumes: &[PathBuf], trust: &Trust) -> Result<Package, PayloadError> {
    let failed = |source| PayloadError::Read { what: path.display().to_string(), source };
    if path.is_dir() {
        let none = || io::Error::new(io::ErrorKind::NotFound, "there is no package in this directory");
        let wrong = |error: io::Error| match error.kind() {
            io::ErrorKind::Other => {
                PayloadError::Damaged { region: "the chunk directory".to_owned(), problem: error.to_string() }
            }
            _ => failed(error),
        };
        let (name, first) = payload::package_in_chunks(path).and_then(|found| found.ok_or_else(none)).map_err(wrong)?;
        let directories = std::iter::once(path.to_owned()).chain(volumes.iter().cloned()).collect();
        return Package::open(Parts::volumes(name, first, directories, None), trust);
    }
    let first = small_file::open_regular(path).and_then(Piece::whole).map_err(failed)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let directories = std::iter::once(directory_of(path).to_owned()).chain(volumes.iter().cloned()).collect();
    Package::open(Parts::volumes(name, first, directories, None), trust)
}

/// What a package states about itself, in lines; with `all`, the digest of each file and the licence of each crate too.
pub fn describe(package: &Package, terms: &Terms, all: bool) -> Vec<String> {
    let index = package.index();
    let mut lines = vec![
        format!("package     {} {}", index.package.name, printable(&index.package.version)),
        format!("description {}", printable(&index.package.description)),
        format!("target      linux {}{}", index.target.arch, glibc(index)),
        format!("prefix      {}", index.install.prefix),
        format!("length      {}", payload::size(index.total_length)),
        format!("index       {}", package.digest()),
        format!("in words    {}", words_of_digest(package.digest())),
        format!("manifest    {}", index.build.manifest),
        format!("stub        {} ({})", index.build.stub.digest, payload::size(index.build.stub.size)),
        format!("built by    builder {}", printable(&index.build.builder_version)),
        format!("signature   {}", signature(package.signature())),
    ];
    if let Some(account) = &index.install.account {
        lines.push(format!("account     {account}"));
    }
    lines.extend([String::new(), "Components and their sources:".to_owned()]);
    lines.extend(index.components.iter().flat_map(component).map(|line| format!("  {line}")));
    let (files, linked) = (index.files.len(), index.links.len());
    let size = index.files.iter().filter_map(|file| index.blob(file.blob)).map(|blob| blob.size).sum();
    lines.extend([
        String::new(),
        format!("Installed: {} and {}, {}", counted(files, "file"), counted(linked, "link"), payload::size(size)),
    ]);
    lines.extend(tree::lines(index, all).into_iter().map(|line| format!("  {line}")));
    lines.extend(lookalikes(index).iter().map(|(one, other)| {
        format!("look alike, and are two names (they differ in Unicode normalisation alone): {one} and {other}")
    }));
    lines.extend(index.models.iter().map(model));
    lines.extend([String::new(), "Licences:".to_owned()]);
    lines.extend(terms.lines(all).into_iter().map(|line| format!("  {line}")));
    lines
}

fn component(component: &Component) -> Vec<String> {
    let kind = match component.kind {
        ComponentKind::ExternalBinary => "external-binary",
        ComponentKind::ModelFile => "model-file",
        ComponentKind::ConfigFile => "config-file",
    };
    let optional = if component.required { "" } else { " (optional)" };
    let mut lines = vec![format!("{kind} {}{optional}", printable(&component.name))];
    for source in &component.sources {
        lines.push(format!("  {}, {}", printable(&source.location), payload::size(source.size)));
        lines.push(format!("    {}", source.digest));
    }
    lines
}

fn signature(signature: &Signature) -> String {
    match signature {
        Signature::Unsigned => "not signed".to_owned(),
        Signature::NotChecked { key_id } => format!("by key {key_id}, not checked: builder verify --trusted-key FILE"),
        Signature::Trusted { key, .. } => format!("by key {}, {}", key.id(), words_of_key(key)),
    }
}

/// Reads a public key.
pub fn public_key(path: &Path) -> io::Result<PublicKey> {
    let bytes = small_file::read(path, small_file::BY_HAND)?;
    PublicKey::from_text(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn model(model: &Model) -> String {
    let memory = model.memory.map_or_else(String::new, |bytes| format!(", about {} of memory", payload::size(bytes)));
    format!("model {}{memory}", printable(&model.name))
}

fn glibc(index: &Index) -> String {
    index.target.glibc.map_or_else(String::new, |version| format!(", glibc {version} or newer"))
}

/// `1 file`, `2 files`
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
