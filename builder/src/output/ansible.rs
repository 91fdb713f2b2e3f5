//! The directory `ansible/` beside a package: what it must not be written over, and how it is written.
//! What its files say is in `ansible.rs` of the crate.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use payload::index::{Arch, PackageName};
use payload::{Digest, Trust};

use super::emit::{EmitError, emit_beside};
use super::inspect;
use super::volumes::Volume;
use crate::ansible::{self, Generated, PackageFile, Subject, WrittenFor};

/// How much of a file tells what it is, in bytes.
const HEAD: u64 = 512;

/// The collection, which travels with the package.
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) digest: Digest,
}

/// Refuses, before anything is fetched, what could not be written later.
pub(crate) fn require_ours(package: &Path, name: &PackageName, arch: Arch) -> Result<(), EmitError> {
    let refused = |path: PathBuf, problem: &str, hint| EmitError::Refused { path, problem: problem.to_owned(), hint };
    if !ansible::plain_file_name(&file_name(package)) {
        let problem = "a package for Ansible has a name of letters, digits, `.`, `_`, `+` and `-`";
        return Err(refused(package.to_owned(), problem, "name another file: --output PATH"));
    }
    for path in ansible::paths(name).iter().map(|path| directory(package).join(path)) {
        let problem = match head(&path).map(|head| ansible::written_for(&head, name, arch)) {
            Ok(WrittenFor::Same) => continue,
            Ok(WrittenFor::OtherMachine) => {
                let problem = format!(
                    "it belongs to the package for the other architecture, whose role and plays have the same names as those for {arch}"
                );
                return Err(refused(path, &problem, "name a directory for each architecture: --output DIR/FILE"));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Ok(WrittenFor::Other) | Err(_) => "no builder wrote it for this package",
        };
        return Err(refused(path, problem, "move it away, or name another directory: --output DIR/FILE"));
    }
    Ok(())
}

/// Writes everything for the package at `package`, which is in these files; gives the paths, and the collection among them.
pub(crate) fn write(package: &Path, volumes: &[Volume]) -> Result<(Vec<PathBuf>, Collection), EmitError> {
    let failed = |path: &Path, source| EmitError::Write { path: path.to_owned(), source };
    let opened =
        inspect::open(package, &[], &Trust::nobody()).map_err(|error| failed(package, io::Error::other(error)))?;
    let mut head = vec![0; usize::try_from(opened.head_length()).unwrap_or(0)];
    let read = File::open(package).and_then(|file| file.read_exact_at(&mut head, 0));
    read.map_err(|error| failed(package, error))?;
    let file =
        |volume: &Volume| PackageFile { name: file_name(&volume.path), size: volume.length, digest: volume.digest };
    let files: Vec<PackageFile> = volumes.iter().map(file).collect();
    let subject = Subject { index: opened.index(), index_digest: opened.digest(), files: &files, head: &head };
    let generated = ansible::generate(&subject).map_err(|error| failed(package, error))?;
    let directory = directory(package);
    let mut written = Vec::new();
    let mut collection = Collection { name: String::new(), digest: opened.digest() };
    for Generated { path, bytes } in generated {
        collection = Collection { digest: Digest::of(&bytes), name: path.clone() };
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&directory)).map_err(|error| failed(&path, error))?;
        emit_beside(&bytes, &path)?;
        written.push(path);
    }
    Ok((written, collection))
}

fn directory(package: &Path) -> PathBuf {
    package.parent().unwrap_or(Path::new("")).join("ansible")
}

fn file_name(package: &Path) -> String {
    package.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The beginning of a regular file; what is no file has none, and is not opened.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut bytes)?;
    Ok(bytes)
}
