//! For each family of models: the prompt that the real Ollama renders from the template the builder gives a model is the
//! one that the model's own template renders. Downloads; run it with `make acceptance`. The rule is in `compare.py`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cache;
use e2e::command::{argv, capture, succeed};
use e2e::ollama;
use e2e::packages::{Need, install, say};
use e2e::scenario::{Scenario, package_below};
use e2e::skip::skipped;
use serde_json::{Value, json};

const LLAMA_CPP: &str = "llama-cpp-python==0.3.36";
const OLLAMA_UTILS: &str = "@huggingface/ollama-utils@0.0.18";
const JINJA: &[Need] = &[Need { file: "/usr/lib/python3/dist-packages/jinja2/sandbox.py", package: "python3-jinja2" }];
const PYTHON: &str = "/usr/bin/python3";
const BOUND: Duration = Duration::from_secs(10 * 60);
const STORE: &str = "opt/ollama/models";

fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(name)
}

/// The part of llama.cpp that holds chat templates of models, out of a Python package's source.
fn llama_cpp() -> Result<PathBuf> {
    let _lock = cache::lock("templates")?;
    let dir = cache::dir()?.join(LLAMA_CPP);
    if !dir.exists() {
        say(&format!("chat templates: pip download {LLAMA_CPP}"));
        let work = tempfile::tempdir_in(cache::dir()?)?;
        let mut pip =
            argv(&["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--dest"])?;
        succeed(pip.arg(work.path()).arg(LLAMA_CPP), BOUND)?;
        let archive = fs::read_dir(work.path())?.next().context("pip left nothing")??.path();
        let tree = work.path().join("tree");
        fs::create_dir(&tree)?;
        let mut tar = argv(&["tar", "--extract", "--gzip", "--strip-components=3", "--wildcards", "--file"])?;
        tar.arg(archive).arg("--directory").arg(&tree);
        succeed(tar.args(["*/models/templates/*", "*/tests/test-chat-template.cpp"]), BOUND)?;
        fs::rename(&tree, &dir)?;
    }
    Ok(dir)
}

/// The part of a package of Node.js that holds chat templates of more models; nothing where there is no npm.
fn ollama_utils() -> Result<Option<PathBuf>> {
    if capture(&mut argv(&["npm", "--version"])?, BOUND).is_ok_and(|said| said.ok()) {
        let _lock = cache::lock("ollama-utils")?;
        let dir = cache::dir()?.join("ollama-utils-0.0.18");
        if !dir.exists() {
            say(&format!("chat templates: npm pack {OLLAMA_UTILS}"));
            let work = tempfile::tempdir_in(cache::dir()?)?;
            succeed(argv(&["npm", "pack", "--silent", OLLAMA_UTILS])?.current_dir(work.path()), BOUND)?;
            let archive = fs::read_dir(work.path())?.next().context("npm left nothing")??.path();
            let tree = work.path().join("tree");
            fs::create_dir(&tree)?;
            let mut tar = argv(&["tar", "--extract", "--gzip", "--strip-components=2", "--file"])?;
            succeed(tar.arg(archive).arg("--directory").arg(&tree).arg("package/src"), BOUND)?;
            fs::rename(&tree, &dir)?;
        }
        return Ok(Some(dir));
    }
    skipped("the templates of Llama 4, Phi-4 mini, DeepSeek 3 and Granite 3.0 to 3.2 come with npm, which is not here");
    Ok(None)
}

/// The program that renders with Ollama's own code, and the directory of its templates' index.
fn renderer(work: &Path) -> Result<(PathBuf, PathBuf)> {
    for name in ["go.mod", "go.sum", "main.go"] {
        fs::copy(ours(name), work.join(name))?;
    }
    let go = ollama::go()?;
    let go = go.to_string_lossy();
    let program = work.join("render");
    let mut build = argv(&[&go, "build", "-buildvcs=false", "-o"])?;
    succeed(build.arg(&program).arg(".").current_dir(work), BOUND)?;
    let mut list = argv(&[&go, "list", "-f", "{{.Dir}}", "github.com/ollama/ollama/template"])?;
    let said = succeed(list.current_dir(work), BOUND)?;
    Ok((program, PathBuf::from(said.stdout.trim())))
}

/// What `program` answers to `input`, both JSON.
fn ask(program: &[&str], input: &Value) -> Result<Vec<String>> {
    let mut child = argv(program)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(&serde_json::to_vec(input)?)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program:?} failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A GGUF file without weights that has this chat template.
fn gguf(jinja: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(0u64.to_le_bytes());
    file.extend(2u64.to_le_bytes());
    for (key, value) in [("general.architecture", "llama"), ("tokenizer.chat_template", jinja)] {
        file.extend([text(key), 8u32.to_le_bytes().to_vec(), text(value)].concat());
    }
    file
}

/// Builds and installs one package with all models; the directory of the target.
fn installed(scenario: &Scenario, models: &[Value]) -> Result<PathBuf> {
    let mut manifest =
        "[package]\nname = \"families\"\nversion = \"1\"\n[install]\nprefix = \"/opt/ollama\"\n".to_owned();
    for (number, model) in models.iter().enumerate() {
        scenario.write(&format!("inputs/{number}.gguf"), gguf(model["jinja"].as_str().context("no template")?))?;
        let component = format!(
            "[[components]]\ntype = \"model-file\"\nname = \"m{number}\"\nsource = {{ type = \"file\", path = \
             \"inputs/{number}.gguf\" }}\ninstall_path = \"models/{number}.gguf\"\n"
        );
        manifest.push_str(&component);
    }
    let root = scenario.target("root")?;
    package_below(&scenario.build(&manifest)?, &root, &["--install"])?.exits(0)?;
    Ok(root)
}

/// A text of a model in the store, if it has it.
fn layer(root: &Path, number: usize, kind: &str) -> Result<Option<String>> {
    let store = root.join(STORE);
    let manifest = fs::read(store.join(format!("manifests/registry.ollama.ai/library/m{number}/latest")))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let layers = manifest["layers"].as_array().context("no layers")?;
    let of = |layer: &&Value| layer["mediaType"] == format!("application/vnd.ollama.image.{kind}");
    let Some(digest) = layers.iter().find(of).and_then(|layer| layer["digest"].as_str()) else { return Ok(None) };
    Ok(Some(fs::read_to_string(store.join("blobs").join(digest.replace(':', "-")))?))
}

/// As Ollama's server hands the messages on: the model's own system message stands in for a missing one.
fn messages(given: &Value, system: Option<&str>) -> Value {
    let mut messages = given.as_array().cloned().unwrap_or_default();
    if let Some(system) = system.filter(|_| messages.first().is_none_or(|first| first["role"] != "system")) {
        messages.insert(0, json!({"role": "system", "content": system}));
    }
    messages.into()
}

#[test]
#[ignore = "downloads: run it with `make acceptance`"]
fn ollama_renders_what_the_models_own_templates_render() -> Result<()> {
    install(JINJA)?;
    let llama_cpp = llama_cpp()?;
    let scenario = Scenario::new()?;
    let (ollama, index) = renderer(&scenario.directory("render")?)?;
    let compare = ours("compare.py");
    let mut models = argv(&[PYTHON])?;
    models.arg(&compare).arg(&index).arg(&llama_cpp).args(ollama_utils()?);
    let models: Vec<Value> = serde_json::from_str(&succeed(&mut models, BOUND)?.stdout)?;
    let root = installed(&scenario, &models)?;

    let (mut inputs, mut wanted, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (number, model) in models.iter().enumerate() {
        let name = model["name"].as_str().context("no name")?;
        let template = layer(&root, number, "template")?.with_context(|| format!("{name} was not recognised"))?;
        let system = layer(&root, number, "system")?;
        for conversation in model["conversations"].as_array().context("no conversations")? {
            let messages = messages(&conversation["messages"], system.as_deref());
            inputs.push(json!({"template": template, "messages": messages, "tools": conversation["tools"]}));
            wanted.push(conversation["prompt"].as_str().context("no prompt")?.to_owned());
            labels.push(format!("{name}, {}", conversation["label"]));
        }
    }
    let made = ask(&[&ollama.to_string_lossy()], &inputs.into())?;
    let plain = |prompts: &[String]| ask(&[PYTHON, &compare.to_string_lossy()], &json!(prompts));
    let (rendered, wanted) = (plain(&made)?, plain(&wanted)?);
    for ((label, rendered), wanted) in labels.iter().zip(&rendered).zip(&wanted) {
        assert_eq!(rendered, wanted, "{label}");
    }
    say(&format!("templates: {} prompts of {} models are the models' own", labels.len(), models.len()));
    ensure!(labels.len() > 120, "only {} prompts were compared", labels.len());
    Ok(())
}
