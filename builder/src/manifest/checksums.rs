//! Which `url` sources have no checksum in the manifest: a lock file must have it, or the build is refused.
//! What a lock file says is not known here.

use std::ops::Range;

use payload::index::Arch;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, ManifestErrors, position};
use super::{BYTE_ORDER_MARK, Component, ComponentKind, Content, Manifest, Source, SourceKind};

/// A component whose `url` source has no checksum in the manifest.
#[derive(Debug, Clone)]
pub struct MissingChecksum<'a> {
    pub component: &'a Component,
    pub source: &'a Source,
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
            | ComponentKind::ModelPart { source, .. }
            | ComponentKind::ConfigFile { content: Content::Source(source), .. } => Some(source),
            ComponentKind::ConfigFile { content: Content::Inline(_), .. } => None,
        }
    }
}

impl Source {
    /// The key that its checksum has for `target`.
    pub fn checksum_key(&self, target: Arch) -> String {
        if self.per_target { format!("source.checksum.{target}") } else { "source.checksum".to_owned() }
    }
}

/// All `url` sources without a checksum, in the order of the manifest.
pub fn missing_checksums(manifest: &Manifest) -> Vec<MissingChecksum<'_>> {
    let text = String::from_utf8_lossy(&manifest.text);
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let places = url_places(text);
    let all = manifest.components.iter().enumerate();
    let all = all.flat_map(|(at, component)| component.with_parts().map(move |part| (at, part)));
    all.filter_map(|(at, component)| {
        let source = component.source().filter(|source| source.checksum.is_none())?;
        let SourceKind::Url { url } = &source.kind else { return None };
        let key = match component.kind {
            ComponentKind::ModelPart { role, .. } => role.name(),
            _ => "source",
        };
        let span = places.iter().find(|place| (place.0, place.1) == (at, key)).map_or(0..0, |place| place.2.clone());
        let (line, _) = position(text, span.start);
        Some(MissingChecksum { component, source, url, line, span })
    })
    .collect()
}

/// The refusal to build without these checksums.
pub fn refuse_missing_checksums(manifest: &Manifest, missing: &[MissingChecksum<'_>]) -> ManifestErrors {
    let diagnostics = missing.iter().map(|missing| {
        let message = format!("component {:?} has no checksum", missing.component.name);
        let key = missing.source.checksum_key(manifest.target);
        Diagnostic::error(missing.span.clone(), message)
            .label("nothing says what must come from here")
            .help(format!("add `{key} = \"sha256:…\"`, or let --update-lock record what arrives"))
    });
    ManifestErrors::new(&manifest.path, &manifest.text, diagnostics.collect())
}

/// Where `url` of each component's sources stands: the position of the component, and the key that holds it.
fn url_places(text: &str) -> Vec<(usize, &'static str, Range<usize>)> {
    let (root, _) = DeTable::parse_recoverable(text);
    let components = root.get_ref().get("components").and_then(|value| value.get_ref().as_array());
    let url = |item: &DeValue<'_>, key| Some(item.get(key)?.get_ref().get("url")?.span());
    let mut places = Vec::new();
    for (at, item) in components.into_iter().flat_map(|items| items.iter()).enumerate() {
        let keys = ["source", "adapter", "projector"].into_iter();
        places.extend(keys.filter_map(|key| Some((at, key, url(item.get_ref(), key)?))));
    }
    places
}
