//! The use case from the first manifest to the last file removed, step by step: what is typed, and what is done in between.
//! What the programs say on the way is held by `tests/tour.rs`; what differs from one run to the next is in `same.rs`.

pub mod recording;
pub mod same;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::forge::Key;
use crate::scenario::outcome::run;
use crate::scenario::{Scenario, elf, gguf};

/// One command.
pub struct Step {
    /// Of the snapshot.
    pub name: &'static str,
    /// A sentence for those who read the tour.
    pub title: &'static str,
    /// What is typed; the target is the directory `machine`.
    pub typed: &'static str,
    pub code: i32,
    /// What happens before, at other hands.
    before: fn(&Scenario) -> Result<()>,
}

const fn step(name: &'static str, title: &'static str, typed: &'static str, code: i32) -> Step {
    Step { name, title, typed, code, before: |_| Ok(()) }
}

impl Step {
    const fn after(self, before: fn(&Scenario) -> Result<()>) -> Self {
        Self { before, ..self }
    }
}

const MANIFEST: &str = r#"[package]
name = "ollama-deploy"
version = "0.15.0"
description = "Ollama with one model, for a machine without a network"

[install]
prefix = "/opt/ollama"
user = "ollama"
group = "ollama"

[[components]]
type = "external-binary"
name = "ollama"
source = { type = "file", path = "files/ollama" }
install_path = "bin/ollama"

[[components]]
type = "model-file"
name = "llama2-7b"
source = { type = "file", path = "files/llama2-7b.gguf" }
install_path = "models/llama2-7b.gguf"

[[components]]
type = "config-file"
name = "motd"
content = "Ask llama2-7b.\n"
install_path = "share/motd"

[[components]]
type = "config-file"
name = "ollama.service"
content = """
[Unit]
Description=Ollama LLM Server

[Service]
User=ollama
ExecStart=/opt/ollama/bin/ollama serve

[Install]
WantedBy=multi-user.target
"""
install_path = "/etc/systemd/system/ollama.service"
"#;

const KEY: &str = "machine/etc/airgap-deploy/trusted-keys/site.pub";

/// All of them, in order.
pub const STEPS: [Step; 30] = [
    step("check-mistake", "A manifest with a mistake", "builder check AirGapDeploy.toml", 40)
        .after(|scenario| manifest(scenario, &MANIFEST.replace("install_path = \"share", "instal_path = \"share"))),
    step("check", "The mistake is corrected", "builder check AirGapDeploy.toml", 0)
        .after(|scenario| manifest(scenario, MANIFEST)),
    step("build", "The package is built", "builder AirGapDeploy.toml", 0),
    step("inspect", "What is in it", "builder inspect ollama-deploy.run", 0),
    step("builder-verify", "Whether every byte is right", "builder verify ollama-deploy.run", 0),
    step("introduce", "On the target: what is this file?", "./ollama-deploy.run", 0),
    step("help", "Everything that it can do", "./ollama-deploy.run --help", 0),
    step("verify", "Whether it was copied well", "./ollama-deploy.run --verify", 0),
    step("list", "The files in it", "./ollama-deploy.run --list", 0),
    step("dry-run", "The plan", "./ollama-deploy.run --dry-run --root machine", 0),
    step("dry-run-verbose", "The plan with every path", "./ollama-deploy.run --dry-run --verbose --root machine", 0),
    step("conflict", "Somebody else's file is in the way", "./ollama-deploy.run --install --root machine", 23).after(
        |scenario| {
            scenario.write("machine/opt/ollama/bin/ollama", "somebody else's")?;
            Ok(())
        },
    ),
    step("damaged", "A damaged copy", "./damaged.run --install --root machine", 10).after(|scenario| {
        fs::remove_dir_all(scenario.path("machine/opt/ollama"))?;
        damage(scenario)
    }),
    step("untrusted", "The machine trusts a key, and the package is not signed", INSTALL, 11).after(|scenario| {
        scenario.write(KEY, Key::new()?.public()?)?;
        Ok(())
    }),
    step("install", "The machine trusts no key; the package is installed", INSTALL, 0)
        .after(|scenario| Ok(fs::remove_file(scenario.path(KEY))?)),
    step("install-again", "The same once more", INSTALL, 0),
    step("list-installed", "What is installed", "./ollama-deploy.run --list-installed --root machine", 0),
    step("status", "How it stands", "./ollama-deploy.run --status --root machine", 0),
    step(
        "status-changed",
        "How it stands when somebody has changed a file",
        "./ollama-deploy.run --status --root machine",
        23,
    )
    .after(|scenario| {
        scenario.write("machine/opt/ollama/share/motd", "Ask somebody else.\n")?;
        Ok(())
    }),
    step("replace", "That is put right, with a backup", "./ollama-deploy.run --install --replace --root machine", 0),
    step("upgrade-plan", "The plan of an upgrade", "./newer.run --dry-run --root machine", 0).after(newer),
    step("upgrade", "The upgrade", "./newer.run --install --root machine", 0),
    step("downgrade-status", "What the older package says now", "./ollama-deploy.run --status --root machine", 0),
    step("explain", "What an exit code means", "./newer.run --explain 42", 0),
    step(
        "uninstall-plan",
        "What would be removed, and what would stay",
        "./newer.run --uninstall --dry-run --root machine",
        32,
    ),
    step("uninstall", "It is uninstalled; somebody's file is in the way", "./newer.run --uninstall --root machine", 32)
        .after(|scenario| {
            scenario.write("machine/opt/ollama/models/notes.txt", "my notes\n")?;
            Ok(())
        }),
    step("purge-plan", "What --purge would remove", "./newer.run --uninstall --purge --dry-run --root machine", 0),
    step("purge", "Everything goes", "./newer.run --uninstall --purge --root machine", 0),
    step("history", "What was done, and by whom", "./newer.run --history --root machine", 0),
    step("status-nothing", "Nothing is left", "./newer.run --status --root machine", 41),
];

const INSTALL: &str = "./ollama-deploy.run --install --root machine";

fn manifest(scenario: &Scenario, text: &str) -> Result<()> {
    scenario.write("AirGapDeploy.toml", text)?;
    Ok(())
}

/// A copy in which one bit of the model is another.
fn damage(scenario: &Scenario) -> Result<()> {
    let (whole, copy) = (scenario.path("ollama-deploy.run"), scenario.path("damaged.run"));
    fs::copy(&whole, &copy)?;
    let mut bytes = fs::read(&copy)?;
    let model = fs::read(scenario.path("files/llama2-7b.gguf"))?;
    let needle = &model[model.len() / 2..model.len() / 2 + 64];
    let at = bytes.windows(needle.len()).position(|window| window == needle).context("the model is packed as it is")?;
    bytes[at] ^= 1;
    Ok(fs::write(copy, bytes)?)
}

/// The next version, with another motd.
fn newer(scenario: &Scenario) -> Result<()> {
    manifest(scenario, &MANIFEST.replace("0.15.0", "0.15.1").replace("Ask llama2-7b.", "Ask llama2-7b, politely."))?;
    let built = run(scenario.builder()?.args(["AirGapDeploy.toml", "--output", "newer.run"]))?;
    ensure!(built.code == 0, "{built}");
    Ok(())
}

/// The directory in which everything is typed, as it is before the first step.
///
/// # Errors
/// It cannot be made.
pub fn desk() -> Result<Scenario> {
    // A short path, the same everywhere: it stands in the output.
    let scenario = Scenario::below(&PathBuf::from("/tmp"))?;
    let program = elf::program(elf::X86_64, "GLIBC_2.17", &"program ".repeat(1000));
    let program = scenario.write("files/ollama", program)?;
    fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    scenario.write("files/llama2-7b.gguf", gguf::noise("llama2", 1 << 16))?;
    scenario.write("machine/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
    scenario.write("machine/etc/group", "root:x:0:\n")?;
    scenario.directory("machine/etc/systemd/system")?;
    scenario.directory("machine/var/log")?;
    Ok(scenario)
}

/// Takes every step with `each`, which runs the command and looks at what it says.
///
/// # Errors
/// Those of the steps, and of `each`.
pub fn walk(scenario: &Scenario, mut each: impl FnMut(&Step, &mut Command) -> Result<()>) -> Result<()> {
    for step in &STEPS {
        (step.before)(scenario).with_context(|| format!("before {}", step.name))?;
        let mut words = step.typed.split(' ');
        let mut command = match words.next().context("a program")? {
            "builder" => scenario.builder()?,
            program => {
                let mut command = Command::new(scenario.path(program.trim_start_matches("./")));
                command.env_clear().current_dir(scenario.path("")).stdin(Stdio::null());
                command
            }
        };
        each(step, command.args(words)).with_context(|| format!("{}: {}", step.name, step.typed))?;
    }
    Ok(())
}
