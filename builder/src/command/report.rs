//! `builder --report FILE`: evidence of a build, also of one that fails or is killed.
//! What it says is the library's; here are the clock, the environment and this machine.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use builder::report::{Call, Ending, Sources, report};
use builder::{Built, output, read_manifest, sources_of};
use payload::Digest;
use payload::index::Arch;
use serde_json::{Value, json};

use super::Failure;
use super::cli::PrepArgs;

/// A report that is being kept.
pub struct Report {
    file: PathBuf,
    call: Call,
    pub sources: Sources,
}

impl Report {
    /// Begins it: it says from now on that the build was begun.
    pub fn begin(file: &Path, args: &PrepArgs) -> Result<Self, Failure> {
        let manifest = args.manifest.path()?;
        // A manifest with errors names no sources; these are told when it is built.
        let inputs = read_manifest_quietly(&manifest, args.target.arch());
        output::report::require_ours(file, &inputs).map_err(builder::BuildError::from)?;
        let report = Self { file: file.to_owned(), call: call(args, &manifest), sources: Sources::default() };
        report.write(None, None).map_err(|error| failure(&report.file, &error))?;
        Ok(report)
    }

    /// Ends it: it says how the build ended.
    pub fn end(&self, outcome: Result<Built, Failure>) -> Result<(), Failure> {
        let failure_of = outcome.as_ref().err();
        let ending = Ending {
            ended: now(),
            exit_code: failure_of.map_or(0, |failure| failure.exit_code),
            error: failure_of.map(Failure::to_json),
        };
        let written = self.write(outcome.as_ref().ok(), Some(&ending));
        match (outcome, written) {
            (outcome, Ok(())) => outcome.map(drop),
            (Ok(built), Err(error)) => {
                let mut failure = failure(&self.file, &error);
                failure.hint =
                    format!("{} is written and whole; free some space, then build again", built.output.display());
                Err(failure)
            }
            (Err(failure), Err(error)) => Err(failure.and_also(&format!("the report cannot be written: {error}"))),
        }
    }

    fn write(&self, built: Option<&Built>, ending: Option<&Ending>) -> Result<(), builder::BuildError> {
        Ok(output::report::write(&self.file, &report(&self.call, &self.sources, built, ending))?)
    }
}

fn failure(file: &Path, error: &builder::BuildError) -> Failure {
    let what = format!("the report was not written to {}: {error}", file.display());
    Failure::new(44, what, "name another file, in a directory that exists: --report FILE")
}

fn read_manifest_quietly(path: &Path, target: Arch) -> Vec<PathBuf> {
    // Standard input can be read once.
    if path == Path::new("-") {
        return Vec::new();
    }
    read_manifest(path, target).map_or_else(|_| vec![path.to_owned()], |parsed| sources_of(&parsed.manifest))
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn call(args: &PrepArgs, manifest: &Path) -> Call {
    let arch = args.target.arch();
    let digest = std::fs::read(manifest).ok().map(|bytes| Digest::of(&bytes).to_string());
    Call {
        started: now(),
        caller: json!({"uid": nix::unistd::getuid().as_raw(), "sudo_user": std::env::var("SUDO_USER").ok()}),
        host: host(),
        builder: json!({
            "version": env!("CARGO_PKG_VERSION"),
            "stub": builder::stub(arch).map(|stub| Digest::of(stub).to_string()),
        }),
        manifest: json!({"path": manifest.display().to_string(), "digest": digest}),
        included: args.include.include.clone(),
        target: arch.name().to_owned(),
    }
}

fn host() -> Value {
    let system = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    let name = nix::sys::utsname::uname().ok();
    let text = |pick: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| pick(name).to_string_lossy().into_owned())
    };
    json!({
        "name": text(|name| name.nodename()),
        "system": system,
        "kernel": text(|name| name.release()),
        "architecture": text(|name| name.machine()),
    })
}
