//! ELF: where the stub ends, and what a shipped program asks of a machine. Source of the format: the ELF gABI.
//! Whether a given host can run it is decided by the stub's preflight.

use std::io::{Read, Seek};

use object::elf::{EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_NOBITS};
use object::read::elf::{FileHeader, SectionHeader, SectionTable};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind};

use crate::PayloadError;
use crate::format::index::{Elf, GlibcVersion};

/// What was found in an ELF file.
pub type ElfFacts = Elf;

const NAME: &str = "the stub (ELF)";

/// Far more than any library has; glibc has 50. Chains of records may lie over each other, so that without a limit the
/// time to follow them would grow with the square of a file's length.
const MAX_VERSIONS: usize = 4096;
/// Sections of one file, and bytes of one table of versions: both are held in memory.
const MAX_SECTIONS: u32 = 100_000;
const MAX_TABLE: u64 = 1 << 20;

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
    let sections = bounded_sections(header, endian, data, "ELF file")?;
    let (mut glibc, mut followed) = (None, 0);
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data).map_err(wrong)? {
        let strings = sections.strings(endian, data, link).map_err(wrong)?;
        while let Some((_, mut versions)) = needs.next().map_err(wrong)? {
            follow(&mut followed, "ELF file")?;
            while let Some(version) = versions.next().map_err(wrong)? {
                follow(&mut followed, "ELF file")?;
                let name = version.name(endian, strings).map_err(wrong)?;
                glibc = glibc.max(glibc_version(name));
            }
        }
    }
    Ok(Elf { machine, glibc })
}

/// The sections of a file that has no more of them, and no larger tables of versions, than programs have.
fn bounded_sections<'data, Header, R>(
    header: &Header,
    endian: Endianness,
    data: R,
    name: &str,
) -> Result<SectionTable<'data, Header, R>, PayloadError>
where
    Header: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let wrong = |error: object::Error| PayloadError::damaged(name, error.to_string());
    if header.shnum(endian, data).map_err(wrong)? > MAX_SECTIONS {
        return Err(PayloadError::damaged(name, format!("it has more than {MAX_SECTIONS} sections")));
    }
    let sections = header.sections(endian, data).map_err(wrong)?;
    let is_large = |section: &Header::SectionHeader| {
        matches!(section.sh_type(endian), SHT_GNU_VERNEED | SHT_GNU_VERDEF)
            && section.sh_size(endian).into() > MAX_TABLE
    };
    if sections.iter().any(is_large) {
        return Err(PayloadError::damaged(name, format!("its table of versions is larger than {MAX_TABLE} bytes")));
    }
    Ok(sections)
}

/// Counts a record of a chain.
fn follow(followed: &mut usize, name: &str) -> Result<(), PayloadError> {
    *followed += 1;
    if *followed > MAX_VERSIONS {
        return Err(PayloadError::damaged(name, format!("its table of versions has more than {MAX_VERSIONS} records")));
    }
    Ok(())
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
    let sections = bounded_sections(header, endian, data, "libc.so.6")?;
    let (mut newest, mut followed) = (None, 0);
    if let Some((mut definitions, link)) = sections.gnu_verdef(endian, data).map_err(wrong)? {
        let strings = sections.strings(endian, data, link).map_err(wrong)?;
        while let Some((_, mut names)) = definitions.next().map_err(wrong)? {
            follow(&mut followed, "libc.so.6")?;
            while let Some(name) = names.next().map_err(wrong)? {
                follow(&mut followed, "libc.so.6")?;
                newest = newest.max(glibc_version(name.name(endian, strings).map_err(wrong)?));
            }
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{elf_facts, glibc_provided};

    const NEEDS: u32 = 0x6fff_fffe;
    const DEFINITIONS: u32 = 0x6fff_fffd;

    /// A 64-bit program with a table of versions in which every record begins a chain over all that follow.
    fn overlapping(kind: u32, records: usize) -> Vec<u8> {
        let word = |value: u32| value.to_le_bytes();
        let mut record = vec![1, 0];
        match kind {
            NEEDS => record.extend([0xff, 0xff, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0]),
            _ => record.extend([0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 12, 0, 0, 0, 20, 0, 0, 0]),
        }
        let table = record.repeat(records);
        let header = 64_u64;
        let sections = header + table.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend(3_u16.to_le_bytes());
        elf.extend(62_u16.to_le_bytes());
        elf.extend(word(1));
        elf.extend([0; 16]);
        elf.extend(sections.to_le_bytes());
        elf.extend(word(0));
        for half in [64_u16, 0, 0, 64, 2, 1] {
            elf.extend(half.to_le_bytes());
        }
        elf.extend(&table);
        for (kind, offset, size) in [(kind, header, table.len() as u64), (3, header, table.len() as u64)] {
            elf.extend(word(0));
            elf.extend(word(kind));
            elf.extend([0; 16]);
            elf.extend(offset.to_le_bytes());
            elf.extend(size.to_le_bytes());
            elf.extend(word(1));
            elf.extend([0; 20]);
        }
        elf
    }

    #[test]
    fn chains_of_versions_end_where_no_library_has_more() {
        let needs = elf_facts(Cursor::new(overlapping(NEEDS, 50_000))).unwrap_err().to_string();
        assert!(needs.contains("more than 4096 records"), "{needs}");
        let definitions = glibc_provided(Cursor::new(overlapping(DEFINITIONS, 50_000))).unwrap_err().to_string();
        assert!(definitions.contains("more than 4096 records"), "{definitions}");
    }

    #[test]
    fn a_table_of_versions_has_a_size_that_libraries_have() {
        let large = elf_facts(Cursor::new(overlapping(NEEDS, 70_000))).unwrap_err().to_string();
        assert!(large.contains("larger than 1048576 bytes"), "{large}");
    }
}
