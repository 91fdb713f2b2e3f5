//! Placeholders: `{goarch}` and `{machine}`, which stand for the architecture that is built for, so that one manifest serves both.
//! Which keys may have them is decided where these are read.

use payload::index::Arch;
use payload::printable;
use toml::Spanned;

use super::diagnostic::Diagnostic;
use super::reader::{Read, Reader};
use super::vocabulary::nearest;

const NAMES: [&str; 2] = ["goarch", "machine"];
const HELP: &str = "`{goarch}` stands for amd64 or arm64, `{machine}` for x86_64 or aarch64";

/// What braces may be in a text beside placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Braces {
    /// Nothing: one is a mistake.
    None,
    /// Alternatives of a pattern: `{a,b}`.
    Pattern,
    /// Nothing, and the text is a URL, which has another way to write them.
    Url,
}

/// What the placeholder called `name` stands for.
fn value(name: &str, target: Arch) -> Option<&'static str> {
    match (name, target) {
        ("goarch", Arch::X86_64) => Some("amd64"),
        ("goarch", Arch::Aarch64) => Some("arm64"),
        ("machine", target) => Some(target.name()),
        _ => None,
    }
}

/// Whether `text` is another one for another target.
pub(super) fn stands_in(text: &str) -> bool {
    NAMES.iter().any(|name| text.contains(&format!("{{{name}}}")))
}

/// `text` with what its placeholders stand for.
pub(super) fn filled(reader: &Reader<'_>, text: &Spanned<&str>, braces: Braces) -> Read<String> {
    filled_for(text.get_ref(), reader.target, braces).map(|filled| Spanned::new(text.span(), filled)).map_err(|wrong| {
        let word = wrong.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let meant = nearest(word, NAMES).map_or_else(String::new, |name| format!("did you mean `{{{name}}}`? "));
        let escape = if braces == Braces::Url { "; braces of the URL itself are written %7B and %7D" } else { "" };
        let diagnostic = Diagnostic::error(text.span(), format!("unknown placeholder `{}`", printable(wrong)));
        reader.findings.error(diagnostic.label("braces hold a placeholder here").help(format!("{meant}{HELP}{escape}")))
    })
}

/// The same, or what is no placeholder. A `$` or a brace before one is a habit from other tools, and would stay in the text.
fn filled_for(text: &str, target: Arch, braces: Braces) -> Result<String, &str> {
    let (mut filled, mut done) = (String::new(), 0);
    while let Some(open) = text[done..].find('{').map(|at| done + at) {
        filled.push_str(&text[done..open]);
        let inner = &text[open + 1..];
        let end = inner.find(['{', '}']).unwrap_or(inner.len());
        let closed = inner[end..].starts_with('}');
        let is_alternatives = braces == Braces::Pattern && end > 0 && (!closed || inner[..end].contains(','));
        let begins = if text[..open].ends_with('$') { open - 1 } else { open };
        match value(&inner[..end], target).filter(|_| closed && begins == open) {
            Some(value) => {
                filled.push_str(value);
                done = open + 1 + end + 1;
            }
            None if is_alternatives => {
                filled.push('{');
                done = open + 1;
            }
            None => return Err(up_to_the_end(&text[begins..])),
        }
    }
    filled.push_str(&text[done..]);
    Ok(filled)
}

/// From a brace to the one that closes it, and those beside that one.
fn up_to_the_end(text: &str) -> &str {
    let closed = text.find('}').map(|at| at + text[at..].chars().take_while(|letter| *letter == '}').count());
    &text[..closed.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str, braces: Braces) -> [Result<String, &str>; 2] {
        [Arch::X86_64, Arch::Aarch64].map(|target| filled_for(text, target, braces))
    }

    #[test]
    fn each_architecture_has_its_names() {
        let texts = |x86: &str, arm: &str| [Ok(x86.to_owned()), Ok(arm.to_owned())];
        assert_eq!(both("a-{goarch}", Braces::None), texts("a-amd64", "a-arm64"));
        assert_eq!(both("{machine}/{machine}.so", Braces::Url), texts("x86_64/x86_64.so", "aarch64/aarch64.so"));
        assert_eq!(both("a%7Bb%7D }", Braces::Url), texts("a%7Bb%7D }", "a%7Bb%7D }"));
        assert_eq!(
            both("{a,b-{goarch}}.{tgz,zip}", Braces::Pattern),
            texts("{a,b-amd64}.{tgz,zip}", "{a,b-arm64}.{tgz,zip}")
        );
    }

    #[test]
    fn everything_else_between_braces_is_named() {
        let wrong = |text, braces| filled_for(text, Arch::X86_64, braces).err();
        for (text, expected) in [
            ("a-{arch}-b", "{arch}"),
            ("a-{GOARCH}", "{GOARCH}"),
            ("a-{ goarch }", "{ goarch }"),
            ("a-{{goarch}}.x", "{{goarch}}"),
            ("a-{{ .Arch }}", "{{ .Arch }}"),
            ("a-${goarch}-b", "${goarch}"),
            ("{}", "{}"),
            ("ä{ö}", "{ö}"),
        ] {
            for braces in [Braces::None, Braces::Url, Braces::Pattern] {
                assert_eq!(wrong(text, braces), Some(expected), "{text} {braces:?}");
            }
        }
        assert_eq!(wrong("{a,b}", Braces::None), Some("{a,b}"));
        assert_eq!(wrong("a-{goarch", Braces::Url), Some("{goarch"));
    }
}
