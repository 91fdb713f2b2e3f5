//! One index that is accepted, and for every rule a change of it that is refused, or still accepted.
//! What is done with the machine is tested with the real programs.

use super::check;
use crate::format::index::{
    Arch, Blob, Build, Component, ComponentKind, Directory, Document, Elf, Encoding, File, Index, Install, Link,
    LinkKind, Model, PackageFacts, Role, SourceFact, Stub, Target, Unit,
};
use crate::{CHUNK_SIZE, Digest, Mode, Owner};

fn owner(user: &str, group: &str) -> Owner {
    Owner { user: user.parse().unwrap(), group: group.parse().unwrap() }
}

fn directory(path: &str) -> Directory {
    Directory { path: path.parse().unwrap(), mode: Mode::EXECUTABLE, owner: Owner::root() }
}

fn file(path: &str, content: &[u8], role: Role) -> File {
    File {
        path: path.parse().unwrap(),
        blob: Digest::of(content),
        mode: Mode::READABLE,
        owner: Owner::root(),
        role,
        component: 0,
        elf: None,
    }
}

fn raw(content: &[u8]) -> Blob {
    let size = content.len() as u64;
    let digest = Digest::of(content);
    Blob { digest, size, encoding: Encoding::Raw, stored_size: size, chunks: vec![digest] }
}

fn symbolic(path: &str, target: &str) -> Link {
    Link { path: path.parse().unwrap(), kind: LinkKind::Symbolic { target: target.to_owned() }, owner: Owner::root() }
}

/// Something of everything, as an honest builder writes it.
fn good() -> Index {
    let directories = [
        "etc",
        "etc/systemd",
        "etc/systemd/system",
        "etc/systemd/system/x.service.d",
        "opt",
        "opt/x",
        "opt/x/bin",
        "opt/x/lib",
        "opt/x/models",
    ];
    let unit = "etc/systemd/system/x.service";
    let drop_in = "etc/systemd/system/x.service.d/10-x.conf";
    Index {
        package: PackageFacts {
            name: "x".parse().unwrap(),
            version: "1.0".to_owned(),
            description: "Ein Modell 🦙".to_owned(),
        },
        target: Target { arch: Arch::X86_64, glibc: None },
        build: Build {
            builder_version: "0.1.0".to_owned(),
            manifest: Digest::of(b"manifest"),
            stub: Stub { size: 4096, digest: Digest::of(b"stub") },
        },
        install: Install { prefix: "opt/x".parse().unwrap(), account: Some(owner("x", "x")) },
        components: vec![Component {
            name: "x".to_owned(),
            kind: ComponentKind::ExternalBinary,
            required: true,
            sources: vec![SourceFact { location: "file:x".to_owned(), size: 1, digest: Digest::of(b"x") }],
        }],
        directories: directories.map(directory).to_vec(),
        files: vec![
            file("opt/x/bin/x", b"program", Role::Program),
            file("opt/x/lib/l.so.1", b"library", Role::Program),
            file("opt/x/models/m", b"model", Role::ModelManifest),
            file(drop_in, b"drop-in", Role::Unit),
            file(unit, b"unit", Role::Unit),
        ],
        links: vec![
            symbolic("opt/x/lib/l.so", "l.so.1"),
            symbolic("opt/x/bin/l.so", "../lib/l.so"),
            Link {
                path: "opt/x/models/n".parse().unwrap(),
                kind: LinkKind::Hard { to: "opt/x/models/m".parse().unwrap() },
                owner: Owner::root(),
            },
        ],
        units: vec![Unit { name: "x.service".to_owned(), path: unit.parse().unwrap(), drop_in: drop_in.parse().ok() }],
        models: vec![Model { name: "m:latest".to_owned(), manifest: "opt/x/models/m".parse().unwrap() }],
        blobs: [&b"program"[..], b"library", b"model", b"drop-in", b"unit"].map(raw).to_vec(),
        documents: vec![Document { name: "manifest.toml".parse().unwrap(), size: 8, digest: Digest::of(b"manifest") }],
        total_length: 1,
    }
}

fn refusal(change: impl FnOnce(&mut Index)) -> Option<String> {
    let mut index = good();
    change(&mut index);
    check(&index).err().map(|error| error.to_string())
}

#[track_caller]
fn refused(says: &str, change: impl FnOnce(&mut Index)) {
    let problem = refusal(change).expect("it was accepted");
    assert!(problem.contains(says), "it says: {problem}");
}

#[track_caller]
fn accepted(change: impl FnOnce(&mut Index)) {
    assert_eq!(refusal(change), None);
}

/// Adds a file with the directories above it, as a builder would.
fn add(index: &mut Index, path: &str, role: Role) {
    let entry = file(path, b"unit", role);
    for above in entry.path.ancestors() {
        if !index.directories.iter().any(|directory| directory.path == above) {
            index.directories.push(directory(above.as_str()));
        }
    }
    index.files.push(entry);
    index.files.sort_by_key(|file| file.role);
}

#[test]
fn an_honest_index_is_accepted() {
    accepted(|_| ());
    accepted(|index| index.install.account = None);
    for path in ["usr/local/bin/tool", "etc/cron.d/x", "usr/bin/tool", "srv/x/data", "usr/lib/udev/rules.d/9.rules"] {
        accepted(|index| add(index, path, Role::Config));
    }
}

#[test]
fn paths_stand_once_below_directories_that_are_listed_before_them() {
    refused("listed twice", |index| index.directories.push(directory("opt/x")));
    refused("listed twice", |index| index.links.push(symbolic("opt/x/bin/x", "l.so")));
    refused("not listed before it", |index| index.directories.retain(|entry| entry.path.as_str() != "opt"));
    refused("not listed before it", |index| index.directories.reverse());
    refused("which is no directory", |index| index.files.push(file("opt/x/bin/x/y", b"unit", Role::Unit)));
    refused("not listed before it", |index| index.files.push(file("opt/x/lib/l.so/y", b"unit", Role::Unit)));
    refused("cannot be seen", |index| index.directories.push(directory("opt/x/a\u{200b}b")));
    refused("more than", |index| index.directories.extend((0..10_000).map(|n| directory(&format!("opt/x/{n}")))));
}

#[test]
fn links_lead_to_something_inside() {
    let change = |target: &'static str| refusal(move |index| index.links.push(symbolic("opt/x/bin/s", target)));
    for good in ["x", "l.so", "../lib/l.so.1", "..", "../bin"] {
        assert_eq!(change(good), None, "{good}");
    }
    for bad in ["/etc/passwd", "../../../etc", "../..", "nothing", "", ".", "./x", "x/", "a//b", "../lib/../bin/x", "s"]
    {
        assert!(change(bad).is_some(), "{bad:?} was accepted");
    }
    refused("not in the package's prefix", |index| index.links.push(symbolic("etc/l", "systemd")));
    refused("another owner", |index| index.links[2].owner = owner("x", "x"));
    refused("no file of the package", |index| {
        let to = "opt/x/bin".parse().unwrap();
        index.links.push(Link { path: "opt/x/h".parse().unwrap(), kind: LinkKind::Hard { to }, owner: Owner::root() });
    });
}

#[test]
fn a_chain_of_links_is_followed_as_the_kernel_does() {
    refused("not relative and normalised", |index| {
        index.directories.push(directory("opt/x/a"));
        index.directories.push(directory("opt/x/a/b"));
        index.links.push(symbolic("opt/x/a/b/l", "../.."));
        index.links.push(symbolic("opt/x/a/b/s", "l/../../etc/shadow"));
    });
    refused("leads to itself", |index| {
        index.links.push(symbolic("opt/x/a", "b"));
        index.links.push(symbolic("opt/x/b", "a"));
    });
    refused("leads to itself", |index| {
        index.links.extend((0..20).map(|n| symbolic(&format!("opt/x/c{n}"), &format!("c{}", n + 1))));
        index.links.push(symbolic("opt/x/c20", "bin"));
    });
}

#[test]
fn contents_belong_to_files_and_files_have_content() {
    refused("does not have", |index| index.files.push(file("opt/x/y", b"other", Role::Unit)));
    refused("belongs to no file", |index| index.blobs.push(raw(b"other")));
    refused("listed twice", |index| index.blobs.push(raw(b"unit")));
    refused("two sizes differ", |index| index.blobs[0].size += 1);
    refused("its only chunk", |index| index.blobs[0].chunks = vec![Digest::of(b"other")]);
    refused("chunks for", |index| index.blobs[0].chunks.clear());
    refused("impossibly large", |index| index.blobs[0].size = u64::MAX);
    refused("impossibly large", |index| {
        for blob in &mut index.blobs {
            blob.encoding = Encoding::Xz;
            blob.size = 1 << 49;
        }
    });
    accepted(|index| {
        let blob = &mut index.blobs[0];
        (blob.size, blob.stored_size) = (CHUNK_SIZE + 1, CHUNK_SIZE + 1);
        blob.chunks = vec![Digest::of(b"one"), Digest::of(b"two")];
    });
    refused("does not exist", |index| index.files[0].component = 1);
    refused("order of installation", |index| index.files.reverse());
}

#[test]
fn documents_begin_with_the_manifest() {
    let document = |name: &str| Document { name: name.parse().unwrap(), size: 1, digest: Digest::of(b"d") };
    accepted(|index| index.documents.push(document("LICENSES/ollama+x")));
    refused("first document", |index| index.documents.clear());
    refused("first document", |index| index.documents.insert(0, document("sbom.cdx.json")));
    refused("first document", |index| index.build.manifest = Digest::of(b"other"));
    refused("listed twice", |index| index.documents.push(document("manifest.toml")));
    let long = "d".repeat(101);
    for name in ["index.json", "index.json.minisig", "blobs/x", "blobs", "a b", "ü", "a\\b", &long] {
        refused("no document has", |index| index.documents.push(document(name)));
    }
    refused("larger than", |index| index.documents[0].size = 5 << 20);
}

#[test]
fn units_lie_where_systemd_reads_them() {
    let rename = |index: &mut Index, path: &str| {
        index.units[0].path = path.parse().unwrap();
        index.units[0].name = path.rsplit_once('/').unwrap().1.to_owned();
        index.units[0].drop_in = None;
    };
    refused("not in a directory", |index| {
        add(index, "opt/x/y.service", Role::Unit);
        rename(index, "opt/x/y.service");
    });
    refused("not the name of a systemd unit", |index| {
        add(index, "etc/systemd/system/x;touch pwn;.service", Role::Unit);
        rename(index, "etc/systemd/system/x;touch pwn;.service");
    });
    refused("not in a directory", |index| index.units[0].name = "y.service".to_owned());
    refused("not in a directory", |index| rename(index, "etc/systemd/system/z.service"));
    refused("no drop-in", |index| index.units[0].drop_in = "opt/x/bin/x".parse().ok());
    refused("has no manifest", |index| index.models[0].manifest = "opt/x/bin/x".parse().unwrap());
}

#[test]
fn texts_can_be_seen() {
    refused("description", |index| index.package.description.push('\n'));
    refused("version", |index| index.package.version.clear());
    refused("version", |index| index.package.version.push('\u{202e}'));
    refused("builder version", |index| index.build.builder_version = "0\u{feff}".to_owned());
    refused("component", |index| index.components[0].name = "x".repeat(257));
    refused("source", |index| index.components[0].sources[0].location.push('\u{2028}'));
    refused("model", |index| index.models[0].name.push('\u{ad}'));
    let machine = "x86_64\nexit code 0".to_owned();
    refused("processor", |index| index.files[0].elf = Some(Elf { machine, glibc: None }));
}

#[test]
fn what_no_honest_package_needs_is_refused() {
    for path in [
        "var/lib/airgap-deploy/x/receipt.json",
        "etc/airgap-deploy/trusted-keys/evil.pub",
        "usr/local/sbin/airgap-deploy",
    ] {
        refused("keeps for itself", |index| add(index, path, Role::Config));
    }
    for path in ["opt/.airgap-deploy.x/f0", "opt/x/a.airgap-deploy-backup", "opt/x/a.airgap-deploy-backup.2"] {
        refused("keeps for itself", |index| add(index, path, Role::Config));
    }
    for path in ["etc/sudoers.d/x", "etc/ld.so.preload", "etc/shadow", "etc/pam.d/x", "etc/systemd/system-generators/x"]
    {
        refused("can become root", |index| add(index, path, Role::Config));
    }
    for path in ["proc/x", "run/x", "boot/x", "root/.ssh/authorized_keys", "dev/sda", "tmp/x"] {
        refused("no place for a package", |index| add(index, path, Role::Config));
    }
    for path in ["usr/bin/sudo", "bin/sh", "usr/sbin/sshd"] {
        refused("program of the system", |index| add(index, path, Role::Program));
    }
    for path in ["var", "usr", "vmlinuz"] {
        refused("no directory here", |index| index.files.push(file(path, b"unit", Role::Unit)));
    }
    refused("changed by anybody", |index| index.files[0].mode = Mode::try_from(0o666).unwrap());
    refused("changed by anybody", |index| index.directories[6].mode = Mode::try_from(0o777).unwrap());
    for prefix in ["etc", "etc/x", "proc", "proc/x", "usr", "usr/bin", "var", "lib", "run/x", "root/x", "home"] {
        refused("belongs to the system", |index| index.install.prefix = prefix.parse().unwrap());
    }
    refused("as root", |index| index.install.account = Some(owner("root", "x")));
    for group in ["root", "sudo", "shadow", "docker"] {
        refused("can become root", |index| index.install.account = Some(owner("x", group)));
    }
}
