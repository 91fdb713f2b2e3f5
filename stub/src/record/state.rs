//! Where the installer keeps its own files on the target: one directory for each package, and staging directories.
//! What stands in receipt and journal is in `receipt.rs` and `apply/journal.rs`.

use nix::errno::Errno;
use payload::index::PackageName;
use payload::names::{HIDDEN_STATE_PREFIX, STAGING_PREFIX, STATE_DIRECTORY};
use payload::{Mode, RelPath};

use crate::error::Error;
use crate::exit::Exit;
use crate::host::names::UNWRITTEN;
use crate::host::root::{Found, FsError, Root};
use crate::record::receipt::{Receipt, ReceiptError};

const RECEIPT: &str = "receipt.json";
const LEFTOVERS: &str = "leftovers.json";
const JOURNAL: &str = "journal";
const STUB: &str = "airgap-deploy";
const FRESH_STUB: &str = "airgap-deploy.fresh";
/// Larger than any receipt or journal.
const LIMIT: u64 = 64 << 20;

/// The directory of one package: `/var/lib/airgap-deploy/<package>`.
pub fn directory(package: &PackageName) -> RelPath {
    path(package, None)
}

/// `/var/lib/airgap-deploy/<package>/receipt.json`
pub fn receipt(package: &PackageName) -> RelPath {
    path(package, Some(RECEIPT))
}

/// `/var/lib/airgap-deploy/<package>/leftovers.json`: a receipt of what an uninstallation left.
pub fn leftovers(package: &PackageName) -> RelPath {
    path(package, Some(LEFTOVERS))
}

/// `/var/lib/airgap-deploy/<package>/journal`
pub fn journal(package: &PackageName) -> RelPath {
    path(package, Some(JOURNAL))
}

/// `/var/lib/airgap-deploy/<package>/airgap-deploy`: the stub, for later.
pub fn stub(package: &PackageName) -> RelPath {
    path(package, Some(STUB))
}

/// Whether the installer's own directory lies below this one.
pub fn is_above(path: &RelPath) -> bool {
    STATE_DIRECTORY.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

/// Where the stub waits until the installation is complete.
pub fn fresh_stub(package: &PackageName) -> RelPath {
    path(package, Some(FRESH_STUB))
}

/// The installer's own files of a package, in the order in which they are removed: the receipt goes last.
fn own_files(package: &PackageName) -> Vec<RelPath> {
    unfinished_files(package)
        .into_iter()
        .chain([stub(package), leftovers(package), journal(package), receipt(package)])
        .collect()
}

/// Files that exist only while an installation runs, beside the journal.
pub fn unfinished_files(package: &PackageName) -> [RelPath; 6] {
    let unwritten = |name: &str| path(package, Some(&format!("{name}{UNWRITTEN}")));
    [
        fresh_stub(package),
        unwritten(FRESH_STUB),
        unwritten(STUB),
        unwritten(RECEIPT),
        unwritten(LEFTOVERS),
        unwritten(JOURNAL),
    ]
}

#[expect(clippy::expect_used, reason = "a package name is one plain component of at most 64 bytes")]
fn path(package: &PackageName, name: Option<&str>) -> RelPath {
    let text = match name {
        Some(name) => format!("{STATE_DIRECTORY}/{package}/{name}"),
        None => format!("{STATE_DIRECTORY}/{package}"),
    };
    text.parse().expect("a constant and a package name")
}

/// The staging directory of a package inside `directory` (`None` is the root).
pub fn area(directory: Option<&RelPath>, package: &PackageName) -> Option<RelPath> {
    let name = format!("{STAGING_PREFIX}{package}");
    match directory {
        Some(directory) => directory.join(&name).ok(),
        None => name.parse().ok(),
    }
}

/// What lies in a staging directory, by its place in the plan.
#[derive(Debug, Clone, Copy)]
pub enum Staged {
    /// The verified copy of a file of the index.
    Fresh(usize),
    /// The old version of a file of the index.
    Old(usize),
    /// A file that the new version of the package no longer has.
    Removed(usize),
    /// One of the two names with which is tried whether a file can have two.
    LinkProbe(usize),
}

/// The name of something in a staging directory.
pub fn staged(area: &RelPath, what: Staged) -> Option<RelPath> {
    let name = match what {
        Staged::Fresh(position) => format!("f{position}"),
        Staged::Old(position) => format!("b{position}"),
        Staged::Removed(position) => format!("r{position}"),
        Staged::LinkProbe(number) => format!("l{number}"),
    };
    area.join(&name).ok()
}

/// The receipt of an installed package.
///
/// # Errors
/// [`StateError`] when there is one that cannot be read.
pub fn read_receipt(root: &Root, package: &PackageName) -> Result<Option<Receipt>, StateError> {
    read_from(root, &receipt(package))
}

/// The receipt of what an uninstallation left of a package that is not installed.
///
/// # Errors
/// [`StateError`] when there is one that cannot be read.
pub fn read_leftovers(root: &Root, package: &PackageName) -> Result<Option<Receipt>, StateError> {
    read_from(root, &leftovers(package))
}

fn read_from(root: &Root, path: &RelPath) -> Result<Option<Receipt>, StateError> {
    match root.read(path, LIMIT)? {
        Some(bytes) => Ok(Some(Receipt::from_json(&bytes)?)),
        None => Ok(None),
    }
}

/// Puts the receipt of what is left in the place of the receipt. The program stays, which can remove the rest.
pub fn keep_leftovers(root: &Root, left: &Receipt) -> Result<(), FsError> {
    let package = &left.package;
    root.write_pieces_atomically(&leftovers(package), Mode::READABLE, |out| left.write_json(out))?;
    let others = own_files(package).into_iter().filter(|path| *path != leftovers(package) && *path != stub(package));
    others.into_iter().try_for_each(|path| root.remove(&path))
}

/// Writes the receipt of an installed package, in the place of an earlier one.
pub fn write_receipt(root: &Root, of: &Receipt) -> Result<(), FsError> {
    root.write_pieces_atomically(&receipt(&of.package), Mode::READABLE, |out| of.write_json(out))
}

/// The bytes of an unfinished journal.
pub fn read_journal(root: &Root, package: &PackageName) -> Result<Option<Vec<u8>>, FsError> {
    root.read(&journal(package), LIMIT)
}

/// The directories above and including the package's that do not exist yet, the outermost first.
pub fn missing_directories(root: &Root, package: &PackageName) -> Result<Vec<RelPath>, FsError> {
    let directory = directory(package);
    let mut missing = Vec::new();
    for path in directory.ancestors().into_iter().chain([directory]) {
        if root.look_directory(&path)? == Found::Absent {
            missing.push(path);
        }
    }
    Ok(missing)
}

/// Starts the journal. Directories that are missing for it appear together with it, in one rename: there is never a
/// directory that no journal knows. With it comes the program that can read it, unless an earlier one is there: the medium
/// that this one was started from may be gone when it is needed.
pub fn start_journal(root: &Root, package: &PackageName, bytes: &[u8], program: &[u8]) -> Result<(), FsError> {
    let missing = missing_directories(root, package)?;
    let journal = journal(package);
    let Some(top) = missing.first() else {
        root.write_atomically(&journal, bytes, Mode::READABLE)?;
        if root.look(&stub(package))? == Found::Absent {
            root.write_atomically(&stub(package), program, Mode::EXECUTABLE)?;
        }
        return Ok(());
    };
    let hidden = hidden(top, package);
    root.remove_tree(&hidden)?;
    for path in &missing {
        let path = moved(path, top, &hidden);
        root.make_directory(&path)?;
        root.set_attributes(&path, Mode::EXECUTABLE, None)?;
    }
    root.write_atomically(&moved(&stub(package), top, &hidden), program, Mode::EXECUTABLE)?;
    root.write_atomically(&moved(&journal, top, &hidden), bytes, Mode::READABLE)?;
    root.rename(&hidden, top)
}

/// Where directories wait, beside `top`, until they appear, or while they are removed.
#[expect(clippy::expect_used, reason = "a constant and a package name are at most 84 bytes")]
fn hidden(top: &RelPath, package: &PackageName) -> RelPath {
    let name = format!("{HIDDEN_STATE_PREFIX}{package}");
    match top.parent() {
        Some(parent) => parent.join(&name),
        None => name.parse(),
    }
    .expect("a short name beside a constant path")
}

/// Where `path` is while `top`, which it is below of, is called `hidden`.
fn moved(path: &RelPath, top: &RelPath, hidden: &RelPath) -> RelPath {
    let rest = path.as_str().strip_prefix(top.as_str()).unwrap_or_default();
    format!("{}{rest}", hidden.as_str()).parse().unwrap_or_else(|_| hidden.clone())
}

/// Removes what a crash left outside every journal: a journal and directories that had not appeared yet, or were being
/// removed.
pub fn remove_unrecorded(root: &Root, package: &PackageName) -> Result<(), FsError> {
    let directory = directory(package);
    for top in directory.ancestors().into_iter().chain([directory]) {
        let hidden = hidden(&top, package);
        if root.look(&hidden)? != Found::Absent {
            root.remove_tree(&hidden)?;
        }
    }
    let fresh = path(package, Some(&format!("{JOURNAL}{UNWRITTEN}")));
    if root.look(&fresh)? != Found::Absent {
        root.remove(&fresh)?;
    }
    Ok(())
}

/// Removes the package's own files, its directory, and of those above it the ones that were made for it and hold
/// nothing else. To others this happens at once: a crash in between leaves all of it, or nothing that has a meaning.
pub fn remove_directory(root: &Root, package: &PackageName, made: &[RelPath]) -> Result<(), FsError> {
    if let Some(top) = removable(root, package, made)? {
        let hidden = hidden(&top, package);
        root.remove_tree(&hidden)?;
        match root.rename(&top, &hidden) {
            // A directory of an image's lower layer keeps its name (overlayfs without redirect_dir): one file after the
            // other then, the receipt last, so that a crash in between leaves what can be uninstalled once more.
            Err(error) if error.errno() == Some(Errno::EXDEV) => {
                own_files(package).iter().try_for_each(|path| root.remove(path))?;
                return root.remove_tree(&top);
            }
            outcome => outcome?,
        }
        return root.remove_tree(&hidden);
    }
    own_files(package).iter().try_for_each(|path| root.remove(path))
}

/// The uppermost directory that was made for this package and holds nothing but its own files.
fn removable(root: &Root, package: &PackageName, made: &[RelPath]) -> Result<Option<RelPath>, FsError> {
    let directory = directory(package);
    let mut allowed: Vec<String> = own_files(package).iter().map(|path| path.name().to_owned()).collect();
    let mut removable = None;
    for path in std::iter::once(directory.clone()).chain(directory.ancestors().into_iter().rev()) {
        let names = root.names(&path)?;
        if !made.contains(&path) || names.iter().any(|name| !allowed.contains(name)) {
            break;
        }
        allowed = vec![path.name().to_owned()];
        removable = Some(path);
    }
    Ok(removable)
}

/// The installer's own files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("the receipt cannot be used: {0}")]
    Receipt(#[from] ReceiptError),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Fs(error) => error.into(),
            StateError::Receipt(error) => Error::new(
                Exit::FormatNotReadable,
                format!("the receipt of the installed package cannot be used: {error}"),
            )
            .hint("use the installer that wrote it, in /var/lib/airgap-deploy/<package>/"),
        }
    }
}
