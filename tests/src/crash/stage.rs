//! A bare target, one with the first package on it, and both packages: where most crash tests start.
//! What is in them is in `sample.rs`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::program::Run;
use super::{directory, sample};
use crate::tree::copy;

/// The targets and packages; they go when it is dropped.
#[derive(Debug)]
pub struct Stage {
    directory: TempDir,
    pub bare: PathBuf,
    pub installed: PathBuf,
    pub first: PathBuf,
    pub second: PathBuf,
}

impl Stage {
    /// Makes all of them; with `accounts`, the package's service has one.
    ///
    /// # Errors
    /// Something cannot be written, or the first package cannot be installed.
    pub fn new(accounts: bool) -> Result<Self> {
        let directory = directory()?;
        let path = |name: &str| directory.path().join(name);
        let (bare, installed) = (path("bare"), path("installed"));
        let stage = Self { bare, installed, first: path("first.run"), second: path("second.run"), directory };
        sample::first(accounts)?.write(&stage.first)?;
        sample::second(accounts)?.write(&stage.second)?;
        sample::target(&stage.bare, accounts)?;
        copy(&stage.bare, &stage.installed)?;
        let ended = Run::new(&stage.first, &stage.installed, &["--install"]).end();
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(stage)
    }

    /// A target with the second package on it, in the place of the first and of a file in the way.
    ///
    /// # Errors
    /// The second package cannot be installed.
    pub fn replaced(&self) -> Result<PathBuf> {
        let root = self.path().join("replaced");
        copy(&self.installed, &root)?;
        let ended = Run::new(&self.second, &root, &["--install", "--replace"]).end();
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(root)
    }

    /// The directory that everything is in.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}
