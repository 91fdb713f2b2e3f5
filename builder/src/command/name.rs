//! What this program is called. Everywhere it is `builder`; packages of distributions install it under a name that says whose
//! builder it is, and then it speaks of itself by that one.

use std::path::Path;
use std::sync::LazyLock;

/// In the code, the documentation and the release.
const NAME: &str = "builder";
/// In packages of distributions.
const INSTALLED: &str = "airgap-deploy-builder";
/// What is typed behind it, as texts quote it.
const TYPED: &[&str] = &[
    "[prep]",
    "<COMMAND>",
    "--",
    "prep",
    "check",
    "lock",
    "inspect",
    "verify",
    "keygen",
    "split",
    "join",
    "init",
    "cache",
    "explain",
    "completions",
    "man",
];

/// Whether it was started by its other name.
static IS_INSTALLED: LazyLock<bool> = LazyLock::new(|| {
    let program = std::env::args_os().next().unwrap_or_default();
    Path::new(&program).file_name().is_some_and(|name| name == INSTALLED)
});

/// What this program is called here.
pub fn name() -> &'static str {
    if *IS_INSTALLED { INSTALLED } else { NAME }
}

/// A text with the commands in it as they can be typed here.
pub fn own(text: &str) -> String {
    if *IS_INSTALLED { renamed(text) } else { text.to_owned() }
}

fn renamed(text: &str) -> String {
    let command = format!("{NAME} ");
    let mut parts = text.split(&command);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_command = |word: &str| {
            part.strip_prefix(word).is_some_and(|rest| word == "--" || !rest.starts_with(char::is_alphanumeric))
        };
        let in_a_word = out.ends_with(|last: char| last.is_alphanumeric() || "-_/.".contains(last));
        let stays = in_a_word || !TYPED.iter().any(|word| is_command(word));
        out.push_str(if stays { NAME } else { INSTALLED });
        out.push(' ');
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_renamed_and_nothing_else() {
        for (text, after) in [
            ("run `builder lock`, look", "run `airgap-deploy-builder lock`, look"),
            (
                "builder check x and builder --manifest x",
                "airgap-deploy-builder check x and airgap-deploy-builder --manifest x",
            ),
            ("built by builder 0.1.0", "built by builder 0.1.0"),
            ("another builder is fetching it", "another builder is fetching it"),
            ("another builder managed it", "another builder managed it"),
            ("/opt/my-builder check", "/opt/my-builder check"),
        ] {
            assert_eq!(renamed(text), after);
        }
    }
}
