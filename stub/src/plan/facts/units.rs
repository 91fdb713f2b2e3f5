//! What systemd says of the package's units before planning.
//! What is made of that is in `plan/services.rs`.

use std::collections::HashMap;

use payload::index::Index;
use payload::{RelPath, UNIT_DIRECTORIES};

use crate::host::root::{Found, FsError, Root};
use crate::host::tool::Tool;
use crate::host::unit::{Enabler, Manager, UnitState, systemd_runs};
use crate::plan::store::Store;
use crate::record::receipt::Receipt;

/// Whether units can be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Systemd {
    Running,
    /// Not the init system of this machine, or not running.
    Absent,
    /// The target is not the running system.
    OtherRoot,
}

pub(super) fn systemd(root: &Root) -> Systemd {
    if !root.is_live() {
        Systemd::OtherRoot
    } else if systemd_runs() && Tool::Systemctl.find().is_some() {
        Systemd::Running
    } else {
        Systemd::Absent
    }
}

pub(super) fn units(
    root: &Root,
    systemd: Systemd,
    index: &Index,
    receipt: Option<&Receipt>,
    store: &Store,
) -> (HashMap<String, UnitState>, Option<String>) {
    let (mut units, mut silent) = (HashMap::new(), None);
    let shipped = index.units.iter().map(|unit| &unit.name);
    let manager = Manager::of(root).filter(|_| systemd == Systemd::Running);
    let of_the_store = match store {
        Store::Found(store) if manager.is_some() => store.unit.as_ref(),
        _ => None,
    };
    let names = shipped.chain(receipt.iter().flat_map(|receipt| &receipt.units)).chain(of_the_store);
    // What was not installed yet is not enabled.
    let enabler = Enabler::of(root).filter(|_| receipt.is_some());
    for name in names {
        let state = match (manager, &enabler) {
            (Some(manager), _) => manager.look(name),
            (None, Some(enabler)) => enabler.look(name),
            (None, None) => continue,
        };
        match state {
            Ok(state) => drop(units.insert(name.clone(), state)),
            Err(error) => silent = Some(error.to_string()),
        }
    }
    (units, silent)
}

/// Which of the units are there already under another path, made by somebody else: the package's would take their place.
pub(super) fn namesakes(index: &Index, root: &Root, receipt: Option<&Receipt>) -> Result<Vec<RelPath>, FsError> {
    let mut namesakes = Vec::new();
    for unit in &index.units {
        let own = root.look(&unit.path)?;
        for path in UNIT_DIRECTORIES.iter().filter_map(|directory| format!("{directory}/{}", unit.name).parse().ok()) {
            let ours = path == unit.path || receipt.is_some_and(|receipt| receipt.file(&path).is_some());
            match (root.look(&path)?, &own) {
                (Found::Absent | Found::Hidden, _) => {}
                // /lib is a link to /usr/lib on most machines.
                (Found::File(found), Found::File(own)) if (found.device, found.inode) == (own.device, own.inode) => {}
                _ if ours => {}
                (found, _) => namesakes.push((path, found)),
            }
        }
    }
    // Two names of one directory are one namesake.
    namesakes.dedup_by(|(_, one), (_, other)| one == other);
    Ok(namesakes.into_iter().map(|(path, _)| path).collect())
}
