//! The builder's command line: what was typed, nothing more.
//! What it leads to is in the files beside this one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use builder::fetch::{LockMode, Mirror, SourceSettings};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use payload::index::Arch;

use super::Failure;
use super::name::{name, own};

mod cache;
mod init;
mod pages;
mod volumes;

pub use cache::{CacheArgs, CacheCommand};
pub use init::InitArgs;
pub use pages::{CompletionsArgs, ExplainArgs, ManArgs};
pub use volumes::{ChunkArg, JoinArgs, LayoutArg, SplitArgs, VolumesArg};

/// What a manifest is called when nobody says another name.
const USUAL_MANIFEST: &str = "AirGapDeploy.toml";

/// Makes one self-extracting .run installer from a manifest, for machines without a network.
#[derive(Debug, Parser)]
#[command(
    name = name(),
    version,
    long_version = LONG_VERSION.as_str(),
    override_usage = own("builder [prep] [FILE] [OPTIONS]\n       builder <COMMAND>"),
    after_help = own("Exit codes: 0 done, 1 bug, 2 usage, 10 payload damaged, 11 not trusted, 12 format not readable, 22 out of disk space, \
24 volume missing, 40 manifest invalid, 41 not found, 42 checksum mismatch, 43 network, 44 output; builder explain CODE says more")
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// When messages are coloured
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Say more: what is read, chosen and placed; -vv: every request, path and blob, too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

impl Cli {
    /// The command line, with this program called what it is called here.
    pub fn shown() -> clap::Command {
        if name() == "builder" { Self::command() } else { renamed(Self::command()) }
    }

    /// Parses what was typed. `prep` may be left out: options at the beginning are its options, and without a word the
    /// manifest of the usual name is built.
    pub fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut arguments: Vec<OsString> = arguments.collect();
        let command = 1 + of_every_command(arguments.get(1..).unwrap_or_default());
        let first = arguments.get(command).and_then(|argument| argument.to_str());
        let own = ["-h", "--help", "-V", "--version"];
        let is_prep = match first {
            None => command >= arguments.len() && Path::new(USUAL_MANIFEST).is_file(),
            Some(first) if Self::shown().find_subcommand(first).is_some() || first == "help" => false,
            Some(first) if first.starts_with('-') => !own.contains(&first),
            Some(first) => first.contains(['.', '/']) || Path::new(first).is_file(),
        };
        if is_prep {
            arguments.insert(command, "prep".into());
        }
        let matches = Self::shown().try_get_matches_from(arguments);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).unwrap_or_else(|error| {
            let code = match error.print() {
                Err(problem) if problem.kind() != std::io::ErrorKind::BrokenPipe => 44,
                _ => error.exit_code(),
            };
            std::process::exit(code)
        })
    }
}

fn renamed(command: clap::Command) -> clap::Command {
    let in_argument = |argument: clap::Arg| match argument.get_help().map(|help| own(&help.to_string())) {
        Some(help) => argument.help(help),
        None => argument,
    };
    command.mut_args(in_argument).mut_subcommands(renamed)
}

/// How many words at the beginning are options of every command, which may stand in front of it.
fn of_every_command(arguments: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(argument) = arguments.get(count).and_then(|argument| argument.to_str()) {
        let of_verbose = argument.strip_prefix('-').filter(|letters| !letters.is_empty());
        count += match argument {
            "--color" => 2,
            "--verbose" => 1,
            _ if argument.starts_with("--color=") => 1,
            _ if of_verbose.is_some_and(|letters| letters.chars().all(|letter| letter == 'v')) => 1,
            _ => break,
        };
    }
    count.min(arguments.len())
}

/// What the builder does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a package; the word may be left out
    Prep(PrepArgs),
    /// List every mistake in a manifest; needs no network
    Check(CheckArgs),
    /// Write AirGapDeploy.lock: resolve and fetch everything, and pin it
    Lock(LockArgs),
    /// Show what is in a package, or in a GGUF model
    Inspect(FileArgs),
    /// Compare every byte of a package with its index, and its signature with a key
    Verify(VerifyArgs),
    /// Make a pair of keys that sign packages
    Keygen(KeygenArgs),
    /// Cut a package into volumes for several media
    Split(SplitArgs),
    /// Join the volumes of a package into one file
    Join(JoinArgs),
    /// Write a manifest to start from
    Init(InitArgs),
    /// List or clean the cache of downloads
    Cache(CacheArgs),
    /// Say what an exit code or an error means, what to look at, and what to do
    Explain(ExplainArgs),
    /// Print completions of this program's commands for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages below a directory
    Man(ManArgs),
}

/// Which manifest.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// The manifest; `-` reads it from standard input [default: AirGapDeploy.toml]
    #[arg(value_name = "FILE", conflicts_with = "manifest")]
    pub file: Option<PathBuf>,
    /// The same, as an option
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

impl ManifestArgs {
    /// What was named, else the file of the usual name.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        let named = self.file.as_ref().or(self.manifest.as_ref()).cloned();
        let usual = || Some(PathBuf::from(USUAL_MANIFEST)).filter(|path| path.is_file());
        named.or_else(usual).ok_or_else(|| {
            let hint = "name one: --manifest FILE; `builder init` writes one";
            Failure::new(2, format!("no manifest was named, and there is no {USUAL_MANIFEST} here"), hint)
        })
    }
}

/// The options of every command that fetches.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// Refuse any difference from AirGapDeploy.lock
    #[arg(long, conflicts_with = "update_lock")]
    pub locked: bool,
    /// Resolve everything again, show what changes, and write AirGapDeploy.lock
    #[arg(long)]
    pub update_lock: bool,
    /// Use the cache and local files only; make no request
    #[arg(long)]
    pub offline: bool,
    /// Fetch URLs that begin with FROM from TO instead (repeatable)
    #[arg(long = "mirror", value_name = "FROM=TO", value_parser = Mirror::parse)]
    pub mirrors: Vec<Mirror>,
    /// How many files to fetch at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    #[command(flatten)]
    pub cache: CacheDirArg,
}

impl SourceArgs {
    /// The same in the library's terms. A command that follows the lock file decides itself what it follows it for.
    pub fn settings(&self, follow: LockMode) -> SourceSettings {
        SourceSettings {
            lock_mode: match (self.locked, self.update_lock) {
                (true, _) => LockMode::Locked,
                (false, true) => LockMode::Update,
                (false, false) => follow,
            },
            offline: self.offline,
            mirrors: self.mirrors.clone(),
            jobs: usize::from(self.jobs),
            cache_dir: self.cache.cache_dir.clone(),
        }
    }
}

/// `--cache-dir`
#[derive(Debug, Clone, Default, Args)]
pub struct CacheDirArg {
    /// Keep downloads here instead of in the user's cache directory
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// How much is said.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// `builder --manifest FILE`
#[derive(Debug, Args)]
pub struct PrepArgs {
    #[command(flatten)]
    pub manifest: ManifestArgs,
    #[command(flatten)]
    pub include: IncludeArg,
    /// Where the package is written [default: <package.name>.run]
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Replace a file that is no package, or one for another architecture
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Sign the package with this secret key, of `builder keygen` or `minisign -G`
    #[arg(long, value_name = "FILE")]
    pub sign_key: Option<PathBuf>,
    /// Take the key's password from the first line of FILE instead of asking for it
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub password_file: Option<PathBuf>,
    /// What is written: the package alone, or also what Ansible needs, in ansible/ beside it
    #[arg(long, value_enum, default_value_t = FormatArg::Run)]
    pub format: FormatArg,
    #[command(flatten)]
    pub chunk: ChunkArg,
    /// Write a report to FILE: every source with its digest, what was built from them, and how it ended
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Leave out the page for those who approve the transfer (<package>.run.html)
    #[arg(long)]
    pub no_inventory: bool,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `--target`
#[derive(Debug, Clone, Copy, Args)]
pub struct TargetArgs {
    /// The architecture of the target
    #[arg(long, value_enum, default_value_t = TargetArg::X86_64)]
    target: TargetArg,
}

impl TargetArgs {
    pub fn arch(self) -> Arch {
        match self.target {
            TargetArg::X86_64 => Arch::X86_64,
            TargetArg::Aarch64 => Arch::Aarch64,
        }
    }
}

/// `--include`
#[derive(Debug, Args)]
pub struct IncludeArg {
    /// Put an optional component in (repeatable, or several with commas between them)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub include: Vec<String>,
}

/// `builder check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub manifest: ManifestArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    pub manifest: ManifestArgs,
    #[command(flatten)]
    pub include: IncludeArg,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// A finished package, or a model.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The package; `inspect` also takes a model: a .gguf file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub volumes: VolumesArg,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The package
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Refuse the package unless this key signed it: a .pub file (repeatable, any of them)
    #[arg(long = "trusted-key", value_name = "FILE")]
    pub trusted_keys: Vec<PathBuf>,
    #[command(flatten)]
    pub volumes: VolumesArg,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder keygen`
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Where the secret key is written; the public one gets the ending .pub. Neither is ever overwritten
    #[arg(value_name = "FILE", default_value = "airgap-deploy.key")]
    pub file: PathBuf,
    /// Take the password from the first line of FILE instead of asking for it
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    pub password_file: Option<PathBuf>,
    /// Make a secret key without a password
    #[arg(long)]
    pub no_password: bool,
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

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Run,
    Ansible,
}

/// The version, and what tells two builders of one version apart.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut lines = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        format!("commit {}", env!("AIRGAP_DEPLOY_COMMIT")),
        format!("target {}", env!("AIRGAP_DEPLOY_TARGET")),
    ];
    for arch in [Arch::X86_64, Arch::Aarch64] {
        if let Some(stub) = builder::stub(arch) {
            lines.push(format!("stub {arch} {}", payload::Digest::of(stub)));
        }
    }
    lines.join("\n")
});
