//! What programs find on a machine: its processor and its C library.
//! Whether a package's programs run there is decided in `plan/preflight.rs`.

use payload::index::GlibcVersion;
use payload::{RelPath, glibc_provided};

use super::root::{Found, FsError, Root};

/// As `uname -m` says.
pub fn machine() -> String {
    nix::sys::utsname::uname().map_or_else(|_| String::new(), |name| name.machine().to_string_lossy().into_owned())
}

/// The kernel's own machine (`/proc/sys/kernel/arch`, since Linux 6.1), where an emulator shows programs another one.
pub fn emulating_kernel() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/arch").ok()?;
    Some(told.trim().to_owned()).filter(|kernel| !kernel.is_empty() && *kernel != machine())
}

/// Where distributions keep the C library.
const LIBC: [&str; 7] = [
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libc.so.6",
    "usr/lib/aarch64-linux-gnu/libc.so.6",
    "lib/aarch64-linux-gnu/libc.so.6",
    "usr/lib64/libc.so.6",
    "lib64/libc.so.6",
    "usr/lib/libc.so.6",
];

/// The version of its glibc; `None` when it has none.
///
/// # Errors
/// What stands there cannot be looked at.
pub fn glibc(root: &Root) -> Result<Option<GlibcVersion>, FsError> {
    for path in LIBC.iter().filter_map(|path| path.parse::<RelPath>().ok()) {
        let path = match root.look(&path)? {
            Found::File(_) => path,
            // Older releases of glibc are reached through a link beside them.
            Found::Link { target } => match path.resolve_link(&target) {
                Some(path) => path,
                None => continue,
            },
            _ => continue,
        };
        if let Ok(file) = root.open_file(&path)
            && let Ok(Some(version)) = glibc_provided(file)
        {
            return Ok(Some(version));
        }
    }
    Ok(None)
}
