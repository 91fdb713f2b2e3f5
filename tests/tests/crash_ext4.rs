//! Power cuts on a real file system: ext4 in an image file, which is copied while the program stands still before a
//! change. The copy is what a disk would hold; it is mounted, its journal is replayed, and recovery is tried.
//! Mounting needs root and loop devices, so these run only when asked for: `cargo test --test crash_ext4 -- --ignored`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use e2e::crash::program::{Ended, Run};
use e2e::crash::{directory, sample};
use e2e::tree::Tree;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

fn tool(name: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(name).args(arguments).output()?;
    ensure!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A mounted image; dropping it takes it away.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, place: &Path, options: &str) -> Result<Self> {
        fs::create_dir_all(place)?;
        let options = format!("loop,{options}");
        tool("mount", &["-t", "ext4", "-o", &options, &image.display().to_string(), &place.display().to_string()])?;
        Ok(Self(place.to_owned()))
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}

fn copy_image(from: &Path, to: &Path) -> Result<()> {
    tool("cp", &["--sparse=always", &from.display().to_string(), &to.display().to_string()])
}

/// Cuts the power at every `step`th change; gives the number of cuts.
fn cut(prior: &Path, package: &Path, action: &[&str], recovery: &[&str], options: &str, step: usize) -> Result<u64> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (image, snapshot) = (path("image"), path("snapshot"));
    copy_image(prior, &image)?;
    let (before, complete) = {
        let mounted = Mounted::new(&image, &path("mount"), options)?;
        let before = Tree::read(&mounted.root())?;
        let ended = Run::new(package, &mounted.root(), action).end();
        ensure!(ended.code == Some(0), "{ended:?}");
        (before, Tree::read(&mounted.root())?)
    };
    let mut cuts = 0;
    for number in (1..).step_by(step) {
        copy_image(prior, &image)?;
        {
            let mounted = Mounted::new(&image, &path("mount"), options)?;
            let run = Run::new(package, &mounted.root(), action).set("STOP_AT", number);
            let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let pid = Pid::from_raw(i32::try_from(child.id())?);
            let stopped = matches!(waitpid(pid, Some(WaitPidFlag::WUNTRACED))?, WaitStatus::Stopped(..));
            copy_image(&image, &snapshot)?;
            if !stopped {
                break;
            }
            kill(pid, Signal::SIGKILL)?;
            child.wait()?;
        }
        let mounted = Mounted::new(&snapshot, &path("mount"), options)?;
        let ended: Ended = Run::new(package, &mounted.root(), recovery).end();
        ensure!(ended.is_done(), "cut {number}: {ended:?}");
        let found = Tree::read(&mounted.root())?;
        let again = recovery != ["--recover"];
        ensure!(
            found == complete || (!again && found == before),
            "cut {number}: {ended:?}\nfrom before:\n{}\nfrom complete:\n{}",
            before.difference(&found),
            complete.difference(&found)
        );
        cuts += 1;
    }
    // The run has ended; what it reported as done has lasted.
    let mounted = Mounted::new(&snapshot, &path("mount"), options)?;
    let difference = complete.difference(&Tree::read(&mounted.root())?);
    ensure!(difference.is_empty(), "said to be done, and lost in a power cut right after:\n{difference}");
    Ok(cuts)
}

#[test]
#[ignore = "mounts images: needs root and loop devices"]
fn an_ext4_target_survives_power_cuts() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (bare, installed, first, second) = (path("bare"), path("installed"), path("x.run"), path("y.run"));
    sample::first(false)?.write(&first)?;
    sample::second(false)?.write(&second)?;
    fs::File::create(&bare)?.set_len(16 << 20)?;
    tool("mkfs.ext4", &["-q", &bare.display().to_string()])?;
    sample::target(&Mounted::new(&bare, &path("m"), "defaults")?.root(), false)?;
    copy_image(&bare, &installed)?;
    {
        let mounted = Mounted::new(&installed, &path("m"), "defaults")?;
        let ended = Run::new(&first, &mounted.root(), &["--install"]).end();
        ensure!(ended.code == Some(0), "{ended:?}");
    }
    let replace = ["--install", "--replace"];
    for options in ["defaults", "data=writeback,noauto_da_alloc"] {
        let fresh = cut(&bare, &first, &["--install"], &["--recover"], options, 3)?;
        let upgrade = cut(&installed, &second, &replace, &["--recover"], options, 3)?;
        let again = cut(&installed, &second, &replace, &replace, options, 7)?;
        let uninstall = cut(&installed, &first, &["--uninstall"], &["--uninstall"], options, 2)?;
        println!(
            "ext4 ({options}): {fresh} cuts of an installation, {} of an upgrade, {uninstall} of an uninstallation",
            upgrade + again
        );
    }
    Ok(())
}
