//! Version 1 of the journal: JSON lines, a header and one line for each step. Frozen: a change of meaning is a new
//! version in a new file. When lines are written is in `journal.rs`.

use std::fmt::Display;
use std::str::FromStr;

use payload::Owner;
use payload::index::Role;
use serde::{Deserialize, Serialize};

use super::{Begun, Header, JournalError, Unfinished};
use crate::host::account::MadeAccount;
use crate::plan::step::{LinkSource, PlaceFile, Replaces, Step};

const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Probe {
    journal: u32,
}

#[derive(Serialize, Deserialize)]
struct WireHeader {
    journal: u32,
    index: String,
    generation: u64,
    areas: Vec<String>,
    made: Vec<String>,
    reload: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
enum WireStep {
    CreateGroup {
        name: String,
        gid: u32,
    },
    CreateUser {
        name: String,
        uid: u32,
        group: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<String>,
        home: String,
    },
    StopUnit {
        unit: String,
    },
    MakeDirectory {
        path: String,
        mode: String,
    },
    PlaceFile(WirePlaceFile),
    MakeHardLink {
        path: String,
        to: String,
        /// Where the file is staged; absent when it was there already.
        #[serde(skip_serializing_if = "Option::is_none")]
        staged: Option<String>,
        size: u64,
    },
    MakeSymbolicLink {
        path: String,
        target: String,
    },
    RemoveFile {
        path: String,
        digest: String,
        backup: String,
    },
    RemoveSymbolicLink {
        path: String,
        target: String,
    },
    SetOwner {
        path: String,
        mode: String,
        owner: String,
        group: String,
    },
    /// Without its paths: there is nothing to undo.
    RestoreLabels,
    KeepInstaller {
        path: String,
    },
    ReloadSystemd,
    EnableUnit {
        unit: String,
    },
    DisableUnit {
        unit: String,
    },
    StartUnit {
        unit: String,
    },
}

#[derive(Serialize, Deserialize)]
struct WirePlaceFile {
    path: String,
    staged: String,
    file: usize,
    digest: String,
    size: u64,
    mode: String,
    /// Absent where owners are not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    role: WireRole,
    over: WireOver,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireRole {
    Program,
    ModelBlob,
    ModelManifest,
    Config,
    Unit,
    Installer,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireOver {
    Nothing,
    Ours { backup: String, digest: String },
    Foreign { backup: String, digest: String },
}

fn broken(error: impl Display) -> JournalError {
    JournalError::Broken(error.to_string())
}

fn parsed<T: FromStr>(text: &str) -> Result<T, JournalError>
where
    T::Err: Display,
{
    text.parse().map_err(broken)
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

pub(super) fn header_line(header: &Header) -> Vec<u8> {
    line(&WireHeader {
        journal: VERSION,
        index: header.index.to_string(),
        generation: header.generation,
        areas: header.areas.iter().map(|path| path.as_str().to_owned()).collect(),
        made: header.made.iter().map(|path| path.as_str().to_owned()).collect(),
        reload: header.reload,
    })
}

pub(super) fn step_line(step: &Step) -> Vec<u8> {
    line(&write_step(step))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Unfinished, JournalError> {
    // What follows the last line feed is empty, or was cut off before anything was done.
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut lines = bytes[..complete].split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().ok_or_else(|| broken("it is empty"))?;
    let header = read_header(first)?;
    let mut offset = first.len() as u64;
    let mut steps = Vec::new();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_slice::<WireStep>(line).map_err(broken).and_then(read_step) {
            Ok(step) => steps.push(Begun { step, offset }),
            // After a power cut the last line may hold anything: it was not on the disk, so its step had not begun.
            Err(_) if lines.peek().is_none() => {}
            Err(error) => return Err(error),
        }
        offset += line.len() as u64;
    }
    Ok(Unfinished { header, steps })
}

fn read_header(line: &[u8]) -> Result<Header, JournalError> {
    let probe: Probe = serde_json::from_slice(line).map_err(broken)?;
    if probe.journal != VERSION {
        return Err(JournalError::Newer { found: probe.journal, known: VERSION });
    }
    let wire: WireHeader = serde_json::from_slice(line).map_err(broken)?;
    let paths = |texts: &[String]| texts.iter().map(|text| parsed(text)).collect::<Result<Vec<_>, _>>();
    Ok(Header {
        index: parsed(&wire.index)?,
        generation: wire.generation,
        areas: paths(&wire.areas)?,
        made: paths(&wire.made)?,
        reload: wire.reload,
    })
}

fn read_step(wire: WireStep) -> Result<Step, JournalError> {
    Ok(match wire {
        WireStep::CreateGroup { name, gid } => Step::CreateGroup(MadeAccount { name: parsed(&name)?, id: gid }),
        WireStep::CreateUser { name, uid, group, groups, home } => {
            let user = MadeAccount { name: parsed(&name)?, id: uid };
            let groups = groups.iter().map(|group| parsed(group)).collect::<Result<_, _>>()?;
            Step::CreateUser { user, group: parsed(&group)?, groups, home: parsed(&home)? }
        }
        WireStep::StopUnit { unit } => Step::StopUnit { unit },
        WireStep::MakeDirectory { path, mode } => Step::MakeDirectory { path: parsed(&path)?, mode: parsed(&mode)? },
        WireStep::PlaceFile(wire) => Step::PlaceFile(read_place_file(&wire)?),
        WireStep::MakeHardLink { path, to, staged, size } => {
            let staged = staged.as_deref().map(parsed).transpose()?;
            let source = staged.map_or(LinkSource::Present { seen: None }, LinkSource::Staged);
            Step::MakeHardLink { path: parsed(&path)?, to: parsed(&to)?, source, size }
        }
        WireStep::MakeSymbolicLink { path, target } => Step::MakeSymbolicLink { path: parsed(&path)?, target },
        WireStep::RemoveFile { path, digest, backup } => {
            Step::RemoveFile { path: parsed(&path)?, digest: parsed(&digest)?, backup: parsed(&backup)? }
        }
        WireStep::RemoveSymbolicLink { path, target } => Step::RemoveSymbolicLink { path: parsed(&path)?, target },
        WireStep::SetOwner { path, mode, owner, group } => Step::SetOwner {
            path: parsed(&path)?,
            mode: parsed(&mode)?,
            owner: Owner { user: parsed(&owner)?, group: parsed(&group)? },
        },
        WireStep::RestoreLabels => Step::RestoreLabels { paths: Vec::new() },
        WireStep::KeepInstaller { path } => Step::KeepInstaller { path: parsed(&path)? },
        WireStep::ReloadSystemd => Step::ReloadSystemd,
        WireStep::EnableUnit { unit } => Step::EnableUnit { unit },
        WireStep::DisableUnit { unit } => Step::DisableUnit { unit },
        WireStep::StartUnit { unit } => Step::StartUnit { unit },
    })
}

fn read_place_file(wire: &WirePlaceFile) -> Result<PlaceFile, JournalError> {
    Ok(PlaceFile {
        path: parsed(&wire.path)?,
        staged: parsed(&wire.staged)?,
        file: wire.file,
        digest: parsed(&wire.digest)?,
        size: wire.size,
        mode: parsed(&wire.mode)?,
        owner: read_owner(wire.owner.as_deref(), wire.group.as_deref())?,
        role: match wire.role {
            WireRole::Program => Role::Program,
            WireRole::ModelBlob => Role::ModelBlob,
            WireRole::ModelManifest => Role::ModelManifest,
            WireRole::Config => Role::Config,
            WireRole::Unit => Role::Unit,
            WireRole::Installer => Role::Installer,
        },
        replaces: match &wire.over {
            WireOver::Nothing => Replaces::Nothing,
            WireOver::Ours { backup, digest } => {
                Replaces::Ours { backup: parsed(backup)?, digest: parsed(digest)?, seen: None }
            }
            WireOver::Foreign { backup, digest } => {
                Replaces::Foreign { backup: parsed(backup)?, digest: parsed(digest)?, seen: None }
            }
        },
    })
}

fn read_owner(user: Option<&str>, group: Option<&str>) -> Result<Option<Owner>, JournalError> {
    let Some((user, group)) = user.zip(group) else { return Ok(None) };
    Ok(Some(Owner { user: parsed(user)?, group: parsed(group)? }))
}

fn write_step(step: &Step) -> WireStep {
    let text = |path: &payload::RelPath| path.as_str().to_owned();
    match step {
        Step::CreateGroup(MadeAccount { name, id }) => WireStep::CreateGroup { name: name.to_string(), gid: *id },
        Step::CreateUser { user: MadeAccount { name, id }, group, groups, home } => WireStep::CreateUser {
            name: name.to_string(),
            uid: *id,
            group: group.to_string(),
            groups: groups.iter().map(ToString::to_string).collect(),
            home: text(home),
        },
        Step::StopUnit { unit } => WireStep::StopUnit { unit: unit.clone() },
        Step::MakeDirectory { path, mode } => WireStep::MakeDirectory { path: text(path), mode: mode.to_string() },
        Step::PlaceFile(place) => WireStep::PlaceFile(write_place_file(place)),
        Step::MakeHardLink { path, to, source, size } => {
            WireStep::MakeHardLink { path: text(path), to: text(to), staged: source.staged().map(text), size: *size }
        }
        Step::MakeSymbolicLink { path, target } => {
            WireStep::MakeSymbolicLink { path: text(path), target: target.clone() }
        }
        Step::RemoveFile { path, digest, backup } => {
            WireStep::RemoveFile { path: text(path), digest: digest.to_string(), backup: text(backup) }
        }
        Step::RemoveSymbolicLink { path, target } => {
            WireStep::RemoveSymbolicLink { path: text(path), target: target.clone() }
        }
        Step::SetOwner { path, mode, owner } => WireStep::SetOwner {
            path: text(path),
            mode: mode.to_string(),
            owner: owner.user.to_string(),
            group: owner.group.to_string(),
        },
        Step::RestoreLabels { .. } => WireStep::RestoreLabels,
        Step::KeepInstaller { path } => WireStep::KeepInstaller { path: text(path) },
        Step::ReloadSystemd => WireStep::ReloadSystemd,
        Step::EnableUnit { unit } => WireStep::EnableUnit { unit: unit.clone() },
        Step::DisableUnit { unit } => WireStep::DisableUnit { unit: unit.clone() },
        Step::StartUnit { unit } => WireStep::StartUnit { unit: unit.clone() },
    }
}

fn write_place_file(place: &PlaceFile) -> WirePlaceFile {
    let text = |path: &payload::RelPath| path.as_str().to_owned();
    WirePlaceFile {
        path: text(&place.path),
        staged: text(&place.staged),
        file: place.file,
        digest: place.digest.to_string(),
        size: place.size,
        mode: place.mode.to_string(),
        owner: place.owner.as_ref().map(|owner| owner.user.to_string()),
        group: place.owner.as_ref().map(|owner| owner.group.to_string()),
        role: match place.role {
            Role::Program => WireRole::Program,
            Role::ModelBlob => WireRole::ModelBlob,
            Role::ModelManifest => WireRole::ModelManifest,
            Role::Config => WireRole::Config,
            Role::Unit => WireRole::Unit,
            Role::Installer => WireRole::Installer,
        },
        over: match &place.replaces {
            Replaces::Nothing => WireOver::Nothing,
            Replaces::Ours { backup, digest, .. } => {
                WireOver::Ours { backup: text(backup), digest: digest.to_string() }
            }
            Replaces::Foreign { backup, digest, .. } => {
                WireOver::Foreign { backup: text(backup), digest: digest.to_string() }
            }
        },
    }
}
