//! An ARM machine without a kernel of its own: Debian's arm64 packages, unpacked, and qemu as the interpreter of its programs.
//! The emulator is registered in a user namespace, where it ends with the command; this machine's own is not touched.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::base;
use crate::cache;
use crate::command::{argv, succeed};
use crate::packages::{Need, install, say};
use crate::scenario::outcome::Outcome;

const NEEDS: &[Need] = &[
    Need { file: "/usr/bin/qemu-aarch64-static", package: "qemu-user-static" },
    Need { file: "/usr/bin/aarch64-linux-gnu-gcc", package: "gcc-aarch64-linux-gnu" },
    Need { file: "/usr/bin/mmdebstrap", package: "mmdebstrap" },
];
/// What unpacked packages hold; nothing of them is run while the root is made.
const PACKAGES: &str = "base-files,base-passwd,bash,coreutils,dash,libc-bin,libc6,mawk,passwd,systemd";
const RECIPE: u32 = 1;

/// Says that it is there, waits until its users are mapped, and becomes the command. Both marks keep the emulator open and
/// found inside of the root; the bytes are the header of an ELF file for ARM, and which of its bits count.
const INSIDE: &str = r#"echo up; read -r go || exit 125
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 125
printf '%s' ':aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' \
  > /proc/sys/fs/binfmt_misc/register || exit 125
root=$1; shift
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t tmpfs tmpfs "$root/run" || exit 125
exec chroot "$root" "$@" < /dev/null"#;

/// A root directory of an ARM machine, for one test.
pub struct Arm {
    pub root: PathBuf,
}

impl Arm {
    /// A new one in `directory`.
    ///
    /// # Errors
    /// What it needs cannot be installed or unpacked.
    pub fn new(directory: &Path) -> Result<Self> {
        let unpacked = provide()?;
        let root = directory.join("arm");
        succeed(argv(&["cp", "--archive"])?.arg(unpacked).arg(&root), Duration::from_secs(300))?;
        Ok(Self { root })
    }

    /// Runs a program of the machine, as root of a user namespace, without a network.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command =
            argv(&["unshare", "--user", "--mount", "--pid", "--fork", "--net", "sh", "-c", INSIDE, "sh"])?;
        command.arg(&self.root).args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line == "up\n", "the namespaces cannot be made: {line:?}");
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536\n")?;
        }
        child.stdin.take().context("a pipe")?.write_all(b"go\n")?;
        let mut errors = child.stderr.take().context("a pipe")?;
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let mut stdout = String::new();
        said.read_to_string(&mut stdout)?;
        let stderr = errors.join().ok().context("a thread ended badly")??;
        let code = child.wait()?.code().unwrap_or(-1);
        ensure!(code != 125, "the machine cannot be made: {stderr}");
        Ok(Outcome { code, stdout, stderr })
    }

    /// Compiles a C program for it.
    ///
    /// # Errors
    /// The compiler fails.
    pub fn compile(source: &Path, program: &Path) -> Result<()> {
        succeed(argv(&["aarch64-linux-gnu-gcc", "-O1", "-o"])?.arg(program).arg(source), Duration::from_secs(60))?;
        Ok(())
    }
}

/// The unpacked packages: from the cache, else fetched now (some seconds).
fn provide() -> Result<PathBuf> {
    install(NEEDS)?;
    let _lock = cache::lock("arm64")?;
    let root = cache::dir()?.join(format!("arm64-{RECIPE}"));
    if root.exists() {
        return Ok(root);
    }
    say(&format!("machine: mmdebstrap for arm64 into {}", root.display()));
    let work = tempfile::tempdir_in(cache::dir()?)?;
    let tree = work.path().join("root");
    let mut command: Command = argv(&["mmdebstrap", "--quiet", "--architecture=arm64", "--variant=extract"])?;
    command.arg(format!("--include={PACKAGES}")).arg("bookworm").arg(&tree).args(base::mirror("bookworm"));
    succeed(&mut command, Duration::from_secs(15 * 60)).context("the root directory for ARM could not be made")?;
    // What the packages' scripts would have done.
    for (from, to) in [("passwd.master", "passwd"), ("group.master", "group")] {
        fs::copy(tree.join("usr/share/base-passwd").join(from), tree.join("etc").join(to))?;
    }
    for name in ["shadow", "gshadow", "machine-id"] {
        fs::write(tree.join("etc").join(name), "")?;
    }
    for name in ["srv", "opt"] {
        fs::create_dir_all(tree.join(name))?;
    }
    fs::rename(&tree, &root)?;
    Ok(root)
}
