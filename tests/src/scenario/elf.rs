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
    let strings = strings(&["libc.so.6", glibc]);
    // Elf64_Verneed and Elf64_Vernaux: 16 bytes each.
    let mut need = [1_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat();
    [1_u32, 16, 0].iter().for_each(|field| need.extend(field.to_le_bytes()));
    need.extend(0_u32.to_le_bytes());
    [0_u16, 2].iter().for_each(|field| need.extend(field.to_le_bytes()));
    let name = u32::try_from(1 + "libc.so.6".len() + 1).unwrap_or(0);
    [name, 0].iter().for_each(|field| need.extend(field.to_le_bytes()));
    file(machine, text, strings, SHT_GNU_VERNEED, need)
}

/// A `libc.so.6` for `machine` that provides the interface `glibc`.
pub fn libc(machine: u16, glibc: &str) -> Vec<u8> {
    let strings = strings(&[glibc]);
    // Elf64_Verdef (20 bytes) and Elf64_Verdaux (8 bytes).
    let mut definition = Vec::new();
    [1_u16, 0, 2, 1].iter().for_each(|field| definition.extend(field.to_le_bytes()));
    [0_u32, 20, 0].iter().for_each(|field| definition.extend(field.to_le_bytes()));
    [1_u32, 0].iter().for_each(|field| definition.extend(field.to_le_bytes()));
    file(machine, "libc", strings, SHT_GNU_VERDEF, definition)
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
        let offset = (HEADER + content.len()) as u64;
        [1, section.kind].iter().for_each(|field: &u32| table.extend(field.to_le_bytes()));
        let size = section.data.len() as u64;
        [0, 0, offset, size].iter().for_each(|field: &u64| table.extend(field.to_le_bytes()));
        [section.link, section.info].iter().for_each(|field| table.extend(field.to_le_bytes()));
        [1_u64, 0].iter().for_each(|field| table.extend(field.to_le_bytes()));
        content.extend(&section.data);
    }
    content.resize(content.len().next_multiple_of(8), 0);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    [2_u16, machine].iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    [0, 0, (HEADER + content.len()) as u64].iter().for_each(|field: &u64| bytes.extend(field.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    [64_u16, 56, 0, 64, 4, 1].iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    [bytes, content, table].concat()
}
