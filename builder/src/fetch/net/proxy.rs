//! Proxy settings as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` give them, and which requests bypass them.
//! The variables themselves are read by the program (`command.rs`).

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The values of the proxy variables; empty means unset.
#[derive(Clone, Default)]
pub struct ProxySettings {
    pub http: Option<String>,
    pub https: Option<String>,
    pub all: Option<String>,
    pub bypass: Option<String>,
}

impl std::fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may carry passwords.
        let set = [self.http.is_some(), self.https.is_some(), self.all.is_some(), self.bypass.is_some()];
        write!(f, "ProxySettings {{ http, https, all, bypass set: {set:?} }}")
    }
}

impl ProxySettings {
    /// The proxy for URLs of this scheme.
    pub(crate) fn for_scheme(&self, scheme: &str) -> Option<&str> {
        let own = if scheme == "https" { &self.https } else { &self.http };
        [own, &self.all].into_iter().flatten().map(|text| text.trim()).find(|text| !text.is_empty())
    }

    /// Whether `NO_PROXY` names the host of `url`: `*`, a domain and everything below it, an address, a network in
    /// CIDR notation, each with an optional port.
    pub(crate) fn bypassed(&self, url: &Url) -> bool {
        let Some(bypass) = &self.bypass else { return false };
        bypass.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| entry_matches(entry, url))
    }
}

fn entry_matches(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse::<u16>().ok()),
        _ => (entry, None),
    };
    if port.is_some_and(|port| url.port_or_known_default() != Some(port)) {
        return false;
    }
    match url.host() {
        Some(Host::Domain(host)) => domain_matches(name, host),
        Some(Host::Ipv4(address)) => address_matches(name, IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => address_matches(name, IpAddr::V6(address)),
        None => false,
    }
}

fn domain_matches(name: &str, host: &str) -> bool {
    let name = name.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    host == name || host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'))
}

fn address_matches(name: &str, address: IpAddr) -> bool {
    let name = name.trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok_and(|entry| entry == address)
        || name.parse::<IpNet>().is_ok_and(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_domains_addresses_and_networks() {
        let settings = ProxySettings {
            bypass: Some("corp.example, .internal,10.0.0.0/8,[::1]:8080,127.0.0.1,host.example:8443".to_owned()),
            ..ProxySettings::default()
        };
        let bypassed = |text| settings.bypassed(&Url::parse(text).unwrap());
        for direct in [
            "https://corp.example/",
            "https://a.corp.example/",
            "https://x.internal/",
            "http://10.2.3.4/",
            "http://[::1]:8080/",
            "http://127.0.0.1:99/",
            "https://host.example:8443/",
        ] {
            assert!(bypassed(direct), "{direct}");
        }
        for proxied in ["https://notcorp.example/", "http://11.0.0.1/", "http://[::1]:8081/", "https://host.example/"] {
            assert!(!bypassed(proxied), "{proxied}");
        }
    }

    #[test]
    fn the_scheme_picks_the_proxy_and_empty_is_unset() {
        let settings = ProxySettings {
            http: Some(String::new()),
            https: Some("http://s:1".to_owned()),
            all: Some("http://a:1".to_owned()),
            bypass: None,
        };
        assert_eq!(settings.for_scheme("https"), Some("http://s:1"));
        assert_eq!(settings.for_scheme("http"), Some("http://a:1"));
    }
}
