//! Sources of type `ollama-registry` against a stand-in that redirects blobs to another host and port, as Ollama's
//! does. The real Debian registry is in `sources_docker_registry.rs`.

#![expect(clippy::panic, reason = "what tests share fails as they do")]

mod support;

use builder::fetch::artifact::{Artifact, RegistryModel};
use builder::fetch::{Acquisition, LockMode};
use builder::manifest::{Component, SourceKind};
use payload::Digest;
use support::registry::{Model, registry};
use support::server::{Answer, Server};
use support::{Bench, binary, model, model_name, told};

fn llama(server: &Server, checksum: Option<Digest>) -> Component {
    let name = model_name(&server.address.to_string(), "library", "llama2", "7b");
    model("llama2", SourceKind::OllamaRegistry { model: name }, checksum)
}

fn acquired_model(acquired: &Acquisition) -> &RegistryModel {
    match &acquired.artifacts[0] {
        Some(Artifact::Model(model)) => model,
        other => panic!("no model: {other:?}"),
    }
}

#[test]
fn a_model_arrives_as_a_pull_would_leave_it() {
    let (server, storage) = registry(|_| None);
    let bench = Bench::new();
    let acquired = bench.acquire(&[llama(&server, None)]).unwrap();
    let found = acquired_model(&acquired);
    let expected = Model::small();
    assert_eq!(String::from_utf8(found.manifest.clone()).unwrap(), expected.pulled);
    assert_eq!(std::fs::read(&found.config.path).unwrap(), expected.blobs[0].1);
    let kinds: Vec<_> = found.layers.iter().map(|layer| layer.media_type.rsplit('.').next().unwrap()).collect();
    assert_eq!(kinds, ["model", "license", "template", "params"]);
    for (layer, (_, bytes)) in found.layers.iter().zip(&expected.blobs[1..]) {
        assert_eq!(std::fs::read(&layer.file.path).unwrap(), *bytes);
    }
    let manifest = &server.requests()[0];
    assert_eq!(manifest.header("accept"), Some("application/vnd.docker.distribution.manifest.v2+json"));
    assert_eq!(manifest.header("user-agent"), Some("ollama/0.15.0 (amd64 linux)"));
    assert_eq!(storage.requests().len(), 5);
    assert!(!bench.events().contains("secretsig") && !bench.lock_text().contains("secretsig"));
}

#[test]
fn every_layer_is_pinned_and_a_second_build_makes_no_request() {
    let (server, storage) = registry(|_| None);
    let mut bench = Bench::new();
    let component = llama(&server, None);
    bench.acquire(std::slice::from_ref(&component)).unwrap();
    let lock = bench.lock_text();
    assert_eq!(lock.matches("[[components.files]]").count(), 6, "{lock}");
    assert!(lock.contains("final_host = \"localhost\""), "{lock}");
    let asked = (server.requests().len(), storage.requests().len());
    bench.options.offline = true;
    let again = bench.in_mode(LockMode::Locked).acquire(&[component]).unwrap();
    assert_eq!(String::from_utf8(acquired_model(&again).manifest.clone()).unwrap(), Model::small().pulled);
    assert_eq!((server.requests().len(), storage.requests().len()), asked);
}

#[test]
fn a_tag_that_moved_is_refused_until_the_lock_is_updated() {
    let (server, _storage) = registry(|request| {
        let moved = Model::small().manifest.replace("\"schemaVersion\":2", "\"schemaVersion\": 2");
        let is_manifest = request.target.contains("/manifests/");
        (is_manifest && request.number > 0).then(|| Answer::ok(moved))
    });
    let mut bench = Bench::new();
    let component = llama(&server, None);
    bench.acquire(std::slice::from_ref(&component)).unwrap();
    std::fs::remove_dir_all(&bench.options.cache_dir).unwrap();
    let error = bench.acquire(std::slice::from_ref(&component)).unwrap_err();
    assert_eq!(error.exit_code(), 42);
    assert!(error.to_string().contains("under the same tag"), "{error}");
    let changes = bench.in_mode(LockMode::Update).acquire(&[component]).unwrap().lock_changes;
    assert_eq!(changes.len(), 2, "only the manifest changed: {changes:?}");
}

#[test]
fn a_wrong_layer_is_a_model_checksum_mismatch() {
    let (server, _storage) = registry(|request| {
        let is_weights = request.target.ends_with(&Digest::of(&Model::small().blobs[1].1).hex());
        let forged = vec![b'!'; Model::small().blobs[1].1.len()];
        is_weights.then(|| Answer::ok(forged))
    });
    let error = Bench::new().acquire(&[llama(&server, None)]).unwrap_err();
    assert!(error.to_string().starts_with("Model checksum mismatch"), "{error}");
    assert_eq!(error.exit_code(), 42);
}

#[test]
fn a_checksum_may_be_the_manifests_or_the_weights() {
    let (server, _storage) = registry(|_| None);
    let small = Model::small();
    for good in [small.manifest.as_bytes(), small.pulled.as_bytes(), &small.blobs[1].1] {
        Bench::new().acquire(&[llama(&server, Some(Digest::of(good)))]).unwrap();
    }
    let error = Bench::new().acquire(&[llama(&server, Some(Digest::of(b"no")))]).unwrap_err();
    assert_eq!(error.exit_code(), 42);
}

#[test]
fn a_model_for_a_newer_ollama_says_what_to_raise() {
    let (server, _storage) = registry(|_| {
        Some(Answer::new(412, "The model you are attempting to pull requires a newer version of Ollama."))
    });
    let kind = SourceKind::GithubRelease {
        repo: "ollama/ollama".to_owned(),
        tag: "v0.15.4".to_owned(),
        asset_pattern: "ollama-linux-amd64".to_owned(),
    };
    let bench = Bench::new();
    let manifest = bench.manifest(&[binary("ollama", kind, None), llama(&server, None)]);
    let wanted = &manifest.components[1..].iter().collect::<Vec<_>>();
    let error = builder::fetch::acquire(&manifest, wanted, &bench.options, &bench.events).unwrap_err();
    let text = told(&error);
    assert_eq!(server.requests()[0].header("user-agent"), Some("ollama/0.15.4 (amd64 linux)"));
    assert!(text.contains("newer Ollama than ollama/0.15.4") && text.contains("source.tag"), "{text}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_unknown_model_is_not_found() {
    let (server, _storage) = registry(|_| None);
    let name = model_name(&server.address.to_string(), "library", "llama99", "7b");
    let error = Bench::new().acquire(&[model("m", SourceKind::OllamaRegistry { model: name }, None)]).unwrap_err();
    assert_eq!(error.exit_code(), 41);
    assert!(error.to_string().starts_with("Model not found") && error.to_string().contains("llama99:7b"), "{error}");
}

#[test]
fn a_token_is_fetched_when_wanted_and_stays_with_the_registry() {
    let (server, storage) = registry(|request| {
        if request.target.starts_with("/token") {
            return Some(Answer::ok(r#"{"token":"t0ken"}"#));
        }
        let wants = format!(
            r#"Bearer realm="http://{}/token",service="ollama",scope="repository:library/llama2:pull""#,
            request.header("host").unwrap()
        );
        let denied = request.header("authorization") != Some("Bearer t0ken");
        denied.then(|| Answer::new(401, "").with("www-authenticate", &wants))
    });
    let bench = Bench::new();
    bench.acquire(&[llama(&server, None)]).unwrap();
    let token: Vec<_> = server.requests().into_iter().filter(|request| request.target.starts_with("/token")).collect();
    assert_eq!(token.len(), 1, "one token serves all layers");
    assert_eq!(token[0].target, "/token?service=ollama&scope=repository%3Alibrary%2Fllama2%3Apull");
    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(!bench.events().contains("t0ken"));
}

#[test]
fn a_private_registry_gets_dockers_login_and_nobody_else_does() {
    let (server, storage) = registry(|request| {
        let denied = request.header("authorization") != Some("Basic dXNlcjpodW50ZXIy");
        denied.then(|| Answer::new(401, "").with("www-authenticate", r#"Basic realm="registry""#))
    });
    let mut bench = Bench::new();
    let error = bench.acquire(&[llama(&server, None)]).unwrap_err();
    assert!(told(&error).contains("Private registries"), "{}", told(&error));
    let config = bench.dir.path().join("config.json");
    let auths = serde_json::json!({"auths": {server.address.to_string(): {"auth": "dXNlcjpodW50ZXIy"}}});
    std::fs::write(&config, auths.to_string()).unwrap();
    bench.options.docker_config = Some(config);
    bench.acquire(&[llama(&server, None)]).unwrap();
    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn the_public_name_works_through_a_mirror() {
    let (server, _storage) = registry(|_| None);
    let mut bench = Bench::new().with_mirror("https://registry.ollama.ai", &server.url(""));
    // The mirror redirects to a host that nobody allowed.
    bench.allowed_hosts = Some(vec!["registry.ollama.ai".to_owned()]);
    let name = model_name("registry.ollama.ai", "library", "llama2", "7b");
    let component = model("m", SourceKind::OllamaRegistry { model: name }, None);
    let error = bench.acquire(std::slice::from_ref(&component)).unwrap_err();
    assert!(told(&error).contains("localhost"), "{}", told(&error));
    bench.allowed_hosts = Some(vec!["registry.ollama.ai".to_owned(), "localhost".to_owned()]);
    bench.acquire(&[component]).unwrap();
    assert!(bench.lock_text().contains("https://registry.ollama.ai/v2/library/llama2/manifests/7b"));
}
