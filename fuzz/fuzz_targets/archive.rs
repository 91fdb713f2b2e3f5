//! Archives from upstream: taken apart, or refused. What is unpacked stays within the limit, also out of a bomb.
//! Which members are wanted is tested in the builder.

#![no_main]

use std::path::Path;

use builder::fuzzing::{ARCHIVE_LIMIT, archive};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let directory = Path::new("/dev/shm").join(format!("airgap-deploy-fuzz-{}", std::process::id()));
    if let Some(size) = archive(bytes, &directory) {
        assert!(size <= ARCHIVE_LIMIT);
    }
});
