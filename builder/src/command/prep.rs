//! `builder --manifest FILE`: builds a package, and says what was built.
//! Building itself is the library's `prep`.

use std::path::Path;

use builder::fetch::LockMode;
use builder::signing::Signer;
use builder::{Built, Format, Request, prep};
use payload::words_of_key;
use serde_json::json;

use super::cli::{FormatArg, OutputArgs, PrepArgs};
use super::output::{manifest_with_warnings, print_json, say, sink, typed, warn};
use super::report::Report;
use super::volumes::warn_of_four_gib;
use super::{Failure, password, source_options, threads};

pub fn prep_package(args: &PrepArgs) -> Result<(), Failure> {
    let Some(file) = &args.report else { return build(args, None).map(drop) };
    let report = Report::begin(file, args)?;
    let outcome = build(args, Some(&report));
    report.end(outcome)
}

fn build(args: &PrepArgs, report: Option<&Report>) -> Result<Built, Failure> {
    if let Some(size) = args.chunk.chunk_size {
        warn_of_four_gib(size, args.out);
    }
    let manifest = args.manifest.path()?;
    let parsed = manifest_with_warnings(&manifest, args.target.arch(), args.out)?;
    let options = source_options(&args.source, LockMode::Follow)?;
    let signer = match &args.sign_key {
        Some(key) => Some(Signer::read(key, || password::existing(key, args.password_file.as_deref()))?),
        None => None,
    };
    let request = Request {
        manifest: &manifest,
        include: &args.include.include,
        output: args.output.clone(),
        force: args.force,
        threads: threads(),
        signer: signer.as_ref(),
        format: match args.format {
            FormatArg::Run => Format::Run,
            FormatArg::Ansible => Format::Ansible,
        },
        inventory: !args.no_inventory,
        chunk_size: args.chunk.chunk_size,
    };
    let sink = sink(args.out);
    let built = match report {
        Some(report) => prep(&request, &parsed.manifest, &options, &report.sources.watching(sink.as_ref())),
        None => prep(&request, &parsed.manifest, &options, sink.as_ref()),
    }?;
    drop(sink);
    if !args.out.quiet {
        for warning in &built.warnings {
            warn(&format!("warning: {}", payload::printable(warning)));
        }
    }
    lock_changes(&built.lock_changes, &built.lock_path, args.out);
    if args.out.json {
        print_json(&json!({
            "built": 1,
            "output": built.output.display().to_string(),
            "length": built.index.total_length,
            "index": built.digest.to_string(),
            "volumes": built.volumes.iter().map(|volume| json!({
                "path": volume.path.display().to_string(), "length": volume.length, "digest": volume.digest.to_string(),
            })).collect::<Vec<_>>(),
            "digest": built.file_digest.to_string(),
            "signature": signature_json(signer.as_ref()),
            "beside": built.beside.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "warnings": built.warnings,
        }));
    }
    say(args.out, &format!("wrote {} ({})", built.output.display(), payload::size(built.index.total_length)));
    say(args.out, &format!("index {}", built.digest));
    for (position, volume) in built.volumes.iter().enumerate().skip(1) {
        let (count, size) = (built.volumes.len(), payload::size(volume.length));
        say(args.out, &format!("wrote {} (volume {} of {count}, {size})", volume.path.display(), position + 1));
    }
    match &signer {
        Some(signer) => {
            say(args.out, &format!("signed by key {}: {}", signer.public().id(), words_of_key(signer.public())));
        }
        None => say(args.out, "not signed: --sign-key FILE signs it"),
    }
    for path in &built.beside {
        say(args.out, &format!("wrote {}", path.display()));
    }
    let name = built.output.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = typed(&format!("./{name}"));
    let them = if built.volumes.len() == 1 { "it" } else { "all volumes" };
    say(args.out, &format!("next: copy {them} to the target, then {name} --dry-run and sudo {name} --install"));
    Ok(built)
}

fn signature_json(signer: Option<&Signer>) -> Option<serde_json::Value> {
    let key = signer?.public();
    Some(
        json!({"key_id": key.id().to_string(), "fingerprint": key.fingerprint().to_string(), "words": words_of_key(key)}),
    )
}

pub(super) fn lock_changes(changes: &[String], path: &Path, out: OutputArgs) {
    if changes.is_empty() {
        return;
    }
    say(out, &format!("{} changed:", path.display()));
    for change in changes {
        say(out, &format!("  {}", payload::printable(change)));
    }
}
