//! The plan of an uninstallation as people and programs read it; the JSON is documented in `docs/json.md`.
//! What goes and what stays is decided in `plan/removal.rs`.

use std::collections::BTreeMap;

use payload::printable;
use serde_json::{Value, json};

use crate::plan::removal::{Remainder, UninstallPlan};
use crate::record::receipt::Receipt;

/// What would go, and what would stay.
pub fn lines(receipt: &Receipt, plan: &UninstallPlan, stays: &[Remainder]) -> Vec<String> {
    let mut lines = vec![format!("{} {} would be uninstalled:", receipt.package, printable(&receipt.version))];
    // Directories that stay are named below, with what keeps them.
    let removals = plan.removals.iter().map(|removal| format!("  {}", printable(&removal.describe())));
    lines.extend(removals);
    lines.extend(needed(plan));
    if !stays.is_empty() {
        lines.push("What would stay:".to_owned());
        lines.extend(stays.iter().map(|kept| format!("  {}", printable(&kept.why))));
    }
    lines.push("Nothing was changed.".to_owned());
    lines
}

/// What stays because others need it, one line for each set of these; and whose models go.
pub fn needed(plan: &UninstallPlan) -> Vec<String> {
    let mut by_packages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for needed in &plan.needed {
        by_packages.entry(needed.by.join(", ")).or_default().push(&needed.what);
    }
    let stays = by_packages.iter();
    let stays = stays.map(|(by, what)| printable(&format!("stays, needed by {by}: {}", what.join(", "))));
    let models = (!plan.models_of_others.is_empty()).then(|| {
        let models = printable(&plan.models_of_others.join(", "));
        format!("--purge also removes models that did not come with the package: {models}")
    });
    stays.chain(models).collect()
}

/// The same for programs, version 1; also of an uninstallation that was carried out.
pub fn json(receipt: &Receipt, plan: &UninstallPlan, stays: &[Remainder], dry_run: bool) -> Value {
    let removals = plan.removals.iter();
    let removals: Vec<Value> =
        removals.map(|removal| json!({"action": removal.action(), "text": removal.describe()})).collect();
    let needed: Vec<Value> = plan.needed.iter().map(|needed| json!({"what": needed.what, "by": needed.by})).collect();
    let stays: Vec<Value> = stays.iter().map(|kept| json!({"path": kept.path.to_string(), "why": kept.why})).collect();
    json!({
        "uninstall": 1,
        "package": receipt.package.as_str(),
        "version": receipt.version,
        "dry_run": dry_run,
        "removals": removals,
        "needed": needed,
        "models_of_others": plan.models_of_others,
        "stays": stays,
    })
}
