//! Reads what `strace -f -e trace=network` wrote: which address families, which Internet addresses, which ports.
//! Running strace is in `tracer.rs`.

use std::collections::BTreeMap;
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

    /// Something that could reach beyond this machine: an address that is not loopback, or a name look-up.
    pub fn leaves_loopback(&self) -> bool {
        let outside = |(ip, port)| !is_loopback(ip) || (port == DOMAIN && !self.is_silent());
        self.family == "AF_PACKET" || self.address.is_some_and(outside)
    }

    /// Nothing is sent by asking for an address, nor by connecting a datagram socket, which always succeeds at once.
    /// Go connects one to port 53 of every candidate address, to order them; that nothing was sent through it is for
    /// the kernel's counters to say (`counters.rs`).
    fn is_silent(&self) -> bool {
        match self.call.as_str() {
            "getpeername" | "getsockname" => true,
            "connect" => self.line.ends_with(" = 0"),
            _ => false,
        }
    }
}

/// Reads a whole trace.
///
/// # Errors
/// A line that is no part of strace's notation, or an Internet address in a form not known here: a trace that is
/// not understood proves nothing.
pub fn parse(trace: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for line in join(trace) {
        events.extend(parse_line(&line).with_context(|| format!("a line of the trace is not understood: {line}"))?);
    }
    Ok(events)
}

/// Puts calls together that other processes' lines came between. One that never came back stays unfinished.
fn join(trace: &str) -> Vec<String> {
    let mut whole = Vec::new();
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    for line in trace.lines() {
        let pid = line.split_whitespace().next().unwrap_or_default();
        if let Some(start) = line.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start);
        } else if let Some((_, end)) = line.split_once(" resumed>").filter(|(start, _)| start.contains("<... ")) {
            whole.push(begun.remove(pid).map_or_else(|| line.to_owned(), |start| format!("{start}{end}")));
        } else {
            whole.push(line.to_owned());
        }
    }
    whole.extend(begun.into_values().map(str::to_owned));
    whole
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
        assert!(!one(&local(53)).leaves_loopback(), "a datagram socket that is connected and says nothing");
        assert!(one(&local(53).replace("= 0", "= -1 ECONNREFUSED (Connection refused)")).leaves_loopback());
        assert!(one(&local(53).replace("connect", "sendto")).leaves_loopback());
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
    fn a_call_in_two_pieces_is_one_call() {
        let trace = concat!(
            "7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"127.0.0.1\")}, 16 <unfinished ...>\n",
            "8 socket(AF_UNIX, SOCK_STREAM, 0) = 3\n",
            "7 <... connect resumed>) = -1 ECONNREFUSED (Connection refused)\n",
            "9 connect(3, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr(\"192.0.2.7\")}, 16 <unfinished ...>\n",
        );
        let events = parse(trace).unwrap();
        assert_eq!(events.len(), 3, "{events:#?}");
        assert_eq!(
            events.iter().filter(|event| event.leaves_loopback()).map(|event| event.pid).collect::<Vec<_>>(),
            [7, 9]
        );
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
