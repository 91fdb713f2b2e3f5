//! A target that is the running system: a chroot in which stand-ins answer for systemd and for the account tools, so that
//! the steps which ask these are taken too. What the real ones do is in `tests/matrix.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::program::{Ended, stub};
use super::sample;
use crate::tree::copy;

const BUSYBOX: &str = "/bin/busybox";
/// Where the stand-in of systemd keeps what it was told, and what it is told by tests.
pub const STATE: &str = "run/units";

/// `systemctl`: a unit is up when `X.up` is there, starts on boot when `X.enabled` is, does not start when `X.broken` is.
/// A link to `/dev/null` masks it, as it does for the real one. `log` has every call. With `--root` all that is said of that root.
const SYSTEMCTL: &str = r#"#!/bin/busybox sh
S=/run/units
echo "systemctl $*" >> $S/log
verb=$1; for unit; do :; done
case $2 in --root=*) root=${2#--root=} ;; *) root= ;; esac
file=$root/etc/systemd/system/$unit
[ "$root" ] && S=$S/below && busybox mkdir -p $S
masked() { [ "$(busybox readlink $file)" = /dev/null ]; }
case $verb in
show)
  echo Type=simple; echo NRestarts=0; echo MainPID=0; echo ControlGroup=
  if [ -e $S/$unit.up ]; then echo ActiveState=active; echo SubState=running; echo Result=success
  elif [ -e $S/$unit.failed ]; then echo ActiveState=failed; echo SubState=failed; echo Result=exit-code
  else echo ActiveState=inactive; echo SubState=dead; echo Result=success; fi
  if masked; then echo UnitFileState=masked
  elif [ ! -e $file ]; then echo UnitFileState=
  elif [ -e $S/$unit.enabled ]; then echo UnitFileState=enabled
  else echo UnitFileState=disabled; fi ;;
start)
  if masked; then echo "Failed to start $unit: Unit $unit is masked." >&2; exit 1; fi
  if [ ! -e $file ]; then echo "Failed to start $unit: Unit $unit not found." >&2; exit 5; fi
  if [ -e $S/$unit.broken ]; then
    busybox touch $S/$unit.failed; echo "Job for $unit failed because a timeout was exceeded." >&2; exit 1
  fi
  busybox cp $file $S/$unit.up ;;
stop) busybox rm -f $S/$unit.up $S/$unit.failed ;;
enable)
  if masked; then echo "Failed to enable unit: Unit file $file is masked." >&2; exit 1; fi
  if [ ! -e $file ]; then echo "Failed to enable unit: Unit file $unit does not exist." >&2; exit 1; fi
  busybox touch $S/$unit.enabled ;;
is-enabled) [ -e $S/$unit.enabled ] && echo enabled || { echo disabled; exit 1; } ;;
disable) busybox rm -f $S/$unit.enabled ;;
reset-failed) busybox rm -f $S/$unit.failed ;;
esac
exit 0
"#;

/// `getent`: 2 is what the real one ends with when there is no such entry.
const GETENT: &str = r#"#!/bin/busybox sh
busybox awk -F: -v key="$2" '$1 == key || $3 == key { print; found = 1 } END { exit found ? 0 : 2 }' /etc/$1
"#;

/// `groupadd` and `useradd`: 9 is a name that is taken, 4 a number.
const ADD: &str = r#"#!/bin/busybox sh
echo "${0##*/} $*" >> /run/units/log
gid=0; home=/; root=
while [ $# -gt 1 ]; do
  case $1 in --prefix) root=$2; shift ;; --gid) gid=$2; shift ;; --uid) uid=$2; shift ;; --home-dir) home=$2; shift ;; --shell) shift ;; esac
  shift
done
case ${0##*/} in groupadd) file=$root/etc/group; id=$gid; line="$1:x:$gid:" ;;
*) file=$root/etc/passwd; id=$uid
   group=$(busybox awk -F: -v key="$gid" '$1 == key || $3 == key { print $3 }' $root/etc/group)
   [ "$group" ] || exit 6
   line="$1:x:$uid:$group::$home:/usr/sbin/nologin" ;; esac
busybox grep -q "^$1:" $file && exit 9
busybox cut -d: -f3 $file | busybox grep -qx "$id" && exit 4
echo "$line" >> $file
"#;

/// `groupdel` and `userdel`: 8 is the group of a user.
const DELETE: &str = r#"#!/bin/busybox sh
echo "${0##*/} $*" >> /run/units/log
root=
if [ "$1" = --prefix ]; then root=$2; shift 2; fi
case ${0##*/} in
groupdel)
  file=$root/etc/group; gid=$(busybox awk -F: -v name="$1" '$1 == name { print $3 }' $file)
  busybox cut -d: -f4 $root/etc/passwd | busybox grep -qx "$gid" && exit 8 ;;
*) file=$root/etc/passwd ;;
esac
busybox grep -q "^$1:" $file || exit 6
busybox sed -i "/^$1:/d" $file
"#;

/// Whether this host can show any of it; says aloud when not.
pub fn is_impossible() -> bool {
    if !Path::new(BUSYBOX).exists() {
        crate::skip::skipped("needs a static busybox (Debian: busybox-static)");
        return true;
    }
    crate::skip::needs_root()
}

/// A target of this kind; it goes when it is dropped.
#[derive(Debug)]
pub struct Living {
    _directory: TempDir,
    pub root: PathBuf,
}

impl Living {
    /// The usual target with accounts, and the stand-ins.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn new() -> Result<Self> {
        let directory = super::directory()?;
        let root = directory.path().join("root");
        sample::target(&root, true)?;
        for directory in ["bin", "dev", "usr/sbin", "run/systemd/system", STATE, "tmp"] {
            fs::create_dir_all(root.join(directory))?;
        }
        // Read from, never written to: a device node would need more rights than a file.
        fs::write(root.join("dev/null"), "")?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))?;
        symlink("busybox", root.join("bin/sh"))?;
        for (name, text) in [
            ("systemctl", SYSTEMCTL),
            ("getent", GETENT),
            ("groupadd", ADD),
            ("useradd", ADD),
            ("groupdel", DELETE),
            ("userdel", DELETE),
        ] {
            let path = root.join("usr/sbin").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        fs::copy(stub(), root.join("tmp/stub"))?;
        // A program that this process wrote is busy as long as one that another thread starts meanwhile has not begun; one that
        // `cp` wrote is not.
        Self { _directory: directory, root }.again()
    }

    /// Another one that is as this one is now.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn again(&self) -> Result<Self> {
        let directory = super::directory()?;
        let root = directory.path().join("root");
        copy(&self.root, &root)?;
        Ok(Self { _directory: directory, root })
    }

    /// The installer in there, doing `action` with the package at `package`, which is on this host.
    ///
    /// # Errors
    /// The package cannot be brought there.
    pub fn command(&self, package: &Path, action: &[&str], settings: &[(&str, u64)]) -> Result<Command> {
        let name = package.file_name().context("a package")?.to_string_lossy().into_owned();
        let inside = self.root.join("tmp").join(&name);
        if !inside.exists() {
            fs::hard_link(package, &inside).or_else(|_| fs::copy(package, &inside).map(drop))?;
        }
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&self.root).arg("/tmp/stub").args(["--payload", &format!("/tmp/{name}")]).args(action);
        command.env_clear().env("AIRGAP_DEPLOY_IMPATIENT", "1").stdin(Stdio::null());
        for (name, value) in settings {
            command.env(format!("AIRGAP_DEPLOY_{name}"), value.to_string());
        }
        Ok(command)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, package: &Path, action: &[&str], settings: &[(&str, u64)]) -> Result<Ended> {
        Ok(self.command(package, action, settings)?.output()?.into())
    }

    /// Runs it to its end, which has to be a good one.
    ///
    /// # Errors
    /// It was none.
    pub fn must(&self, package: &Path, action: &[&str]) -> Result<Ended> {
        let ended = self.run(package, action, &[])?;
        ensure!(ended.code == Some(0), "{action:?}: {ended:?}");
        Ok(ended)
    }

    /// Whether systemd's stand-in has this of a unit: `up`, `enabled`, `failed`, `broken`.
    pub fn has(&self, unit: &str, what: &str) -> bool {
        self.root.join(STATE).join(format!("{unit}.{what}")).exists()
    }

    /// Makes it so that a unit has this, or has it no longer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set(&self, unit: &str, what: &str, has: bool) -> Result<()> {
        let path = self.root.join(STATE).join(format!("{unit}.{what}"));
        if has {
            fs::write(path, "")?;
        } else if path.exists() {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The lines of the file of accounts `file` (`passwd` or `group`) that are about `name`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn accounts(&self, file: &str, name: &str) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.root.join("etc").join(file))?;
        Ok(text.lines().filter(|line| line.starts_with(&format!("{name}:"))).map(str::to_owned).collect())
    }

    /// Whether an installation waits for its recovery.
    pub fn has_journal(&self) -> bool {
        self.root.join("var/lib/airgap-deploy/demo/journal").exists()
    }
}
