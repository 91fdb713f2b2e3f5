//! `[package]` and `[install]`: what the package is called, where it goes and who it runs as.
//! Components live in `component.rs`.

use std::net::IpAddr;

use payload::index::PackageName;
use payload::{AccountName, Owner, RelPath, printable};
use toml::Spanned;

use super::diagnostic::{Diagnostic, Findings, Reported};
use super::reader::Reader;
use super::{Install, IpAllow, Package, path, restriction};

/// What systemd takes in place of addresses; `any` stands alone.
const NAMED_ADDRESSES: &[&str] = &["localhost", "link-local", "multicast"];

/// `[package]`
pub(super) fn package(reader: &Reader<'_>) -> Result<Package, Reported> {
    reader.refuse_unknown(None);
    let name = match reader.required_text("name", "for example `name = \"ollama-deploy\"`") {
        Ok(text) => one_line(reader.findings, &text, "name")
            .and_then(|()| reader.required::<PackageName>("name", ""))
            .map(Spanned::into_inner),
        Err(reported) => Err(reported),
    };
    let version = reader.required_text("version", "for example `version = \"0.15.0\"`").and_then(|text| {
        if text.get_ref().trim().is_empty() {
            return Err(reader.findings.error(Diagnostic::error(text.span(), "`version` is empty")));
        }
        one_line(reader.findings, &text, "version").map(|()| text.into_inner().to_owned())
    });
    let description = reader.text("description").transpose().and_then(|text| {
        let Some(text) = text else { return Ok(String::new()) };
        one_line(reader.findings, &text, "description").map(|()| text.into_inner().to_owned())
    });
    let allowed_hosts = reader.texts("allowed_hosts").map(|hosts| hosts.and_then(|list| hosts_of(reader, &list)));
    let allowed_hosts = allowed_hosts.transpose();
    Ok(Package { name: name?, version: version?, description: description?, allowed_hosts: allowed_hosts? })
}

/// Refuses what would break a line or a terminal wherever the text is shown later.
pub(super) fn one_line(findings: &Findings, text: &Spanned<&str>, key: &str) -> Result<(), Reported> {
    if printable(text.get_ref()) == *text.get_ref() {
        return Ok(());
    }
    let diagnostic = Diagnostic::error(text.span(), format!("`{key}` contains a control character"));
    Err(findings.error(diagnostic.label("must be one line of printable text")))
}

fn hosts_of(reader: &Reader<'_>, list: &[Spanned<&str>]) -> Result<Vec<String>, Reported> {
    let read: Vec<Result<String, Reported>> = list.iter().map(|text| host(reader, text)).collect();
    read.into_iter().collect()
}

/// One entry of `allowed_hosts`: a host, with `*.` in front all hosts below it; a port may be given and says nothing.
fn host(reader: &Reader<'_>, text: &Spanned<&str>) -> Result<String, Reported> {
    let given = *text.get_ref();
    let name = given.strip_prefix("*.").unwrap_or(given);
    let is_host = |name: &str| url::Host::parse(name).is_ok() && !name.contains(['*', '/', '@', '%']);
    let before_port = name.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map(|(name, _)| name);
    if is_host(name) || before_port.is_some_and(is_host) || name.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(given.to_ascii_lowercase());
    }
    let diagnostic = Diagnostic::error(text.span(), format!("{given:?} is not a host name"));
    let help = match url::Url::parse(given).ok().and_then(|url| url.host_str().map(str::to_owned)) {
        Some(host) => format!("the host alone: {host:?}"),
        None => "one host name each, without scheme and path: \"github.com\", \"*.example.org\"".to_owned(),
    };
    Err(reader.findings.error(diagnostic.help(help)))
}

/// `[install]`
pub(super) fn install(reader: &Reader<'_>, prefix: Result<&RelPath, Reported>) -> Result<Install, Reported> {
    reader.refuse_unknown(None);
    let account = account(reader);
    let ip_allow = ip_allow(reader);
    let relax = restriction::relax(reader);
    let command = path::command(reader);
    Ok(Install { prefix: prefix?.clone(), account: account?, ip_allow: ip_allow?, command: command?, relax: relax? })
}

fn account(reader: &Reader<'_>) -> Result<Option<Owner>, Reported> {
    let user = reader.optional::<AccountName>("user").transpose();
    let group = reader.optional::<AccountName>("group").transpose();
    if let (None, Some(span)) = (reader.get("user"), reader.key_span("group")) {
        let diagnostic = Diagnostic::error(span, "`group` without `user`").help("add `user`, or leave `group` out");
        return Err(reader.findings.error(diagnostic));
    }
    let (user, group) = (user?, group?);
    let Some(user) = user else { return Ok(None) };
    if user.get_ref().is_root() {
        let diagnostic = Diagnostic::error(user.span(), "the service must not run as root");
        return Err(reader.findings.error(diagnostic.help("name an account of its own: `user = \"ollama\"`")));
    }
    let user = user.into_inner();
    let group = group.map_or_else(|| user.clone(), Spanned::into_inner);
    Ok(Some(Owner { user, group }))
}

fn ip_allow(reader: &Reader<'_>) -> Result<IpAllow, Reported> {
    let Some(list) = reader.texts("ip_allow").transpose()? else { return Ok(IpAllow::Localhost) };
    if let Some(any) = list.iter().find(|text| *text.get_ref() == "any") {
        if list.len() == 1 {
            return Ok(IpAllow::Any);
        }
        let diagnostic = Diagnostic::error(any.span(), "\"any\" allows everything and must stand alone");
        return Err(reader.findings.error(diagnostic.help("write `ip_allow = [\"any\"]`, or leave \"any\" out")));
    }
    let read: Vec<Result<String, Reported>> = list
        .iter()
        .map(|text| match *text.get_ref() {
            given if is_address(given) => Ok(given.to_owned()),
            given => {
                let diagnostic = Diagnostic::error(text.span(), format!("{given:?} is not an address that systemd knows"));
                let help = "an address, a network such as \"10.0.0.0/8\", \"localhost\", \"link-local\", \"multicast\", \
                            or \"any\" alone";
                Err(reader.findings.error(diagnostic.help(help)))
            }
        })
        .collect();
    let list: Vec<String> = read.into_iter().collect::<Result<_, _>>()?;
    Ok(if list.iter().all(|entry| entry == "localhost") { IpAllow::Localhost } else { IpAllow::Also(list) })
}

/// The notation of systemd's `IPAddressAllow=`, systemd.resource-control(5).
fn is_address(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return NAMED_ADDRESSES.contains(&text) };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| {
        length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|bits| bits <= longest)
    })
}
