//! HTTPS with a private certificate authority, proxies, and tokens, as environment variables ask for them.
//! The variables are set on a child, which is this very test program: a process cannot safely change its own.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use builder::fetch::{ProxySettings, SourceEnvironment, SourceOptions, SourceSettings};
use builder::manifest::SourceKind;
use payload::Digest;
use support::server::{Answer, Request, Server};
use support::tls::{Proxy, TlsServer};
use support::{Bench, binary, told, url};

const CHILD: &str = "SOURCES_TLS_CHILD";
const HOSTS: [&str; 3] = ["api.github.com", "github.com", "release-assets.githubusercontent.com"];

/// Does nothing unless it is the child: acquires a GitHub release with options made of the environment alone.
#[test]
fn child() {
    let Ok(cache) = std::env::var(CHILD) else { return };
    let environment = SourceEnvironment::from_vars(|name| std::env::var(name).ok());
    let settings = SourceSettings { cache_dir: Some(cache.into()), ..SourceSettings::default() };
    let mut bench = Bench::new();
    let retry = bench.options.retry;
    bench.options = SourceOptions::new(&settings, &environment).unwrap();
    bench.options.retry = retry;
    let kind =
        SourceKind::GithubRelease { repo: "o/r".to_owned(), tag: "v1".to_owned(), asset_pattern: "tool".to_owned() };
    match bench.content(&binary("tool", kind, None)) {
        Ok(bytes) => println!("content: {}", String::from_utf8(bytes).unwrap()),
        Err(error) => println!("error: {}", told(&error)),
    }
    println!("{}\n{}", bench.events(), std::fs::read_to_string(bench.lock_path()).unwrap_or_default());
}

fn github(request: &Request) -> Answer {
    match (request.header("host").unwrap(), request.target.as_str()) {
        ("api.github.com", "/repos/o/r/releases/tags/v1") => {
            let digest = Digest::of(b"the tool");
            Answer::ok(format!(r#"{{"assets":[{{"name":"tool.tgz","size":8,"digest":"{digest}"}}]}}"#))
        }
        ("github.com", "/o/r/releases/download/v1/tool.tgz") => {
            Answer::redirect(302, "https://release-assets.githubusercontent.com/1?sig=s")
        }
        ("release-assets.githubusercontent.com", "/1?sig=s") => Answer::ok("the tool"),
        other => Answer::new(404, format!("{other:?}")),
    }
}

fn run(cache: &Path, proxy: &Proxy, extra: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, cache);
    for name in ["SSL_CERT_DIR", "SSL_CERT_FILE", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "XDG_CONFIG_HOME"]
    {
        command.env_remove(name);
    }
    command.env("HOME", cache).env("https_proxy", format!("http://{}", proxy.address));
    let Output { stdout, .. } = command.envs(extra.iter().copied()).output().unwrap();
    String::from_utf8(stdout).unwrap()
}

#[test]
fn a_private_authority_a_proxy_and_a_token_come_from_the_environment() {
    let server = TlsServer::start(&HOSTS, github);
    let proxy = Proxy::start(server.address);
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    std::fs::write(&authority, &server.authority).unwrap();
    let extra = [("SSL_CERT_FILE", authority.to_str().unwrap()), ("GITHUB_TOKEN", "ghp_secret")];
    let output = run(&dir.path().join("cache"), &proxy, &extra);
    assert!(output.contains("content: the tool"), "{output}");
    assert_eq!(proxy.connects(), HOSTS.map(|host| format!("CONNECT {host}:443")));
    for request in server.requests() {
        let expected = (request.header("host") == Some("api.github.com")).then_some("Bearer ghp_secret");
        assert_eq!(request.header("authorization"), expected, "{request:?}");
    }
    assert!(!output.contains("ghp_secret"), "{output}");
    assert!(output.contains("final_host = \"release-assets.githubusercontent.com\""), "{output}");
}

#[test]
fn a_server_that_the_store_does_not_know_is_refused_at_once() {
    let server = TlsServer::start(&HOSTS, github);
    let other = TlsServer::start(&HOSTS, github);
    let proxy = Proxy::start(server.address);
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    std::fs::write(&authority, &other.authority).unwrap();
    let output = run(&dir.path().join("cache"), &proxy, &[("SSL_CERT_FILE", authority.to_str().unwrap())]);
    assert!(output.contains("error: ") && output.contains("SSL_CERT_FILE"), "{output}");
    assert!(server.requests().is_empty());
    assert_eq!(proxy.connects().len(), 2, "the API, then the checksum list, once each: {:?}", proxy.connects());
}

#[test]
fn no_proxy_goes_straight_and_everything_else_does_not() {
    let server = Server::start(|_| Answer::ok("x"));
    let proxy = Proxy::start(server.address);
    let component = binary("b", url(&server.url("/b")), Some(Digest::of(b"x")));
    let mut bench = Bench::new();
    bench.options.proxies =
        ProxySettings { all: Some(format!("http://{}", proxy.address)), ..ProxySettings::default() };
    bench.content(&component).unwrap();
    assert_eq!(proxy.connects(), [format!("CONNECT {}", server.address)]);
    let mut bench = Bench::new();
    bench.options.proxies = ProxySettings {
        all: Some("http://127.0.0.1:1".to_owned()),
        bypass: Some("127.0.0.0/8".to_owned()),
        ..ProxySettings::default()
    };
    bench.content(&component).unwrap();
    assert_eq!(proxy.connects().len(), 1);
}

#[test]
fn a_proxy_that_is_no_address_is_named() {
    let mut bench = Bench::new();
    bench.options.proxies = ProxySettings { https: Some("not a url".to_owned()), ..ProxySettings::default() };
    let error = bench.content(&binary("b", url("https://example.org/b"), Some(Digest::of(b"x")))).unwrap_err();
    assert!(told(&error).contains("HTTPS_PROXY"), "{}", told(&error));
}
