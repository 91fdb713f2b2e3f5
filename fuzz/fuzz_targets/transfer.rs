//! Chunk directories, and files with the names of volumes, whoever packed them. What verifies has all of its volumes.
//! The input is a manifest, a zero byte, and an archive, which is taken for the second volume as well.

#![no_main]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use payload::{ALIGNMENT, Package, Parts, Piece, TRANSFER_MANIFEST, Trust, Watch, package_in_chunks};

/// The archive of a package that the builder made, sealed for the program of [`whole`]; `plain` is its second volume.
const SAMPLE: &[u8] = include_bytes!("../seeds/transfer.tar");
static FIRST: OnceLock<Vec<u8>> = OnceLock::new();

/// The smallest ELF file, and the sample behind it.
fn whole() -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (offset, value) in [(16, 2), (18, 62), (20, 1), (40, 64), (52, 64), (54, 56), (58, 64), (60, 1)] {
        bytes[offset] = value;
    }
    bytes.resize(ALIGNMENT as usize, 0);
    bytes.extend(SAMPLE);
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("volume", MFdFlags::empty()).expect("there is memory"));
    file.write_all(bytes).expect("there is memory");
    file
}

/// As short as a first volume may be.
fn first() -> Vec<u8> {
    let mut bytes = whole();
    let package = Package::open(file(&bytes), &Trust::nobody()).expect("the sample is a package");
    bytes.truncate(package.head_length().next_multiple_of(1000) as usize);
    bytes
}

fn look(name: String, first: Piece, directory: &Path) -> bool {
    let parts = Parts::volumes(name, first, vec![directory.to_owned()], None);
    let Ok(package) = Package::open(parts, &Trust::nobody()) else { return false };
    let complete = package.parts().require_all();
    match package.verify(1, Watch::nobody()) {
        Ok(()) => assert!(complete.is_ok(), "{complete:?}"),
        Err(error) => assert!(!package.narrow(error).to_string().is_empty()),
    }
    true
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let directory = Path::new("/dev/shm").join(format!("airgap-deploy-fuzz-{}", std::process::id()));
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let archive = bytes.get(end + 1..).unwrap_or_default();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).expect("there is memory");
    fs::create_dir_all(&directory).expect("there is memory");
    write(TRANSFER_MANIFEST, &bytes[..end]);
    write("chunk_000.tar", archive);
    if let Ok(Some((name, first))) = package_in_chunks(&directory) {
        look(name, first, &directory);
    }
    let second = || {
        let first = Piece::whole(file(FIRST.get_or_init(first))).expect("a file has a length");
        assert!(look("p.run".to_owned(), first, &directory), "the first volume is right");
    };
    second();
    write("p.run.002", archive);
    second();
    fs::remove_dir_all(&directory).expect("it is there");
});
