//! Version 1 of the receipt as JSON. Frozen: a change of meaning is a new version in a new file.
//! What a receipt means is in `receipt.rs`.

mod choice;

use std::fmt::Display;
use std::io::{self, Write};
use std::str::FromStr;

use payload::index::Role;
use payload::{Owner, RelPath};
use serde::{Deserialize, Serialize};

use crate::host::account::MadeAccount;
use crate::host::root::Stat;
use crate::record::receipt::one_by_one::{Each, Many};

use super::{DirectoryEntry, FileEntry, LinkEntry, LinkTarget, Origin, Receipt, ReceiptError, SignedBy};

const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Probe {
    receipt: u32,
}

#[derive(Deserialize)]
struct WireReceipt {
    generation: u64,
    package: String,
    version: String,
    index: String,
    signed_by: Option<WireSignedBy>,
    stub_version: String,
    prefix: String,
    account: Option<WireOwner>,
    created_user: Option<WireAccount>,
    created_group: Option<WireAccount>,
    directories: Many<DirectoryEntry, WireDirectory>,
    files: Many<FileEntry, WireFile>,
    command_version: Option<String>,
    links: Many<LinkEntry, WireLink>,
    units: Vec<String>,
    models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    optional: Option<choice::Wire>,
    made: Vec<String>,
}

/// The same to be written: an entry becomes text when its turn comes, for there may be ten thousand.
#[derive(Serialize)]
struct Written<'a> {
    receipt: u32,
    generation: u64,
    package: &'a str,
    version: &'a str,
    index: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<WireSignedBy>,
    stub_version: &'a str,
    prefix: &'a str,
    account: Option<WireOwner>,
    created_user: Option<WireAccount>,
    created_group: Option<WireAccount>,
    directories: Each<'a, DirectoryEntry, WireDirectory>,
    files: Each<'a, FileEntry, WireFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_version: Option<&'a str>,
    links: Each<'a, LinkEntry, WireLink>,
    units: &'a [String],
    models: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    optional: Option<choice::Wire>,
    made: Vec<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct WireSignedBy {
    key_id: String,
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
struct WireOwner {
    user: String,
    group: String,
}

#[derive(Serialize, Deserialize)]
struct WireAccount {
    name: String,
    id: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "kebab-case")]
enum WireOrigin {
    Created,
    Replaced { backup: String, backup_digest: String },
    AlreadyPresent,
}

#[derive(Serialize, Deserialize)]
struct WireDirectory {
    path: String,
    #[serde(flatten)]
    origin: WireOrigin,
}

#[derive(Serialize, Deserialize)]
struct WireFile {
    path: String,
    digest: String,
    size: u64,
    mode: String,
    owner: String,
    group: String,
    role: WireRole,
    #[serde(flatten)]
    origin: WireOrigin,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stat: Option<WireStat>,
}

#[derive(Serialize, Deserialize)]
struct WireStat {
    device: u64,
    inode: u64,
    size: u64,
    uid: u32,
    gid: u32,
    mtime: String,
    ctime: String,
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
struct WireLink {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hard: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbolic: Option<String>,
    #[serde(flatten)]
    origin: WireOrigin,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stat: Option<WireStat>,
}

fn broken(error: impl Display) -> ReceiptError {
    ReceiptError::Broken(error.to_string())
}

fn parsed<T: FromStr>(text: &str) -> Result<T, ReceiptError>
where
    T::Err: Display,
{
    text.parse().map_err(broken)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
    let probe: Probe = serde_json::from_slice(bytes).map_err(broken)?;
    if probe.receipt != VERSION {
        return Err(ReceiptError::Newer { found: probe.receipt, known: VERSION });
    }
    let wire: WireReceipt = serde_json::from_slice(bytes).map_err(broken)?;
    Ok(Receipt {
        generation: wire.generation,
        package: parsed(&wire.package)?,
        version: wire.version,
        index: parsed(&wire.index)?,
        signed_by: wire.signed_by.map(read_signed_by).transpose()?,
        stub_version: wire.stub_version,
        prefix: parsed(&wire.prefix)?,
        account: wire.account.as_ref().map(read_owner).transpose()?,
        user: wire.created_user.as_ref().map(read_account).transpose()?,
        group: wire.created_group.as_ref().map(read_account).transpose()?,
        directories: wire.directories.entries,
        files: wire.files.entries,
        command_version: wire.command_version,
        links: wire.links.entries,
        units: wire.units,
        models: wire.models,
        choice: wire.optional.map(choice::read).unwrap_or_default(),
        made: wire.made.iter().map(|path| parsed(path)).collect::<Result<_, _>>()?,
    })
}

fn read_signed_by(wire: WireSignedBy) -> Result<SignedBy, ReceiptError> {
    Ok(SignedBy { fingerprint: parsed(&wire.fingerprint)?, key_id: wire.key_id })
}

fn read_owner(wire: &WireOwner) -> Result<Owner, ReceiptError> {
    Ok(Owner { user: parsed(&wire.user)?, group: parsed(&wire.group)? })
}

fn read_account(wire: &WireAccount) -> Result<MadeAccount, ReceiptError> {
    Ok(MadeAccount { name: parsed(&wire.name)?, id: wire.id })
}

fn read_origin(wire: WireOrigin) -> Result<Origin, ReceiptError> {
    Ok(match wire {
        WireOrigin::Created => Origin::Created,
        WireOrigin::Replaced { backup, backup_digest } => {
            Origin::Replaced { backup: parsed(&backup)?, digest: parsed(&backup_digest)? }
        }
        WireOrigin::AlreadyPresent => Origin::AlreadyPresent,
    })
}

impl TryFrom<WireDirectory> for DirectoryEntry {
    type Error = ReceiptError;

    fn try_from(wire: WireDirectory) -> Result<Self, ReceiptError> {
        Ok(Self { path: parsed(&wire.path)?, origin: read_origin(wire.origin)? })
    }
}

impl TryFrom<WireFile> for FileEntry {
    type Error = ReceiptError;

    fn try_from(wire: WireFile) -> Result<Self, ReceiptError> {
        let role = match wire.role {
            WireRole::Program => Role::Program,
            WireRole::ModelBlob => Role::ModelBlob,
            WireRole::ModelManifest => Role::ModelManifest,
            WireRole::Config => Role::Config,
            WireRole::Unit => Role::Unit,
            WireRole::Installer => Role::Installer,
        };
        Ok(Self {
            path: parsed(&wire.path)?,
            digest: parsed(&wire.digest)?,
            size: wire.size,
            mode: parsed(&wire.mode)?,
            owner: Owner { user: parsed(&wire.owner)?, group: parsed(&wire.group)? },
            role,
            origin: read_origin(wire.origin)?,
            stat: wire.stat.as_ref().map(read_stat).transpose()?,
        })
    }
}

impl TryFrom<WireLink> for LinkEntry {
    type Error = ReceiptError;

    fn try_from(wire: WireLink) -> Result<Self, ReceiptError> {
        let target = match (wire.hard, wire.symbolic) {
            (Some(to), None) => LinkTarget::Hard(parsed(&to)?),
            (None, Some(target)) => LinkTarget::Symbolic(target),
            _ => return Err(broken(format!("link {:?} is neither hard nor symbolic", wire.path))),
        };
        let stat = wire.stat.as_ref().map(read_stat).transpose()?;
        Ok(Self { path: parsed(&wire.path)?, target, origin: read_origin(wire.origin)?, stat })
    }
}

fn read_stat(wire: &WireStat) -> Result<Stat, ReceiptError> {
    let WireStat { device, inode, size, uid, gid, .. } = *wire;
    Ok(Stat { device, inode, size, uid, gid, modified: read_time(&wire.mtime)?, changed: read_time(&wire.ctime)? })
}

/// As `stat -c %.9Y` prints it: nine digits behind the dot.
fn read_time(text: &str) -> Result<(i64, i64), ReceiptError> {
    let no_time = || broken(format!("{text:?} is no time"));
    let (seconds, nanoseconds) = text.split_once('.').ok_or_else(no_time)?;
    let is_whole = nanoseconds.len() == 9 && nanoseconds.bytes().all(|digit| digit.is_ascii_digit());
    match (seconds.parse(), nanoseconds.parse()) {
        (Ok(seconds), Ok(nanoseconds)) if is_whole => Ok((seconds, nanoseconds)),
        _ => Err(no_time()),
    }
}

pub(super) fn write(receipt: &Receipt, mut out: impl Write) -> io::Result<()> {
    let wire = Written {
        receipt: VERSION,
        generation: receipt.generation,
        package: receipt.package.as_str(),
        version: &receipt.version,
        index: receipt.index.to_string(),
        signed_by: receipt.signed_by.as_ref().map(write_signed_by),
        stub_version: &receipt.stub_version,
        prefix: receipt.prefix.as_str(),
        account: receipt.account.as_ref().map(write_owner),
        created_user: receipt.user.as_ref().map(write_account),
        created_group: receipt.group.as_ref().map(write_account),
        directories: Each(&receipt.directories, write_directory),
        files: Each(&receipt.files, write_file),
        command_version: receipt.command_version.as_deref(),
        links: Each(&receipt.links, write_link),
        units: &receipt.units,
        models: &receipt.models,
        optional: choice::write(&receipt.choice),
        made: receipt.made.iter().map(RelPath::as_str).collect(),
    };
    serde_json::to_writer_pretty(&mut out, &wire)?;
    out.write_all(b"\n")
}

fn write_signed_by(signed_by: &SignedBy) -> WireSignedBy {
    WireSignedBy { key_id: signed_by.key_id.clone(), fingerprint: signed_by.fingerprint.to_string() }
}

fn write_owner(owner: &Owner) -> WireOwner {
    WireOwner { user: owner.user.to_string(), group: owner.group.to_string() }
}

fn write_account(account: &MadeAccount) -> WireAccount {
    WireAccount { name: account.name.to_string(), id: account.id }
}

fn write_origin(origin: &Origin) -> WireOrigin {
    match origin {
        Origin::Created => WireOrigin::Created,
        Origin::Replaced { backup, digest } => {
            WireOrigin::Replaced { backup: backup.as_str().to_owned(), backup_digest: digest.to_string() }
        }
        Origin::AlreadyPresent => WireOrigin::AlreadyPresent,
    }
}

fn write_directory(entry: &DirectoryEntry) -> WireDirectory {
    WireDirectory { path: entry.path.as_str().to_owned(), origin: write_origin(&entry.origin) }
}

fn write_file(entry: &FileEntry) -> WireFile {
    WireFile {
        path: entry.path.as_str().to_owned(),
        digest: entry.digest.to_string(),
        size: entry.size,
        mode: entry.mode.to_string(),
        owner: entry.owner.user.to_string(),
        group: entry.owner.group.to_string(),
        role: match entry.role {
            Role::Program => WireRole::Program,
            Role::ModelBlob => WireRole::ModelBlob,
            Role::ModelManifest => WireRole::ModelManifest,
            Role::Config => WireRole::Config,
            Role::Unit => WireRole::Unit,
            Role::Installer => WireRole::Installer,
        },
        origin: write_origin(&entry.origin),
        stat: entry.stat.as_ref().map(write_stat),
    }
}

fn write_stat(stat: &Stat) -> WireStat {
    let Stat { device, inode, size, uid, gid, modified, changed } = *stat;
    let time = |(seconds, nanoseconds): (i64, i64)| format!("{seconds}.{nanoseconds:09}");
    WireStat { device, inode, size, uid, gid, mtime: time(modified), ctime: time(changed) }
}

fn write_link(entry: &LinkEntry) -> WireLink {
    let (hard, symbolic) = match &entry.target {
        LinkTarget::Hard(to) => (Some(to.as_str().to_owned()), None),
        LinkTarget::Symbolic(target) => (None, Some(target.clone())),
    };
    WireLink {
        path: entry.path.as_str().to_owned(),
        hard,
        symbolic,
        origin: write_origin(&entry.origin),
        stat: entry.stat.as_ref().map(write_stat),
    }
}
