//! Reading tar: one pass, every member's type and path checked before its bytes are looked at.
//! Decompression happens before, in `format.rs`.

use std::io::{self, Read};

use payload::{RelPath, printable};
use tar::{Archive, Entry, EntryType};

use crate::content::error::ContentError;

use super::members::{Member, Members, Sink};

/// Reads all members.
pub(super) fn read(stream: impl Read, mut sink: Sink<'_>) -> Result<Members, ContentError> {
    let mut archive = Archive::new(stream);
    for entry in archive.entries().map_err(|error| sink.damaged(&error))? {
        let entry = entry.map_err(|error| sink.damaged(&error))?;
        take(entry, &mut sink)?;
    }
    // The decoder compares its checksums when it reaches the end of what it decodes.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| sink.damaged(&error))?;
    sink.finish()
}

fn take(mut entry: Entry<'_, impl Read>, sink: &mut Sink<'_>) -> Result<(), ContentError> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let raw = entry.path_bytes().into_owned();
    let Some(path) = sink.path(&raw)? else { return Ok(()) };
    let mode = entry.header().mode().map_err(|error| sink.damaged(&error))?;
    match kind {
        EntryType::Directory => sink.directory(path),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            // Old archives mark a directory by the slash at the end of its name alone.
            if raw.ends_with(b"/") {
                return sink.directory(path);
            }
            let size = entry.size();
            sink.file(path, mode, size, &mut entry)
        }
        EntryType::Symlink => {
            let target = link_target(&entry, &path, sink)?;
            sink.add(path, Member::SymbolicLink { target })
        }
        EntryType::Link => {
            let target = link_target(&entry, &path, sink)?;
            let plain = target.trim_start_matches("./");
            let to = plain.parse().map_err(|error| sink.refused(format!("hard link {path:?}: {error}")))?;
            sink.add(path, Member::HardLink { to })
        }
        other => Err(sink.refused(format!("member {:?} is {}", path.as_str(), name(other)))),
    }
}

fn link_target(entry: &Entry<'_, impl Read>, path: &RelPath, sink: &Sink<'_>) -> Result<String, ContentError> {
    let target = entry.link_name_bytes().map(|bytes| String::from_utf8(bytes.into_owned()));
    match target {
        Some(Ok(target)) if !target.is_empty() && target == printable(&target) => Ok(target),
        _ => Err(sink.refused(format!("link {:?} has no target, or one that is no printable text", path.as_str()))),
    }
}

fn name(kind: EntryType) -> String {
    match kind {
        EntryType::Block => "a block device".to_owned(),
        EntryType::Char => "a character device".to_owned(),
        EntryType::Fifo => "a named pipe".to_owned(),
        other => format!("of a type that does not belong into a package ({:?})", char::from(other.as_byte())),
    }
}
