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
            // It may quote what came from elsewhere.
            let lines: Vec<String> = failure.what.lines().map(payload::printable).collect();
            let (above, what, hint) = (failure.above, lines.join("\n"), failure.hint);
            let _ = writeln!(std::io::stderr().lock(), "{above}error: {what}\nnext:  {hint}");
            ExitCode::from(failure.exit_code)
        }
    }
}
