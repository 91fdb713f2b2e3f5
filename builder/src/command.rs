//! What each command of the builder does: one function for each, from what was typed to what is printed.
//! The stages themselves are in the library.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use builder::fetch::{
    CacheCommand, EntryKind, LockMode, SourceArgs, SourceEnvironment, SourceOptions, acquire, cache_list, cache_prune,
};
use builder::manifest::{Parsed, select};
use builder::output::inspect;
use builder::progress::{Bars, JsonLines, Lines, ProgressSink, Silent};
use builder::{BuildError, Request, check, payload_exit_code, prep, read_manifest};
use indicatif::ProgressDrawTarget;
use payload::index::Arch;
use serde_json::json;

use crate::cli::{CacheArgs, CheckArgs, Cli, Command, FileArgs, InitArgs, LockArgs, OutputArgs, PrepArgs, TargetArg};

/// Why a command failed, ready to be printed.
pub struct Failure {
    pub exit_code: u8,
    pub what: String,
    pub hint: String,
    pub details: serde_json::Value,
}

impl Failure {
    fn new(exit_code: u8, what: String, hint: impl Into<String>) -> Self {
        Self { exit_code, what, hint: hint.into(), details: serde_json::Value::Null }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let mut failure = Self::new(error.exit_code(), error.to_string(), error.hint());
        if let BuildError::Manifest(errors) = &error {
            failure.what = format!("{}\n{error}", errors.render(colour()).trim_end());
            failure.details = json!(errors.findings());
        }
        failure
    }
}

/// Colours go to a terminal that wants them (<https://no-color.org>).
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Does what was asked for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Prep(args) => build(&args),
        Command::Check(args) => check_manifest(&args),
        Command::Lock(args) => lock(&args),
        Command::Inspect(args) => inspect_package(&args),
        Command::Verify(args) => verify(&args),
        Command::Init(args) => init(&args),
        Command::Cache(args) => cache(&args),
    }
}

fn say(out: OutputArgs, line: &str) {
    if !out.quiet && !out.json {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

fn warn(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn print_json(value: &serde_json::Value) {
    let _ = writeln!(std::io::stdout().lock(), "{value}");
}

fn sink(out: OutputArgs) -> Box<dyn ProgressSink> {
    if out.quiet {
        Box::new(Silent)
    } else if out.json {
        Box::new(JsonLines::new(std::io::stdout()))
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::new(ProgressDrawTarget::stderr()))
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

fn manifest_with_warnings(path: &Path, out: OutputArgs) -> Result<Parsed, BuildError> {
    let parsed = read_manifest(path)?;
    if !out.quiet {
        let warnings = parsed.render_warnings(colour());
        if !warnings.is_empty() {
            warn(warnings.trim_end());
        }
    }
    Ok(parsed)
}

fn source_options(args: &SourceArgs) -> Result<SourceOptions, BuildError> {
    let environment = SourceEnvironment::from_vars(|name| std::env::var(name).ok());
    Ok(SourceOptions::new(args, &environment)?)
}

fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

fn build(args: &PrepArgs) -> Result<(), Failure> {
    let parsed = manifest_with_warnings(&args.manifest, args.out)?;
    let options = source_options(&args.source)?;
    let request = Request {
        manifest: &args.manifest,
        include: &args.include,
        output: args.output.clone(),
        arch: match args.target {
            TargetArg::X86_64 => Arch::X86_64,
            TargetArg::Aarch64 => Arch::Aarch64,
        },
        threads: threads(),
    };
    let sink = sink(args.out);
    let built = prep(&request, &parsed.manifest, &options, sink.as_ref())?;
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
            "warnings": built.warnings,
        }));
    }
    say(args.out, &format!("wrote {} ({} bytes)", built.output.display(), built.index.total_length));
    say(args.out, &format!("index {}", built.digest));
    let name = built.output.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    say(args.out, &format!("next: copy it to the target, then ./{name} --dry-run and sudo ./{name} --install"));
    Ok(())
}

fn lock_changes(changes: &[String], path: &Path, out: OutputArgs) {
    if changes.is_empty() {
        return;
    }
    say(out, &format!("{} changed:", path.display()));
    for change in changes {
        say(out, &format!("  {}", payload::printable(change)));
    }
}

fn check_manifest(args: &CheckArgs) -> Result<(), Failure> {
    let path = args.file.as_ref().or(args.manifest.as_ref()).cloned().unwrap_or_default();
    let parsed = manifest_with_warnings(&path, args.out)?;
    let findings = check(&parsed.manifest);
    if args.out.json {
        print_json(&json!({"check": 1, "warnings": parsed.warning_findings(), "findings": findings}));
    }
    if findings.is_empty() {
        say(args.out, &format!("{}: nothing is wrong with it", path.display()));
        return Ok(());
    }
    let what = format!("{}:\n  {}", path.display(), findings.join("\n  "));
    Err(Failure::new(40, what, "correct the manifest, then check it again"))
}

fn lock(args: &LockArgs) -> Result<(), Failure> {
    let parsed = manifest_with_warnings(&args.manifest, args.out)?;
    let mut options = source_options(&args.source)?;
    if options.lock_mode == LockMode::Follow {
        options.lock_mode = LockMode::Record;
    }
    let manifest = &parsed.manifest;
    let everything: Vec<String> = manifest.components.iter().map(|component| component.name.clone()).collect();
    let optional: Vec<String> = everything
        .into_iter()
        .filter(|name| manifest.components.iter().any(|component| component.name == *name && !component.required))
        .collect();
    let components = select(manifest, &optional).map_err(BuildError::from)?;
    let sink = sink(args.out);
    let acquisition = acquire(manifest, &components, &options, sink.as_ref()).map_err(BuildError::from)?;
    drop(sink);
    if args.out.json {
        print_json(
            &json!({"lock": 1, "path": acquisition.lock_path.display().to_string(), "changes": acquisition.lock_changes}),
        );
    }
    if acquisition.lock_changes.is_empty() {
        say(args.out, &format!("{}: nothing changed", acquisition.lock_path.display()));
    }
    lock_changes(&acquisition.lock_changes, &acquisition.lock_path, args.out);
    Ok(())
}

fn open(path: &Path) -> Result<payload::Package, Failure> {
    inspect::open(path).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &payload::PayloadError) -> Failure {
    let hint = "build it again, or copy it again from where it was built";
    Failure::new(payload_exit_code(error), format!("{}: {error}", path.display()), hint)
}

fn inspect_package(args: &FileArgs) -> Result<(), Failure> {
    let package = open(&args.file)?;
    if args.out.json {
        let index = serde_json::from_slice(package.index_json()).unwrap_or(serde_json::Value::Null);
        print_json(&index);
    } else {
        for line in inspect::describe(&package) {
            say(args.out, &line);
        }
    }
    Ok(())
}

fn verify(args: &FileArgs) -> Result<(), Failure> {
    let package = open(&args.file)?;
    package.verify(threads() as usize, &|_| ()).map_err(|error| damaged(&args.file, &error))?;
    if args.out.json {
        let length = package.index().total_length;
        print_json(&json!({"verify": 1, "index": package.digest().to_string(), "length": length, "signed": false}));
    }
    say(args.out, &format!("{}: every byte is as it was packed", args.file.display()));
    say(args.out, &format!("index {}", package.digest()));
    Ok(())
}

fn init(args: &InitArgs) -> Result<(), Failure> {
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(args.kind.file_name()));
    let failed = |error: std::io::Error| {
        let hint = "name another file: --output PATH";
        Failure::new(44, format!("cannot write {}: {error}", path.display()), hint)
    };
    let mut file = std::fs::File::options().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(builder::manifest::init::init_text(args.kind).as_bytes()).map_err(failed)?;
    say(args.out, &format!("wrote {}", path.display()));
    say(args.out, &format!("next: edit it, then builder check {0} and builder --manifest {0}", path.display()));
    Ok(())
}

fn cache(args: &CacheArgs) -> Result<(), Failure> {
    let environment = SourceEnvironment::from_vars(|name| std::env::var(name).ok());
    let directory = environment.cache_dir(&args.directory).map_err(BuildError::from)?;
    match &args.command {
        CacheCommand::List => list_cache(&directory, args.out),
        CacheCommand::Prune(prune) => {
            let report = cache_prune(&directory, prune, SystemTime::now())
                .map_err(|error| Failure::new(error.exit_code(), error.to_string(), error.hint()))?;
            if args.out.json {
                print_json(&json!({"removed": report.removed, "freed": report.freed, "kept": report.kept}));
            }
            say(args.out, &format!("removed {}, freed {} bytes, kept {}", report.removed, report.freed, report.kept));
            Ok(())
        }
    }
}

fn list_cache(directory: &Path, out: OutputArgs) -> Result<(), Failure> {
    for entry in cache_list(directory).map_err(BuildError::from)? {
        let (digest, name) = match entry.kind {
            EntryKind::Object { digest, name, url } => (digest.to_string(), name.or(url).unwrap_or_default()),
            EntryKind::Unfinished => ("unfinished".to_owned(), String::new()),
        };
        if out.json {
            print_json(&json!({"digest": digest, "size": entry.size, "name": name}));
        }
        say(out, &format!("{digest} {:>14} {}", entry.size, payload::printable(&name)));
    }
    Ok(())
}
