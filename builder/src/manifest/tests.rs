//! Whole manifests: the use case's own, those in `manifests/`, and the examples of the reference.
//! What is said about mistakes is tested in `tests/messages.rs`; what holds for every text in `tests/any_text.rs`.

mod any_text;
mod messages;

use std::path::Path;

use super::vocabulary::{COMPONENT, INSTALL, PACKAGE, PARAMS, SOURCE};
use super::*;

/// The manifest of the use case as it stands, placeholder checksums included.
const USE_CASE: &str = include_str!("fixtures/use-case.toml");
const REFERENCE: &str = include_str!("../../../docs/manifest.md");

/// What every Modelfile says here.
const MODELFILE: &str = "FROM ../weights/m.gguf\nFROM ./mmproj.gguf\nADAPTER /srv/a.gguf\nSYSTEM of the file\n\
                         PARAMETER seed 1\nPARAMETER top_k 2\nMESSAGE user Hi\n";

/// A manifest without components; most tests add one.
const HEAD: &str = "[package]\nname = \"p\"\nversion = \"1\"\n[install]\nprefix = \"/opt/ollama\"\nuser = \"ollama\"\n";

fn read(text: &str) -> Result<Parsed, ManifestErrors> {
    read_for(text, Arch::X86_64)
}

fn read_for(text: &str, target: Arch) -> Result<Parsed, ManifestErrors> {
    let modelfile = |_: &Path| Ok(MODELFILE.as_bytes().to_vec());
    parse_with(Path::new("dir/AirGapDeploy.toml"), text.as_bytes(), target, &modelfile)
}

/// The manifest, which must have neither errors nor warnings.
fn clean(text: &str) -> Manifest {
    let parsed = read(text).unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(false)));
    assert_eq!(parsed.render_warnings(false), "", "{text}");
    parsed.manifest
}

/// The messages of all errors and warnings.
fn messages(text: &str) -> Vec<String> {
    let said = match read(text) {
        Ok(parsed) => parsed.warnings,
        Err(errors) => errors.diagnostics,
    };
    said.into_iter().map(|found| found.message).collect()
}

fn with(components: &str) -> String {
    format!("{HEAD}{components}")
}

fn filled(text: &str) -> String {
    text.replace("abc123...", &"a".repeat(64)).replace("def456...", &"B".repeat(64))
}

#[test]
fn the_use_case_has_two_placeholder_checksums_and_nothing_else_to_complain_about() {
    let errors = read(USE_CASE).unwrap_err();
    let places: Vec<_> = errors.findings().iter().map(|found| (found.line, found.column)).collect();
    assert_eq!(places, [(29, 19), (38, 19)]);
    assert!(errors.findings().iter().all(|found| found.message == "the checksum is not 64 hexadecimal digits"));
    assert_eq!(errors.to_string(), "dir/AirGapDeploy.toml has 2 errors; nothing was fetched or written");
    assert_eq!(errors.exit_code(), 40);
}

#[test]
fn the_use_case_means_what_it_says() {
    let manifest = clean(&filled(USE_CASE));
    assert_eq!(manifest.package.name.as_str(), "ollama-deploy");
    assert_eq!(manifest.install.prefix.to_string(), "/opt/ollama");
    assert_eq!(manifest.install.account.as_ref().unwrap().to_string(), "ollama:ollama");
    assert_eq!(manifest.install.ip_allow, IpAllow::Localhost);
    let names: Vec<_> = manifest.components.iter().map(|one| (one.name.as_str(), one.required)).collect();
    assert_eq!(names, [("ollama", true), ("llama2-7b", true), ("mistral-7b", false), ("ollama.service", true)]);
    let ComponentKind::ModelFile { source, install_path, names, .. } = &manifest.components[1].kind else { panic!() };
    assert_eq!(source.checksum.unwrap().hex(), "a".repeat(64));
    assert_eq!(install_path.as_ref().unwrap().path.to_string(), "/opt/ollama/models/llama2-7b.gguf");
    assert_eq!(names[0].to_string(), "registry.ollama.ai/library/llama2-7b:latest");
    let ComponentKind::ConfigFile { content, install_path } = &manifest.components[3].kind else { panic!() };
    assert!(install_path.absolute && install_path.path.to_string() == "/etc/systemd/system/ollama.service");
    assert!(matches!(content, Content::Inline(text) if text.starts_with("[Unit]\nDescription=Ollama LLM Server\n")));
}

#[test]
fn every_shipped_manifest_is_free_of_errors_and_warnings() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let manifests: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|end| end == "toml")).collect();
    for file in &manifests {
        let parsed = parse(file, &std::fs::read(file).unwrap(), Arch::X86_64)
            .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        assert_eq!(parsed.render_warnings(false), "", "{}", file.display());
        assert!(select(&parsed.manifest, &[]).is_ok(), "{}", file.display());
    }
    assert!(manifests.len() >= 3, "{files:?}");
}

#[test]
fn the_command_of_the_use_case_for_several_models_works_with_the_shipped_manifest() {
    let manifest = clean(crate::manifest::init::init_text(crate::manifest::init::Kind::Full));
    let include = ["mistral-7b".to_owned(), "codellama-7b".to_owned()];
    let chosen = select(&manifest, &include).unwrap();
    let models = chosen.iter().filter(|one| matches!(one.kind, ComponentKind::ModelFile { .. }));
    assert_eq!(models.count(), 3);
    assert!(missing_checksums(&manifest).is_empty());
}

#[test]
fn every_example_of_the_reference_is_a_manifest_without_errors() {
    let blocks: Vec<&str> =
        REFERENCE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for block in &blocks {
        clean(block);
    }
    assert!(blocks.len() > 10);
}

#[test]
fn the_reference_has_every_key() {
    let sections = [("## `[package]`", &PACKAGE), ("## `[install]`", &INSTALL), ("## `[[components]]`", &COMPONENT)];
    for (heading, vocabulary) in sections.into_iter().chain([("## `source`", &SOURCE)]) {
        let section = REFERENCE.split_once(heading).unwrap().1.split("\n## ").next().unwrap();
        for key in vocabulary.keys {
            assert!(section.contains(&format!("| `{}` |", key.name)), "{heading} lacks {}", key.name);
        }
    }
    for (name, _) in PARAMS {
        assert!(REFERENCE.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_reference_has_no_key_that_does_not_exist() {
    let known: Vec<&str> =
        [&PACKAGE, &INSTALL, &COMPONENT, &SOURCE].iter().flat_map(|part| part.keys).map(|key| key.name).collect();
    for row in REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")) {
        let key = row.split('`').next().unwrap();
        let is_source_type = vocabulary::SOURCE_TYPES.contains(&key);
        assert!(known.contains(&key) || is_source_type, "{key}");
    }
}

#[test]
fn a_manifest_with_placeholders_is_another_one_for_each_architecture() {
    let text = with(&format!(
        "[[components]]\ntype = \"external-binary\"\nname = \"r\"\ninstall_path = \"lib/{{machine}}-linux-gnu/r\"\n\
         exclude = [\"*/{{goarch}}/debug\", \"{{a,b}}\"]\nsource.type = \"github-release\"\nsource.repo = \"a/b\"\n\
         source.tag = \"v1-{{goarch}}\"\nsource.asset_pattern = \"r-{{machine}}-*\"\n\
         source.checksum = {{ x86_64 = \"sha256:{}\", aarch64 = \"{}\" }}\n\
         [[components]]\ntype = \"config-file\"\nname = \"u\"\ninstall_path = \"u\"\n\
         source = {{ type = \"url\", url = \"https://x.example/{{goarch}}/%7B\" }}\n\
         [[components]]\ntype = \"model-file\"\nname = \"m\"\ninstall_path = \"m\"\nadapter = \"{{goarch}}.gguf\"\n\
         source = {{ type = \"file\", path = \"m.gguf\" }}\n\
         [[components]]\ntype = \"config-file\"\nname = \"c\"\ninstall_path = \"c\"\ncontent = \"{{goarch}} ${{x}}\"\n",
        "a".repeat(64),
        "b".repeat(64)
    ));
    for (target, goarch, machine, digit) in
        [(Arch::X86_64, "amd64", "x86_64", "a"), (Arch::Aarch64, "arm64", "aarch64", "b")]
    {
        let manifest = read_for(&text, target).unwrap_or_else(|errors| panic!("{}", errors.render(false))).manifest;
        assert_eq!(manifest.target, target);
        let [release, url, model, inline] = manifest.components.as_slice() else { panic!() };
        let ComponentKind::ExternalBinary { source, install_path, exclude } = &release.kind else { panic!() };
        assert_eq!(install_path.given, format!("lib/{machine}-linux-gnu/r"));
        assert_eq!(*exclude, [format!("*/{goarch}/debug"), "{a,b}".to_owned()]);
        let SourceKind::GithubRelease { tag, asset_pattern, .. } = &source.kind else { panic!() };
        assert_eq!((tag.clone(), asset_pattern.clone()), (format!("v1-{goarch}"), format!("r-{machine}-*")));
        assert_eq!(source.checksum.unwrap().hex(), digit.repeat(64));
        assert!(
            matches!(&url.source().unwrap().kind, SourceKind::Url { url } if url.path() == format!("/{goarch}/%7B"))
        );
        assert_eq!(local(model.parts[0].source().unwrap()), format!("{goarch}.gguf"));
        let ComponentKind::ConfigFile { content: Content::Inline(content), .. } = &inline.kind else { panic!() };
        assert_eq!(content, "{goarch} ${x}");
        let other_for_each = [release, url, model, &model.parts[0]].map(|one| one.source().unwrap().per_target);
        assert_eq!(other_for_each, [true, true, false, true]);
        let missing = missing_checksums(&manifest);
        let refusal = refuse_missing_checksums(&manifest, &missing).render(false);
        assert!(missing.len() == 1 && refusal.contains(&format!("add `source.checksum.{machine} = ")), "{refusal}");
    }
}

#[test]
fn every_shipped_manifest_brings_programs_for_both_architectures() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let mut releases = 0;
    for file in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        // Beside them are inputs of the demo, and the lock file that it writes.
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read(&file).unwrap();
        let manifest = parse(&file, &text, Arch::Aarch64).unwrap().manifest;
        let sources = manifest.components.iter().filter_map(Component::source);
        for source in sources.filter(|source| matches!(source.kind, SourceKind::GithubRelease { .. })) {
            assert!(source.per_target, "{}: {source:?}", file.display());
            assert!(format!("{source:?}").contains("arm64"), "{}: {source:?}", file.display());
            releases += 1;
        }
    }
    assert_eq!(releases, 4);
}

#[test]
fn paths_of_files_are_kept_as_written() {
    let component = "[[components]]\ntype = \"model-file\"\nname = \"m\"\ninstall_path = \"m.gguf\"\n";
    for given in ["../w/m.gguf", "/data/m.gguf"] {
        let manifest = clean(&with(&format!("{component}source = {{ type = \"file\", path = \"{given}\" }}\n")));
        let source = manifest.components[0].source().unwrap();
        assert!(matches!(&source.kind, SourceKind::File { path } if path == Path::new(given)));
    }
}

#[test]
fn models_keep_the_case_of_their_names() {
    let component = "[[components]]\ntype = \"model-file\"\nsource.type = \"ollama-registry\"\n\
                     source.model = \"hf.co/Owner/X-GGUF:Q4_K_M\"\n";
    let manifest = clean(&with(&format!("{component}name = \"x\"\n")));
    let source = manifest.components[0].source().unwrap();
    assert!(
        matches!(&source.kind, SourceKind::OllamaRegistry { model } if model.to_string() == "hf.co/Owner/X-GGUF:Q4_K_M")
    );
    let manifest = clean(&with(&format!("{component}name = \"x\"\nmodel = \"hf.co/Owner/X-GGUF:Q4_K_M\"\n")));
    let ComponentKind::ModelFile { names, .. } = &manifest.components[0].kind else { panic!("no model") };
    assert_eq!(names[0].to_string(), "hf.co/Owner/X-GGUF:Q4_K_M");
}

#[test]
fn urls_without_checksum_are_listed_with_their_lines() {
    let text = USE_CASE.replace("source.checksum = \"sha256:abc123...\"\n", "").replace("def456...", &"0".repeat(64));
    let manifest = clean(&text);
    let missing = missing_checksums(&manifest);
    let listed: Vec<_> = missing.iter().map(|one| (one.component.name.as_str(), one.url.as_str(), one.line)).collect();
    assert_eq!(listed, [("llama2-7b", "https://ollama.ai/download/llama2-7b.gguf", 28)]);
    let refusal = refuse_missing_checksums(&manifest, &missing);
    assert!(refusal.render(false).contains("--> dir/AirGapDeploy.toml:28:14"), "{}", refusal.render(false));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let errors = read(&format!("\u{feff}{}", USE_CASE.replace('\n', "\r\n"))).unwrap_err();
    assert_eq!(errors.findings(), read(USE_CASE).unwrap_err().findings());
}

#[test]
fn required_components_are_taken_and_optional_ones_on_request() {
    let manifest = clean(&filled(USE_CASE));
    let names = |include: &[&str]| -> Result<Vec<String>, SelectError> {
        let include: Vec<String> = include.iter().map(|&name| name.to_owned()).collect();
        Ok(select(&manifest, &include)?.iter().map(|one| one.name.clone()).collect())
    };
    assert_eq!(names(&[]).unwrap(), ["ollama", "llama2-7b", "ollama.service"]);
    assert_eq!(names(&["mistral-7b", "ollama"]).unwrap(), ["ollama", "llama2-7b", "mistral-7b", "ollama.service"]);
    let error = names(&["mistral7b"]).unwrap_err();
    assert_eq!(error.to_string(), "dir/AirGapDeploy.toml has no component called \"mistral7b\"; nothing was fetched");
    assert_eq!(error.hint(), "did you mean `--include mistral-7b`? Optional components: mistral-7b");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn nothing_to_install_is_refused() {
    let text = with(
        "[[components]]\ntype = \"config-file\"\nname = \"c\"\nrequired = false\ncontent = \"\"\ninstall_path = \"c\"\n",
    );
    assert!(matches!(select(&clean(&text), &[]), Err(SelectError::Nothing { .. })));
    assert_eq!(messages(HEAD), ["the manifest has no [[components]]: there is nothing to install"]);
}

fn model(components: &str) -> (Source, Vec<(String, Source)>, ModelSettings) {
    let manifest = clean(&with(&format!("[[components]]\ntype = \"model-file\"\nname = \"m\"\n{components}")));
    let component = manifest.components[0].clone();
    let part = |part: &Component| (part.name.clone(), part.source().unwrap().clone());
    let ComponentKind::ModelFile { source, settings, .. } = component.kind.clone() else { panic!() };
    (source, component.parts.iter().map(part).collect(), *settings)
}

fn local(source: &Source) -> &str {
    let SourceKind::File { path } = &source.kind else { panic!("{source:?}") };
    path.to_str().unwrap()
}

#[test]
fn a_modelfile_says_what_the_manifest_does_not() {
    let (source, parts, settings) = model("modelfile = \"chat/Modelfile\"\nparams = { top_k = 9 }\n");
    assert_eq!(local(&source), "chat/../weights/m.gguf");
    let parts: Vec<_> = parts.iter().map(|(name, source)| (name.as_str(), local(source))).collect();
    assert_eq!(parts, [("m/projector", "chat/mmproj.gguf"), ("m/adapter", "/srv/a.gguf")]);
    assert_eq!(settings.system.as_deref(), Some("of the file"));
    assert_eq!(settings.params, serde_json::json!({"seed": 1, "top_k": 9}).as_object().cloned());
    assert_eq!(settings.messages, [("user".to_owned(), "Hi".to_owned())]);

    let own = "modelfile = \"f\"\nsource = { type = \"file\", path = \"own.gguf\" }\nsystem = \"own\"\nadapter = \"own-lora.gguf\"\n";
    let (source, parts, settings) = model(own);
    assert_eq!((local(&source), settings.system.as_deref()), ("own.gguf", Some("own")));
    assert_eq!(parts.iter().map(|(_, source)| local(source)).collect::<Vec<_>>(), ["mmproj.gguf", "own-lora.gguf"]);
}

#[test]
fn names_and_parts_that_cannot_be_are_explained() {
    let said = |keys: &str| {
        let base = "[[components]]\ntype = \"model-file\"\nname = \"m\"\ninstall_path = \"models/m.gguf\"\n\
                    source = { type = \"file\", path = \"m.gguf\" }\n";
        messages(&with(&format!("{base}{keys}"))).join("; ")
    };
    assert_eq!(said("model = [\"a:1\", \"a\", \"corp/a:1\"]\n"), "");
    assert_eq!(said("model = [\"a:1\", \"a:1\"]\n"), "a:1 is named twice");
    assert_eq!(said("model = []\n"), "`model` is an empty list");
    assert_eq!(said("model = [\"a:1\", \"A:1\"]\n"), "A:1 is named twice");
    let registry = said("adapter = { type = \"ollama-registry\", model = \"a\" }\n");
    assert!(registry.contains("adapter cannot come from a model registry"), "{registry}");
    assert!(said("projector = { type = \"url\", url = \"http://example.org/p\" }\n").contains("plain HTTP"));
    assert!(said("adapter = 3\n").contains("must be a table"));
    assert!(said("adapter = \"\"\n").contains("not the path of a file"));
}

#[test]
fn what_is_wrong_with_a_modelfile_is_said_with_its_line() {
    let text = with("[[components]]\ntype = \"model-file\"\nname = \"m\"\nmodelfile = \"chat/Modelfile\"\n");
    let said = |content: &'static str| {
        let files = |_: &Path| Ok(content.as_bytes().to_vec());
        let errors = parse_with(Path::new("m.toml"), text.as_bytes(), Arch::X86_64, &files).unwrap_err();
        errors
            .findings()
            .iter()
            .map(|found| format!("{}:{} {}", found.line, found.column, found.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(said("FROM m\nFORM x\n"), ["10:13 chat/Modelfile, line 2: \"FORM\" is no command of a Modelfile"]);
    assert_eq!(said("FROM m\nPARAMETER a 1\nPARAMETER b 1\n").len(), 2);
    assert_eq!(said("FROM ~/m.gguf\n"), ["10:13 chat/Modelfile: ~/m.gguf is a path in somebody's home"]);
    assert_eq!(said("FROM m\nADAPTER lora\n"), ["10:13 chat/Modelfile: lora is not the path of a file"]);
    let missing = parse(Path::new("m.toml"), text.as_bytes(), Arch::X86_64).unwrap_err().findings();
    assert!(missing[0].message.contains("chat/Modelfile cannot be read"), "{missing:?}");
}
