//! Tables: a state of the machine, and what is planned for it: steps, conflicts, findings, notes.
//! What becomes of the steps is tested with the real program.

mod in_the_way;
mod installed;
mod machine;
mod machines;
mod removal;

use payload::Digest;

use super::root_power;
use crate::host::models::StoreManifest;
use crate::record::receipt::FileEntry;
use machine::{Case, path};

/// What is so on the machine; what was typed beside `--install`; how the machine is brought to that; and how the plan
/// differs from the one of the table's first row: `-` what it no longer has, `+` what it has beside it. An `…` stands for
/// the rest of a line.
type Row = (&'static str, &'static str, fn(&mut Case), &'static [&'static str]);

/// The lines of `outcome` without those of `base`, and the other way round.
fn difference(base: &[String], outcome: &[String]) -> Vec<String> {
    let mut gone = base.to_vec();
    let mut new = Vec::new();
    for line in outcome {
        match gone.iter().position(|other| other == line) {
            Some(position) => drop(gone.remove(position)),
            None => new.push(format!("+ {line}")),
        }
    }
    gone.iter().map(|line| format!("- {line}")).chain(new).collect()
}

fn is_as_expected(found: &str, expected: &str) -> bool {
    expected.strip_suffix('…').map_or(found == expected, |start| found.starts_with(start))
}

fn hold(base: &Case, rows: &[Row]) {
    let first = base.outcome("");
    let mut wrong = Vec::new();
    for (state, typed, change, expected) in rows {
        let mut case = base.clone();
        change(&mut case);
        let found = difference(&first, &case.outcome(typed));
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, expected)| is_as_expected(found, expected));
        if !fits {
            wrong.push(format!("{state} ({typed}): expected {expected:#?}, found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn on_a_machine_that_has_nothing_everything_is_made_in_its_order() {
    assert_eq!(
        Case::fresh().outcome(""),
        [
            "create-group x 550",
            "create-user x 550",
            "make-directory /opt/x",
            "make-directory /opt/x/m",
            "place-file /opt/x/tool",
            "place-file /opt/x/conf",
            "make-symbolic-link /opt/x/l",
            "place-file /opt/x/m/w",
            "make-hard-link /opt/x/m/b",
            "set-owner /opt/x/m",
            "place-file /etc/systemd/system/x.service",
            "restore-labels",
            "reload-systemd",
        ]
    );
}

#[test]
fn on_a_machine_that_has_it_nothing_is_done() {
    assert_eq!(Case::installed().outcome(""), [""; 0]);
}

#[test]
fn an_upgrade_replaces_what_changed_and_removes_what_went() {
    assert_eq!(
        Case::upgrade().outcome(""),
        [
            "place-file /opt/x/tool over its old version",
            "place-file /opt/x/new",
            "remove-symbolic-link /opt/x/l",
            "make-symbolic-link /opt/x/l",
            "remove-file /opt/x/conf",
            "restore-labels",
        ]
    );
}

#[test]
fn a_blob_that_somebody_elses_model_needs_stays() {
    let mut case = Case::upgrade();
    let blob = path(&format!("opt/x/blobs/{}", Digest::of(b"weights").blob_name()));
    let receipt = case.receipt();
    let moved = |file: &FileEntry| match file.path.name() {
        "w" => FileEntry { path: blob.clone(), ..file.clone() },
        _ => file.clone(),
    };
    receipt.files = receipt.files.iter().map(moved).collect();
    let last = receipt.links.last().map(|link| link.path.clone());
    receipt.links.retain(|link| Some(&link.path) != last.as_ref());
    case.index.files.retain(|file| file.path.name() != "w");
    case.index.links.pop();
    case.file(blob.as_str(), "weights", 0o644, 550);
    let anchor = case.host.anchors[&Some(path("opt/x"))].clone();
    case.host.anchors.insert(blob.parent(), anchor);
    let removal = format!("remove-file {blob}");
    assert!(case.outcome("").contains(&removal), "{:?}", case.outcome(""));
    let manifest = path("opt/x/manifests/registry.ollama.ai/library/own/latest");
    for blobs in [Some(vec![Digest::of(b"weights")]), None] {
        case.host.manifests = vec![StoreManifest::of(path("opt/x"), manifest.clone(), blobs)];
        let outcome = case.outcome("");
        assert!(!outcome.contains(&removal), "{outcome:?}");
        let note = format!("note {blob} is no longer in the package; the model own:latest needs it, so it stays");
        assert!(outcome.contains(&note), "{outcome:?}");
    }
    case.host.manifests = vec![StoreManifest::of(path("opt/x"), manifest, Some(vec![Digest::of(b"else")]))];
    assert!(case.outcome("").contains(&removal), "a model that needs another blob");
}

#[test]
fn what_decides_what_runs_as_root_is_said() {
    let said = |at: &str| {
        let mut case = Case::fresh();
        case.shipped("opt/x/conf").path = path(at);
        let said = root_power::sentences(&case.index, &case.host);
        said.iter().filter_map(|said| said.strip_prefix(&format!("/{at}: "))).map(str::to_owned).collect::<Vec<_>>()
    };
    for (at, means) in [
        ("etc/cron.d/x", "cron runs it"),
        ("etc/cron.daily/x", "as root"),
        ("etc/crontab", "cron runs it"),
        ("etc/systemd/system/sshd.service", "what is not of this package"),
        ("etc/systemd/system/sshd.service.d/x.conf", "what is not of this package"),
        ("etc/systemd/system/x.service.d/x.conf", "its own unit"),
        ("etc/systemd/system.conf.d/x.conf", "systemd is configured by it"),
        ("usr/lib/systemd/user/x.service", "systemd is configured by it"),
        ("etc/profile", "every login runs it"),
        ("etc/rc.local", "as root on boot"),
        ("etc/udev/rules.d/x.rules", "as root"),
        ("lib/modules/x.ko", "the kernel loads it"),
        ("var/spool/cron/crontabs/root", "cron runs it"),
        ("usr/lib/udev/rules.d/x.rules", "as root"),
        ("etc/polkit-1/rules.d/x.rules", "what root may"),
        ("etc/profile.d/x.sh", "root's too"),
        ("etc/ld.so.conf.d/x.conf", "loads libraries"),
        ("usr/bin/tool", "who types its name"),
        ("usr/local/bin/tool", "who types its name"),
        ("usr/lib/libx.so.1", "may load it"),
        ("usr/lib/x86_64-linux-gnu/libx.so", "may load it"),
        ("srv/elsewhere", "outside /opt/x"),
        ("opt/y/elsewhere", "outside /opt/x"),
    ] {
        assert!(said(at).first().is_some_and(|said| said.contains(means)), "{at}: {:?}", said(at));
    }
    for inside in ["opt/x/conf", "opt/x/etc/cron.d/x", "opt/x/lib/libx.so"] {
        assert!(said(inside).is_empty(), "{inside}: {:?}", said(inside));
    }
    // Where the prefix is a directory of the system, its files are no less obeyed.
    let inside = |prefix: &str, name: &str| {
        let mut case = Case::fresh();
        case.index.install.prefix = path(prefix);
        case.shipped("opt/x/conf").path = path(&format!("{prefix}/{name}"));
        let said = root_power::sentences(&case.index, &case.host);
        said.into_iter().find(|said| said.starts_with(&format!("/{prefix}/{name}: ")))
    };
    for (prefix, name, means) in [
        ("usr/lib/dracut/modules.d/99x", "module-setup.sh", "boots the machine"),
        ("usr/lib/sysctl.d", "x.conf", "settings follow it"),
        ("usr/share/initramfs-tools", "hooks/x", "boots the machine"),
        ("usr/lib/kernel/install.d", "x.install", "every new kernel"),
        ("home/admin/.ssh", "authorized_keys", "somebody's home"),
        ("usr/lib/x86_64-linux-gnu", "libnss_x.so.2", "may load it"),
        ("usr/lib/x86_64-linux-gnu", "security/pam_x.so", "may load it"),
        ("usr/local/lib", "libc.so.6", "may load it"),
        ("usr/local/lib/python3.11/dist-packages", "x.pth", "root's too"),
        ("usr/share/perl5", "strict.pm", "root's too"),
        ("var/lib/dpkg", "info/bash.postinst", "as root"),
    ] {
        let said = inside(prefix, name);
        assert!(said.as_ref().is_some_and(|said| said.contains(means)), "{prefix}/{name}: {said:?}");
    }
    for (prefix, name) in [
        ("usr/local/lib/ollama", "libggml.so"),
        ("usr/local/lib/ollama", "cuda_v12/libcudart.so.12"),
        ("srv/x", "x.so"),
    ] {
        assert_eq!(inside(prefix, name), None);
    }
    let case = Case::fresh();
    let said = root_power::sentences(&case.index, &case.host);
    assert_eq!(said, ["/etc/systemd/system/x.service: systemd runs what it says, as the user it names, else as root"]);
}

#[test]
fn owners_follow_who_installs_where() {
    let mut case = Case::fresh();
    assert!(case.host.sets_owners());
    case.host.privileged = false;
    assert!(case.host.sets_owners(), "of the running system the plan shows what root would do");
    case.host.live = false;
    assert!(!case.host.sets_owners());
    case.host.privileged = true;
    assert!(case.host.sets_owners());
    case.host.has_accounts = false;
    assert!(!case.host.sets_owners());
}
