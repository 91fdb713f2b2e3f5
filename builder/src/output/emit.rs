//! Emitting: the finished package appears under its name at once, executable, or not at all.
//! What is in it is decided in `pack.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::linkat;
use payload::disk::{self, Early};
use payload::index::Arch;
use payload::{ContentDigest, Digest, Output, PayloadError, Shared};

use super::direct::Direct;
use crate::digesting::Written;
use crate::pack::{PackError, Packed};
use crate::unfinished::Unfinished;

/// Why the output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    #[error("cannot write {path}: {source}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What is there is not to be lost.
    #[error("{} was left as it is: {problem}", path.display())]
    Refused { path: PathBuf, problem: String, hint: &'static str },
    /// The package cannot be cut like that.
    #[error("{problem}")]
    Size { problem: String },
    #[error("Out of disk space: {} has {} free, the package needs {}", path.display(), payload::size(*available), payload::size(*needed))]
    NoSpace { path: PathBuf, needed: u64, available: u64 },
    /// A package that is copied is not as it was packed.
    #[error("{path}: {source}")]
    Payload {
        path: PathBuf,
        #[source]
        source: PayloadError,
    },
    #[error("cannot write {path}: {source}")]
    Pack {
        path: PathBuf,
        #[source]
        source: PackError,
    },
}

/// The exit code of an error in a `.run` file.
pub fn payload_exit_code(error: &PayloadError) -> u8 {
    match error {
        PayloadError::Format(_) => 12,
        PayloadError::NotTrusted(_) => 11,
        PayloadError::Missing { .. } => 24,
        PayloadError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => 22,
        PayloadError::Write { .. } => 44,
        _ => 10,
    }
}

impl EmitError {
    /// The exit code, see DESIGN §7.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoSpace { .. } => 22,
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => 22,
            Self::Write { .. } | Self::Refused { .. } => 44,
            Self::Size { .. } => 2,
            Self::Payload { source, .. } => payload_exit_code(source),
            Self::Pack { source, .. } => source.exit_code(),
        }
    }

    /// What to type next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { hint, .. } => hint,
            Self::NoSpace { .. } => "free some space, or write to another disk: --output PATH",
            Self::Write { .. } => {
                "check that the directory exists, is writable and has room, or name another: --output PATH"
            }
            Self::Size { .. } => "name another size: --chunk-size SIZE",
            Self::Payload { source: PayloadError::Missing { .. }, .. } => {
                "put them beside the first volume, or name the directory of each: --volumes DIR; if there is only one file, it was cut off: copy it again"
            }
            Self::Payload { .. } => "copy what is damaged again from where it was built",
            Self::Pack { source, .. } => source.hint(),
        }
    }
}

/// Refuses to replace what is no package, the package for another architecture than `arch`, which the same manifest makes under
/// the same name, and what the build itself needs. `force` replaces any regular file that is none of the `inputs`.
pub fn refuse_to_replace(path: &Path, inputs: &[PathBuf], arch: Option<Arch>, force: bool) -> Result<(), EmitError> {
    const ANOTHER: &str = "name another file: --output PATH";
    let refused = |problem: &str, hint| EmitError::Refused { path: path.to_owned(), problem: problem.to_owned(), hint };
    if path == Path::new("-") {
        return Err(refused("a package is never written to standard output", "name a file: --output PATH"));
    }
    require_free_of_inputs(path, inputs, ANOTHER)?;
    if force || fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let Ok(there) = super::inspect::open(path, &[], &payload::Trust::nobody()) else {
        return Err(refused(
            "it is not a package",
            "name another file with --output PATH, or replace this one with --force",
        ));
    };
    let other = there.index().target.arch;
    let Some(arch) = arch.filter(|arch| *arch != other) else { return Ok(()) };
    let problem = format!("it is a package for {other}, and this one is for {arch}");
    Err(refused(&problem, "name a file for each architecture with --output PATH, or replace this one with --force"))
}

/// Refuses to write what the build reads, into what it reads, and over anything but a regular file.
pub(super) fn require_free_of_inputs(path: &Path, inputs: &[PathBuf], hint: &'static str) -> Result<(), EmitError> {
    let refused = |problem: &str| EmitError::Refused { path: path.to_owned(), problem: problem.to_owned(), hint };
    let above = directory_of(path).canonicalize();
    let inside = |input: &PathBuf| match (&above, input.canonicalize()) {
        (Ok(above), Ok(input)) => input.is_dir() && above.starts_with(input),
        _ => false,
    };
    if inputs.iter().any(inside) {
        return Err(refused("its directory is a source of this build"));
    }
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let same = |input: &PathBuf| {
        fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (found.dev(), found.ino()))
    };
    if !found.is_file() {
        let what = if found.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(refused(what));
    }
    if inputs.iter().any(same) {
        return Err(refused("this build reads it"));
    }
    Ok(())
}

/// Refuses to begin what cannot end: a package of `needed` bytes or more has no room at `path`.
pub fn refuse_without_room(path: &Path, needed: u64) -> Result<(), EmitError> {
    let directory = directory_of(path);
    // A file system that does not tell is no reason to refuse; writing will fail if it is full.
    let available = crate::fetch::free_space(directory).unwrap_or(u64::MAX);
    if needed <= available {
        return Ok(());
    }
    Err(EmitError::NoSpace { path: directory.to_owned(), needed, available })
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// What writes a package.
pub(super) type Content<'a> = &'a mut dyn FnMut(&mut dyn Output) -> Result<(), EmitError>;

/// Writes a package to `path`, over an older file of that name; gives the digest of the whole file.
pub(super) fn emit_whole(path: &Path, content: Content<'_>) -> Result<Digest, EmitError> {
    let digest = Written::new().map_err(|source| EmitError::Write { path: path.to_owned(), source })?;
    let directory = directory_of(path);
    at_once(path, 0o755, &mut |file| {
        // Where files need a name, drivers of FAT and the like may take no bytes behind the end of what was written.
        let nameless = file.metadata().is_ok_and(|facts| facts.nlink() == 0);
        let direct = nameless.then(|| Direct::of(file)).flatten();
        let (early, digest) = (Early::default(), &digest);
        content(&mut Digesting { file, directory, digest, direct, early, position: 0, shared: 0 })
    })?;
    Ok(digest.finish())
}

/// What writes a package that was just packed.
pub(crate) fn packed_content<'a>(
    packed: &'a Packed<'_>,
    path: &'a Path,
    watch: payload::Watch<'a>,
) -> impl FnMut(&mut dyn Output) -> Result<(), EmitError> + 'a {
    move |out| packed.write(out, watch).map_err(|source| EmitError::Pack { path: path.to_owned(), source })
}

/// Writes a small file beside a package, over an older one of that name.
pub(super) fn emit_beside(bytes: &[u8], path: &Path) -> Result<(), EmitError> {
    at_once(path, 0o644, &mut |file| {
        file.write_all(bytes).map_err(|source| EmitError::Write { path: path.to_owned(), source })
    })
}

/// What is written is digested on its way.
struct Digesting<'a> {
    file: &'a mut File,
    directory: &'a Path,
    digest: &'a Written,
    direct: Option<Direct>,
    early: Early,
    /// Where the next byte goes, and how far the file has its bytes already.
    position: u64,
    shared: u64,
}

impl Digesting<'_> {
    /// All but what the file shares with another.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let there = usize::try_from(self.shared.saturating_sub(self.position)).unwrap_or(usize::MAX).min(bytes.len());
        disk::write_all_at(self.file, &bytes[there..], self.position + there as u64)?;
        self.position += bytes.len() as u64;
        self.early.wrote(self.file, bytes.len());
        Ok(())
    }
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.direct.as_mut().map_or(Ok(()), Direct::settle)?;
        self.file.flush()
    }
}

impl Output for Digesting<'_> {
    fn write_shared(&mut self, bytes: &Shared, content: Option<&ContentDigest>) -> io::Result<()> {
        let piece = (**bytes).as_ref();
        match &mut self.direct {
            Some(direct) if self.position >= self.shared && Direct::takes(piece, self.position) => {
                direct.write(bytes, self.position)?;
                self.position += piece.len() as u64;
                self.early.wrote(self.file, piece.len());
            }
            _ => self.put(piece)?,
        }
        self.digest.update_shared(bytes, content);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.digest.settle();
        self.direct.as_mut().map_or(Ok(()), Direct::settle)
    }

    fn share(&mut self, from: &File, length: u64) -> Option<(File, u64)> {
        let empty = without_a_name(self.directory)?;
        let file = self.file.try_clone().ok()?;
        let shared = disk::can_share(from, &empty) && disk::share(from, 0, &file, self.position, length).is_ok();
        shared.then(|| {
            self.shared = self.position + length;
            (file, self.position)
        })
    }
}

/// The file appears under its name with everything that `content` writes, or not at all.
pub(super) fn at_once(
    path: &Path,
    mode: u32,
    content: &mut dyn FnMut(&mut File) -> Result<(), EmitError>,
) -> Result<(), EmitError> {
    let failed = |source| EmitError::Write { path: path.to_owned(), source };
    let directory = directory_of(path);
    let mut write = |file: &mut File| {
        content(file)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        file.sync_all().map_err(failed)
    };
    if let Some(mut file) = without_a_name(directory) {
        write(&mut file)?;
        let named = hidden().make_in(directory, |name| give_name(&file, name)).map_err(failed)?;
        named.persist(path).map_err(|error| failed(error.error))?;
    } else {
        let make = || hidden().tempfile_in(directory)?.keep().map(|(file, name)| (name, file)).map_err(|e| e.error);
        let (named, mut file) = Unfinished::make(make).map_err(failed)?;
        write(&mut file)?;
        fs::rename(named.path(), path).map_err(failed)?;
    }
    // The new name is on the disk only when its directory is; not every file system can do that.
    File::open(directory).and_then(|directory| directory.sync_all()).or(Ok(()))
}

pub(super) fn hidden() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".airgap-deploy.");
    builder
}

/// A file that is gone with this process, however that ends; `None` where the file system has no such files.
fn without_a_name(directory: &Path) -> Option<File> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from).ok()?;
    opened(&file).exists().then_some(file)
}

/// Where the kernel shows an open file (proc(5)).
fn opened(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn give_name(file: &File, name: &Path) -> io::Result<()> {
    Ok(linkat(AT_FDCWD, &opened(file), AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)?)
}
