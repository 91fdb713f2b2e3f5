//! Tools of the Debian machine that the acceptance test runs on: what is needed, and how it gets there.
//! Go and Ollama are in `ollama.rs`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{argv, succeed};

/// A file that must exist, and the Debian package that brings it.
pub struct Need {
    pub file: &'static str,
    pub package: &'static str,
}

/// What serving and booting need.
pub const ACCEPTANCE: &[Need] = &[
    Need { file: "/usr/bin/systemd-nspawn", package: "systemd-container" },
    Need { file: "/usr/bin/mmdebstrap", package: "mmdebstrap" },
    Need { file: "/usr/share/keyrings/debian-archive-keyring.gpg", package: "debian-archive-keyring" },
    Need { file: "/usr/bin/strace", package: "strace" },
    Need { file: "/usr/bin/zstd", package: "zstd" },
    Need { file: "/usr/bin/nsenter", package: "util-linux" },
    Need { file: "/usr/sbin/ip", package: "iproute2" },
    Need { file: "/usr/bin/ssh", package: "openssh-client" },
    // Binaries without a service: nothing starts to listen on the machine by being installed.
    Need { file: "/usr/sbin/apache2", package: "apache2-bin" },
    Need { file: "/usr/bin/cc", package: "gcc" },
    // The original: our signatures are checked by it, and its keys sign packages.
    Need { file: "/usr/bin/minisign", package: "minisign" },
    // The small server that stands for a service on every release.
    Need { file: "/bin/busybox", package: "busybox-static" },
];

/// What building Ollama needs beside Go. Its module comes without the header libraries it carries in folders
/// named `vendor`: Go leaves those out of modules.
pub const OLLAMA_BUILD: &[Need] = &[
    Need { file: "/usr/bin/g++", package: "g++" },
    Need { file: "/usr/include/nlohmann/json.hpp", package: "nlohmann-json3-dev" },
    Need { file: "/usr/include/stb/stb_image.h", package: "libstb-dev" },
];

/// Installs with `apt-get` what is missing, and says so in one line. Does nothing when everything is there.
pub fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> =
        needs.iter().filter(|need| !Path::new(need.file).exists()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("missing packages: {}. Run this as root, or install them first", missing.join(" "));
    }
    say(&format!("apt-get install {}", missing.join(" ")));
    let bound = Duration::from_secs(15 * 60);
    succeed(&mut argv(&["apt-get", "--quiet", "update"])?, bound)?;
    let mut install =
        argv(&["apt-get", "--quiet", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install"])?;
    succeed(install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"), bound)
        .context("apt-get could not install what the acceptance test needs")?;
    Ok(())
}

/// One line on standard output about what happens now.
pub fn say(line: &str) {
    println!("acceptance: {line}");
}
