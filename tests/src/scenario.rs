//! A directory of its own for one test: manifests and inputs, the real builder, the packages it makes, and targets.
//! The acceptance on a booted machine is in `machine.rs`; what the tests assert is in `tests/`.

pub mod binaries;
pub mod elf;
pub mod gguf;
pub mod measure;
pub mod outcome;
pub mod sample;
pub mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::skip::is_root;
use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::outcome::{Outcome, run};

/// Of the account `nobody` on every distribution.
pub const NOBODY: u32 = 65534;

/// A directory that lives as long as the test.
#[derive(Debug)]
pub struct Scenario {
    dir: TempDir,
    builder: fn() -> Result<&'static Path>,
}

impl Scenario {
    /// An empty one, which every user may enter.
    ///
    /// # Errors
    /// The temporary directory cannot be made.
    pub fn new() -> Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// The same, in a given directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn below(directory: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("airgap-deploy-e2e-").tempdir_in(directory)?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { dir, builder: binaries::quick })
    }

    /// The same, whose packages are made by the builder that ships and carry the stub that ships.
    #[must_use]
    pub fn shipped(self) -> Self {
        Self { builder: binaries::shipped, ..self }
    }

    /// The path of `name` in the scenario.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Errors
    /// Writing failed.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// An empty directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A root directory of a target that already has a few things in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn target(&self, name: &str) -> Result<PathBuf> {
        let root = self.directory(name)?;
        self.write(&format!("{name}/etc/hostname"), "target\n")?;
        self.write(&format!("{name}/opt/other/keep"), "not ours\n")?;
        fs::create_dir_all(root.join("etc/systemd/system"))?;
        Ok(root)
    }

    /// The builder, with an empty environment and a home of its own.
    ///
    /// # Errors
    /// The builder cannot be built.
    pub fn builder(&self) -> Result<Command> {
        let mut command = Command::new((self.builder)()?);
        command.env_clear().env("HOME", self.directory("home")?).current_dir(self.dir.path()).stdin(Stdio::null());
        Ok(command)
    }

    /// Builds a package from the manifest `text`, which must work, and gives its path.
    ///
    /// # Errors
    /// The build failed; what it said is in the error.
    pub fn build(&self, text: &str) -> Result<PathBuf> {
        let manifest = self.write("AirGapDeploy.toml", text)?;
        let output = self.path("package.run");
        let outcome = run(self.builder()?.arg("--manifest").arg(manifest).arg("--output").arg(&output))?;
        ensure!(outcome.code == 0, "the build failed: {outcome}");
        Ok(output)
    }

    /// Tries to build a package from the manifest `text`.
    ///
    /// # Errors
    /// The builder cannot be started.
    pub fn try_build(&self, text: &str) -> Result<Outcome> {
        let manifest = self.write("AirGapDeploy.toml", text)?;
        run(self.builder()?.arg("--manifest").arg(manifest).args(["--output", "package.run"]))
    }
}

/// Runs a package with options that change nothing, or that work below a given root.
///
/// # Errors
/// It cannot be started, or would install on the machine that runs the test.
pub fn package(path: &Path, arguments: &[&str]) -> Result<Outcome> {
    let changes = ["--install", "--uninstall", "--recover"];
    let harmless = arguments.contains(&"--root") || !arguments.iter().any(|argument| changes.contains(argument));
    ensure!(harmless, "{arguments:?} would change the machine that runs the test");
    run(Command::new(path).args(arguments).env_clear().stdin(Stdio::null()))
}

/// `package`, below a root.
///
/// # Errors
/// It cannot be started.
pub fn package_below(path: &Path, root: &Path, arguments: &[&str]) -> Result<Outcome> {
    let root = root.to_str().context("the root is not UTF-8")?;
    package(path, &[&["--root", root], arguments].concat())
}

/// Runs a package as a user without privileges, with any options.
///
/// # Errors
/// It cannot be started.
pub fn package_as_nobody(path: &Path, arguments: &[&str]) -> Result<Outcome> {
    let mut command = Command::new(path);
    command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    run(&mut command)
}

/// A command in mount and user namespaces where it may mount things; `script` is for `sh`, and gets `arguments`.
///
/// # Errors
/// It cannot be started.
pub fn with_mounts(script: &str, arguments: &[&Path]) -> Result<Outcome> {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-ec", script, "sh"]).args(arguments).stdin(Stdio::null());
    run(&mut command)
}
