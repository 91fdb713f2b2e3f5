//! Which readable GGUF files Ollama could not use as a model, and what to do about it.
//! Reading the header is in `gguf.rs`.

use super::{Gguf, architectures, tensor};
use crate::manifest::PartRole;

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
            "name its base model as `source`, and this file as `adapter`".to_owned(),
        ));
    }
    if is_projector(gguf) {
        return Some((
            "is the vision projector of a model, not a model".to_owned(),
            "name the model as `source`, and this file as `projector`".to_owned(),
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

/// Why `gguf` cannot go with a model as what the manifest calls it.
pub(crate) fn part_refusal(gguf: &Gguf, role: PartRole) -> Option<(String, String)> {
    let (fits, what, remedy) = match role {
        PartRole::Adapter => (
            gguf.kind == "adapter",
            "LoRA adapter (its general.type is not \"adapter\")",
            "convert the adapter with llama.cpp's convert_lora_to_gguf.py; Ollama takes one that is GGUF as it is",
        ),
        PartRole::Projector => (
            is_projector(gguf),
            "vision projector",
            "take the file that comes beside the model, often called mmproj-….gguf; the model itself is `source`, or the \
             first FROM",
        ),
    };
    (!fits).then(|| (format!("is not a {what}"), remedy.to_owned()))
}

/// Why an adapter does not fit a model: it was made for another architecture.
pub(crate) fn other_base(adapter: &str, model: &str) -> Option<(String, String)> {
    (adapter != model).then(|| {
        (
            format!("is for models of the architecture {adapter:?}, and the model is of {model:?}"),
            "take the adapter that was trained on this model".to_owned(),
        )
    })
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
