//! Sources of type `github-release` against a stand-in that answers as GitHub's API and download site do.
//! Shapes: the release of `ollama/ollama` v0.15.0, its asset names and its `sha256sum.txt`.

mod support;

use builder::fetch::LockMode;
use builder::manifest::{Component, SourceKind};
use payload::Digest;
use payload::index::Arch;
use support::server::{Answer, Request, Server};
use support::{Bench, binary, file, told};

const ASSETS: [&str; 6] = [
    "ollama-darwin.tgz",
    "ollama-linux-amd64-rocm.tar.zst",
    "ollama-linux-amd64.tar.zst",
    "ollama-linux-arm64-jetpack5.tar.zst",
    "ollama-linux-arm64-jetpack6.tar.zst",
    "ollama-linux-arm64.tar.zst",
];
const API: &str = "/api/repos/ollama/ollama/releases/tags/v0.15.0";
const DOWNLOADS: &str = "/gh/ollama/ollama/releases/download/v0.15.0/";

/// The bytes of an asset.
fn bytes(name: &str) -> Vec<u8> {
    format!("the bytes of {name}").into_bytes()
}

fn sums() -> String {
    let lines: Vec<_> = ASSETS.iter().map(|name| format!("{}  ./{name}\n", Digest::of(&bytes(name)).hex())).collect();
    lines.concat()
}

fn description() -> serde_json::Value {
    let asset = |name: &str, content: &[u8]| {
        serde_json::json!({
            "url": format!("https://api.github.com/repos/ollama/ollama/releases/assets/{}", name.len()),
            "id": name.len(), "name": name, "label": "", "content_type": "application/zstd", "state": "uploaded",
            "size": content.len(), "digest": Digest::of(content).to_string(), "download_count": 1,
            "browser_download_url": format!("https://github.com/ollama/ollama/releases/download/v0.15.0/{name}"),
        })
    };
    let mut assets: Vec<_> = ASSETS.iter().map(|name| asset(name, &bytes(name))).collect();
    assets.push(asset("sha256sum.txt", sums().as_bytes()));
    serde_json::json!({
        "url": "https://api.github.com/repos/ollama/ollama/releases/1", "tag_name": "v0.15.0", "name": "v0.15.0",
        "draft": false, "prerelease": false, "immutable": false, "assets": assets, "body": "notes",
    })
}

/// GitHub as it is, where `special` has nothing else to say.
fn github(special: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        if let Some(answer) = special(request) {
            return answer;
        }
        match request.target.as_str() {
            API => Answer::ok(description().to_string()).with("content-type", "application/json; charset=utf-8"),
            target => match target.strip_prefix(DOWNLOADS) {
                Some("sha256sum.txt") => Answer::ok(sums()),
                Some(name) if ASSETS.contains(&name) => Answer::redirect(302, &format!("/storage/{name}")),
                _ => match target.strip_prefix("/storage/") {
                    Some(name) => Answer::ranged(request, &bytes(name), "\"0x8D\""),
                    None => Answer::new(404, "Not Found"),
                },
            },
        }
    })
}

fn bench(server: &Server) -> Bench {
    Bench::new()
        .with_mirror("https://api.github.com/", &server.url("/api/"))
        .with_mirror("https://github.com", &server.url("/gh"))
}

fn ollama(pattern: &str, checksum: Option<Digest>) -> Component {
    let owned = str::to_owned;
    let kind = SourceKind::GithubRelease {
        repo: owned("ollama/ollama"),
        tag: owned("v0.15.0"),
        asset_pattern: owned(pattern),
    };
    binary("ollama", kind, checksum)
}

fn targets(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|request| request.target).collect()
}

#[test]
fn the_use_cases_pattern_brings_the_archive_and_pins_it() {
    let server = github(|_| None);
    let mut bench = bench(&server);
    let component = ollama("ollama-linux-amd64", None);
    let acquired = bench.acquire(std::slice::from_ref(&component)).unwrap();
    let name = "ollama-linux-amd64.tar.zst";
    assert_eq!(std::fs::read(&file(&acquired, 0).path).unwrap(), bytes(name));
    assert_eq!(file(&acquired, 0).name, name);
    assert_eq!(
        file(&acquired, 0).location,
        format!("https://github.com/ollama/ollama/releases/download/v0.15.0/{name}")
    );
    assert!(bench.lock_text().contains(&Digest::of(&bytes(name)).hex()));
    let asked = server.requests().len();
    bench.in_mode(LockMode::Locked).acquire(&[component]).unwrap();
    assert_eq!(server.requests().len(), asked, "the second build asked again");
}

const FOR_BOTH: &str = r#"
[package]
name = "p"
version = "1"
[install]
prefix = "/opt/p"
[[components]]
type = "external-binary"
name = "ollama"
install_path = "bin/ollama"
[components.source]
type = "github-release"
repo = "ollama/ollama"
tag = "v0.15.0"
asset_pattern = "ollama-linux-{goarch}"
[[components]]
type = "config-file"
name = "notes"
install_path = "notes"
source = { type = "file", path = "notes.txt" }
"#;

#[test]
fn one_manifest_brings_and_pins_the_asset_of_each_architecture() {
    let server = github(|_| None);
    let mut bench = bench(&server);
    std::fs::write(bench.dir.path().join("notes.txt"), "notes").unwrap();
    let acquire = |bench: &Bench, text: &str, target| {
        let path = bench.dir.path().join("AirGapDeploy.toml");
        std::fs::write(&path, text).unwrap();
        let manifest = builder::manifest::parse(&path, text.as_bytes(), target).unwrap().manifest;
        let wanted: Vec<&Component> = manifest.components.iter().collect();
        builder::fetch::acquire(&manifest, &wanted, &bench.options, &bench.events)
    };
    let names = [(Arch::X86_64, "ollama-linux-amd64.tar.zst"), (Arch::Aarch64, "ollama-linux-arm64.tar.zst")];
    acquire(&bench, FOR_BOTH, Arch::X86_64).unwrap();
    let error = acquire(bench.in_mode(LockMode::Locked), FOR_BOTH, Arch::Aarch64).unwrap_err();
    assert!(told(&error).contains("does not have it for aarch64"), "{}", told(&error));
    assert!(told(&error).contains("`builder lock --target aarch64`"), "{}", told(&error));
    let changes = acquire(bench.in_mode(LockMode::Record), FOR_BOTH, Arch::Aarch64).unwrap().lock_changes;
    assert!(changes.len() == 1 && changes[0].starts_with("+ ollama (aarch64): "), "{changes:?}");

    // From now on each is built from what is pinned and kept, and neither touches what is the other's.
    let (pinned, asked) = (bench.lock_text(), server.requests().len());
    bench.options.offline = true;
    for mode in [LockMode::Locked, LockMode::Follow] {
        for (target, name) in names {
            let acquired = acquire(bench.in_mode(mode), FOR_BOTH, target).unwrap();
            assert_eq!(std::fs::read(&file(&acquired, 0).path).unwrap(), bytes(name));
            assert_eq!(bench.lock_text(), pinned);
        }
    }
    assert_eq!(server.requests().len(), asked);
    bench.options.offline = false;
    acquire(bench.in_mode(LockMode::Update), FOR_BOTH, Arch::Aarch64).unwrap();
    assert_eq!(bench.lock_text(), pinned);

    // Without the placeholder there is one entry again; a locked build does not drop the others quietly.
    let for_one = FOR_BOTH.replace("{goarch}", "amd64");
    acquire(bench.in_mode(LockMode::Locked), &for_one, Arch::X86_64).unwrap_err();
    let changes = acquire(bench.in_mode(LockMode::Follow), &for_one, Arch::X86_64).unwrap().lock_changes;
    let starts: Vec<_> = changes.iter().map(|line| line.split("https").next().unwrap()).collect();
    assert_eq!(starts, ["+ ollama: ", "- ollama (aarch64): ", "- ollama (x86_64): "]);
    assert!(!bench.lock_text().contains("target"), "{}", bench.lock_text());
    // What was pinned for the same asset stays pinned when the placeholder comes back.
    bench.options.offline = true;
    let acquired = acquire(&bench, FOR_BOTH, Arch::X86_64).unwrap();
    assert_eq!(file(&acquired, 0).digest, Digest::of(&bytes("ollama-linux-amd64.tar.zst")));
    acquire(&bench, FOR_BOTH, Arch::Aarch64).unwrap_err();
}

#[test]
fn the_pinned_asset_needs_neither_api_nor_list_when_the_cache_is_empty() {
    let server = github(|_| None);
    let bench = bench(&server);
    bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
    std::fs::remove_dir_all(&bench.options.cache_dir).unwrap();
    let asked = server.requests().len();
    bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
    let again = targets(&server).split_off(asked);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again[0].starts_with(DOWNLOADS) && again[1].starts_with("/storage/"), "{again:?}");
}

#[test]
fn without_api_quota_the_checksum_list_names_the_assets() {
    for status in [403, 429, 500] {
        let server = github(move |request| {
            let limited =
                Answer::new(status, r#"{"message":"API rate limit exceeded"}"#).with("x-ratelimit-remaining", "0");
            request.target.starts_with("/api").then_some(limited)
        });
        let bench = bench(&server);
        let acquired = bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
        assert_eq!(file(&acquired, 0).digest, Digest::of(&bytes("ollama-linux-amd64.tar.zst")));
        let asked = targets(&server).iter().filter(|target| target.starts_with("/api")).count();
        assert_eq!(asked, if status == 500 { 3 } else { 1 }, "a used-up quota is not asked again");
        assert!(bench.events().contains("GitHub's API"), "{}", bench.events());
    }
}

#[test]
fn an_api_outside_allowed_hosts_is_done_without() {
    let server = github(|_| None);
    let mut bench = bench(&server);
    bench.allowed_hosts = Some(vec!["github.com".to_owned()]);
    bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
    assert!(!targets(&server).iter().any(|target| target.starts_with("/api")));
    bench.allowed_hosts = Some(vec!["registry.ollama.ai".to_owned()]);
    let error = bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap_err();
    assert!(told(&error).contains("github.com is not in allowed_hosts"), "{}", told(&error));
}

#[test]
fn a_wrong_pattern_is_binary_not_found_with_the_assets() {
    for api in [true, false] {
        let server = github(move |request| (!api && request.target.starts_with("/api")).then(|| Answer::new(403, "")));
        let bench = bench(&server);
        let error = bench.acquire(&[ollama("ollama-linux-x86", None)]).unwrap_err();
        let text = told(&error);
        assert_eq!(error.exit_code(), 41);
        assert!(text.starts_with("Binary not found"), "{text}");
        for name in ASSETS {
            assert!(text.contains(name), "{name} is missing in {text}");
        }
        let error = bench.acquire(&[ollama("ollama-linux-*", None)]).unwrap_err();
        assert!(error.to_string().contains("several"), "{error}");
    }
}

#[test]
fn a_tag_that_is_not_there_is_said_so() {
    let server = github(|request| (!request.target.starts_with("/storage")).then(|| Answer::new(404, "{}")));
    let error = bench(&server).acquire(&[ollama("ollama-linux-amd64", None)]).unwrap_err();
    assert_eq!(error.exit_code(), 41);
    assert!(error.to_string().contains("no public release with the tag \"v0.15.0\""), "{error}");
}

#[test]
fn any_disagreement_about_the_digest_is_an_error_before_the_download() {
    let other = Digest::of(b"other");
    let list = github(move |request| {
        let sums = sums().replace(&Digest::of(&bytes("ollama-linux-amd64.tar.zst")).hex(), &other.hex());
        request.target.ends_with("sha256sum.txt").then(|| Answer::ok(sums))
    });
    let twice = github(move |request| {
        let sums = format!("{}{}  ./ollama-linux-amd64.tar.zst\n", sums(), other.hex());
        request.target.ends_with("sha256sum.txt").then(|| Answer::ok(sums))
    });
    let honest = github(|_| None);
    for (server, checksum) in [(&list, None), (&twice, None), (&honest, Some(other))] {
        let error = bench(server).acquire(&[ollama("ollama-linux-amd64", checksum)]).unwrap_err();
        assert_eq!(error.exit_code(), 42);
        assert!(error.to_string().contains(&other.to_string()), "{error}");
        assert!(!targets(server).iter().any(|target| target.starts_with("/storage")));
    }
}

#[test]
fn bytes_that_are_not_what_the_release_says_are_refused() {
    let server = github(|request| request.target.starts_with("/storage").then(|| Answer::ok("forged")));
    let error = bench(&server).acquire(&[ollama("ollama-linux-amd64", None)]).unwrap_err();
    assert_eq!(error.exit_code(), 42);
}

#[test]
fn a_release_without_any_digest_needs_a_checksum_or_trust() {
    let server = github(|request| match request.target.as_str() {
        API => {
            let mut description = description();
            for asset in description["assets"].as_array_mut().unwrap() {
                asset.as_object_mut().unwrap().remove("digest");
            }
            description["assets"].as_array_mut().unwrap().retain(|asset| asset["name"] != "sha256sum.txt");
            Some(Answer::ok(description.to_string()))
        }
        _ => None,
    });
    let mut bench = bench(&server);
    assert_eq!(bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap_err().exit_code(), 40);
    let checksum = Digest::of(&bytes("ollama-linux-amd64.tar.zst"));
    bench.acquire(&[ollama("ollama-linux-amd64", Some(checksum))]).unwrap();
    std::fs::remove_file(bench.lock_path()).unwrap();
    bench.in_mode(LockMode::Record).acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
}

#[test]
fn a_token_never_reaches_a_mirror() {
    let server = github(|_| None);
    let mut bench = bench(&server);
    bench.options.github_token = Some("ghp_secret".to_owned());
    bench.acquire(&[ollama("ollama-linux-amd64", None)]).unwrap();
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(!bench.lock_text().contains("ghp_secret") && !bench.events().contains("ghp_secret"));
}
