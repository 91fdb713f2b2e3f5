//! The way to a service for a program that may open no network socket: systemd listens on a local one, and its own
//! systemd-socket-proxyd leads from there to the service. The transient units of it go when they were used.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::tool::{Tool, ToolError};

/// Where distributions keep it.
const PROXY: [&str; 2] = ["/usr/lib/systemd/systemd-socket-proxyd", "/lib/systemd/systemd-socket-proxyd"];
/// One installer at a time: one name is enough.
const UNIT: &str = "airgap-deploy-ask";
const SOCKET: &str = "/run/airgap-deploy-ask.sock";

/// Why there is no way.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProxyError {
    #[error("this machine has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// A way that is open until this is dropped.
#[derive(Debug)]
pub struct Proxy(());

impl Proxy {
    /// Opens a way to `address`, and to nowhere else.
    ///
    /// # Errors
    /// The machine lacks what is needed for it, or systemd will not start it.
    pub fn open(address: SocketAddr) -> Result<Self, ProxyError> {
        let proxy = PROXY.into_iter().find(|path| Path::new(path).is_file());
        let proxy = proxy.ok_or(ProxyError::Missing("systemd-socket-proxyd"))?;
        if Tool::SystemdRun.find().is_none() {
            return Err(ProxyError::Missing("systemd-run"));
        }
        // What an interrupted one left.
        close();
        let way = Self(());
        let allow = format!("--property=IPAddressAllow={}", address.ip());
        let (unit, listen) = (format!("--unit={UNIT}"), format!("--socket-property=ListenStream={SOCKET}"));
        Tool::SystemdRun.run(&[
            "--quiet",
            "--collect",
            &unit,
            &listen,
            "--socket-property=SocketMode=0600",
            "--socket-property=RemoveOnStop=yes",
            "--property=DynamicUser=yes",
            "--property=IPAddressDeny=any",
            &allow,
            "--",
            proxy,
            &address.to_string(),
        ])?;
        Ok(way)
    }

    /// A connection to the service.
    ///
    /// # Errors
    /// systemd does not listen any more.
    #[expect(clippy::unused_self, reason = "the way is open only while this lives")]
    pub fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(SOCKET)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        close();
    }
}

fn close() {
    // systemd does not know them where there was nothing to leave.
    for kind in ["socket", "service"] {
        let _ = Tool::Systemctl.run(&["stop", "--", &format!("{UNIT}.{kind}")]);
    }
}

/// Where a server is reached that `OLLAMA_HOST` tells to listen there: one that listens everywhere, on loopback. `None`
/// when that is no address of numbers.
pub fn reached_at(host: &str) -> Option<SocketAddr> {
    const PORT: u16 = 11434;
    let host = host.trim().trim_matches(['"', '\'']);
    let (host, usual) = match host.split_once("://") {
        Some(("http", rest)) => (rest, 80),
        Some(_) => return None,
        None => (host, PORT),
    };
    let host = host.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None if host.is_empty() => return Some(SocketAddr::from(([127, 0, 0, 1], PORT))),
        None => host.replacen("localhost", "127.0.0.1", 1),
    };
    let address = host.parse().ok().or_else(|| {
        let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, usual))
    });
    let mut address: SocketAddr = address?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
        });
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_reached_where_it_was_told_to_listen() {
        let at = |host: &str| reached_at(host).map(|address| address.to_string());
        for (host, address) in [
            ("", "127.0.0.1:11434"),
            ("0.0.0.0", "127.0.0.1:11434"),
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            (":8000", "127.0.0.1:8000"),
            ("localhost:99", "127.0.0.1:99"),
            ("\"10.1.2.3\"", "10.1.2.3:11434"),
            ("http://127.0.0.1:5000/", "127.0.0.1:5000"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("[::]:11434", "[::1]:11434"),
            ("[::1]", "[::1]:11434"),
        ] {
            assert_eq!(at(host).as_deref(), Some(address), "{host}");
        }
        for host in ["https://127.0.0.1", "ollama.example", "1.2.3.4:99999"] {
            assert_eq!(at(host), None, "{host}");
        }
    }
}
