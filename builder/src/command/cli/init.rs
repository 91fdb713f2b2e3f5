//! What is typed for a manifest to start from: every answer of `builder init` as an option.
//! What becomes of it is in `command/init.rs`.

use std::path::PathBuf;

use builder::manifest::init::Kind;
use clap::Args;

use super::OutputArgs;

/// `builder init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// What kind of manifest: full (Ollama, models and the service) or update (models for an Ollama that is there) [default: full]
    #[arg(value_name = "KIND")]
    pub kind: Option<Kind>,
    /// Where it is written; an existing file is never overwritten
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// The release of Ollama, by its tag: v0.15.0
    #[arg(long, value_name = "TAG")]
    pub ollama: Option<String>,
    /// A model: a name in Ollama's registry, a file, or URL#sha256=DIGEST (repeatable, or several with commas between them)
    #[arg(long = "model", value_name = "MODEL", value_delimiter = ',')]
    pub models: Vec<String>,
    /// A model that is left out unless `--include` names it (as above; or: none)
    #[arg(long = "optional-model", value_name = "MODEL", value_delimiter = ',')]
    pub optional: Vec<String>,
    /// The name of the package
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The version of the package
    #[arg(long, value_name = "VERSION")]
    pub package_version: Option<String>,
    /// One line about it
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The directory on the target that everything is installed below
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<String>,
    /// The user of the service, and the name of its group
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Ask nothing, also at a terminal: what is not said stays as it is in the example
    #[arg(long, short = 'y')]
    pub defaults: bool,
    #[command(flatten)]
    pub out: OutputArgs,
}
