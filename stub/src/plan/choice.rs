//! Optional components on this target: what was asked for, against what the package has, and what that leaves of its index.
//! The choice itself, as it is remembered, is in `record/choice.rs`.

use std::borrow::Cow;
use std::collections::HashSet;

use payload::RelPath;
use payload::index::{File, Index, LinkKind};

use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::record::choice::{Choice, Rule};
use crate::record::receipt::Receipt;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub include: Vec<String>,
    pub exclude: Vec<String>,
}

/// The index as this target gets it, what is chosen, and what is worth knowing of that.
pub struct Settled<'a> {
    pub index: Cow<'a, Index>,
    pub choice: Choice,
    pub notes: Vec<String>,
}

/// What was asked for now counts; else what is installed keeps its rule, and a first installation takes everything.
///
/// # Errors
/// What was named is no optional component of the package, or nothing of the package is left.
pub fn settle<'a>(index: &'a Index, asked: &Asked, receipt: Option<&Receipt>) -> Result<Settled<'a>, Error> {
    let before = receipt.map(|receipt| receipt.choice.rule.clone()).unwrap_or_default();
    let (rule, kept) = match rule(index, asked)? {
        Some(rule) => (rule, false),
        None => (before, true),
    };
    let optional: Vec<(usize, &String)> = optional(index).collect();
    let (included, left_out): (Vec<_>, Vec<_>) = optional.iter().partition(|(_, name)| rule.takes(name));
    let names = |some: &[&(usize, &String)]| some.iter().map(|(_, name)| (*name).clone()).collect::<Vec<_>>();
    let mut notes = Vec::new();
    if kept && rule != Rule::All {
        notes.extend(notes_of_kept(index, &rule, &names(&left_out)));
    }
    let choice = Choice { included: names(&included), left_out: names(&left_out), rule };
    let left: Vec<usize> = left_out.iter().map(|(position, _)| *position).collect();
    if !left.is_empty() && left.len() == index.components.len() {
        return Err(refused(
            "every component of this package is optional, and none is chosen: there is nothing to install",
            &format!("choose with --include; {}", there_are(index)),
        ));
    }
    let mut index = if left.is_empty() { Cow::Borrowed(index) } else { Cow::Owned(without(index, &left)) };
    if let Some(receipt) = receipt.filter(|receipt| receipt.choice != choice) {
        standing_first(index.to_mut(), receipt);
    }
    Ok(Settled { index, choice, notes })
}

fn optional(index: &Index) -> impl Iterator<Item = (usize, &String)> {
    let components = index.components.iter().enumerate();
    components.filter(|(_, component)| !component.required).map(|(position, component)| (position, &component.name))
}

/// The rule of what was typed; `None` when nothing was.
fn rule(index: &Index, asked: &Asked) -> Result<Option<Rule>, Error> {
    let (typed, option) = match (asked.include.as_slice(), asked.exclude.as_slice()) {
        ([], []) => return Ok(None),
        (include, []) => (include, "--include"),
        (_, exclude) => (exclude, "--exclude"),
    };
    let known = |name: &str| index.components.iter().any(|component| component.name == name);
    // A name may hold a comma.
    let names: Vec<String> = typed
        .iter()
        .flat_map(|one| if known(one) { vec![one.as_str()] } else { one.split(',').map(str::trim).collect() })
        .map(str::to_owned)
        .collect();
    if option == "--include" {
        match names.as_slice() {
            [word] if word == "all" => return Ok(Some(Rule::All)),
            [word] if word == "none" => return Ok(Some(Rule::Include(Vec::new()))),
            _ => {}
        }
    }
    let unknown: Vec<String> = names.iter().filter(|name| !known(name)).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let what = format!("{option}: this package has no component called {}", unknown.join(", "));
        return Err(refused(&what, &there_are(index)));
    }
    let is_optional = |name: &String| optional(index).any(|(_, optional)| optional == name);
    // To include a required one is no error.
    let (chosen, required): (Vec<String>, Vec<String>) = names.into_iter().partition(is_optional);
    match (option, required.first()) {
        ("--include", _) => Ok(Some(Rule::Include(chosen))),
        (_, None) => Ok(Some(Rule::Exclude(chosen))),
        (_, Some(name)) => {
            let what = format!("--exclude: the component {name:?} is required and cannot be left out");
            Err(refused(&what, &there_are(index)))
        }
    }
}

fn refused(what: &str, hint: &str) -> Error {
    Error::new(Exit::Usage, payload::printable(what)).state(NOTHING_CHANGED).hint(payload::printable(hint))
}

fn there_are(index: &Index) -> String {
    let names: Vec<&str> = optional(index).map(|(_, name)| name.as_str()).collect();
    if names.is_empty() {
        "the package has no optional components: all of it is always installed".to_owned()
    } else {
        format!("its optional components: {} (--include all, --include none)", names.join(", "))
    }
}

/// What is done without anybody asking for it is said.
fn notes_of_kept(index: &Index, rule: &Rule, left_out: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let gone: Vec<&str> = rule
        .names()
        .iter()
        .filter(|name| optional(index).all(|(_, known)| known != *name))
        .map(String::as_str)
        .collect();
    if !gone.is_empty() {
        notes.push(format!("chosen earlier, but not an optional component of this package: {}", gone.join(", ")));
    }
    if !left_out.is_empty() {
        let words = match rule.names() {
            [] => "none".to_owned(),
            names => names.join(","),
        };
        let option = if matches!(rule, Rule::Exclude(_)) { "--exclude" } else { "--include" };
        notes.push(format!(
            "as chosen at the last installation ({option} {words}), these are left out: {}; --include all installs everything",
            left_out.join(", ")
        ));
    }
    notes
}

/// The index without what only these components need. Components keep their positions.
fn without(index: &Index, left_out: &[usize]) -> Index {
    let mut after = index.clone();
    after.directories.retain(|entry| entry.only_for.is_there_without(left_out));
    after.links.retain(|entry| entry.only_for.is_there_without(left_out));
    let files = std::mem::take(&mut after.files);
    after.files = files.into_iter().filter_map(|file| remaining(file, &mut after, left_out)).collect();
    let paths: HashSet<&RelPath> = after.files.iter().map(|file| &file.path).collect();
    after.units.retain(|unit| paths.contains(&unit.path));
    after.models.retain(|model| paths.contains(&model.manifest));
    let blobs: HashSet<_> = after.files.iter().map(|file| file.blob).collect();
    after.blobs.retain(|blob| blobs.contains(&blob.digest));
    after
}

/// Content that stands already under another name of the file is not written once more: that name is then the file.
fn standing_first(index: &mut Index, receipt: &Receipt) {
    let has_content =
        |path: &RelPath, file: &File| receipt.content(path).is_some_and(|known| known.digest == file.blob);
    for file in &mut index.files {
        let leads_here = |kind: &LinkKind| matches!(kind, LinkKind::Hard { to } if *to == file.path);
        let mut names = index.links.iter_mut().filter(|link| leads_here(&link.kind)).peekable();
        if names.peek().is_none() || has_content(&file.path, file) {
            continue;
        }
        let Some(standing) = names.find(|link| has_content(&link.path, file)) else { continue };
        let before = file.path.clone();
        std::mem::swap(&mut file.path, &mut standing.path);
        std::mem::swap(&mut file.only_for, &mut standing.only_for);
        for link in index.links.iter_mut().filter(|link| matches!(&link.kind, LinkKind::Hard { to } if *to == before)) {
            link.kind = LinkKind::Hard { to: file.path.clone() };
        }
    }
}

/// A file that is left out may have second names that are not: the first of them is then the file.
fn remaining(file: File, index: &mut Index, left_out: &[usize]) -> Option<File> {
    if file.only_for.is_there_without(left_out) {
        return Some(file);
    }
    let leads_here = |kind: &LinkKind| matches!(kind, LinkKind::Hard { to } if *to == file.path);
    let position = index.links.iter().position(|link| leads_here(&link.kind))?;
    let link = index.links.remove(position);
    for other in index.links.iter_mut().filter(|other| leads_here(&other.kind)) {
        other.kind = LinkKind::Hard { to: link.path.clone() };
    }
    Some(File { path: link.path, only_for: link.only_for, ..file })
}
