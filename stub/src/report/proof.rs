//! What a model's answer took, for people and for programs.
//! How it was asked is in `host/ollama_client.rs`.

use payload::printable;
use serde_json::{Value, json};

use crate::host::ollama_client::Performance;

/// `llama2-7b:latest answers: loaded in 3.2 s, first token after 3.4 s, 12.5 tokens/s`
pub fn line(model: &str, performance: &Performance) -> String {
    let (load, first) = (performance.load.as_secs_f64(), performance.first.as_secs_f64());
    let rate = performance.tokens_per_second().map_or_else(String::new, |rate| format!(", {rate:.1} tokens/s"));
    format!("{} answers: loaded in {load:.2} s, first token after {first:.2} s{rate}", printable(model))
}

/// The same, in seconds.
pub fn json(model: &str, performance: &Performance) -> Value {
    json!({
        "model": model,
        "load_seconds": performance.load.as_secs_f64(),
        "first_token_seconds": performance.first.as_secs_f64(),
        "tokens": performance.rate.map(|(tokens, _)| tokens),
        "tokens_per_second": performance.tokens_per_second(),
    })
}
