//! Small ELF files that ask for a machine and a glibc, or provide one. Source of the format: the ELF gABI and the
//! symbol versioning of the LSB. They are not meant to be run.

/// `EM_X86_64`
pub const X86_64: u16 = 62;
/// `EM_AARCH64`
pub const AARCH64: u16 = 183;

const SHT_PROGBITS: u32 = 1;
const SHT_STRTAB: u32 = 3;
const SHT_GNU_VERDEF: u32 = 0x6fff_fffd;
const SHT_GNU_VERNEED: u32 = 0x6fff_fffe;
const HEADER: usize = 64;

struct Section {
    kind: u32,
    link: u32,
    info: u32,
    data: Vec<u8>,
}

/// A program for `machine` that needs the glibc interface `glibc`, such as `GLIBC_2.17`. `text` makes it unlike others.
pub fn program(machine: u16, glibc: &str, text: &str) -> Vec<u8> {
    let library = "libc.so.6";
    let name = u32::try_from(1 + library.len() + 1).unwrap_or(0);
    // Elf64_Verneed and Elf64_Vernaux.
    let need = [halves(&[1, 1]), words(&[1, 16, 0]), words(&[0]), halves(&[0, 2]), words(&[name, 0])].concat();
    file(machine, text, strings(&[library, glibc]), SHT_GNU_VERNEED, need)
}

/// A `libc.so.6` for `machine` that provides the interface `glibc`.
pub fn libc(machine: u16, glibc: &str) -> Vec<u8> {
    // Elf64_Verdef and Elf64_Verdaux.
    let definition = [halves(&[1, 0, 2, 1]), words(&[0, 20, 0]), words(&[1, 0])].concat();
    file(machine, "libc", strings(&[glibc]), SHT_GNU_VERDEF, definition)
}

fn halves(fields: &[u16]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

fn words(fields: &[u32]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

fn longs(fields: &[u64]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

fn strings(texts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in texts {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn file(machine: u16, text: &str, strings: Vec<u8>, kind: u32, versions: Vec<u8>) -> Vec<u8> {
    let sections = [
        Section { kind: 0, link: 0, info: 0, data: Vec::new() },
        Section { kind: SHT_STRTAB, link: 0, info: 0, data: strings },
        Section { kind, link: 1, info: 1, data: versions },
        Section { kind: SHT_PROGBITS, link: 0, info: 0, data: text.as_bytes().to_vec() },
    ];
    let mut content = Vec::new();
    let mut table = Vec::new();
    for section in &sections {
        content.resize(content.len().next_multiple_of(8), 0);
        let (offset, size) = ((HEADER + content.len()) as u64, section.data.len() as u64);
        table.extend(words(&[1, section.kind]));
        table.extend(longs(&[0, 0, offset, size]));
        table.extend(words(&[section.link, section.info]));
        table.extend(longs(&[1, 0]));
        content.extend(&section.data);
    }
    content.resize(content.len().next_multiple_of(8), 0);
    let sections_at = (HEADER + content.len()) as u64;
    let header = [
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        halves(&[2, machine]),
        words(&[1]),
        longs(&[0, 0, sections_at]),
        words(&[0]),
        halves(&[64, 56, 0, 64, 4, 1]),
    ];
    [header.concat(), content, table].concat()
}
