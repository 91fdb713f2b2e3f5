//! Tables: what stands where the package has something, on a machine that has never seen it.
//! What was installed before is in `installed.rs`.

use super::machine::{Case, path};
use super::{Row, hold};
use crate::host::root::Found;

const DIRECTORIES_OF_A_FRESH_MACHINE: &[Row] = &[
    ("the prefix is there", "", |it| it.directory("opt/x", 0o755, 0), &["- make-directory /opt/x"]),
    (
        "it is a file",
        "",
        |it| it.file("opt/x", "x", 0o644, 0),
        &["- make-directory /opt/x", "+ ! /opt/x is in the way of a directory"],
    ),
    (
        "it is a link that somebody else may change",
        "",
        |it| it.link("opt/x", "/srv/x"),
        &["- make-directory /opt/x", "+ ! /opt/x is in the way of a directory"],
    ),
    (
        "it is a FIFO",
        "replace",
        |it| it.stands("opt/x", Found::Special),
        &["- make-directory /opt/x", "+ ! /opt/x is in the way of a directory"],
    ),
    (
        "it is hidden",
        "",
        |it| it.stands("opt/x", Found::Hidden),
        &["- make-directory /opt/x", "+ note /opt/x/ cannot be looked into…"],
    ),
    (
        "anybody may change it",
        "",
        |it| it.directory("opt/x", 0o777, 0),
        &["- make-directory /opt/x", "+ ! /opt/x can be changed by anybody (mode 0777)"],
    ),
    (
        "anybody may add to it",
        "replace",
        |it| it.directory("opt/x", 0o1777, 0),
        &["- make-directory /opt/x", "+ ! /opt/x can be changed by anybody (mode 1777)"],
    ),
    (
        "anybody may change what is above it",
        "",
        |it| it.directory("opt", 0o777, 0),
        &["+ ! /opt can be changed by anybody (mode 0777)"],
    ),
    ("anybody may add to what is above it", "", |it| it.directory("opt", 0o1777, 0), &[]),
    ("a group may change what is above it", "", |it| it.directory("opt", 0o775, 0), &[]),
    (
        "the service's is there, its account is not",
        "",
        |it| it.directory("opt/x/m", 0o755, 0),
        &["- make-directory /opt/x/m", "- set-owner /opt/x/m"],
    ),
    (
        "the service's is there, and belongs to somebody else",
        "",
        |it| {
            it.account("x", 7, "/bin/false");
            it.directory("opt/x/m", 0o755, 0);
        },
        &[
            "- create-group x 550",
            "- create-user x 550",
            "- make-directory /opt/x/m",
            "- set-owner /opt/x/m",
            "+ note /opt/x/m/ exists and does not belong to x:x…",
        ],
    ),
    (
        "the service's is there, and belongs to it",
        "",
        |it| {
            it.account("x", 7, "/bin/false");
            it.directory("opt/x/m", 0o755, 7);
        },
        &["- create-group x 550", "- create-user x 550", "- make-directory /opt/x/m", "- set-owner /opt/x/m"],
    ),
];

#[test]
fn directories_of_a_fresh_machine() {
    hold(&Case::fresh(), DIRECTORIES_OF_A_FRESH_MACHINE);
}

const FILES_IN_THE_WAY_ON_A_FRESH_MACHINE: &[Row] = &[
    ("the same is there", "", |it| it.file("opt/x/tool", "tool", 0o644, 0), &["- place-file /opt/x/tool"]),
    (
        "with another mode",
        "",
        |it| it.file("opt/x/tool", "tool", 0o600, 0),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool has the same content but another mode or owner (--replace)"],
    ),
    (
        "with another owner",
        "",
        |it| it.file("opt/x/tool", "tool", 0o644, 7),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool has the same content but another mode or owner (--replace)"],
    ),
    (
        "another one",
        "",
        |it| it.file("opt/x/tool", "else", 0o644, 0),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool exists and does not belong to this package (--replace)"],
    ),
    (
        "another one",
        "replace",
        |it| it.file("opt/x/tool", "else", 0o644, 0),
        &["- place-file /opt/x/tool", "+ place-file /opt/x/tool keeping /opt/x/tool.airgap-deploy-backup"],
    ),
    (
        "another one that was not read",
        "",
        |it| {
            it.file("opt/x/tool", "else", 0o644, 0);
            it.existing("opt/x/tool").digest = None;
        },
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool exists and does not belong to this package (--replace)"],
    ),
    (
        "another one, and no name for a backup is free",
        "replace",
        |it| {
            it.file("opt/x/tool", "else", 0o644, 0);
            it.existing("opt/x/tool").backup = None;
        },
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool exists and does not belong to this package"],
    ),
    (
        "a directory",
        "replace",
        |it| it.directory("opt/x/tool", 0o755, 0),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool is a directory"],
    ),
    (
        "a link",
        "replace",
        |it| it.link("opt/x/tool", "/etc/passwd"),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool is a symbolic link"],
    ),
    (
        "a socket",
        "replace",
        |it| it.stands("opt/x/tool", Found::Special),
        &["- place-file /opt/x/tool", "+ ! /opt/x/tool is a device, socket or FIFO"],
    ),
    ("a path that is hidden", "", |it| it.stands("opt/x/tool", Found::Hidden), &[]),
    (
        "a blob that somebody else pulled",
        "",
        |it| it.file("opt/x/m/w", "weights", 0o644, 7),
        &["- place-file /opt/x/m/w"],
    ),
    (
        "a blob that only somebody else may read",
        "",
        |it| it.file("opt/x/m/w", "weights", 0o600, 7),
        &["- place-file /opt/x/m/w", "+ ! /opt/x/m/w has the same content but another mode or owner (--replace)"],
    ),
    (
        "both names of a blob",
        "",
        |it| {
            it.file("opt/x/m/w", "weights", 0o644, 7);
            it.file("opt/x/m/b", "weights", 0o644, 7);
        },
        &["- place-file /opt/x/m/w", "- make-hard-link /opt/x/m/b"],
    ),
    (
        "another file with the second name",
        "",
        |it| it.file("opt/x/m/b", "else", 0o644, 0),
        &["- make-hard-link /opt/x/m/b", "+ ! /opt/x/m/b exists and does not belong to this package (--replace)"],
    ),
    (
        "another file with the second name",
        "replace",
        |it| it.file("opt/x/m/b", "else", 0o644, 0),
        &["+ keep /opt/x/m/b as /opt/x/m/b.airgap-deploy-backup"],
    ),
    (
        "a file with both names",
        "replace",
        |it| {
            it.file("opt/x/m/w", "else", 0o644, 0);
            it.file("opt/x/m/b", "else", 0o644, 0);
        },
        &[
            "- place-file /opt/x/m/w",
            "+ place-file /opt/x/m/w keeping /opt/x/m/w.airgap-deploy-backup",
            "+ remove-file /opt/x/m/b",
        ],
    ),
    (
        "a file that is too far down to be staged",
        "",
        |it| {
            let deep = path(&["d".repeat(250).as_str(); 15].join("/")).join(&"e".repeat(230)).unwrap();
            let anchors = it.host.anchors.iter_mut();
            anchors.for_each(|(_, anchor)| anchor.directory = Some(deep.clone()));
        },
        &[
            "- place-file /opt/x/tool",
            "- place-file /opt/x/conf",
            "- place-file /opt/x/m/w",
            "- place-file /etc/systemd/system/x.service",
            "- reload-systemd",
            "+ ! /opt/x/tool has a path that is too long to stage",
            "+ ! /opt/x/conf has a path that is too long to stage",
            "+ ! /opt/x/m/w has a path that is too long to stage",
            "+ ! /etc/systemd/system/x.service has a path that is too long to stage",
        ],
    ),
];

#[test]
fn files_in_the_way_on_a_fresh_machine() {
    hold(&Case::fresh(), FILES_IN_THE_WAY_ON_A_FRESH_MACHINE);
}

const IN_THE_WAY: &[&str] = &["- make-symbolic-link /opt/x/l", "+ ! /opt/x/l is in the way of a symbolic link"];
const LINKS_IN_THE_WAY_ON_A_FRESH_MACHINE: &[Row] = &[
    ("the same", "", |it| it.link("opt/x/l", "tool"), &["- make-symbolic-link /opt/x/l"]),
    ("one that leads elsewhere", "", |it| it.link("opt/x/l", "else"), IN_THE_WAY),
    ("one that leads elsewhere", "replace", |it| it.link("opt/x/l", "else"), IN_THE_WAY),
    ("a file", "", |it| it.file("opt/x/l", "tool", 0o644, 0), IN_THE_WAY),
    ("a directory", "", |it| it.directory("opt/x/l", 0o755, 0), IN_THE_WAY),
    ("a device", "", |it| it.stands("opt/x/l", Found::Special), IN_THE_WAY),
];

#[test]
fn links_in_the_way_on_a_fresh_machine() {
    hold(&Case::fresh(), LINKS_IN_THE_WAY_ON_A_FRESH_MACHINE);
}
