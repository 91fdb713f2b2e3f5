//! `--purge`: what else stands below the directories that the package made, whoever put it there.
//! What goes without it is planned in `plan/removal.rs`.

use std::collections::BTreeSet;

use payload::RelPath;

use super::{Removal, UninstallPlan};
use crate::host::machine::Machine;
use crate::host::root::{Found, FsError};

/// Plans the removal of everything below the package's own directories `made` that does not go anyway.
pub(super) fn plan(made: &[&RelPath], machine: &Machine, plan: &mut UninstallPlan) -> Result<(), FsError> {
    let mut known: BTreeSet<RelPath> = made.iter().map(|path| (*path).clone()).collect();
    known.extend(plan.removals.iter().filter_map(|removal| match removal {
        Removal::File { path, .. } | Removal::Restore { path, .. } => Some(path.clone()),
        _ => None,
    }));
    // What others need stays where it is.
    known.extend(plan.needed.iter().filter_map(|needed| needed.what.strip_prefix('/')?.parse().ok()));
    let mut purge = Purge { machine, known, plan };
    for path in made {
        let inside_another = made.iter().any(|other| other != path && path.starts_with(other));
        if !inside_another && matches!(machine.root.look(path)?, Found::Directory(_)) {
            purge.below(path)?;
        }
    }
    // What was changed below these directories goes with everything else there.
    plan.kept.retain(|kept| !made.iter().any(|directory| kept.path.starts_with(directory)));
    Ok(())
}

struct Purge<'a> {
    machine: &'a Machine,
    known: BTreeSet<RelPath>,
    plan: &'a mut UninstallPlan,
}

impl Purge<'_> {
    fn below(&mut self, directory: &RelPath) -> Result<(), FsError> {
        let root = &self.machine.root;
        let here = root.file_system(Some(directory))?;
        let mut unusual = false;
        for name in root.names(directory)? {
            let Ok(path) = directory.join(&name) else {
                unusual = true;
                continue;
            };
            match root.look(&path)? {
                // What is mounted there is not the package's: the directory stays, and is reported.
                Found::Directory(_) if !root.file_system(Some(&path))?.is_same_mount(&here) => {}
                Found::Directory(_) => {
                    self.below(&path)?;
                    if !self.known.contains(&path) {
                        self.plan.removals.push(Removal::Directory { path });
                    }
                }
                // Not gone since: a name that is no UTF-8 was listed as another one.
                Found::Absent => unusual = true,
                _ if self.known.contains(&path) => {}
                seen => self.plan.removals.push(Removal::File { path, seen }),
            }
        }
        if unusual {
            self.plan.removals.push(Removal::UnusualNames { directory: directory.clone() });
        }
        Ok(())
    }
}
