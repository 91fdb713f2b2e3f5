//! From what was typed to the file that does it: one file for each command.
//! What they do is done by the library, which knows no command line, no terminal and no environment.

mod cache;
mod check;
pub mod cli;
mod explain;
mod init;
mod inspect;
pub mod interrupt;
mod keygen;
mod lock;
mod name;
mod output;
mod pages;
mod password;
mod prep;
mod report;
mod verbose;
mod volumes;

use builder::BuildError;
use builder::fetch::{LockMode, SourceEnvironment, SourceOptions};
use builder::signing::SignError;
use serde_json::json;

use cli::{Cli, Command, SourceArgs};
use name::own;
use output::colour;

/// Why a command failed, ready to be printed.
pub struct Failure {
    pub exit_code: u8,
    /// What is shown above the error, such as each mistake with its line.
    pub above: String,
    pub what: String,
    pub hint: String,
    pub details: serde_json::Value,
}

impl Failure {
    fn new(exit_code: u8, what: String, hint: impl Into<String>) -> Self {
        Self { exit_code, above: String::new(), what, hint: hint.into(), details: serde_json::Value::Null }
    }
}

impl Failure {
    /// The error for programs.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "error": 1,
            "exit_code": self.exit_code,
            "what": own(&self.what),
            "hint": own(&self.hint),
            "details": self.details,
        })
    }

    /// Tells people.
    pub fn tell(&self) {
        output::fail(&self.above, &own(&self.what), &own(&self.hint));
    }

    /// Adds something else that failed, which does not hide the first.
    fn and_also(mut self, what: &str) -> Self {
        self.what = format!("{}\nand {what}", self.what);
        self
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let mut failure = Self::new(error.exit_code(), error.to_string(), error.hint());
        if let BuildError::Manifest(errors) = &error {
            failure.above = errors.render(colour());
            failure.details = json!(errors.findings());
        }
        failure
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        Self::new(error.exit_code(), error.to_string(), error.hint())
    }
}

/// Does what was asked for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    output::choose_colour(cli.color);
    verbose::choose(cli.verbose);
    do_it(cli)?;
    output::written()
}

fn do_it(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Prep(args) => prep::prep_package(&args),
        Command::Check(args) => check::check_manifest(&args),
        Command::Lock(args) => lock::lock(&args),
        Command::Inspect(args) => inspect::inspect_package(&args),
        Command::Verify(args) => inspect::verify(&args),
        Command::Keygen(args) => keygen::keygen(&args),
        Command::Split(args) => volumes::split(&args),
        Command::Join(args) => volumes::join(&args),
        Command::Init(args) => init::init(&args),
        Command::Cache(args) => cache::cache(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Completions(args) => {
            pages::completions(&args);
            Ok(())
        }
        Command::Man(args) => pages::man(&args),
    }
}

fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

fn source_options(args: &SourceArgs, follow: LockMode) -> Result<SourceOptions, BuildError> {
    let environment = SourceEnvironment::from_vars(|name| std::env::var(name).ok());
    Ok(SourceOptions::new(&args.settings(follow), &environment)?)
}
