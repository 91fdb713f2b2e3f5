//! What this machine is, in a few words for those who read a report of it.
//! What a plan depends on is in `plan/facts.rs`.

use nix::sys::utsname::uname;
use payload::RelPath;

use crate::host::root::Root;

/// Where distributions say what they are; the first is what the second usually is a link to.
const OS_RELEASE: [&str; 2] = ["usr/lib/os-release", "etc/os-release"];
const LIMIT: u64 = 1 << 16;

/// Facts about the machine that runs this program, and about the system below the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub host_name: String,
    pub kernel: String,
    /// As `uname -m` says.
    pub machine: String,
    /// What the system below the root calls itself, such as `Debian GNU/Linux 13 (trixie)`.
    pub system: Option<String>,
}

/// Asks the kernel, and reads `os-release` below the root.
pub fn about(root: &Root) -> About {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let system = OS_RELEASE.iter().find_map(|path| pretty_name(root, &path.parse().ok()?));
    match uname() {
        Ok(name) => About {
            host_name: text(name.nodename()),
            kernel: text(name.release()),
            machine: text(name.machine()),
            system,
        },
        Err(_) => About { system, ..About::default() },
    }
}

fn pretty_name(root: &Root, path: &RelPath) -> Option<String> {
    let bytes = root.read(path, LIMIT).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
}
