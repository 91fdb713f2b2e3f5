//! Picks the asset that a pattern means, and reads checksum lists.
//! Where the names come from is the business of `github.rs`.

use globset::GlobBuilder;
use payload::Digest;

/// The archive formats that the builder unpacks; see DESIGN: a pattern without one of these still finds the archive.
const ARCHIVE_SUFFIXES: [&str; 5] = [".tar.zst", ".tgz", ".tar.gz", ".tar.xz", ".zip"];

/// The one name that `pattern` means: the exact name, else the pattern plus an archive suffix, `*` standing for any
/// text. Otherwise all the names that it matches: none or several.
pub(crate) fn choose<'a>(pattern: &str, names: &[&'a str]) -> Result<&'a str, Vec<&'a str>> {
    if let Some(exact) = names.iter().find(|&&name| name == pattern) {
        return Ok(exact);
    }
    let mut matching = matches(pattern, names);
    if matching.is_empty() {
        let suffixed = ARCHIVE_SUFFIXES.iter().flat_map(|suffix| matches(&format!("{pattern}{suffix}"), names));
        matching = suffixed.collect();
    }
    match matching.as_slice() {
        [one] => Ok(one),
        _ => Err(matching),
    }
}

fn matches<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
    let literally = || names.iter().copied().filter(|&name| name == pattern).collect();
    if !pattern.contains('*') {
        return literally();
    }
    let Ok(glob) = GlobBuilder::new(pattern).build() else { return literally() };
    let matcher = glob.compile_matcher();
    names.iter().copied().filter(|name| matcher.is_match(name)).collect()
}

/// Name and digest of each line `<hex>  ./name` or `<hex> *name`, as `sha256sum` writes them. Other lines are skipped.
pub(crate) fn parse_checksums(text: &str) -> Vec<(String, Digest)> {
    let line = |line: &str| {
        let (hex, name) = line.trim().split_once(char::is_whitespace)?;
        let name = name.trim_start();
        let name = name.strip_prefix('*').unwrap_or(name);
        let name = name.strip_prefix("./").unwrap_or(name);
        Some((name.to_owned(), hex.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "ollama-linux-amd64-rocm.tar.zst",
        "ollama-linux-amd64.tar.zst",
        "ollama-linux-arm64.tar.zst",
        "ollama-linux-arm64-jetpack5.tar.zst",
        "ollama-darwin.tgz",
        "sha256sum.txt",
    ];

    #[test]
    fn the_use_cases_pattern_finds_the_archive_and_not_its_neighbours() {
        assert_eq!(choose("ollama-linux-amd64", &NAMES), Ok("ollama-linux-amd64.tar.zst"));
        assert_eq!(choose("ollama-darwin", &NAMES), Ok("ollama-darwin.tgz"));
    }

    #[test]
    fn an_exact_name_wins_and_globs_work() {
        assert_eq!(choose("a", &["a.zip", "a", "a.tgz"]), Ok("a"));
        assert_eq!(choose("*-rocm*", &NAMES), Ok("ollama-linux-amd64-rocm.tar.zst"));
        assert_eq!(choose("*-linux-amd64", &NAMES), Ok("ollama-linux-amd64.tar.zst"));
    }

    #[test]
    fn none_and_several_are_told_apart() {
        assert_eq!(choose("ollama-linux-amd65", &NAMES), Err(Vec::new()));
        assert_eq!(choose("*arm64*", &NAMES).unwrap_err().len(), 2);
        assert_eq!(choose("a", &["a.zip", "a.tgz"]).unwrap_err().len(), 2);
    }

    #[test]
    fn checksum_lists_carry_dots_and_stars() {
        let digest = Digest::of(b"x");
        let text = format!("{0}  ./a.tgz\n{0} *b c\n\nnonsense\nabc  d\n", digest.hex());
        assert_eq!(parse_checksums(&text), [("a.tgz".to_owned(), digest), ("b c".to_owned(), digest)]);
    }
}
