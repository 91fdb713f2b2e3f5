//! The installer's own command, `/usr/local/sbin/airgap-deploy` unless the package names another place: which program it
//! is to be, and whether it may be there. How it is placed is planned like any other file, in `placing.rs`.

use std::borrow::Cow;

use nix::unistd::geteuid;
use payload::index::{Blob, Directory, Encoding, File, Index, OnlyFor, Role};
use payload::{Mode, Owner, RelPath};

use super::Warning;
use crate::error::Error;
use crate::host::contents::Known;
use crate::host::program::Installer;
use crate::host::root::{Attributes, Found, FsError, Root};
use crate::record::others::Others;
use crate::record::receipt::Receipt;
use crate::record::version_order;

/// What was decided about the command.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// The version of the program that it is, or will be.
    pub version: Option<String>,
    /// Why there is none.
    pub warning: Option<Warning>,
}

/// What stands where the command belongs.
enum Standing {
    /// The command is, or becomes, the program of this package.
    Ours,
    /// A program that packages put there, and that is at least as new: it stays.
    Theirs(payload::Digest, u64, String),
    Refused(String, &'static str),
}

const OUT_OF_THE_WAY: &str = "move it out of the way and install again, if the command is wanted";
const ELSEWHERE: &str = "build the package with `command` in [install]: another path, or false";

/// The index with the command in it, when there is to be one. What is wrong with the command alone does not hold up the
/// package.
///
/// # Errors
/// The machine cannot be read.
pub fn settle<'a>(
    index: Cow<'a, Index>,
    root: &Root,
    others: &Others,
    receipt: Option<&Receipt>,
    installer: &Installer,
    known: &Known,
) -> Result<(Cow<'a, Index>, Settled), Error> {
    let Some(path) = index.install.command.clone() else { return Ok((index, Settled::default())) };
    let standing = match unfit(&path, &index, root)? {
        Some(why) => Standing::Refused(why, ELSEWHERE),
        None => standing(&path, root, others, receipt, installer, known)?,
    };
    let (digest, size, version) = match standing {
        Standing::Ours => (installer.digest, installer.size, installer.version.clone()),
        Standing::Theirs(digest, size, version) => (digest, size, version),
        Standing::Refused(why, hint) => {
            let what = format!("the installer cannot be the command {path}: {why}");
            let warning = Some(Warning { what, hint: hint.to_owned() });
            return Ok((index, Settled { version: None, warning }));
        }
    };
    let mut index = index.into_owned();
    for directory in path.ancestors() {
        if !index.directories.iter().any(|known| known.path == directory) {
            index.directories.push(Directory {
                path: directory,
                mode: Mode::EXECUTABLE,
                owner: Owner::root(),
                only_for: OnlyFor::everybody(),
            });
        }
    }
    if index.blob(digest).is_none() {
        index.blobs.push(Blob { digest, size, encoding: Encoding::Raw, stored_size: size, chunks: Vec::new() });
    }
    index.files.push(File {
        path,
        blob: digest,
        mode: Mode::EXECUTABLE,
        owner: Owner::root(),
        role: Role::Installer,
        component: 0,
        only_for: OnlyFor::everybody(),
        elf: None,
    });
    Ok((Cow::Owned(index), Settled { version: Some(version), warning: None }))
}

/// Why no command can be in this place, whatever stands there.
fn unfit(path: &RelPath, index: &Index, root: &Root) -> Result<Option<String>, FsError> {
    let mut nearest = None;
    for directory in path.ancestors() {
        match root.look_directory(&directory)? {
            Found::Directory(_) => nearest = Some(directory),
            Found::Absent | Found::Hidden => break,
            _ => return Ok(Some(format!("{directory} is no directory"))),
        }
    }
    let shown = nearest.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
    let made = index.directories.iter().any(|directory| nearest.as_ref() == Some(&directory.path));
    let facts = root.file_system(nearest.as_ref())?;
    Ok(if facts.read_only {
        Some(format!("{shown} is on a file system that is mounted read-only"))
    } else if facts.no_exec {
        Some(format!("{shown} is on a file system that is mounted noexec"))
    } else if facts.no_hard_links {
        Some(format!("{shown} is on a file system without hard links"))
    } else if !made && !root.only_root_can_write(nearest.as_ref())? {
        Some(format!("users other than root can change {shown}"))
    } else {
        None
    })
}

fn standing(
    path: &RelPath,
    root: &Root,
    others: &Others,
    own: Option<&Receipt>,
    installer: &Installer,
    known: &Known,
) -> Result<Standing, FsError> {
    let recorded: Vec<&Receipt> =
        others.that_share_command(path).chain(own.filter(|own| own.has_command(path))).collect();
    let newest = recorded.iter().copied().max_by(|one, other| version_order::compare(version(one), version(other)));
    let newest = newest.and_then(|receipt| Some((receipt, receipt.command()?)));
    let is_newer = |receipt: &Receipt| version_order::compare(&installer.version, version(receipt)).is_gt();
    Ok(match (root.look(path)?, newest) {
        // Other packages were told what it is, and would miss it.
        (Found::Absent, Some((receipt, command)))
            if !is_newer(receipt) && command.digest != installer.digest && own != Some(receipt) =>
        {
            let why = format!("the one of version {} that came with {} is gone", version(receipt), receipt.package);
            Standing::Refused(why, "install that package again, with --replace")
        }
        (Found::Absent | Found::Hidden, _) => Standing::Ours,
        (Found::File(facts), newest) => {
            let found = known.digest(&facts).map_or_else(|| root.digest(path), Ok)?;
            let made = recorded.iter().any(|receipt| receipt.made_command());
            match newest.filter(|(_, command)| command.digest == found) {
                Some((receipt, _)) if made && is_newer(receipt) => Standing::Ours,
                _ if found == installer.digest && (made || is_safe(facts, root)) => Standing::Ours,
                Some((receipt, command)) if is_safe(facts, root) => {
                    Standing::Theirs(command.digest, command.size, version(receipt).to_owned())
                }
                Some(_) => Standing::Refused("its mode or owner was changed".to_owned(), OUT_OF_THE_WAY),
                None if recorded.is_empty() => {
                    Standing::Refused("a file of somebody else has that name, and stays".to_owned(), OUT_OF_THE_WAY)
                }
                None => {
                    Standing::Refused("it was changed since it was installed, and stays".to_owned(), OUT_OF_THE_WAY)
                }
            }
        }
        (_, _) => Standing::Refused("something that is not a regular file has that name".to_owned(), OUT_OF_THE_WAY),
    })
}

fn version(receipt: &Receipt) -> &str {
    receipt.command_version.as_deref().unwrap_or_default()
}

/// Whether nobody but root, or who owns everything below a root of their own, can change it, and everybody can run it.
fn is_safe(facts: Attributes, root: &Root) -> bool {
    let own = !root.is_live() && facts.uid == geteuid().as_raw();
    facts.mode == Mode::EXECUTABLE.bits() && (facts.uid == 0 || own)
}
