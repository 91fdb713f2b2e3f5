//! Tables: services, accounts, processors, file systems of a machine that has never seen the package.
//! What stands in the way of its files is in `in_the_way.rs`.

use std::path::Path;

use payload::index::{Directory, Elf, GlibcVersion, OnlyFor, Role};
use payload::{Mode, Owner};

use super::machine::{Case, account, owner, path, unit as state};
use super::{Row, hold};
use crate::host::gpu::{Gpus, Vendor};
use crate::host::tool::Tool;
use crate::plan::facts::Systemd;
use crate::plan::preflight;
use crate::plan::store::{ModelStore, Store};

/// A machine with these GPUs, and an Ollama for it.
fn with_gpus(it: &mut Case, found: &[Gpus]) {
    it.host.gpus = Some(found.to_vec());
    it.index.units.iter_mut().for_each(|unit| unit.drop_in = Some(path("etc/systemd/system/x.service.d/y.conf")));
}

/// The program of the package is a library for GPUs now.
fn ship_library(it: &mut Case, at: &str) {
    it.index.files.iter_mut().filter(|file| file.role == Role::Program).for_each(|file| file.path = path(at));
}

const NVIDIA: Gpus = Gpus { vendor: Vendor::Nvidia, devices: 2, driver: true };
const AMD: Gpus = Gpus { vendor: Vendor::Amd, devices: 1, driver: false };

fn ollama_that_is(it: &mut Case, active: &str) {
    let (directory, unit) = (path("srv/m"), "theirs.service".to_owned());
    it.host.units.insert(unit.clone(), state(active, "enabled"));
    it.host.store = Store::Found(ModelStore { directory, owner: owner("x"), unit: Some(unit), why: "why".to_owned() });
}

const GPUS: &[Row] = &[
    ("it has GPUs, and the package is no Ollama", "", |it| it.host.gpus = Some(vec![NVIDIA]), &[]),
    (
        "nobody knows of GPUs",
        "",
        |it| {
            with_gpus(it, &[]);
            it.host.gpus = None;
        },
        &["- create-user x 550", "+ create-user x 550 render video"],
    ),
    (
        "GPUs that the package has no libraries for",
        "",
        |it| {
            with_gpus(it, &[NVIDIA, AMD]);
            it.host.gpu_groups.clear();
        },
        &[
            "+ note this machine has a GPU of NVIDIA, and the package has no libraries for it…",
            "+ note this machine has a GPU of AMD, and the package has no libraries for it…",
        ],
    ),
];

/// Below the prefix, so that only the library changes its place.
#[test]
fn libraries_are_for_the_gpus_that_there_are() {
    let notes = |library: &str, found: &[Gpus]| {
        let mut case = Case::fresh();
        with_gpus(&mut case, found);
        ship_library(&mut case, library);
        crate::plan::gpus::notes(&case.index, found)
    };
    let (cuda, rocm) = ("opt/x/lib/ollama/cuda_v12/libcudart.so.12", "opt/x/lib/ollama/rocm/libamdhip64.so");
    assert_eq!(notes(cuda, &[NVIDIA]), Vec::<String>::new());
    let useless = notes(cuda, &[]);
    assert!(useless.len() == 1 && useless[0].contains("lib/ollama/cuda_*") && useless[0].contains("has none"));
    let both = notes(rocm, &[NVIDIA, AMD]);
    assert!(both[0].contains("NVIDIA, and the package has no libraries") && both[1].contains("AMD without its driver"));
}

#[test]
fn gpus_of_the_machine() {
    hold(&Case::fresh(), GPUS);
}

const SERVICES_OF_A_FRESH_MACHINE: &[Row] = &[
    ("nothing runs", "enable", |_| (), &["+ enable-unit x.service"]),
    ("nothing runs", "start", |_| (), &["+ afterwards start-unit x.service"]),
    ("it is enabled", "enable start", |it| it.unit("inactive", "enabled"), &["+ afterwards start-unit x.service"]),
    ("it is static", "enable", |it| it.unit("inactive", "static"), &[]),
    ("it runs", "", |it| it.unit("active", "enabled"), &["+ stop-unit x.service", "+ afterwards start-unit x.service"]),
    (
        "it is about to run",
        "start",
        |it| it.unit("activating", ""),
        &["+ stop-unit x.service", "+ afterwards start-unit x.service"],
    ),
    (
        "it runs, and has to",
        "rollback",
        |it| it.unit("active", "enabled"),
        &["+ stop-unit x.service", "+ start-unit x.service"],
    ),
    ("it failed", "start", |it| it.unit("failed", "enabled"), &["+ afterwards start-unit x.service"]),
    (
        "systemd does not run",
        "",
        |it| it.host.systemd = Systemd::Absent,
        &["- reload-systemd", "+ note systemd is not running here…"],
    ),
    (
        "systemd does not run",
        "enable start",
        |it| it.host.systemd = Systemd::Absent,
        &[
            "- reload-systemd",
            "+ enable-unit x.service",
            "+ note systemd is not running here…",
            "+ note --start is ignored: it needs a running systemd…",
        ],
    ),
    (
        "systemd does not run, nor is it there",
        "enable",
        |it| {
            it.host.systemd = Systemd::Absent;
            let _ = it.host.tools.remove(&Tool::Systemctl);
        },
        &[
            "- reload-systemd",
            "+ note systemd is not running here…",
            "+ note --enable is ignored: this machine has no systemctl…",
        ],
    ),
    (
        "systemd does not answer",
        "",
        |it| it.host.systemd_silent = Some("why".to_owned()),
        &["+ 21 systemd does not say whether the service runs: why"],
    ),
    (
        "somebody else has a unit of that name",
        "",
        |it| it.host.namesakes.push(path("usr/lib/systemd/system/x.service")),
        &["+ ! /usr/lib/systemd/system/x.service is somebody else's, and would no longer take effect (--replace)"],
    ),
    (
        "somebody else has a unit of that name",
        "replace",
        |it| it.host.namesakes.push(path("usr/lib/systemd/system/x.service")),
        &["+ note /usr/lib/systemd/system/x.service no longer takes effect…"],
    ),
    (
        "below another root",
        "",
        |it| (it.host.live, it.host.systemd) = (false, Systemd::OtherRoot),
        &[
            "- restore-labels",
            "- reload-systemd",
            "+ note below another root: units are installed…",
            "+ note below another root: SELinux labels are not restored",
        ],
    ),
    (
        "below another root an absolute link leads to the units",
        "enable",
        |it| {
            (it.host.live, it.host.systemd) = (false, Systemd::OtherRoot);
            it.host.units_led_out = Some("/image/units".into());
        },
        &[
            "- restore-labels",
            "- reload-systemd",
            "+ enable-unit x.service",
            "+ 23 /image/units lies behind an absolute link, which systemctl --root would follow out of the image",
            "+ note below another root: units are installed…",
            "+ note below another root: SELinux labels are not restored",
        ],
    ),
    (
        "there is no SELinux",
        "",
        |it| {
            let _ = it.host.tools.remove(&Tool::Restorecon);
        },
        &["- restore-labels"],
    ),
];

#[test]
fn services_of_a_fresh_machine() {
    hold(&Case::fresh(), SERVICES_OF_A_FRESH_MACHINE);
}

const NONE: &[&str] = &["- create-group x 550", "- create-user x 550"];
const ACCOUNTS_OF_A_FRESH_MACHINE: &[Row] = &[
    ("both are there", "", |it| it.account("x", 7, "/usr/sbin/nologin"), NONE),
    (
        "the group is there",
        "",
        |it| {
            let _ = it.host.accounts.groups.insert(account("x"), 7);
        },
        &["- create-group x 550", "+ power user x is new, and joins the group x, which is there already"],
    ),
    (
        "no number is left",
        "",
        |it| it.host.accounts.unused = None,
        &[
            "- create-group x 550",
            "- create-user x 550",
            "+ 23 the account x:x must be made, and no number for system accounts is free",
        ],
    ),
    (
        "there is no groupadd",
        "",
        |it| {
            let _ = it.host.tools.remove(&Tool::Groupadd);
        },
        &["+ 21 an account must be created, and this machine has no groupadd"],
    ),
    (
        "there is no useradd",
        "",
        |it| {
            let _ = it.host.tools.remove(&Tool::Useradd);
        },
        &["+ 21 an account must be created, and this machine has no useradd"],
    ),
    (
        "there is no useradd, and none is needed",
        "",
        |it| {
            it.account("x", 7, "/bin/false");
            it.host.tools.remove(&Tool::Useradd);
        },
        NONE,
    ),
    (
        "it is root by another name",
        "",
        |it| it.account("x", 0, "/bin/false"),
        &["- create-group x 550", "- create-user x 550", "+ 23 the user x has uid 0…"],
    ),
    (
        "somebody logs in with it",
        "",
        |it| it.account("x", 1000, "/bin/bash"),
        &["- create-group x 550", "- create-user x 550", "+ 23 the user x is a login account (/bin/bash)"],
    ),
    ("a system account with a shell", "", |it| it.account("x", 999, "/bin/sh"), NONE),
    ("an account of somebody who may not log in", "", |it| it.account("x", 1000, "/bin/false"), NONE),
    (
        "the models go to an Ollama that is there, and have to answer",
        "start",
        |it| {
            let (directory, unit) = (path("srv/m"), Some("theirs.service".to_owned()));
            it.host.store = Store::Found(ModelStore { directory, owner: owner("x"), unit, why: "why".to_owned() });
        },
        &["+ afterwards start-unit x.service", "+ asks theirs.service for []", "+ note models go to /srv/m: why"],
    ),
    (
        "the models go to an Ollama that is stopped",
        "",
        |it| ollama_that_is(it, "inactive"),
        &[
            "+ note models go to /srv/m: why",
            "+ note theirs.service is not running and is not started: systemctl start theirs starts it, or --start",
        ],
    ),
    (
        "the models go to an Ollama that is stopped, and have to answer",
        "start",
        |it| {
            it.index.units.clear();
            ollama_that_is(it, "inactive");
        },
        &["+ afterwards start-unit theirs.service", "+ asks theirs.service for []", "+ note models go to /srv/m: why"],
    ),
    (
        "the models go to an Ollama that runs",
        "",
        |it| ollama_that_is(it, "active"),
        &["+ note models go to /srv/m: why"],
    ),
    (
        "an Ollama runs as somebody who logs in",
        "",
        |it| {
            it.account("x", 1000, "/bin/bash");
            let (directory, why) = (path("srv/m"), "why".to_owned());
            it.host.store = Store::Found(ModelStore { directory, owner: owner("x"), unit: None, why });
        },
        &["- create-group x 550", "- create-user x 550", "+ note models go to /srv/m: why"],
    ),
    (
        "files belong to nobody that is there",
        "",
        |it| it.shipped("opt/x/conf").owner = owner("y"),
        &[
            "+ 23 files should belong to the group y, and there is no such group",
            "+ 23 files should belong to the user y, and there is no such user",
        ],
    ),
    (
        "files belong to somebody that is there",
        "",
        |it| {
            it.shipped("opt/x/conf").owner = owner("y");
            it.account("y", 8, "/bin/false");
        },
        &[],
    ),
    (
        "somebody who is not root installs",
        "",
        |it| it.host.privileged = false,
        &["+ 20 Permission denied: installing needs root"],
    ),
    (
        "somebody who is not root installs below another root",
        "",
        |it| (it.host.privileged, it.host.live, it.host.systemd) = (false, false, Systemd::OtherRoot),
        &[
            "- create-group x 550",
            "- create-user x 550",
            "- set-owner /opt/x/m",
            "- restore-labels",
            "- reload-systemd",
            "+ note below another root: units…",
            "+ note not run as root…",
            "+ note below another root: SELinux…",
        ],
    ),
    (
        "there are no accounts below that root",
        "",
        |it| (it.host.has_accounts, it.host.live, it.host.systemd) = (false, false, Systemd::OtherRoot),
        &[
            "- create-group x 550",
            "- create-user x 550",
            "- set-owner /opt/x/m",
            "- restore-labels",
            "- reload-systemd",
            "+ note below another root: units…",
            "+ note there is no /etc/passwd…",
            "+ note below another root: SELinux…",
        ],
    ),
];

#[test]
fn accounts_of_a_fresh_machine() {
    hold(&Case::fresh(), ACCOUNTS_OF_A_FRESH_MACHINE);
}

const MACHINES_THAT_CANNOT_HAVE_IT: &[Row] = &[
    (
        "another processor",
        "",
        |it| "aarch64".clone_into(&mut it.host.machine),
        &["+ 21 the package is for x86_64, this machine is aarch64"],
    ),
    (
        "a program for another processor",
        "",
        |it| {
            it.shipped("opt/x/tool").elf = Some(Elf { machine: "aarch64".to_owned(), glibc: None });
        },
        &["+ 21 /opt/x/tool is a program for aarch64, this machine is x86_64"],
    ),
    (
        "an older glibc",
        "",
        |it| it.index.target.glibc = Some(GlibcVersion { major: 2, minor: 37 }),
        &["+ 21 the shipped programs need glibc 2.37, this machine has 2.36"],
    ),
    ("the very glibc", "", |it| it.index.target.glibc = it.host.glibc, &[]),
    ("a newer glibc", "", |it| it.index.target.glibc = Some(GlibcVersion { major: 2, minor: 4 }), &[]),
    ("no glibc, and none is needed", "", |it| it.host.glibc = None, &[]),
    (
        "no glibc",
        "",
        |it| it.index.target.glibc = it.host.glibc.take(),
        &["+ 21 the shipped programs need glibc 2.36, and no glibc was found here"],
    ),
    (
        "a read-only file system",
        "",
        |it| it.mounted("opt/x", |at| at.read_only = true),
        &["+ 21 /opt is on a file system that is mounted read-only"],
    ),
    ("a read-only file system that gets nothing", "", |it| it.mounted("var", |at| at.read_only = true), &[]),
    (
        "a file system without hard links",
        "",
        |it| it.mounted("opt/x", |at| at.no_hard_links = true),
        &["+ 21 /opt is on a file system without hard links…"],
    ),
    (
        "a file system without hard links, for a program and for data",
        "",
        |it| {
            it.shipped("opt/x/tool").elf = Some(Elf { machine: "x86_64".to_owned(), glibc: None });
            it.mounted("opt/x", |at| at.no_hard_links = true);
        },
        &["+ 21 /opt is on a file system without hard links…"],
    ),
    ("noexec where there are only scripts and data", "", |it| it.mounted("opt/x", |at| at.no_exec = true), &[]),
    (
        "noexec where there is a program",
        "",
        |it| {
            it.shipped("opt/x/tool").elf = Some(Elf { machine: "x86_64".to_owned(), glibc: None });
            it.mounted("opt/x", |at| at.no_exec = true);
        },
        &["+ 21 /opt is on a file system that is mounted noexec…"],
    ),
    (
        "a mount between two names of one file",
        "",
        |it| {
            it.index.links[1].path = path("etc/b");
            it.mounted("etc", |at| at.mount = Some(2));
        },
        &[
            "- make-hard-link /opt/x/m/b",
            "+ make-hard-link /etc/b",
            "+ 21 /etc/b and /opt/x/m/w are one file with two names, and lie on two file systems",
        ],
    ),
    (
        "no space",
        "",
        |it| it.mounted("opt", |at| (at.device, at.available) = (2, 8192)),
        &["+ 22 Out of disk space: /opt needs 12.2 kB, has 8.1 kB"],
    ),
    ("just enough space", "", |it| it.mounted("opt", |at| (at.device, at.available) = (2, 3 * 4096)), &[]),
    (
        "space for what is not staged yet",
        "",
        |it| {
            it.host.staged.insert(path("opt/.airgap-deploy.x/f0"), 4096);
            it.mounted("opt", |at| (at.device, at.available) = (2, 2 * 4096));
        },
        &[],
    ),
    (
        "no space for the installer's own",
        "",
        |it| it.mounted("var", |at| (at.device, at.available) = (3, 1 << 20)),
        &["+ 22 Out of disk space: /var/lib needs 1.0 MB, has 1.0 MB"],
    ),
    (
        "no inodes",
        "",
        |it| it.mounted("opt", |at| (at.device, at.free_inodes) = (2, Some(20))),
        &["+ 22 Out of disk space: /opt needs 6 inodes and has too few"],
    ),
    (
        "directories above the installer's own are missing, and the package has them too",
        "",
        |it| {
            let above = |at: &str| Directory {
                path: path(at),
                mode: Mode::EXECUTABLE,
                owner: Owner::root(),
                only_for: OnlyFor::everybody(),
            };
            it.index.directories.extend(["var", "var/lib", "var/lib/y", "var/log"].map(above));
        },
        &["+ make-directory /var/lib/y", "+ make-directory /var/log"],
    ),
    ("inodes that nobody counts", "", |it| it.mounted("opt", |at| (at.device, at.free_inodes) = (2, None)), &[]),
    (
        "an installation of something else was interrupted",
        "",
        |it| {
            it.host.others.unfinished.push("y".parse().unwrap());
        },
        &["+ 23 an installation of y was interrupted, and is not recovered yet"],
    ),
    (
        "nobody knows where models go",
        "",
        |it| it.host.store = Store::Unclear("why".to_owned()),
        &["+ 23 it is not clear which store the models belong in: why"],
    ),
    (
        "there is no Ollama for the models",
        "",
        |it| it.host.store = Store::Nobodys(path("opt/x")),
        &["+ note no Ollama was found on this machine…"],
    ),
    (
        "everything at once",
        "",
        |it| {
            it.host.privileged = false;
            "aarch64".clone_into(&mut it.host.machine);
            it.mounted("opt", |at| (at.device, at.available) = (2, 0));
            it.file("opt/x/tool", "else", 0o644, 0);
        },
        &[
            "- place-file /opt/x/tool",
            "+ ! /opt/x/tool exists and does not belong to this package (--replace)",
            "+ 20 Permission denied…",
            "+ 21 the package is for x86_64…",
            "+ 22 Out of disk space: /opt needs…",
        ],
    ),
];

#[test]
fn what_is_to_be_typed_names_the_same_root() {
    let hint = |root: &str| preflight::unfinished(&"y".parse().unwrap(), Path::new(root)).hint;
    assert_eq!(hint("/"), "first type: /var/lib/airgap-deploy/y/airgap-deploy --recover");
    assert_eq!(
        hint("/mnt/the target"),
        "first type: '/mnt/the target/var/lib/airgap-deploy/y/airgap-deploy' --recover --root '/mnt/the target'"
    );
    assert_eq!(
        hint("/mnt/a;b"),
        "first type: '/mnt/a;b/var/lib/airgap-deploy/y/airgap-deploy' --recover --root '/mnt/a;b'"
    );
}

#[test]
fn machines_that_cannot_have_it() {
    hold(&Case::fresh(), MACHINES_THAT_CANNOT_HAVE_IT);
}
