//! Version 1 of the index as JSON: the wire types and their conversion. Documented in `docs/format.md`.
//! Frozen: a change of meaning is a new version in a new file. Consistency is checked in `check.rs`.

use serde::{Deserialize, Serialize};

use super::{
    Blob, Build, Component, ComponentKind, Directory, Document, Elf, Encoding, FORMAT, File, Index, Install, Link,
    LinkKind, Model, PackageFacts, Role, SourceFact, Stub, Target, Unit,
};
use crate::{AccountName, Digest, Mode, Owner, PayloadError, RelPath};

#[derive(Deserialize)]
struct Probe {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIndex {
    format: u32,
    package: WirePackage,
    target: WireTarget,
    build: WireBuild,
    install: WireInstall,
    components: Vec<WireComponent>,
    directories: Vec<WireDirectory>,
    files: Vec<WireFile>,
    links: Vec<WireLink>,
    units: Vec<WireUnit>,
    models: Vec<WireModel>,
    documents: Vec<WireDocument>,
    blobs: Vec<WireBlob>,
    total_length: u64,
    /// Reserved for packages that are cut into volumes; always empty in a single file.
    volumes: Vec<WireNever>,
}

/// Has no value: a list of these is empty.
#[derive(Serialize, Deserialize)]
enum WireNever {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePackage {
    name: String,
    version: String,
    description: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTarget {
    os: String,
    arch: String,
    glibc: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBuild {
    builder_version: String,
    manifest: String,
    stub: WireStub,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireStub {
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireInstall {
    prefix: String,
    user: Option<String>,
    group: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireComponent {
    name: String,
    #[serde(rename = "type")]
    kind: WireComponentKind,
    required: bool,
    sources: Vec<WireSource>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireComponentKind {
    ExternalBinary,
    ModelFile,
    ConfigFile,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSource {
    location: String,
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDirectory {
    path: String,
    mode: String,
    owner: String,
    group: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    path: String,
    blob: String,
    mode: String,
    owner: String,
    group: String,
    role: WireRole,
    component: usize,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    elf: Option<WireElf>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireRole {
    Program,
    ModelBlob,
    ModelManifest,
    Config,
    Unit,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireElf {
    machine: String,
    glibc: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLink {
    path: String,
    /// Another path of the index: a hard link to that file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hard: Option<String>,
    /// The text of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    symbolic: Option<String>,
    owner: String,
    group: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireUnit {
    name: String,
    path: String,
    drop_in: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireModel {
    name: String,
    manifest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDocument {
    name: String,
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBlob {
    digest: String,
    size: u64,
    encoding: WireEncoding,
    stored_size: u64,
    chunks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireEncoding {
    Raw,
    Xz,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Index, PayloadError> {
    let format = |error: serde_json::Error| PayloadError::Format(error.to_string());
    let probe: Probe = serde_json::from_slice(bytes).map_err(format)?;
    if probe.format != FORMAT {
        return Err(PayloadError::Format(format!(
            "it has format version {}, this program reads version {FORMAT}",
            probe.format
        )));
    }
    let wire: WireIndex = serde_json::from_slice(bytes).map_err(format)?;
    read_index(wire)
}

pub(super) fn render(index: &Index) -> Result<Vec<u8>, PayloadError> {
    let mut bytes =
        serde_json::to_vec_pretty(&write_index(index)).map_err(|error| PayloadError::Format(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

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

fn read_index(wire: WireIndex) -> Result<Index, PayloadError> {
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
        install: Install { prefix: parsed(&wire.install.prefix)?, account },
        components: all(wire.components, read_component)?,
        directories: all(wire.directories, |wire| {
            Ok(Directory {
                path: parsed(&wire.path)?,
                mode: parsed(&wire.mode)?,
                owner: owner(&wire.owner, &wire.group)?,
            })
        })?,
        files: all(wire.files, read_file)?,
        links: all(wire.links, read_link)?,
        units: all(wire.units, |wire| {
            Ok(Unit { name: wire.name, path: parsed(&wire.path)?, drop_in: optional(wire.drop_in.as_ref())? })
        })?,
        models: all(wire.models, |wire| Ok(Model { name: wire.name, manifest: parsed(&wire.manifest)? }))?,
        documents: all(wire.documents, |wire| {
            Ok(Document { name: parsed(&wire.name)?, size: wire.size, digest: parsed(&wire.digest)? })
        })?,
        blobs: all(wire.blobs, read_blob)?,
        total_length: wire.total_length,
    })
}

fn read_component(wire: WireComponent) -> Result<Component, PayloadError> {
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

fn read_file(wire: WireFile) -> Result<File, PayloadError> {
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
        elf,
    })
}

fn read_link(wire: WireLink) -> Result<Link, PayloadError> {
    let kind = match (wire.hard, wire.symbolic) {
        (Some(to), None) => LinkKind::Hard { to: parsed(&to)? },
        (None, Some(target)) => LinkKind::Symbolic { target },
        _ => return Err(PayloadError::Format(format!("link {:?} is neither hard nor symbolic, or both", wire.path))),
    };
    Ok(Link { path: parsed(&wire.path)?, kind, owner: owner(&wire.owner, &wire.group)? })
}

fn read_blob(wire: WireBlob) -> Result<Blob, PayloadError> {
    let encoding = match wire.encoding {
        WireEncoding::Raw => Encoding::Raw,
        WireEncoding::Xz => Encoding::Xz,
    };
    let chunks = all(wire.chunks, |chunk| parsed(&chunk))?;
    Ok(Blob { digest: parsed(&wire.digest)?, size: wire.size, encoding, stored_size: wire.stored_size, chunks })
}

fn write_index(index: &Index) -> WireIndex {
    let account = index.install.account.as_ref();
    WireIndex {
        format: FORMAT,
        package: WirePackage {
            name: index.package.name.to_string(),
            version: index.package.version.clone(),
            description: index.package.description.clone(),
        },
        target: WireTarget {
            os: "linux".to_owned(),
            arch: index.target.arch.to_string(),
            glibc: index.target.glibc.map(|version| version.to_string()),
        },
        build: WireBuild {
            builder_version: index.build.builder_version.clone(),
            manifest: index.build.manifest.to_string(),
            stub: WireStub { size: index.build.stub.size, digest: index.build.stub.digest.to_string() },
        },
        install: WireInstall {
            prefix: index.install.prefix.as_str().to_owned(),
            user: account.map(|owner| owner.user.to_string()),
            group: account.map(|owner| owner.group.to_string()),
        },
        components: index.components.iter().map(write_component).collect(),
        directories: index.directories.iter().map(write_directory).collect(),
        files: index.files.iter().map(write_file).collect(),
        links: index.links.iter().map(write_link).collect(),
        units: index.units.iter().map(write_unit).collect(),
        models: index.models.iter().map(write_model).collect(),
        documents: index.documents.iter().map(write_document).collect(),
        blobs: index.blobs.iter().map(write_blob).collect(),
        total_length: index.total_length,
        volumes: Vec::new(),
    }
}

fn write_component(component: &Component) -> WireComponent {
    WireComponent {
        name: component.name.clone(),
        kind: match component.kind {
            ComponentKind::ExternalBinary => WireComponentKind::ExternalBinary,
            ComponentKind::ModelFile => WireComponentKind::ModelFile,
            ComponentKind::ConfigFile => WireComponentKind::ConfigFile,
        },
        required: component.required,
        sources: component
            .sources
            .iter()
            .map(|source| WireSource {
                location: source.location.clone(),
                size: source.size,
                digest: source.digest.to_string(),
            })
            .collect(),
    }
}

fn write_directory(directory: &Directory) -> WireDirectory {
    WireDirectory {
        path: directory.path.as_str().to_owned(),
        mode: directory.mode.to_string(),
        owner: directory.owner.user.to_string(),
        group: directory.owner.group.to_string(),
    }
}

fn write_file(file: &File) -> WireFile {
    WireFile {
        path: file.path.as_str().to_owned(),
        blob: file.blob.to_string(),
        mode: file.mode.to_string(),
        owner: file.owner.user.to_string(),
        group: file.owner.group.to_string(),
        role: match file.role {
            Role::Program => WireRole::Program,
            Role::ModelBlob => WireRole::ModelBlob,
            Role::ModelManifest => WireRole::ModelManifest,
            Role::Config => WireRole::Config,
            Role::Unit => WireRole::Unit,
        },
        component: file.component,
        elf: file
            .elf
            .as_ref()
            .map(|elf| WireElf { machine: elf.machine.clone(), glibc: elf.glibc.map(|version| version.to_string()) }),
    }
}

fn write_link(link: &Link) -> WireLink {
    let (hard, symbolic) = match &link.kind {
        LinkKind::Hard { to } => (Some(to.as_str().to_owned()), None),
        LinkKind::Symbolic { target } => (None, Some(target.clone())),
    };
    WireLink {
        path: link.path.as_str().to_owned(),
        hard,
        symbolic,
        owner: link.owner.user.to_string(),
        group: link.owner.group.to_string(),
    }
}

fn write_unit(unit: &Unit) -> WireUnit {
    WireUnit {
        name: unit.name.clone(),
        path: unit.path.as_str().to_owned(),
        drop_in: unit.drop_in.as_ref().map(|path| path.as_str().to_owned()),
    }
}

fn write_model(model: &Model) -> WireModel {
    WireModel { name: model.name.clone(), manifest: model.manifest.as_str().to_owned() }
}

fn write_document(document: &Document) -> WireDocument {
    WireDocument { name: document.name.as_str().to_owned(), size: document.size, digest: document.digest.to_string() }
}

fn write_blob(blob: &Blob) -> WireBlob {
    WireBlob {
        digest: blob.digest.to_string(),
        size: blob.size,
        encoding: match blob.encoding {
            Encoding::Raw => WireEncoding::Raw,
            Encoding::Xz => WireEncoding::Xz,
        },
        stored_size: blob.stored_size,
        chunks: blob.chunks.iter().map(Digest::to_string).collect(),
    }
}
