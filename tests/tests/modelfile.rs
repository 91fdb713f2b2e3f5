//! One Modelfile, two who read it: the real `ollama create`, and the builder. The layers and the configuration are the same,
//! byte for byte. Needs the real Ollama; run it with `make acceptance`. Mistakes in Modelfiles are tested in the builder.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::command::{capture, succeed, wait_until, with_death_signal};
use e2e::ollama;
use e2e::packages::say;
use e2e::scenario::tree::digest;
use e2e::scenario::{Scenario, gguf, package_below};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);
const EVERYTHING: &str = "\
# what a Modelfile may say
from ./base.gguf
ADAPTER ./lora.gguf
TEMPLATE \"\"\"{{ if .System }}<|system|>
{{ .System }}<|end|>
{{ end }}<|user|>\t{{ .Prompt }} & \"more\"<|end|>
\"\"\"
SYSTEM Never.
SYSTEM \"\"\"
You say \"yes\".
  \u{e4}\u{1f600}\u{200b}
\"\"\"
PARAMETER stop \"<|end|>\"
PARAMETER stop  AI assistant:
PARAMETER temperature 0.123456789
PARAMETER top_p 1
PARAMETER num_ctx 4096
PARAMETER seed -3
PARAMETER use_mmap False
PARAMETER mirostat 1
MESSAGE user Is Toronto in <Canada>?
MESSAGE assistant \"\"\"yes,
it is\"\"\"
LICENSE MIT
LICENSE \"\"\"two
lines\"\"\"
RENDERER passthrough
PARSER passthrough
REQUIRES v0.14.0
";
const SEES: &str =
    "FROM ./base.gguf\r\nFROM ./mmproj.gguf\r\nTEMPLATE \"{{ .Prompt }}\"\r\nSYSTEM \"\"\"two\r\nlines\"\"\"\r\n";
const CASES: [(&str, &str, &str); 3] = [
    ("everything", EVERYTHING, "registry.ollama.ai/library/everything/latest"),
    ("corp/sees:1.0", SEES, "registry.ollama.ai/corp/sees/1.0"),
    ("host.example/corp/bare:x", "FROM base.gguf", "host.example/corp/bare/x"),
];

/// The real Ollama with a store of its own; it ends with this value.
struct Server {
    program: PathBuf,
    home: PathBuf,
    address: String,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(home: PathBuf) -> Result<Self> {
        let program = ollama::provide()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = with_death_signal("KILL", &[&program.to_string_lossy(), "serve"])?;
        command.env("HOME", &home).env("OLLAMA_HOST", &address);
        let log = fs::File::create(home.join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let server = Self { child: command.spawn()?, program, home, address };
        if !wait_until(BOUND, || Ok(capture(&mut server.command(&["list"])?, BOUND)?.ok()))? {
            bail!("Ollama does not answer: {}", fs::read_to_string(server.home.join("log"))?);
        }
        Ok(server)
    }

    fn command(&self, arguments: &[&str]) -> Result<std::process::Command> {
        let program = self.program.to_string_lossy();
        let mut command = with_death_signal("KILL", &[&[&*program], arguments].concat())?;
        command.env("HOME", &self.home).env("OLLAMA_HOST", &self.address);
        Ok(command)
    }

    fn create(&self, name: &str, directory: &Path) -> Result<()> {
        let mut command = self.command(&["create", name, "-f", "Modelfile"])?;
        succeed(command.current_dir(directory), BOUND)?;
        Ok(())
    }
}

fn manifest(store: &Path, name: &str) -> Result<Value> {
    let path = store.join("manifests").join(name);
    serde_json::from_slice(&fs::read(&path).with_context(|| path.display().to_string())?).context("no JSON")
}

/// Without what Ollama says of the machine that made it.
fn without_from(mut manifest: Value) -> Value {
    for layer in manifest["layers"].as_array_mut().into_iter().flatten() {
        layer.as_object_mut().map(|layer| layer.remove("from"));
    }
    manifest
}

fn first_is_the_model(manifest: &Value) -> bool {
    manifest["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"
}

/// Every blob that a manifest names is there with the digest it has.
fn complete(store: &Path, manifest: &Value) -> Result<usize> {
    let layers = manifest["layers"].as_array().context("no layers")?;
    for entry in layers.iter().chain([&manifest["config"]]) {
        let named = entry["digest"].as_str().context("no digest")?;
        ensure!(digest(&store.join("blobs").join(named.replace(':', "-")))?.to_string() == named, "{named}");
    }
    Ok(layers.len() + 1)
}

#[test]
#[ignore = "needs the real Ollama: run it with `make acceptance`"]
fn the_builder_makes_of_a_modelfile_what_ollama_create_makes() -> Result<()> {
    let scenario = Scenario::new()?;
    let weights = [("general.architecture", "llama"), ("general.type", "model")];
    let numbers = [("general.file_type", 1), ("llama.block_count", 1)];
    let lora = [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")];
    let mmproj = [("general.architecture", "clip"), ("general.type", "mmproj")];
    let mut text = "[package]\nname = \"twins\"\nversion = \"1\"\n[install]\nprefix = \"/opt/ollama\"\n".to_owned();
    for (number, (name, modelfile, _)) in CASES.iter().enumerate() {
        scenario.write(&format!("{number}/base.gguf"), gguf::small(&weights, &numbers))?;
        scenario.write(&format!("{number}/lora.gguf"), gguf::small(&lora, &[]))?;
        scenario.write(&format!("{number}/mmproj.gguf"), gguf::small(&mmproj, &[("clip.vision.block_count", 1)]))?;
        scenario.write(&format!("{number}/Modelfile"), modelfile)?;
        let component = format!(
            "[[components]]\ntype = \"model-file\"\nname = \"m{number}\"\nmodel = \"{name}\"\nmodelfile = \"{number}/Modelfile\"\n"
        );
        text.push_str(&component);
    }
    let root = scenario.target("root")?;
    package_below(&scenario.build(&text)?, &root, &["--install"])?.exits(0)?;
    let ours = root.join("opt/ollama/models");

    let server = Server::start(scenario.directory("home")?)?;
    let theirs = server.home.join(".ollama/models");
    let mut blobs = 0;
    for (number, (name, _, path)) in CASES.iter().enumerate() {
        // Ollama goes through several files in any order, another one each time.
        let created = (0..40).find_map(|_| {
            let created =
                server.create(name, &scenario.path(&number.to_string())).and_then(|()| manifest(&theirs, path));
            created.map(|created| first_is_the_model(&created).then_some(created)).transpose()
        });
        let created = created.context("never in our order")??;
        let made = manifest(&ours, path)?;
        assert_eq!(made, without_from(created.clone()), "{name}");
        complete(&theirs, &created)?;
        blobs += complete(&ours, &made)?;
    }
    say(&format!("Modelfiles: {blobs} blobs of {} models are those of ollama create", CASES.len()));
    Ok(())
}
