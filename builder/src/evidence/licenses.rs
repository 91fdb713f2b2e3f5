//! Licences: which identifier stands for what was said of one, and the texts that go into a package.
//! Which licence a component has is said by its source or by the manifest.

use payload::index::Arch;
use serde_json::{Value, json};

use super::crates;

const MIT: &str = include_str!("../../../LICENSE-MIT");
const APACHE: &str = include_str!("../../../LICENSE-APACHE");
/// A licence that is said in more is a text, not a name.
const LONGEST_NAME: usize = 100;

/// Identifiers of SPDX that models and programs are published under, beside the names that publishers use for them.
const KNOWN: &[(&str, &str)] = &[
    ("afl-3.0", "AFL-3.0"),
    ("agpl-3.0", "AGPL-3.0-only"),
    ("apache-2.0", "Apache-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
    ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("isc", "ISC"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("mit", "MIT"),
    ("mpl-2.0", "MPL-2.0"),
    ("unlicense", "Unlicense"),
    ("zlib", "Zlib"),
];

/// What was said of a licence, in the form of `CycloneDX`.
pub(super) fn cyclonedx(said: &str) -> Value {
    match identifier(said) {
        Some(id) => json!({"license": {"id": id}}),
        None if said.len() <= LONGEST_NAME && !said.trim().contains('\n') => json!({"license": {"name": said.trim()}}),
        None => json!({"license": {"name": name(said), "text": {"contentType": "text/plain", "content": said}}}),
    }
}

/// What was said of a licence, in a few words.
pub(super) fn name(said: &str) -> String {
    if let Some(id) = identifier(said) {
        return id.to_owned();
    }
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LONGEST_NAME).collect()
}

fn identifier(said: &str) -> Option<&'static str> {
    let said = said.trim();
    KNOWN.iter().find(|(name, id)| said.eq_ignore_ascii_case(name) || said.eq_ignore_ascii_case(id)).map(|(_, id)| *id)
}

/// The licence texts that go into every package: those of the program at its start, the stub for `arch`.
pub(crate) fn documents(arch: Arch) -> Vec<(&'static str, Vec<u8>)> {
    let all = [
        ("LICENSES/airgap-deploy-APACHE", APACHE),
        ("LICENSES/airgap-deploy-MIT", MIT),
        ("LICENSES/stub-crates", crates::texts(arch)),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.as_bytes().to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_publishers_say_becomes_an_identifier_a_name_or_a_text() {
        assert_eq!(cyclonedx("apache-2.0"), json!({"license": {"id": "Apache-2.0"}}));
        assert_eq!(cyclonedx("MIT"), json!({"license": {"id": "MIT"}}));
        assert_eq!(cyclonedx("gemma"), json!({"license": {"name": "gemma"}}));
        let text = cyclonedx("\nLLAMA 2 COMMUNITY LICENSE\nterms");
        assert_eq!(text["license"]["name"], "LLAMA 2 COMMUNITY LICENSE");
        assert!(text["license"]["text"]["content"].as_str().unwrap().ends_with("terms"));
    }
}
