//! From an index to the wire types of version 1.
//! Their JSON text is made in `format/index/v1.rs`.

use super::{
    WireBlob, WireBuild, WireComponent, WireComponentKind, WireDirectory, WireDocument, WireElf, WireEncoding,
    WireFile, WireIndex, WireInstall, WireLink, WireModel, WirePackage, WireRole, WireSource, WireStub, WireTarget,
    WireUnit,
};
use crate::Digest;
use crate::format::index::{
    Blob, Component, ComponentKind, Directory, Document, Encoding, FORMAT, File, Index, Link, LinkKind, Model, Role,
    Unit,
};

pub(super) fn index(index: &Index) -> WireIndex {
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
            command: index.install.command.as_ref().map(|path| path.as_str().to_owned()),
        },
        components: index.components.iter().map(component).collect(),
        directories: index.directories.iter().map(directory).collect(),
        files: index.files.iter().filter_map(file).collect(),
        links: index.links.iter().map(link).collect(),
        units: index.units.iter().map(unit).collect(),
        models: index.models.iter().map(model).collect(),
        documents: index.documents.iter().map(document).collect(),
        blobs: index.blobs.iter().map(blob).collect(),
        total_length: index.total_length,
        volumes: Vec::new(),
    }
}

fn component(component: &Component) -> WireComponent {
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

fn directory(directory: &Directory) -> WireDirectory {
    WireDirectory {
        path: directory.path.as_str().to_owned(),
        mode: directory.mode.to_string(),
        owner: directory.owner.user.to_string(),
        group: directory.owner.group.to_string(),
        only_for: directory.only_for.positions().to_vec(),
    }
}

/// `None` for what only a plan has.
fn file(file: &File) -> Option<WireFile> {
    let role = match file.role {
        Role::Program => WireRole::Program,
        Role::ModelBlob => WireRole::ModelBlob,
        Role::ModelManifest => WireRole::ModelManifest,
        Role::Config => WireRole::Config,
        Role::Unit => WireRole::Unit,
        Role::Installer => return None,
    };
    Some(WireFile {
        path: file.path.as_str().to_owned(),
        blob: file.blob.to_string(),
        mode: file.mode.to_string(),
        owner: file.owner.user.to_string(),
        group: file.owner.group.to_string(),
        role,
        component: file.component,
        only_for: file.only_for.positions().to_vec(),
        elf: file
            .elf
            .as_ref()
            .map(|elf| WireElf { machine: elf.machine.clone(), glibc: elf.glibc.map(|version| version.to_string()) }),
    })
}

fn link(link: &Link) -> WireLink {
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
        only_for: link.only_for.positions().to_vec(),
    }
}

fn unit(unit: &Unit) -> WireUnit {
    WireUnit {
        name: unit.name.clone(),
        path: unit.path.as_str().to_owned(),
        drop_in: unit.drop_in.as_ref().map(|path| path.as_str().to_owned()),
    }
}

fn model(model: &Model) -> WireModel {
    WireModel { name: model.name.clone(), manifest: model.manifest.as_str().to_owned(), memory: model.memory }
}

fn document(document: &Document) -> WireDocument {
    WireDocument { name: document.name.as_str().to_owned(), size: document.size, digest: document.digest.to_string() }
}

fn blob(blob: &Blob) -> WireBlob {
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
