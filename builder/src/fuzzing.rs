//! Ways for the fuzz targets to parsers that are nobody else's business. Compiled for them only (`cfg(fuzzing)`).
//! The targets are in `fuzz/fuzz_targets`.

use std::io::Cursor;
use std::path::Path;

use payload::Digest;

use crate::content::archive::{self, Exclude, Limits, Member, Unpacked};
use crate::fetch::artifact::{Artifact, VerifiedFile};

/// Reads the text of a lock file and prints it again; `None` when it cannot be read.
pub fn lock(text: &str) -> Option<String> {
    crate::lock::reprint(text).ok()
}

/// Reads the header of a GGUF file and says whether it may be shipped.
pub fn gguf(bytes: &[u8]) -> bool {
    let size = bytes.len() as u64;
    crate::content::gguf::read(Cursor::new(bytes), size).is_ok_and(|header| header.data_end <= size)
}

/// Reads a Modelfile.
///
/// # Errors
/// The lines with mistakes.
pub fn modelfile(text: &str) -> Result<(), Vec<usize>> {
    crate::manifest::modelfile_lines(text)
}

/// What the files of an archive may have together, in bytes.
pub const ARCHIVE_LIMIT: u64 = 1 << 20;

/// Takes an archive apart below `directory`, which is made and emptied again; the first byte says what its name ends in.
/// Gives the size of its files, together; `None` when it is refused or is none.
pub fn archive(bytes: &[u8], directory: &Path) -> Option<u64> {
    const NAMES: [&str; 5] = ["x.tar", "x.zip", "x.tgz", "x.tar.xz", "x.tar.zst"];
    const LIMITS: Limits = Limits { bytes: ARCHIVE_LIMIT, members: 100 };
    let (first, content) = bytes.split_first()?;
    let name = NAMES[usize::from(*first) % NAMES.len()].to_owned();
    std::fs::create_dir_all(directory).ok()?;
    let path = directory.join(&name);
    std::fs::write(&path, content).ok()?;
    let (size, digest) = (content.len() as u64, Digest::of(content));
    let artifact = Artifact::File(VerifiedFile { path, location: name.clone(), name, size, digest });
    let unpacked = archive::unpack(&artifact, &Exclude::new(&[]).ok()?, LIMITS, &directory.join("work"));
    std::fs::remove_dir_all(directory).ok()?;
    let Ok(Unpacked::Members(members)) = unpacked else { return None };
    let sizes = members.list.values().map(|member| match member {
        Member::File { content, .. } => content.size,
        _ => 0,
    });
    Some(sizes.sum())
}
