//! Finds the package: the file this program was started from, or the one given with `--payload`.
//! It is opened once, and never again by name.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use payload::{Package, Parts, PayloadError, Piece, Trust, elf_length};

use super::cli::Args;
use super::medium;
use super::target::open_root;
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::keys::{self, KeysError};

/// The file that this program was started from.
pub const OWN_FILE: &str = "/proc/self/exe";

/// Opens the package, if it is one that this machine trusts.
///
/// # Errors
/// Exit code 10 when it is damaged or holds no payload, 11 when it is not trusted, 12 when its format cannot be read, 41
/// when what was named is not there, or no file.
pub fn open(args: &Args) -> Result<Package, Error> {
    let payload = args.payload.as_deref();
    let package = Package::open(parts(args, payload)?, &trust(args)?).map_err(|error| Error::payload(&error))?;
    // Whoever runs the file itself runs its program: then another one is damage. A trusted copy does not care.
    if payload.is_none() {
        package.require_stub().map_err(|error| Error::payload(&error))?;
    }
    Ok(package)
}

/// Opens the package that this program is part of; `None` when it is the installer alone.
///
/// # Errors
/// The same.
pub fn open_own(args: &Args) -> Result<Option<Package>, Error> {
    // The installer alone is asked about packages that are installed, whatever keys are trusted.
    if carries_nothing()? {
        return Ok(None);
    }
    match Package::open(parts(args, None)?, &trust(args)?) {
        Err(PayloadError::NoPayload(_)) => Ok(None),
        other => other.map(Some).map_err(|error| Error::payload(&error)),
    }
}

/// Whether this program is the installer alone.
///
/// # Errors
/// It cannot be found.
pub fn carries_nothing() -> Result<bool, Error> {
    let file = file(None)?;
    Ok(elf_length(&file).ok() == file.metadata().ok().map(|facts| facts.len()))
}

/// The package, whose other volumes may be beside its first one, or where `--volumes` says.
fn parts(args: &Args, payload: Option<&Path>) -> Result<Parts, Error> {
    let named = args.volumes.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    if let Some(directory) = payload.filter(|path| path.is_dir()) {
        let (name, first) = in_chunks(directory)?;
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        return Ok(Parts::volumes(name, first, std::iter::once(directory).chain(named).collect(), medium::ask(args)));
    }
    let file = file(payload)?;
    let path = match payload {
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        None => std::fs::read_link(OWN_FILE).unwrap_or_else(|_| PathBuf::from(OWN_FILE)),
    };
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let beside = path.parent().map(Path::to_owned);
    let first = Piece::whole(file)
        .map_err(|source| Error::payload(&PayloadError::Read { what: path.display().to_string(), source }))?;
    Ok(Parts::volumes(name, first, beside.into_iter().chain(named).collect(), medium::ask(args)))
}

/// The package in a directory that airgap-transfer packed.
fn in_chunks(directory: &Path) -> Result<(String, Piece), Error> {
    let refused = |exit, what: String| {
        Error::new(exit, format!("{}: {what}", directory.display()))
            .state(NOTHING_CHANGED)
            .hint("name a package, or a directory with chunk_000.tar and its manifest")
    };
    let found = payload::package_in_chunks(directory).map_err(|error| refused(Exit::Damaged, error.to_string()))?;
    found.ok_or_else(|| refused(Exit::NotFound, "there is no package in it".to_owned()))
}

/// The keys of the machine that is installed on, below `--root` too, and those that were named.
fn trust(args: &Args) -> Result<Trust, Error> {
    keys::trust(&open_root(args)?, &args.trusted_keys).map_err(|error| match error {
        KeysError::Fs(error) => error.into(),
        KeysError::Read { .. } => Error::new(Exit::NotFound, error.to_string())
            .state(NOTHING_CHANGED)
            .hint("check the name and the permissions of the file"),
        KeysError::Refused { .. } => Error::new(Exit::NotTrusted, error.to_string()).state(NOTHING_CHANGED).hint(
            "compare its fingerprint with its owner; then: install -D -m 644 FILE /etc/airgap-deploy/trusted-keys/NAME.pub, as root",
        ),
    })
}

fn file(payload: Option<&Path>) -> Result<File, Error> {
    match payload {
        Some(path) => regular_file(path).map_err(|error| {
            Error::new(Exit::NotFound, format!("cannot read {}: {error}", path.display()))
                .state(NOTHING_CHANGED)
                .hint("check the name and the medium")
        }),
        None => File::open(OWN_FILE).map_err(|error| {
            Error::new(Exit::Damaged, format!("cannot find the file this program was started from: {error}"))
                .hint("mount /proc, or name the package: --payload FILE")
        }),
    }
}

/// Opens what was named without waiting: a FIFO would wait for its writer for ever.
fn regular_file(path: &Path) -> std::io::Result<File> {
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is not a regular file")) }
}
