//! Names that people cannot tell apart: pointed out, not refused, since each of them may be meant.
//! Characters that cannot be seen at all are refused in `entries.rs`.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use crate::RelPath;
use crate::format::index::Index;

/// Paths of an index that differ in Unicode normalisation alone (UAX #15, form NFKC), two and two.
pub fn lookalikes(index: &Index) -> Vec<(&RelPath, &RelPath)> {
    let directories = index.directories.iter().map(|entry| &entry.path);
    let files = index.files.iter().map(|entry| &entry.path);
    let paths: Vec<&RelPath> = directories.chain(files).chain(index.links.iter().map(|entry| &entry.path)).collect();
    let mut seen: BTreeMap<String, &RelPath> = BTreeMap::new();
    let mut found = Vec::new();
    // Most packages have no such name: then nothing is compared.
    for path in paths.iter().filter(|path| !path.as_str().is_ascii()) {
        if let Some(first) = seen.insert(path.as_str().nfkc().collect(), path) {
            found.push((first, *path));
        }
    }
    // Compatibility forms lead to ASCII letters too.
    let ascii = paths.iter().filter(|path| path.as_str().is_ascii());
    found.extend(ascii.filter_map(|path| Some((*seen.get(path.as_str())?, *path))));
    found
}
