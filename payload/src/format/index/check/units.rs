//! Units and models of the index: their names, and the files that make them.
//! What a unit may start, and what already runs on a machine, is the stub's business.

use std::collections::HashMap;

use super::{MAX_SIZE, refuse};
use crate::format::index::{File, Index, Role, Unit};
use crate::{PayloadError, RelPath, UnitName};

pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    let files: HashMap<&RelPath, &File> = index.files.iter().map(|file| (&file.path, file)).collect();
    for unit in &index.units {
        check_unit(unit, &files)?;
    }
    for model in &index.models {
        if files.get(&model.manifest).is_none_or(|file| file.role != Role::ModelManifest) {
            return refuse(format!("model {:?} has no manifest at {}", model.name, model.manifest));
        }
        if model.memory.is_some_and(|bytes| bytes > MAX_SIZE) {
            return refuse(format!("model {:?} takes more memory than {MAX_SIZE} bytes", model.name));
        }
    }
    Ok(())
}

fn check_unit(unit: &Unit, files: &HashMap<&RelPath, &File>) -> Result<(), PayloadError> {
    let name: UnitName =
        unit.name.parse().map_err(|error: crate::UnitNameError| PayloadError::Format(error.to_string()))?;
    let is_unit_file = |path: &RelPath| files.get(path).is_some_and(|file| file.role == Role::Unit);
    if !name.is_at(&unit.path) || !is_unit_file(&unit.path) {
        return refuse(format!("unit {name} is not in {}, or not in a directory that systemd reads", unit.path));
    }
    match &unit.drop_in {
        Some(path) if !name.has_drop_in_at(path) || !is_unit_file(path) => {
            refuse(format!("{path} is no drop-in of unit {name}"))
        }
        _ => Ok(()),
    }
}
