//! What Ollama's store holds beside the weights of a GGUF model: configuration, optional texts and the manifest, byte
//! for byte as `ollama create` writes them. Where they go is decided in `place/model.rs`; reading GGUF is in `gguf.rs`.

mod config;
mod facts;
mod json;
mod overlay;
mod params;
mod templates;

use payload::Digest;

pub(crate) use config::{file_type, human_number};
pub(crate) use facts::{ModelFacts, context};
pub(crate) use overlay::{Original, overlay};

use crate::content::gguf::Gguf;
use crate::manifest::{ModelSettings, PartRole};

/// `mediaType` of the weights.
pub(crate) const MODEL: &str = "application/vnd.ollama.image.model";
/// `mediaType` of a vision projector.
pub(crate) const PROJECTOR: &str = "application/vnd.ollama.image.projector";
/// `mediaType` of an adapter.
pub(crate) const ADAPTER: &str = "application/vnd.ollama.image.adapter";
const TEMPLATE: &str = "application/vnd.ollama.image.template";
const SYSTEM: &str = "application/vnd.ollama.image.system";
/// `mediaType` of licence texts.
pub(crate) const LICENSE: &str = "application/vnd.ollama.image.license";
/// `mediaType` of the parameters.
pub(crate) const PARAMS: &str = "application/vnd.ollama.image.params";
const MESSAGES: &str = "application/vnd.ollama.image.messages";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// One entry of a manifest: what a blob is, which one, and its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// The documents that turn weights into a model.
#[derive(Debug)]
pub(crate) struct StoreEntries {
    /// Every blob but the weights: texts first, the configuration last.
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Without a newline at its end, so that the ID that `ollama list` shows is the digest of the file.
    pub(crate) manifest: Vec<u8>,
    /// Completes a sentence that starts with the model's name.
    pub(crate) warnings: Vec<String>,
}

impl Layer {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self { media_type: media_type.to_owned(), digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    /// What goes with a model.
    pub(crate) fn of_part(role: PartRole, digest: Digest, size: u64) -> Self {
        let media_type = match role {
            PartRole::Adapter => ADAPTER,
            PartRole::Projector => PROJECTOR,
        };
        Self { media_type: media_type.to_owned(), digest, size }
    }

    fn json(&self) -> String {
        json::object(&[
            ("mediaType", json::text(&self.media_type)),
            ("digest", json::text(&self.digest.to_string())),
            ("size", self.size.to_string()),
        ])
    }
}

/// A file that goes with a model: its layer, and the architecture that it states.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) layer: Layer,
    pub(crate) architecture: String,
}

/// The store entries of the GGUF file with this `digest` and `size` in bytes, and of what goes with it.
pub(crate) fn entries(
    gguf: &Gguf,
    digest: Digest,
    size: u64,
    parts: &[Part],
    settings: &ModelSettings,
) -> StoreEntries {
    let mut warnings = Vec::new();
    let texts = texts(gguf, settings, &mut warnings);
    let mut layers = vec![Layer { media_type: MODEL.to_owned(), digest, size }];
    layers.extend(parts.iter().map(|part| part.layer.clone()));
    layers.extend(texts.iter().map(|(media_type, bytes)| Layer::of(media_type, bytes)));
    let config = config::of_gguf(gguf, parts, settings, &layers);
    let manifest = manifest(&Layer::of(CONFIG, &config), &layers);
    let mut blobs: Vec<Vec<u8>> = texts.into_iter().map(|(_, bytes)| bytes).collect();
    blobs.push(config);
    StoreEntries { blobs, manifest, warnings }
}

/// The optional layers in the order in which `ollama create` has them.
fn texts(gguf: &Gguf, settings: &ModelSettings, warnings: &mut Vec<String>) -> Vec<(&'static str, Vec<u8>)> {
    let family = if settings.template.is_none() { recognise(gguf, warnings) } else { None };
    let jinja = gguf.chat_template.as_deref().unwrap_or_default();
    let begin = gguf.adds_begin == Some(false) && templates::writes_begin(jinja);
    let recognised = family.map(|family| family.template(begin));
    let template = settings.template.as_deref().or(recognised.as_deref()).filter(|text| !text.is_empty());
    let usual = family.and_then(|_| templates::default_system(jinja));
    let system = system(settings).or(usual.as_deref());
    let stop = family.map(|family| family.stop).unwrap_or_default();
    let (params, unknown) = params::merged(stop, settings.params.as_ref());
    warnings.extend(unknown);
    let mut texts = Vec::new();
    texts.extend(template.map(|text| (TEMPLATE, text.as_bytes().to_vec())));
    texts.extend(system.map(|text| (SYSTEM, text.as_bytes().to_vec())));
    texts.extend(settings.license.iter().map(|text| (LICENSE, text.as_bytes().to_vec())));
    texts.extend(params.map(|bytes| (PARAMS, bytes)));
    texts.extend(messages(settings).map(|bytes| (MESSAGES, bytes)));
    texts
}

/// What a conversation begins with, as Ollama stores it.
fn messages(settings: &ModelSettings) -> Option<Vec<u8>> {
    let message = |(role, content): &(String, String)| {
        json::object(&[("role", json::text(role)), ("content", json::text(content))])
    };
    let all = json::array(settings.messages.iter().map(message));
    (!settings.messages.is_empty()).then(|| (all + "\n").into_bytes())
}

fn system(settings: &ModelSettings) -> Option<&str> {
    settings.system.as_deref().filter(|text| !text.is_empty())
}

fn recognise(gguf: &Gguf, warnings: &mut Vec<String>) -> Option<&'static templates::Family> {
    if gguf.pooling {
        return None;
    }
    let found = gguf.chat_template.as_deref().map(|jinja| (jinja, templates::recognise(jinja)));
    let cause = match found {
        Some((jinja, Some(family))) => {
            if templates::mentions_tools(jinja) && !family.has_tools() {
                warnings.push(format!(
                    "is a model of the family {}, whose use of tools is not known here: it will answer, but call no \
                     tools. To have it call tools, give the component template = \"\"\"…\"\"\" in Ollama's template language",
                    family.name
                ));
            }
            return Some(family);
        }
        Some((jinja, None)) => format!(
            "has a chat template with {}, of none of the families known here ({})",
            templates::markers(jinja),
            templates::names()
        ),
        None => "has no chat template in its file".to_owned(),
    };
    warnings.push(format!(
        "{cause}: Ollama will hand it prompts as they are, and a chat model then answers nonsense. Give the component \
         template = \"\"\"…\"\"\" in Ollama's template language (template = \"{{{{ .Prompt }}}}\" if prompts as they \
         are is what you want)"
    ));
    None
}

/// The name of the family that a model's Jinja template belongs to.
pub(crate) fn family(jinja: &str) -> Option<&'static str> {
    templates::recognise(jinja).map(|family| family.name)
}

/// What looks like markers of a prompt format in a template of no known family.
pub(crate) fn markers(jinja: &str) -> String {
    templates::markers(jinja)
}

/// The document that names a model's blobs.
fn manifest(config: &Layer, layers: &[Layer]) -> Vec<u8> {
    json::object(&[
        ("schemaVersion", "2".to_owned()),
        ("mediaType", json::text("application/vnd.docker.distribution.manifest.v2+json")),
        ("config", config.json()),
        ("layers", json::array(layers.iter().map(Layer::json))),
    ])
    .into_bytes()
}

#[cfg(test)]
mod tests;
