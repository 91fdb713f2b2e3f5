//! How much memory a model takes while it answers: an estimate from the header of its file.
//! It is compared with a machine's memory on that machine, by the installer's preflight.
//!
//! The formula is that of Ollama 0.15.0 for models of the Llama architecture (`GraphSize` in `fs/ggml/ggml.go`), taken for
//! every architecture: all layers cache the whole context, which models with a sliding window do not do.

use super::Gguf;

/// Tokens that Ollama remembers of a conversation when neither `num_ctx` nor `OLLAMA_CONTEXT_LENGTH` says otherwise.
pub(crate) const DEFAULT_CONTEXT: u64 = 4096;
/// Tokens that are worked on at once (`num_batch`).
const BATCH: u64 = 512;
/// Bytes of a cached number: the cache is of 16-bit floats.
const CACHED: u64 = 2;
/// Bytes of a number that is worked on.
const COMPUTED: u64 = 4;
/// No machine has that much, in bytes; what a file says beyond it is not believed.
const MOST: u64 = 1 << 50;

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// As large as its files.
    pub(crate) weights: u64,
    /// The keys and values of all tokens of the context.
    pub(crate) cache: u64,
    /// What computing takes.
    pub(crate) work: u64,
    /// Tokens.
    pub(crate) context: u64,
}

impl Memory {
    /// Of the model `gguf`, whose files are `weights` bytes long, with a context of `wanted` tokens; the weights alone where
    /// the file does not say how large its layers are. `None` when it says what cannot be.
    pub(crate) fn estimate(gguf: &Gguf, weights: u64, wanted: u64) -> Option<Self> {
        let shape = &gguf.shape;
        let context = gguf.context.filter(|trained| *trained > 0).map_or(wanted, |trained| trained.min(wanted));
        if gguf.blocks == 0 || shape.embedding == 0 {
            return (weights <= MOST).then_some(Self { weights, cache: 0, work: 0, context });
        }
        let heads = shape.heads.iter().copied().max().unwrap_or(1);
        let width = shape.embedding / shape.heads.iter().copied().filter(|heads| *heads > 0).min().unwrap_or(1);
        let width = shape.key.unwrap_or(width).checked_add(shape.value.unwrap_or(width))?;
        let cache = cached_heads(gguf)?.checked_mul(context)?.checked_mul(width)?.checked_mul(CACHED)?;
        let layer = shape.embedding.checked_mul(4)?.checked_add(context.checked_mul(heads.checked_add(1)?)?)?;
        let last = shape.embedding.checked_add(shape.vocabulary)?;
        let work = layer.max(last).checked_mul(BATCH.min(context))?.checked_mul(COMPUTED)?;
        let memory = Self { weights, cache, work, context };
        (memory.checked_total()? <= MOST).then_some(memory)
    }

    fn checked_total(self) -> Option<u64> {
        self.weights.checked_add(self.cache)?.checked_add(self.work)
    }

    /// All of it.
    pub(crate) fn total(self) -> u64 {
        self.checked_total().unwrap_or(MOST)
    }
}

/// The heads of all blocks whose keys and values are cached. A block without heads is recurrent, and caches next to nothing.
fn cached_heads(gguf: &Gguf) -> Option<u64> {
    let of = |list: &[u64], block: u64| {
        let own =
            usize::try_from(block).ok().and_then(|block| list.get(block)).or(list.first().filter(|_| list.len() == 1));
        own.copied().unwrap_or(1)
    };
    let heads = &gguf.shape.heads;
    let cached = if gguf.shape.cached_heads.is_empty() { heads } else { &gguf.shape.cached_heads };
    if heads.len() <= 1 && cached.len() <= 1 {
        return gguf.blocks.checked_mul(if of(heads, 0) == 0 { 0 } else { of(cached, 0) });
    }
    // The lists are as long as a model has blocks, and never longer than some thousand.
    let listed = gguf.blocks.min(heads.len().max(cached.len()) as u64);
    let heads = (0..listed).filter(|block| of(heads, *block) > 0).map(|block| of(cached, block));
    heads.chain(std::iter::once(gguf.blocks - listed)).try_fold(0u64, u64::checked_add)
}
