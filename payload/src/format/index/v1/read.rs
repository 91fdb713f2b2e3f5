//! From the wire types of version 1 to an index whose values are checked.
//! Whether the values fit each other is checked in `format/index/check.rs`.

use super::{WireBlob, WireComponent, WireComponentKind, WireEncoding, WireFile, WireIndex, WireLink, WireRole};
use crate::format::index::{
    Blob, Build, Component, ComponentKind, Directory, Document, Elf, Encoding, File, Index, Install, Link, LinkKind,
    Model, OnlyFor, PackageFacts, Role, SourceFact, Stub, Target, Unit,
};
use crate::{AccountName, Digest, Mode, Owner, PayloadError, RelPath};

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, PayloadError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| PayloadError::Format(error.to_string()))
}

fn optional<T: std::str::FromStr>(text: Option<&String>) -> Result<Option<T>, PayloadError>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| parsed(text)).transpose()
}

fn all<W, T>(wires: Vec<W>, read: impl Fn(W) -> Result<T, PayloadError>) -> Result<Vec<T>, PayloadError> {
    wires.into_iter().map(read).collect()
}

fn owner(user: &str, group: &str) -> Result<Owner, PayloadError> {
    Ok(Owner { user: parsed::<AccountName>(user)?, group: parsed::<AccountName>(group)? })
}

pub(super) fn index(wire: WireIndex) -> Result<Index, PayloadError> {
    if wire.target.os != "linux" {
        return Err(PayloadError::Format(format!(
            "it is for the operating system {:?}, not for linux",
            wire.target.os
        )));
    }
    let account = match (&wire.install.user, &wire.install.group) {
        (Some(user), Some(group)) => Some(owner(user, group)?),
        (None, None) => None,
        _ => return Err(PayloadError::Format("it names a user without a group, or a group without a user".to_owned())),
    };
    Ok(Index {
        package: PackageFacts {
            name: parsed(&wire.package.name)?,
            version: wire.package.version,
            description: wire.package.description,
        },
        target: Target { arch: parsed(&wire.target.arch)?, glibc: optional(wire.target.glibc.as_ref())? },
        build: Build {
            builder_version: wire.build.builder_version,
            manifest: parsed(&wire.build.manifest)?,
            stub: Stub { size: wire.build.stub.size, digest: parsed(&wire.build.stub.digest)? },
        },
        install: Install {
            prefix: parsed(&wire.install.prefix)?,
            account,
            command: optional(wire.install.command.as_ref())?,
        },
        components: all(wire.components, component)?,
        directories: all(wire.directories, |wire| {
            Ok(Directory {
                path: parsed(&wire.path)?,
                mode: parsed(&wire.mode)?,
                owner: owner(&wire.owner, &wire.group)?,
                only_for: OnlyFor::of(wire.only_for),
            })
        })?,
        files: all(wire.files, file)?,
        links: all(wire.links, link)?,
        units: all(wire.units, |wire| {
            Ok(Unit { name: wire.name, path: parsed(&wire.path)?, drop_in: optional(wire.drop_in.as_ref())? })
        })?,
        models: all(wire.models, |wire| {
            Ok(Model { name: wire.name, manifest: parsed(&wire.manifest)?, memory: wire.memory })
        })?,
        documents: all(wire.documents, |wire| {
            Ok(Document { name: parsed(&wire.name)?, size: wire.size, digest: parsed(&wire.digest)? })
        })?,
        blobs: all(wire.blobs, blob)?,
        total_length: wire.total_length,
    })
}

fn component(wire: WireComponent) -> Result<Component, PayloadError> {
    let kind = match wire.kind {
        WireComponentKind::ExternalBinary => ComponentKind::ExternalBinary,
        WireComponentKind::ModelFile => ComponentKind::ModelFile,
        WireComponentKind::ConfigFile => ComponentKind::ConfigFile,
    };
    let sources = all(wire.sources, |wire| {
        Ok(SourceFact { location: wire.location, size: wire.size, digest: parsed(&wire.digest)? })
    })?;
    Ok(Component { name: wire.name, kind, required: wire.required, sources })
}

fn file(wire: WireFile) -> Result<File, PayloadError> {
    let role = match wire.role {
        WireRole::Program => Role::Program,
        WireRole::ModelBlob => Role::ModelBlob,
        WireRole::ModelManifest => Role::ModelManifest,
        WireRole::Config => Role::Config,
        WireRole::Unit => Role::Unit,
    };
    let elf = match wire.elf {
        Some(elf) => Some(Elf { machine: elf.machine, glibc: optional(elf.glibc.as_ref())? }),
        None => None,
    };
    Ok(File {
        path: parsed::<RelPath>(&wire.path)?,
        blob: parsed::<Digest>(&wire.blob)?,
        mode: parsed::<Mode>(&wire.mode)?,
        owner: owner(&wire.owner, &wire.group)?,
        role,
        component: wire.component,
        only_for: OnlyFor::of(wire.only_for),
        elf,
    })
}

fn link(wire: WireLink) -> Result<Link, PayloadError> {
    let kind = match (wire.hard, wire.symbolic) {
        (Some(to), None) => LinkKind::Hard { to: parsed(&to)? },
        (None, Some(target)) => LinkKind::Symbolic { target },
        _ => return Err(PayloadError::Format(format!("link {:?} is neither hard nor symbolic, or both", wire.path))),
    };
    let only_for = OnlyFor::of(wire.only_for);
    Ok(Link { path: parsed(&wire.path)?, kind, owner: owner(&wire.owner, &wire.group)?, only_for })
}

fn blob(wire: WireBlob) -> Result<Blob, PayloadError> {
    let encoding = match wire.encoding {
        WireEncoding::Raw => Encoding::Raw,
        WireEncoding::Xz => Encoding::Xz,
    };
    let chunks = all(wire.chunks, |chunk| parsed(&chunk))?;
    Ok(Blob { digest: parsed(&wire.digest)?, size: wire.size, encoding, stored_size: wire.stored_size, chunks })
}
