//! What can be known about a path of the target, as values.
//! Finding it out is done in `root.rs`.

use std::os::fd::AsRawFd;

use nix::sys::stat::FileStat;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Absent,
    /// Nothing can be said: this user may not look there.
    Hidden,
    Directory(Attributes),
    File(Attributes),
    Link {
        target: String,
    },
    /// A device, socket or FIFO.
    Special,
}

impl Found {
    /// Whether the same is there as before, as far as one can tell without reading it.
    pub fn is_same(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::File(found), Self::File(before)) => found.is_same(before),
            (found, before) => found == before,
        }
    }
}

/// Facts about an existing file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Length in bytes.
    pub size: u64,
    /// Bytes on the disk: less than the length where nothing was written yet.
    pub allocated: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub device: u64,
    pub inode: u64,
    /// When its content was changed last: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// When anything about it was changed last. Nobody can set this back.
    pub changed: (i64, i64),
}

/// What stat(2) says of a file. Whoever changes what is in the file changes some of this too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub uid: u32,
    pub gid: u32,
    pub modified: (i64, i64),
    pub changed: (i64, i64),
}

impl Stat {
    /// Whether it is one file, whatever became of it.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it is one file that nobody wrote to in between, though it may have got other names.
    pub fn is_same_but_for_names(&self, other: &Self) -> bool {
        self.is_same_file(other) && (self.size, self.modified) == (other.size, other.modified)
    }
}

impl Attributes {
    /// What tells whether the file is changed.
    pub fn stat(&self) -> Stat {
        let Self { device, inode, size, uid, gid, modified, changed, .. } = *self;
        Stat { device, inode, size, uid, gid, modified, changed }
    }

    /// Whether this is the same file with, as far as one can tell without reading it, the same content.
    pub fn is_same(&self, other: &Self) -> bool {
        let of =
            |facts: &Self| (facts.device, facts.inode, facts.size, facts.modified, facts.mode, facts.uid, facts.gid);
        of(self) == of(other)
    }
}

/// Facts about the file system that holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    pub device: u64,
    /// Links and renames do not lead from one mount to another, even of one file system. `None` without `/proc`.
    pub mount: Option<u64>,
    /// Bytes.
    pub available: u64,
    pub block: u64,
    /// `None` where the file system does not count inodes.
    pub free_inodes: Option<u64>,
    pub read_only: bool,
    pub no_exec: bool,
    /// Whether it is of a kind that is known to have no hard links; of others only trying tells.
    pub no_hard_links: bool,
}

impl FileSystem {
    /// Whether links and renames lead from the one to the other.
    pub fn is_same_mount(&self, other: &Self) -> bool {
        (self.device, self.mount) == (other.device, other.mount)
    }
}

/// The number of the mount that an open file is on, as `/proc/self/fdinfo` says it (proc(5)).
pub(super) fn mount(handle: &impl AsRawFd) -> Option<u64> {
    let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    facts.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// The facts that a stat(2) gave.
pub(super) fn attributes(stat: &FileStat) -> Attributes {
    Attributes {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        device: stat.st_dev,
        inode: stat.st_ino,
        modified: (stat.st_mtime, stat.st_mtime_nsec),
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    }
}
