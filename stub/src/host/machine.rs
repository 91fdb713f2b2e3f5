//! The machine that steps act on: its root directory and the numbers of its accounts.
//! System calls are made in `root.rs`; what a step does is in `plan/step.rs`.

use payload::{Owner, RelPath};

use crate::host::account;
use crate::host::root::{Found, FsError, Root};
use crate::host::tool::{Tool, ToolError};

/// A step failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("{0}")]
    State(String),
}

impl StepError {
    /// Whether a file system or quota is full.
    pub fn is_out_of_space(&self) -> bool {
        use nix::errno::Errno;
        matches!(self, Self::Fs(error) if matches!(error.errno(), Some(Errno::ENOSPC | Errno::EDQUOT)))
    }
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
        if !self.privileged {
            return Ok(None);
        }
        let uid =
            if owner.user.is_root() { Some(0) } else { account::user(&self.root, &owner.user)?.map(|user| user.uid) };
        let gid = if owner.group.is_root() { Some(0) } else { account::group(&self.root, &owner.group)? };
        match (uid, gid) {
            (Some(uid), Some(gid)) => Ok(Some((uid, gid))),
            _ => Err(StepError::State(format!("the account {owner} does not exist"))),
        }
    }

    /// Runs an account tool on this machine's root.
    pub fn run(&self, tool: Tool, arguments: &[&str]) -> Result<(), StepError> {
        let prefix = self.root.path().display().to_string();
        let mut all = if self.root.is_live() { Vec::new() } else { vec!["--prefix", prefix.as_str()] };
        all.extend(arguments);
        Ok(tool.run(&all).map(drop)?)
    }

    /// Removes `path` if it is the same file as `other`, and so the one that was put there.
    pub fn remove_if_same(&self, path: &RelPath, other: &RelPath) -> Result<(), StepError> {
        if self.same_file(path, other)? {
            self.root.remove(path)?;
        }
        Ok(())
    }

    /// Puts a kept file back under its old name; nothing kept means nothing had been done.
    pub fn put_back(&self, backup: &RelPath, path: &RelPath) -> Result<(), StepError> {
        if self.root.look(backup)? == Found::Absent {
            return Ok(());
        }
        if self.same_file(backup, path)? {
            return Ok(self.root.remove(backup)?);
        }
        Ok(self.root.rename(backup, path)?)
    }

    fn same_file(&self, one: &RelPath, other: &RelPath) -> Result<bool, StepError> {
        Ok(match (self.root.look(one)?, self.root.look(other)?) {
            (Found::File(one), Found::File(other)) => (one.device, one.inode) == (other.device, other.inode),
            _ => false,
        })
    }

    /// A free name beside a staged file.
    pub fn second_name(&self, staged: &RelPath) -> Result<RelPath, StepError> {
        let path: RelPath = format!("{}.2", staged.as_str())
            .parse()
            .map_err(|error: payload::PathError| StepError::State(error.to_string()))?;
        self.root.remove(&path)?;
        Ok(path)
    }
}
