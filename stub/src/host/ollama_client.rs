//! What is asked of a running Ollama: whether it is there, and for a token of a model, with the times that took.
//! How the question gets there is in `proxy.rs`; who is asked when, in `apply/proof.rs`.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::http::{self, Answer, HttpError};
use super::proxy::Proxy;

/// Weights of a hundred gigabytes may come from a disk.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15 * 60);
const IS_THERE_WITHIN: Duration = Duration::from_secs(10);
/// A word that every model has heard.
const PROMPT: &str = "Hello";
/// Enough for a rate that means something.
const MEASURED: u32 = 8;

/// Why a model did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("{0}")]
    Http(#[from] HttpError),
    /// In Ollama's words.
    #[error("{0}")]
    Refused(String),
}

/// What a model that answered took for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performance {
    /// From the question to the first token, loading included.
    pub first: Duration,
    pub load: Duration,
    /// Tokens that were measured, and how long they took; `None` for a model that makes no text.
    pub rate: Option<(u64, Duration)>,
}

impl Performance {
    /// Tokens in a second.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let (tokens, took) = self.rate.filter(|(tokens, took)| *tokens > 0 && !took.is_zero())?;
        #[expect(clippy::cast_precision_loss, reason = "a few tokens")]
        let tokens = tokens as f64;
        Some(tokens / took.as_secs_f64())
    }
}

/// Ollama's words for times, in nanoseconds; its newer engine says less than nothing for the time of a single token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    error: String,
    done: bool,
    total_duration: f64,
    load_duration: f64,
    eval_count: u64,
    eval_duration: f64,
    embeddings: Vec<serde::de::IgnoredAny>,
}

/// The version of the server, when it is there.
///
/// # Errors
/// It does not answer, or is no Ollama.
pub fn version(proxy: &Proxy) -> Result<String, Silence> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let stream = proxy.connect().map_err(|error| HttpError::Io(error.to_string()))?;
    let answer = http::ask(stream, "GET", "/api/version", "", Instant::now() + IS_THERE_WITHIN)?;
    let version = serde_json::from_slice(&answer.body);
    version.map(|found: Version| found.version).map_err(|_| Silence::Refused(no_ollama(&answer)))
}

/// Asks a model for one token, and then for a few more whose rate is measured.
///
/// # Errors
/// It does not answer.
pub fn ask(proxy: &Proxy, model: &str) -> Result<Performance, Silence> {
    let first = match generate(proxy, model, 1) {
        Err(Silence::Refused(why)) if why.contains("does not support generate") => return embed(proxy, model),
        other => other?,
    };
    let mut performance = performance(&first);
    // The model has answered: that it may end before more tokens is its right.
    let more = match generate(proxy, model, MEASURED) {
        Err(Silence::Http(HttpError::Interrupted)) => return Err(HttpError::Interrupted.into()),
        Err(_) => return Ok(performance),
        Ok(more) => more,
    };
    performance.rate = Some((more.eval_count, nanoseconds(more.eval_duration)));
    Ok(performance)
}

fn nanoseconds(told: f64) -> Duration {
    Duration::try_from_secs_f64(told / 1e9).unwrap_or_default()
}

fn performance(told: &Told) -> Performance {
    Performance { first: nanoseconds(told.total_duration), load: nanoseconds(told.load_duration), rate: None }
}

fn generate(proxy: &Proxy, model: &str, tokens: u32) -> Result<Told, Silence> {
    let options = json!({"num_predict": tokens, "temperature": 0, "seed": 1});
    let request = json!({"model": model, "prompt": PROMPT, "stream": false, "options": options});
    let told = post(proxy, "/api/generate", &request)?;
    if told.done && told.eval_count > 0 {
        return Ok(told);
    }
    Err(Silence::Refused("it answered without a token".to_owned()))
}

/// A model of embeddings has numbers in the place of text.
fn embed(proxy: &Proxy, model: &str) -> Result<Performance, Silence> {
    let told = post(proxy, "/api/embed", &json!({"model": model, "input": PROMPT}))?;
    if told.embeddings.is_empty() {
        return Err(Silence::Refused("it answered without an embedding".to_owned()));
    }
    Ok(performance(&told))
}

fn post(proxy: &Proxy, path: &str, request: &serde_json::Value) -> Result<Told, Silence> {
    let stream = proxy.connect().map_err(|error| HttpError::Io(error.to_string()))?;
    read(&http::ask(stream, "POST", path, &request.to_string(), Instant::now() + ANSWERS_WITHIN)?)
}

fn read(answer: &Answer) -> Result<Told, Silence> {
    let Ok(told) = serde_json::from_slice::<Told>(&answer.body) else {
        return Err(Silence::Refused(no_ollama(answer)));
    };
    match (answer.status, told.error.is_empty()) {
        (200, true) => Ok(told),
        (status, true) => Err(Silence::Refused(format!("HTTP status {status}"))),
        (_, false) => Err(Silence::Refused(payload::printable(&told.error))),
    }
}

fn no_ollama(answer: &Answer) -> String {
    format!("what answers there is no Ollama (HTTP status {})", answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn times_are_read_from_an_answer_and_errors_in_its_own_words() {
        let body = r#"{"model":"m","response":"Hi","done":true,"context":[1,2],"total_duration":3000000000,
            "load_duration":2500000000,"prompt_eval_count":4,"eval_count":8,"eval_duration":500000000}"#;
        let told = read(&answer(200, body)).unwrap();
        let measured =
            Performance { rate: Some((told.eval_count, nanoseconds(told.eval_duration))), ..performance(&told) };
        assert_eq!((measured.first.as_secs(), measured.load.as_millis()), (3, 2500));
        assert_eq!(measured.tokens_per_second(), Some(16.0));
        let body = r#"{"done":true,"eval_count":1,"eval_duration":-12,"total_duration":5}"#;
        assert_eq!(nanoseconds(read(&answer(200, body)).unwrap().eval_duration), Duration::ZERO);
        let refused = read(&answer(404, r#"{"error":"model 'm' not \u001b[31mfound"}"#)).unwrap_err();
        assert_eq!(refused.to_string(), r"model 'm' not \u{1b}[31mfound");
        assert!(read(&answer(200, "<html>")).unwrap_err().to_string().contains("no Ollama"));
        assert!(read(&answer(500, "{}")).unwrap_err().to_string().contains("500"));
    }

    #[test]
    fn no_rate_is_made_of_nothing() {
        let none = Performance { first: Duration::ZERO, load: Duration::ZERO, rate: Some((1, Duration::ZERO)) };
        assert_eq!(none.tokens_per_second(), None);
    }
}
