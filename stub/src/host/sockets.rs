//! Where the sockets of a running service lead, read from `/proc`: the use case's network check.
//! What is done about it is the administrator's business.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use procfs::process::{FDTarget, Process};

use crate::host::unit::UnitState;

/// What was found out about a service's sockets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Sockets bound or connected to this machine alone.
    pub loopback: usize,
    /// The others, as `protocol local -> remote`.
    pub elsewhere: Vec<String>,
}

/// The sockets of all processes of a unit; `None` when it does not run or they cannot be read by this user.
pub fn of_unit(unit: &UnitState) -> Option<Sockets> {
    let processes = processes(unit)?;
    let mut sockets = Sockets::default();
    for process in &processes {
        let inodes = inodes(process)?;
        let tcp = process.tcp().unwrap_or_default().into_iter().chain(process.tcp6().unwrap_or_default());
        for entry in tcp.filter(|entry| inodes.contains(&entry.inode)) {
            sockets.add("tcp", entry.local_address, entry.remote_address);
        }
        let udp = process.udp().unwrap_or_default().into_iter().chain(process.udp6().unwrap_or_default());
        for entry in udp.filter(|entry| inodes.contains(&entry.inode)) {
            sockets.add("udp", entry.local_address, entry.remote_address);
        }
    }
    Some(sockets)
}

impl Sockets {
    fn add(&mut self, protocol: &str, local: SocketAddr, remote: SocketAddr) {
        let unconnected = remote.ip().is_unspecified() && remote.port() == 0;
        if is_loopback(local.ip()) && (unconnected || is_loopback(remote.ip())) {
            self.loopback += 1;
        } else if unconnected {
            self.elsewhere.push(format!("{protocol} {local} (listening)"));
        } else {
            self.elsewhere.push(format!("{protocol} {local} -> {remote}"));
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn processes(unit: &UnitState) -> Option<Vec<Process>> {
    if unit.main_pid <= 0 {
        return None;
    }
    let members = if unit.control_group.is_empty() { Vec::new() } else { members(&unit.control_group) };
    let pids = if members.is_empty() { vec![unit.main_pid] } else { members };
    Some(pids.into_iter().filter_map(|pid| Process::new(pid).ok()).collect())
}

/// All processes whose cgroup, in whichever hierarchy, is the one of the unit.
fn members(group: &str) -> Vec<i32> {
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    let belongs = |process: &Process| {
        process.cgroups().is_ok_and(|groups| groups.into_iter().any(|entry| entry.pathname == group))
    };
    all.flatten().filter(belongs).map(|process| process.pid).collect()
}

fn inodes(process: &Process) -> Option<HashSet<u64>> {
    let targets = process.fd().ok()?.flatten().map(|descriptor| descriptor.target);
    Some(
        targets
            .filter_map(|target| match target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(local: &str, remote: &str) -> Sockets {
        let mut sockets = Sockets::default();
        sockets.add("tcp", local.parse().unwrap(), remote.parse().unwrap());
        sockets
    }

    #[test]
    fn only_what_stays_on_this_machine_counts_as_loopback() {
        for (local, remote) in [
            ("127.0.0.1:11434", "0.0.0.0:0"),
            ("127.0.0.1:11434", "127.0.0.1:40000"),
            ("[::1]:11434", "[::]:0"),
            ("[::ffff:127.0.0.1]:11434", "[::]:0"),
        ] {
            assert_eq!(sockets(local, remote), Sockets { loopback: 1, elsewhere: vec![] }, "{local} {remote}");
        }
        for (local, remote) in [
            ("0.0.0.0:11434", "0.0.0.0:0"),
            ("127.0.0.1:1", "192.0.2.1:443"),
            ("192.0.2.2:1", "192.0.2.1:443"),
            ("[::]:11434", "[::]:0"),
        ] {
            assert_eq!(sockets(local, remote).elsewhere.len(), 1, "{local} {remote}");
        }
    }
}
