//! The plan as JSON, documented in `docs/json.md`.
//! The same for people is in `report/text.rs`.

use std::path::Path;

use payload::index::Index;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::error::Finding;
use crate::host::contents::Sum;
use crate::host::gpu::Gpus;
use crate::plan::Plan;
use crate::plan::facts::Host;
use crate::plan::step::{Replaces, Step};
use crate::record::state;

/// The plan, version 1. What may be ten thousand entries becomes JSON while it is written.
pub struct PlanDocument<'a> {
    head: Map<String, Value>,
    plan: &'a Plan,
    host: &'a Host,
    findings: &'a [Finding],
}

/// What [`PlanDocument`] writes entry by entry.
const LISTS: [&str; 6] = ["steps", "afterwards", "unchanged", "root_power", "notes", "findings"];

impl<'a> PlanDocument<'a> {
    pub fn new(plan: &'a Plan, index: &Index, host: &'a Host, findings: &'a [Finding]) -> Self {
        let mut head = head(plan, index, host);
        head.extend(LISTS.map(|key| (key.to_owned(), Value::Null)));
        Self { head, plan, host, findings }
    }

    /// Says more beside the plan.
    pub fn set(&mut self, key: &str, value: Value) {
        self.head.insert(key.to_owned(), value);
    }
}

impl Serialize for PlanDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { plan, host, .. } = self;
        let step = |one: &Step| step(one, &host.root);
        let mut map = serializer.serialize_map(Some(self.head.len()))?;
        for (key, value) in &self.head {
            map.serialize_key(key)?;
            match key.as_str() {
                "steps" => map.serialize_value(&Each(&plan.steps, step))?,
                "afterwards" => map.serialize_value(&Each(&plan.afterwards, step))?,
                "unchanged" => map.serialize_value(&Each(&plan.unchanged, ToString::to_string))?,
                "root_power" => map.serialize_value(&plan.root_power)?,
                "notes" => map.serialize_value(&plan.notes)?,
                "findings" => map.serialize_value(&Each(self.findings, finding))?,
                _ => map.serialize_value(value)?,
            }
        }
        map.end()
    }
}

/// A list of which each entry becomes JSON when its turn comes.
struct Each<'a, T, F>(&'a [T], F);

impl<T, V: Serialize, F: Fn(&T) -> V> Serialize for Each<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

fn finding(finding: &Finding) -> Value {
    json!({"exit_code": finding.exit as u8, "what": finding.what, "hint": finding.hint})
}

/// All of the plan but the lists that may be long.
fn head(plan: &Plan, index: &Index, host: &Host) -> Map<String, Value> {
    let space: Vec<Value> = plan
        .space
        .values()
        .map(|space| {
            json!({"directory": space.directory, "needed": space.bytes, "available": space.available, "inodes": space.inodes})
        })
        .collect();
    let document = json!({
        "plan": 1,
        "package": {
            "name": index.package.name.as_str(),
            "version": index.package.version,
            "description": index.package.description,
        },
        "optional": host.choice.to_json(),
        "root": host.root.display().to_string(),
        "prefix": index.install.prefix.to_string(),
        "needs_root": host.live && !plan.is_empty(),
        "rollback": plan.rollback,
        "proof": plan.proof.as_ref().map(|proof| json!({"unit": proof.unit, "models": proof.models})),
        "trusted": sum(host.looked_at.trusted),
        "read": sum(host.looked_at.read),
        "space": space,
        "own_files": {
            "directory": state::directory(&index.package.name).to_string(),
            "receipt": state::receipt(&index.package.name).to_string(),
            "program": state::stub(&index.package.name).to_string(),
            "journal": state::journal(&index.package.name).to_string(),
            "log": host.log,
            "staging": plan.areas.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "gpus": host.gpus.as_ref().map(|gpus| gpus.iter().map(gpus_json).collect::<Vec<_>>()),
        "memory": memory(index, host),
        "warnings": warnings(plan),
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

/// Files and their bytes.
pub fn sum(sum: Sum) -> Value {
    json!({"files": sum.files, "bytes": sum.bytes})
}

/// What will probably not work, and what to do about it.
pub fn warnings(plan: &Plan) -> Vec<Value> {
    plan.warnings.iter().map(|warning| json!({"what": warning.what, "hint": warning.hint})).collect()
}

fn memory(index: &Index, host: &Host) -> Value {
    let models = index.models.iter().map(|model| json!({"name": model.name, "needed": model.memory}));
    json!({"available": host.memory, "models": models.collect::<Vec<_>>()})
}

fn gpus_json(gpus: &Gpus) -> Value {
    json!({"vendor": gpus.vendor.name(), "devices": gpus.devices, "driver": gpus.driver})
}

/// One step, on a target whose root is `root`.
pub fn step(step: &Step, root: &Path) -> Value {
    let mut value = json!({"action": step.action(), "text": step.describe()});
    let mut set = |key: &str, content: Value| {
        value[key] = content;
    };
    match step {
        Step::CreateGroup(group) => {
            set("name", json!(group.name.as_str()));
            set("gid", json!(group.id));
        }
        Step::CreateUser { user, group, groups, home } => {
            set("name", json!(user.name.as_str()));
            set("uid", json!(user.id));
            set("group", json!(group.as_str()));
            set("groups", json!(groups.iter().map(payload::AccountName::as_str).collect::<Vec<_>>()));
            set("home", json!(home.to_string()));
        }
        Step::StopUnit { unit } | Step::EnableUnit { unit } | Step::DisableUnit { unit } | Step::StartUnit { unit } => {
            set("unit", json!(unit));
        }
        Step::MakeDirectory { path, mode } => {
            set("path", json!(path.to_string()));
            set("mode", json!(mode.to_string()));
        }
        Step::PlaceFile(place) => {
            set("path", json!(place.path.to_string()));
            set("digest", json!(place.digest.to_string()));
            set("size", json!(place.size));
            set("mode", json!(place.mode.to_string()));
            set("owner", json!(place.owner.as_ref().map(|owner| owner.user.as_str())));
            set("group", json!(place.owner.as_ref().map(|owner| owner.group.as_str())));
            if let Replaces::Foreign { backup, .. } = &place.replaces {
                set("backup", json!(backup.to_string()));
            }
        }
        Step::MakeHardLink { path, to, size, .. } => {
            set("path", json!(path.to_string()));
            set("to", json!(to.to_string()));
            set("size", json!(size));
        }
        Step::MakeSymbolicLink { path, target } | Step::RemoveSymbolicLink { path, target } => {
            set("path", json!(path.to_string()));
            set("target", json!(target));
        }
        Step::RemoveFile { path, .. } | Step::KeepInstaller { path } => set("path", json!(path.to_string())),
        Step::SetOwner { path, mode, owner } => {
            set("path", json!(path.to_string()));
            set("mode", json!(mode.to_string()));
            set("owner", json!(owner.user.as_str()));
            set("group", json!(owner.group.as_str()));
        }
        Step::RestoreLabels { paths } => set("paths", json!(paths.iter().map(ToString::to_string).collect::<Vec<_>>())),
        Step::ReloadSystemd => {}
    }
    if let Some(command) = step.command(root) {
        set("command", json!(command));
    }
    value
}
