//! Logins that Docker keeps in a credential helper, with the real program: it finds helpers through PATH, as Docker does.
//! Logins that stand in Docker's own file are tested in `sources_registry.rs`.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::registry::registry;
use support::server::Answer;

/// A credential helper, as Docker calls one: the host on stdin, a login on stdout. It notes what it was asked.
fn helper(dir: &Path, name: &str, answer: &str) {
    let program = dir.join(format!("docker-credential-{name}"));
    let asked = dir.join("asked");
    fs::write(&program, format!("#!/bin/sh\necho \"$1 $(cat)\" >> {}\n{answer}\n", asked.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Builds a lock file with Docker's `config` and the helpers in `dir`.
fn lock(dir: &Path, cache: &str, config: &str) -> Output {
    fs::write(dir.join("config.json"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_builder"))
        .args(["lock", "--manifest", "manifest.toml", "--cache-dir", cache])
        .current_dir(dir)
        .env("DOCKER_CONFIG", dir)
        .env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()))
        .output()
        .unwrap()
}

#[test]
fn a_login_in_a_credential_helper_is_asked_for_once_and_never_shown() {
    let (server, _storage) = registry(|request| {
        let denied = request.header("authorization") != Some("Basic dXNlcjpodW50ZXIy");
        denied.then(|| Answer::new(401, "").with("www-authenticate", r#"Basic realm="registry""#))
    });
    let host = server.address.to_string();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::write(
        dir.join("manifest.toml"),
        format!(
            "[package]\nname = \"m\"\nversion = \"1\"\ndescription = \"\"\n[install]\nprefix = \"/opt/m\"\n\
             [[components]]\ntype = \"model-file\"\nname = \"m\"\n\
             source = {{ type = \"ollama-registry\", model = \"{host}/library/llama2:7b\" }}\n"
        ),
    )
    .unwrap();
    helper(dir, "good", r#"echo '{"ServerURL":"x","Username":"user","Secret":"hunter2"}'"#);
    helper(dir, "empty", "echo 'credentials not found in native keychain'; exit 1");
    helper(dir, "broken", "echo 'the keychain is locked' >&2; exit 2");

    let done = lock(dir, "one", &format!(r#"{{"credHelpers": {{"{host}": "good"}}}}"#));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(fs::read_to_string(dir.join("asked")).unwrap(), format!("get {host}\n"), "asked once, for this host");
    let done = lock(dir, "two", r#"{"credsStore": "good"}"#);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (name, says) in
        [("empty", "Private registries"), ("broken", "the keychain is locked"), ("missing", "cannot be started")]
    {
        let refused = lock(dir, name, &format!(r#"{{"credsStore": "{name}"}}"#));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(says), "{name}: {said}");
        assert!(!said.contains("hunter2"));
    }
}
