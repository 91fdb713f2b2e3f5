//! Looking into a model file: what its header says, and whether Ollama could use it.
//! Reading the header is in `content/gguf.rs`; finished packages are in `inspect.rs`.

use std::io::{self, Read};
use std::path::Path;

use payload::{printable, size};
use serde::Serialize;

use crate::content::gguf::{self, DEFAULT_CONTEXT, GgufError, Memory};
use crate::content::model::{family, file_type, human_number};
use crate::small_file;

/// What the header of a GGUF file says.
#[derive(Debug, Serialize)]
pub struct ModelFacts {
    pub gguf: u32,
    pub architecture: String,
    pub kind: String,
    /// Elements of all tensors.
    pub parameters: u64,
    pub tensors: u64,
    /// As Ollama calls it; `unknown` where it has no name.
    pub quantisation: &'static str,
    /// In tokens.
    pub context_length: Option<u64>,
    /// The family of the chat template; `None` without a template, or of an unknown family.
    pub family: Option<&'static str>,
    pub chat_template: bool,
    pub embedding: bool,
    pub license: Option<String>,
    /// What it takes while it answers, with Ollama's default context; `None` when the file does not say enough.
    pub memory: Option<MemoryFacts>,
    /// Why Ollama could not use it.
    pub refused: Option<String>,
}

/// Estimated bytes of memory.
#[derive(Debug, Serialize)]
pub struct MemoryFacts {
    pub total: u64,
    pub weights: u64,
    /// Of the context's keys and values.
    pub cache: u64,
    pub work: u64,
    /// In tokens.
    pub context: u64,
}

/// Why a model file cannot be looked into; completes a sentence that starts with its path.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
}

/// Looks into a GGUF file; `None` when the file does not begin as one.
pub fn model(path: &Path) -> Result<Option<ModelFacts>, ModelError> {
    let mut file = small_file::open_regular(path)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic)?;
    if magic != b"GGUF" {
        return Ok(None);
    }
    let file = small_file::open_regular(path)?;
    let length = file.metadata()?.len();
    let gguf = gguf::read(file, length).map_err(|error| match error {
        GgufError::Read(source) => ModelError::Read(source),
        error => ModelError::Refused(error.to_string()),
    })?;
    let refused = gguf::refusal(&gguf, false, None).map(|(problem, _)| problem);
    let memory = Memory::estimate(&gguf, length, DEFAULT_CONTEXT).map(|memory| MemoryFacts {
        total: memory.total(),
        weights: memory.weights,
        cache: memory.cache,
        work: memory.work,
        context: memory.context,
    });
    Ok(Some(ModelFacts {
        gguf: gguf.version,
        kind: gguf.kind,
        parameters: gguf.parameters,
        tensors: gguf.tensors,
        quantisation: file_type(gguf.file_type),
        context_length: gguf.context,
        family: gguf.chat_template.as_deref().and_then(family),
        chat_template: gguf.chat_template.is_some(),
        embedding: gguf.pooling,
        license: gguf.license,
        architecture: gguf.architecture,
        memory,
        refused,
    }))
}

/// The same in lines.
pub fn describe(facts: &ModelFacts) -> Vec<String> {
    let template = match (facts.family, facts.chat_template) {
        (Some(family), _) => family,
        (None, true) => "of no family known here: the manifest needs `template`",
        (None, false) => "none",
    };
    let context = facts.context_length.map_or("unknown".to_owned(), |tokens| format!("{tokens} tokens"));
    let mut lines = vec![
        format!("format        GGUF {}, {}", facts.gguf, printable(&facts.kind)),
        format!("architecture  {}", printable(&facts.architecture)),
        format!("parameters    {} ({}) in {} tensors", facts.parameters, human_number(facts.parameters), facts.tensors),
        format!("quantisation  {}", facts.quantisation),
        format!("context       {context}"),
        format!("answers       {}", if facts.embedding { "embeddings" } else { "text" }),
        format!("template      {template}"),
        format!("licence       {}", facts.license.as_deref().map_or("not stated".to_owned(), printable)),
    ];
    lines.extend(facts.memory.as_ref().map(|memory| {
        format!(
            "memory        about {}: weights {}, cache {}, work {}, with a context of {} tokens",
            size(memory.total),
            size(memory.weights),
            size(memory.cache),
            size(memory.work),
            memory.context
        )
    }));
    lines.extend(facts.refused.as_deref().map(|problem| format!("refused       it {}", printable(problem))));
    lines
}
