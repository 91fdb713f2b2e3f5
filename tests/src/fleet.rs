//! Several machines on a network of their own, which no other network is joined to, and a controller's place in it.
//! What Ansible does to them is in `tests/fleet.rs`; a single machine is in `machine.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::base::Suite;
use crate::command::{Captured, argv, capture, succeed, wait_until, with_death_signal};
use crate::controller::Controller;
use crate::machine::{BindRo, Machine};

const SOON: Duration = Duration::from_secs(60);
const PLAYED_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Who Ansible comes as.
const USER: &str = "deploy";
/// Where the controller is, seen from the machines.
pub const CONTROLLER: &str = "10.77.0.1";

/// Machines that have sshd, Python and sudo, and a bridge between them.
#[derive(Debug)]
pub struct Fleet {
    machines: BTreeMap<&'static str, Machine>,
    bridge: Child,
    controller: Controller,
    work: TempDir,
}

/// What Ansible's recap says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recap {
    pub changed: u32,
    pub failed: u32,
}

/// The end of a play.
#[derive(Debug)]
pub struct Play {
    pub said: Captured,
    recap: BTreeMap<String, Recap>,
}

impl Play {
    /// What the recap says of a host.
    ///
    /// # Errors
    /// It names no such host.
    pub fn of(&self, host: &str) -> Result<Recap> {
        self.recap.get(host).copied().with_context(|| format!("no {host} in the recap: {}", self.said.describe()))
    }

    /// The same play, if it ended well everywhere.
    ///
    /// # Errors
    /// A host failed.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(self.said.ok(), "{}", self.said.describe());
        Ok(self)
    }
}

impl Fleet {
    /// Boots the machines; each sees `media` at `/media/usb`. Needs root.
    ///
    /// # Errors
    /// A machine does not boot, or cannot be reached.
    pub fn boot(names: &[&'static str], media: &Path) -> Result<Self> {
        let controller = Controller::provide()?;
        let work = tempfile::tempdir()?;
        let key = work.path().join("key").display().to_string();
        succeed(&mut argv(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key])?, SOON)?;
        let mut fleet = Self { machines: BTreeMap::new(), bridge: bridge()?, controller, work };
        for (number, name) in (2..).zip(names) {
            let machine = Machine::boot(Suite::Fleet, &[BindRo::new(media, "/media/usb")])?;
            fleet.join(&machine, number)?;
            fleet.let_in(&machine)?;
            fleet.machines.insert(name, machine);
        }
        fs::write(fleet.inventory(), fleet.hosts(names).to_string())?;
        let ping = ["-i", &fleet.inventory().display().to_string(), "all", "-m", "ansible.builtin.ping"];
        let reached = wait_until(SOON, || Ok(capture(fleet.tool("ansible")?.args(ping), SOON)?.ok()))?;
        ensure!(reached, "the machines cannot be reached with ssh");
        Ok(fleet)
    }

    /// A machine.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.machines.get(name).with_context(|| format!("there is no {name}"))
    }

    /// Runs a playbook, with options.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub fn play(&self, playbook: &Path, options: &[&str]) -> Result<Play> {
        let mut command = self.tool("ansible-playbook")?;
        command.arg("-i").arg(self.inventory()).arg(playbook).args(options);
        let said = capture(&mut command, PLAYED_WITHIN)?;
        let recap = recap(&said.stdout);
        ensure!(!recap.is_empty(), "{}: {}", playbook.display(), said.describe());
        Ok(Play { said, recap })
    }

    /// A program that is at the controller's place in the network, gone when this test is.
    ///
    /// # Errors
    /// The command cannot be made.
    pub fn beside(&self, arguments: &[&str]) -> Result<std::process::Command> {
        let bridge = self.bridge.id().to_string();
        with_death_signal("KILL", &[&["nsenter", "-t", &bridge, "-n", "--"], arguments].concat())
    }

    fn tool(&self, name: &str) -> Result<std::process::Command> {
        let bridge = self.bridge.id().to_string();
        self.controller.command(&["nsenter", "-t", &bridge, "-n", "--"], name)
    }

    fn inventory(&self) -> PathBuf {
        self.work.path().join("inventory.json")
    }

    fn hosts(&self, names: &[&str]) -> serde_json::Value {
        let hosts: serde_json::Map<String, serde_json::Value> = (2..)
            .zip(names)
            .map(|(number, name)| {
                ((*name).to_owned(), serde_json::json!({"ansible_host": format!("10.77.0.{number}")}))
            })
            .collect();
        let options = format!(
            "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o ControlPath={}/%C",
            self.work.path().display()
        );
        serde_json::json!({"all": {"hosts": hosts, "vars": {
            "ansible_user": USER,
            "ansible_become": true,
            "ansible_ssh_private_key_file": self.work.path().join("key"),
            "ansible_ssh_common_args": options,
            "ansible_python_interpreter": "/usr/bin/python3",
        }}})
    }

    /// A cable between the bridge and the machine. The network of this host is not touched.
    fn join(&self, machine: &Machine, number: u8) -> Result<()> {
        let (bridge, leader) = (self.bridge.id().to_string(), machine.leader().to_string());
        let cable = format!("cable{number}");
        let address = format!("10.77.0.{number}/24");
        ip(&bridge, &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &leader])?;
        ip(&bridge, &["link", "set", &cable, "master", "bridge", "up"])?;
        ip(&leader, &["address", "add", &address, "dev", "eth0"])?;
        ip(&leader, &["link", "set", "eth0", "up"])
    }

    /// An ordinary user who may come with the key and become root.
    fn let_in(&self, machine: &Machine) -> Result<()> {
        machine.add_user(USER)?;
        let sudoers = machine.path(&format!("/etc/sudoers.d/{USER}"));
        fs::write(&sudoers, format!("{USER} ALL=(ALL) NOPASSWD: ALL\n"))?;
        fs::set_permissions(&sudoers, fs::Permissions::from_mode(0o440))?;
        let home = machine.path(&format!("/home/{USER}"));
        let facts = fs::metadata(&home)?;
        let (user, group) = (std::os::unix::fs::MetadataExt::uid(&facts), std::os::unix::fs::MetadataExt::gid(&facts));
        let keys = home.join(".ssh");
        fs::create_dir(&keys)?;
        fs::copy(self.work.path().join("key.pub"), keys.join("authorized_keys"))?;
        for (path, mode) in [(keys.clone(), 0o700), (keys.join("authorized_keys"), 0o600)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            chown(&path, Some(user), Some(group))?;
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
    }
}

/// A process with a network of its own, in which there is a bridge.
fn bridge() -> Result<Child> {
    let mut command = with_death_signal("KILL", &["unshare", "--net", "sleep", "infinity"])?;
    let child = command.spawn().context("unshare cannot be started")?;
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
    let (own, pid) = (network("self")?, child.id().to_string());
    ensure!(wait_until(SOON, || Ok(network(&pid).is_ok_and(|there| there != own)))?, "unshare made no network");
    ip(&pid, &["link", "add", "bridge", "type", "bridge"])?;
    ip(&pid, &["address", "add", &format!("{CONTROLLER}/24"), "dev", "bridge"])?;
    for link in ["lo", "bridge"] {
        ip(&pid, &["link", "set", link, "up"])?;
    }
    Ok(child)
}

/// `ip` in the network of a process.
fn ip(process: &str, arguments: &[&str]) -> Result<()> {
    succeed(&mut argv(&[&["nsenter", "-t", process, "-n", "--", "ip"], arguments].concat())?, SOON)?;
    Ok(())
}

fn recap(said: &str) -> BTreeMap<String, Recap> {
    let lines = said.rsplit_once("PLAY RECAP").map_or("", |(_, recap)| recap).lines();
    let number = |line: &str, name: &str| line.split(&format!("{name}=")).nth(1)?.split(' ').next()?.parse().ok();
    lines
        .filter_map(|line| {
            let (host, facts) = line.split_once(" : ")?;
            let recap = Recap { changed: number(facts, "changed")?, failed: number(facts, "failed")? };
            Some((host.trim().to_owned(), recap))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recap_is_read() {
        let said = "TASK [x]\n\nPLAY RECAP ***\nempty     : ok=15   changed=12    unreachable=0    failed=0    skipped=6\n\
                    full      : ok=12   changed=0    unreachable=0    failed=1    skipped=2\n\n";
        let recap = recap(said);
        assert_eq!(recap["empty"], Recap { changed: 12, failed: 0 });
        assert_eq!(recap["full"], Recap { changed: 0, failed: 1 });
    }
}
