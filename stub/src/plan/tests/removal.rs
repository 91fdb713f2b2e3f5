//! Tables: what was done to an installed package, and what its uninstallation takes away, leaves and puts back.
//! Unlike the other plans, this one looks at a machine: below a root of its own. It is carried out by the real program elsewhere.
#![expect(clippy::disallowed_methods, reason = "a test stands for everybody else")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use payload::index::Role;
use payload::{Digest, Mode};
use tempfile::TempDir;

use super::machine::{Case, owner, path};
use super::{difference, is_as_expected};
use crate::host::machine::Machine;
use crate::host::root::Root;
use crate::plan::removal;
use crate::record::others::Others;
use crate::record::receipt::{DirectoryEntry, FileEntry, Origin, Receipt};

/// A machine that the package of the tables is installed on.
struct Installed {
    root: TempDir,
    receipt: Receipt,
    others: Vec<Receipt>,
}

/// What was done; what was typed beside `--uninstall`; how; and how the plan differs from the one of an untouched machine.
type Row = (&'static str, &'static str, fn(&mut Installed), &'static [&'static str]);

const WEIGHTS: &str = "opt/x/m/w";
const MANIFEST: &str = "opt/x/manifests/registry.ollama.ai/library/own/latest";

impl Installed {
    fn new() -> Self {
        let it =
            Self { root: TempDir::new().unwrap(), receipt: Case::installed().receipt().clone(), others: Vec::new() };
        for (at, content) in [
            ("opt/x/tool", "tool"),
            ("opt/x/conf", "conf"),
            (WEIGHTS, "weights"),
            ("etc/systemd/system/x.service", "unit"),
        ] {
            it.write(at, content);
        }
        fs::hard_link(it.at(WEIGHTS), it.at("opt/x/m/b")).unwrap();
        symlink("tool", it.at("opt/x/l")).unwrap();
        it
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    /// Another file in its place, if there was one.
    fn write(&self, at: &str, content: &str) {
        let at = self.at(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&at);
        fs::write(at, content).unwrap();
    }

    fn remove(&self, at: &str) {
        fs::remove_file(self.at(at)).unwrap();
    }

    fn entry(&mut self, at: &str) -> &mut FileEntry {
        self.receipt.files.iter_mut().find(|file| file.path.as_str() == at).unwrap()
    }

    /// The installation put the program into the place of a file of somebody else.
    fn replaced(&mut self, before: &str) {
        let backup = path("opt/x/tool.airgap-deploy-backup");
        self.entry("opt/x/tool").origin = Origin::Replaced { backup, digest: Digest::of(b"before") };
        self.write("opt/x/tool.airgap-deploy-backup", before);
    }

    /// The package has a model of Ollama, whose content is the weights; they are at their place in the store too.
    fn with_store(&mut self) {
        let blob = format!("opt/x/blobs/{}", Digest::of(b"weights").blob_name());
        self.write(&blob, "weights");
        let manifest = "opt/x/manifests/registry.ollama.ai/library/x/latest";
        let named = format!("{{\"config\":{{\"digest\":\"sha256:{0}\"}},\"layers\":[]}}", Digest::of(b"weights"));
        self.write(manifest, &named);
        for (at, content, role) in
            [(blob.as_str(), "weights", Role::ModelBlob), (manifest, named.as_str(), Role::ModelManifest)]
        {
            let file = FileEntry {
                path: path(at),
                digest: Digest::of(content.as_bytes()),
                size: content.len() as u64,
                mode: Mode::READABLE,
                owner: owner("x"),
                role,
                origin: Origin::Created,
                stat: None,
            };
            self.receipt.files.push(file);
        }
    }

    /// A model that somebody else made, of the same weights.
    fn own_model(&mut self) {
        let config = Digest::of(b"weights");
        self.write(MANIFEST, &format!("{{\"config\":{{\"digest\":\"sha256:{config}\"}},\"layers\":[]}}"));
    }

    /// Another package that found these there, and uses the account.
    fn shared(&mut self, with: impl Fn(&mut Receipt)) {
        let mut other = self.receipt.clone();
        other.package = "y".parse().unwrap();
        (other.files, other.links, other.directories, other.units) = Default::default();
        (other.user, other.group, other.account) = (None, None, None);
        with(&mut other);
        self.others.push(other);
    }

    /// One thing a line, in order: what goes, what stays and why, what others need.
    fn outcome(&self, typed: &str) -> Vec<String> {
        let machine = Machine { root: Root::open(self.root.path()).unwrap(), privileged: false };
        let others = Others::of(self.others.clone());
        let plan = removal::plan(&self.receipt, &others, &machine, None, typed == "purge").unwrap();
        let mut lines: Vec<String> = plan.removals.iter().map(removal::Removal::describe).collect();
        lines.extend(plan.needed.iter().map(|needed| format!("{} needs {}", needed.by.join(", "), needed.what)));
        lines.extend(plan.models_of_others.iter().map(|model| format!("takes the model {model} along")));
        // What is kept is in it too, and what is gone.
        lines.extend(plan.remainders(&machine).unwrap().into_iter().map(|stays| format!("stays: {}", stays.why)));
        lines
    }
}

fn hold(rows: &[Row]) {
    let first = Installed::new().outcome("");
    let mut wrong = Vec::new();
    for (state, typed, change, expected) in rows {
        let mut it = Installed::new();
        change(&mut it);
        let before = entries(it.root.path());
        let found = difference(&first, &it.outcome(typed));
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, expected)| is_as_expected(found, expected));
        if !fits {
            wrong.push(format!("{state} ({typed}): expected {expected:#?}, found {found:#?}"));
        }
        assert_eq!(before, entries(it.root.path()), "{state}: planning changed something");
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// Every path below a directory.
fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(entries(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

#[test]
fn what_nobody_touched_goes_in_its_order() {
    assert_eq!(
        Installed::new().outcome(""),
        [
            "remove /opt/x/m/b",
            "remove /opt/x/l",
            "remove /etc/systemd/system/x.service",
            "remove /opt/x/conf",
            "remove /opt/x/m/w",
            "remove /opt/x/tool",
            "remove directory /opt/x/m/",
            "remove directory /opt/x/",
            "remove user x",
            "remove group x",
            "remove the receipt",
        ]
    );
}

const WHAT_WAS_DONE_TO_IT: &[Row] = &[
    ("nothing", "purge", |_| (), &[]),
    (
        "a file was edited",
        "",
        |it| it.write("opt/x/tool", "mine"),
        &[
            "- remove /opt/x/tool",
            "+ stays: /opt/x/tool was changed since it was installed",
            "+ stays: /opt/x/ is not empty: tool",
        ],
    ),
    ("a file was edited", "purge", |it| it.write("opt/x/tool", "mine"), &[]),
    (
        "a file outside its own directories was edited",
        "purge",
        |it| it.write("etc/systemd/system/x.service", "mine"),
        &[],
    ),
    (
        "a file was edited to the same length",
        "",
        |it| it.write("opt/x/conf", "fnoc"),
        &[
            "- remove /opt/x/conf",
            "+ stays: /opt/x/conf was changed since it was installed",
            "+ stays: /opt/x/ is not empty: conf",
        ],
    ),
    ("a file is gone", "", |it| it.remove("opt/x/tool"), &[]),
    ("a file was written anew as it was", "", |it| it.write("opt/x/tool", "tool"), &[]),
    (
        "a file became a link",
        "",
        |it| {
            it.remove("opt/x/tool");
            symlink("/dev/null", it.at("opt/x/tool")).unwrap();
        },
        &[
            "- remove /opt/x/tool",
            "+ stays: /opt/x/tool was changed since it was installed",
            "+ stays: /opt/x/ is not empty: tool",
        ],
    ),
    (
        "a link leads elsewhere",
        "",
        |it| {
            it.remove("opt/x/l");
            symlink("mine", it.at("opt/x/l")).unwrap();
        },
        &[
            "- remove /opt/x/l",
            "+ stays: /opt/x/l was changed since it was installed",
            "+ stays: /opt/x/ is not empty: l",
        ],
    ),
    ("one of two names is gone", "", |it| it.remove("opt/x/m/b"), &[]),
    ("the other one is gone", "", |it| it.remove(WEIGHTS), &[]),
    (
        "one of two names is another file",
        "",
        |it| it.write("opt/x/m/b", "another"),
        &[
            "- remove /opt/x/m/b",
            "+ stays: /opt/x/m/b was changed since it was installed",
            "+ stays: /opt/x/m/ is not empty: b",
        ],
    ),
    ("one of two names is a copy", "", |it| it.write("opt/x/m/b", "weights"), &[]),
    (
        "a file of somebody else came",
        "",
        |it| it.write("opt/x/m/mine", "mine"),
        &["+ stays: /opt/x/m/ is not empty: mine"],
    ),
    ("a file of somebody else came", "purge", |it| it.write("opt/x/m/mine", "mine"), &["+ remove /opt/x/m/mine"]),
    (
        "a directory of somebody else came",
        "purge",
        |it| it.write("opt/x/own/mine", "mine"),
        &["+ remove /opt/x/own/mine", "+ remove directory /opt/x/own/"],
    ),
    (
        "a name came that no path of a package can have",
        "purge",
        |it| it.write("opt/x/m/a\nb", "mine"),
        &["+ remove everything with an unusual name in /opt/x/m/"],
    ),
    (
        "a name came that is no text, with something in it",
        "purge",
        |it| fs::create_dir_all(it.at("opt/x").join(OsStr::from_bytes(b"no-\xff-text")).join("deep")).unwrap(),
        &["+ remove everything with an unusual name in /opt/x/"],
    ),
    (
        "a name came that no path of a package can have",
        "",
        |it| it.write("opt/x/m/a\nb", "mine"),
        &["+ stays: /opt/x/m/ is not empty: a\\u{a}b"],
    ),
    ("a file beside its directories came", "purge", |it| it.write("opt/mine", "mine"), &[]),
    (
        "a directory was there before",
        "",
        |it| {
            it.receipt.directories =
                [DirectoryEntry { path: path("opt/x"), origin: Origin::AlreadyPresent }].into_iter().collect();
        },
        &["- remove directory /opt/x/m/", "- remove directory /opt/x/"],
    ),
    (
        "a file was there before",
        "",
        |it| it.entry("opt/x/tool").origin = Origin::AlreadyPresent,
        &["- remove /opt/x/tool", "+ stays: /opt/x/ is not empty: tool"],
    ),
    (
        "no account was made",
        "",
        |it| (it.receipt.user, it.receipt.group) = (None, None),
        &["- remove user x", "- remove group x"],
    ),
    ("everything is gone", "", |it| fs::remove_dir_all(it.at("opt")).unwrap(), &[]),
];

#[test]
fn what_somebody_changed_stays_and_is_named() {
    hold(WHAT_WAS_DONE_TO_IT);
}

const WHAT_WAS_SET_ASIDE: &[Row] = &[
    (
        "it is there",
        "",
        |it| it.replaced("before"),
        &[
            "- remove /opt/x/tool",
            "+ put /opt/x/tool.airgap-deploy-backup back as /opt/x/tool",
            "+ stays: /opt/x/ is not empty: tool",
        ],
    ),
    (
        "and the file in its place was edited",
        "",
        |it| {
            it.replaced("before");
            it.write("opt/x/tool", "mine");
        },
        &[
            "- remove /opt/x/tool",
            "+ stays: /opt/x/tool was changed since it was installed; what was there before is /opt/x/tool.airgap-deploy-backup",
            "+ stays: /opt/x/ is not empty: …",
        ],
    ),
    (
        "it is gone",
        "",
        |it| {
            it.replaced("before");
            it.remove("opt/x/tool.airgap-deploy-backup");
        },
        &["+ stays: /opt/x/tool.airgap-deploy-backup is gone: what was at /opt/x/tool before cannot be put back"],
    ),
    (
        "it was edited",
        "",
        |it| it.replaced("edited"),
        &[
            "+ stays: /opt/x/tool.airgap-deploy-backup is no longer the backup of /opt/x/tool: it stays",
            "+ stays: /opt/x/ is not empty: tool.airgap-deploy-backup",
        ],
    ),
    (
        "an uninstallation that was interrupted has put it back",
        "",
        |it| {
            it.replaced("before");
            fs::rename(it.at("opt/x/tool.airgap-deploy-backup"), it.at("opt/x/tool")).unwrap();
        },
        &["- remove /opt/x/tool", "+ stays: /opt/x/ is not empty: tool"],
    ),
];

#[test]
fn what_was_set_aside_is_put_back_and_nothing_else_in_its_place() {
    hold(WHAT_WAS_SET_ASIDE);
}

const WHAT_OTHERS_NEED: &[Row] = &[
    (
        "another package has a file and a directory",
        "",
        |it| {
            let (file, directories) = (it.entry("opt/x/tool").clone(), it.receipt.directories.clone());
            it.shared(|other| {
                other.files = [FileEntry { origin: Origin::AlreadyPresent, ..file.clone() }].into_iter().collect();
                other.directories = directories.clone();
                other.directories.retain(|entry| entry.path.as_str() == "opt/x");
                other.directories.iter_mut().for_each(|entry| entry.origin = Origin::AlreadyPresent);
            });
        },
        &[
            "- remove /opt/x/tool",
            "- remove directory /opt/x/",
            "+ hand over to y what it needs",
            "+ y needs /opt/x/tool",
            "+ y needs /opt/x",
        ],
    ),
    (
        "another package has a file, and all is to go",
        "purge",
        |it| {
            let file = it.entry("opt/x/tool").clone();
            it.shared(|other| {
                other.files = [FileEntry { origin: Origin::AlreadyPresent, ..file.clone() }].into_iter().collect();
            });
        },
        &[
            "- remove /opt/x/tool",
            "+ hand over to y what it needs",
            "+ y needs /opt/x/tool",
            "+ stays: /opt/x/ is not empty: tool",
        ],
    ),
    (
        "another package runs as the user",
        "",
        |it| it.shared(|other| other.account = Some(owner("x"))),
        &[
            "- remove user x",
            "- remove group x",
            "+ hand over to y what it needs",
            "+ y needs user x",
            "+ y needs group x",
        ],
    ),
    ("another package needs nothing of it", "", |it| it.shared(|_| ()), &[]),
    (
        "a model of somebody else needs a blob",
        "",
        |it| {
            it.with_store();
            it.own_model();
        },
        &[
            "+ remove /opt/x/manifests/registry.ollama.ai/library/x/latest",
            "+ the model own:latest needs…",
            "+ stays: /opt/x/ is not empty: …",
        ],
    ),
    (
        "a model of somebody else goes with the directories",
        "purge",
        |it| {
            it.with_store();
            it.own_model();
        },
        &[
            "+ remove /opt/x/manifests/registry.ollama.ai/library/x/latest",
            "+ remove /opt/x/blobs/…",
            "+ remove directory /opt/x/blobs/",
            "+ remove /opt/x/manifests/registry.ollama.ai/library/own/latest",
            "+ remove directory /opt/x/manifests/registry.ollama.ai/library/own/",
            "+ remove directory /opt/x/manifests/registry.ollama.ai/library/x/",
            "+ remove directory /opt/x/manifests/registry.ollama.ai/library/",
            "+ remove directory /opt/x/manifests/registry.ollama.ai/",
            "+ remove directory /opt/x/manifests/",
            "+ takes the model own:latest along",
        ],
    ),
];

#[test]
fn what_others_need_stays() {
    hold(WHAT_OTHERS_NEED);
}
