//! Paths that cannot escape: relative to the root of the target, normalised, printable.
//! Following such a path on a real machine, where links may lurk, is the stub's business.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A path relative to the root directory of the target machine, such as `opt/ollama/bin/ollama`.
///
/// It holds no `..`, no `.`, no empty component, no leading or trailing `/`, no control character,
/// no component longer than 255 bytes, and is at most 4000 bytes and 64 components long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath(String);

/// Why a text is not a [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} {problem}")]
pub struct PathError {
    path: String,
    problem: &'static str,
}

const MAX_COMPONENT: usize = 255;
const MAX_PATH: usize = 4000;
/// Every step walks its path from the root: deep trees cost their depth at each of their levels. Programs and models lie
/// fewer than ten deep.
const MAX_DEPTH: usize = 64;

impl RelPath {
    /// The path below this one; `more` may have several components.
    pub fn join(&self, more: &str) -> Result<Self, PathError> {
        format!("{}/{more}", self.0).parse()
    }

    /// The directory that holds this path, unless that is the root itself.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The components from the root downwards; never empty.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// All directories above this path, from the root downwards.
    pub fn ancestors(&self) -> Vec<Self> {
        self.0.match_indices('/').map(|(at, _)| Self(self.0[..at].to_owned())).collect()
    }

    /// Whether this path is `directory` or lies below it.
    pub fn starts_with(&self, directory: &Self) -> bool {
        self.0.strip_prefix(&directory.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The text, without a leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where this path is when the target's root directory is `root`.
    pub fn below(&self, root: &Path) -> std::path::PathBuf {
        root.join(&self.0)
    }

    /// Resolves a relative link target that stands in this path's directory, without looking at a disk.
    /// `None` when it is absolute, leaves the root, or is no valid path.
    pub fn resolve_link(&self, target: &str) -> Option<Self> {
        let mut components: Vec<&str> = self.components().collect();
        components.pop();
        for part in target.split('/') {
            match part {
                ".." => {
                    components.pop()?;
                }
                "." => {}
                name => components.push(name),
            }
        }
        components.join("/").parse().ok()
    }
}

impl FromStr for RelPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let problem = if text.is_empty() {
            Some("is empty")
        } else if text.starts_with('/') {
            Some("is absolute")
        } else if text.len() > MAX_PATH {
            Some("is longer than 4000 bytes")
        } else if text.chars().any(char::is_control) {
            Some("contains a control character")
        } else if text.split('/').count() > MAX_DEPTH {
            Some("has more than 64 components")
        } else {
            text.split('/').find_map(component_problem)
        };
        match problem {
            Some(problem) => Err(PathError { path: text.to_owned(), problem }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

fn component_problem(component: &str) -> Option<&'static str> {
    match component {
        "" => Some("has an empty component"),
        "." => Some("contains '.'"),
        ".." => Some("contains '..'"),
        long if long.len() > MAX_COMPONENT => Some("has a component longer than 255 bytes"),
        _ => None,
    }
}

/// Shown as the administrator of the target knows it: with a leading `/`.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    #[test]
    fn what_could_escape_or_confuse_is_refused() {
        let long = "x".repeat(256);
        let deep = ["a"; 65].join("/");
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/..",
            "a/../b",
            ".",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            &long,
            &deep,
        ] {
            assert!(text.parse::<RelPath>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn parents_and_names() {
        assert_eq!(path("opt/ollama/bin").parent(), Some(path("opt/ollama")));
        assert_eq!(path("opt").parent(), None);
        assert_eq!(path("opt/ollama").name(), "ollama");
        assert_eq!(path("a/b/c").ancestors(), [path("a"), path("a/b")]);
        assert!(path("a/b").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
    }

    #[test]
    fn links_resolve_only_inside_the_root() {
        let link = path("opt/x/lib/a.so");
        assert_eq!(link.resolve_link("a.so.1"), Some(path("opt/x/lib/a.so.1")));
        assert_eq!(link.resolve_link("../v13/a.so"), Some(path("opt/x/v13/a.so")));
        assert_eq!(link.resolve_link("../../../../etc/passwd"), None);
        assert_eq!(link.resolve_link("/etc/passwd"), None);
        assert_eq!(link.resolve_link(""), None);
    }

    proptest! {
        #[test]
        fn whatever_parses_stays_below_the_root(text in "[a./\\PC]{0,40}") {
            if let Ok(path) = text.parse::<RelPath>() {
                prop_assert!(path.below(Path::new("/root")).starts_with("/root"));
                prop_assert!(path.components().all(|part| !part.is_empty() && part != ".." && part != "."));
                prop_assert_eq!(path.as_str().parse::<RelPath>().unwrap(), path.clone());
            }
        }
    }
}
