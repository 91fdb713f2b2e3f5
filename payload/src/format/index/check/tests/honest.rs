//! An index as an honest builder writes it, with something of everything.
//! What is changed in it, and refused, is in `tests.rs`.

use crate::format::index::{
    Arch, Blob, Build, Component, ComponentKind, Directory, Document, Encoding, File, Index, Install, Link, LinkKind,
    Model, OnlyFor, PackageFacts, Role, SourceFact, Stub, Target, Unit,
};
use crate::{Digest, Mode, Owner};

pub(super) fn owner(user: &str, group: &str) -> Owner {
    Owner { user: user.parse().unwrap(), group: group.parse().unwrap() }
}

pub(super) fn directory(path: &str) -> Directory {
    Directory {
        path: path.parse().unwrap(),
        mode: Mode::EXECUTABLE,
        owner: Owner::root(),
        only_for: OnlyFor::everybody(),
    }
}

pub(super) fn file(path: &str, content: &[u8], role: Role) -> File {
    File {
        path: path.parse().unwrap(),
        blob: Digest::of(content),
        mode: Mode::READABLE,
        owner: Owner::root(),
        role,
        component: 0,
        only_for: OnlyFor::everybody(),
        elf: None,
    }
}

pub(super) fn raw(content: &[u8]) -> Blob {
    let size = content.len() as u64;
    let digest = Digest::of(content);
    Blob { digest, size, encoding: Encoding::Raw, stored_size: size, chunks: vec![digest] }
}

pub(super) fn symbolic(path: &str, target: &str) -> Link {
    Link {
        path: path.parse().unwrap(),
        kind: LinkKind::Symbolic { target: target.to_owned() },
        owner: Owner::root(),
        only_for: OnlyFor::everybody(),
    }
}

/// Something of everything, as an honest builder writes it.
pub(super) fn good() -> Index {
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
        install: Install { prefix: "opt/x".parse().unwrap(), account: Some(owner("x", "x")), command: None },
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
                only_for: OnlyFor::everybody(),
            },
        ],
        units: vec![Unit { name: "x.service".to_owned(), path: unit.parse().unwrap(), drop_in: drop_in.parse().ok() }],
        models: vec![Model {
            name: "m:latest".to_owned(),
            manifest: "opt/x/models/m".parse().unwrap(),
            memory: Some(1 << 50),
        }],
        blobs: [&b"program"[..], b"library", b"model", b"drop-in", b"unit"].map(raw).to_vec(),
        documents: vec![Document { name: "manifest.toml".parse().unwrap(), size: 8, digest: Digest::of(b"manifest") }],
        total_length: 1,
    }
}

/// Adds a file with the directories above it, as a builder would.
pub(super) fn add(index: &mut Index, path: &str, role: Role) {
    let entry = file(path, b"unit", role);
    for above in entry.path.ancestors() {
        if !index.directories.iter().any(|directory| directory.path == above) {
            index.directories.push(directory(above.as_str()));
        }
    }
    index.files.push(entry);
    index.files.sort_by_key(|file| file.role);
}
