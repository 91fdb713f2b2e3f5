//! What a network namespace counted: datagrams sent, and packets that found no way out.
//! They catch what a trace of system calls cannot tell apart, such as data written to a connected socket.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Counters of `/proc/PID/net/snmp` and `/proc/PID/net/snmp6`, since the namespace exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// UDP datagrams sent, both families. Name look-ups are datagrams.
    pub datagrams: u64,
    /// Attempts to reach an address that there is no route to, both families.
    pub no_routes: u64,
}

impl Counters {
    /// Those of the network namespace that a process is in.
    pub fn of(pid: u32) -> Result<Self> {
        let four = fs::read_to_string(format!("/proc/{pid}/net/snmp"))?;
        // Missing where the kernel has no IPv6.
        let six = fs::read_to_string(format!("/proc/{pid}/net/snmp6")).unwrap_or_default();
        Self::parse(&four, &six)
    }

    fn parse(four: &str, six: &str) -> Result<Self> {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        let lines: Vec<Vec<&str>> = four.lines().map(|line| line.split_whitespace().collect()).collect();
        for pair in lines.chunks_exact(2) {
            for (name, value) in pair[0].iter().zip(&pair[1]).skip(1) {
                // Some values of no interest are negative.
                counted
                    .insert(format!("{}{name}", pair[0][0].trim_end_matches(':')), value.parse().unwrap_or_default());
            }
        }
        for line in six.lines() {
            let (name, value) = line.split_once(char::is_whitespace).context("a counter without a value")?;
            counted.insert(name.to_owned(), value.trim().parse()?);
        }
        let four = |name: &str| counted.get(name).copied().with_context(|| format!("no counter {name}"));
        let six = |name: &str| counted.get(name).copied().unwrap_or_default();
        Ok(Self {
            datagrams: four("UdpOutDatagrams")? + six("Udp6OutDatagrams"),
            no_routes: four("IpOutNoRoutes")? + six("Ip6OutNoRoutes"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_are_read() {
        let four =
            "Ip: Forwarding OutNoRoutes\nIp: 2 3\nTcp: MaxConn\nTcp: -1\nUdp: InDatagrams OutDatagrams\nUdp: 5 7\n";
        let six = "Ip6OutNoRoutes                  \t10\nUdp6OutDatagrams                \t20\n";
        assert_eq!(Counters::parse(four, six).unwrap(), Counters { datagrams: 27, no_routes: 13 });
        assert_eq!(Counters::parse(four, "").unwrap(), Counters { datagrams: 7, no_routes: 3 });
        assert!(Counters::parse("", six).is_err());
    }
}
