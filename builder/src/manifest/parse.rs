//! The whole manifest: from the bytes of the file to checked types, or to everything that is wrong with it.
//! Each part has a file of its own; nothing here looks at a disk or a network.

use std::path::Path;

use payload::index::Arch;
use toml::de::DeValue;

use super::component::{self, Surroundings};
use super::diagnostic::{Diagnostic, Finding, Findings, ManifestErrors, Reported, Severity, findings};
use super::model::Files;
use super::reader::Reader;
use super::vocabulary::{COMPONENT, INSTALL, PACKAGE, ROOT, Vocabulary};
use super::{BYTE_ORDER_MARK, Component, Install, Manifest, Package, install, path, render, syntax, unit};

/// A manifest that can be used, and what is odd about it.
#[derive(Debug, Clone)]
pub struct Parsed {
    pub manifest: Manifest,
    /// None of them is an error.
    pub warnings: Vec<Diagnostic>,
}

impl Parsed {
    /// The warnings as text for people; empty when there are none.
    pub fn render_warnings(&self, colour: bool) -> String {
        render::render(&self.manifest.path, &self.text(), &self.warnings, colour)
    }

    /// The warnings as data for programs.
    pub fn warning_findings(&self) -> Vec<Finding> {
        findings(&self.manifest.path, &self.text(), &self.warnings)
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.manifest.text);
        text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).to_owned()
    }
}

/// Reads the manifest `bytes`, which came from the file `path`, as it is for `target`. A checksum is not demanded here: a lock
/// file may have it, see [`super::missing_checksums`].
pub fn parse(path: &Path, bytes: &[u8], target: Arch) -> Result<Parsed, ManifestErrors> {
    parse_with(path, bytes, target, &|_| Err(std::io::ErrorKind::NotFound.into()))
}

/// The same, where `files` reads the texts that the manifest names: Modelfiles. Their paths are the manifest's own words.
pub fn parse_with(path: &Path, bytes: &[u8], target: Arch, files: Files<'_>) -> Result<Parsed, ManifestErrors> {
    let all = Findings::default();
    let read = syntax::text(bytes, &all).and_then(|text| {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let document = syntax::document(text, &all);
        let meaning = Findings::default();
        let root = Reader::new(document.root.get_ref(), 0..0, &ROOT, &meaning, target);
        let read = content(&root, text, files);
        for found in meaning.into_sorted().into_iter().filter(|found| document.keeps(found)) {
            all.warn(found);
        }
        read
    });
    let diagnostics = all.into_sorted();
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    match read {
        Ok((package, install, components)) if !failed => {
            let (path, text) = (path.to_owned(), bytes.to_owned());
            let manifest = Manifest { path, text, target, package, install, components };
            Ok(Parsed { manifest, warnings: diagnostics })
        }
        _ => Err(ManifestErrors::new(path, bytes, diagnostics)),
    }
}

fn content(root: &Reader<'_>, text: &str, files: Files<'_>) -> Result<(Package, Install, Vec<Component>), Reported> {
    root.refuse_unknown(None);
    let package = section(root, "package", &PACKAGE).and_then(|reader| install::package(&reader));
    let install = section(root, "install", &INSTALL);
    let prefix = install.and_then(|reader| path::prefix(&reader));
    let prefix = prefix.as_ref().map_err(|reported| *reported);
    let install = install.and_then(|reader| install::install(&reader, prefix));
    let around = Surroundings { prefix, files };
    let readers = component_tables(root);
    let drafts: Vec<_> = readers.iter().map(|reader| component::component(reader, around)).collect();
    component::refuse_duplicates(&drafts, root.findings);
    if let Ok(install) = &install {
        unit::check(&drafts, install, text, root.findings);
    }
    let components: Vec<Result<Component, Reported>> = drafts.into_iter().map(|draft| draft.component).collect();
    Ok((package?, install?, components.into_iter().collect::<Result<_, _>>()?))
}

fn section<'a>(root: &Reader<'a>, name: &str, vocabulary: &'static Vocabulary) -> Result<Reader<'a>, Reported> {
    let help = format!("write the header `[{name}]` and its keys below it");
    root.table(name, vocabulary, &help).or_else(|| root.misspelt(name).map(Err)).unwrap_or_else(|| {
        let diagnostic = Diagnostic::absent(None, format!("the manifest has no [{name}]"));
        Err(root.findings.error(diagnostic.help(help)))
    })
}

fn component_tables<'a>(root: &Reader<'a>) -> Vec<Reader<'a>> {
    const HELP: &str = "begin each component with the header `[[components]]`";
    let Some(value) = root.get("components") else {
        if root.misspelt("components").is_some() {
            return Vec::new();
        }
        let diagnostic = Diagnostic::absent(None, "the manifest has no [[components]]: there is nothing to install");
        root.findings.error(diagnostic.help(HELP));
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        root.wrong_type(value, "components", "a list of tables", Some(HELP.to_owned()));
        return Vec::new();
    };
    if items.is_empty() {
        root.findings.error(Diagnostic::error(value.span(), "there is nothing to install").help(HELP));
    }
    let reader = |item: &'a toml::Spanned<DeValue<'a>>| {
        if let DeValue::Table(table) = item.get_ref() {
            return Some(Reader::new(table, item.span(), &COMPONENT, root.findings, root.target));
        }
        root.wrong_type(item, "components", "a list of tables", Some(HELP.to_owned()));
        None
    };
    items.iter().filter_map(reader).collect()
}
