//! Reading zip archives: members in the order of the central directory.
//! Which of them are wanted is decided in `select.rs`.

use std::fs::File;
use std::io::{self, BufReader, Read};

use payload::printable;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::content::error::ContentError;

use super::members::{MAX_TARGET, Member, Members, Sink};

const FILE_TYPE: u32 = 0o170_000;

/// Reads all members.
pub(super) fn read(file: File, mut sink: Sink<'_>) -> Result<Members, ContentError> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error, &sink))?;
    for position in 0..archive.len() {
        let mut entry = archive.by_index(position).map_err(|error| damaged(error, &sink))?;
        let raw = entry.name_raw().to_vec();
        let Some(path) = sink.path(&raw)? else { continue };
        let mode = entry.unix_mode().unwrap_or(0o644);
        let size = entry.size();
        match mode & FILE_TYPE {
            _ if entry.is_dir() => sink.directory(path)?,
            0o120_000 => {
                let mut target = String::new();
                let length = (&mut entry).take(MAX_TARGET).read_to_string(&mut target);
                length.map_err(|error| sink.damaged(&error))?;
                if target.is_empty() || target != printable(&target) {
                    return Err(sink.refused(format!("the target of link {:?} is no printable text", path.as_str())));
                }
                sink.add(path, Member::SymbolicLink { target })?;
            }
            0 | 0o100_000 => sink.file(path, mode & !FILE_TYPE, size, &mut entry)?,
            _ => return Err(sink.refused(format!("member {:?} is a device, pipe or socket", path.as_str()))),
        }
    }
    sink.finish()
}

fn damaged(error: ZipError, sink: &Sink<'_>) -> ContentError {
    match error {
        ZipError::UnsupportedArchive(what) => sink.refused(format!("this zip archive cannot be unpacked here: {what}")),
        other => sink.damaged(&io::Error::other(other)),
    }
}
