//! A package and a plan as people read them. The same for programs is in `report/json.rs`.
//! What is in a plan is decided in `plan.rs`.

use payload::index::{ComponentKind, Index, Role};
use payload::printable;

use crate::error::Finding;
use crate::plan::Plan;
use crate::plan::facts::Host;
use crate::plan::step::{PlaceFile, Step};

/// What the package is, in a few lines.
pub fn package(index: &Index) -> Vec<String> {
    let package = &index.package;
    let blobs: u64 = index.blobs.iter().map(|blob| blob.size).sum();
    let mut lines = vec![format!("{} {} for {} Linux", package.name, printable(&package.version), index.target.arch)];
    if !package.description.is_empty() {
        lines.push(printable(&package.description));
    }
    for component in &index.components {
        let kind = match component.kind {
            ComponentKind::ExternalBinary => "program",
            ComponentKind::ModelFile => "model",
            ComponentKind::ConfigFile => "configuration",
        };
        lines.push(format!("  {kind:14} {}", printable(&component.name)));
    }
    lines.push(format!("{} files, {} when installed", index.files.len(), payload::size(blobs)));
    lines
}

/// The plan, in the order in which it is carried out.
pub fn plan(plan: &Plan, index: &Index, host: &Host, findings: &[Finding]) -> Vec<String> {
    let mut lines = package(index);
    lines.push(String::new());
    if plan.is_empty() {
        lines.push("Everything is installed as the package wants it: nothing to do.".to_owned());
    }
    for (title, belongs) in SECTIONS {
        let steps: Vec<&Step> = plan.steps.iter().chain(&plan.afterwards).filter(|step| belongs(step)).collect();
        if !steps.is_empty() {
            lines.push(format!("{title}:"));
            lines.extend(steps.iter().map(|step| format!("  {}", printable(&step.describe()))));
        }
    }
    if !plan.root_power.is_empty() {
        lines.push("These decide what runs as root on this machine:".to_owned());
        lines.extend(plan.root_power.iter().map(|sentence| format!("  {}", printable(sentence))));
    }
    commands(plan, host, &mut lines);
    for space in plan.space.values() {
        let (directory, needed, available) =
            (&space.directory, payload::size(space.bytes), payload::size(space.available));
        lines.push(format!("Disk space: {directory} takes {needed}, has {available}"));
    }
    lines.push(privileges(plan, host));
    lines.extend(plan.notes.iter().map(|note| format!("Note: {}", printable(note))));
    lines.extend(service(plan, index));
    if !findings.is_empty() {
        lines.push("What speaks against it:".to_owned());
        for finding in findings {
            lines.push(format!("  - {} (exit code {})", printable(&finding.what), finding.exit as u8));
            lines.push(format!("    next: {}", finding.hint));
        }
    }
    lines
}

type Section = (&'static str, fn(&Step) -> bool);

const SECTIONS: [Section; 9] = [
    ("Services to stop", |step| matches!(step, Step::StopUnit { .. } | Step::DisableUnit { .. })),
    ("1. Accounts", |step| matches!(step, Step::CreateGroup(_) | Step::CreateUser { .. })),
    ("2. Directories", |step| matches!(step, Step::MakeDirectory { .. })),
    ("3. Programs, libraries and configuration", |step| match step {
        Step::PlaceFile(place) => matches!(place.role, Role::Program | Role::Config),
        Step::MakeSymbolicLink { .. } | Step::RemoveFile { .. } | Step::RemoveSymbolicLink { .. } => true,
        _ => false,
    }),
    ("4. Models", |step| match step {
        Step::PlaceFile(place) => matches!(place.role, Role::ModelBlob | Role::ModelManifest),
        Step::MakeHardLink { .. } => true,
        _ => false,
    }),
    ("5. Ownership and permissions (files get theirs before they become visible)", |step| {
        matches!(step, Step::SetOwner { .. })
    }),
    ("6. systemd units", |step| matches!(step, Step::PlaceFile(PlaceFile { role: Role::Unit, .. }))),
    ("SELinux", |step| matches!(step, Step::RestoreLabels { .. })),
    ("7. systemd", |step| matches!(step, Step::ReloadSystemd | Step::EnableUnit { .. } | Step::StartUnit { .. })),
];

fn commands(plan: &Plan, host: &Host, lines: &mut Vec<String>) {
    let steps = plan.steps.iter().chain(&plan.afterwards);
    let commands: Vec<String> =
        steps.filter_map(|step| step.command(&host.root)).map(|words| shortened(&words)).collect();
    if !commands.is_empty() {
        lines.push("Commands that will run:".to_owned());
        lines.extend(commands.iter().map(|command| format!("  {}", printable(command))));
    }
}

/// A command line on one line, without the end of a long list.
fn shortened(words: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = words.len().saturating_sub(SHOWN);
    let shown = words[..words.len() - more].join(" ");
    if more == 0 { shown } else { format!("{shown} … and {more} more paths") }
}

fn privileges(plan: &Plan, host: &Host) -> String {
    match (plan.is_empty(), host.live, host.privileged) {
        (true, ..) => "Required permissions: none".to_owned(),
        (false, true, true) => "Required permissions: root (this is root)".to_owned(),
        (false, true, false) => "Required permissions: root (run --install with sudo)".to_owned(),
        (false, false, _) => "Required permissions: write access to the given root".to_owned(),
    }
}

fn service(plan: &Plan, index: &Index) -> Option<String> {
    let touched = plan
        .steps
        .iter()
        .chain(&plan.afterwards)
        .any(|step| matches!(step, Step::EnableUnit { .. } | Step::StartUnit { .. }));
    let unit = index.units.first()?;
    (!touched && !plan.is_empty()).then(|| format!("{} is neither enabled nor started (--enable, --start)", unit.name))
}
