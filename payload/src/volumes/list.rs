//! The list of digests beside a package, as `sha256sum -c` reads it: which volume of two is the damaged one.
//! It is no proof of anything: the index is.

use std::io::Read;
use std::path::Path;

use crate::Digest;
use crate::volumes::find::open_regular;

/// Longer than a list of as many volumes as there may be, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// What the list `path` says; `None` when there is none.
pub(crate) fn read(path: &Path) -> Option<Vec<(Digest, String)>> {
    let mut text = String::new();
    open_regular(path).ok()?.take(MAX_LIST).read_to_string(&mut text).ok()?;
    Some(entries(&text).map(|(digest, name)| (digest, name.to_owned())).collect())
}

/// Every line of such a list that names a file and its digest.
pub fn entries(text: &str) -> impl Iterator<Item = (Digest, &str)> {
    text.lines().filter_map(|line| {
        let (hex, name) = line.split_once("  ")?;
        Some((format!("sha256:{hex}").parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let hex = Digest::of(b"x").hex();
        let text = format!("nothing\n{hex}  x.run\n{hex}  x.run.002\nabc  y\n");
        assert_eq!(entries(&text).map(|(_, name)| name).collect::<Vec<_>>(), ["x.run", "x.run.002"]);
    }
}
