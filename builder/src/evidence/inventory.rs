//! The inventory: one page for the person who must approve the transfer. It is complete by itself, has no script and
//! names nothing outside, and can be printed. What is said in it of licences and versions is found in `sbom.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use payload::index::{Component, ComponentKind, Index};
use payload::{Digest, PublicKey, RelPath, printable, size, words_of_digest, words_of_key};
use qrcode::QrCode;
use qrcode::render::svg;

use super::{licenses, sbom};
use crate::content::model::ModelFacts;
use crate::manifest::Manifest;

const STYLE: &str = include_str!("inventory.css");
/// More directories than this are counted below the one above them.
const DIRECTORIES: usize = 14;

/// What the page is about.
pub(crate) struct Subject<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) index: &'a Index,
    pub(crate) index_digest: Digest,
    pub(crate) file_name: &'a str,
    pub(crate) file_digest: Digest,
    /// Name, length and digest of each file that the package is cut into; of one that is not, itself.
    pub(crate) volumes: Vec<(String, u64, Digest)>,
    pub(crate) models: &'a [ModelFacts],
    /// Who signed it.
    pub(crate) key: Option<&'a PublicKey>,
    /// What travels beside the package for Ansible: its file name and digest.
    pub(crate) collection: Option<(&'a str, Digest)>,
}

/// The page. The same package gives the same page.
pub(crate) fn page(subject: &Subject<'_>) -> String {
    let index = subject.index;
    let title = format!("{} {}", index.package.name, index.package.version);
    let style = STANDARD.encode(raw(Digest::of(STYLE.as_bytes())));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"generator\" content=\"airgap-deploy {}\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}: inventory for the transfer</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        escape(&index.build.builder_version),
        escape(&title)
    );
    head(subject, &title, &mut page);
    page.push_str("<main>\n");
    identity(subject, &mut page);
    components(subject, &mut page);
    changes(index, &mut page);
    page.push_str("</main>\n");
    let _ = write!(
        page,
        "<div class=\"sign\"><div>Approved by, date</div><div>Compared on the target by, date</div></div>\n\
         <footer>Made by airgap-deploy builder {} from the package itself. The complete list of parts is in \
         <code>{}.cdx.json</code> (CycloneDX 1.6) and in the package.</footer>\n</body>\n</html>\n",
        escape(&index.build.builder_version),
        escape(subject.file_name)
    );
    page
}

fn head(subject: &Subject<'_>, title: &str, page: &mut String) {
    let index = subject.index;
    let _ = writeln!(
        page,
        "<header><div><p class=\"kind\">Inventory for the transfer</p><h1>{}</h1><p>{}</p>\
         <p class=\"quiet\">For {} Linux{}. {} in {}, <code>{}</code></p></div>{}</header>",
        escape(title),
        escape(&index.package.description),
        index.target.arch,
        index.target.glibc.map_or_else(String::new, |version| format!(" with glibc {version} or newer")),
        size(index.total_length),
        match subject.volumes.len() {
            0 | 1 => "one file".to_owned(),
            count => format!("{count} volumes"),
        },
        escape(subject.file_name),
        codes(subject)
    );
}

/// What two persons compare, for a camera.
fn codes(subject: &Subject<'_>) -> String {
    let key = subject.key.map(|key| code(key.fingerprint(), "fingerprint of the key"));
    format!("{}{}", key.unwrap_or_default(), code(subject.index_digest, "digest of the index"))
}

fn signature(key: Option<&PublicKey>) -> String {
    let Some(key) = key else { return "not signed".to_owned() };
    let (id, fingerprint, words) = (key.id().to_string(), key.fingerprint().to_string(), words_of_key(key));
    format!("by key {}<br>{}<br>{}", code_text(&id), code_text(&fingerprint), code_text(&words))
}

fn code(digest: Digest, what: &str) -> String {
    let text = digest.to_string();
    let Ok(code) = QrCode::new(text.as_bytes()) else { return String::new() };
    let svg = code.render::<svg::Color<'_>>().min_dimensions(224, 224).build();
    let svg = svg.split_once("?>").map_or(svg.as_str(), |(_, svg)| svg);
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"QR code of the {what}\" "), 1);
    format!("<figure>{svg}<figcaption>{what}</figcaption></figure>")
}

fn identity(subject: &Subject<'_>, page: &mut String) {
    let index = subject.index;
    page.push_str(
        "<p class=\"warn\"><strong>This page is no proof.</strong> On the target, compare the digest of the index below \
         with what <code>--verify</code> prints; <code>sha256sum</code> of a file must give the digest of that file.</p>\n\
         <h2>Which package this is</h2>\n<dl>\n",
    );
    let rows = [
        ("Signature", signature(subject.key)),
        ("Index", code_text(&subject.index_digest.to_string())),
        ("in words", code_text(&words_of_digest(subject.index_digest))),
        (
            if subject.volumes.len() > 1 { "All volumes, joined" } else { "File" },
            code_text(&subject.file_digest.to_string()),
        ),
        ("Length", format!("{} bytes", index.total_length)),
        (
            "Program in it",
            format!("{} ({} bytes)", code_text(&index.build.stub.digest.to_string()), index.build.stub.size),
        ),
        ("Manifest", code_text(&index.build.manifest.to_string())),
    ];
    for (name, value) in rows {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{value}</dd>");
    }
    for (name, length, digest) in subject.volumes.iter().filter(|_| subject.volumes.len() > 1) {
        let digest = code_text(&digest.to_string());
        let _ = writeln!(page, "<dt>Volume</dt><dd>{} {length} bytes, {digest}</dd>", code_text(name));
    }
    if let Some((name, digest)) = subject.collection {
        let digest = code_text(&digest.to_string());
        let _ = writeln!(page, "<dt>Ansible</dt><dd>{} {digest}</dd>", code_text(&format!("ansible/{name}")));
    }
    page.push_str("</dl>\n");
}

fn components(subject: &Subject<'_>, page: &mut String) {
    page.push_str(
        "<h2>What is inside</h2>\n<table>\n<thead><tr><th scope=\"col\">Component</th><th scope=\"col\">Licence</th>\
         <th scope=\"col\">Source and digest, as it was fetched</th><th scope=\"col\" class=\"n\">Size</th></tr></thead>\n<tbody>\n",
    );
    for (position, component) in subject.index.components.iter().enumerate() {
        let model = subject.models.iter().find(|model| model.component == position);
        let provenance = sbom::provenance(subject.manifest, &component.name);
        let licences = sbom::licenses_of(component, model, provenance.license);
        let licences: Vec<String> = licences.iter().map(|said| escape(&licenses::name(said))).collect();
        let licence = if licences.is_empty() { "not stated".to_owned() } else { licences.join(", ") };
        let bytes = fetched(subject.index, position, component);
        let sources: Vec<String> = component
            .sources
            .iter()
            .map(|source| format!("{}<br>{}", code_text(&source.location), code_text(&source.digest.to_string())))
            .collect();
        let _ = writeln!(
            page,
            "<tr><td><strong>{}</strong> {}<br><span class=\"quiet\">{}</span></td><td>{licence}</td><td>{}</td>\
             <td class=\"n\">{}</td></tr>",
            escape(&component.name),
            escape(provenance.version.as_deref().unwrap_or_default()),
            escape(&kind(component, model)),
            if sources.is_empty() {
                "a directory of the machine that built it".to_owned()
            } else {
                sources.join("<br>")
            },
            size(bytes)
        );
    }
    page.push_str("</tbody>\n</table>\n");
}

/// Bytes as they were fetched; of a directory those that go onto the target.
fn fetched(index: &Index, position: usize, component: &Component) -> u64 {
    if component.sources.is_empty() {
        let files = index.files.iter().filter(|file| file.component == position);
        return files.filter_map(|file| index.blob(file.blob)).map(|blob| blob.size).sum();
    }
    component.sources.iter().map(|source| source.size).sum()
}

fn kind(component: &Component, model: Option<&ModelFacts>) -> String {
    let kind = match component.kind {
        ComponentKind::ExternalBinary => "program",
        ComponentKind::ModelFile => "model",
        ComponentKind::ConfigFile => "configuration",
    };
    let facts = model.into_iter().flat_map(|model| {
        let known = [&model.family, &model.parameters, &model.quantisation];
        model.names.iter().chain(known.into_iter().flatten())
    });
    let facts: Vec<&str> = facts.map(String::as_str).collect();
    if facts.is_empty() { kind.to_owned() } else { format!("{kind}: {}", facts.join(", ")) }
}

fn changes(index: &Index, page: &mut String) {
    page.push_str("<h2>What it changes on the target</h2>\n<ul>\n");
    if let Some(account) = &index.install.account {
        let _ =
            writeln!(page, "<li>user and group {}, made when they do not exist</li>", code_text(&account.to_string()));
    }
    for (directory, (count, bytes)) in by_directory(index) {
        let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let _ = writeln!(page, "<li>{} {files}, {}</li>", code_text(&format!("/{directory}/")), size(bytes));
    }
    for unit in &index.units {
        let _ = writeln!(
            page,
            "<li>systemd unit {}, neither enabled nor started unless that is asked for</li>",
            code_text(&unit.name)
        );
    }
    for model in &index.models {
        let memory = model.memory.map_or_else(String::new, |bytes| {
            format!(", which takes about {} of memory while it answers", size(bytes))
        });
        let _ = writeln!(page, "<li>model {} in Ollama{memory}</li>", code_text(&model.name));
    }
    if !index.units.is_empty() {
        page.push_str("<li>commands: <code>systemctl daemon-reload</code>, and to make accounts <code>groupadd</code> and <code>useradd</code></li>\n");
    }
    page.push_str("</ul>\n<p class=\"quiet\">It needs root. <code>--dry-run</code> shows every step on the target, and changes nothing; <code>--uninstall</code> takes it back.</p>\n");
}

/// How many files go below each directory, and their bytes.
fn by_directory(index: &Index) -> Vec<(String, (usize, u64))> {
    let gathered = |depth: usize| {
        let mut all: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for file in &index.files {
            let parent = file.path.parent().map_or_else(String::new, |parent: RelPath| parent.as_str().to_owned());
            let shown = parent.split('/').take(depth).collect::<Vec<_>>().join("/");
            let entry = all.entry(shown).or_default();
            entry.0 += 1;
            entry.1 += index.blob(file.blob).map_or(0, |blob| blob.size);
        }
        all
    };
    let depths = [16, 6, 5, 4, 3, 2];
    let fits = depths.into_iter().map(gathered).find(|all| all.len() <= DIRECTORIES);
    fits.unwrap_or_else(|| gathered(1)).into_iter().collect()
}

fn code_text(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Text of anybody's as text of the page: what cannot be seen is written as an escape.
fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn raw(digest: Digest) -> Vec<u8> {
    let hex = digest.hex();
    (0..hex.len()).step_by(2).filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_manifest_is_never_markup() {
        assert_eq!(escape("<b a='\"'>&\u{202e}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\\u{202e}");
    }
}
