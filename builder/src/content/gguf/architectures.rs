//! Which architectures and types of tensors a release of Ollama loads, as far as releases are known here.
//! The names are those of its two engines, `llama/llama.cpp/src/llama-arch.cpp` and `model/models`, of that release; the
//! types those of its `ml/backend/ggml/ggml/include/ggml.h`.

/// The newest release that is known here.
pub(super) const NEWEST: &str = "0.15.0";

/// Whether the release `version` of Ollama loads models of this architecture; `None` of a release that is not known here.
pub(super) fn loads(version: &str, architecture: &str) -> Option<bool> {
    (version == "0.15.0").then(|| V0_15_0.binary_search(&architecture).is_ok())
}

/// Whether the release `version` loads tensors of ggml's type `kind` in models of this architecture; `None` of a release that
/// is not known here.
pub(super) fn loads_tensors(version: &str, architecture: &str, kind: u32) -> Option<bool> {
    // 4 was MXFP4 before ggml had a number for it; only Ollama's own engine for gpt-oss takes it.
    let old_mxfp4 = kind == 4 && ["gptoss", "gpt-oss"].contains(&architecture);
    (version == "0.15.0").then_some(matches!(kind, 0..=3 | 6..=30 | 34 | 35 | 39) || old_mxfp4)
}

/// Sorted.
#[rustfmt::skip]
const V0_15_0: &[&str] = &[
    "afmoe", "apertus", "arcee", "arctic", "arwkv7", "baichuan", "bailingmoe", "bailingmoe2", "bert", "bitnet",
    "bloom", "chameleon", "chatglm", "clip", "codeshell", "cogvlm", "cohere2", "command-r", "dbrx", "deci",
    "deepseek", "deepseek2", "deepseekocr", "dots1", "dream", "ernie4_5", "ernie4_5-moe", "exaone", "exaone4",
    "falcon", "falcon-h1", "gemma", "gemma-embedding", "gemma2", "gemma3", "gemma3n", "glm4", "glm4moe",
    "glm4moelite", "gpt-oss", "gpt2", "gptj", "gptneox", "gptoss", "granite", "granitehybrid", "granitemoe", "grok",
    "grovemoe", "hunyuan-dense", "hunyuan-moe", "internlm2", "jais", "jamba", "jina-bert-v2", "jina-bert-v3", "lfm2",
    "lfm2moe", "llada", "llada-moe", "llama", "llama4", "mamba", "mamba2", "minicpm", "minicpm3", "minimax-m2",
    "mistral3", "mllama", "mpt", "nemotron", "nemotron_h", "nemotron_h_moe", "neo-bert", "nomic-bert",
    "nomic-bert-moe", "olmo", "olmo2", "olmo3", "olmoe", "openelm", "orion", "pangu-embedded", "phi2", "phi3",
    "phimoe", "plamo", "plamo2", "plm", "qwen", "qwen2", "qwen25vl", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe",
    "qwen3next", "qwen3vl", "qwen3vlmoe", "refact", "rnd1", "rwkv6", "rwkv6qwen2", "rwkv7", "seed_oss",
    "smallthinker", "smollm3", "solar", "stablelm", "starcoder", "starcoder2", "t5", "t5encoder", "wavtokenizer-dec",
    "xverse",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_of_a_known_release_are_told_apart() {
        assert!(V0_15_0.is_sorted());
        assert_eq!(loads("0.15.0", "gemma3"), Some(true));
        assert_eq!(loads("0.15.0", "gemma9"), Some(false));
        assert_eq!(loads("0.99.0", "gemma9"), None);
    }
}
