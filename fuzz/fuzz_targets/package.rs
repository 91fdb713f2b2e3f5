//! Whole packages: opened, verified and read. What verifies says the same thing twice.
//! The input stands behind a small program, as in a `.run` file; a leading byte chooses whether digests are put right.

#![no_main]

use std::fs::File;
use std::io::Write;

use nix::sys::memfd::{MFdFlags, memfd_create};
use payload::{ALIGNMENT, Digest, Package, Trust};

/// The smallest ELF file: a header and one empty section header; to the byte that of the seeds (`tests/tests/crash_formats.rs`).
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (offset, value) in [(9, 1), (16, 2), (18, 62), (20, 1), (40, 64), (52, 64), (54, 56), (58, 64), (60, 1)] {
        bytes[offset] = value;
    }
    bytes.resize(ALIGNMENT as usize, 0);
    bytes
}

/// Makes the second member match the first, as somebody who forges a package would.
fn repair(archive: &mut [u8]) {
    let size = archive.get(124..135).and_then(|octal| std::str::from_utf8(octal).ok());
    let Some(size) = size.and_then(|octal| usize::from_str_radix(octal.trim(), 8).ok()) else { return };
    let Some(json) = archive.get(512..512 + size.min(archive.len())) else { return };
    let line = format!("{}  index.json\n", Digest::of(json).hex());
    let offset = (512 + size).next_multiple_of(512) + 512;
    if let Some(place) = archive.get_mut(offset..offset + line.len()) {
        place.copy_from_slice(line.as_bytes());
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut archive = rest.to_vec();
    if first & 1 == 1 {
        repair(&mut archive);
    }
    let Ok(handle) = memfd_create("package", MFdFlags::empty()) else { return };
    let mut file = File::from(handle);
    if file.write_all(&program()).and_then(|()| file.write_all(&archive)).is_err() {
        return;
    }
    let Ok(package) = Package::open(file, &Trust::nobody()) else { return };
    let mut buffer = Vec::new();
    let all = (0..package.index().blobs.len()).all(|blob| {
        (0..package.chunk_count(blob)).all(|chunk| package.read_chunk(blob, chunk, &mut buffer).is_ok())
    });
    assert!(all || package.verify(1, payload::Watch::nobody()).is_err());
});
