//! `builder completions` and `builder man`: made from the command line itself, so that they cannot differ from it.
//! The command line is in `cli.rs`.

use std::io::Write;

use super::cli::{Cli, CompletionsArgs, ManArgs};
use super::output::Answer;
use super::{Failure, name};

pub fn completions(args: &CompletionsArgs) {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::shown(), name::name(), &mut text);
    // An error is remembered, and reported at the end.
    let _ = Answer.write_all(&text);
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let Some(directory) = &args.directory else {
        let mut text = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::shown()).render(&mut text);
        rendered.map_err(|error| Failure::new(44, format!("cannot write the page: {error}"), "try again"))?;
        let _ = Answer.write_all(&text);
        return Ok(());
    };
    clap_mangen::generate_to(Cli::shown(), directory).map_err(|error| {
        let hint = "name a directory that exists and is writable";
        Failure::new(44, format!("cannot write pages to {}: {error}", directory.display()), hint)
    })
}
