//! Which `url` sources have no checksum in the manifest: a lock file must have it, or the build is refused.
//! What a lock file says is not known here.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, ManifestErrors, position};
use super::{BYTE_ORDER_MARK, Component, ComponentKind, Content, Manifest, Source, SourceKind};

/// A component whose `url` source has no checksum in the manifest.
#[derive(Debug, Clone)]
pub struct MissingChecksum<'a> {
    pub component: &'a Component,
    pub url: &'a url::Url,
    /// Counted from 1.
    pub line: usize,
    span: Range<usize>,
}

impl Component {
    /// Where the content comes from; `None` when the manifest itself holds it.
    pub fn source(&self) -> Option<&Source> {
        match &self.kind {
            ComponentKind::ExternalBinary { source, .. }
            | ComponentKind::ModelFile { source, .. }
            | ComponentKind::ConfigFile { content: Content::Source(source), .. } => Some(source),
            ComponentKind::ConfigFile { content: Content::Inline(_), .. } => None,
        }
    }
}

/// All `url` sources without a checksum, in the order of the manifest.
pub fn missing_checksums(manifest: &Manifest) -> Vec<MissingChecksum<'_>> {
    let text = String::from_utf8_lossy(&manifest.text);
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let places = url_places(text);
    let missing = |(at, component)| -> Option<MissingChecksum<'_>> {
        let component: &Component = component;
        let Some(Source { kind: SourceKind::Url { url }, checksum: None }) = component.source() else { return None };
        let span = places.get(at).cloned().flatten().unwrap_or(0..0);
        let (line, _) = position(text, span.start);
        Some(MissingChecksum { component, url, line, span })
    };
    manifest.components.iter().enumerate().filter_map(missing).collect()
}

/// The refusal to build without these checksums.
pub fn refuse_missing_checksums(manifest: &Manifest, missing: &[MissingChecksum<'_>]) -> ManifestErrors {
    let diagnostics = missing.iter().map(|missing| {
        let message = format!("component {:?} has no checksum", missing.component.name);
        Diagnostic::error(missing.span.clone(), message)
            .label("nothing says what must come from here")
            .help("add `source.checksum = \"sha256:…\"`, or let --update-lock record what arrives")
    });
    ManifestErrors::new(&manifest.path, &manifest.text, diagnostics.collect())
}

/// Where `source.url` of each component stands.
fn url_places(text: &str) -> Vec<Option<Range<usize>>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let components = root.get_ref().get("components").and_then(|value| value.get_ref().as_array());
    let url = |item: &DeValue<'_>| Some(item.get("source")?.get_ref().get("url")?.span());
    components.into_iter().flat_map(|items| items.iter()).map(|item| url(item.get_ref())).collect()
}
