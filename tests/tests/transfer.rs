//! docs/transfer.md, word for word: every command of its checklist, in its order, below a root.
//! What the commands do is tested in `volumes.rs` and `media.rs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::crash::workspace;
use e2e::scenario::outcome::run;
use e2e::scenario::{Scenario, gguf, sample};

/// What is typed in the document.
fn typed() -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace().join("docs/transfer.md"))?;
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))
            && inside
        {
            lines.push(command.to_owned());
        }
    }
    Ok(lines)
}

#[test]
fn every_command_of_the_checklist_works() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.write("model.gguf", gguf::noise("llama2", 28 << 20))?;
    let manifest = format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"llama2-7b\"\nsource = {{ type = \"file\", path = \"model.gguf\" }}\n\
         install_path = \"models/llama2-7b.gguf\"\n",
        sample::HEAD
    );
    scenario.write("AirGapDeploy.toml", manifest)?;
    for directory in ["whole", "stick-1", "stick-2", "stick-3", "copy", "unpacked", "bin"] {
        scenario.directory(directory)?;
    }
    let root = scenario.target("root")?;
    symlink(scenario.builder()?.get_program(), scenario.path("bin/builder"))?;
    let path = format!("{}:/usr/bin:/bin", scenario.path("bin").display());
    let commands = typed()?;
    ensure!(commands.len() >= 20, "the document lost its commands: {commands:?}");
    for command in commands {
        let acts = ["--install", "--status", "--dry-run"].iter().any(|action| command.contains(action));
        let below = if acts { format!("{command} --root {}", root.display()) } else { command.clone() };
        let mut shell = Command::new("sh");
        shell.args(["-ec", &below]).env_clear().env("PATH", &path).env("HOME", scenario.directory("home")?);
        run(shell.current_dir(scenario.path("")))?.exits(0).with_context(|| command.clone())?;
    }
    let model = fs::read(root.join("opt/ollama/models/llama2-7b.gguf"))?;
    ensure!(model == fs::read(scenario.path("model.gguf"))?, "the model is another one");
    Ok(())
}
