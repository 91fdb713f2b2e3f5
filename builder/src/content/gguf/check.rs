//! Which readable GGUF files Ollama could not use as a model, and what to do about it.
//! Reading the header is in `gguf.rs`.

use super::{Gguf, architectures, tensor};

/// Why `gguf` cannot be shipped, and the remedy; `chat` says that the manifest claims a chat model, `ollama` which release
/// of Ollama is in the same package.
pub(crate) fn refusal(gguf: &Gguf, chat: bool, ollama: Option<&str>) -> Option<(String, String)> {
    if gguf.shards > 1 {
        return Some((
            format!("is one of {} files of a split model, which Ollama does not load", gguf.shards),
            "join them first: llama-gguf-split --merge FIRST-FILE OUT.gguf".to_owned(),
        ));
    }
    if gguf.kind == "adapter" {
        return Some((
            "is a LoRA adapter, not a model".to_owned(),
            "merge it into its base model (llama-export-lora) and ship the result".to_owned(),
        ));
    }
    if is_projector(gguf) {
        return Some((
            "is the vision projector of a model, not a model".to_owned(),
            "ship the model itself, or take it from an ollama-registry source, which brings its projector".to_owned(),
        ));
    }
    if let Some(version) = ollama
        && architectures::loads(version, &gguf.architecture) == Some(false)
    {
        return Some((
            format!(
                "is a model of the architecture {:?}, which Ollama {version} in this package does not load",
                gguf.architecture
            ),
            "ship a release of Ollama that loads it (source.tag), or a model of another architecture".to_owned(),
        ));
    }
    if let Some(version) = ollama
        && let Some(kinds) = unloadable(gguf, version)
    {
        return Some((
            format!("has tensors of {kinds}, which Ollama {version} in this package does not load"),
            "ship a release of Ollama that loads it (source.tag), or the model in another quantisation".to_owned(),
        ));
    }
    if gguf.pooling && chat {
        return Some((
            "is an embedding model (it has a pooling_type), but the manifest gives it a template or a system message"
                .to_owned(),
            "remove `template` and `system`, or name a chat model".to_owned(),
        ));
    }
    None
}

/// What of `gguf` the newest release of Ollama that is known here does not load, where the package does not say which one
/// will; completes a sentence that starts with the model's name.
pub(crate) fn doubt(gguf: &Gguf, ollama: Option<&str>) -> Option<String> {
    let newest = architectures::NEWEST;
    if ollama.is_some_and(|version| architectures::loads(version, &gguf.architecture).is_some()) {
        return None;
    }
    let what = if architectures::loads(newest, &gguf.architecture) == Some(false) {
        format!("is a model of the architecture {:?}", gguf.architecture)
    } else {
        format!("has tensors of {}", unloadable(gguf, newest)?)
    };
    Some(format!(
        "{what}, which Ollama {newest}, the newest release known here, does not load: make sure that the Ollama on the target does"
    ))
}

/// The types of tensors that a release of Ollama does not load, in a sentence; `None` when it loads all, or is not known.
fn unloadable(gguf: &Gguf, version: &str) -> Option<String> {
    let strange = gguf
        .tensor_types
        .iter()
        .filter(|kind| architectures::loads_tensors(version, &gguf.architecture, **kind) == Some(false));
    let strange: Vec<String> = strange.map(|kind| tensor::name(*kind)).collect();
    (!strange.is_empty())
        .then(|| format!("the type{} {}", if strange.len() == 1 { "" } else { "s" }, strange.join(", ")))
}

fn is_projector(gguf: &Gguf) -> bool {
    ["projector", "mmproj"].contains(&gguf.kind.as_str())
        || gguf.architecture == "clip"
        || (gguf.blocks == 0 && gguf.vision_blocks > 0)
}
