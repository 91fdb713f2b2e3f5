//! Packages as somebody forges them: any bytes for an index, any signature, any program in front, and digests that fit.
//! What must become of them is said by the tests.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result};
use minisign::KeyPair;
use payload::index::Index;
use payload::{ALIGNMENT, Contents, Digest, Package, Trust, UNTRUSTED_COMMENT, Watch, trusted_comment};

/// A pair of keys.
#[derive(Debug)]
pub struct Key(KeyPair);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Self> {
        Ok(Self(KeyPair::generate_unencrypted_keypair()?))
    }

    /// Its public file.
    ///
    /// # Errors
    /// None, as far as is known.
    pub fn public(&self) -> Result<String> {
        Ok(self.0.pk.to_box()?.into_string())
    }

    /// Its secret file, for the builder.
    ///
    /// # Errors
    /// None, as far as is known.
    pub fn secret(&self) -> Result<String> {
        Ok(self.0.sk.to_box(None)?.into_string())
    }

    /// A signature of any bytes, with any comment.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<Vec<u8>> {
        let signed = minisign::sign(None, &self.0.sk, bytes, Some(comment), Some(UNTRUSTED_COMMENT))?;
        Ok(format!("{}\n", signed.into_string().trim_end()).into_bytes())
    }
}

/// A package that was opened to be made again.
#[derive(Debug)]
pub struct Original {
    package: Package,
    pub index: Index,
    pub json: Vec<u8>,
    pub signature: Option<Vec<u8>>,
    pub stub: Vec<u8>,
}

impl Original {
    /// Opens it.
    ///
    /// # Errors
    /// It is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let package = Package::open(File::open(path)?, &Trust::nobody())?;
        Ok(Self {
            index: package.index().clone(),
            json: package.index_json()?,
            signature: package.signature_file().map(<[u8]>::to_vec),
            stub: package.stub()?,
            package,
        })
    }

    /// The index with other words in it, sealed for a signature as long as the one it has.
    ///
    /// # Errors
    /// The result is no index.
    pub fn change(&mut self, change: impl FnOnce(&mut Index)) -> Result<()> {
        change(&mut self.index);
        let room = self.signature.as_ref().map(|signature| signature.len() as u64);
        (self.index, self.json) = payload::seal(self.index.clone(), room)?;
        Ok(())
    }

    /// The comment that belongs to it.
    pub fn comment(&self) -> String {
        trusted_comment(&self.index.package, Digest::of(&self.json))
    }

    /// Writes it as it stands now.
    ///
    /// # Errors
    /// Writing failed.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        let signature = self.signature.as_deref();
        payload::write_package(&mut out, &self.stub, &self.index, &self.json, signature, self, Watch::nobody())?;
        drop(out);
        executable(path)
    }
}

impl Contents for Original {
    fn document(&self, position: usize) -> io::Result<Vec<u8>> {
        self.package.document(position).map_err(io::Error::other)
    }

    fn blob(&self, position: usize) -> io::Result<Box<dyn Read + '_>> {
        let (mut stored, mut chunk) = (Vec::new(), Vec::new());
        for number in 0..self.package.chunk_count(position) {
            self.package.read_chunk(position, number, &mut chunk).map_err(io::Error::other)?;
            stored.extend_from_slice(&chunk);
        }
        Ok(Box::new(Cursor::new(stored)))
    }
}

/// The same archive behind another program.
///
/// # Errors
/// `path` is no package, or writing failed.
pub fn behind_another_program(path: &Path, program: &[u8], out: &Path) -> Result<()> {
    let whole = fs::read(path)?;
    let start = payload::elf_length(File::open(path)?)?.next_multiple_of(ALIGNMENT);
    let mut bytes = program.to_vec();
    bytes.resize(bytes.len().next_multiple_of(usize::try_from(ALIGNMENT)?), 0);
    bytes.extend_from_slice(whole.get(usize::try_from(start)?..).context("there is nothing behind the program")?);
    fs::write(out, bytes)?;
    executable(out)
}

fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
