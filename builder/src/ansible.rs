//! What Ansible needs to bring a package to many hosts: a role, plays, and both as a collection that needs no Galaxy.
//! It is made of templates and of what the package states; how a host is changed is the stub's business alone.

mod collection;
mod names;
mod template;

use payload::Digest;
use payload::index::{Arch, Index, PackageName};

pub(crate) use names::plain_file_name;

use self::names::Names;
use self::template::{Templates, render};

/// What the role is about.
pub(crate) struct Subject<'a> {
    pub(crate) index: &'a Index,
    pub(crate) index_digest: Digest,
    /// The files of the package, the first one first.
    pub(crate) files: &'a [PackageFile],
    /// The beginning of the first: the stub and the index.
    pub(crate) head: &'a [u8],
}

/// One file of a package.
pub(crate) struct PackageFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// A file, with its path below the directory that all of them go into.
pub(crate) struct Generated {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// The role, its plays, and the collection of both, which is the last. The same package gives the same bytes.
///
/// # Errors
/// A name is too long for an archive.
pub(crate) fn generate(subject: &Subject<'_>) -> std::io::Result<Vec<Generated>> {
    let names = Names::of(&subject.index.package.name);
    let package = &subject.index.package.name;
    let beside = Templates::new(subject, &names, names.role.clone(), |play| play_beside(package, play));
    let version = names::collection_version(&subject.index.package.version);
    let archive = format!("{}-{}-{version}.tar.gz", names::NAMESPACE, names.role);
    let mut generated = beside.role(&format!("roles/{}", names.role));
    generated.extend(beside.plays(""));
    let call = format!("{}.{}.{}", names::NAMESPACE, names.role, names.role);
    let inside = Templates::new(subject, &names, call, |play| format!("{}.{}.{play}", names::NAMESPACE, names.role));
    let mut content = inside.role(&format!("roles/{}", names.role));
    content.extend(inside.plays("playbooks/"));
    content.extend(inside.collection(&archive));
    let facts = collection::Facts {
        name: &names.role,
        version: &version,
        description: &render::one_line(&subject.index.package.description),
    };
    generated.push(Generated { path: archive, bytes: collection::archive(&facts, content)? });
    Ok(generated)
}

/// What [`generate`] writes for a package, but for the collection, whose name follows from its version.
pub(crate) fn paths(package: &PackageName) -> Vec<String> {
    let role = format!("roles/{}", Names::of(package).role);
    let plays = template::PLAYS.iter().map(|play| play_beside(package, play));
    let head = format!("{role}/{}", template::head(package));
    template::paths("role", &role).into_iter().chain([head]).chain(plays).collect()
}

fn play_beside(package: &PackageName, play: &str) -> String {
    if play == "install" { format!("{package}.yml") } else { format!("{package}-{play}.yml") }
}

/// For what a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenFor {
    /// This package, by a builder.
    Same,
    /// The package of the same name for the other kind of machine.
    OtherMachine,
    /// Another package, or by somebody else.
    Other,
}

/// For what a file was written that begins so.
pub(crate) fn written_for(head: &[u8], package: &PackageName, arch: Arch) -> WrittenFor {
    let marked = |arch: Arch| {
        let line = template::written(package, arch);
        head.windows(line.len()).any(|window| window == line.as_bytes())
    };
    let other = match arch {
        Arch::X86_64 => Arch::Aarch64,
        Arch::Aarch64 => Arch::X86_64,
    };
    if marked(arch) || head.starts_with(b"\x7fELF") || head.starts_with(b"\x1f\x8b") {
        WrittenFor::Same
    } else if marked(other) {
        WrittenFor::OtherMachine
    } else {
        WrittenFor::Other
    }
}
