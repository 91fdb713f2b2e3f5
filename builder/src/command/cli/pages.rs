//! What is typed to read about the program: explanations, manual pages, completions.
//! What it leads to is in `command/explain.rs` and `command/pages.rs`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;

/// `builder explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// An exit code such as 42, or the words of an error such as "Binary not found"; everything when left out
    #[arg(value_name = "CODE", num_args = 0..)]
    pub asked: Vec<String>,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `builder man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write builder.1, builder-check.1 and all others into this directory
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}
