//! Files and directories of this machine: read where they are, never copied.
//! Content from elsewhere is `transfer.rs`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use payload::{Digest, Hasher};

use crate::digesting::Facts;
use crate::fetch::transfer::hash_local;

/// The digest of a directory and the bytes of its files together.
///
/// It is the SHA-256 of three texts for each entry, sorted by path, each followed by NUL: the path; `f` or `x` (an
/// executable file), `d` or `l`; the file's digest, nothing, or the link's target.
pub(crate) fn hash_directory(root: &Path) -> io::Result<(Digest, u64)> {
    let mut entries = Vec::new();
    let mut size = 0;
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        for entry in fs::read_dir(root.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            let kind = entry.file_type()?;
            let (letter, value) = if kind.is_dir() {
                pending.push(path.clone());
                ("d", Vec::new())
            } else if kind.is_symlink() {
                ("l", fs::read_link(entry.path())?.into_os_string().into_encoded_bytes())
            } else if kind.is_file() {
                let Facts { digest, length, .. } = hash_local(&entry.path(), &|_| ())?;
                size += length;
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                (if executable { "x" } else { "f" }, digest.to_string().into_bytes())
            } else {
                let problem = format!("{} is neither a file, a directory nor a link", entry.path().display());
                return Err(io::Error::other(problem));
            };
            entries.push((path.into_os_string().into_encoded_bytes(), letter, value));
        }
    }
    entries.sort();
    let mut hasher = Hasher::default();
    for (path, letter, value) in entries {
        for text in [path.as_slice(), letter.as_bytes(), value.as_slice()] {
            hasher.update(text);
            hasher.update(b"\0");
        }
    }
    Ok((hasher.finish(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directorys_digest_is_of_names_contents_links_and_the_executable_bit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bin/tool");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(&file, b"abc").unwrap();
        std::os::unix::fs::symlink("bin/tool", dir.path().join("link")).unwrap();
        let first = hash_directory(dir.path()).unwrap();
        assert_eq!(first.1, 3);
        assert_eq!(hash_directory(dir.path()).unwrap(), first);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let executable = hash_directory(dir.path()).unwrap();
        assert_ne!(executable, first);
        fs::write(&file, b"abd").unwrap();
        let changed = hash_directory(dir.path()).unwrap();
        assert_ne!(changed, executable);
        fs::rename(&file, dir.path().join("bin/other")).unwrap();
        assert_ne!(hash_directory(dir.path()).unwrap(), changed);
    }
}
