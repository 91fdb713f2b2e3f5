//! The parameters of a model: stop words that come with a template, overridden by what the manifest says.
//! What each parameter does is Ollama's business.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::json;

/// The parameters that Ollama knows.
const KNOWN: [&str; 19] = [
    "frequency_penalty",
    "main_gpu",
    "min_p",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_predict",
    "num_thread",
    "presence_penalty",
    "repeat_last_n",
    "repeat_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "use_mmap",
];

/// The params blob with the newline at its end, `None` without any parameter; and a warning for each unknown one.
pub(super) fn merged(stop: &[&str], given: Option<&Map<String, Value>>) -> (Option<Vec<u8>>, Vec<String>) {
    let mut params = BTreeMap::new();
    if !stop.is_empty() {
        params.insert("stop", Value::from(stop));
    }
    for (name, value) in given.into_iter().flatten() {
        params.insert(name, listed(name, value));
    }
    let unknown = params.keys().filter(|name| !KNOWN.contains(name)).map(|name| warning(name)).collect();
    if params.is_empty() {
        return (None, unknown);
    }
    let fields: Vec<(&str, String)> = params.iter().map(|(name, value)| (*name, json::value(value))).collect();
    (Some((json::object(&fields) + "\n").into_bytes()), unknown)
}

/// Ollama takes stop words only as a list.
fn listed(name: &str, value: &Value) -> Value {
    if name == "stop" && value.is_string() { Value::Array(vec![value.clone()]) } else { value.clone() }
}

fn warning(name: &str) -> String {
    let near = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    let advice = match near {
        Some((distance, known)) if distance <= 3 => format!("; did you mean {known:?}?"),
        _ => format!("; it knows {}", KNOWN.join(", ")),
    };
    format!("has a parameter {name:?} in params that Ollama does not know{advice}")
}
