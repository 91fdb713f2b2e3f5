//! Looking into a model file: what its header says, and whether Ollama could use it.
//! Reading the header is in `content/gguf.rs`; finished packages are in `inspect.rs`.

use std::io::{self, Read};
use std::path::Path;

use payload::{printable, size};
use serde::Serialize;

use crate::content::gguf::{self, DEFAULT_CONTEXT, GgufError, Memory};
use crate::content::model::{family, file_type, human_number, markers};
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
    /// What looks like markers of a prompt format, in a chat template of no known family.
    pub markers: Option<String>,
    /// Why Ollama could not use it.
    pub refused: Option<String>,
    /// Why the newest Ollama that is known here does not load it; a newer one may.
    pub doubt: Option<String>,
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
    #[error("{problem}")]
    Refused { problem: String, remedy: String },
}

/// Looks into a GGUF file; `None` when the file neither begins nor is called as one.
pub fn model(path: &Path) -> Result<Option<ModelFacts>, ModelError> {
    let mut file = small_file::open_regular(path)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic)?;
    let called = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if magic != b"GGUF" && !called {
        return Ok(None);
    }
    let file = small_file::open_regular(path)?;
    let length = file.metadata()?.len();
    let gguf = gguf::read(file, length).map_err(|error| match error {
        GgufError::Read(source) => ModelError::Read(source),
        GgufError::NotLoadable { problem, remedy } => ModelError::Refused { problem, remedy },
        error @ GgufError::Truncated(_) => {
            ModelError::Refused { problem: error.to_string(), remedy: gguf::FETCH_AGAIN.to_owned() }
        }
    })?;
    let refused = gguf::refusal(&gguf, false, None).map(|(problem, _)| problem);
    let doubt = gguf::doubt(&gguf, None).filter(|_| refused.is_none());
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
        markers: gguf.chat_template.as_deref().filter(|jinja| family(jinja).is_none()).map(markers),
        chat_template: gguf.chat_template.is_some(),
        embedding: gguf.pooling,
        license: gguf.license,
        architecture: gguf.architecture,
        memory,
        refused,
        doubt,
    }))
}

/// The same in lines.
pub fn describe(facts: &ModelFacts) -> Vec<String> {
    let template = match (facts.family, &facts.markers) {
        (Some(family), _) => family.to_owned(),
        (None, Some(markers)) => {
            format!("of no family known here ({}): the manifest needs `template`", printable(markers))
        }
        (None, None) if facts.embedding => "none".to_owned(),
        (None, None) => "none in the file: a chat model needs `template` in the manifest".to_owned(),
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
    lines.extend(facts.doubt.as_deref().map(|problem| format!("doubtful      it {}", printable(problem))));
    lines
}
