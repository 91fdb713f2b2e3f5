//! The builder's command line: parse, call one function, print one error, map one exit code.
//! What the stages do lives in the files named after them, in the library.

mod command;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    command::interrupt::end_on_signals(json);
    match command::run(command::cli::Cli::from_arguments(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if json {
                let _ = writeln!(std::io::stdout().lock(), "{}", failure.to_json());
            }
            failure.tell();
            ExitCode::from(failure.exit_code)
        }
    }
}
