//! Sources of type `url` and `file` against well-behaved servers: verified, cached, pinned, resumed, shared.
//! Servers that misbehave are in `sources_hostile.rs`.

mod support;

use std::sync::Arc;

use builder::fetch::LockMode;
use builder::fetch::artifact::Artifact;
use builder::manifest::SourceKind;
use payload::Digest;
use support::server::{Answer, Server};
use support::{Bench, binary, content, file, model, told, url};

#[test]
fn content_is_verified_and_a_second_build_makes_no_request() {
    let body = content(300_000);
    let copy = body.clone();
    let server = Server::start(move |request| Answer::ranged(request, &copy, "\"a\""));
    let bench = Bench::new();
    let component = model("m", url(&server.url("/dir/m.gguf")), Some(Digest::of(&body)));
    let acquired = bench.acquire(std::slice::from_ref(&component)).unwrap();
    let found = file(&acquired, 0);
    assert_eq!(std::fs::read(&found.path).unwrap(), body);
    assert_eq!((found.name.as_str(), found.size, found.digest), ("m.gguf", 300_000, Digest::of(&body)));
    assert_eq!(found.location, server.url("/dir/m.gguf"));
    drop(acquired);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    bench.acquire(&[component]).unwrap();
    assert_eq!(server.requests().len(), 1, "the second build asked again");
    assert!(bench.partials().is_empty());
}

#[test]
fn the_same_content_is_fetched_once_for_several_components() {
    let server = Server::start(|_| Answer::ok("x"));
    let bench = Bench::new();
    let one = |name| binary(name, url(&server.url("/x")), Some(Digest::of(b"x")));
    let acquired = bench.acquire(&[one("a"), one("b")]).unwrap();
    assert_eq!(file(&acquired, 0).path, file(&acquired, 1).path);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn two_builders_at_once_share_one_download() {
    let body = Arc::new(content(2_000_000));
    let copy = Arc::clone(&body);
    let server = Server::start(move |request| Answer::ranged(request, &copy, "\"a\""));
    let first = Bench::new();
    let mut second = Bench::new();
    second.options.cache_dir.clone_from(&first.options.cache_dir);
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    std::thread::scope(|scope| {
        for bench in [&first, &second] {
            let (component, body) = (&component, &body);
            scope.spawn(move || assert_eq!(bench.content(component).unwrap(), **body));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_damaged_cache_object_is_fetched_again() {
    let server = Server::start(|_| Answer::ok("right"));
    let bench = Bench::new();
    let component = binary("b", url(&server.url("/b")), Some(Digest::of(b"right")));
    bench.content(&component).unwrap();
    std::fs::write(&bench.objects()[0], "wrong").unwrap();
    assert_eq!(bench.content(&component).unwrap(), b"right");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn wrong_content_is_refused_with_both_digests_and_thrown_away() {
    let server = Server::start(|_| Answer::ok("wrong"));
    let bench = Bench::new();
    let expected = Digest::of(b"right");
    let error = bench.content(&model("m", url(&server.url("/m")), Some(expected))).unwrap_err();
    let text = told(&error);
    assert!(text.starts_with("Model checksum mismatch"), "{text}");
    for part in [expected.to_string(), Digest::of(b"wrong").to_string(), server.url("/m"), "\"m\"".to_owned()] {
        assert!(text.contains(&part), "{part} is missing in {text}");
    }
    assert_eq!(error.exit_code(), 42);
    assert!(bench.partials().is_empty() && bench.objects().is_empty());
    assert_eq!(server.requests().len(), 1, "a wrong checksum is not worth asking again");
    let error = bench.content(&binary("b", url(&server.url("/m")), Some(expected))).unwrap_err();
    assert!(error.to_string().starts_with("Checksum mismatch"), "{error}");
}

#[test]
fn a_url_without_checksum_is_trusted_only_on_request_and_then_pinned() {
    let server = Server::start(|request| Answer::ok(if request.target == "/v1" { "one" } else { "two" }));
    let mut bench = Bench::new();
    let component = binary("b", url(&server.url("/v1")), None);
    let error = bench.content(&component).unwrap_err();
    assert_eq!(error.exit_code(), 40);
    assert!(told(&error).contains("--update-lock"), "{}", told(&error));
    assert!(server.requests().is_empty());
    assert_eq!(bench.in_mode(LockMode::Update).content(&component).unwrap(), b"one");
    assert!(bench.events().contains("no checksum is known"), "{}", bench.events());
    assert!(bench.lock_text().contains(&Digest::of(b"one").hex()));
    assert_eq!(bench.in_mode(LockMode::Locked).content(&component).unwrap(), b"one");
    assert_eq!(server.requests().len(), 1);
    let error = bench.in_mode(LockMode::Follow).content(&binary("b", url(&server.url("/v2")), None)).unwrap_err();
    assert_eq!(error.exit_code(), 40, "another URL is not covered by the old entry");
}

#[test]
fn content_that_changed_since_it_was_pinned_is_refused_and_shown_on_update() {
    let bodies = [&b"old"[..], b"new!"];
    let server = Server::start(move |request| Answer::ok(bodies[request.number.min(1)]));
    let mut bench = Bench::new();
    let component = binary("b", url(&server.url("/b")), None);
    bench.in_mode(LockMode::Record).content(&component).unwrap();
    std::fs::remove_dir_all(&bench.options.cache_dir).unwrap();
    let error = bench.in_mode(LockMode::Follow).content(&component).unwrap_err();
    assert_eq!(error.exit_code(), 42, "{error}");
    let before = bench.lock_text();
    let acquired = bench.in_mode(LockMode::Update).acquire(&[component]).unwrap();
    assert_eq!(acquired.lock_changes.len(), 2, "{:?}", acquired.lock_changes);
    assert!(acquired.lock_changes[0].starts_with("- b: ") && acquired.lock_changes[1].starts_with("+ b: "));
    assert_ne!(bench.lock_text(), before);
}

#[test]
fn locked_refuses_a_missing_lock_file_and_any_entry_that_would_change() {
    let server = Server::start(|_| Answer::ok("x"));
    let mut bench = Bench::new();
    let one = |name| binary(name, url(&server.url("/x")), Some(Digest::of(b"x")));
    assert_eq!(bench.in_mode(LockMode::Locked).acquire(&[one("a")]).unwrap_err().exit_code(), 40);
    bench.in_mode(LockMode::Follow).acquire(&[one("a"), one("b")]).unwrap();
    bench.in_mode(LockMode::Locked).acquire(&[one("a"), one("b")]).unwrap();
    let added = bench.acquire(&[one("a"), one("b"), one("c")]).unwrap_err();
    assert!(added.to_string().contains("\"c\""), "{added}");
    let removed = bench.acquire(&[one("a")]).unwrap_err();
    assert!(removed.to_string().contains("- b: "), "{removed}");
}

#[test]
fn content_that_another_host_sends_is_told_and_refused_when_locked() {
    let server = Server::start(|request| match request.target.as_str() {
        "/b" if request.number == 0 => Answer::ok("x"),
        "/b" => Answer::redirect(
            302,
            &format!("http://localhost:{}/x", request.header("host").unwrap().rsplit(':').next().unwrap()),
        ),
        _ => Answer::ok("x"),
    });
    let mut bench = Bench::new();
    let component = binary("b", url(&server.url("/b")), Some(Digest::of(b"x")));
    bench.content(&component).unwrap();
    let lock = bench.lock_text();
    std::fs::remove_dir_all(&bench.options.cache_dir).unwrap();
    let error = bench.in_mode(LockMode::Locked).content(&component).unwrap_err();
    assert!(error.to_string().contains("localhost sent it"), "{error}");
    std::fs::remove_dir_all(&bench.options.cache_dir).unwrap();
    bench.in_mode(LockMode::Follow).content(&component).unwrap();
    assert!(bench.events().contains("localhost sent it"), "{}", bench.events());
    assert_eq!(bench.lock_text(), lock, "a build changed an entry");
}

#[test]
fn the_lock_file_is_the_same_whatever_order_and_directory() {
    let server = Server::start(|request| Answer::ok(request.target.clone()));
    let one = |name: &str| {
        binary(name, url(&server.url(&format!("/{name}"))), Some(Digest::of(format!("/{name}").as_bytes())))
    };
    let (first, second) = (Bench::new(), Bench::new());
    first.acquire(&[one("a"), one("b")]).unwrap();
    second.acquire(&[one("b"), one("a")]).unwrap();
    assert_eq!(first.lock_text(), second.lock_text());
}

#[test]
fn a_manifest_checksum_that_contradicts_the_lock_file_is_an_error_before_any_request() {
    let server = Server::start(|_| Answer::ok("x"));
    let bench = Bench::new();
    bench.content(&binary("b", url(&server.url("/b")), Some(Digest::of(b"x")))).unwrap();
    let error = bench.content(&binary("b", url(&server.url("/b")), Some(Digest::of(b"y")))).unwrap_err();
    assert_eq!(error.exit_code(), 42);
    assert!(error.to_string().contains("AirGapDeploy.lock"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn offline_uses_the_cache_and_nothing_else() {
    let server = Server::start(|_| Answer::ok("x"));
    let mut bench = Bench::new();
    let component = binary("b", url(&server.url("/b")), Some(Digest::of(b"x")));
    bench.options.offline = true;
    let error = bench.content(&component).unwrap_err();
    assert!(told(&error).contains("--offline"), "{}", told(&error));
    assert!(server.requests().is_empty());
    bench.options.offline = false;
    bench.content(&component).unwrap();
    bench.options.offline = true;
    assert_eq!(bench.content(&component).unwrap(), b"x");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_mirror_serves_the_bytes_and_leaves_no_trace_in_the_lock_file() {
    let server = Server::start(|request| Answer::ok(request.target.clone()));
    let mirror = server.url("/mirror");
    let mut bench = Bench::new().with_mirror("https://ollama.ai/download", &mirror);
    bench.allowed_hosts = Some(vec!["ollama.ai".to_owned()]);
    let body = b"/mirror/llama2-7b.gguf";
    let component = model("m", url("https://ollama.ai/download/llama2-7b.gguf"), Some(Digest::of(body)));
    assert_eq!(bench.content(&component).unwrap(), body);
    let lock = bench.lock_text();
    assert!(lock.contains("https://ollama.ai/download/llama2-7b.gguf") && !lock.contains("127.0.0.1"), "{lock}");
}

#[test]
fn files_are_hashed_where_they_are() {
    let mut bench = Bench::new();
    std::fs::write(bench.dir.path().join("tool.conf"), b"abc").unwrap();
    let source = || SourceKind::File { path: "tool.conf".into() };
    let acquired = bench.acquire(&[binary("f", source(), Some(Digest::of(b"abc")))]).unwrap();
    let found = file(&acquired, 0);
    assert_eq!(found.path, bench.dir.path().join("tool.conf"));
    assert_eq!(found.location, "file:tool.conf");
    assert!(bench.objects().is_empty());
    drop(acquired);
    std::fs::write(bench.dir.path().join("tool.conf"), b"abd").unwrap();
    let error = bench.in_mode(LockMode::Locked).acquire(&[binary("f", source(), None)]).unwrap_err();
    assert_eq!(error.exit_code(), 42, "the lock file pins local files, too: {error}");
    let error =
        bench.in_mode(LockMode::Follow).acquire(&[binary("f", source(), Some(Digest::of(b"abc")))]).unwrap_err();
    assert_eq!(error.exit_code(), 42);
    bench.acquire(&[binary("f", source(), None)]).unwrap();
    assert!(bench.events().contains("changed since AirGapDeploy.lock"), "{}", bench.events());
    bench.in_mode(LockMode::Locked).acquire(&[binary("f", source(), None)]).unwrap();
    let error = bench
        .in_mode(LockMode::Follow)
        .acquire(&[binary("f", SourceKind::File { path: "gone".into() }, None)])
        .unwrap_err();
    assert_eq!(error.exit_code(), 41);
    assert!(error.to_string().starts_with("Binary not found"), "{error}");
}

#[test]
fn a_files_place_on_this_machine_reaches_neither_lock_file_nor_location() {
    let texts = [Bench::new(), Bench::new()].map(|bench| {
        let path = bench.dir.path().join("files/tool.conf");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"abc").unwrap();
        // As the manifest's reader gives it: joined to the manifest's directory.
        let acquired = bench.acquire(&[binary("f", SourceKind::File { path: path.clone() }, None)]).unwrap();
        assert_eq!(file(&acquired, 0).location, "file:files/tool.conf");
        assert_eq!(file(&acquired, 0).path, path);
        bench.lock_text()
    });
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn a_directory_is_an_unpacked_binary_and_pinned_as_a_whole() {
    let mut bench = Bench::new();
    let dir = bench.dir.path().join("unpacked");
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    std::fs::write(dir.join("bin/tool"), b"elf").unwrap();
    let component = binary("d", SourceKind::File { path: "unpacked".into() }, None);
    let acquired = bench.acquire(std::slice::from_ref(&component)).unwrap();
    assert!(matches!(&acquired.artifacts[0], Some(Artifact::Directory { path }) if *path == dir));
    std::fs::write(dir.join("bin/tool"), b"ELF").unwrap();
    assert_eq!(bench.in_mode(LockMode::Locked).acquire(&[component]).unwrap_err().exit_code(), 42);
    let error =
        bench.in_mode(LockMode::Follow).acquire(&[model("d", SourceKind::File { path: "unpacked".into() }, None)]);
    assert_eq!(error.unwrap_err().exit_code(), 41);
}
