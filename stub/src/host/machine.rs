//! The machine that steps act on: its root directory and the numbers of its accounts.
//! System calls are made in `root.rs`; what a step does is in `plan/step.rs`.

use nix::errno::Errno;
use payload::{Digest, Owner, RelPath};

use crate::host::account::{self, AccountError, MadeAccount, NO_LOGIN, User};
use crate::host::names;
use crate::host::root::{Found, FsError, Root};
use crate::host::tool::{Tool, ToolError};

/// A step failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{0}")]
    State(String),
    /// Somebody else did since the plan what the step was to do.
    #[error("{0}")]
    DoneByOthers(String),
}

impl StepError {
    /// Whether a file system or quota is full.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Fs(error) if matches!(error.errno(), Some(Errno::ENOSPC | Errno::EDQUOT)))
    }
}

/// How undoing a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// What the step did is taken back, or had never been done.
    Clean,
    /// Somebody else changed it meanwhile: it stays. A sentence for the administrator.
    Kept(String),
    /// A unit is not as it was before, and this is why.
    Unit(String),
}

impl Undone {
    /// What stands at `path` is not what was put there.
    pub fn changed(path: &RelPath) -> Self {
        Self::Kept(format!("{path} was changed by somebody else: it stays"))
    }
}

fn not_the_one(kind: &str, made: &MadeAccount, found: u32) -> Undone {
    let MadeAccount { name, id } = made;
    Undone::Kept(format!(
        "the {kind} {name} has the number {found}, and was to get {id}: somebody else made it, it stays"
    ))
}

/// What steps need to act.
#[derive(Debug)]
pub struct Machine {
    pub root: Root,
    /// Whether owners can be set. Without root's privileges (only below another root) files belong to who runs this.
    pub privileged: bool,
}

impl Machine {
    /// The numbers of an owner; `None` when owners cannot be set.
    pub fn ids(&self, owner: &Owner) -> Result<Option<(u32, u32)>, StepError> {
        let missing = || StepError::State(format!("the account {owner} does not exist"));
        self.ids_if_there(owner)?.ok_or_else(missing)
    }

    /// The same; `None` on the outside when there is no such account.
    #[expect(clippy::option_option, reason = "no such account, and no owners at all, are two things")]
    pub fn ids_if_there(&self, owner: &Owner) -> Result<Option<Option<(u32, u32)>>, StepError> {
        if !self.privileged {
            return Ok(Some(None));
        }
        let uid =
            if owner.user.is_root() { Some(0) } else { account::user(&self.root, &owner.user)?.map(|user| user.uid) };
        let gid = if owner.group.is_root() { Some(0) } else { account::group(&self.root, &owner.group)? };
        Ok(uid.zip(gid).map(Some))
    }

    /// Gives files the SELinux labels that the policy of the running system has for them.
    pub fn restore_labels(&self, arguments: &[&str]) -> Result<(), StepError> {
        if self.root.is_live() { Ok(Tool::Restorecon.run(arguments).map(drop)?) } else { Ok(()) }
    }

    /// Runs an account tool on this machine's root.
    pub fn run(&self, tool: Tool, arguments: &[&str]) -> Result<(), StepError> {
        self.run_if(tool, arguments, || Ok(true)).map(drop)
    }

    /// The same if `still` says so at the last moment. Says whether it was run.
    fn run_if(
        &self,
        tool: Tool,
        arguments: &[&str],
        still: impl FnOnce() -> Result<bool, StepError>,
    ) -> Result<bool, StepError> {
        if !tool.takes_root() {
            return Err(StepError::State(format!("{} is no account tool", tool.name())));
        }
        let prefix = self.root.path().display().to_string();
        let mut all = if self.root.is_live() { Vec::new() } else { vec!["--prefix", prefix.as_str()] };
        all.extend(arguments);
        Ok(tool.run_if(&all, still)?.is_some())
    }

    /// Takes a user back that was just made, unless somebody gave it another home or a shell since.
    pub fn undo_user(&self, made: &MadeAccount, home: &RelPath) -> Result<Undone, StepError> {
        let as_made = |user: &User| user.home == home.to_string() && user.shell == NO_LOGIN;
        match account::user(&self.root, &made.name)? {
            Some(user) if user.uid == made.id && !as_made(&user) => {
                Ok(Undone::Kept(format!("the user {} was changed by somebody else: it stays", made.name)))
            }
            _ => self.remove_user(made),
        }
    }

    /// Takes a group back that was just made, unless somebody made others its members since.
    pub fn undo_group(&self, made: &MadeAccount) -> Result<Undone, StepError> {
        if account::group(&self.root, &made.name)? == Some(made.id) && account::has_members(&self.root, &made.name)? {
            return Ok(Undone::Kept(format!("somebody made others members of the group {}: it stays", made.name)));
        }
        self.remove_group(made)
    }

    /// Removes a user that was made; one of the same name with another number stays.
    pub fn remove_user(&self, made: &MadeAccount) -> Result<Undone, StepError> {
        let MadeAccount { name, id } = made;
        let uid = || Ok::<_, StepError>(account::user(&self.root, name)?.map(|user| user.uid));
        let mut group = None;
        let is_still_that = || {
            group = account::group(&self.root, name)?;
            Ok(uid()? == Some(*id))
        };
        if uid()? == Some(*id) && self.run_if(Tool::Userdel, &[name.as_str()], is_still_that)? {
            // userdel(8) takes the group of the same name along, whoever made it (USERGROUPS_ENAB of login.defs).
            if let Some(gid) = group
                && account::group(&self.root, name)?.is_none()
            {
                self.run(Tool::Groupadd, &["--gid", &gid.to_string(), name.as_str()])?;
            }
            return Ok(Undone::Clean);
        }
        Ok(uid()?.map_or(Undone::Clean, |other| not_the_one("user", made, other)))
    }

    /// Removes a group that was made; one of the same name with another number stays, and so does the group of a user.
    pub fn remove_group(&self, made: &MadeAccount) -> Result<Undone, StepError> {
        let MadeAccount { name, id } = made;
        let gid = || Ok::<_, StepError>(account::group(&self.root, name)?);
        if gid()? == Some(*id) {
            match self.run_if(Tool::Groupdel, &[name.as_str()], || Ok(gid()? == Some(*id))) {
                // E_GROUP_BUSY of groupdel(8).
                Err(StepError::Tool(error)) if error.code == Some(8) => {
                    return Ok(Undone::Kept(format!("the group {name} stays: it is the group of a user")));
                }
                Ok(true) => return Ok(Undone::Clean),
                Ok(false) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(gid()?.map_or(Undone::Clean, |other| not_the_one("group", made, other)))
    }

    /// Removes `path` if it is the same file as `other`, and so the one that was put there.
    pub fn remove_if_same(&self, path: &RelPath, other: &RelPath) -> Result<(), StepError> {
        if self.same_file(path, other)? {
            self.root.remove(path)?;
        }
        Ok(())
    }

    /// Removes what was `seen` at `path`, a file or link. It is moved aside first and looked at once more, so that nothing
    /// else is ever removed in its place. Says whether that was it; anything else stays.
    pub fn take_away(&self, path: &RelPath, seen: &Found) -> Result<bool, StepError> {
        let root = &self.root;
        match root.look(path)? {
            // Somebody else has removed it.
            Found::Absent => return Ok(true),
            found if !found.is_same(seen) => return Ok(false),
            _ => {}
        }
        let Some(aside) = names::aside(path) else {
            root.remove(path)?;
            return Ok(true);
        };
        root.move_to_free(path, &aside)?;
        if root.look(&aside)?.is_same(seen) {
            root.remove(&aside)?;
            return Ok(true);
        }
        self.bring_back(path)?;
        Ok(false)
    }

    /// What was moved aside when a crash came gets its name back, or one beside it.
    pub fn bring_back(&self, path: &RelPath) -> Result<(), StepError> {
        let Some(aside) = names::aside(path) else { return Ok(()) };
        if self.root.look(&aside)? == Found::Absent {
            return Ok(());
        }
        match self.root.move_to_free(&aside, path) {
            Err(error) if error.errno() == Some(Errno::EEXIST) => self.keep_beside(&aside, path, true).map(drop),
            other => Ok(other?),
        }
    }

    /// Puts a kept file back under its old name; nothing kept means nothing had been done. What stands at `path` goes only
    /// if it `is_ours`; what somebody else put there stays, and the kept file gets a name beside it. Where it is known
    /// what the kept file `holds`, anything else by that name is somebody else's, and stays there.
    pub fn put_back(
        &self,
        backup: &RelPath,
        path: &RelPath,
        holds: Option<Digest>,
        is_ours: impl Fn(&Self) -> Result<bool, StepError>,
    ) -> Result<Undone, StepError> {
        if self.root.look(backup)? == Found::Absent {
            return Ok(Undone::Clean);
        }
        if self.same_file(backup, path)? {
            self.root.remove(backup)?;
            return Ok(Undone::Clean);
        }
        let is_free = self.root.look(path)? == Found::Absent;
        if let Some(digest) = holds
            && !self.holds(backup, digest)?
        {
            if !is_free && is_ours(self)? {
                self.root.remove(path)?;
            }
            return Ok(Undone::Kept(format!("{backup} is no longer the backup of {path}: it stays")));
        }
        if is_free || is_ours(self)? {
            self.root.rename(backup, path)?;
            return Ok(Undone::Clean);
        }
        let kept = self.keep_beside(backup, path, false)?;
        Ok(Undone::Kept(format!("{path} was changed by somebody else: it stays, and what was there before is {kept}")))
    }

    /// Gives a kept file a name that the administrator finds; one that has such a name already keeps it, unless it has to
    /// `go` from there.
    pub fn keep_beside(&self, backup: &RelPath, path: &RelPath, go: bool) -> Result<RelPath, StepError> {
        if !go && backup.parent() == path.parent() {
            return Ok(backup.clone());
        }
        for name in names::backups(path) {
            if self.root.look(&name)? == Found::Absent {
                self.root.rename(backup, &name)?;
                return Ok(name);
            }
        }
        Err(StepError::State(format!("there is no name left for what was at {path}: it is {backup}")))
    }

    /// Whether a file with this content stands at `path`.
    pub fn holds(&self, path: &RelPath, digest: Digest) -> Result<bool, FsError> {
        Ok(matches!(self.root.look(path)?, Found::File(_)) && self.root.digest(path)? == digest)
    }

    /// Whether both names are of one file.
    pub fn same_file(&self, one: &RelPath, other: &RelPath) -> Result<bool, StepError> {
        Ok(match (self.root.look(one)?, self.root.look(other)?) {
            (Found::File(one), Found::File(other)) => (one.device, one.inode) == (other.device, other.inode),
            _ => false,
        })
    }

    /// A free name beside a staged file.
    pub fn second_name(&self, staged: &RelPath) -> Result<RelPath, StepError> {
        let path = Self::name_of_second(staged)?;
        self.root.remove(&path)?;
        Ok(path)
    }

    /// Where the copy of a staged file is that goes to its place.
    pub fn name_of_second(staged: &RelPath) -> Result<RelPath, StepError> {
        let parsed = format!("{}.2", staged.as_str()).parse();
        parsed.map_err(|error: payload::PathError| StepError::State(error.to_string()))
    }
}
