//! The builder's command line: what was typed, nothing more.
//! What it leads to is in `command.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use builder::fetch::{CacheCommand, CacheDirArg, SourceArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Makes one self-extracting .run installer from a manifest, for machines without a network.
#[derive(Debug, Parser)]
#[command(
    name = "builder",
    version,
    override_usage = "builder [prep] --manifest FILE [OPTIONS]\n       builder <COMMAND>",
    after_help = "Exit codes: 0 done, 1 bug, 2 usage, 10 payload damaged, 12 format not readable, 22 out of disk space, \
40 manifest invalid, 41 not found, 42 checksum mismatch, 43 network, 44 output"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses what was typed. `prep` may be left out: options at the beginning are its options.
    pub fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut arguments: Vec<OsString> = arguments.collect();
        let first = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default();
        let own = ["-h", "--help", "-V", "--version"];
        if first.starts_with('-') && !own.contains(&first) {
            arguments.insert(1, "prep".into());
        }
        Self::parse_from(arguments)
    }
}

/// What the builder does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a package; the word may be left out
    Prep(PrepArgs),
    /// Say everything that is wrong with a manifest; makes no request
    Check(CheckArgs),
    /// Write AirGapDeploy.lock: resolve and fetch everything, and pin it
    Lock(LockArgs),
    /// Show what a package states about itself
    Inspect(FileArgs),
    /// Compare every byte of a package with its index
    Verify(FileArgs),
    /// Write a manifest to start from
    Init(InitArgs),
    /// Look after the cache of downloads
    Cache(CacheArgs),
}

/// How much is said.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Say only what went wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long)]
    pub verbose: bool,
}

/// `builder --manifest FILE`
#[derive(Debug, Args)]
pub struct PrepArgs {
    /// The manifest
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Put an optional component in (repeatable)
    #[arg(long, value_name = "NAME")]
    pub include: Vec<String>,
    /// Where the package is written [default: <package.name>.run]
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// The architecture of the target
    #[arg(long, value_enum, default_value_t = TargetArg::X86_64)]
    pub target: TargetArg,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The manifest
    #[arg(value_name = "FILE", required_unless_present = "manifest", conflicts_with = "manifest")]
    pub file: Option<PathBuf>,
    /// The same, written as for a build
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The manifest
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// A finished package.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The package
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// What kind of manifest: full (Ollama and a model) or update (one more model)
    #[arg(value_name = "KIND", default_value = "full")]
    pub kind: builder::manifest::init::Kind,
    /// Where it is written; an existing file is never overwritten
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
    #[command(flatten)]
    pub directory: CacheDirArg,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// Architectures of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetArg {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}
