//! The report of a build: what was fetched from where, and what was made of it, also when it failed. Version 1 of its form,
//! described in `docs/interface.md` and `docs/schemas/`. When it is written, and where, is the program's business.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use payload::{Digest, PublicKey, words_of_key};
use serde::Serialize;
use serde_json::{Value, json};

use crate::prep::Built;
use crate::progress::{Activity, Event, ItemId, ProgressSink};

/// What is known when a build begins.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// RFC 3339, in UTC.
    pub started: String,
    pub caller: Value,
    pub host: Value,
    pub builder: Value,
    pub manifest: Value,
    pub included: Vec<String>,
    pub target: String,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// RFC 3339, in UTC.
    pub ended: String,
    pub exit_code: u8,
    pub error: Option<Value>,
}

/// The report. While the build goes on, and after it was killed, `ended` and `exit_code` are `null`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    build_report: u32,
    #[serde(flatten)]
    call: &'a Call,
    ended: Option<&'a str>,
    exit_code: Option<u8>,
    error: Option<&'a Value>,
    sources: Vec<Value>,
    package: Option<Value>,
    lock: Option<Value>,
    warnings: Vec<String>,
}

/// What was fetched, gathered from the events of a build.
#[derive(Debug, Default)]
pub struct Sources(Mutex<BTreeMap<ItemId, Source>>);

#[derive(Debug, Clone, Default)]
struct Source {
    name: String,
    location: String,
    size: Option<u64>,
    digest: Option<Digest>,
    origin: Option<&'static str>,
}

/// Gathers sources, and hands every event on.
pub struct Watching<'a> {
    sources: &'a Sources,
    then: &'a dyn ProgressSink,
}

impl Sources {
    /// A sink that gathers, and hands on to `then`.
    pub fn watching<'a>(&'a self, then: &'a dyn ProgressSink) -> Watching<'a> {
        Watching { sources: self, then }
    }

    fn note(&self, event: &Event<'_>) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { item, name, location, size } => {
                let (name, location) = ((*name).to_owned(), (*location).to_owned());
                sources.insert(*item, Source { name, location, size: *size, ..Source::default() });
            }
            Event::Finished { item, name, size, digest, origin } => {
                let source = sources.entry(*item).or_default();
                (*name).clone_into(&mut source.name);
                source.size = Some(*size);
                source.digest = Some(*digest);
                source.origin = Some(origin.as_str());
            }
            // The package itself is no source.
            Event::Working { item, activity: Activity::Packing | Activity::Writing, .. } => drop(sources.remove(item)),
            _ => {}
        }
    }

    /// Of a finished build what its index says, and how each came here; else what the events told.
    fn to_json(&self, built: Option<&Built>) -> Vec<Value> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(built) = built else { return sources.values().map(Source::to_json).collect() };
        let origin =
            |digest| sources.values().find(|source| source.digest == Some(digest)).and_then(|source| source.origin);
        let components = built.index.components.iter();
        let all = components.flat_map(|component| component.sources.iter().map(move |source| (component, source)));
        all.map(|(component, source)| {
            json!({
                "component": component.name,
                "location": source.location,
                "size": source.size,
                "digest": source.digest.to_string(),
                "origin": origin(source.digest),
            })
        })
        .collect()
    }
}

impl Source {
    fn to_json(&self) -> Value {
        json!({
            "component": self.name,
            "location": self.location,
            "size": self.size,
            "digest": self.digest.map(|digest| digest.to_string()),
            "origin": self.origin,
        })
    }
}

impl ProgressSink for Watching<'_> {
    fn event(&self, event: &Event<'_>) {
        self.sources.note(event);
        self.then.event(event);
    }
}

/// The text of a report. Without an ending, the build has only begun.
pub fn report(call: &Call, sources: &Sources, built: Option<&Built>, ending: Option<&Ending>) -> Vec<u8> {
    let document = Document {
        build_report: 1,
        call,
        ended: ending.map(|ending| ending.ended.as_str()),
        exit_code: ending.map(|ending| ending.exit_code),
        error: ending.and_then(|ending| ending.error.as_ref()),
        sources: sources.to_json(built),
        package: built.map(package),
        lock: built.map(|built| json!({"path": built.lock_path.display().to_string(), "changes": built.lock_changes})),
        warnings: built.map(|built| built.warnings.clone()).unwrap_or_default(),
    };
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.lines().flat_map(|line| [payload::printable_json(line), "\n".to_owned()]).collect::<String>().into_bytes()
}

fn package(built: &Built) -> Value {
    json!({
        "name": built.index.package.name.as_str(),
        "version": built.index.package.version,
        "output": built.output.display().to_string(),
        "length": built.index.total_length,
        "digest": built.file_digest.to_string(),
        "index": built.digest.to_string(),
        "signature": built.key.as_ref().map(signature),
        "stub": built.index.build.stub.digest.to_string(),
        "beside": built.beside.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    })
}

fn signature(key: &PublicKey) -> Value {
    json!({"key_id": key.id().to_string(), "fingerprint": key.fingerprint().to_string(), "words": words_of_key(key)})
}
