//! Symbolic links of the package: relative, inside the prefix, and leading to something that is placed as well.
//! They are followed the way the kernel would, on the placements alone.

use std::collections::VecDeque;

use payload::RelPath;

use super::Entry;
use super::tree::Tree;
use crate::content::error::ContentError;

/// As many links as the kernel follows in one path.
const MAX_FOLLOWED: usize = 40;

/// Checks every symbolic link.
pub(super) fn check(tree: &Tree, prefix: &RelPath) -> Result<(), ContentError> {
    for placement in tree.placements() {
        if let Entry::SymbolicLink { target } = &placement.entry
            && let Err((problem, remedy)) = follow(tree, &placement.path, target, prefix)
        {
            return Err(ContentError::Link { link: placement.path.clone(), target: target.clone(), problem, remedy });
        }
    }
    Ok(())
}

type Broken = (String, String);

fn follow(tree: &Tree, link: &RelPath, target: &str, prefix: &RelPath) -> Result<(), Broken> {
    if target.starts_with('/') {
        return Err(leave("is absolute; links of a package must be relative"));
    }
    let mut at: Vec<String> = link.components().map(str::to_owned).collect();
    at.pop();
    let inside = inside(link, prefix);
    let mut parts: VecDeque<String> = target.split('/').map(str::to_owned).collect();
    let mut followed = 0;
    while let Some(part) = parts.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                at.pop();
            }
            _ => at.push(part),
        }
        let path = at.join("/").parse::<RelPath>().ok().filter(|path| path.starts_with(&inside));
        let Some(path) = path else { return Err(leave(&format!("leaves {inside}"))) };
        if let Some(Entry::SymbolicLink { target }) = tree.get(&path).map(|placement| &placement.entry) {
            followed += 1;
            if followed > MAX_FOLLOWED {
                return Err(leave("leads in a circle"));
            }
            at.pop();
            target.split('/').rev().for_each(|part| parts.push_front(part.to_owned()));
        } else if !tree.exists(&path) {
            return Err(dangling(tree, &path));
        }
    }
    Ok(())
}

/// Where the link may lead: below the prefix, or for a program installed elsewhere, below the directory that holds its
/// `bin` and `lib`.
fn inside(link: &RelPath, prefix: &RelPath) -> RelPath {
    if link.starts_with(prefix) {
        return prefix.clone();
    }
    let above = link.ancestors();
    let base = above.iter().rev().find(|path| ["bin", "lib"].contains(&path.name())).and_then(RelPath::parent);
    base.or_else(|| link.parent()).unwrap_or_else(|| link.clone())
}

fn leave(problem: &str) -> Broken {
    (problem.to_owned(), "exclude the link, or repair the directory that it comes from".to_owned())
}

fn dangling(tree: &Tree, path: &RelPath) -> Broken {
    match tree.excluded_by(path) {
        Some(pattern) => (
            format!("is left without its target {path} by exclude pattern {pattern:?}"),
            "exclude the link as well, or narrow the pattern".to_owned(),
        ),
        None => (
            format!("leads to {path}, which the package does not hold"),
            "exclude the link, or take an archive that holds its target".to_owned(),
        ),
    }
}
