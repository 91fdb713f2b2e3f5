//! The templates, and what stands in them for what a package states.
//! The files that they become are gathered in `ansible.rs`.

pub(super) mod render;

use include_dir::{Dir, include_dir};
use payload::index::{Arch, Index, PackageName};

use super::names::{NAMESPACE, Names};
use super::{Generated, Subject};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/ansible/templates");
pub(super) const PLAYS: [&str; 6] = ["install", "share", "mirror", "stick", "status", "uninstall"];

/// The line by which a builder knows its own files again.
pub(super) fn written(package: &PackageName, arch: Arch) -> String {
    format!("Written by airgap-deploy builder for the package {package} on {arch}.")
}

/// What a plan needs of a package, below the directory of the role.
pub(super) fn head(package: &PackageName) -> String {
    format!("files/{package}.head")
}

/// What the templates of `folder` become, below `directory`.
pub(super) fn paths(folder: &str, directory: &str) -> Vec<String> {
    templates(folder).filter_map(|file| path(file, folder, directory)).collect()
}

fn templates(folder: &str) -> impl Iterator<Item = &'static include_dir::File<'static>> {
    let mut files = Vec::new();
    let mut folders: Vec<_> = TEMPLATES.get_dir(folder).into_iter().collect();
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files());
    }
    files.sort_by_key(|file| file.path());
    files.into_iter()
}

fn path(file: &include_dir::File<'_>, folder: &str, directory: &str) -> Option<String> {
    let below = file.path().strip_prefix(folder).ok()?.to_str()?;
    Some(if directory.is_empty() { below.to_owned() } else { format!("{directory}/{below}") })
}

/// The templates for one place: beside the package, or in the collection.
pub(super) struct Templates<'a> {
    subject: &'a Subject<'a>,
    values: Vec<(String, String)>,
    play: Box<dyn Fn(&str) -> String + 'a>,
}

impl<'a> Templates<'a> {
    /// `call` is how plays name the role, `play` how a play is named.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        names: &Names,
        call: String,
        play: impl Fn(&str) -> String + 'a,
    ) -> Self {
        let index = subject.index;
        let first = subject.files.first().map_or_else(String::new, |file| file.name.clone());
        let values = vec![
            ("written", written(&index.package.name, index.target.arch)),
            ("role", names.role.clone()),
            ("namespace", NAMESPACE.to_owned()),
            ("call", call),
            ("package", index.package.name.to_string()),
            ("description", render::one_line(&index.package.description)),
            ("file", first),
            ("files", files(subject)),
            ("arch", index.target.arch.to_string()),
            ("index", subject.index_digest.to_string()),
            ("optional", render::list(optional(index))),
            ("choices", render::list(["all", "none"].into_iter().chain(optional(index)))),
            ("service", (!index.units.is_empty()).to_string()),
        ];
        let plays: Vec<(String, String)> = PLAYS.iter().map(|name| (format!("play_{name}"), play(name))).collect();
        let mut all: Vec<(String, String)> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        all.extend(plays);
        Self { subject, values: all, play: Box::new(play) }
    }

    /// The role below `directory`.
    pub(super) fn role(&self, directory: &str) -> Vec<Generated> {
        let mut files = self.all("role", directory);
        let path = format!("{directory}/{}", head(&self.subject.index.package.name));
        files.push(Generated { path, bytes: self.subject.head.to_vec() });
        files
    }

    /// The plays, each with its name behind `prefix`.
    pub(super) fn plays(&self, prefix: &str) -> Vec<Generated> {
        let play = |name: &&str| {
            let itself = (self.play)(name);
            let path = if prefix.is_empty() { itself.clone() } else { format!("{prefix}{name}.yml") };
            let text = TEMPLATES.get_file(format!("plays/{name}.yml")).and_then(include_dir::File::contents_utf8)?;
            let mut values = self.values.clone();
            values.push(("self".to_owned(), itself));
            Some(Generated { path, bytes: render::file(text, &values).into_bytes() })
        };
        PLAYS.iter().filter_map(play).collect()
    }

    /// What only a collection has.
    pub(super) fn collection(mut self, archive: &str) -> Vec<Generated> {
        self.values.push(("archive".to_owned(), archive.to_owned()));
        self.all("collection", "")
    }

    fn all(&self, folder: &str, directory: &str) -> Vec<Generated> {
        let generated = templates(folder).filter_map(|file| {
            let bytes = render::file(file.contents_utf8()?, &self.values).into_bytes();
            Some(Generated { path: path(file, folder, directory)?, bytes })
        });
        generated.collect()
    }
}

fn optional(index: &Index) -> impl Iterator<Item = &str> {
    index.components.iter().filter(|component| !component.required).map(|component| component.name.as_str())
}

fn files(subject: &Subject<'_>) -> String {
    let entries = subject.files.iter().map(|file| {
        let hex = file.digest.hex();
        format!("  - name: {}\n    size: {}\n    sha256: >-\n      {hex}", file.name, file.size)
    });
    entries.collect::<Vec<_>>().join("\n")
}
