//! The command line: what was typed, nothing more.
//! What it leads to is in `run.rs`.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};
use payload::index::PackageName;

/// Actions without a plan. That an option requires another is not enforced where the other conflicts with the action.
const NO_PLAN: [&str; 10] =
    ["verify", "list", "extract", "status", "recover", "uninstall", "version", "explain", "list_installed", "history"];
const NO_UNINSTALL: [&str; 10] =
    ["install", "verify", "list", "extract", "status", "recover", "version", "explain", "list_installed", "history"];
const NO_DRY_RUN: [&str; 9] =
    ["install", "verify", "list", "extract", "status", "version", "explain", "list_installed", "history"];
/// Actions that are not about a package that is installed already.
const NO_NAME: [&str; 7] = ["install", "verify", "list", "extract", "version", "explain", "list_installed"];

const NO_REPORT: [&str; 6] = ["list", "extract", "version", "explain", "list_installed", "history"];

#[expect(clippy::struct_excessive_bools, reason = "a command line is a set of switches")]
/// Installs what is appended to this program: shows it first, verifies every byte, can undo it.
#[derive(Debug, Parser)]
#[command(
    disable_version_flag = true,
    // The name of a file is long: clap breaks no line of its usage.
    help_template = "{about-with-newline}\n{usage-heading}\n  {usage}\n\n{all-args}{after-help}",
    group = ArgGroup::new("action").multiple(false),
    group = ArgGroup::new("of_installed").multiple(true).args(["status", "recover", "uninstall", "history"]),
    group = ArgGroup::new("reported").multiple(true)
        .args(["install", "dry_run", "uninstall", "recover", "verify", "status"]),
    group = ArgGroup::new("planning").multiple(false).args(["install", "dry_run"]),
    after_help = "Exit codes: 0 done, 1 bug, 2 usage, 10 payload damaged, 11 not trusted, 12 format not readable, \
20 permission denied, 21 incompatible host, 22 out of disk space, 23 conflict, 24 volume missing, 30 failed and rolled back, \
31 failed and rollback incomplete, 32 uninstall left something, 33 service failed to start, 41 not found, 44 output, 130 interrupted"
)]
pub struct Args {
    /// Show what --install would do and change nothing; needs no root. Also with --uninstall and --recover
    #[arg(long, conflicts_with_all = NO_DRY_RUN)]
    pub dry_run: bool,
    /// Verify everything and install it
    #[arg(long, group = "action")]
    pub install: bool,
    /// Compare every byte of this file with its index
    #[arg(long, group = "action")]
    pub verify: bool,
    /// List the files of the package
    #[arg(long, group = "action")]
    pub list: bool,
    /// Write the files of the package below DIR, without installing them
    #[arg(long, group = "action", value_name = "DIR")]
    pub extract: Option<PathBuf>,
    /// Compare what is installed with the receipt
    #[arg(long, group = "action")]
    pub status: bool,
    /// Go back to the state before an installation that was interrupted
    #[arg(long, group = "action")]
    pub recover: bool,
    /// Remove what was installed and is unchanged
    #[arg(long, group = "action")]
    pub uninstall: bool,
    /// List the packages that are installed
    #[arg(long, group = "action")]
    pub list_installed: bool,
    /// Show what was done with packages on this machine, when and by whom; with PACKAGE, of that one alone
    #[arg(long, group = "action")]
    pub history: bool,
    /// Say what an exit code or an error means, what to look at, and what to do
    #[arg(long, group = "action", value_name = "CODE")]
    pub explain: Option<String>,

    /// Say which package this is, and which installer
    #[arg(short = 'V', long, group = "action")]
    pub version: bool,

    /// The package that --status, --uninstall, --recover or --history is about, when this program carries none
    #[arg(value_name = "PACKAGE", requires = "of_installed", conflicts_with_all = NO_NAME)]
    pub package: Option<PackageName>,

    /// Enable the service, so that it starts on boot
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub enable: bool,
    /// Of the optional components, install these alone: names with commas between,
    /// `all` or `none` (repeatable). Without it, what is installed keeps its choice, and a first installation takes all
    #[arg(long, value_name = "NAME", requires = "planning", conflicts_with_all = NO_PLAN)]
    pub include: Vec<String>,
    /// Install all optional components but these
    #[arg(long, value_name = "NAME", requires = "planning", conflicts_with_all = NO_PLAN, conflicts_with = "include")]
    pub exclude: Vec<String>,
    /// Start the service when everything is in place, and ask each model: prints load time and tokens a second. A
    /// package of models alone starts the Ollama that they go to
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub start: bool,
    /// Roll everything back when a service does not start, or a model does not answer; without it, it stays installed
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub rollback: bool,
    /// Read every file that is installed already, also those whose inode, size and times are as in the receipt
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub verify_installed: bool,
    /// With --status: read every file, also those whose inode, size and times are as in the receipt
    #[arg(long, requires = "status")]
    pub full: bool,
    /// Replace files that are in the way, keeping a backup that --uninstall puts back
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub replace: bool,
    /// Install an older signed package over a newer version
    #[arg(long, requires = "planning", conflicts_with_all = NO_PLAN)]
    pub allow_downgrade: bool,
    /// With --uninstall: also remove what was changed, and what was created later in the package's directories
    #[arg(long, requires = "uninstall", conflicts_with_all = NO_UNINSTALL)]
    pub purge: bool,
    /// Work below DIR instead of /
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Use the package FILE instead of the one that this program carries. FILE may be a directory that airgap-transfer packed
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,
    /// Look in DIR too for the volumes of a package that was cut (repeatable)
    #[arg(long, value_name = "DIR")]
    pub volumes: Vec<PathBuf>,
    /// Trust this key too: a .pub file that nobody but root can change (repeatable). Once any key is trusted, here or in
    /// /etc/airgap-deploy/trusted-keys, packages that none of them signed are refused
    #[arg(long = "trusted-key", value_name = "FILE")]
    pub trusted_keys: Vec<PathBuf>,
    /// Write a report to FILE: what was checked and changed, and how it ended. With --dry-run, a FILE that ends in .md or
    /// .html is a page for those who approve the plan
    #[arg(long, value_name = "FILE", requires = "reported", conflicts_with_all = NO_REPORT)]
    pub report: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Say only what went wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: every step, every path that is already right
    #[arg(short, long)]
    pub verbose: bool,
}
