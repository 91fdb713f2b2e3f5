//! Whole packages: which entries end up where, whose they are, and what is refused.
//! Archives and models are built with the writers of `archive/tests.rs` and `gguf/testing.rs`.

use std::fs;

use payload::Hasher;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::content::archive::tests::{ELF, Raw, file, link, tar, verified, zst};
use crate::content::gguf::testing::Writer;
use crate::fetch::artifact::{RegistryLayer, RegistryModel, VerifiedFile};
use crate::manifest::{
    Content as Given, Install, IpAllow, ModelName, ModelSettings, Package, PartRole, Relax, Source, SourceKind,
};

const UNIT: &str = "\n[Service]\nUser=ollama\nExecStart=/opt/ollama/bin/ollama serve\n";
const UNIT_PATH: &str = "/etc/systemd/system/ollama.service";

/// A package in the making: components with what was fetched for them.
struct Kit {
    dir: TempDir,
    manifest: Manifest,
    components: Vec<(Component, Option<Artifact>)>,
    parts: Vec<PartArtifact>,
}

fn path(text: &str) -> RelPath {
    text.parse().unwrap()
}

fn owner(user: &str) -> Owner {
    Owner { user: user.parse().unwrap(), group: user.parse().unwrap() }
}

fn install_path(given: &str) -> InstallPath {
    match given.strip_prefix('/') {
        Some(rest) => InstallPath { given: given.to_owned(), path: path(rest), absolute: true },
        None => InstallPath { given: given.to_owned(), path: path(&format!("opt/ollama/{given}")), absolute: false },
    }
}

fn source() -> Source {
    Source { kind: SourceKind::File { path: "x".into() }, checksum: None, per_target: false }
}

fn model_name(model: &str) -> ModelName {
    let part = str::to_owned;
    ModelName { host: part("registry.ollama.ai"), namespace: part("library"), model: part(model), tag: part("latest") }
}

fn component(name: &str, kind: ComponentKind) -> Component {
    Component { name: name.to_owned(), required: true, kind, mode: None, owner: None, group: None, parts: Vec::new() }
}

fn chatty() -> Writer {
    Writer::new("llama").text("tokenizer.chat_template", "<|im_start|><|im_end|>").tensor("w", &[4])
}

impl Kit {
    fn new() -> Self {
        let package = Package {
            name: "ollama-deploy".parse().unwrap(),
            version: "0.15.0".to_owned(),
            description: String::new(),
            allowed_hosts: None,
        };
        let install = Install {
            prefix: path("opt/ollama"),
            account: Some(owner("ollama")),
            ip_allow: IpAllow::Localhost,
            command: None,
            relax: Relax::default(),
        };
        let (text, components) = (Vec::new(), Vec::new());
        let manifest = Manifest { path: "m.toml".into(), text, target: Arch::X86_64, package, install, components };
        Self { dir: tempfile::tempdir().unwrap(), manifest, components: Vec::new(), parts: Vec::new() }
    }

    /// What goes with the last component.
    fn part(mut self, role: PartRole, bytes: &[u8]) -> Self {
        let artifact = Artifact::File(verified(self.dir.path(), role.name(), bytes));
        self.parts.push(PartArtifact { component: self.components.len() - 1, role, artifact });
        self
    }

    fn binary(mut self, at: &str, members: &[Raw<'_>], exclude: &[&str]) -> Self {
        let artifact = verified(self.dir.path(), "ollama-linux-amd64.tar.zst", &zst(&tar(members)));
        let exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
        let kind = ComponentKind::ExternalBinary { source: source(), install_path: install_path(at), exclude };
        self.components.push((component("ollama", kind), Some(Artifact::File(artifact))));
        self
    }

    fn model(self, name: &str, at: Option<&str>, bytes: &[u8]) -> Self {
        let artifact = Artifact::File(verified(self.dir.path(), name, bytes));
        self.model_from(name, at, artifact, ModelSettings::default())
    }

    fn model_from(mut self, name: &str, at: Option<&str>, artifact: Artifact, settings: ModelSettings) -> Self {
        let install_path = at.map(install_path);
        let kind = ComponentKind::ModelFile {
            source: source(),
            install_path,
            names: vec![model_name(name)],
            settings: Box::new(settings),
        };
        self.components.push((component(name, kind), Some(artifact)));
        self
    }

    fn config(mut self, at: &str, content: &str) -> Self {
        let content = Given::Inline(content.to_owned());
        let kind = ComponentKind::ConfigFile { content, install_path: install_path(at) };
        self.components.push((component(at, kind), None));
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Component)) -> Self {
        change(&mut self.components.last_mut().unwrap().0);
        self
    }

    fn try_place(mut self) -> (TempDir, Result<Placed, ContentError>) {
        self.manifest.components = self.components.iter().map(|(component, _)| component.clone()).collect();
        let named: Vec<Component> = self.manifest.components.clone();
        let artifacts = self.components.into_iter().map(|(_, artifact)| artifact);
        let components: Vec<_> = named.iter().zip(artifacts).collect();
        let workdir = self.dir.path().join("work");
        fs::create_dir(&workdir).unwrap();
        let placed = place(&self.manifest, &components, &self.parts, &workdir);
        (self.dir, placed)
    }

    fn place(self) -> (TempDir, Placed) {
        let (dir, placed) = self.try_place();
        (dir, placed.unwrap())
    }

    fn error(self) -> ContentError {
        self.try_place().1.unwrap_err()
    }
}

/// One line for each placement: path, owner, mode, and what it is.
fn lines(placed: &Placed) -> Vec<String> {
    placed.placements.iter().map(|(_, placement)| line(placement)).collect()
}

fn line(Placement { path, owner, entry }: &Placement) -> String {
    let what = match entry {
        Entry::Directory { mode } => format!("{mode} directory"),
        Entry::File { mode, role, .. } => format!("{mode} {role:?}"),
        Entry::HardLink { to } => format!("= {to}"),
        Entry::SymbolicLink { target } => format!("-> {target}"),
    };
    format!("{path} {owner} {what}")
}

fn at<'a>(placed: &'a Placed, wanted: &str) -> &'a Placement {
    placed.placements.iter().map(|(_, placement)| placement).find(|placement| placement.path == path(wanted)).unwrap()
}

fn bytes(placement: &Placement) -> Vec<u8> {
    match &placement.entry {
        Entry::File { content: Content::Bytes(bytes), .. } => bytes.clone(),
        Entry::File { content: Content::Disk { path, size, digest }, .. } => {
            let bytes = fs::read(path).unwrap();
            let mut hasher = Hasher::default();
            hasher.update(&bytes);
            assert_eq!((bytes.len() as u64, hasher.finish()), (*size, *digest));
            bytes
        }
        other => panic!("{other:?}"),
    }
}

fn release() -> Vec<Raw<'static>> {
    vec![
        file("bin/ollama", 0o755, ELF),
        file("lib/ollama/libggml-base.so.0.0.0", 0o755, b"base"),
        link("lib/ollama/libggml-base.so", "libggml-base.so.0.0.0"),
        file("lib/ollama/cuda_v13/libcublas.so", 0o644, b"cublas"),
        link("lib/ollama/mlx_cuda_v13/libcublas.so", "../cuda_v13/libcublas.so"),
        file("LICENSE", 0o644, b"MIT"),
    ]
}

#[test]
fn the_use_case_ends_up_where_it_says() {
    let gguf = chatty().bytes();
    let kit = Kit::new().binary("bin/ollama", &release(), &[]).model("llama2-7b", Some("models/llama2-7b.gguf"), &gguf);
    let (_dir, placed) = kit.config(UNIT_PATH, UNIT).place();
    let blob = format!("/opt/ollama/models/blobs/{}", Digest::of(&gguf).blob_name());
    let lines = lines(&placed);
    let expected = [
        "/etc root:root 0755 directory",
        "/etc/systemd root:root 0755 directory",
        "/etc/systemd/system root:root 0755 directory",
        "/etc/systemd/system/ollama.service.d root:root 0755 directory",
        "/opt root:root 0755 directory",
        "/opt/ollama root:root 0755 directory",
        "/opt/ollama/.ollama ollama:ollama 0700 directory",
        "/opt/ollama/bin root:root 0755 directory",
        "/opt/ollama/lib root:root 0755 directory",
        "/opt/ollama/lib/ollama root:root 0755 directory",
        "/opt/ollama/lib/ollama/cuda_v13 root:root 0755 directory",
        "/opt/ollama/lib/ollama/mlx_cuda_v13 root:root 0755 directory",
        "/opt/ollama/models ollama:ollama 0755 directory",
        "/opt/ollama/models/blobs ollama:ollama 0755 directory",
        "/opt/ollama/models/manifests ollama:ollama 0755 directory",
        "/opt/ollama/models/manifests/registry.ollama.ai ollama:ollama 0755 directory",
        "/opt/ollama/models/manifests/registry.ollama.ai/library ollama:ollama 0755 directory",
        "/opt/ollama/models/manifests/registry.ollama.ai/library/llama2-7b ollama:ollama 0755 directory",
        "/opt/ollama/bin/ollama root:root 0755 Program",
        "/opt/ollama/lib/ollama/cuda_v13/libcublas.so root:root 0644 Program",
        "/opt/ollama/lib/ollama/libggml-base.so root:root -> libggml-base.so.0.0.0",
        "/opt/ollama/lib/ollama/libggml-base.so.0.0.0 root:root 0755 Program",
        "/opt/ollama/lib/ollama/mlx_cuda_v13/libcublas.so root:root -> ../cuda_v13/libcublas.so",
        "/opt/ollama/models/llama2-7b.gguf ollama:ollama 0644 ModelBlob",
        &format!("{blob} ollama:ollama = /opt/ollama/models/llama2-7b.gguf"),
    ];
    assert_eq!(lines[..expected.len()], expected);
    let rest = &lines[expected.len()..];
    assert_eq!(rest.iter().filter(|line| line.ends_with("ollama:ollama 0644 ModelBlob")).count(), 3);
    assert_eq!(
        rest[3..],
        [
            "/opt/ollama/models/manifests/registry.ollama.ai/library/llama2-7b/latest ollama:ollama 0644 ModelManifest",
            "/etc/systemd/system/ollama.service.d/10-airgap-deploy.conf root:root 0644 Unit",
            "/etc/systemd/system/ollama.service root:root 0644 Unit",
        ]
    );
    assert_eq!(bytes(at(&placed, "etc/systemd/system/ollama.service")), UNIT.as_bytes());
    assert_eq!(bytes(at(&placed, "opt/ollama/bin/ollama")), ELF);
    assert_eq!(placed.units[0].name, "ollama.service");
    assert_eq!(
        placed.units[0].drop_in.as_ref(),
        Some(&path("etc/systemd/system/ollama.service.d/10-airgap-deploy.conf"))
    );
    assert_eq!(placed.models[0].name, "llama2-7b:latest");
    assert!(placed.placements.iter().any(|(_, placement)| placement.path == placed.models[0].manifest));
}

#[test]
fn every_blob_has_the_name_of_its_digest() {
    let (_dir, placed) = Kit::new().model("m", None, &chatty().bytes()).place();
    let blobs =
        placed.placements.iter().map(|(_, placement)| placement).filter(|p| p.path.as_str().contains("/blobs/"));
    let names: Vec<_> = blobs.map(|blob| (blob.path.name().to_owned(), Digest::of(&bytes(blob)).blob_name())).collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|(name, digest)| name == digest), "{names:?}");
}

#[test]
fn a_link_left_dangling_by_exclude_names_the_pattern() {
    let error = Kit::new().binary("bin/ollama", &release(), &["lib/ollama/cuda_*"]).error();
    let text = error.to_string();
    for part in ["mlx_cuda_v13/libcublas.so", "../cuda_v13/libcublas.so", "\"lib/ollama/cuda_*\""] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.exit_code(), 40);
    let both = ["lib/ollama/cuda_*", "lib/ollama/mlx_*"];
    let (_dir, placed) = Kit::new().binary("bin/ollama", &release(), &both).place();
    assert!(!lines(&placed).iter().any(|line| line.contains("cuda")));
}

#[test]
fn links_stay_inside_the_prefix_and_lead_somewhere() {
    for (target, problem) in [
        ("/etc/passwd", "is absolute"),
        ("../../../../etc/passwd", "leaves /opt/ollama"),
        ("../../../ollama/bin/ollama", "leaves /opt/ollama"),
        ("nothing.so", "the package does not hold"),
        ("loop", "leads in a circle"),
    ] {
        let error =
            Kit::new().binary("bin/ollama", &[file("bin/ollama", 0o755, ELF), link("lib/ollama/loop", target)], &[]);
        let text = error.error().to_string();
        assert!(text.contains(problem), "{text}");
    }
    let chain = [
        file("bin/ollama", 0o755, ELF),
        file("lib/ollama/v1/a.so", 0o644, b"a"),
        link("lib/ollama/current", "v1"),
        link("lib/ollama/a.so", "current/a.so"),
    ];
    Kit::new().binary("bin/ollama", &chain, &[]).place();
}

#[test]
fn a_missing_binary_lists_what_the_archive_holds() {
    let names: Vec<String> = (10..35).map(|number| format!("share/file{number}")).collect();
    let members: Vec<Raw<'_>> = names.iter().map(|name| file(name, 0o644, b"")).collect();
    let error = Kit::new().binary("bin/ollama", &members, &[]).error();
    let text = error.to_string();
    assert!(text.starts_with("Binary not found"), "{text}");
    assert!(text.contains("share/file10, ") && text.contains("share/file29 and 5 more"), "{text}");
    assert_eq!(error.exit_code(), 41);
    let excluded = Kit::new().binary("bin/ollama", &release(), &["bin"]).error().to_string();
    assert!(excluded.starts_with("Binary not found") && excluded.contains("exclude pattern \"bin\""), "{excluded}");
    let two = [file("amd64/ollama", 0o755, ELF), file("arm64/ollama", 0o755, ELF)];
    let text = Kit::new().binary("bin/ollama", &two, &[]).error().to_string();
    assert!(text.contains("amd64/ollama, arm64/ollama"), "{text}");
}

#[test]
fn mode_and_owner_are_for_the_program_alone() {
    let kit = Kit::new().binary("/usr/local/bin/ollama", &release(), &[]).last(|component| {
        component.mode = Some("0750".parse().unwrap());
        component.group = Some("ai".parse().unwrap());
    });
    let (_dir, placed) = kit.place();
    assert_eq!(line(at(&placed, "usr/local/bin/ollama")), "/usr/local/bin/ollama root:ai 0750 Program");
    let library = "usr/local/lib/ollama/libggml-base.so.0.0.0";
    assert_eq!(line(at(&placed, library)), format!("/{library} root:root 0755 Program"));
}

#[test]
fn hard_links_of_an_archive_stay_one_file_unless_the_program_is_one_of_them() {
    let hard = |name, to| (name, tar::EntryType::Link, 0o644, to, &b""[..]);
    let members = [
        file("bin/ollama", 0o755, ELF),
        file("lib/ollama/a.so", 0o644, b"a"),
        hard("lib/ollama/b.so", "lib/ollama/a.so"),
        hard("lib/ollama/ollama", "bin/ollama"),
    ];
    let (_dir, placed) = Kit::new().binary("bin/ollama", &members, &[]).place();
    assert!(lines(&placed).contains(&"/opt/ollama/lib/ollama/b.so root:root = /opt/ollama/lib/ollama/a.so".to_owned()));
    assert_eq!(bytes(at(&placed, "opt/ollama/lib/ollama/ollama")), ELF);
}

#[test]
fn two_components_cannot_place_one_path_nor_something_below_a_file() {
    let error = Kit::new().config("/etc/x.conf", "1").config("/etc/x.conf", "2").error();
    assert!(error.to_string().contains("/etc/x.conf would be placed by component"), "{error}");
    let error = Kit::new().config("/etc/x", "1").config("/etc/x/y", "2").error();
    assert!(matches!(&error, ContentError::Conflict { path: at, .. } if *at == path("etc/x")), "{error}");
}

#[test]
fn the_same_weights_are_placed_once_under_all_their_names() {
    let gguf = chatty().bytes();
    let kit = Kit::new().model("a", Some("models/a.gguf"), &gguf).model("b", Some("models/b.gguf"), &gguf);
    let (_dir, placed) = kit.model("c", None, &gguf).place();
    let lines = lines(&placed);
    let blob = Digest::of(&gguf).blob_name();
    assert!(lines.contains(&"/opt/ollama/models/a.gguf ollama:ollama 0644 ModelBlob".to_owned()));
    assert!(lines.contains(&"/opt/ollama/models/b.gguf ollama:ollama = /opt/ollama/models/a.gguf".to_owned()));
    assert_eq!(lines.iter().filter(|line| line.contains(&blob)).count(), 1);
    assert_eq!(placed.models.len(), 3);
}

#[test]
fn weights_outside_the_prefix_are_copied_and_said_to_be() {
    let (_dir, placed) = Kit::new().model("a", Some("/data/a.gguf"), &chatty().bytes()).place();
    assert_eq!(lines(&placed).iter().filter(|line| line.ends_with("0644 ModelBlob")).count(), 5);
    assert!(placed.warnings[0].contains("placed twice"), "{:?}", placed.warnings);
    let (_dir, placed) = Kit::new().model("a", Some("share/a.gguf"), &chatty().bytes()).place();
    assert!(lines(&placed).iter().any(|line| line.ends_with("= /opt/ollama/share/a.gguf")));
}

#[test]
fn ollamas_own_directories_are_no_install_paths() {
    let error = Kit::new().model("a", Some("models/blobs/a.gguf"), &chatty().bytes()).error();
    assert!(error.to_string().contains("Ollama keeps for itself"), "{error}");
}

#[test]
fn models_that_cannot_load_are_refused_with_a_remedy() {
    let refused = |bytes: &[u8], problem: &str, remedy: &str| {
        let error = Kit::new().model("m", Some("models/m.gguf"), bytes).error();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint().contains(remedy), "{}", error.hint());
        assert_eq!(error.exit_code(), 40);
    };
    refused(b"<!DOCTYPE html>", "web page", "downloads the file itself");
    let whole = chatty().bytes();
    refused(&whole[..whole.len() - 1], "truncated", "fetch it again");
    refused(&chatty().u32("split.count", 2).bytes(), "split model", "llama-gguf-split --merge");
    let embedding = Writer::new("bert").u32("bert.pooling_type", 1).tensor("w", &[1]).bytes();
    let kit = Kit::new();
    let artifact = Artifact::File(verified(kit.dir.path(), "e", &embedding));
    let settings = ModelSettings { system: Some("You are kind.".to_owned()), ..ModelSettings::default() };
    let error = kit.model_from("e", None, artifact, settings).error();
    assert!(error.to_string().contains("embedding model"), "{error}");
}

#[test]
fn an_architecture_that_the_shipped_release_does_not_load_is_refused() {
    let shipped = |tag: &str, bytes: &[u8]| {
        let kit = Kit::new().binary("bin/ollama", &[file("bin/ollama", 0o755, ELF)], &[]).last(|component| {
            let ComponentKind::ExternalBinary { source, .. } = &mut component.kind else { return };
            let part = str::to_owned;
            let (repo, tag, asset_pattern) = (part("ollama/ollama"), part(tag), part("ollama-linux-amd64"));
            source.kind = SourceKind::GithubRelease { repo, tag, asset_pattern };
        });
        kit.model("m", Some("models/m.gguf"), bytes).try_place().1
    };
    let unknown = Writer::new("brand-new").tensor("w", &[4]).bytes();
    let error = shipped("v0.15.0", &unknown).unwrap_err();
    assert!(error.to_string().contains("\"brand-new\", which Ollama 0.15.0 in this package does not load"), "{error}");
    assert!(error.hint().contains("source.tag") && error.exit_code() == 40);
    assert!(shipped("v9.0.0", &unknown).is_ok() && shipped("v0.15.0", &chatty().bytes()).is_ok());
    assert!(Kit::new().model("m", Some("models/m.gguf"), &unknown).try_place().1.is_ok());
}

fn registry_model(kit: &Kit) -> RegistryModel {
    let put = |name: &str, bytes: &[u8]| verified(kit.dir.path(), name, bytes);
    let layer = |media_type: &str, file: VerifiedFile| RegistryLayer { media_type: media_type.to_owned(), file };
    let layers = vec![
        layer("application/vnd.ollama.image.model", put("weights", b"GGUF weights")),
        layer("application/vnd.ollama.image.params", put("params", b"{\"top_k\":1}")),
    ];
    let listed: Vec<_> = layers
        .iter()
        .map(|layer| json!({"mediaType": layer.media_type, "digest": layer.file.digest.to_string(), "size": layer.file.size}))
        .collect();
    let manifest = json!({"schemaVersion": 2, "layers": listed}).to_string().into_bytes();
    let config = put("config", b"{\"model_format\":\"gguf\",\"rootfs\":{}}");
    RegistryModel { name: model_name("llama2"), manifest, config, layers }
}

#[test]
fn registry_models_keep_their_manifest_byte_for_byte() {
    let kit = Kit::new();
    let model = registry_model(&kit);
    let manifest = model.manifest.clone();
    let kit = kit.model_from("llama2", Some("models/llama2.gguf"), Artifact::Model(model), ModelSettings::default());
    let (_dir, placed) = kit.place();
    assert_eq!(bytes(at(&placed, "opt/ollama/models/manifests/registry.ollama.ai/library/llama2/latest")), manifest);
    assert_eq!(bytes(at(&placed, "opt/ollama/models/llama2.gguf")), b"GGUF weights");
    let blob = format!("opt/ollama/models/blobs/{}", Digest::of(b"GGUF weights").blob_name());
    assert!(line(at(&placed, &blob)).ends_with("= /opt/ollama/models/llama2.gguf"));
    at(&placed, &format!("opt/ollama/models/blobs/{}", Digest::of(b"{\"top_k\":1}").blob_name()));
    assert!(placed.warnings.is_empty());
}

#[test]
fn settings_on_a_registry_model_are_not_ignored() {
    let kit = Kit::new();
    let model = registry_model(&kit);
    let settings = ModelSettings { system: Some("Be brief.".to_owned()), ..ModelSettings::default() };
    let (_dir, placed) = kit.model_from("m", None, Artifact::Model(model), settings).place();
    let manifest = bytes(at(&placed, "opt/ollama/models/manifests/registry.ollama.ai/library/m/latest"));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
        at(&placed, &format!("opt/ollama/models/blobs/{}", digest.blob_name()));
    }
    assert!(manifest.to_string().contains(&Digest::of(b"Be brief.").to_string()));
}

#[test]
fn a_package_without_ollama_gets_none_of_its_directories() {
    let (_dir, placed) = Kit::new().config("/etc/systemd/system/x.service", UNIT).place();
    assert_eq!(placed.units[0].drop_in, None);
    assert!(!lines(&placed).iter().any(|line| line.contains("/opt")));
}

#[test]
fn a_service_that_hides_what_it_starts_is_warned_about() {
    let hidden = UNIT.replace("/opt/ollama/bin/ollama serve", "/opt/ollama/start");
    let (_dir, placed) = Kit::new().model("m", None, &chatty().bytes()).config(UNIT_PATH, &hidden).place();
    assert_eq!(placed.units[0].drop_in, None);
    assert!(
        placed.warnings[0].contains("no network restriction and no OLLAMA_MODELS: ollama.service"),
        "{:?}",
        placed.warnings
    );
}

#[test]
fn without_an_account_everything_is_roots_and_there_is_no_home() {
    let mut kit = Kit::new().model("m", None, &chatty().bytes());
    kit.manifest.install.account = None;
    let (_dir, placed) = kit.place();
    assert!(lines(&placed).iter().all(|line| line.contains("root:root")));
    assert!(!lines(&placed).iter().any(|line| line.contains("/.ollama")));
}

/// The first 64 bytes of a 64-bit ELF header without any section.
fn elf_for(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20] = 1;
    bytes[52] = 64;
    bytes
}

#[test]
fn a_program_for_another_architecture_is_refused_and_libraries_are_warned_about() {
    let (arm, intel) = (elf_for(183), elf_for(62));
    let error = Kit::new().binary("bin/ollama", &[file("bin/ollama", 0o755, &arm)], &[]).error();
    assert!(error.to_string().contains("is a program for aarch64, and the package is for x86_64"), "{error}");
    assert!(error.hint().contains("--target aarch64"), "{}", error.hint());
    assert!(error.hint().contains("`{goarch}`"), "{}", error.hint());
    let mixed = [file("bin/ollama", 0o755, &intel), file("lib/ollama/a.so", 0o644, &arm)];
    let (_dir, placed) = Kit::new().binary("bin/ollama", &mixed, &[]).place();
    assert!(placed.warnings[0].contains("1 libraries that are not for x86_64"), "{:?}", placed.warnings);
    let (_dir, placed) = Kit::new().binary("bin/ollama", &mixed[..1], &[]).place();
    assert!(placed.warnings.is_empty(), "{:?}", placed.warnings);
}

#[test]
fn patterns_that_match_nothing_are_warned_about() {
    let (_dir, placed) =
        Kit::new().binary("bin/ollama", &[file("bin/ollama", 0o755, &elf_for(62))], &["cuda*"]).place();
    assert!(placed.warnings[0].contains("matches nothing: \"cuda*\""), "{:?}", placed.warnings);
}

fn adapter(architecture: &str) -> Vec<u8> {
    Writer::new(architecture).text("general.type", "adapter").tensor("a", &[2]).bytes()
}

fn projector() -> Vec<u8> {
    Writer::new("clip").text("general.type", "mmproj").tensor("p", &[3]).bytes()
}

#[test]
fn what_goes_with_a_model_are_layers_of_it_and_several_names_share_them_all() {
    let kit = Kit::new().model("m", None, &chatty().bytes());
    let kit = kit.part(PartRole::Projector, &projector()).part(PartRole::Adapter, &adapter("llama"));
    let kit = kit.last(|component| {
        let ComponentKind::ModelFile { names, .. } = &mut component.kind else { return };
        names.push("corp/m:1.0".parse().unwrap());
    });
    let (_dir, placed) = kit.place();
    let store = "opt/ollama/models/manifests/registry.ollama.ai";
    let manifest = bytes(at(&placed, &format!("{store}/library/m/latest")));
    assert_eq!(manifest, bytes(at(&placed, &format!("{store}/corp/m/1.0"))));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let kinds: Vec<_> =
        layers.iter().map(|layer| layer["mediaType"].as_str().unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!(kinds, ["model", "projector", "adapter", "template", "params"]);
    assert_eq!(layers[2]["digest"], Digest::of(&adapter("llama")).to_string());
    for layer in layers {
        let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(Digest::of(&bytes(at(&placed, &format!("opt/ollama/models/blobs/{}", digest.blob_name())))), digest);
    }
    let names: Vec<_> = placed.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["m:latest", "corp/m:1.0"]);
    assert_eq!(placed.model_facts[0].names, names);
}

#[test]
fn what_does_not_fit_to_a_model_is_refused() {
    let model = || Kit::new().model("m", None, &chatty().bytes());
    let said = |role, bytes: &[u8]| model().part(role, bytes).error().to_string();
    assert!(said(PartRole::Adapter, &projector()).contains("is not a LoRA adapter"));
    assert!(said(PartRole::Projector, &chatty().bytes()).contains("is not a vision projector"));
    let other = said(PartRole::Adapter, &adapter("gemma3"));
    assert!(other.contains("for models of the architecture \"gemma3\", and the model is of \"llama\""), "{other}");
    let alone = Kit::new().model("m", None, &adapter("llama")).error().to_string();
    assert!(alone.contains("is a LoRA adapter, not a model"), "{alone}");
}
