//! Tables: what was done to the package since it was installed, and before it is upgraded.
//! Machines that have never seen it are in `in_the_way.rs` and `machines.rs`.

use payload::Digest;
use payload::index::Role;

use super::machine::{Case, account, add, attributes, path};
use super::{Row, hold};
use crate::host::models::StoreManifest;
use crate::host::root::Found;

const WHAT_WAS_DONE_TO_IT_SINCE_IT_WAS_INSTALLED: &[Row] = &[
    ("nothing", "replace", |_| (), &[]),
    (
        "nothing, and it is to run",
        "enable start",
        |_| (),
        &["+ enable-unit x.service", "+ afterwards start-unit x.service"],
    ),
    ("nothing, and it runs", "enable start", |it| it.unit("active", "enabled"), &[]),
    ("nothing, and nobody is root", "", |it| it.host.privileged = false, &[]),
    (
        "a file was edited",
        "",
        |it| it.file("opt/x/tool", "mine", 0o644, 0),
        &["+ ! /opt/x/tool was changed since it was installed (--replace)"],
    ),
    (
        "a file was edited",
        "replace",
        |it| it.file("opt/x/tool", "mine", 0o644, 0),
        &["+ place-file /opt/x/tool keeping /opt/x/tool.airgap-deploy-backup", "+ restore-labels"],
    ),
    (
        "a file was edited while it runs",
        "replace",
        |it| {
            it.file("opt/x/tool", "mine", 0o644, 0);
            it.unit("active", "");
        },
        &[
            "+ stop-unit x.service",
            "+ place-file /opt/x/tool keeping /opt/x/tool.airgap-deploy-backup",
            "+ restore-labels",
            "+ afterwards start-unit x.service",
        ],
    ),
    (
        "a file has another mode",
        "",
        |it| it.file("opt/x/tool", "tool", 0o600, 0),
        &["+ ! /opt/x/tool was changed since it was installed (--replace)"],
    ),
    (
        "a file has another owner",
        "",
        |it| it.file("opt/x/tool", "tool", 0o644, 7),
        &["+ place-file /opt/x/tool over its old version", "+ restore-labels"],
    ),
    ("a file was removed", "", |it| it.gone("opt/x/tool"), &["+ place-file /opt/x/tool", "+ restore-labels"]),
    (
        "a directory was removed",
        "",
        |it| it.gone("opt/x/m"),
        &["+ make-directory /opt/x/m", "+ set-owner /opt/x/m", "+ restore-labels"],
    ),
    (
        "the installer that it kept was removed",
        "",
        |it| it.host.kept_installer = Some(Found::Absent),
        &["+ keep-installer /var/lib/airgap-deploy/x/airgap-deploy"],
    ),
    (
        "the installer that it kept does not run any more",
        "",
        |it| it.host.kept_installer = Some(Found::File(attributes(0o644, 0))),
        &["+ keep-installer /var/lib/airgap-deploy/x/airgap-deploy"],
    ),
    (
        "a directory is where the installer was kept",
        "replace",
        |it| it.host.kept_installer = Some(Found::Directory(attributes(0o755, 0))),
        &["+ ! /var/lib/airgap-deploy/x/airgap-deploy is in the way of the installer's own copy"],
    ),
    ("a link was removed", "", |it| it.gone("opt/x/l"), &["+ make-symbolic-link /opt/x/l", "+ restore-labels"]),
    ("a link leads elsewhere", "", |it| it.link("opt/x/l", "mine"), &["+ ! /opt/x/l is in the way of a symbolic link"]),
    ("a file became a link", "", |it| it.link("opt/x/tool", "mine"), &["+ ! /opt/x/tool is a symbolic link"]),
    (
        "the unit was removed",
        "",
        |it| it.gone("etc/systemd/system/x.service"),
        &["+ place-file /etc/systemd/system/x.service", "+ restore-labels", "+ reload-systemd"],
    ),
    (
        "a model was damaged",
        "",
        |it| {
            it.file("opt/x/m/w", "damage", 0o644, 550);
            it.file("opt/x/m/b", "damage", 0o644, 550);
        },
        &[
            "+ ! /opt/x/m/w was changed since it was installed (--replace)",
            "+ ! /opt/x/m/b was changed since it was installed (--replace)",
        ],
    ),
    (
        "a model was damaged",
        "replace",
        |it| {
            it.file("opt/x/m/w", "damage", 0o644, 550);
            it.file("opt/x/m/b", "damage", 0o644, 550);
        },
        &[
            "+ place-file /opt/x/m/w keeping /opt/x/m/w.airgap-deploy-backup",
            "+ remove-file /opt/x/m/b",
            "+ make-hard-link /opt/x/m/b",
            "+ restore-labels",
        ],
    ),
    ("one name of a model was removed", "", |it| it.gone("opt/x/m/b"), &["+ make-hard-link /opt/x/m/b"]),
    (
        "a model was damaged while its Ollama runs",
        "replace",
        |it| {
            it.index.units[0].drop_in = Some(path("etc/systemd/system/x.service.d/y.conf"));
            it.unit("active", "");
            it.file("opt/x/m/w", "damage", 0o644, 550);
            it.file("opt/x/m/b", "damage", 0o644, 550);
        },
        &[
            "+ place-file /opt/x/m/w keeping /opt/x/m/w.airgap-deploy-backup",
            "+ remove-file /opt/x/m/b",
            "+ make-hard-link /opt/x/m/b",
            "+ restore-labels",
        ],
    ),
    (
        "its command is no longer shipped while it runs",
        "",
        |it| {
            it.unit("active", "");
            it.command("usr/local/sbin/airgap-deploy");
        },
        &["+ remove-file /usr/local/sbin/airgap-deploy"],
    ),
    (
        "its command goes elsewhere while it runs",
        "",
        |it| {
            it.unit("active", "");
            it.command("usr/local/sbin/airgap-deploy");
            add(&mut it.index, "opt/x/installer", "installer", Role::Installer);
        },
        &["+ place-file /opt/x/installer", "+ remove-file /usr/local/sbin/airgap-deploy", "+ restore-labels"],
    ),
    (
        "a model is no longer shipped while another service runs",
        "",
        |it| {
            it.unit("active", "");
            it.index.files.retain(|file| file.path.name() != "w");
            it.index.links.pop();
        },
        &[
            "+ stop-unit x.service",
            "+ remove-file /opt/x/m/w",
            "+ remove-file /opt/x/m/b",
            "+ afterwards start-unit x.service",
        ],
    ),
    (
        "a model is no longer shipped while its Ollama runs",
        "",
        |it| {
            it.index.units[0].drop_in = Some(path("etc/systemd/system/x.service.d/y.conf"));
            it.unit("active", "");
            it.index.files.retain(|file| file.path.name() != "w");
            it.index.links.pop();
        },
        &["+ remove-file /opt/x/m/w", "+ remove-file /opt/x/m/b"],
    ),
    (
        "a program was edited while its Ollama runs",
        "replace",
        |it| {
            it.index.units[0].drop_in = Some(path("etc/systemd/system/x.service.d/y.conf"));
            it.unit("active", "");
            it.file("opt/x/tool", "mine", 0o644, 0);
        },
        &[
            "+ stop-unit x.service",
            "+ place-file /opt/x/tool keeping /opt/x/tool.airgap-deploy-backup",
            "+ restore-labels",
            "+ afterwards start-unit x.service",
        ],
    ),
    (
        "the other name of a model was removed",
        "",
        |it| it.gone("opt/x/m/w"),
        &["+ place-file /opt/x/m/w", "+ remove-file /opt/x/m/b", "+ make-hard-link /opt/x/m/b", "+ restore-labels"],
    ),
    (
        "the account was removed",
        "",
        |it| {
            it.host.accounts.users.remove(&account("x"));
            it.host.accounts.groups.remove(&account("x"));
        },
        &[
            "+ create-group x 550",
            "+ create-user x 550",
            "+ place-file /opt/x/m/w over its old version",
            "+ remove-file /opt/x/m/b",
            "+ make-hard-link /opt/x/m/b",
            "+ restore-labels",
        ],
    ),
];

#[test]
fn what_was_done_to_it_since_it_was_installed() {
    hold(&Case::installed(), WHAT_WAS_DONE_TO_IT_SINCE_IT_WAS_INSTALLED);
}

const KEEPS_CONF: &str = "- remove-file /opt/x/conf";
const WHAT_WAS_DONE_TO_IT_BEFORE_AN_UPGRADE: &[Row] = &[
    ("it runs", "", |it| it.unit("active", "enabled"), &["+ stop-unit x.service", "+ afterwards start-unit x.service"]),
    (
        "what goes was edited",
        "",
        |it| it.file("opt/x/conf", "mine", 0o644, 0),
        &[KEEPS_CONF, "+ note /opt/x/conf is no longer in the package; it was changed, so it stays"],
    ),
    ("what goes was removed", "", |it| it.gone("opt/x/conf"), &[KEEPS_CONF]),
    ("what goes became a directory", "", |it| it.directory("opt/x/conf", 0o755, 0), &[KEEPS_CONF]),
    (
        "what changes was edited",
        "",
        |it| it.file("opt/x/tool", "mine", 0o644, 0),
        &[
            "- place-file /opt/x/tool over its old version",
            "+ ! /opt/x/tool was changed since it was installed (--replace)",
        ],
    ),
    (
        "what changes was edited",
        "replace",
        |it| it.file("opt/x/tool", "mine", 0o644, 0),
        &[
            "- place-file /opt/x/tool over its old version",
            "+ place-file /opt/x/tool keeping /opt/x/tool.airgap-deploy-backup",
        ],
    ),
    (
        "what changes was brought to the new version by hand",
        "",
        |it| it.file("opt/x/tool", "tool two", 0o644, 0),
        &["- place-file /opt/x/tool over its old version"],
    ),
    (
        "what changes was removed",
        "",
        |it| it.gone("opt/x/tool"),
        &["- place-file /opt/x/tool over its old version", "+ place-file /opt/x/tool"],
    ),
    (
        "what comes is in the way",
        "",
        |it| it.file("opt/x/new", "else", 0o644, 0),
        &["- place-file /opt/x/new", "+ ! /opt/x/new exists and does not belong to this package (--replace)"],
    ),
    (
        "a link was led elsewhere",
        "",
        |it| it.link("opt/x/l", "mine"),
        &[
            "- remove-symbolic-link /opt/x/l",
            "- make-symbolic-link /opt/x/l",
            "+ ! /opt/x/l is in the way of a symbolic link",
        ],
    ),
    (
        "another package has all of it too",
        "",
        |it| it.shared_with("y"),
        &[
            "- place-file /opt/x/tool over its old version",
            KEEPS_CONF,
            "+ ! /opt/x/tool is needed by y as it is (--replace)",
            "+ note /opt/x/conf is no longer in the package; y needs it, so it stays",
        ],
    ),
    (
        "the unit goes, and runs",
        "",
        |it| {
            it.index.units.clear();
            it.index.files.retain(|file| file.path.name() != "x.service");
            it.unit("active", "enabled");
        },
        &[
            "+ stop-unit x.service",
            "+ disable-unit x.service",
            "+ remove-file /etc/systemd/system/x.service",
            "+ reload-systemd",
        ],
    ),
    (
        "the model goes",
        "",
        |it| {
            it.index.files.retain(|file| file.path.name() != "w");
            it.index.links.pop();
        },
        &["+ remove-file /opt/x/m/w", "+ remove-file /opt/x/m/b"],
    ),
    (
        "the model goes, and somebody's manifest needs its blob",
        "",
        |it| {
            it.index.files.retain(|file| file.path.name() != "w");
            it.index.links.pop();
            // Nobody can read which blobs that is about.
            let manifest = path("opt/x/manifests/registry.ollama.ai/library/own/latest");
            it.host.manifests.push(StoreManifest::of(path("opt/x"), manifest.clone(), None));
            it.host.manifests.push(StoreManifest::of(path("opt/x/m/w"), manifest, Some(vec![Digest::of(b"weights")])));
        },
        &["+ remove-file /opt/x/m/w", "+ remove-file /opt/x/m/b"],
    ),
];

#[test]
fn what_was_done_to_it_before_an_upgrade() {
    hold(&Case::upgrade(), WHAT_WAS_DONE_TO_IT_BEFORE_AN_UPGRADE);
}
