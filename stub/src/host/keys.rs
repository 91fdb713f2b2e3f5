//! The keys that a machine trusts, and those that it no longer does: read only where nobody but root could have put them.
//! What a signature by one of them means is in the crate `payload`.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;
use payload::names::{REVOKED_KEYS, TRUSTED_KEYS};
use payload::{PublicKey, RelPath, Trust};

use super::root::{Found, FsError, Root};

/// Longer than any public key, in bytes.
const LIMIT: u64 = 4096;

/// Why the keys of a machine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("cannot read the key {path}: {source}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the key {path} is not used: {problem}")]
    Refused { path: String, problem: String },
}

/// What a machine trusts: the keys below its root, and the files that were named.
///
/// # Errors
/// [`KeysError`]: one of them cannot be read, is no key, or could have been put there by somebody else than root. None is
/// left out silently: it may be the one that was revoked.
pub fn trust(root: &Root, named: &[impl AsRef<Path>]) -> Result<Trust, KeysError> {
    let mut trust = Trust { trusted: below(root, TRUSTED_KEYS)?, revoked: below(root, REVOKED_KEYS)? };
    for path in named {
        trust.trusted.push(from_file(path.as_ref())?);
    }
    Ok(trust)
}

/// The keys in a directory of the machine.
fn below(root: &Root, directory: &str) -> Result<Vec<PublicKey>, KeysError> {
    let Ok(directory) = directory.parse::<RelPath>() else { return Ok(Vec::new()) };
    match root.look_directory(&directory).map_err(|error| refused(&directory, &error.to_string()))? {
        Found::Absent => return Ok(Vec::new()),
        Found::File(_) | Found::Special => return Err(refused(&directory, "it is not a directory")),
        Found::Directory(_) | Found::Link { .. } | Found::Hidden => {}
    }
    for above in directory.ancestors().iter().chain([&directory]) {
        if !root.only_root_can_write(Some(above))? {
            return Err(refused(above, "users other than root can change its directory"));
        }
    }
    let named = |name: &String| match directory.join(name) {
        Ok(path) if Path::new(name).extension().is_some_and(|kind| kind == "pub") => key_below(root, &path),
        _ => Err(refused(&directory, &format!("{name:?} in it is not called *.pub: rename it, or move it elsewhere"))),
    };
    root.names(&directory)?.iter().map(named).collect()
}

fn key_below(root: &Root, path: &RelPath) -> Result<PublicKey, KeysError> {
    match root.look(path)? {
        Found::Link { .. } => return Err(refused(path, "it is a symbolic link")),
        Found::Directory(_) | Found::Special => return Err(refused(path, "it is not a regular file")),
        Found::File(_) | Found::Absent | Found::Hidden => {}
    }
    let file = root.open_file(path)?;
    read(&file, &path.to_string())
}

/// A file that was named with `--trusted-key`.
fn from_file(path: &Path) -> Result<PublicKey, KeysError> {
    let shown = path.display().to_string();
    let failed = |source| KeysError::Read { path: shown.clone(), source };
    let real = path.canonicalize().map_err(failed)?;
    for above in real.ancestors().skip(1) {
        let facts = fs::metadata(above).map_err(failed)?;
        // In a sticky directory nobody takes away or renames what belongs to another.
        let sticky = facts.mode() & 0o1000 != 0;
        if !is_trusted_owner(&facts) || facts.mode() & 0o022 != 0 && !sticky {
            let problem = format!("users other than root can change {}", above.display());
            return Err(KeysError::Refused { path: shown, problem });
        }
    }
    if !fs::metadata(&real).map_err(failed)?.is_file() {
        return Err(KeysError::Refused { path: shown, problem: "it is not a regular file".to_owned() });
    }
    read(&File::open(&real).map_err(failed)?, &shown)
}

/// Looks at the open file, so that nobody changes it in between.
fn read(file: &File, shown: &str) -> Result<PublicKey, KeysError> {
    let failed = |source| KeysError::Read { path: shown.to_owned(), source };
    let refused = |problem: &str| KeysError::Refused { path: shown.to_owned(), problem: problem.to_owned() };
    let facts = file.metadata().map_err(failed)?;
    if !is_trusted_owner(&facts) || facts.mode() & 0o022 != 0 {
        return Err(refused("users other than root can change it"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    PublicKey::from_text(&bytes).map_err(|error| refused(&error.to_string()))
}

/// Root, or who runs this: below a root of their own, users are their own administrators.
fn is_trusted_owner(facts: &Metadata) -> bool {
    facts.uid() == 0 || facts.uid() == geteuid().as_raw()
}

fn refused(path: &RelPath, problem: &str) -> KeysError {
    KeysError::Refused { path: path.to_string(), problem: problem.to_owned() }
}
