//! What a program says, without what is another in each run: digests, times, sizes of the stub, where the test runs.
//! What remains is held word for word.

use anyhow::Result;
use regex::Regex;

/// What differs, and what stands for it. Sizes in bytes and kB are those of the tour's own files.
const DIFFERENT: [(&str, &str); 7] = [
    (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
    (r"\d{4}-\d\d-\d\d\s*\d\d:\d\d:\d\d", "DATE TIME"),
    (r"\d+(\.\d)?\s*[MGT]B", "N MB"),
    (r"in\s*\d+\.\d\s*s", "in N s"),
    (r"(builder|airgap-deploy) \d+\.\d+\.\d+", "$1 VERSION"),
    (r"and\s*\d+\s*crates", "and N crates"),
    (r"/tmp/airgap-deploy-e2e-\w{6}", "/scratch"),
];

/// Only where it is known where a line ends.
const IN_LINES: [(&str, &str); 2] = [
    (r"\b[a-z]+(-[a-z]+){3}( [a-z]+(-[a-z]+){3}){3}\b", "WORDS"),
    (r"GPUs of this machine: .*", "GPUs of this machine: GPUS"),
];

/// Only where the space between words is gone.
const IN_ONE: [(&str, &str); 3] = [
    (r"inwords[a-z-]+", "WORDS"),
    (r"GPUsofthismachine:.*?Requiredpermissions", "Requiredpermissions"),
    (r"(builder|airgap-deploy)\d+\.\d+\.\d+", "VERSION"),
];

/// `said` as every run says it, in its lines.
///
/// # Errors
/// None, as far as is known.
pub fn in_every_run(said: &str) -> Result<String> {
    replaced(said, DIFFERENT.iter().chain(&IN_LINES))
}

/// The same, however it is broken into lines: without any space.
///
/// # Errors
/// None, as far as is known.
pub fn in_every_width(said: &str) -> Result<String> {
    let said = Regex::new(r"</?(svg|style|text|tspan|rect)[^>]*>")?.replace_all(said, "");
    let one: String = said.chars().filter(|c| !c.is_whitespace()).collect();
    replaced(&one, DIFFERENT.iter().chain(&IN_ONE))
}

fn replaced<'a>(said: &str, rules: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Result<String> {
    let mut text = said.to_owned();
    for (pattern, instead) in rules {
        text = Regex::new(pattern)?.replace_all(&text, *instead).into_owned();
    }
    Ok(text)
}
