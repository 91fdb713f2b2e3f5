//! Names as Ansible takes them, made of the name and version of a package.
//! Where they are put is in `template.rs`.

use payload::index::PackageName;

/// Of every collection that a builder makes.
pub(super) const NAMESPACE: &str = "airgap_deploy";

/// Words of Python, which no collection may be called; only those that a package may be called.
const KEYWORDS: [&str; 32] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
];

/// What things are called.
pub(crate) struct Names {
    /// The role, the collection, and what its variables begin with.
    pub(crate) role: String,
}

impl Names {
    pub(crate) fn of(package: &PackageName) -> Self {
        let mut role = String::new();
        for letter in package.as_str().chars().map(|letter| letter.to_ascii_lowercase()) {
            if letter.is_ascii_alphanumeric() {
                role.push(letter);
            } else if !role.ends_with('_') {
                role.push('_');
            }
        }
        let role = role.trim_end_matches('_');
        // What begins with `ansible` would be a variable of Ansible's own.
        let taken = role.starts_with(|first: char| first.is_ascii_digit()) || role.starts_with("ansible");
        let role = if taken || KEYWORDS.contains(&role) { format!("package_{role}") } else { role.to_owned() };
        Self { role }
    }
}

/// A version with three numbers, as collections have them; what else the version says is left out.
pub(super) fn collection_version(version: &str) -> String {
    let numbers = version.trim_start_matches(['v', 'V']).split(['.', '-', '+', '_', ' ']);
    let mut three: Vec<u64> = numbers.map_while(|number| number.parse().ok()).take(3).collect();
    three.resize(3, 0);
    format!("{}.{}.{}", three[0], three[1], three[2])
}

/// Whether a file name means the same in YAML, in Jinja and on a command line, without quotes.
pub(crate) fn plain_file_name(name: &str) -> bool {
    !name.starts_with(['-', '.']) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(package: &str) -> String {
        Names::of(&package.parse().unwrap()).role
    }

    #[test]
    fn every_package_name_gives_a_name_that_ansible_takes() {
        assert_eq!(role("ollama-deploy"), "ollama_deploy");
        assert_eq!(role("Node.Exporter--1_"), "node_exporter_1");
        assert_eq!(role("7zip"), "package_7zip");
        assert_eq!(role("ansible"), "package_ansible");
        assert_eq!(role("import"), "package_import");
    }

    #[test]
    fn every_version_gives_three_numbers() {
        for (version, expected) in
            [("0.15.0", "0.15.0"), ("v1.2", "1.2.0"), ("1.2.3-rc1", "1.2.3"), ("01.2.3.4", "1.2.3"), ("one", "0.0.0")]
        {
            assert_eq!(collection_version(version), expected);
        }
    }

    #[test]
    fn names_with_a_meaning_elsewhere_are_not_plain() {
        assert!(plain_file_name("ollama-deploy_0.15.0+1.run"));
        for name in ["{{ x }}.run", "a b.run", "-x.run", ".run", "ä.run", "a:b"] {
            assert!(!plain_file_name(name), "{name}");
        }
    }
}
