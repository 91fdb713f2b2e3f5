//! A package and a plan as people read them. The same for programs is in `report/json.rs`.
//! What is in a plan is decided in `plan.rs`.

use payload::index::{ComponentKind, Index, Role};
use payload::printable;

use super::summary;
use crate::error::Finding;
use crate::exit::Exit;
use crate::host::contents::{Sum, Tally};
use crate::plan::facts::Host;
use crate::plan::gpus;
use crate::plan::memory;
use crate::plan::step::{PlaceFile, Step};
use crate::plan::{Plan, Warning};
use crate::record::state;

/// What the package is, in a few lines.
pub fn package(index: &Index) -> Vec<String> {
    let package = &index.package;
    // The installer's own command is in the plan, and not in the package.
    let own = index.files.iter().find(|file| file.role == Role::Installer).map(|file| file.blob);
    let blobs: u64 = index.blobs.iter().filter(|blob| Some(blob.digest) != own).map(|blob| blob.size).sum();
    let files = index.files.len() - usize::from(own.is_some());
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
        let optional = if component.required { "" } else { " (optional)" };
        lines.push(format!("  {kind:14} {}{optional}", printable(&component.name)));
    }
    lines.push(format!("{files} files, {} when installed", payload::size(blobs)));
    lines
}

/// The plan, in the order in which it is carried out: in sums, or with `every_path` each step on a line of its own.
pub fn plan(plan: &Plan, index: &Index, host: &Host, findings: &[Finding], every_path: bool) -> Vec<String> {
    let mut lines = package(index);
    lines.extend(host.choice.line());
    lines.push(String::new());
    if plan.is_empty() {
        lines.push(match &host.receipt {
            Some(receipt) if receipt.version != index.package.version => format!(
                "Every file is installed already: only the receipt changes, from version {}.",
                payload::printable(&receipt.version)
            ),
            _ => "Nothing to do: everything is installed already.".to_owned(),
        });
    }
    let mut number = 0;
    for (title, belongs, sums) in SECTIONS {
        let steps: Vec<&Step> = plan.steps.iter().chain(&plan.afterwards).filter(|step| belongs(step)).collect();
        if !steps.is_empty() {
            number += 1;
            lines.push(format!("{number}. {title}:"));
            let told = if every_path { summary::each(&steps) } else { sums(&steps) };
            lines.extend(told.iter().map(|line| format!("  {line}")));
        }
    }
    if !plan.is_empty() && !plan.unchanged.is_empty() {
        lines.push(format!("Unchanged: {}", summary::plural(plan.unchanged.len(), "entry")));
        if every_path {
            lines.extend(plan.unchanged.iter().map(|path| format!("  {}", printable(&path.to_string()))));
        }
    }
    lines.extend(trusted(&host.looked_at, "--verify-installed"));
    if !plan.root_power.is_empty() {
        lines.push("These decide what runs as root on this machine:".to_owned());
        lines.extend(plan.root_power.iter().map(|sentence| format!("  {}", printable(sentence))));
    }
    commands(plan, host, &mut lines);
    own_files(plan, index, host, &mut lines);
    for space in plan.space.values() {
        let (directory, needed, available) =
            (&space.directory, payload::size(space.bytes), payload::size(space.available));
        lines.push(format!("Disk space: {directory} needs {needed}, {available} are free"));
    }
    lines.extend(memory(index, host));
    if let Some(gpus) = host.gpus.as_ref().filter(|_| gpus::brings_ollama(index)) {
        lines.push(format!("GPUs of this machine: {}", gpus::describe(gpus)));
    }
    lines.push(privileges(plan, host));
    lines.extend(plan.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines.extend(warnings(plan));
    lines.extend(service(plan, index));
    // That it is not root who looks is no problem of the plan: the line about permissions says it.
    let problems: Vec<&Finding> = findings.iter().filter(|finding| finding.exit != Exit::PermissionDenied).collect();
    if !problems.is_empty() {
        lines.push("Problems:".to_owned());
        for finding in problems {
            lines.push(format!("  - {} (exit code {})", printable(&finding.what), finding.exit as u8));
            lines.push(format!("    next: {}", finding.hint));
        }
    }
    lines
}

/// What nobody has read, in one line, with the `option` that reads it.
pub fn trusted(looked_at: &Tally, option: &str) -> Option<String> {
    let Sum { files, bytes } = looked_at.trusted;
    (files > 0).then(|| {
        let (files, bytes) = (summary::plural(files, "file"), payload::size(bytes));
        format!("Trusted without reading: {files}, {bytes}: inode, size and times are as in the receipt ({option} reads all)")
    })
}

/// What will probably not work, and what to do about it.
pub fn warnings(plan: &Plan) -> impl Iterator<Item = String> {
    warning_lines(plan.warnings.iter())
}

/// The same of some warnings alone.
pub fn warning_lines<'a>(warnings: impl Iterator<Item = &'a Warning>) -> impl Iterator<Item = String> {
    warnings.flat_map(|warning| [format!("warning: {}", warning.what), format!("  next: {}", warning.hint)])
}

fn memory(index: &Index, host: &Host) -> Option<String> {
    let (model, needed) = memory::largest(index)?;
    let has = host.memory.map_or_else(String::new, |bytes| format!("; this machine has {}", payload::size(bytes)));
    Some(format!("Memory: {} takes about {} while it answers{has}", printable(&model.name), payload::size(needed)))
}

/// What the installer keeps on the target for itself.
fn own_files(plan: &Plan, index: &Index, host: &Host, lines: &mut Vec<String>) {
    if plan.is_empty() {
        return;
    }
    let name = &index.package.name;
    lines.push("The installer keeps for itself, as root:".to_owned());
    let (directory, program) = (state::directory(name), payload::size(index.build.stub.size));
    lines.push(format!(
        "  {directory}/ with the receipt, and {} ({program}) for --status and --uninstall",
        state::stub(name)
    ));
    lines.extend(host.log.iter().map(|log| format!("  what was done, and by whom, in {log} (--history)")));
    let lock =
        if host.live { "/run/airgap-deploy.lock".to_owned() } else { format!("a lock on {}", host.root.display()) };
    lines.push(format!("  while it runs: {}, {}", state::journal(name), printable(&lock)));
    let areas: Vec<String> = plan.areas.iter().map(|area| printable(&format!("{area}/"))).collect();
    if !areas.is_empty() {
        lines.push(format!("  while it runs: verified copies in {}", areas.join(", ")));
    }
}

/// A title, what belongs under it, and how it is told in few lines.
type Section = (&'static str, fn(&Step) -> bool, fn(&[&Step]) -> Vec<String>);

const SECTIONS: [Section; 10] = [
    ("Services to stop", |step| matches!(step, Step::StopUnit { .. } | Step::DisableUnit { .. }), summary::each),
    ("Accounts", |step| matches!(step, Step::CreateGroup(_) | Step::CreateUser { .. }), summary::each),
    ("Directories", |step| matches!(step, Step::MakeDirectory { .. }), summary::directories),
    (
        "Programs, libraries and configuration",
        |step| match step {
            Step::PlaceFile(place) => matches!(place.role, Role::Program | Role::Config | Role::Installer),
            Step::MakeSymbolicLink { .. } | Step::RemoveFile { .. } | Step::RemoveSymbolicLink { .. } => true,
            _ => false,
        },
        summary::by_directory,
    ),
    (
        "Models",
        |step| match step {
            Step::PlaceFile(place) => matches!(place.role, Role::ModelBlob | Role::ModelManifest),
            Step::MakeHardLink { .. } => true,
            _ => false,
        },
        summary::by_directory,
    ),
    (
        "Ownership and permissions (files get theirs before they become visible)",
        |step| matches!(step, Step::SetOwner { .. }),
        summary::owners,
    ),
    ("systemd units", |step| matches!(step, Step::PlaceFile(PlaceFile { role: Role::Unit, .. })), summary::each),
    ("SELinux", |step| matches!(step, Step::RestoreLabels { .. }), summary::each),
    ("The installer itself", |step| matches!(step, Step::KeepInstaller { .. }), summary::each),
    (
        "systemd",
        |step| matches!(step, Step::ReloadSystemd | Step::EnableUnit { .. } | Step::StartUnit { .. }),
        summary::each,
    ),
];

fn commands(plan: &Plan, host: &Host, lines: &mut Vec<String>) {
    let steps = plan.steps.iter().chain(&plan.afterwards);
    let commands: Vec<String> =
        steps.filter_map(|step| step.command(&host.root)).map(|words| shortened(&words)).collect();
    if !commands.is_empty() {
        lines.push("Commands that will run:".to_owned());
        lines.extend(commands.iter().map(|command| format!("  {}", printable(command))));
    }
    if let Some(proof) = &plan.proof {
        let models = if proof.models.is_empty() { "its version".to_owned() } else { proof.models.join(", ") };
        lines.push(printable(&format!(
            "Then {} is asked, through systemd-run and systemd-socket-proxyd: {models}",
            proof.unit
        )));
    }
    if plan.rollback && plan.steps.iter().any(|step| matches!(step, Step::StartUnit { .. })) {
        lines.push("If the service does not start, or a model does not answer, everything is rolled back.".to_owned());
    }
}

/// A command line on one line, without the end of a long list.
fn shortened(words: &[String]) -> String {
    const SHOWN: usize = 16;
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
    (!touched && !plan.is_empty())
        .then(|| format!("{} will not be enabled or started: --enable and --start do that", unit.name))
}
