//! An unfinished download on disk: its bytes, their running digest, and the sidecar that tells whether the server
//! still has the same content. Making requests lives in `transfer.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use payload::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::digesting::Chunks;
use crate::small_file;

/// What the server said about the content when its first byte came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Of the whole content, in bytes.
    pub length: Option<u64>,
}

/// A part file that is open for appending.
pub(crate) struct Partial {
    path: PathBuf,
    sidecar: PathBuf,
    file: File,
    hasher: Hasher,
    chunks: Chunks,
    position: u64,
    version: Version,
    /// How many requests the bytes come from; more than one may have mixed two versions.
    pieces: u32,
    /// Bytes of an earlier run are among them, which a power cut may have damaged.
    inherited: bool,
}

impl Version {
    /// The value of `If-Range`: a strong entity tag, else the date (RFC 9110, section 13.1.5).
    pub(crate) fn if_range(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// Whether `other`, of the same URL, may be the same content: nothing that both tell differs.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        fn differ<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.zip(b).is_some_and(|(a, b)| a != b)
        }
        !differ(self.etag.as_ref(), other.etag.as_ref())
            && !differ(self.length.as_ref(), other.length.as_ref())
            && (self.etag.is_some() || !differ(self.last_modified.as_ref(), other.last_modified.as_ref()))
    }
}

impl Partial {
    /// Opens what an earlier run left at `base`, or starts empty. `seen` is told how much has been read again.
    /// `resumable` says whether content without a validator may be continued: only when its digest is known.
    pub(crate) fn open(base: &Path, resumable: bool, seen: &dyn Fn(u64)) -> io::Result<Self> {
        let (path, sidecar) = (base.with_extension("part"), base.with_extension("json"));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut partial = Self {
            path,
            sidecar,
            file,
            hasher: Hasher::default(),
            chunks: Chunks::default(),
            position: 0,
            version: Version::default(),
            pieces: 0,
            inherited: false,
        };
        match partial.read_sidecar() {
            Some(version) if resumable || version.if_range().is_some() => {
                partial.version = version;
                partial.rehash(seen)?;
            }
            _ => partial.restart(Version::default())?,
        }
        Ok(partial)
    }

    fn read_sidecar(&self) -> Option<Version> {
        serde_json::from_slice(&small_file::read(&self.sidecar, small_file::BY_PROGRAMS).ok()?).ok()
    }

    fn rehash(&mut self, seen: &dyn Fn(u64)) -> io::Result<()> {
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            self.hasher.update(&buffer[..read]);
            self.chunks.update(&buffer[..read]);
            self.position += read as u64;
            seen(self.position);
        }
        if self.version.length.is_some_and(|length| self.position > length) {
            return self.restart(Version::default());
        }
        self.inherited = self.position > 0;
        Ok(())
    }

    /// Throws the bytes away. The sidecar goes first and comes back last, so that a kill in between leaves a part
    /// without a sidecar, which is never continued.
    pub(crate) fn restart(&mut self, version: Version) -> io::Result<()> {
        match fs::remove_file(&self.sidecar) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::default();
        self.chunks = Chunks::default();
        self.position = 0;
        self.pieces = 0;
        self.inherited = false;
        let temporary = self.sidecar.with_extension("json.new");
        fs::write(&temporary, serde_json::to_vec(&version)?)?;
        fs::rename(&temporary, &self.sidecar)?;
        self.version = version;
        Ok(())
    }

    /// Says that the next bytes come from another request.
    pub(crate) fn begin_piece(&mut self) {
        self.pieces += 1;
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.chunks.update(bytes);
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes are here.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What the server said about them.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Whether the bytes were put together from several requests or runs.
    pub(crate) fn is_pieced(&self) -> bool {
        self.pieces > 1 || self.inherited
    }

    /// The digest of the bytes.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// The digests of their chunks.
    pub(crate) fn chunks(&self) -> Vec<Digest> {
        self.chunks.clone().finish()
    }

    /// The file with the bytes; the sidecar is removed, for the download has ended.
    pub(crate) fn finish(self) -> io::Result<PathBuf> {
        self.file.sync_all()?;
        fs::remove_file(&self.sidecar)?;
        Ok(self.path)
    }

    /// Removes everything.
    pub(crate) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.sidecar)?;
        fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(etag: Option<&str>, modified: Option<&str>, length: Option<u64>) -> Version {
        Version { etag: etag.map(str::to_owned), last_modified: modified.map(str::to_owned), length }
    }

    #[test]
    fn a_part_continues_with_the_digest_of_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x");
        let mut partial = Partial::open(&base, false, &|_| ()).unwrap();
        partial.restart(version(Some("\"a\""), None, Some(6))).unwrap();
        partial.append(b"abc").unwrap();
        drop(partial);
        let mut partial = Partial::open(&base, false, &|_| ()).unwrap();
        assert_eq!(partial.position(), 3);
        partial.begin_piece();
        partial.append(b"def").unwrap();
        assert!(partial.is_pieced());
        assert_eq!(partial.digest(), Digest::of(b"abcdef"));
        assert_eq!(fs::read(partial.finish().unwrap()).unwrap(), b"abcdef");
    }

    #[test]
    fn a_part_without_sidecar_or_longer_than_the_content_is_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x");
        fs::write(base.with_extension("part"), b"left over").unwrap();
        assert_eq!(Partial::open(&base, true, &|_| ()).unwrap().position(), 0);
        let mut partial = Partial::open(&base, true, &|_| ()).unwrap();
        partial.restart(version(Some("\"a\""), None, Some(2))).unwrap();
        partial.append(b"abc").unwrap();
        drop(partial);
        assert_eq!(Partial::open(&base, true, &|_| ()).unwrap().position(), 0);
    }

    #[test]
    fn content_without_validator_is_continued_only_when_its_digest_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x");
        let mut partial = Partial::open(&base, true, &|_| ()).unwrap();
        partial.restart(version(None, None, Some(9))).unwrap();
        partial.append(b"abc").unwrap();
        drop(partial);
        assert_eq!(Partial::open(&base, true, &|_| ()).unwrap().position(), 3);
        assert_eq!(Partial::open(&base, false, &|_| ()).unwrap().position(), 0);
    }

    #[test]
    fn weak_tags_are_no_validators_and_any_difference_is_another_version() {
        assert_eq!(version(Some("W/\"a\""), Some("Mon"), None).if_range(), Some("Mon"));
        assert_eq!(version(Some("W/\"a\""), None, None).if_range(), None);
        let known = version(Some("\"a\""), Some("Mon"), Some(5));
        assert!(known.may_equal(&version(Some("\"a\""), Some("Tue"), Some(5))));
        assert!(known.may_equal(&version(None, None, None)));
        assert!(!known.may_equal(&version(Some("\"b\""), Some("Mon"), Some(5))));
        assert!(!known.may_equal(&version(Some("\"a\""), None, Some(6))));
    }
}
