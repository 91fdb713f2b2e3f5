//! Where the installer keeps its own files on the target: one directory for each package, and staging directories.
//! What stands in receipt and journal is in `receipt.rs` and `journal.rs`.

use payload::index::PackageName;
use payload::{Mode, RelPath};

use crate::receipt::{Receipt, ReceiptError};
use crate::root::{Found, FsError, Root};

const STATE: &str = "var/lib/airgap-deploy";
/// Larger than any receipt or journal.
const LIMIT: u64 = 64 << 20;

/// The directory of one package: `/var/lib/airgap-deploy/<package>`.
pub fn directory(package: &PackageName) -> RelPath {
    path(package, None)
}

/// `/var/lib/airgap-deploy/<package>/receipt.json`
pub fn receipt(package: &PackageName) -> RelPath {
    path(package, Some("receipt.json"))
}

/// `/var/lib/airgap-deploy/<package>/journal`
pub fn journal(package: &PackageName) -> RelPath {
    path(package, Some("journal"))
}

/// `/var/lib/airgap-deploy/<package>/airgap-deploy`: the stub, for later.
pub fn stub(package: &PackageName) -> RelPath {
    path(package, Some("airgap-deploy"))
}

/// Where the stub waits until the installation is complete.
pub fn fresh_stub(package: &PackageName) -> RelPath {
    path(package, Some("airgap-deploy.fresh"))
}

/// Files that exist only while an installation runs, beside the journal.
pub fn unfinished_files(package: &PackageName) -> [RelPath; 4] {
    ["airgap-deploy.fresh", "airgap-deploy.fresh.new", "receipt.json.new", "journal.new"]
        .map(|name| path(package, Some(name)))
}

#[expect(clippy::expect_used, reason = "a package name is one plain component of at most 64 bytes")]
fn path(package: &PackageName, name: Option<&str>) -> RelPath {
    let text = match name {
        Some(name) => format!("{STATE}/{package}/{name}"),
        None => format!("{STATE}/{package}"),
    };
    text.parse().expect("a constant and a package name")
}

/// The staging directory of a package inside `directory` (`None` is the root).
pub fn area(directory: Option<&RelPath>, package: &PackageName) -> Option<RelPath> {
    let name = format!(".airgap-deploy.{package}");
    match directory {
        Some(directory) => directory.join(&name).ok(),
        None => name.parse().ok(),
    }
}

/// The receipt of an installed package.
///
/// # Errors
/// [`StateError`] when there is one that cannot be read.
pub fn read_receipt(root: &Root, package: &PackageName) -> Result<Option<Receipt>, StateError> {
    match root.read(&receipt(package), LIMIT)? {
        Some(bytes) => Ok(Some(Receipt::from_json(&bytes)?)),
        None => Ok(None),
    }
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

/// Makes the directories that [`missing_directories`] found.
pub fn make_directories(root: &Root, missing: &[RelPath]) -> Result<(), FsError> {
    for path in missing {
        root.make_directory(path)?;
        root.set_attributes(path, Mode::EXECUTABLE, None)?;
    }
    Ok(())
}

/// Removes the package's own files, its directory, and of those above it the ones that were made for it and are empty.
pub fn remove_directory(root: &Root, package: &PackageName, made: &[RelPath]) -> Result<(), FsError> {
    for name in [journal(package), stub(package), receipt(package)] {
        root.remove(&name)?;
    }
    let directory = directory(package);
    let above = made.iter().rev().filter(|path| **path != directory);
    for path in std::iter::once(&directory).chain(above) {
        match root.remove_directory(path) {
            Err(error) if error.errno() == Some(nix::errno::Errno::ENOTEMPTY) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// The installer's own files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("the receipt cannot be used: {0}")]
    Receipt(#[from] ReceiptError),
}
