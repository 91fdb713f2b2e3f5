//! ELF: where the stub ends, and what a shipped program asks of a machine. Source of the format: the ELF gABI.
//! Whether a given host can run it is decided by the stub's preflight.

use std::io::{Read, Seek};

use object::elf::{EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, SHT_NOBITS};
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind};

use crate::PayloadError;
use crate::format::index::{Elf, GlibcVersion};

/// What was found in an ELF file.
pub type ElfFacts = Elf;

const NAME: &str = "the stub (ELF)";

/// Where the ELF file at the start of `reader` ends, in bytes: the end of its section header table, which is the last
/// thing in it. One rule for every reader, also for one made of `od` and `tail`: in a file whose sections reach further,
/// two readers could see two archives.
///
/// # Errors
/// [`PayloadError::NoPayload`] when there is no ELF file at the start, [`PayloadError::Damaged`] when its headers are
/// inconsistent, or something of it lies behind the table.
pub fn elf_length(reader: impl Read + Seek) -> Result<u64, PayloadError> {
    let cache = ReadCache::new(reader);
    let data = &cache;
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => end_of::<FileHeader64<Endianness>, _>(data),
        _ => Err(PayloadError::NoPayload("the file does not start with a 64-bit ELF program".to_owned())),
    }
}

fn end_of<'data, Header, R>(data: R) -> Result<u64, PayloadError>
where
    Header: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let damaged = |problem: &str| PayloadError::damaged(NAME, problem);
    let wrong = |error: object::Error| PayloadError::damaged(NAME, error.to_string());
    let header = Header::parse(data).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    let (table, count): (u64, u64) = (header.e_shoff(endian).into(), header.e_shnum(endian).into());
    if endian != Endianness::Little || table == 0 || count == 0 {
        return Err(damaged("it has no section header table of a little-endian program"));
    }
    let end = table.checked_add(count * u64::from(header.e_shentsize(endian)));
    let end = end.ok_or_else(|| damaged("its headers point past the end of any file"))?;
    if end > data.len().map_err(|()| damaged("its length cannot be read"))? {
        return Err(damaged("the file is shorter than its ELF headers say"));
    }
    for section in header.section_headers(endian, data).map_err(wrong)? {
        let last = section.sh_offset(endian).into().checked_add(section.sh_size(endian).into());
        if section.sh_type(endian) != SHT_NOBITS && last.is_none_or(|last| last > end) {
            return Err(damaged("something of it lies behind its section header table"));
        }
    }
    Ok(end)
}

/// What the ELF file in `reader` asks of a machine; `None` when it is no ELF file.
///
/// # Errors
/// [`PayloadError::Damaged`] when it starts as an ELF file but its headers are inconsistent.
pub fn elf_facts(reader: impl Read + Seek) -> Result<Option<ElfFacts>, PayloadError> {
    let cache = ReadCache::new(reader);
    let data = &cache;
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => facts::<FileHeader64<Endianness>, _>(data).map(Some),
        Ok(FileKind::Elf32) => facts::<FileHeader32<Endianness>, _>(data).map(Some),
        _ => Ok(None),
    }
}

fn facts<'data, Header, R>(data: R) -> Result<ElfFacts, PayloadError>
where
    Header: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let wrong = |error: object::Error| PayloadError::damaged("ELF file", error.to_string());
    let header = Header::parse(data).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    let machine = match header.e_machine(endian) {
        EM_X86_64 => "x86_64".to_owned(),
        EM_AARCH64 => "aarch64".to_owned(),
        other => format!("machine-{}", other.0),
    };
    let sections = header.sections(endian, data).map_err(wrong)?;
    let mut glibc = None;
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data).map_err(wrong)? {
        let strings = sections.strings(endian, data, link).map_err(wrong)?;
        while let Some((_, mut versions)) = needs.next().map_err(wrong)? {
            while let Some(version) = versions.next().map_err(wrong)? {
                let name = version.name(endian, strings).map_err(wrong)?;
                glibc = glibc.max(glibc_version(name));
            }
        }
    }
    Ok(Elf { machine, glibc })
}

/// Reads `GLIBC_2.28`; other symbol versions (`GLIBCXX_…`, `GLIBC_PRIVATE`) say nothing about glibc's release.
fn glibc_version(name: &[u8]) -> Option<GlibcVersion> {
    std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.parse().ok()
}

/// The newest glibc interface that a `libc.so.6` provides; `None` when `reader` holds no such library.
///
/// # Errors
/// [`PayloadError::Damaged`] when it starts as an ELF file but its headers are inconsistent.
pub fn glibc_provided(reader: impl Read + Seek) -> Result<Option<GlibcVersion>, PayloadError> {
    let cache = ReadCache::new(reader);
    let data = &cache;
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => provided::<FileHeader64<Endianness>, _>(data),
        _ => Ok(None),
    }
}

fn provided<'data, Header, R>(data: R) -> Result<Option<GlibcVersion>, PayloadError>
where
    Header: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let wrong = |error: object::Error| PayloadError::damaged("libc.so.6", error.to_string());
    let header = Header::parse(data).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    let sections = header.sections(endian, data).map_err(wrong)?;
    let mut newest = None;
    if let Some((mut definitions, link)) = sections.gnu_verdef(endian, data).map_err(wrong)? {
        let strings = sections.strings(endian, data, link).map_err(wrong)?;
        while let Some((_, mut names)) = definitions.next().map_err(wrong)? {
            while let Some(name) = names.next().map_err(wrong)? {
                newest = newest.max(glibc_version(name.name(endian, strings).map_err(wrong)?));
            }
        }
    }
    Ok(newest)
}
