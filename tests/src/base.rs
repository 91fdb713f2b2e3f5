//! Debian root directories that machines boot from: built once with mmdebstrap, kept in the cache, never written to.
//! What happens on top of one is in `machine.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache;
use crate::command::{succeed, with_death_signal};
use crate::packages::say;

/// What the use case types on the machine (`lsof`, `pgrep`), and what a check asks (`curl`).
const PACKAGES: &str = "lsof,procps,curl";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Raised when the recipe below changes, so that cached roots of an older recipe are not used.
const RECIPE: u32 = 1;

/// A Debian release, and what is PID 1 on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// systemd 247, glibc 2.31.
    Bullseye,
    /// systemd 252, glibc 2.36.
    Bookworm,
    /// systemd 257, glibc 2.41.
    Trixie,
    /// Bookworm without systemd: SysV init.
    Sysvinit,
    /// Bookworm with what Ansible needs of a host: sshd, Python, sudo.
    Fleet,
}

impl Suite {
    /// The name of its root directory in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sysvinit => "sysvinit",
            Self::Fleet => "fleet",
        }
    }

    /// Debian's name for it.
    fn release(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm | Self::Sysvinit | Self::Fleet => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    pub fn has_systemd(self) -> bool {
        self != Self::Sysvinit
    }

    fn init(self) -> &'static str {
        match self {
            Self::Sysvinit => "sysvinit-core,initscripts",
            Self::Fleet => "systemd,systemd-sysv,dbus,openssh-server,python3,sudo",
            _ => "systemd,systemd-sysv,dbus",
        }
    }
}

/// The root directory of a suite: the cached one, else built now (half a minute).
pub fn provide(suite: Suite) -> Result<PathBuf> {
    let _lock = cache::lock(suite.name())?;
    let root = cache::dir()?.join(format!("{}-{RECIPE}", suite.name()));
    if root.exists() {
        return Ok(root);
    }
    say(&format!("machine: mmdebstrap {} into {}", suite.name(), root.display()));
    let work = tempfile::tempdir_in(cache::dir()?)?;
    let tree = work.path().join("root");
    bootstrap(suite, &tree)?;
    make_own(&tree)?;
    fs::rename(&tree, &root)?;
    Ok(root)
}

fn bootstrap(suite: Suite, tree: &Path) -> Result<()> {
    let arguments = ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"];
    let mut command = with_death_signal("TERM", &arguments)?;
    command.arg(format!("--include={},{PACKAGES}", suite.init()));
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command.arg(suite.release()).arg(tree).args(mirror(suite.release()));
    succeed(&mut command, Duration::from_secs(15 * 60))
        .context("the root directory of the machine could not be built")?;
    Ok(())
}

/// mmdebstrap copies this machine's host name and resolver into the new root, and makes no `/etc/hosts`.
fn make_own(tree: &Path) -> Result<()> {
    // Inside, everyone must be able to pass through the root directory.
    fs::set_permissions(tree, fs::Permissions::from_mode(0o755))?;
    let etc = tree.join("etc");
    fs::write(etc.join("hostname"), "airgap\n")?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 airgap\n")?;
    fs::write(etc.join("resolv.conf"), "")?;
    fs::write(etc.join("machine-id"), "")?;
    Ok(())
}

/// The line for the mirror that this machine installs from; none leaves the choice to mmdebstrap.
pub(crate) fn mirror(release: &str) -> Option<String> {
    let modern = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let classic = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    let mirror = mirror_in(&modern, &classic)?;
    Some(format!("deb [signed-by={KEYRING}] {mirror} {release} main"))
}

/// The first URI of a deb822 source list, else of a one-line source list.
fn mirror_in(modern: &str, classic: &str) -> Option<String> {
    let uri = |line: &str| line.split_whitespace().find(|word| word.contains("://")).map(str::to_owned);
    modern
        .lines()
        .filter(|line| line.starts_with("URIs:"))
        .chain(classic.lines().filter(|line| line.starts_with("deb ")))
        .find_map(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_either_notation() {
        let modern = "# old: http://no.example\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        let classic = "# deb http://no.example x\ndeb [signed-by=/k] https://classic.example/debian bookworm main\n";
        assert_eq!(mirror_in(modern, classic).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in("", classic).as_deref(), Some("https://classic.example/debian"));
        assert_eq!(mirror_in("", "deb cdrom:[disc]/ bookworm main\n"), None);
    }
}
