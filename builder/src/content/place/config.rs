//! Configuration files and units at their install paths.
//! Which files are units, and what their drop-in says, is decided in `unit.rs`.

use std::fs::File;
use std::io::Read;

use payload::index::{Role, Unit};
use payload::{Mode, Owner, RelPath};

use crate::content::unit::{self, Kind};
use crate::fetch::artifact::Artifact;
use crate::manifest::{Content as Given, InstallPath};

use super::{Content, Entry, Job, Placement, Placing};
use crate::content::error::ContentError;
use crate::small_file;

/// Longer files are no units, in bytes.
const MAX_UNIT: u64 = 1 << 20;

impl Placing<'_> {
    pub(super) fn place_config(
        &mut self,
        job: Job<'_>,
        given: &Given,
        artifact: Option<&Artifact>,
        install_path: &InstallPath,
    ) -> Result<(), ContentError> {
        let path = &install_path.path;
        let mut content = content(job, given, artifact)?;
        let kind = unit::kind(path);
        if kind != Kind::Config {
            content = with_line_feeds(content)?;
        }
        if kind == Kind::Unit {
            self.place_unit(job, path, &text(&content)?)?;
        }
        let role = if kind == Kind::Config { Role::Config } else { Role::Unit };
        let entry = Entry::File { content, mode: job.mode(Mode::READABLE), role };
        self.tree.add(job.position, Placement { path: path.clone(), owner: job.owner(&Owner::root()), entry })
    }

    /// Notes a unit, and places the drop-in of one that runs Ollama.
    fn place_unit(&mut self, job: Job<'_>, path: &RelPath, text: &str) -> Result<(), ContentError> {
        let runs_ollama = !self.ollama.is_empty() && unit::runs_ollama(path, text, &self.programs());
        let drop_in = if runs_ollama { Some(unit::drop_in_path(path.name())?) } else { None };
        if let Some(path) = drop_in.clone() {
            let text = unit::drop_in(&self.manifest.install);
            let content = Content::Bytes(text.into_bytes());
            let entry = Entry::File { content, mode: Mode::READABLE, role: Role::Unit };
            self.tree.add(job.position, Placement { path, owner: Owner::root(), entry })?;
        }
        self.units.push(Unit { name: path.name().to_owned(), path: path.clone(), drop_in });
        Ok(())
    }
}

fn content(job: Job<'_>, given: &Given, artifact: Option<&Artifact>) -> Result<Content, ContentError> {
    match (given, artifact) {
        (Given::Inline(text), _) => Ok(Content::Bytes(text.clone().into_bytes())),
        (Given::Source(_), Some(Artifact::File(file))) => {
            Ok(Content::Disk { path: file.path.clone(), size: file.size, digest: file.digest })
        }
        (Given::Source(_), _) => {
            let remedy = "name a file, or give `content`".to_owned();
            Err(job.unsuitable("its source", "is no file".to_owned(), remedy))
        }
    }
}

/// An editor on another system may end lines with CR LF, which systemd takes for a part of the value.
fn with_line_feeds(content: Content) -> Result<Content, ContentError> {
    let bytes = match &content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Disk { size, .. } if *size > MAX_UNIT => return Ok(content),
        Content::Disk { path, .. } => small_file::read(path, MAX_UNIT).map_err(ContentError::io("read", path))?,
    };
    if !bytes.windows(2).any(|pair| pair == b"\r\n") {
        return Ok(content);
    }
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let lines: Vec<&[u8]> = lines.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    Ok(Content::Bytes(lines.join(&b'\n')))
}

/// The text of a unit; empty for what is too long to be one.
fn text(content: &Content) -> Result<String, ContentError> {
    let mut bytes = Vec::new();
    match content {
        Content::Bytes(given) => bytes.clone_from(given),
        Content::Disk { path, .. } => {
            let file = File::open(path).map_err(ContentError::io("open", path))?;
            file.take(MAX_UNIT).read_to_end(&mut bytes).map_err(ContentError::io("read", path))?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
