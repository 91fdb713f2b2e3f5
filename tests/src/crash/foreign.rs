//! What somebody else does to a target while an installer stands still or has crashed, and what has to be left of it.
//! When it is done, and what the installer then says, is in `tests/interference.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use payload::Digest;
use payload::names::{BACKUP_SUFFIX, STAGING_PREFIX};

/// One kind of thing that somebody does at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Writes into a file, which stays the same one.
    Edit,
    /// Puts another file in its place, as editors do.
    Replace,
    Delete,
    Rename,
    Chmod,
    Chown,
    /// In the place of a file, such as `systemctl mask` puts there.
    LinkInstead,
    NewFile,
    NewLink,
    NewDirectory,
    FileInDirectory,
}

/// All of them.
pub const ACTS: [Act; 11] = [
    Act::Edit,
    Act::Replace,
    Act::Delete,
    Act::Rename,
    Act::Chmod,
    Act::Chown,
    Act::LinkInstead,
    Act::NewFile,
    Act::NewLink,
    Act::NewDirectory,
    Act::FileInDirectory,
];

/// What stands at a path, without modes and owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    Directory,
    File(Digest),
    Link(PathBuf),
}

/// Everything below a root that is not the installer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Things(pub BTreeMap<PathBuf, Thing>);

/// What was done.
#[derive(Debug, Clone)]
pub struct Done {
    pub act: Act,
    pub path: PathBuf,
    /// Every path that stands for something else because of it.
    pub touched: BTreeSet<PathBuf>,
    /// The names of that one file, then and in the states that can be meant: what was written into it is right under each.
    names: BTreeSet<PathBuf>,
    /// What must not get lost, and where it was put.
    theirs: Option<(PathBuf, Thing)>,
}

/// Whether a path is the installer's own business.
pub fn is_private(path: &Path) -> bool {
    path.starts_with("var") || path.iter().any(|name| name.to_string_lossy().starts_with(".airgap-deploy"))
}

impl Things {
    /// Looks at everything.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn below(root: &Path) -> Result<Self> {
        let mut things = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let path = directory.join(entry?.file_name());
                if is_private(&path) {
                    continue;
                }
                let full = root.join(&path);
                let facts = fs::symlink_metadata(&full)?;
                let thing = if facts.is_dir() {
                    pending.push(path.clone());
                    Thing::Directory
                } else if facts.is_symlink() {
                    Thing::Link(fs::read_link(&full)?)
                } else {
                    Thing::File(Digest::of(&fs::read(&full)?))
                };
                things.insert(path, thing);
            }
        }
        Ok(Self(things))
    }

    /// Whether a file with this content is anywhere.
    fn holds(&self, content: &Thing) -> bool {
        self.0.values().any(|thing| thing == content)
    }
}

/// Paths that are the same file as `path`, itself included.
fn names_of_file(root: &Path, path: &Path) -> Result<BTreeSet<PathBuf>> {
    let facts = fs::symlink_metadata(root.join(path))?;
    let mut names = BTreeSet::from([path.to_owned()]);
    for other in Things::below(root)?.0.into_keys() {
        let found = fs::symlink_metadata(root.join(&other))?;
        if (found.dev(), found.ino()) == (facts.dev(), facts.ino()) {
            names.insert(other);
        }
    }
    Ok(names)
}

/// Does it, if it can be done there: `None` when there is nothing to do it to, or something in the way.
///
/// # Errors
/// It cannot be done although it should.
pub fn act(act: Act, root: &Path, path: &Path, number: u64) -> Result<Option<Done>> {
    let full = root.join(path);
    let text = format!("of somebody else, number {number}\n");
    let content = Thing::File(Digest::of(text.as_bytes()));
    let facts = fs::symlink_metadata(&full).ok();
    let is_file = facts.as_ref().is_some_and(fs::Metadata::is_file);
    let is_directory = facts.as_ref().is_some_and(fs::Metadata::is_dir);
    let is_free = facts.is_none() && full.parent().is_some_and(Path::is_dir);
    let possible = match act {
        Act::Edit | Act::Replace | Act::Chmod | Act::Chown | Act::LinkInstead => is_file,
        Act::Delete | Act::Rename => facts.is_some() && !is_directory,
        Act::NewFile | Act::NewLink | Act::NewDirectory => is_free,
        Act::FileInDirectory => is_directory,
    };
    if !possible || (act == Act::Chown && !crate::skip::is_root()) {
        return Ok(None);
    }
    let mut touched = if is_file { names_of_file(root, path)? } else { BTreeSet::from([path.to_owned()]) };
    let names = if is_file { touched.clone() } else { BTreeSet::new() };
    let mut theirs = None;
    match act {
        Act::Edit => {
            fs::OpenOptions::new().append(true).open(&full)?.write_all(text.as_bytes())?;
            theirs = Some((path.to_owned(), Thing::File(Digest::of(&fs::read(&full)?))));
        }
        Act::Replace => {
            let fresh = full.with_extension("fresh-of-theirs");
            fs::write(&fresh, &text)?;
            fs::rename(&fresh, &full)?;
            theirs = Some((path.to_owned(), content));
        }
        Act::Delete => fs::remove_file(&full)?,
        Act::Rename => {
            let other = path.with_file_name(format!("moved-by-somebody-{number}"));
            let thing = Things::below(root)?.0.remove(path).context("nothing there")?;
            fs::rename(&full, root.join(&other))?;
            touched.insert(other.clone());
            theirs = Some((other, thing));
        }
        Act::Chmod => fs::set_permissions(&full, fs::Permissions::from_mode(0o604))?,
        Act::Chown => std::os::unix::fs::chown(&full, Some(4242), Some(4242))?,
        Act::LinkInstead => {
            fs::remove_file(&full)?;
            symlink(format!("/dev/null/{number}"), &full)?;
            theirs = Some((path.to_owned(), Thing::Link(format!("/dev/null/{number}").into())));
        }
        Act::NewFile => {
            fs::write(&full, &text)?;
            theirs = Some((path.to_owned(), content));
        }
        Act::NewLink => {
            symlink(format!("theirs-{number}"), &full)?;
            theirs = Some((path.to_owned(), Thing::Link(format!("theirs-{number}").into())));
        }
        Act::NewDirectory | Act::FileInDirectory => {
            let inside = path.join(format!("of-somebody-{number}"));
            fs::create_dir_all(&full)?;
            fs::write(root.join(&inside), &text)?;
            touched.insert(inside.clone());
            theirs = Some((inside, content));
        }
    }
    Ok(Some(Done { act, path: path.to_owned(), touched, names, theirs }))
}

/// Names for what is kept of a path.
fn is_backup_of(name: &Path, path: &Path) -> bool {
    name.to_string_lossy().strip_prefix(path.to_string_lossy().as_ref()).is_some_and(|rest| {
        rest.starts_with(".airgap-deploy-backup") && !rest.contains('/') && !rest.contains(".going")
    })
}

impl Done {
    /// What is one file with it in a state that can be meant, `state`, is touched with it; and with a backup the place that
    /// it would go back to.
    ///
    /// # Errors
    /// That state cannot be read.
    pub fn touches_all_names(&mut self, state: &Path) -> Result<()> {
        if state.join(&self.path).is_file() {
            let names = names_of_file(state, &self.path)?;
            self.touched.extend(names.iter().cloned());
            self.names.extend(names);
        }
        let name = self.path.to_string_lossy();
        if let Some((origin, _)) = name.split_once(".airgap-deploy-backup") {
            self.touched.insert(PathBuf::from(origin));
        }
        Ok(())
    }

    /// Where what they made is by now: at its path, or kept beside it.
    ///
    /// # Errors
    /// It is lost.
    pub fn whereabouts(&self, now: &Things) -> Result<Option<PathBuf>> {
        let Some((path, thing)) = &self.theirs else { return Ok(None) };
        if now.0.get(path) == Some(thing) {
            return Ok(None);
        }
        let of_that_content: Vec<&PathBuf> =
            now.0.iter().filter(|(_, found)| *found == thing).map(|(name, _)| name).collect();
        if self.act == Act::Edit && of_that_content.iter().any(|name| self.names.contains(*name)) {
            return Ok(None);
        }
        // What they did to a backup is at the backup's name, or lost: nobody may take it for what was set aside.
        let is_kept =
            |name: &Path| is_backup_of(name, path) || self.names.iter().any(|other| is_backup_of(name, other));
        let kept = of_that_content.into_iter().find(|name| is_kept(name));
        Ok(Some(kept.with_context(|| format!("lost: {thing:?} of /{}", path.display()))?.clone()))
    }

    /// The reference: elsewhere everything is as in one of `states`; where they did something, it is what they made, or
    /// what one of the states has there. Directories above what they made may stay.
    ///
    /// # Errors
    /// Names the paths that are neither.
    pub fn is_one_of(&self, states: &[&Things], after: &Things, now: &Things) -> Result<()> {
        let mut differences = Vec::new();
        for state in states {
            let wrong = self.differences(state, states, after, now);
            if wrong.is_empty() {
                return Ok(());
            }
            differences.push(wrong.join("\n"));
        }
        anyhow::bail!("this is no state that can be meant:\n{}", differences.join("\n--- or\n"))
    }

    fn differences(&self, state: &Things, states: &[&Things], after: &Things, now: &Things) -> Vec<String> {
        let paths: BTreeSet<&PathBuf> = state.0.keys().chain(now.0.keys()).collect();
        let touched =
            |path: &Path| self.touched.contains(path) || self.touched.iter().any(|origin| is_backup_of(path, origin));
        let is_above = |path: &Path| self.touched.iter().any(|below| below.starts_with(path));
        let wrong = paths.into_iter().filter(|path| {
            let (expected, found) = (state.0.get(*path), now.0.get(*path));
            if expected == found || (is_above(path) && found.is_none_or(|found| *found == Thing::Directory)) {
                return false;
            }
            // Another name of a file that they wrote into has what they wrote.
            let is_theirs = || self.theirs.as_ref().is_some_and(|(_, thing)| found == Some(thing));
            let has_it = |state: &Things| state.0.get(*path) == found;
            let allowed = || states.iter().any(|state| has_it(state)) || has_it(after) || is_theirs();
            !(touched(path) && (allowed() || self.touched.iter().any(|origin| is_backup_of(path, origin))))
        });
        wrong.map(|path| format!("/{}: {:?}, not {:?}", path.display(), now.0.get(path), state.0.get(path))).collect()
    }
}

/// That of what stood there before the package and was not the package's, nothing is lost that the act itself left.
///
/// # Errors
/// Names what is gone.
pub fn nothing_older_is_lost(bare: &Things, after_act: &[Digest], now: &Things) -> Result<()> {
    for (path, thing) in &bare.0 {
        if let Thing::File(digest) = thing
            && after_act.contains(digest)
        {
            ensure!(now.holds(thing), "lost: what was at /{} before the package came", path.display());
        }
    }
    Ok(())
}

/// The content of every file below a root that an act left, the installer's own included. Whoever does away with a backup
/// does away with what was set aside, also in the instant in which a staging directory still holds a second name of it.
///
/// # Errors
/// Something cannot be read.
pub fn contents(root: &Path, act: Option<&Done>) -> Result<Vec<Digest>> {
    let was_backup = act.is_some_and(|done| done.path.to_string_lossy().contains(BACKUP_SUFFIX));
    let is_staging =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STAGING_PREFIX));
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let facts = fs::symlink_metadata(&path)?;
            if facts.is_dir() {
                pending.extend((!was_backup || !is_staging(&path)).then_some(path));
            } else if facts.is_file() {
                found.push(Digest::of(&fs::read(path)?));
            }
        }
    }
    Ok(found)
}
