//! What a receipt vouches for: by which stat data the content of each file is known from now on.
//! When these prove anything is decided in `host/root/sure.rs`; who relies on them reads less (`host/contents.rs`).

use std::collections::{BTreeMap, HashMap};

use payload::RelPath;

use super::receipt::{LinkTarget, Receipt};
use crate::host::root::{Root, Stat, wait_for_clock};

/// Has the receipt of an installation that has just been completed vouch for each file. `placed` is how the verified copies were while nobody else could reach them: since then they may have got names, and owners, but nobody
/// may have written to them. What stood there already has to be exactly as the plan saw it.
pub fn vouch(receipt: &mut Receipt, root: &Root, placed: &HashMap<RelPath, Stat>) {
    let paths = receipt.files.iter().map(|file| &file.path).chain(receipt.links.iter().map(|link| &link.path));
    if let Some(newest) = paths.filter_map(|path| root.change_time(path)).max() {
        wait_for_clock(newest);
    }
    let proven = |path: &RelPath, copy: &RelPath, before: Option<Stat>| {
        let now = root.sure_stat(path).ok().flatten()?;
        let is_placed = placed.get(copy).is_some_and(|placed| now.is_same_but_for_names(placed));
        (is_placed || before == Some(now)).then_some(now)
    };
    for file in &mut receipt.files {
        file.stat = proven(&file.path, &file.path, file.stat);
    }
    for link in &mut receipt.links {
        if let LinkTarget::Hard(to) = &link.target {
            link.stat = proven(&link.path, to, link.stat);
        }
    }
}

/// The receipt with what was found out of files that it could not vouch for, or that got other times since; `None` when it
/// says all of it already.
pub fn renewed(receipt: &Receipt, stats: &BTreeMap<RelPath, Stat>) -> Option<Receipt> {
    let mut after = receipt.clone();
    for file in &mut after.files {
        file.stat = stats.get(&file.path).copied().or(file.stat);
    }
    for link in &mut after.links {
        link.stat = stats.get(&link.path).copied().or(link.stat);
    }
    (after != *receipt).then_some(after)
}
