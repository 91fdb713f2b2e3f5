//! Places, permissions and accounts that no honest package asks for: every one that is listed, and what is just beside it.
//! What of the rest decides what runs as root is said by the stub.

use super::honest::{add, file, owner, symbolic};
use super::{accepted, refused};
use crate::Mode;
use crate::format::index::{Index, Role};

use super::super::places as listed;

pub(super) fn cases() {
    every_listed_place_is_refused_and_its_neighbours_are_not();
    what_the_installer_keeps_for_itself_is_refused();
    programs_of_the_system_are_refused();
    directories_of_every_machine_stay_directories();
    what_anybody_may_change_is_refused();
    prefixes_are_directories_of_their_own();
    no_service_runs_as_root();
    the_command_of_the_installer_is_in_nobodys_way();
}

fn command(path: &str) -> impl FnOnce(&mut Index) {
    move |index| index.install.command = Some(path.parse().unwrap())
}

#[test]
fn the_command_of_the_installer_is_in_nobodys_way() {
    for path in [crate::names::COMMAND, "opt/x/bin/airgap-deploy", "srv/tools/installer"] {
        accepted(command(path));
    }
    for path in ["opt/x/bin/x", "opt/x/bin/x/airgap-deploy", "opt/x/lib"] {
        refused("is in the way of what it installs", command(path));
    }
    refused("program of the system", command("usr/bin/sudo"));
    refused("would lie in a directory of the service", |index| {
        index.directories.iter_mut().filter(|entry| entry.path.as_str() == "opt/x/lib").for_each(|entry| {
            entry.owner = owner("x", "x");
        });
        index.install.command = Some("opt/x/lib/airgap-deploy".parse().unwrap());
    });
}

fn configuration(path: &str) -> impl FnOnce(&mut Index) {
    move |index| add(index, path, Role::Config)
}

#[test]
fn every_listed_place_is_refused_and_its_neighbours_are_not() {
    for place in listed::NEVER {
        refused("no place for a package", configuration(&format!("{place}/x")));
        refused("no place for a package", configuration(place));
    }
    for place in listed::ACCOUNTS_AND_BOOT {
        refused("can become root", configuration(&format!("{place}/x")));
        refused("can become root", configuration(place));
        accepted(configuration(&format!("{place}x")));
    }
    for path in ["etc/sudoersx", "etc/cron.d/sudoers", "srv/etc/shadow", "opt/proc/x", "var/tmpx/y"] {
        accepted(configuration(path));
    }
    refused("can become root", |index| index.links.push(symbolic("etc/shadow", "systemd")));
}

#[test]
fn what_the_installer_keeps_for_itself_is_refused() {
    for place in listed::INSTALLERS {
        refused("keeps for itself", configuration(&format!("{place}/x")));
        refused("keeps for itself", configuration(place));
    }
    for name in [
        ".airgap-deploy.x/f0",
        ".airgap-deploy-state.x/journal",
        ".airgap-deploy.",
        "a.airgap-deploy-backup",
        "a.airgap-deploy-backup.2/x",
    ] {
        refused("keeps for itself", configuration(&format!("opt/{name}")));
    }
    accepted(configuration("opt/airgap-deploy/x"));
}

#[test]
fn programs_of_the_system_are_refused() {
    for directory in listed::PROGRAMS {
        for program in listed::SYSTEM_PROGRAMS {
            refused("program of the system", |index| add(index, &format!("{directory}/{program}"), Role::Program));
        }
        accepted(|index| add(index, &format!("{directory}/tool"), Role::Program));
    }
    accepted(|index| add(index, "opt/x/bin/sudo", Role::Program));
}

#[test]
fn directories_of_every_machine_stay_directories() {
    // The honest package has something in etc.
    let outermost = listed::SHARED.iter().copied().filter(|path| !path.contains('/') && *path != "etc");
    for path in outermost.chain(["vmlinuz", "x"]) {
        refused("no directory here", |index| index.files.push(file(path, b"unit", Role::Unit)));
    }
    for path in listed::SHARED.iter().filter(|path| path.contains('/')) {
        refused("no directory here", configuration(path));
    }
}

#[test]
fn what_anybody_may_change_is_refused() {
    for mode in [0o666, 0o777, 0o002, 0o646] {
        refused("changed by anybody", |index| index.files[0].mode = Mode::try_from(mode).unwrap());
        refused("changed by anybody", |index| index.directories[6].mode = Mode::try_from(mode).unwrap());
    }
    for mode in [0o775, 0o664, 0o000, 0o555] {
        accepted(|index| index.files[0].mode = Mode::try_from(mode).unwrap());
        accepted(|index| index.directories[6].mode = Mode::try_from(mode).unwrap());
    }
}

#[test]
fn prefixes_are_directories_of_their_own() {
    let prefix = |prefix: &str| {
        let prefix = prefix.parse().unwrap();
        move |index: &mut Index| {
            index.install.prefix = prefix;
            index.links.retain(crate::format::index::Link::is_hard);
        }
    };
    for place in listed::SHARED.iter().chain(listed::NEVER).chain(listed::NOT_FOR_PREFIXES) {
        refused("belongs to the system", prefix(place));
    }
    for place in listed::NEVER.iter().chain(listed::NOT_FOR_PREFIXES) {
        refused("belongs to the system", prefix(&format!("{place}/x")));
    }
    for place in ["opt", "opt/x", "srv/x", "usr/local", "usr/share/x", "var/lib/x", "home/x", "etcx", "mnt/data/x"] {
        accepted(prefix(place));
    }
}

#[test]
fn no_service_runs_as_root() {
    refused("as root", |index| index.install.account = Some(owner("root", "x")));
    for group in listed::PRIVILEGED_GROUPS {
        refused("can become root", |index| index.install.account = Some(owner("x", group)));
    }
    accepted(|index| index.install.account = Some(owner("x", "sudoers")));
}
