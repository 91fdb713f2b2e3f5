//! The bill of materials in the words of `CycloneDX` 1.6: what the package holds, where it is from, under which licences.
//! The same inputs give the same bytes: it has no time, and its serial number is made of the rest of it.
//! It is built as plain JSON.

use payload::index::{Component, ComponentKind, File, Index, Role};
use payload::{Digest, printable};
use serde_json::{Value, json};

use super::{crates, licenses};
use crate::content::model::ModelFacts;
use crate::manifest::{self, Content, Manifest, Source, SourceKind};

/// The repository whose releases are Ollama itself.
const OLLAMA: &str = "ollama/ollama";
const OLLAMA_LICENSE: &str = "MIT";
const STUB: &str = "stub";

/// What is known of a component that its files do not say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Provenance {
    pub(super) version: Option<String>,
    pub(super) purl: Option<String>,
    pub(super) license: Option<String>,
}

/// The document. `index` is complete but for its documents.
pub(crate) fn document(manifest: &Manifest, index: &Index, models: &[ModelFacts]) -> Vec<u8> {
    let mut components: Vec<Value> = index
        .components
        .iter()
        .enumerate()
        .map(|(position, component)| shipped(manifest, index, models, position, component))
        .collect();
    let mut references: Vec<String> = (0..components.len()).map(reference).collect();
    components.push(stub(index));
    references.push(STUB.to_owned());
    let crates: Vec<Value> = crates::all(index.target.arch).iter().map(linked).collect();
    let linked: Vec<&Value> = crates.iter().map(|found| &found["bom-ref"]).collect();
    let mut dependencies =
        vec![json!({"ref": "package", "dependsOn": references}), json!({"ref": STUB, "dependsOn": linked})];
    dependencies.extend((0..components.len() - 1).map(|position| json!({"ref": reference(position)})));
    // A stub that was compiled elsewhere has a list that is not known here.
    let complete = if crates.is_empty() { "incomplete" } else { "complete" };
    components.extend(crates);
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "airgap-deploy builder", "version": index.build.builder_version}]},
            "component": {
                "type": "application",
                "bom-ref": "package",
                "name": index.package.name.as_str(),
                "version": index.package.version,
                "description": index.package.description,
            },
        },
        "components": components,
        "dependencies": dependencies,
        "compositions": [{"aggregate": complete, "assemblies": ["package"], "dependencies": [STUB]}],
    });
    bom["serialNumber"] = json!(serial_number(&bom));
    let mut text = serde_json::to_vec_pretty(&bom).unwrap_or_default();
    text.push(b'\n');
    text
}

fn reference(position: usize) -> String {
    format!("component-{position}")
}

/// A UUID of version 8 (RFC 9562): the digest of everything else.
fn serial_number(bom: &Value) -> String {
    let mut hex = Digest::of(bom.to_string().as_bytes()).hex();
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn shipped(manifest: &Manifest, index: &Index, models: &[ModelFacts], position: usize, component: &Component) -> Value {
    let model = models.iter().find(|model| model.component == position);
    let provenance = provenance(manifest, &component.name);
    let files = index.files.iter().filter(|file| file.component == position);
    let (own, others): (Vec<&File>, Vec<&File>) = files.partition(|file| is_the_component(file, component, model));
    let mut value = json!({
        "type": match component.kind {
            ComponentKind::ExternalBinary => "application",
            ComponentKind::ModelFile => "machine-learning-model",
            ComponentKind::ConfigFile => "file",
        },
        "bom-ref": reference(position),
        "name": component.name,
    });
    // Where the source does not say it, the package is named for the Ollama that it brings.
    let taken = provenance.version.is_none() && is_ollama(component);
    let version = provenance.version.or_else(|| taken.then(|| index.package.version.clone()));
    if let Some(version) = version {
        value["version"] = json!(version);
    }
    if let Some(purl) = provenance.purl {
        value["purl"] = json!(purl);
    }
    let digest = model.and_then(|model| model.weights).or_else(|| own.first().map(|file| file.blob));
    if let Some(digest) = digest {
        value["hashes"] = hashes(digest);
    }
    let licenses = licenses_of(component, model, provenance.license);
    if !licenses.is_empty() {
        value["licenses"] = json!(licenses.iter().map(|said| licenses::cyclonedx(said)).collect::<Vec<_>>());
    }
    let sources: Vec<Value> = component.sources.iter().filter_map(distribution).collect();
    if !sources.is_empty() {
        value["externalReferences"] = json!(sources);
    }
    if let Some(model) = model {
        describe(model, &mut value);
    }
    let mut properties = own.iter().map(|file| property("path", &file.path.to_string())).collect::<Vec<_>>();
    properties.extend(model.into_iter().flat_map(model_properties));
    properties.extend(taken.then(|| property("version", "as the package states it")));
    if !properties.is_empty() {
        value["properties"] = json!(properties);
    }
    let inside: Vec<Value> = others.iter().enumerate().map(|(number, file)| inside(position, number, file)).collect();
    if !inside.is_empty() {
        value["components"] = json!(inside);
    }
    value
}

/// Licences that somebody stated; an empty list says that nobody did.
pub(super) fn licenses_of(component: &Component, model: Option<&ModelFacts>, license: Option<String>) -> Vec<String> {
    let of_ollama = is_ollama(component).then(|| OLLAMA_LICENSE.to_owned());
    let of_model = model.map(|model| model.licenses.clone()).unwrap_or_default();
    of_model.into_iter().chain(license.or(of_ollama)).collect()
}

/// The program that is called so, wherever it was fetched from.
fn is_ollama(component: &Component) -> bool {
    component.kind == ComponentKind::ExternalBinary && component.name == "ollama"
}

/// The file that the component is named for, as against those that come along with it.
fn is_the_component(file: &File, component: &Component, model: Option<&ModelFacts>) -> bool {
    match component.kind {
        ComponentKind::ModelFile => model.is_some_and(|model| model.weights == Some(file.blob)),
        ComponentKind::ExternalBinary => {
            file.role == Role::Program && !is_library(file) && file.mode.bits() & 0o111 != 0
        }
        ComponentKind::ConfigFile => file.path.name() == component.name,
    }
}

fn is_library(file: &File) -> bool {
    let name = file.path.name();
    name.split('.').skip(1).any(|part| part == "so")
}

fn inside(position: usize, number: usize, file: &File) -> Value {
    json!({
        "type": if is_library(file) { "library" } else { "file" },
        "bom-ref": format!("{}-{number}", reference(position)),
        "name": file.path.name(),
        "hashes": hashes(file.blob),
        "properties": [property("path", &file.path.to_string())],
    })
}

fn hashes(digest: Digest) -> Value {
    json!([{"alg": "SHA-256", "content": digest.hex()}])
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": format!("airgap-deploy:{name}"), "value": printable(value)})
}

/// Where content was fetched; what stands in the manifest itself has no address.
fn distribution(source: &payload::index::SourceFact) -> Option<Value> {
    let is_url = source.location.starts_with("https:") || source.location.starts_with("http:");
    is_url.then(|| json!({"type": "distribution", "url": source.location, "hashes": hashes(source.digest)}))
}

fn describe(model: &ModelFacts, value: &mut Value) {
    let mut parameters = json!({});
    if let Some(family) = &model.family {
        parameters["architectureFamily"] = json!(family);
        parameters["modelArchitecture"] = json!(family);
    }
    value["modelCard"] = json!({"modelParameters": parameters});
    value["description"] = json!(format!("Model that Ollama lists as {}", model.names.join(", ")));
}

fn model_properties(model: &ModelFacts) -> Vec<Value> {
    let called = model.names.iter().map(|name| property("model:name", name));
    let facts = [
        ("model:family", model.family.as_ref()),
        ("model:parameters", model.parameters.as_ref()),
        ("model:quantisation", model.quantisation.as_ref()),
    ];
    let memory = model.memory.map(|bytes| property("model:memory-estimate", &format!("{bytes} bytes")));
    let facts = facts.into_iter().filter_map(|(name, value)| value.map(|value| property(name, value)));
    called.chain(facts).chain(memory).collect()
}

fn stub(index: &Index) -> Value {
    json!({
        "type": "application",
        "bom-ref": STUB,
        "name": "airgap-deploy",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The program at the start of the package",
        "hashes": hashes(index.build.stub.digest),
        "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
    })
}

fn linked(found: &crates::LinkedCrate) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": format!("crate-{}-{}", found.name, found.version),
        "name": found.name,
        "version": found.version,
        "licenses": [{"expression": found.license}],
    });
    if let Some(sha256) = &found.sha256 {
        value["purl"] = json!(format!("pkg:cargo/{}@{}", found.name, found.version));
        value["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    value
}

/// What the source of a component says about it.
pub(super) fn provenance(manifest: &Manifest, name: &str) -> Provenance {
    let component = manifest.components.iter().find(|component| component.name == name);
    match component.and_then(source).map(|source| &source.kind) {
        Some(SourceKind::GithubRelease { repo, tag, .. }) => Provenance {
            version: Some(tag.strip_prefix('v').unwrap_or(tag).to_owned()),
            purl: Some(format!("pkg:github/{}@{}", repo.to_lowercase(), escaped(tag))),
            license: (repo == OLLAMA).then(|| OLLAMA_LICENSE.to_owned()),
        },
        Some(SourceKind::OllamaRegistry { model }) => Provenance {
            version: Some(model.tag.clone()),
            purl: Some(format!(
                "pkg:generic/{}/{}@{}",
                escaped(&model.namespace),
                escaped(&model.model),
                escaped(&model.tag)
            )),
            license: None,
        },
        Some(SourceKind::Url { .. } | SourceKind::File { .. }) | None => Provenance::default(),
    }
}

fn source(component: &manifest::Component) -> Option<&Source> {
    match &component.kind {
        manifest::ComponentKind::ExternalBinary { source, .. }
        | manifest::ComponentKind::ModelFile { source, .. }
        | manifest::ComponentKind::ModelPart { source, .. }
        | manifest::ComponentKind::ConfigFile { content: Content::Source(source), .. } => Some(source),
        manifest::ComponentKind::ConfigFile { content: Content::Inline(_), .. } => None,
    }
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2E", ".")
        .replace("%2D", "-")
}
