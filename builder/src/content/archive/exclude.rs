//! The globs of `exclude`: `*` stays within a directory, `**` does not, and a directory takes along what is below it.
//! What a missing member means for others is decided where links are checked, in `place/links.rs`.

use globset::{GlobBuilder, GlobMatcher};
use payload::RelPath;

/// Patterns for member paths.
#[derive(Debug, Default)]
pub(crate) struct Exclude(Vec<(String, GlobMatcher)>);

impl Exclude {
    /// # Errors
    /// Which pattern is no glob, and why.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let compile = |pattern: &String| {
            let plain = pattern.trim_start_matches("./").trim_matches('/');
            let glob = GlobBuilder::new(plain).literal_separator(true).backslash_escape(true).build();
            glob.map(|glob| (pattern.clone(), glob.compile_matcher()))
                .map_err(|error| format!("exclude pattern {pattern:?} is no glob: {}", error.kind()))
        };
        patterns.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The pattern that takes `path` away.
    pub(crate) fn matching(&self, path: &str) -> Option<&str> {
        let mut above = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent));
        above.find_map(|path| self.0.iter().find(|(_, glob)| glob.is_match(path)).map(|(pattern, _)| pattern.as_str()))
    }

    /// The patterns that took none of these members away.
    pub(crate) fn unused<'a>(&'a self, taken: &[(RelPath, String)]) -> Vec<&'a str> {
        let patterns = self.0.iter().map(|(pattern, _)| pattern.as_str());
        patterns.filter(|pattern| taken.iter().all(|(_, by)| by != pattern)).collect()
    }
}
