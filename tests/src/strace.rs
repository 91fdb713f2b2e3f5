//! Reads what `strace -f -e trace=network` wrote: which address families, which Internet addresses, which ports.
//! Running strace is in `tracer.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};

/// The port that name resolvers are asked on: a query that loopback swallows is still an attempt to look outside.
const DOMAIN: u16 = 53;

/// One line of a trace that names an address family or an Internet address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub pid: u32,
    pub call: String,
    /// `AF_UNIX`, `AF_INET`, …
    pub family: String,
    /// Address and port, where the call has one.
    pub address: Option<(IpAddr, u16)>,
    /// The line as written.
    pub line: String,
}

impl Event {
    /// An Internet socket, whatever it is for.
    pub fn is_internet(&self) -> bool {
        matches!(self.family.as_str(), "AF_INET" | "AF_INET6" | "AF_PACKET")
    }

    /// An address that is not on this machine's loopback, or a name look-up.
    pub fn leaves_loopback(&self) -> bool {
        self.family == "AF_PACKET" || self.address.is_some_and(|(ip, port)| !is_loopback(ip) || port == DOMAIN)
    }
}

/// Reads a whole trace.
///
/// # Errors
/// A line that is no part of strace's notation, or an Internet address in a form not known here: a trace that is
/// not understood proves nothing.
pub fn parse(trace: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let read =
            parse_line(line).with_context(|| format!("line {} of the trace is not understood: {line}", number + 1))?;
        events.extend(read);
    }
    Ok(events)
}

fn parse_line(line: &str) -> Result<Vec<Event>> {
    let (pid, rest) = line.split_once(char::is_whitespace).context("no PID in front")?;
    let pid: u32 = pid.parse().context("no PID in front")?;
    let rest = rest.trim_start();
    if rest.starts_with("+++") || rest.starts_with("---") || rest.starts_with("???") {
        return Ok(Vec::new());
    }
    let call = match rest.strip_prefix("<... ") {
        Some(resumed) => resumed.split_once(" resumed>").context("a resumed call without a name")?.0,
        None => rest.split_once('(').context("neither a call nor a signal")?.0,
    };
    let make = |family: &str, address| Event {
        pid,
        call: call.to_owned(),
        family: family.to_owned(),
        address,
        line: line.to_owned(),
    };
    if call == "socket" || call == "socketpair" {
        return Ok(rest.strip_prefix(&format!("{call}(")).map(|args| make(word(args), None)).into_iter().collect());
    }
    let mut events = Vec::new();
    for (at, _) in rest.match_indices("sa_family=").filter(|(at, _)| !within_quotes(rest, *at)) {
        let sockaddr = &rest[at + "sa_family=".len()..];
        let family = word(sockaddr);
        let address = match family {
            "AF_INET" | "AF_INET6" => Some(internet(sockaddr)?),
            _ => None,
        };
        events.push(make(family, address));
    }
    Ok(events)
}

/// `AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}`, and the like for IPv6.
fn internet(sockaddr: &str) -> Result<(IpAddr, u16)> {
    let end = sockaddr.find('}').context("a socket address without an end")?;
    let fields = &sockaddr[..end];
    let port = after(fields, "_port=htons(").and_then(|text| digits(text).parse().ok()).context("no port")?;
    let text = after(fields, "inet_addr(\"").or_else(|| after(fields, "inet_pton(AF_INET6, \""));
    let text = text.and_then(|text| text.split('"').next());
    let address = match (text, fields) {
        (Some(text), _) => text.parse()?,
        (None, _) if fields.contains("htonl(INADDR_ANY)") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (None, _) if fields.contains("htonl(INADDR_LOOPBACK)") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        (None, _) if fields.contains("sin6_addr=in6addr_any") => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => bail!("no Internet address in {fields}"),
    };
    Ok((address, port))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Whether an offset of a line lies in one of its strings: data that was sent may look like an address.
fn within_quotes(line: &str, at: usize) -> bool {
    let mut inside = false;
    let mut escaped = false;
    for byte in &line.as_bytes()[..at] {
        match byte {
            b'"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Event {
        let mut events = parse(line).unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    #[test]
    fn families_of_sockets_are_seen_also_of_refused_ones() {
        let socket =
            one("12    socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = -1 EACCES (Permission denied)");
        assert_eq!((socket.pid, socket.family.as_str()), (12, "AF_INET6"));
        assert!(socket.is_internet() && !socket.leaves_loopback());
        assert!(!one("12 socket(AF_UNIX, SOCK_STREAM, 0) = 3").is_internet());
        assert!(!one("12 socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0").is_internet());
        assert!(one("12 socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) = 3").leaves_loopback());
    }

    #[test]
    fn addresses_of_both_families_are_read_also_of_unfinished_calls() {
        let v4 = one(
            "7 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr(\"192.0.2.1\")}, 16 <unfinished ...>",
        );
        assert_eq!(v4.address, Some(("192.0.2.1".parse().unwrap(), 443)));
        assert!(v4.leaves_loopback());
        let v6 = one(concat!(
            "7 sendto(9, \"x\", 1, 0, {sa_family=AF_INET6, sin6_port=htons(9), sin6_flowinfo=htonl(0), ",
            "inet_pton(AF_INET6, \"2001:db8::1\", &sin6_addr), sin6_scope_id=0}, 28) = 1"
        ));
        assert_eq!(v6.address, Some(("2001:db8::1".parse().unwrap(), 9)));
        assert!(v6.leaves_loopback());
        let any = one("7 bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=htonl(INADDR_ANY)}, 16) = 0");
        assert!(any.leaves_loopback());
    }

    #[test]
    fn loopback_stays_loopback_but_a_name_look_up_does_not() {
        let local = |port| {
            format!(
                "7 connect(3, {{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")}}, 16) = 0"
            )
        };
        assert!(!one(&local(11434)).leaves_loopback());
        assert!(one(&local(53)).leaves_loopback());
        let mapped = concat!(
            "7 bind(3, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0), ",
            "inet_pton(AF_INET6, \"::ffff:127.0.0.1\", &sin6_addr), sin6_scope_id=0}, 28) = 0"
        );
        assert!(!one(mapped).leaves_loopback());
    }

    #[test]
    fn every_address_of_a_message_counts_and_resumed_calls_too() {
        let line = concat!(
            "7 sendmmsg(3, [{msg_hdr={msg_name={sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"10.0.0.1\")}, ",
            "msg_namelen=16}}, {msg_hdr={msg_name={sa_family=AF_UNIX, sun_path=\"/run/x\"}}}], 2, 0) = 2"
        );
        assert_eq!(parse(line).unwrap().len(), 2);
        let peer = "7 <... accept4 resumed>{sa_family=AF_INET, sin_port=htons(5), sin_addr=inet_addr(\"203.0.113.9\")}, [16], 0) = 4";
        assert!(one(peer).leaves_loopback());
    }

    #[test]
    fn data_that_looks_like_an_address_is_data() {
        let line = r#"7 sendto(3, "\"{sa_family=AF_INET, sin_port=htons(1)", 20, 0, NULL, 0) = 20"#;
        assert_eq!(parse(line).unwrap(), Vec::new());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for line in
            ["socket(AF_INET) = 3", "7 nonsense", "7 connect(3, {sa_family=AF_INET, sin_port=htons(1), ...}, 16) = 0"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("7 +++ exited with 0 +++\n7 --- SIGCHLD {si_signo=SIGCHLD} ---").unwrap(), Vec::new());
    }
}
