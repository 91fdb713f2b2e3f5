//! Turns itself into the systemd-nspawn of one machine: own mounts, own control group, gone when its starter is.
//! Called by `machine.rs` as `boot-machine BASE STATE NAME [NSPAWN-ARGUMENT…]`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

const CGROUPS: &str = "/sys/fs/cgroup";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, state, name, extra @ ..] = arguments.as_slice() else {
        bail!("usage: boot-machine BASE STATE NAME [NSPAWN-ARGUMENT…]");
    };
    // Without a controlling terminal, an interrupt typed for the tests does not shut machines down half-way.
    nix::unistd::setsid()?;
    // systemd-nspawn takes SIGTERM as the wish to power the machine off; killed, it would leave the machine running.
    set_pdeathsig(Signal::SIGTERM)?;
    unshare(CloneFlags::CLONE_NEWNS).context("no private mount namespace; this needs root")?;
    mount_plainly("", "/", "", MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")?;
    let root = mount_root(Path::new(base), Path::new(state))?;
    enter_cgroup(name)?;
    // systemd-nspawn leaves files in /run; this one goes with the namespace.
    mount_plainly("tmpfs", "/run", "tmpfs", MsFlags::empty(), "mode=755")?;
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn.args(["--quiet", "--private-network", "--register=no", "--keep-unit", "--console=read-only"]);
    nspawn.args(["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--boot"]);
    nspawn.arg(format!("--directory={root}")).arg(format!("--machine={name}")).args(extra);
    nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    Err(nspawn.exec()).context("systemd-nspawn cannot be started")
}

/// An overlay above the base. Never the base itself: a container whose root is a plain directory of the host can
/// remount the file system that directory is on.
fn mount_root(base: &Path, state: &Path) -> Result<String> {
    let root = state.join("root").display().to_string();
    let [lower, upper, work] = [base, &state.join("upper"), &state.join("work")].map(|path| path.display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    mount_plainly("overlay", &root, "overlay", MsFlags::empty(), &options)?;
    Ok(root)
}

fn enter_cgroup(name: &str) -> Result<()> {
    umount2(CGROUPS, MntFlags::MNT_DETACH).context("/sys/fs/cgroup cannot be unmounted")?;
    mount_plainly("cgroup2", CGROUPS, "cgroup2", MsFlags::empty(), "")?;
    let group = Path::new(CGROUPS).join(name);
    fs::create_dir_all(&group).with_context(|| format!("{} cannot be made", group.display()))?;
    fs::write(group.join("cgroup.procs"), "0").with_context(|| format!("{} cannot be entered", group.display()))
}

fn mount_plainly(what: &str, place: &str, kind: &str, flags: MsFlags, options: &str) -> Result<()> {
    mount(Some(what), place, Some(kind), flags, Some(options))
        .with_context(|| format!("mount -t {kind} -o {options} {what} {place}"))
}
