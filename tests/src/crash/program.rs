//! The stub with failpoints, built once, and runs of it.
//! The stub that the builder carries has no failpoints, which a test makes sure of.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::workspace;

/// The program: static, so that it also runs where there is nothing else.
///
/// # Panics
/// It cannot be built.
#[expect(clippy::panic, reason = "without it no test of this kind can say anything")]
pub fn stub() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let directory = workspace().join("target/failpoints");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--profile", "failpoints", "--package", "stub", "--features", "failpoints"])
            .args(["--target", &target])
            .arg("--target-dir")
            .arg(&directory)
            .current_dir(workspace())
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status();
        match status {
            Ok(status) if status.success() => directory.join(target).join("failpoints/stub"),
            other => panic!("building the stub with failpoints failed: {other:?}"),
        }
    })
}

/// What a run ended with.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub killed: bool,
    pub text: String,
}

impl Ended {
    /// Whether it did what it was to do; for an uninstallation that may be that nothing was left to do.
    pub fn is_done(&self) -> bool {
        self.code == Some(0) || self.code == Some(41) && self.text.contains("is not installed")
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Self { code: output.status.code(), killed: output.status.signal() == Some(9), text }
    }
}

/// One run of the program, to be started.
#[derive(Debug)]
pub struct Run {
    command: Command,
}

impl Run {
    /// The package `package` on the target `root`, doing `action` (such as `--install`).
    pub fn new(package: &Path, root: &Path, action: &[&str]) -> Self {
        Self::of(stub(), package, root, action)
    }

    /// The same with another program, which may have no failpoints.
    pub fn of(program: &Path, package: &Path, root: &Path, action: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("--payload").arg(package).arg("--root").arg(root).args(action).stdin(Stdio::null());
        command.env_clear().env("PATH", "/nonexistent");
        Self { command }
    }

    /// Sets a variable of the failpoints.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.command.env(format!("AIRGAP_DEPLOY_{name}"), value.to_string());
        self
    }

    /// The command, for what else a test wants of it.
    pub fn command(mut self) -> Command {
        self.command.process_group(0);
        self.command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// It cannot be started.
    #[expect(clippy::expect_used, reason = "it was built a moment ago")]
    pub fn end(mut self) -> Ended {
        self.command.output().expect("the stub can be started").into()
    }
}
