//! A controller: Ansible and its linters, in a virtual environment of their own that is kept between runs.
//! The machines that it is let loose on are in `fleet.rs`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cache;
use crate::command::{argv, capture, succeed};
use crate::packages::{Need, install, say};

const PACKAGES: [&str; 3] = ["ansible-core==2.19.14", "ansible-lint==26.10.1", "yamllint"];
/// Raised when the list above changes.
const RECIPE: u32 = 1;
const VENV: &[Need] = &[Need { file: "/usr/lib/python3.11/ensurepip/__init__.py", package: "python3-venv" }];
pub const BOUND: Duration = Duration::from_secs(10 * 60);

/// Where its programs are.
#[derive(Debug)]
pub struct Controller {
    directory: PathBuf,
}

impl Controller {
    /// The kept one, else a new one; says what it downloads.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn provide() -> Result<Self> {
        let _lock = cache::lock("ansible")?;
        let directory = cache::dir()?.join(format!("ansible-{RECIPE}"));
        let done = directory.join("done");
        if !done.exists() {
            if !capture(&mut argv(&["python3", "-m", "venv", "--help"])?, BOUND)?.ok() {
                install(VENV)?;
            }
            say(&format!("pip install {}", PACKAGES.join(" ")));
            succeed(argv(&["python3", "-m", "venv", "--clear"])?.arg(&directory), BOUND)?;
            let pip = directory.join("bin/pip").display().to_string();
            succeed(argv(&[&pip, "install", "--quiet"])?.args(PACKAGES), BOUND)?;
            std::fs::write(done, "")?;
        }
        Ok(Self { directory })
    }

    /// One of its programs, with settings that do not depend on who runs the test.
    ///
    /// # Errors
    /// None; as [`argv`].
    pub fn tool(&self, name: &str) -> Result<Command> {
        self.command(&[], name)
    }

    /// The same, started by another command.
    ///
    /// # Errors
    /// None; as [`argv`].
    pub fn command(&self, before: &[&str], name: &str) -> Result<Command> {
        let programs = self.directory.join("bin");
        let mut command = argv(&[before, &[programs.join(name).display().to_string().as_str()]].concat())?;
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs.display())).env("LC_ALL", "C.UTF-8");
        command.env("ANSIBLE_NOCOLOR", "1").env("NO_COLOR", "1").env("ANSIBLE_PIPELINING", "1");
        command.env("ANSIBLE_HOST_KEY_CHECKING", "0").env("ANSIBLE_HOME", self.directory.join("home"));
        Ok(command)
    }
}
