//! What of a package decides what runs as root on this machine: said in the plan, in a section of its own.
//! What no honest package asks for is refused when the index is read, in the crate `payload`.

use payload::index::{Index, Role};
use payload::{RelPath, UnitName};

use super::facts::Host;

/// Directories whose files root's programs obey or run, and what that means.
const OBEYED: [(&str, &str); 38] = [
    ("etc/anacrontab", "cron runs it, as root"),
    ("etc/apt", "apt obeys it"),
    ("etc/bash.bashrc", "every shell runs it, root's too"),
    ("etc/binfmt.d", "the kernel starts programs as it says"),
    ("etc/cron.d", "cron runs it, as the user it names"),
    ("etc/cron.daily", "cron runs it as root"),
    ("etc/cron.hourly", "cron runs it as root"),
    ("etc/cron.monthly", "cron runs it as root"),
    ("etc/cron.weekly", "cron runs it as root"),
    ("etc/crontab", "cron runs it, as the user it names"),
    ("etc/dbus-1", "D-Bus obeys it"),
    ("etc/environment", "every login obeys it, root's too"),
    ("etc/grub.d", "it is run as root when the boot loader is set up"),
    ("etc/init.d", "it is run as root on boot"),
    ("etc/initramfs-tools", "it becomes part of what boots the machine"),
    ("etc/kernel", "it is run as root with every new kernel"),
    ("etc/ld.so.conf", "every program loads libraries from where it says"),
    ("etc/ld.so.conf.d", "every program loads libraries from where it says"),
    ("etc/logrotate.d", "logrotate obeys it, as root"),
    ("etc/modprobe.d", "the kernel's modules are loaded as it says"),
    ("etc/modules-load.d", "the kernel's modules are loaded as it says"),
    ("etc/NetworkManager", "NetworkManager obeys it"),
    ("etc/network", "it is run as root when a network comes up"),
    ("etc/polkit-1", "it decides who may do what root may"),
    ("etc/profile", "every login runs it, root's too"),
    ("etc/profile.d", "every login runs it, root's too"),
    ("etc/rc.local", "it is run as root on boot"),
    ("etc/sysctl.d", "the kernel's settings follow it"),
    ("etc/sysusers.d", "systemd makes accounts as it says"),
    ("etc/tmpfiles.d", "systemd makes and removes files as it says, as root"),
    ("etc/udev", "udev runs what it says, as root"),
    ("usr/lib/tmpfiles.d", "systemd makes and removes files as it says, as root"),
    ("usr/lib/udev", "udev runs what it says, as root"),
    ("usr/share/dbus-1", "D-Bus obeys it"),
    ("usr/share/polkit-1", "it decides who may do what root may"),
    ("lib/modules", "the kernel loads it"),
    ("lib/udev", "udev runs what it says, as root"),
    ("var/spool/cron", "cron runs it, as the user it is named after"),
];
/// Where programs are found by their name alone.
const SEARCHED: [&str; 6] = ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];
/// Where every program finds its libraries.
const LIBRARIES: [&str; 6] = ["lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"];
const SYSTEMD: [&str; 4] = ["etc/systemd", "usr/lib/systemd", "lib/systemd", "usr/local/lib/systemd"];

/// One sentence for each thing, in the order of the index.
pub fn sentences(index: &Index, host: &Host) -> Vec<String> {
    let files = index.files.iter().map(|file| (&file.path, Some(file.role)));
    let links = index.links.iter().map(|link| (&link.path, None));
    let mut said: Vec<String> = files.chain(links).filter_map(|(path, role)| of_path(path, role, index)).collect();
    if let Some(account) = &index.install.account
        && !host.accounts.users.contains_key(&account.user)
        && host.accounts.groups.contains_key(&account.group)
    {
        let group = &account.group;
        said.push(format!("user {} is new, and joins the group {group}, which is there already", account.user));
    }
    said
}

fn of_path(path: &RelPath, role: Option<Role>, index: &Index) -> Option<String> {
    let unit = index.units.iter().find(|unit| unit.path == *path || unit.drop_in.as_ref() == Some(path));
    if let Some(unit) = unit {
        return Some(if unit.path == *path {
            format!("{path}: systemd runs what it says, as the user it names, else as root")
        } else {
            format!("{path}: it changes what {} says", unit.name)
        });
    }
    let own_drop_in =
        |unit: &payload::index::Unit| unit.name.parse::<UnitName>().is_ok_and(|name| name.has_drop_in_at(path));
    if SYSTEMD.iter().any(|directory| is_below(path, directory)) {
        let whose = if index.units.iter().any(own_drop_in) { "its own unit" } else { "what is not of this package" };
        return Some(format!("{path}: systemd obeys it, for {whose}"));
    }
    if let Some((_, means)) = OBEYED.iter().find(|(directory, _)| is_below(path, directory)) {
        return Some(format!("{path}: {means}"));
    }
    let parent = path.parent();
    let lies_in = |directories: &[&str]| parent.as_ref().is_some_and(|parent| directories.contains(&parent.as_str()));
    if lies_in(&SEARCHED) {
        return Some(format!("{path}: everybody, root too, runs it by its name"));
    }
    let is_library = path.name().contains(".so") && LIBRARIES.iter().any(|directory| is_below(path, directory));
    if is_library && !path.starts_with(&index.install.prefix) {
        return Some(format!("{path}: every program may load it"));
    }
    let outside = !path.starts_with(&index.install.prefix) && role.is_some();
    outside.then(|| format!("{path}: it lies outside {}", index.install.prefix))
}

fn is_below(path: &RelPath, place: &str) -> bool {
    path.as_str().strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
