//! Places and permissions that no honest package asks for: refused, whoever made it.
//! What remains, and still decides what runs as root, is shown with the plan by the stub.

use super::refuse;
use crate::format::index::Index;
use crate::names::{BACKUP_SUFFIX, COMMAND, HIDDEN_STATE_PREFIX, LOG_DIRECTORY, STAGING_PREFIX, STATE_DIRECTORY};
use crate::{Mode, PayloadError, RelPath};

/// The kernel's own, what is empty after a boot, what the machine boots from, and other people's.
pub(super) const NEVER: &[&str] =
    &["boot", "dev", "lost+found", "proc", "root", "run", "sys", "tmp", "var/run", "var/tmp"];

/// What the installer keeps for itself, and the keys that it trusts.
pub(super) const INSTALLERS: &[&str] = &["etc/airgap-deploy", COMMAND, STATE_DIRECTORY, LOG_DIRECTORY];

/// Who may log in, become root, or run something before systemd does.
pub(super) const ACCOUNTS_AND_BOOT: &[&str] = &[
    "etc/fstab",
    "etc/group",
    "etc/group-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/ld.so.cache",
    "etc/ld.so.preload",
    "etc/machine-id",
    "etc/nsswitch.conf",
    "etc/pam.conf",
    "etc/pam.d",
    "etc/passwd",
    "etc/passwd-",
    "etc/securetty",
    "etc/security",
    "etc/selinux",
    "etc/shadow",
    "etc/shadow-",
    "etc/ssh",
    "etc/subgid",
    "etc/subuid",
    "etc/sudo.conf",
    "etc/sudoers",
    "etc/sudoers.d",
    "etc/systemd/system-generators",
    "etc/systemd/user-generators",
    "usr/lib/systemd/system-generators",
    "usr/lib/systemd/user-generators",
    "usr/local/lib/systemd/system-generators",
    "usr/local/lib/systemd/user-generators",
    "lib/systemd/system-generators",
    "lib/systemd/user-generators",
];

/// Where the distribution keeps its programs.
pub(super) const PROGRAMS: &[&str] = &["bin", "sbin", "usr/bin", "usr/sbin"];
/// Programs that people give their password to, or that a machine does not boot without.
pub(super) const SYSTEM_PROGRAMS: &[&str] = &[
    "agetty",
    "bash",
    "busybox",
    "dash",
    "doas",
    "getent",
    "getty",
    "groupadd",
    "groupdel",
    "init",
    "kmod",
    "ld.so",
    "login",
    "mount",
    "passwd",
    "pkexec",
    "restorecon",
    "sh",
    "ssh",
    "sshd",
    "su",
    "sudo",
    "systemctl",
    "systemd",
    "udevadm",
    "umount",
    "useradd",
    "userdel",
];

/// Directories that no package has for itself alone.
pub(super) const SHARED: &[&str] = &[
    "bin",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "media",
    "mnt",
    "sbin",
    "usr",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/lib64",
    "usr/libexec",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/mail",
    "var/spool",
];
/// A prefix is not even below these.
pub(super) const NOT_FOR_PREFIXES: &[&str] =
    &["bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr/bin", "usr/sbin"];

/// Groups whose members can become root, or read what only root may.
pub(super) const PRIVILEGED_GROUPS: &[&str] = &[
    "adm",
    "admin",
    "disk",
    "docker",
    "incus-admin",
    "kmem",
    "libvirt",
    "lxd",
    "root",
    "shadow",
    "staff",
    "sudo",
    "systemd-journal",
    "tty",
    "wheel",
];

const WRITABLE_BY_ALL: u32 = 0o002;

pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    refuse_if(prefix_problem(&index.install.prefix))?;
    account(index)?;
    command(index)?;
    for directory in &index.directories {
        refuse_if(place_problem(&directory.path))?;
        permissions(&directory.path, directory.mode)?;
    }
    for file in &index.files {
        refuse_if(file_problem(&file.path))?;
        permissions(&file.path, file.mode)?;
    }
    index.links.iter().try_for_each(|link| refuse_if(file_problem(&link.path)))
}

fn refuse_if(problem: Option<String>) -> Result<(), PayloadError> {
    problem.map_or(Ok(()), refuse)
}

fn is_below(path: &RelPath, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| path.as_str().strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Why no package can have this directory for itself, if it cannot.
pub fn prefix_problem(prefix: &RelPath) -> Option<String> {
    if SHARED.contains(&prefix.as_str()) || is_below(prefix, NOT_FOR_PREFIXES) || is_below(prefix, NEVER) {
        return Some(format!(
            "its prefix {prefix} belongs to the system; a directory such as /opt/ollama is one of its own"
        ));
    }
    None
}

fn account(index: &Index) -> Result<(), PayloadError> {
    let Some(account) = &index.install.account else { return Ok(()) };
    if account.user.is_root() {
        return refuse("its service would run as root");
    }
    if PRIVILEGED_GROUPS.contains(&account.group.as_str()) {
        return refuse(format!(
            "its service would run with the group {}, whose members can become root",
            account.group
        ));
    }
    Ok(())
}

/// The installer's command has a place of its own, among the programs of administrators or anywhere that a file could be.
fn command(index: &Index) -> Result<(), PayloadError> {
    let Some(path) = &index.install.command else { return Ok(()) };
    refuse_if(command_problem(path))?;
    let taken = index.files.iter().map(|file| &file.path).chain(index.links.iter().map(|link| &link.path));
    let taken = taken.chain(index.directories.iter().map(|directory| &directory.path));
    let service = index.directories.iter().filter(|directory| !directory.owner.user.is_root());
    if taken.clone().any(|other| path.starts_with(other) && !index.directories.iter().any(|entry| entry.path == *other))
        || taken.clone().any(|other| other.starts_with(path))
    {
        return refuse(format!("its command {path} is in the way of what it installs"));
    }
    if service.clone().any(|directory| path.starts_with(&directory.path)) {
        return refuse(format!("its command {path} would lie in a directory of the service"));
    }
    Ok(())
}

/// Why the installer's command cannot be at `path`, if it cannot.
pub fn command_problem(path: &RelPath) -> Option<String> {
    if path.as_str() == COMMAND { None } else { file_problem(path) }
}

/// Why no package may have anything at `path`, if none may.
fn place_problem(path: &RelPath) -> Option<String> {
    if is_below(path, NEVER) {
        return Some(format!("{path} is no place for a package"));
    }
    let begins = |name: &str| [STAGING_PREFIX, HIDDEN_STATE_PREFIX].iter().any(|own| name.starts_with(own));
    let own_name = |name: &str| begins(name) || name.contains(BACKUP_SUFFIX);
    if is_below(path, INSTALLERS) || path.components().any(own_name) {
        return Some(format!("{path} is a name that the installer keeps for itself"));
    }
    is_below(path, ACCOUNTS_AND_BOOT).then(|| format!("{path} decides who can become root: no package needs it"))
}

/// Why no package may have a file or link at `path`, if none may.
pub fn file_problem(path: &RelPath) -> Option<String> {
    if let Some(problem) = place_problem(path) {
        return Some(problem);
    }
    let in_programs = path.parent().is_some_and(|parent| PROGRAMS.contains(&parent.as_str()));
    if in_programs && SYSTEM_PROGRAMS.contains(&path.name()) {
        return Some(format!("{path} is a program of the system: no package needs it"));
    }
    // In the place of a directory that every machine has.
    (SHARED.contains(&path.as_str()) || !path.as_str().contains('/'))
        .then(|| format!("{path} is a directory on every machine, and no directory here"))
}

fn permissions(path: &RelPath, mode: Mode) -> Result<(), PayloadError> {
    if mode.bits() & WRITABLE_BY_ALL != 0 {
        return refuse(format!("{path} could be changed by anybody (mode {mode})"));
    }
    Ok(())
}
