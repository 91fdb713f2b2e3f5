//! The precompiled stubs this builder carries, one for each architecture.
//! How they are compiled is in `build.rs`.

use include_dir::{Dir, include_dir};
use payload::index::Arch;

static STUBS: Dir<'_> = include_dir!("$OUT_DIR/stubs");

/// The stub for an architecture, if this builder carries one.
pub fn stub(arch: Arch) -> Option<&'static [u8]> {
    STUBS.get_file(arch.name()).map(include_dir::File::contents)
}
