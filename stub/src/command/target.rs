//! What an action works on: the root, the package that is meant, the privileges and the lock that it takes.
//! Which action that is, is decided in `run.rs`.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use payload::index::PackageName;
use payload::names::STATE_DIRECTORY;
use payload::{Package, RelPath, Signature};

use super::cli::Args;
use super::open::{carries_nothing, open, open_own};
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::machine::Machine;
use crate::host::root::{Lock, Root};
use crate::host::unit::{Manager, systemd_runs};
use crate::plan::choice::Asked;
use crate::plan::facts::Thoroughly;
use crate::plan::{Downgrade, Options};
use crate::record::others::package_names;
use crate::record::receipt::Receipt;
use crate::record::state;

pub const UNFINISHED: &str =
    "an installation is running, or was interrupted: --install goes on with it, --recover goes back";

pub fn open_root(args: &Args) -> Result<Root, Error> {
    Ok(Root::open(&root_path(args)?)?)
}

fn root_path(args: &Args) -> Result<PathBuf, Error> {
    let Some(path) = &args.root else { return Ok(PathBuf::from("/")) };
    path.canonicalize().map_err(|error| {
        Error::new(Exit::Usage, format!("--root {}: {error}", path.display()))
            .state(NOTHING_CHANGED)
            .hint("name an existing directory")
    })
}

pub fn options(args: &Args, package: &Package) -> Options {
    let allowed = args.allow_downgrade || *package.signature() == Signature::Unsigned;
    Options {
        enable: args.enable,
        start: args.start,
        replace: args.replace,
        rollback: args.rollback,
        downgrade: if allowed { Downgrade::Allowed } else { Downgrade::Refused },
    }
}

/// Which optional components were asked for.
pub fn asked(args: &Args) -> Asked {
    Asked { include: args.include.clone(), exclude: args.exclude.clone() }
}

pub fn thoroughly(args: &Args) -> Thoroughly {
    Thoroughly { verify_installed: args.verify_installed, replace: args.replace }
}

pub fn lock(root: &Root) -> Result<Lock, Error> {
    root.lock()?.ok_or_else(|| {
        Error::new(Exit::Conflict, "another installer is running".to_owned())
            .state(NOTHING_CHANGED)
            .hint("wait until it is done")
    })
}

pub fn require_root(root: &Root) -> Result<(), Error> {
    if root.is_live() && !geteuid().is_root() {
        return Err(Error::new(Exit::PermissionDenied, "Permission denied: this needs root".to_owned())
            .state(NOTHING_CHANGED)
            .hint("run it with sudo"));
    }
    Ok(())
}

pub fn machine(root: Root) -> Result<Machine, Error> {
    let passwd = root.is_live() || root.read(&passwd_path()?, 64 << 20)?.is_some();
    Ok(Machine { privileged: geteuid().is_root() && passwd, root })
}

fn passwd_path() -> Result<RelPath, Error> {
    "etc/passwd".parse().map_err(|error: payload::PathError| Error::new(Exit::Bug, error.to_string()))
}

/// Which package an action on an installed one is about: the one that was named, by its name or with `--payload`, or the one
/// that this program carries; only a copy that the installer put into its own directory below this root goes by that
/// directory's name. Another one that carries nothing may be a package that was cut off: it goes by a name alone.
///
/// # Errors
/// What was named cannot be read, whatever this program itself is: nothing else is ever taken in its place.
pub fn package_name(args: &Args) -> Result<PackageName, Error> {
    if let Some(name) = &args.package {
        return Ok(name.clone());
    }
    if args.payload.is_some() {
        return Ok(open(args).map_err(by_name)?.index().package.name.clone());
    }
    if let Some(name) = own_directory(args)? {
        return Ok(name);
    }
    if let Some(name) = own_command(args)? {
        return Ok(name);
    }
    if let Some(package) = open_own(args).map_err(by_name)? {
        return Ok(package.index().package.name.clone());
    }
    let advise =
        |error: Error| error.hint("add the package's name, such as --status PACKAGE; --list-installed lists them");
    Ok(open(args).map_err(advise)?.index().package.name.clone())
}

/// What nobody vouches for any longer goes by the name that it was installed under.
fn by_name(error: Error) -> Error {
    if error.exit() != Exit::NotTrusted {
        return error;
    }
    error.hint("add the name of the installed package, such as --uninstall PACKAGE; --list-installed lists them")
}

/// The package in whose directory, `/var/lib/airgap-deploy/<package>` of the root, this program stands.
fn own_directory(args: &Args) -> Result<Option<PackageName>, Error> {
    let Ok(program) = std::env::current_exe() else { return Ok(None) };
    let Some(directory) = program.parent().filter(|_| program.file_name() == Some("airgap-deploy".as_ref())) else {
        return Ok(None);
    };
    let state = root_path(args)?.join(STATE_DIRECTORY);
    // Both as they are on the disk: the way to either may lead over links.
    let (Some(above), Ok(state)) = (directory.parent(), state.canonicalize()) else { return Ok(None) };
    let name = directory.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    Ok(name.filter(|_| above == state))
}

/// The package that is meant when this program is the installer's own command: the only one that is installed.
fn own_command(args: &Args) -> Result<Option<PackageName>, Error> {
    let Ok(program) = std::env::current_exe() else { return Ok(None) };
    if !carries_nothing()? {
        return Ok(None);
    }
    let root = open_root(args)?;
    let names = package_names(&root)?;
    let mut is_command = false;
    for name in &names {
        let receipt = state::read_receipt(&root, name)?;
        // A copy on the running machine looks after what is below another root, too.
        is_command |= receipt.as_ref().and_then(Receipt::command).is_some_and(|command| {
            let below =
                |above: &Path| above.join(command.path.as_str()).canonicalize().is_ok_and(|path| path == program);
            below(root.path()) || below(Path::new("/"))
        });
    }
    match names.as_slice() {
        [only] if is_command => Ok(Some(only.clone())),
        [_, ..] if is_command => {
            let names: Vec<&str> = names.iter().map(PackageName::as_str).collect();
            Err(Error::new(Exit::Usage, format!("several packages are installed: {}", names.join(", ")))
                .state(NOTHING_CHANGED)
                .hint("add the name of one of them, such as --status PACKAGE"))
        }
        _ => Ok(None),
    }
}

/// There is nothing installed that `--status` or `--uninstall` could be about.
pub fn not_installed(package: &PackageName, unfinished: bool) -> Error {
    if unfinished {
        return Error::new(Exit::Conflict, UNFINISHED.to_owned());
    }
    Error::new(Exit::NotFound, format!("{package} is not installed"))
        .state(NOTHING_CHANGED)
        .hint("see which packages are: --list-installed")
}

/// Who manages the units of this root: nobody, unless it is the running system, and systemd runs it.
pub fn manager(root: &Root) -> Option<Manager> {
    Manager::of(root).filter(|_| systemd_runs())
}
