//! This program itself, without the package that may stand behind it.
//! Where a copy of it is kept is in `record/state.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use payload::{Digest, FileStub, Package, PayloadError, elf_length};

/// The program to keep on the machine: the one that the package was signed or sealed with. When the file starts with
/// another, which nobody vouches for, it is the program that runs.
///
/// # Errors
/// It cannot be read.
pub fn to_keep(package: &Package) -> Result<Vec<u8>, PayloadError> {
    match package.file_stub() {
        FileStub::AsPacked => package.stub(),
        FileStub::Other { .. } => own(),
    }
}

/// The program to keep, as far as a plan has to know it.
#[derive(Debug, Clone)]
pub struct Installer {
    pub digest: Digest,
    pub size: u64,
    pub version: String,
}

impl Installer {
    /// Of the program that [`to_keep`] gives.
    ///
    /// # Errors
    /// The program that runs cannot be read.
    pub fn of(package: &Package) -> Result<Self, PayloadError> {
        let build = &package.index().build;
        Ok(match package.file_stub() {
            FileStub::AsPacked => {
                Self { digest: build.stub.digest, size: build.stub.size, version: build.builder_version.clone() }
            }
            FileStub::Other { .. } => {
                let bytes = own()?;
                let version = env!("CARGO_PKG_VERSION").to_owned();
                Self { digest: Digest::of(&bytes), size: bytes.len() as u64, version }
            }
        })
    }
}

fn own() -> Result<Vec<u8>, PayloadError> {
    let failed = |source| PayloadError::Read { what: "the program that runs".to_owned(), source };
    let file = File::open("/proc/self/exe").map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(elf_length(&file)?).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    Ok(bytes)
}
