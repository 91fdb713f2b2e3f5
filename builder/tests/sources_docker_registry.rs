//! Sources of type `ollama-registry` against the real registry of Debian's package `docker-registry`, which is skipped
//! with a loud line where it is not installed. The stand-in that redirects is in `sources_registry.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share fails as they do")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use builder::fetch::LockMode;
use builder::fetch::artifact::Artifact;
use builder::manifest::SourceKind;
use payload::Digest;
use support::registry::Model;
use support::{Bench, model, model_name};

/// The registry's process; it ends with the test.
struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it on a free port, or says that it is not there.
fn registry(dir: &Path) -> Option<Registry> {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = dir.join("registry.yml");
    let storage = dir.join("storage");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        storage.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        // Not `eprintln!`: the test harness would swallow it.
        let line = b"\nskipped: needs docker-registry (apt-get install docker-registry): sources_docker_registry\n";
        std::io::stderr().write_all(line).unwrap();
        return None;
    };
    let mut registry = Registry { child, address };
    while TcpStream::connect(address).is_err() {
        assert!(registry.child.try_wait().unwrap().is_none(), "docker-registry ended at once");
        std::thread::yield_now();
    }
    Some(registry)
}

/// One request; the answer's head.
fn send(address: SocketAddr, method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    text.split("\r\n\r\n").next().unwrap().to_owned()
}

fn push(address: SocketAddr, name: &str, tag: &str, model: &Model) {
    for (_, bytes) in &model.blobs {
        let head = send(address, "POST", &format!("/v2/{name}/blobs/uploads/"), "application/octet-stream", b"");
        let location =
            head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap_or_else(|| panic!("{head}"));
        let path = &location[location.find("/v2/").unwrap()..];
        let target = format!("{path}&digest={}", Digest::of(bytes));
        let head = send(address, "PUT", &target, "application/octet-stream", bytes);
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    }
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let head = send(address, "PUT", &format!("/v2/{name}/manifests/{tag}"), kind, model.pulled.as_bytes());
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
}

#[test]
fn a_model_comes_out_of_a_real_registry_as_it_went_in() {
    let mut bench = Bench::new();
    let Some(registry) = registry(bench.dir.path()) else { return };
    let pushed = Model::with_weights(support::content(3_000_000));
    push(registry.address, "team/llama2", "7b", &pushed);
    let name = model_name(&registry.address.to_string(), "team", "llama2", "7b");
    let component = model("llama2", SourceKind::OllamaRegistry { model: name }, None);
    let acquired = bench.acquire(std::slice::from_ref(&component)).unwrap();
    let Some(Artifact::Model(found)) = &acquired.artifacts[0] else { panic!("no model") };
    assert_eq!(found.manifest, pushed.pulled.as_bytes());
    let files = std::iter::once(&found.config).chain(found.layers.iter().map(|layer| &layer.file));
    for (file, (_, bytes)) in files.zip(&pushed.blobs) {
        assert_eq!(std::fs::read(&file.path).unwrap(), *bytes);
    }
    drop(acquired);
    drop(registry);
    bench.in_mode(LockMode::Locked).acquire(&[component]).unwrap();
}
