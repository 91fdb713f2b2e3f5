//! Which members an `install_path` means: a program with the libraries beside it, or a whole directory.
//! Where they go on the target is decided in `place/binary.rs`.

use payload::RelPath;

use super::members::{Member, Members, below};

/// How many members an error names.
const LISTED: usize = 20;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection<'a> {
    /// A program, and the directory whose tree follows it (`lib/<name>` beside its `bin`).
    Program {
        member: &'a RelPath,
        companions: Option<RelPath>,
    },
    /// Everything below this directory.
    Directory(RelPath),
    /// Several members could be meant.
    Ambiguous(Vec<&'a RelPath>),
    Missing,
}

/// What `wanted`, an install path without a leading slash, means in an archive.
///
/// The longest end of the path that is a member counts (`bin/ollama` of `/usr/local/bin/ollama`), below the archive's
/// single top directory too; then a whole directory of that path; then the only file of that name.
pub(crate) fn select<'a>(members: &'a Members, wanted: &str) -> Selection<'a> {
    let ends = std::iter::successors(Some(wanted), |path| path.split_once('/').map(|(_, rest)| rest));
    if let Some(member) = ends.clone().find_map(|end| file_at(members, end)) {
        return program(member);
    }
    if let Some(directory) = ends.take(1).find_map(|end| directory_at(members, end)) {
        return Selection::Directory(directory);
    }
    let name = wanted.rsplit('/').next().unwrap_or(wanted);
    let named: Vec<&RelPath> = files(members).filter(|path| path.name() == name).collect();
    match named[..] {
        [] => Selection::Missing,
        [member] => program(member),
        _ => Selection::Ambiguous(named),
    }
}

fn files(members: &Members) -> impl Iterator<Item = &RelPath> {
    members.list.iter().filter(|(_, member)| **member != Member::Directory).map(|(path, _)| path)
}

/// Whether `path` is `end`, itself or below the single top directory.
fn is_at(members: &Members, path: &RelPath, end: &str) -> bool {
    path.as_str() == end || members.top.as_ref().is_some_and(|top| below(path, top) == Some(end))
}

fn file_at<'a>(members: &'a Members, end: &str) -> Option<&'a RelPath> {
    files(members).find(|path| is_at(members, path, end))
}

fn directory_at(members: &Members, end: &str) -> Option<RelPath> {
    let mut directories = files(members).flat_map(RelPath::ancestors);
    directories.find(|path| is_at(members, path, end))
}

fn program(member: &RelPath) -> Selection<'_> {
    let directory = member.parent();
    let root = match &directory {
        Some(bin) if bin.name() == "bin" => bin.parent(),
        other => other.clone(),
    };
    let libraries = format!("lib/{}", member.name());
    let companions = match root {
        Some(root) => root.join(&libraries),
        None => libraries.parse(),
    };
    Selection::Program { member, companions: companions.ok() }
}

/// What an archive holds, for an error message: its first members and how many more there are.
pub(crate) fn listing(members: &Members, only: Option<&[&RelPath]>) -> String {
    let all: Vec<&RelPath> = only.map_or_else(|| files(members).collect(), <[_]>::to_vec);
    if all.is_empty() {
        return "it is empty".to_owned();
    }
    let names: Vec<&str> = all.iter().take(LISTED).map(|path| path.as_str()).collect();
    let more = match all.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = if only.is_some() { "several members have that name" } else { "it holds" };
    format!("{what}: {}{more}", names.join(", "))
}
