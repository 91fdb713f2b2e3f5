//! The Internet sockets of a network namespace, as the kernel lists them in `/proc/PID/net`.
//! What was attempted and failed is not here: that is in a trace.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};

/// Notation: `/proc/net/tcp` in proc(5): addresses in the machine's byte order, by 32 bits; ports as numbers.
const TABLES: &[&str] = &["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"];
const LISTEN: &str = "0A";

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// `tcp`, `udp6`, …
    pub table: &'static str,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// A TCP socket that waits for connections.
    pub listening: bool,
}

impl Socket {
    /// Neither end is anywhere but on loopback. The far end of an unconnected socket is nowhere.
    pub fn is_loopback(&self) -> bool {
        let near = self.local.ip().to_canonical();
        let far = self.remote.ip().to_canonical();
        near.is_loopback() && (far.is_loopback() || far.is_unspecified())
    }
}

/// All Internet sockets of the network namespace that a process is in.
pub fn of(pid: u32) -> Result<Vec<Socket>> {
    let dir = Path::new("/proc").join(pid.to_string()).join("net");
    let mut sockets = Vec::new();
    for table in TABLES {
        let path = dir.join(table);
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        sockets.extend(parse(table, &text).with_context(|| format!("{} is not understood", path.display()))?);
    }
    Ok(sockets)
}

/// Network interfaces of that namespace, from `/proc/PID/net/dev`.
pub fn interfaces(pid: u32) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    Ok(names.map(|(name, _)| name.trim().to_owned()).collect())
}

fn parse(table: &'static str, text: &str) -> Result<Vec<Socket>> {
    text.lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, ..] = fields.as_slice() else { anyhow::bail!("too few fields: {line}") };
            let listening = table.starts_with("tcp") && *state == LISTEN;
            Ok(Socket { table, local: address(local)?, remote: address(remote)?, listening })
        })
        .collect()
}

fn address(text: &str) -> Result<SocketAddr> {
    let (ip, port) = text.split_once(':').context("an address without a port")?;
    let words = (0..ip.len()).step_by(8).map(|at| {
        let word = ip.get(at..at + 8).context("an address of an odd length")?;
        Ok(u32::from_str_radix(word, 16)?.to_ne_bytes())
    });
    let bytes = words.collect::<Result<Vec<_>>>()?.concat();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice())?)),
    };
    Ok(SocketAddr::new(ip, u16::from_str_radix(port, 16)?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n";

    #[test]
    fn a_listener_on_loopback_is_loopback_and_a_wildcard_is_not() {
        let text =
            format!("{HEAD}   0: 0100007F:2CAA 00000000:0000 0A 0:0\n   1: 00000000:0016 00000000:0000 0A 0:0\n");
        let sockets = parse("tcp", &text).unwrap();
        assert_eq!(sockets[0].local, "127.0.0.1:11434".parse().unwrap());
        assert!(sockets[0].listening && sockets[0].is_loopback());
        assert!(!sockets[1].is_loopback());
    }

    #[test]
    fn the_far_end_counts() {
        let text = format!("{HEAD}   0: 0100007F:2CAA 010200C0:01BB 01 0:0\n");
        let sockets = parse("tcp", &text).unwrap();
        assert_eq!(sockets[0].remote, "192.0.2.1:443".parse().unwrap());
        assert!(!sockets[0].is_loopback());
    }

    #[test]
    fn ipv6_is_read_and_mapped_loopback_is_loopback() {
        let text = format!(
            "{HEAD}   0: 0000000000000000FFFF00000100007F:2CAA 0000000000000000FFFF00000100007F:A000 01 0:0\n   \
             1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0\n"
        );
        let sockets = parse("tcp6", &text).unwrap();
        assert!(sockets[0].is_loopback());
        assert_eq!(sockets[1].local, "[::1]:53".parse().unwrap());
        assert!(!sockets[1].listening);
    }

    #[test]
    fn a_table_that_is_not_understood_is_an_error() {
        assert!(parse("tcp", &format!("{HEAD}  0: 0100007F 00000000:0000 0A\n")).is_err());
    }
}
