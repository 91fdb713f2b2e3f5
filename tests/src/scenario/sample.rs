//! A package with something of everything: program, libraries, links, a model, a configuration file and a unit.
//! Tests that need less write their own manifests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Scenario, elf, gguf};

/// What every manifest of these tests begins with.
pub const HEAD: &str = "[package]\nname = \"sample\"\nversion = \"1.2.3\"\ndescription = \"Something of everything\"\n\
                        [install]\nprefix = \"/opt/ollama\"\nuser = \"ollama\"\ngroup = \"ollama\"\n";

/// The manifest of the sample; its sources are in `inputs/` beside it.
pub const MANIFEST: &str = r#"[package]
name = "sample"
version = "1.2.3"
description = "Something of everything"

[install]
prefix = "/opt/ollama"
user = "ollama"
group = "ollama"

[[components]]
type = "external-binary"
name = "ollama"
source = { type = "file", path = "inputs/ollama" }
install_path = "bin/ollama"

[[components]]
type = "model-file"
name = "llama2-7b"
source = { type = "file", path = "inputs/llama2-7b.gguf" }
install_path = "models/llama2-7b.gguf"
system = "You answer briefly."
license = "For tests."

[[components]]
type = "config-file"
name = "notes"
source = { type = "file", path = "inputs/notes.txt" }
install_path = "share/notes.txt"

[[components]]
type = "config-file"
name = "ollama.service"
content = """
[Unit]
Description=Ollama LLM Server
After=network.target

[Service]
Type=simple
User=ollama
WorkingDirectory=/opt/ollama
ExecStart=/opt/ollama/bin/ollama serve
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
install_path = "/etc/systemd/system/ollama.service"
"#;

/// Writes the inputs of the sample: `inputs/` of the scenario.
///
/// # Errors
/// They cannot be written.
pub fn write_inputs(scenario: &Scenario) -> Result<()> {
    release_tree(&scenario.path("inputs/ollama"))?;
    // More than one chunk that does not compress, and more than one xz block that does.
    scenario.write("inputs/llama2-7b.gguf", gguf::noise("llama2", 5 << 20))?;
    scenario.write("inputs/notes.txt", "A line of a long text, number one of many.\n".repeat(150_000))?;
    Ok(())
}

/// A directory that looks like an unpacked release of Ollama.
///
/// # Errors
/// It cannot be written.
pub fn release_tree(directory: &Path) -> Result<()> {
    let libraries = directory.join("lib/ollama");
    fs::create_dir_all(directory.join("bin"))?;
    fs::create_dir_all(libraries.join("cuda_v12"))?;
    let program = directory.join("bin/ollama");
    fs::write(&program, elf::program(elf::X86_64, "GLIBC_2.17", &"program ".repeat(1000)))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::write(libraries.join("libggml-base.so.0"), elf::program(elf::X86_64, "GLIBC_2.14", "base"))?;
    fs::write(libraries.join("cuda_v12/libcudart.so.12"), elf::program(elf::X86_64, "GLIBC_2.3", "cuda"))?;
    symlink("libggml-base.so.0", libraries.join("libggml-base.so"))?;
    symlink("../libggml-base.so.0", libraries.join("cuda_v12/libggml-base.so"))?;
    Ok(())
}

/// The sample, built.
///
/// # Errors
/// It cannot be built.
pub fn build(scenario: &Scenario) -> Result<PathBuf> {
    write_inputs(scenario)?;
    scenario.build(MANIFEST)
}
