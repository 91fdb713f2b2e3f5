//! Preflight: everything that keeps a plan from being carried out, all at once, before anything is changed.
//! Only a plan that was cleared here can be applied.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use payload::index::{Index, PackageName};

use crate::error::Finding;
use crate::exit::Exit;
use crate::host::tool::Tool;
use crate::plan::Plan;
use crate::plan::facts::{Anchor, Host};
use crate::plan::step::Step;
use crate::plan::store::Store;
use crate::record::state;

/// A plan without a finding. Made by [`clear`] alone.
#[derive(Debug)]
pub struct ClearedPlan(Arc<Plan>);

impl ClearedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }

    /// The same, for who needs it longer.
    pub fn shared(&self) -> Arc<Plan> {
        Arc::clone(&self.0)
    }
}

/// Clears a plan, or says everything that keeps it from being carried out.
pub fn clear(plan: Plan, index: &Index, host: &Host) -> Result<ClearedPlan, Vec<Finding>> {
    let findings = findings(&plan, index, host);
    if findings.is_empty() { Ok(ClearedPlan(Arc::new(plan))) } else { Err(findings) }
}

/// Everything that keeps a plan from being carried out, the most fundamental first.
pub fn findings(plan: &Plan, index: &Index, host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    privileges(plan, host, &mut findings);
    findings.extend(host.others.unfinished.iter().map(|other| unfinished(other, &host.root)));
    architecture(index, host, &mut findings);
    glibc(index, host, &mut findings);
    tools(plan, host, &mut findings);
    downgrade(plan, index, &mut findings);
    services(plan, host, &mut findings);
    store(host, &mut findings);
    destinations(plan, index, host, &mut findings);
    hard_links(plan, host, &mut findings);
    space(plan, &mut findings);
    accounts(index, host, &mut findings);
    owners(index, host, &mut findings);
    for conflict in &plan.conflicts {
        let hint = if conflict.replaceable {
            "compare it with the package (--extract DIR), then run again with --replace, which keeps a backup"
        } else {
            "move it out of the way, then run again"
        };
        add(&mut findings, Exit::Conflict, format!("{} {}", conflict.path, conflict.problem), hint);
    }
    findings.sort_by_key(|finding| finding.exit);
    findings
}

fn add(findings: &mut Vec<Finding>, exit: Exit, what: String, hint: &str) {
    findings.push(Finding { exit, what, hint: hint.to_owned() });
}

fn privileges(plan: &Plan, host: &Host, findings: &mut Vec<Finding>) {
    if host.live && !host.privileged && !plan.is_empty() {
        let what = "Permission denied: installing needs root".to_owned();
        add(findings, Exit::PermissionDenied, what, "run it with sudo");
    }
}

/// One installation at a time: undoing the other one may need what this one would change. `root` is where both are.
pub fn unfinished(other: &PackageName, root: &Path) -> Finding {
    let program = typed(&root.join(state::stub(other).as_str()));
    // Without `--root` it would recover the machine that it is typed on.
    let below = if root == Path::new("/") { String::new() } else { format!(" --root {}", typed(root)) };
    Finding {
        exit: Exit::Conflict,
        what: format!("an installation of {other} was interrupted, and is not recovered yet"),
        hint: format!("first type: {program} --recover{below}"),
    }
}

/// A path as it is typed into a shell. What no shell takes is shown as it is.
fn typed(path: &Path) -> String {
    let shown = payload::printable(&path.to_string_lossy());
    shlex::try_quote(&shown).map(Cow::into_owned).unwrap_or(shown)
}

fn architecture(index: &Index, host: &Host, findings: &mut Vec<Finding>) {
    let hint = "this package cannot run here: build one with the right --target and assets (x86_64 or ARM)";
    if index.target.arch.name() != host.machine {
        let what = format!("the package is for {}, this machine is {}", index.target.arch, host.machine);
        add(findings, Exit::IncompatibleHost, what, hint);
    }
    for file in &index.files {
        if let Some(elf) = &file.elf
            && elf.machine != host.machine
        {
            let what = format!("{} is a program for {}, this machine is {}", file.path, elf.machine, host.machine);
            add(findings, Exit::IncompatibleHost, what, hint);
        }
    }
}

fn glibc(index: &Index, host: &Host, findings: &mut Vec<Finding>) {
    let Some(wanted) = index.target.glibc else { return };
    let hint = "use a newer release of this distribution, or an older release of the program";
    match host.glibc {
        Some(found) if found < wanted => {
            let what = format!("the shipped programs need glibc {wanted}, this machine has {found}");
            add(findings, Exit::IncompatibleHost, what, hint);
        }
        None if host.live => {
            let what = format!("the shipped programs need glibc {wanted}, and no glibc was found here");
            add(findings, Exit::IncompatibleHost, what, hint);
        }
        _ => {}
    }
}

fn downgrade(plan: &Plan, index: &Index, findings: &mut Vec<Finding>) {
    if let Some(installed) = &plan.downgrade {
        let (name, version) = (&index.package.name, &index.package.version);
        let what =
            format!("this is a downgrade: {name} {installed} is installed, and this signed package is {version}");
        add(
            findings,
            Exit::Conflict,
            what,
            "get the newer package, or, if the older one is meant, add --allow-downgrade",
        );
    }
}

/// A service that may run must not lose its files under it.
fn services(plan: &Plan, host: &Host, findings: &mut Vec<Finding>) {
    if let Some(problem) = &host.systemd_silent
        && host.privileged
        && !plan.is_empty()
    {
        let what = format!("systemd does not say whether the service runs: {problem}");
        add(findings, Exit::IncompatibleHost, what, "see what systemctl status says, then run it again");
    }
    if let Some(units) = &host.units_led_out
        && plan.steps.iter().any(|step| matches!(step, Step::EnableUnit { .. }))
    {
        let what = format!(
            "{} lies behind an absolute link, which systemctl --root would follow out of the image",
            typed(units)
        );
        let hint = "make it a relative link, or leave --enable out and enable the service where the image runs";
        add(findings, Exit::Conflict, what, hint);
    }
}

fn store(host: &Host, findings: &mut Vec<Finding>) {
    if let Store::Unclear(why) = &host.store {
        let what = format!("it is not clear which store the models belong in: {why}");
        let hint = "choose one service and set OLLAMA_MODELS in its unit to a plain absolute path (systemctl edit UNIT), then run it again";
        add(findings, Exit::Conflict, what, hint);
    }
}

fn tools(plan: &Plan, host: &Host, findings: &mut Vec<Finding>) {
    let needed = plan.steps.iter().filter_map(|step| match step {
        Step::CreateGroup(_) => Some(Tool::Groupadd),
        Step::CreateUser { .. } => Some(Tool::Useradd),
        _ => None,
    });
    for tool in needed.filter(|tool| !host.tools.contains(tool)) {
        let what = format!("an account must be created, and this machine has no {}", tool.name());
        add(findings, Exit::IncompatibleHost, what, "create the account by other means, then run again");
    }
}

/// Every file is verified beside its place and linked to where it belongs.
pub const NO_HARD_LINKS: &str = "use a file system such as ext4, xfs or btrfs there, or another prefix in the manifest";

/// A hard link does not lead from one mount to another.
fn hard_links(plan: &Plan, host: &Host, findings: &mut Vec<Finding>) {
    for step in &plan.steps {
        let Step::MakeHardLink { path, to, .. } = step else { continue };
        let (one, other) = (host.anchors.get(&path.parent()), host.anchors.get(&to.parent()));
        if let (Some(one), Some(other)) = (one, other)
            && !one.file_system.is_same_mount(&other.file_system)
        {
            let what = format!("{path} and {to} are one file with two names, and lie on two file systems");
            add(findings, Exit::IncompatibleHost, what, "have both on one file system, or use another prefix");
        }
    }
}

fn destinations(plan: &Plan, index: &Index, host: &Host, findings: &mut Vec<Finding>) {
    // Whether a program goes there. Not by device: a part of a file system may be mounted once more, with other options.
    let mut directories: Vec<(&Anchor, bool)> = Vec::new();
    for place in plan.placed() {
        let Some(anchor) = host.anchors.get(&place.path.parent()) else { continue };
        let program = index.files.get(place.file).is_some_and(|file| file.elf.is_some());
        match directories.iter_mut().find(|(known, _)| known.directory == anchor.directory) {
            Some((_, programs)) => *programs |= program,
            None => directories.push((anchor, program)),
        }
    }
    for (anchor, programs) in directories {
        let directory = anchor.directory.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
        let mut found = |what: &str, next| {
            add(findings, Exit::IncompatibleHost, format!("{directory} is on a file system {what}"), next);
        };
        if anchor.file_system.read_only {
            found("that is mounted read-only", "mount it writable, or choose another prefix in the manifest");
        }
        if anchor.file_system.no_hard_links {
            found("without hard links, such as FAT or exFAT", NO_HARD_LINKS);
        }
        if programs && anchor.file_system.no_exec {
            found(
                "that is mounted noexec: programs would not run there",
                "mount it without noexec, or choose another prefix in the manifest",
            );
        }
    }
}

fn space(plan: &Plan, findings: &mut Vec<Finding>) {
    for space in plan.space.values() {
        let directory = &space.directory;
        if space.bytes > space.available {
            let what = format!(
                "Out of disk space: {directory} needs {}, has {}",
                payload::size(space.bytes),
                payload::size(space.available)
            );
            add(findings, Exit::OutOfDiskSpace, what, "free disk space there, or deploy smaller models");
        }
        if space.free_inodes.is_some_and(|free| free < space.inodes + 16) {
            let what = format!("Out of disk space: {directory} needs {} inodes and has too few", space.inodes);
            add(findings, Exit::OutOfDiskSpace, what, "remove small files there that are not needed");
        }
    }
}

/// Accounts below this number are the system's own (`UID_MIN` of login.defs).
const FIRST_LOGIN_UID: u32 = 1000;

fn accounts(index: &Index, host: &Host, findings: &mut Vec<Finding>) {
    let Some(account) = &index.install.account else { return };
    let is_missing =
        !host.accounts.users.contains_key(&account.user) || !host.accounts.groups.contains_key(&account.group);
    if host.sets_owners() && is_missing && host.accounts.unused.is_none() {
        let what = format!("the account {account} must be made, and no number for system accounts is free");
        add(findings, Exit::Conflict, what, "remove system accounts that nobody needs, or make it by other means");
    }
    let hint = "name another user in the manifest, or rename the account";
    // What an Ollama that is there already runs as is its administrator's choice.
    let given = matches!(host.store, Store::Found(_));
    if let Some(user) = host.accounts.users.get(&account.user) {
        if user.uid == 0 {
            let what = format!("the user {} has uid 0: a service must not run as root", account.user);
            add(findings, Exit::Conflict, what, hint);
        } else if !given && user.uid >= FIRST_LOGIN_UID && has_login_shell(&user.shell) {
            let what = format!("the user {} is a login account ({})", account.user, user.shell);
            add(findings, Exit::Conflict, what, hint);
        }
    }
}

/// Owners that this machine does not know, and that the installation does not make.
fn owners(index: &Index, host: &Host, findings: &mut Vec<Finding>) {
    let account = index.install.account.as_ref();
    let owners = index.files.iter().map(|file| &file.owner);
    let owners = owners.chain(index.directories.iter().map(|directory| &directory.owner));
    let mut unknown = BTreeSet::new();
    for owner in owners {
        let made = account.is_some_and(|account| account.user == owner.user);
        if !owner.user.is_root() && !made && !host.accounts.users.contains_key(&owner.user) {
            unknown.insert(("user", &owner.user));
        }
        let made = account.is_some_and(|account| account.group == owner.group);
        if !owner.group.is_root() && !made && !host.accounts.groups.contains_key(&owner.group) {
            unknown.insert(("group", &owner.group));
        }
    }
    for (kind, name) in unknown {
        let what = format!("files should belong to the {kind} {name}, and there is no such {kind}");
        let hint = format!("create the {kind} {name}, then run again");
        add(findings, Exit::Conflict, what, &hint);
    }
}

fn has_login_shell(shell: &str) -> bool {
    !shell.is_empty() && !shell.ends_with("/nologin") && !shell.ends_with("/false")
}
