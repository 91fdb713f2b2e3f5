//! What is known about a model beside its weights: family, size, quantisation, licences; for the package's bill of materials.
//! What Ollama is told of it is in `config.rs`.

use payload::Digest;
use serde_json::Value;

use super::config;
use crate::content::gguf::{DEFAULT_CONTEXT, Gguf, Memory};
use crate::manifest::ModelSettings;

/// A model, for those who have to know what they take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelFacts {
    /// As Ollama names it: all of them.
    pub(crate) names: Vec<String>,
    /// Position in the package's components.
    pub(crate) component: usize,
    /// Of the weights; `None` for a model without any of its own.
    pub(crate) weights: Option<Digest>,
    /// Such as `llama` or `gemma3`.
    pub(crate) family: Option<String>,
    /// As Ollama shows it: `6.7B`.
    pub(crate) parameters: Option<String>,
    /// As Ollama names it: `Q4_K_M`.
    pub(crate) quantisation: Option<String>,
    /// What is said about its licences: identifiers, names, or whole texts.
    pub(crate) licenses: Vec<String>,
    /// Bytes of memory that it takes while it answers: an estimate.
    pub(crate) memory: Option<u64>,
}

impl ModelFacts {
    /// From the model's own file, and from what the manifest says.
    pub(crate) fn of_gguf(gguf: &Gguf, weights: Digest, size: u64, settings: &ModelSettings) -> Self {
        let licenses =
            if settings.license.is_empty() { gguf.license.iter().cloned().collect() } else { settings.license.clone() };
        Self {
            names: Vec::new(),
            component: 0,
            weights: Some(weights),
            family: known(&gguf.architecture),
            parameters: (gguf.parameters > 0).then(|| config::human_number(gguf.parameters)),
            quantisation: known(config::file_type(gguf.file_type)),
            licenses,
            memory: Memory::estimate(gguf, size, context(settings, None)).map(Memory::total),
        }
    }

    /// From the configuration that a registry has for the model, and the texts of its licences.
    pub(crate) fn of_registry(config: &[u8], weights: Option<Digest>, licenses: Vec<String>) -> Self {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        let said = |key: &str| config[key].as_str().and_then(known);
        Self {
            names: Vec::new(),
            component: 0,
            weights,
            family: said("model_family"),
            parameters: said("model_type"),
            quantisation: said("file_type"),
            licenses,
            memory: None,
        }
    }
}

/// How many tokens of a conversation Ollama will remember: as the manifest says it, or the model's own `params`.
pub(crate) fn context(settings: &ModelSettings, own: Option<&Value>) -> u64 {
    let given = settings.params.as_ref().and_then(|params| params.get("num_ctx"));
    let number = given.or_else(|| own?.get("num_ctx")).and_then(Value::as_u64);
    number.filter(|tokens| *tokens > 0).unwrap_or(DEFAULT_CONTEXT)
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty() && text != "unknown").then(|| text.to_owned())
}
