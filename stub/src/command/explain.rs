//! `--explain`: what an exit code or an error means. Needs no package and no root.
//! The texts are in `payload`, where the builder finds the same ones.

use crate::error::Error;
use crate::exit::Exit;
use crate::report::screen::Screen;

/// Explains what was `asked` for.
///
/// # Errors
/// It is no exit code and no known error.
pub fn explain(asked: &str, screen: Screen) -> Result<(), Error> {
    let found = payload::explain(asked);
    if found.is_empty() {
        let what = format!("{:?} is no exit code and no error of this program", payload::printable(asked));
        return Err(Error::new(Exit::Usage, what).hint("--help lists the exit codes"));
    }
    for one in found {
        if screen.json {
            screen.json(&serde_json::json!({
                "explain": 1, "exit_code": one.exit_code, "name": one.name,
                "cause": one.cause, "look_at": one.look_at, "remedy": one.remedy,
            }));
        } else {
            screen.say_all(&one.lines());
        }
    }
    Ok(())
}
