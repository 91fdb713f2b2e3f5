//! `builder inspect` and `builder verify`: what a finished package or a model file states, and whether every byte is right.
//! The reader is that of the stub, in the crate `payload`.

use std::path::{Path, PathBuf};

use builder::output::inspect;
use builder::output::model::{self, ModelError};
use builder::output::terms::terms;
use builder::payload_exit_code;
use payload::{Index, PayloadError, Signature, Trust, words_of_digest, words_of_key};
use serde_json::{Value, json};

use super::cli::{FileArgs, VerifyArgs};
use super::output::{print_json, say};
use super::{Failure, threads};

pub(super) fn open(path: &Path, volumes: &[PathBuf], trust: &Trust) -> Result<payload::Package, Failure> {
    inspect::open(path, volumes, trust).map_err(|error| match &error {
        PayloadError::Read { source, .. } => {
            let code = if source.kind() == std::io::ErrorKind::NotFound { 41 } else { 44 };
            Failure::new(code, format!("cannot read {}: {source}", path.display()), "name a package: a .run file")
        }
        error => damaged(path, error),
    })
}

fn damaged(path: &Path, error: &payload::PayloadError) -> Failure {
    let hint = match error {
        PayloadError::NoPayload(_) => "name a package: a .run file that the builder made",
        PayloadError::Format(_) => "use the version of the builder that made it",
        PayloadError::NotTrusted(_) => "do not install it; ask its sender for a package that this key signed",
        PayloadError::Missing { .. } => {
            "put them beside the first volume, or name the directory of each: --volumes DIR; if there is only one file, it was cut off: copy it again"
        }
        PayloadError::Volume { .. } => "copy that volume again from where it was built",
        PayloadError::Volumes(_) if !error.missing().is_empty() => {
            "copy the damaged ones again from where it was built, and name the directories of the missing ones: --volumes DIR"
        }
        PayloadError::Volumes(_) => "copy these volumes again from where it was built",
        _ => "build it again, or copy it again from where it was built",
    };
    Failure::new(payload_exit_code(error), format!("{}: {error}", path.display()), hint)
}

/// Says what a model file states; false when it is none.
fn inspect_model(args: &FileArgs) -> Result<bool, Failure> {
    let facts = match model::model(&args.file) {
        Ok(Some(facts)) => facts,
        // Opening it as a package says what is wrong with it.
        Ok(None) | Err(ModelError::Read(_)) => return Ok(false),
        Err(ModelError::Refused { problem, remedy }) => {
            return Err(Failure::new(40, format!("{} {problem}", args.file.display()), remedy));
        }
    };
    if args.out.json {
        print_json(&json!({"inspect_model": 1, "model": facts}));
    } else {
        for line in model::describe(&facts) {
            say(args.out, &line);
        }
    }
    Ok(true)
}

pub fn inspect_package(args: &FileArgs) -> Result<(), Failure> {
    if inspect_model(args)? {
        return Ok(());
    }
    let package = open(&args.file, &args.volumes.volumes, &Trust::nobody())?;
    let terms = terms(&package).map_err(|error| damaged(&args.file, &error))?;
    if args.out.json {
        let json = package.index_json().map_err(|error| damaged(&args.file, &error))?;
        let mut index: Value = serde_json::from_slice(&json).unwrap_or(Value::Null);
        index["licenses"] = json!(terms);
        print_json(&index);
    } else {
        for line in inspect::describe(&package, &terms, log::log_enabled!(log::Level::Info)) {
            say(args.out, &line);
        }
    }
    Ok(())
}

pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let mut trust = Trust::nobody();
    for path in &args.trusted_keys {
        let key = inspect::public_key(path).map_err(|error| {
            let code = if error.kind() == std::io::ErrorKind::NotFound { 41 } else { 11 };
            let hint = "name the .pub file that `builder keygen` or `minisign -G` wrote";
            Failure::new(code, format!("cannot use {}: {error}", path.display()), hint)
        })?;
        trust.trusted.push(key);
    }
    let package = open(&args.file, &args.volumes.volumes, &trust)?;
    for document in &package.index().documents {
        log::debug!("document {}: {}, {}", document.name, payload::size(document.size), document.digest);
    }
    let wrong = |error| damaged(&args.file, &package.narrow(error));
    let complete = package.require_stub().and_then(|()| package.verify(threads() as usize, payload::Watch::nobody()));
    complete.map_err(wrong)?;
    tell(package.index());
    let signature = package.signature();
    if args.out.json {
        print_json(&json!({
            "verify": 1,
            "index": package.digest().to_string(),
            "length": package.index().total_length,
            "signed": *signature != Signature::Unsigned,
            "signature": signature_json(signature),
        }));
    }
    say(args.out, &format!("{}: every byte is as it was packed", args.file.display()));
    say(args.out, &format!("index {}", package.digest()));
    say(args.out, &format!("in words {}", words_of_digest(package.digest())));
    say(args.out, &signature.sentence());
    if let Signature::Trusted { key, .. } = signature {
        say(args.out, &format!("key {}: {}", key.id(), words_of_key(key)));
    }
    Ok(())
}

/// What `-v` shows of what was compared.
fn tell(index: &Index) {
    let chunks: usize = index.blobs.iter().map(|blob| blob.chunks.len()).sum();
    let (stub, blobs, documents) = (index.build.stub.digest, index.blobs.len(), index.documents.len());
    log::info!("SHA-256: {}", payload::sha256_implementation());
    log::info!("compared: the stub ({stub}), the index, {documents} documents, {chunks} chunks of {blobs} blobs");
    for blob in &index.blobs {
        log::debug!("blob {}: {} in {} chunks", blob.digest, payload::size(blob.size), blob.chunks.len());
    }
}

/// What is known about a signature.
fn signature_json(signature: &Signature) -> Value {
    let key = match signature {
        Signature::Trusted { key, .. } => Some(key),
        _ => None,
    };
    json!({
        "state": signature.name(),
        "key_id": signature.key_id().map(|id| id.to_string()),
        "fingerprint": key.map(|key| key.fingerprint().to_string()),
    })
}
