//! What lies beside a finished package: its digest for `sha256sum -c`, the bill of materials, and the inventory.
//! What they say is in `evidence/`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use payload::Digest;

use super::emit::{EmitError, emit_beside};
use super::volumes::Volume;

/// A file beside the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digest,
    Materials,
    Inventory,
}

const KINDS: [Kind; 3] = [Kind::Digest, Kind::Materials, Kind::Inventory];
/// How much of a file tells what it is, in bytes.
const HEAD: u64 = 4096;

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Digest => "sha256",
            Self::Materials => "cdx.json",
            Self::Inventory => "html",
        }
    }

    /// Whether a file that begins so is one that a builder wrote.
    fn is_ours(self, head: &str) -> bool {
        match self {
            Self::Digest => head.split_once("  ").is_some_and(|(hex, _)| hex.parse::<Digest>().is_ok()),
            Self::Materials => head.contains("\"bomFormat\": \"CycloneDX\""),
            Self::Inventory => head.contains("<meta name=\"generator\" content=\"airgap-deploy"),
        }
    }
}

/// Refuses, before anything is fetched, to write over a file that no builder wrote.
pub(crate) fn require_ours(package: &Path, inventory: bool) -> Result<(), EmitError> {
    for kind in KINDS.into_iter().filter(|kind| inventory || *kind != Kind::Inventory) {
        let path = beside(package, kind);
        let foreign = match head(&path) {
            Ok(head) => !head.is_empty() && !kind.is_ours(&head),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if foreign {
            let problem = format!("it is there already, and is not a {} of a package", kind.suffix());
            return Err(EmitError::Write { path, source: io::Error::new(io::ErrorKind::AlreadyExists, problem) });
        }
    }
    Ok(())
}

/// Writes all of them; the inventory when there is one. Gives their paths.
pub(crate) fn write(
    package: &Path,
    volumes: &[Volume],
    materials: &[u8],
    inventory: Option<&str>,
) -> Result<Vec<PathBuf>, EmitError> {
    let list = list(volumes);
    let all = [
        (Kind::Digest, Some(list.as_bytes())),
        (Kind::Materials, Some(materials)),
        (Kind::Inventory, inventory.map(str::as_bytes)),
    ];
    let mut written = Vec::new();
    for (kind, bytes) in all {
        if let Some(bytes) = bytes {
            let path = beside(package, kind);
            emit_beside(bytes, &path)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Writes the list of digests alone.
pub(crate) fn write_list(package: &Path, volumes: &[Volume]) -> Result<PathBuf, EmitError> {
    let path = beside(package, Kind::Digest);
    emit_beside(list(volumes).as_bytes(), &path)?;
    Ok(path)
}

/// A line for each volume.
fn list(volumes: &[Volume]) -> String {
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let lines: Vec<String> =
        volumes.iter().map(|volume| format!("{}  {}\n", volume.digest.hex(), name(&volume.path))).collect();
    lines.concat()
}

/// The names in the list of digests that is there.
pub(super) fn listed(package: &Path) -> Vec<String> {
    let Ok(text) = crate::small_file::read_text(&beside(package, Kind::Digest), crate::small_file::BY_HAND) else {
        return Vec::new();
    };
    payload::digest_list(&text).map(|(_, name)| name.to_owned()).collect()
}

fn beside(package: &Path, kind: Kind) -> PathBuf {
    let mut name = package.as_os_str().to_owned();
    name.push(".");
    name.push(kind.suffix());
    PathBuf::from(name)
}

/// The beginning of a regular file; what is no file has none, and is not opened.
fn head(path: &Path) -> io::Result<String> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(HEAD).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
