//! What of a package decides what runs as root on this machine: said in the plan, in a section of its own.
//! What no honest package asks for is refused when the index is read, in the crate `payload`.

use payload::index::{Index, Role};
use payload::{RelPath, UnitName};

use super::facts::Host;

/// Directories whose files root's programs obey or run, and what that means.
const OBEYED: [(&str, &str); 62] = [
    ("etc/anacrontab", "cron runs it, as root"),
    ("etc/apt", "apt is configured by it"),
    ("etc/bash.bashrc", "every shell runs it, root's too"),
    ("etc/binfmt.d", "the kernel starts programs as it says"),
    ("etc/cron.d", "cron runs it, as the user it names"),
    ("etc/cron.daily", "cron runs it as root"),
    ("etc/cron.hourly", "cron runs it as root"),
    ("etc/cron.monthly", "cron runs it as root"),
    ("etc/cron.weekly", "cron runs it as root"),
    ("etc/crontab", "cron runs it, as the user it names"),
    ("etc/dbus-1", "D-Bus is configured by it"),
    ("etc/environment", "every login is configured by it, root's too"),
    ("etc/grub.d", "it is run as root when the boot loader is set up"),
    ("etc/init.d", "it is run as root on boot"),
    ("etc/initramfs-tools", "it becomes part of what boots the machine"),
    ("etc/kernel", "it is run as root with every new kernel"),
    ("etc/ld.so.conf", "every program loads libraries from where it says"),
    ("etc/ld.so.conf.d", "every program loads libraries from where it says"),
    ("etc/logrotate.d", "logrotate, which runs as root, is configured by it"),
    ("etc/modprobe.d", "the kernel's modules are loaded as it says"),
    ("etc/modules-load.d", "the kernel's modules are loaded as it says"),
    ("etc/NetworkManager", "NetworkManager is configured by it"),
    ("etc/network", "it is run as root when a network comes up"),
    ("etc/polkit-1", "it decides who may do what root may"),
    ("etc/profile", "every login runs it, root's too"),
    ("etc/profile.d", "every login runs it, root's too"),
    ("etc/rc.local", "it is run as root on boot"),
    ("etc/sysctl.d", "the kernel's settings follow it"),
    ("etc/sysusers.d", "systemd makes accounts as it says"),
    ("etc/tmpfiles.d", "systemd makes and removes files as it says, as root"),
    ("etc/udev", "udev runs what it says, as root"),
    ("etc/dracut.conf.d", "it becomes part of what boots the machine"),
    ("etc/environment.d", "services of users are configured by it"),
    ("etc/modules", "the kernel's modules are loaded as it says"),
    ("home", "it lies in somebody's home: what that user runs may be configured by it"),
    ("usr/lib/apt", "apt runs it, as root"),
    ("usr/lib/binfmt.d", "the kernel starts programs as it says"),
    ("usr/lib/cron", "cron runs it, as root"),
    ("usr/lib/dracut", "it becomes part of what boots the machine"),
    ("usr/lib/environment.d", "services of users are configured by it"),
    ("usr/lib/git-core", "git runs it, root's too"),
    ("usr/lib/initcpio", "it becomes part of what boots the machine"),
    ("usr/lib/kernel", "it is run as root with every new kernel"),
    ("usr/lib/modprobe.d", "the kernel's modules are loaded as it says"),
    ("usr/lib/modules", "the kernel loads it"),
    ("usr/lib/modules-load.d", "the kernel's modules are loaded as it says"),
    ("usr/lib/NetworkManager", "NetworkManager runs it, as root"),
    ("usr/lib/openssh", "the SSH server runs it"),
    ("usr/lib/pm-utils", "it is run as root when the machine sleeps"),
    ("usr/lib/sudo", "sudo loads it, as root"),
    ("usr/lib/sysctl.d", "the kernel's settings follow it"),
    ("usr/lib/sysusers.d", "systemd makes accounts as it says"),
    ("usr/share/initramfs-tools", "it becomes part of what boots the machine"),
    ("var/lib/cloud", "cloud-init runs it, as root"),
    ("var/lib/dpkg", "dpkg runs it, as root"),
    ("usr/lib/tmpfiles.d", "systemd makes and removes files as it says, as root"),
    ("usr/lib/udev", "udev runs what it says, as root"),
    ("usr/share/dbus-1", "D-Bus is configured by it"),
    ("usr/share/polkit-1", "it decides who may do what root may"),
    ("lib/modules", "the kernel loads it"),
    ("lib/udev", "udev runs what it says, as root"),
    ("var/spool/cron", "cron runs it, as the user it is named after"),
];
/// Where programs are found by their name alone.
const SEARCHED: [&str; 6] = ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];
/// Where every program finds its libraries.
const LIBRARIES: [&str; 6] = ["lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"];
/// Directories of which an interpreter runs what it finds there, wherever below `/usr` they are.
const INTERPRETED: [&str; 5] = ["dist-packages", "site-packages", "perl5", "perl", "vendor_ruby"];
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
        return Some(format!("{path}: systemd is configured by it, for {whose}"));
    }
    if let Some((_, means)) = OBEYED.iter().find(|(directory, _)| is_below(path, directory)) {
        return Some(format!("{path}: {means}"));
    }
    let parent = path.parent();
    let lies_in = |directories: &[&str]| parent.as_ref().is_some_and(|parent| directories.contains(&parent.as_str()));
    if lies_in(&SEARCHED) {
        return Some(format!("{path}: anybody who types its name runs it, root too"));
    }
    let outside = !path.starts_with(&index.install.prefix);
    let is_library = path.name().contains(".so") && LIBRARIES.iter().any(|directory| is_below(path, directory));
    if is_library && (outside || parent.as_ref().is_some_and(is_searched_for_libraries)) {
        return Some(format!("{path}: every program may load it"));
    }
    if path.as_str().starts_with("usr/") && path.components().any(|part| INTERPRETED.contains(&part)) {
        return Some(format!("{path}: programs in that language may run it, root's too"));
    }
    (outside && role.is_some()).then(|| format!("{path}: it lies outside {}", index.install.prefix))
}

/// Where libraries are found by their name alone, and where they are that become part of every login.
fn is_searched_for_libraries(directory: &RelPath) -> bool {
    let directory = directory.as_str().trim_end_matches("/security");
    let above = directory.rsplit_once('/').filter(|(_, name)| name.contains("-linux-")).map(|(above, _)| above);
    LIBRARIES.contains(&directory) || above.is_some_and(|above| LIBRARIES.contains(&above))
}

fn is_below(path: &RelPath, place: &str) -> bool {
    path.as_str().strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
