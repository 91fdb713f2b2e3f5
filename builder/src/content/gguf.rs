//! GGUF: what the header of a model file says, read in one pass that never touches the tensors.
//! Whether such a file may be shipped is decided in `gguf/check.rs`; what Ollama wants beside it, in `model/`.
//! Source of the format: `docs/gguf.md` of the ggml project; limits: its C loader, which Ollama uses.
//! It is read here because the crates for it (looked at: gguf-rs 0.1.8, ggus 0.5.1, gguf 0.1.2, candle-core) take lengths
//! of a file as they are, keep every token in memory, want the whole file, or bring a command line or a tensor library.

mod architectures;
mod check;
mod memory;
mod reader;
mod tensor;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeSet;
use std::io::{Read, Seek};

pub(crate) use check::{doubt, other_base, part_refusal, refusal};
pub(crate) use memory::{DEFAULT_CONTEXT, Memory};
use reader::Reader;

/// Why a header cannot be read; completes a sentence that starts with the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Another format, or a version nobody loads.
    #[error("{problem}")]
    NotLoadable { problem: String, remedy: String },
    /// Lengths that point past the end of the file.
    #[error("is truncated or damaged: {0}")]
    Truncated(String),
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gguf {
    pub(crate) version: u32,
    /// `general.architecture`; `unknown` when absent, as Ollama has it.
    pub(crate) architecture: String,
    /// `general.type`: `model` (also when absent), `adapter`, `projector`, `mmproj`…
    pub(crate) kind: String,
    /// `general.file_type`, which counts only as an unsigned 32-bit number.
    pub(crate) file_type: Option<u32>,
    /// Elements of all tensors.
    pub(crate) parameters: u64,
    pub(crate) tensors: u64,
    /// `tokenizer.chat_template`, in the Jinja language.
    pub(crate) chat_template: Option<String>,
    /// `tokenizer.ggml.add_bos_token`: whether Ollama puts the beginning-of-text token before every prompt.
    pub(crate) adds_begin: Option<bool>,
    /// `<architecture>.pooling_type` is there: the model makes embeddings.
    pub(crate) pooling: bool,
    /// `<architecture>.context_length`, in tokens.
    pub(crate) context: Option<u64>,
    /// `general.license`, as a rule a short name.
    pub(crate) license: Option<String>,
    /// `split.count`: of how many files this is one.
    pub(crate) shards: u64,
    pub(crate) blocks: u64,
    pub(crate) vision_blocks: u64,
    pub(crate) shape: Shape,
    /// ggml's numbers of the types that its tensors have.
    pub(crate) tensor_types: BTreeSet<u32>,
    /// Where the data of the last tensor ends, in bytes from the start of the file.
    pub(crate) data_end: u64,
}

/// How large a model's layers are, as far as its file says; 0 and empty where it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// `embedding_length`
    pub(crate) embedding: u64,
    /// `attention.head_count`: one number, or one for each block.
    pub(crate) heads: Vec<u64>,
    /// `attention.head_count_kv`, likewise.
    pub(crate) cached_heads: Vec<u64>,
    /// `attention.key_length` and `attention.value_length`
    pub(crate) key: Option<u64>,
    pub(crate) value: Option<u64>,
    /// How many tokens the model knows.
    pub(crate) vocabulary: u64,
}

/// What to do about a file that is not whole.
pub(crate) const FETCH_AGAIN: &str = "fetch it again, and compare its size and checksum with what its publisher states";

const MAGIC: &[u8; 4] = b"GGUF";
/// Longest text that is kept: chat templates are the longest ones, some ten kilobytes.
const MAX_KEPT_TEXT: u64 = 4 << 20;
/// What a key and its value take at least: length, type, one byte.
const MIN_KEY_VALUE: u64 = 13;

/// Reads the header of `file`, which is `size` bytes long, from its current position, which must be its start.
pub(crate) fn read(file: impl Read + Seek, size: u64) -> Result<Gguf, GgufError> {
    let mut reader = Reader::new(file, size);
    let version = version(&mut reader)?;
    let tensors = reader.u64("the number of tensors")?;
    let pairs = reader.u64("the number of keys")?;
    reader.fits(tensors, tensor::MIN_LENGTH, "tensors")?;
    reader.fits(pairs, MIN_KEY_VALUE, "keys")?;
    let mut facts = Facts::default();
    for _ in 0..pairs {
        facts.read_pair(&mut reader)?;
    }
    let extent = tensor::read_all(&mut reader, tensors)?;
    let data_end = extent.check(reader.position(), facts.alignment()?, size)?;
    Ok(Gguf { tensor_types: extent.types, ..facts.into_gguf(version, tensors, extent.elements, data_end) })
}

fn version(reader: &mut Reader<impl Read + Seek>) -> Result<u32, GgufError> {
    let head = reader.peek(64)?;
    if !head.starts_with(MAGIC) {
        return Err(not_gguf(&head));
    }
    reader.skip(4, "the magic number")?;
    let version = reader.u32("the version")?;
    let remedy = "convert the model anew with llama.cpp's convert_hf_to_gguf.py, or take another file";
    let problem = match version {
        2 | 3 => return Ok(version),
        0 => "is GGUF version 0, which does not exist".to_owned(),
        1 => "is GGUF version 1, which Ollama no longer loads".to_owned(),
        swapped if swapped.trailing_zeros() >= 16 => {
            "is a big-endian GGUF file, which x86-64 and ARM cannot load".to_owned()
        }
        newer => format!("is GGUF version {newer}; Ollama loads versions 2 and 3"),
    };
    Err(GgufError::NotLoadable { problem, remedy: remedy.to_owned() })
}

fn not_gguf(head: &[u8]) -> GgufError {
    let text = head.trim_ascii_start();
    let (looks, remedy) = if text.starts_with(b"<") {
        (" (it is a web page)", "take the link that downloads the file itself, not the page about it")
    } else if text.starts_with(b"version https://git-lfs") {
        (" (it is a Git LFS pointer)", "fetch the file that the pointer stands for (git lfs pull)")
    } else if head.starts_with(b"FUGG") {
        (" (or it is a big-endian one)", "take the little-endian file")
    } else if [b"lmgg", b"fmgg", b"tjgg"].iter().any(|magic| head.starts_with(*magic)) {
        (" (it is the older GGML format)", "take a GGUF file of the same model")
    } else if head.is_empty() {
        (" (it is empty)", "fetch it again")
    } else {
        ("", "a model-file must be a GGUF file, or come from an ollama-registry source")
    };
    GgufError::NotLoadable { problem: format!("is not a GGUF file{looks}"), remedy: remedy.to_owned() }
}

/// What the keys say, as far as it matters. Numbers below an architecture's name are collected by whole key, since
/// `general.architecture` may come later.
#[derive(Default)]
struct Facts {
    architecture: Option<String>,
    kind: Option<String>,
    file_type: Option<u32>,
    alignment: Option<u64>,
    chat_template: Option<String>,
    adds_begin: Option<bool>,
    license: Option<String>,
    shards: u64,
    vocabulary: u64,
    numbers: Vec<(String, Vec<u64>)>,
}

/// How many keys below architectures are kept; a model has one of each suffix.
const MAX_NUMBERS: usize = 64;
/// More blocks than any model has.
const MAX_BLOCKS: u64 = 4096;
/// What the keys below an architecture end with that matter here.
const SUFFIXES: [&str; 8] = [
    ".block_count",
    ".pooling_type",
    ".context_length",
    ".embedding_length",
    ".attention.head_count",
    ".attention.head_count_kv",
    ".attention.key_length",
    ".attention.value_length",
];

impl Facts {
    fn read_pair(&mut self, reader: &mut Reader<impl Read + Seek>) -> Result<(), GgufError> {
        let key = reader.key()?;
        let kind = reader.u32("the type of a value")?;
        match key.as_str() {
            "general.architecture" => self.architecture = reader.text_of(kind, &key, MAX_KEPT_TEXT)?,
            "general.type" => self.kind = reader.text_of(kind, &key, MAX_KEPT_TEXT)?,
            "general.license" => self.license = reader.text_of(kind, &key, MAX_KEPT_TEXT)?,
            "tokenizer.chat_template" => self.chat_template = reader.text_of(kind, &key, MAX_KEPT_TEXT)?,
            "general.file_type" if kind == reader::UINT32 => self.file_type = Some(reader.u32(&key)?),
            "general.alignment" => self.alignment = Some(reader.number_of(kind, &key)?.unwrap_or(0)),
            "tokenizer.ggml.add_bos_token" => self.adds_begin = reader.number_of(kind, &key)?.map(|flag| flag != 0),
            "split.count" => self.shards = reader.number_of(kind, &key)?.unwrap_or(0),
            "tokenizer.ggml.tokens" => self.vocabulary = reader.count_of(kind, &key)?.unwrap_or(0),
            key if SUFFIXES.iter().any(|suffix| key.ends_with(suffix)) => {
                let numbers = reader.numbers_of(kind, key, MAX_BLOCKS)?;
                if self.numbers.len() < MAX_NUMBERS {
                    self.numbers.push((key.to_owned(), numbers));
                }
            }
            key => reader.skip_value(kind, key)?,
        }
        Ok(())
    }

    fn alignment(&self) -> Result<u64, GgufError> {
        match self.alignment.unwrap_or(32) {
            good if good.is_power_of_two() && good <= 1 << 32 => Ok(good),
            bad => Err(GgufError::Truncated(format!("general.alignment is {bad}, which is no power of two"))),
        }
    }

    fn numbers(&self, architecture: &str, suffix: &str) -> Option<&[u64]> {
        let key = format!("{architecture}.{suffix}");
        self.numbers.iter().find(|(name, _)| *name == key).map(|(_, numbers)| numbers.as_slice())
    }

    /// A key that is there without a number counts as 0.
    fn number(&self, architecture: &str, suffix: &str) -> Option<u64> {
        self.numbers(architecture, suffix).map(|numbers| numbers.first().copied().unwrap_or(0))
    }

    fn shape(&self, architecture: &str) -> Shape {
        let list = |suffix| self.numbers(architecture, suffix).unwrap_or_default().to_vec();
        Shape {
            embedding: self.number(architecture, "embedding_length").unwrap_or(0),
            heads: list("attention.head_count"),
            cached_heads: list("attention.head_count_kv"),
            key: self.number(architecture, "attention.key_length"),
            value: self.number(architecture, "attention.value_length"),
            vocabulary: self.vocabulary,
        }
    }

    fn into_gguf(self, version: u32, tensors: u64, parameters: u64, data_end: u64) -> Gguf {
        let architecture = self.architecture.clone().unwrap_or_else(|| "unknown".to_owned());
        Gguf {
            version,
            pooling: self.number(&architecture, "pooling_type").is_some(),
            context: self.number(&architecture, "context_length"),
            blocks: self.number(&architecture, "block_count").unwrap_or(0),
            vision_blocks: self.number(&architecture, "vision.block_count").unwrap_or(0),
            shape: self.shape(&architecture),
            tensor_types: BTreeSet::new(),
            architecture,
            kind: self.kind.unwrap_or_else(|| "model".to_owned()),
            file_type: self.file_type,
            parameters,
            tensors,
            chat_template: self.chat_template.filter(|text| !text.is_empty()),
            adds_begin: self.adds_begin,
            license: self.license,
            shards: self.shards,
            data_end,
        }
    }
}

#[cfg(test)]
mod tests;
