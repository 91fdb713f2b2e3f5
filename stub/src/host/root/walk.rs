//! Walking a path below the root: to the directory that holds it, and over no link that others could have placed.
//! What is done there is in `read.rs`, `write.rs` and `remove.rs`.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode as Bits, fstat, fstatat};
use payload::RelPath;

use super::{Cause, FsError, Result, Root, failed, shown};

/// More links than any sane path has.
const MAX_LINKS: u32 = 40;

impl Root {
    /// Opens the directory at `path`; `None` is the root itself.
    ///
    /// Links are followed only out of directories that nobody but root (or the user running this) can write to, and
    /// never leave the root.
    pub fn directory(&self, path: Option<&RelPath>) -> Result<OwnedFd> {
        let Some(path) = path else { return reopen(&self.handle, "/") };
        match self.in_one_call(path) {
            // A link, or a kernel older than 5.6: only the walk can tell.
            Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM | Errno::EAGAIN) => self.by_component(path),
            answer => answer.map_err(failed("open directory", path)),
        }
    }

    /// The kernel walks, and stops at the first link (openat2(2)).
    fn in_one_call(&self, path: &RelPath) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&self.handle, path.as_str(), how)
    }

    /// Component by component, looking at every link.
    fn by_component(&self, path: &RelPath) -> Result<OwnedFd> {
        let shown = path.to_string();
        let mut pending: VecDeque<String> = path.components().map(str::to_owned).collect();
        let mut stack = vec![reopen(&self.handle, &shown)?];
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            let Some(current) = stack.last() else { break };
            if name == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(current, name.as_str(), flags, Bits::empty()) {
                Ok(next) => stack.push(next),
                Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) => {
                    links += 1;
                    let target = match readlinkat(current, name.as_str()) {
                        Ok(target) if links <= MAX_LINKS => target.to_string_lossy().into_owned(),
                        Ok(_) => return Err(failed("open directory", &shown)(Errno::ELOOP)),
                        Err(_) => return Err(failed("open directory", &shown)(errno)),
                    };
                    self.require_trusted_link(current, &name, &shown)?;
                    if target.starts_with('/') {
                        stack.truncate(1);
                    }
                    for part in target.split('/').rev().filter(|part| !part.is_empty() && *part != ".") {
                        pending.push_front(part.to_owned());
                    }
                }
                Err(errno) => return Err(failed("open directory", &shown)(errno)),
            }
        }
        stack.pop().ok_or_else(|| failed("open directory", &shown)(Errno::ENOENT))
    }

    fn require_trusted_link(&self, directory: &OwnedFd, name: &str, shown: &str) -> Result<()> {
        let stat = fstat(directory).map_err(failed("look at", &shown))?;
        let link = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("look at", &shown))?;
        if self.keeps_links_of_root(&stat) && self.trusts_user(link.st_uid) {
            Ok(())
        } else {
            let cause = Cause::UntrustedLink(name.to_owned());
            Err(FsError { action: "follow a link on the way to", path: shown.to_owned(), cause })
        }
    }

    pub(super) fn trusts_user(&self, uid: u32) -> bool {
        uid == 0 || uid == self.euid.as_raw()
    }

    /// Whether the links in a directory are root's, or those of the user running this: nobody else may take one of them
    /// away, and in a sticky directory each link is judged by its own owner.
    fn keeps_links_of_root(&self, stat: &FileStat) -> bool {
        let sticky = stat.st_mode & 0o1000 != 0;
        self.trusts_user(stat.st_uid) && (stat.st_mode & 0o022 == 0 || sticky)
    }

    /// The handle of the directory that holds `path`.
    pub(super) fn parent(&self, path: &RelPath) -> Result<OwnedFd> {
        self.directory(path.parent().as_ref())
    }

    /// Whether a program that follows links as the kernel does gets to the same place when it is told this root and the path: an
    /// absolute link, or one with too many `..`, leads it out. What is not there yet is made in the nearest that is.
    pub fn others_get_to(&self, path: &RelPath) -> bool {
        let Ok(handle) = self.directory(Some(path)) else {
            return path.parent().is_none_or(|above| self.others_get_to(&above));
        };
        let there = std::fs::metadata(self.path().join(path.as_str())).map(|there| (there.dev(), there.ino()));
        fstat(&handle).is_ok_and(|here| there.is_ok_and(|there| there == (here.st_dev, here.st_ino)))
    }

    /// Whether only root, or the user running this, can put anything into this directory: a staging area is safe there.
    pub fn only_root_can_write(&self, path: Option<&RelPath>) -> Result<bool> {
        let handle = self.directory(path)?;
        let stat = fstat(&handle).map_err(failed("look at", &shown(path)))?;
        Ok(self.trusts_user(stat.st_uid) && stat.st_mode & 0o022 == 0)
    }
}

fn reopen(handle: &OwnedFd, shown: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(handle, ".", flags, Bits::empty()).map_err(failed("open directory", &shown))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Where both ways lead, as the inode of the directory, or why they lead nowhere.
    fn ways(root: &Root, path: &str) -> [std::result::Result<u64, String>; 2] {
        let path: RelPath = path.parse().unwrap();
        [root.directory(Some(&path)), root.by_component(&path)].map(|way| match way {
            Ok(handle) => Ok(fstat(&handle).unwrap().st_ino),
            Err(error) => Err(error.to_string()),
        })
    }

    #[test]
    fn the_kernels_walk_and_the_one_by_component_lead_to_the_same_place() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::write(at("a/file"), "").unwrap();
        fs::create_dir(at("open")).unwrap();
        for (target, link) in [
            ("a/b", "in"),
            ("../../..", "a/up"),
            ("/a", "absolute"),
            ("in", "chain"),
            ("self", "self"),
            ("nothing", "dangling"),
            ("../a", "open/link"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
        let root = Root::open(scratch.path()).unwrap();
        let mut reached = 0;
        for path in [
            "a",
            "a/b/c",
            "in",
            "in/c",
            "chain/c",
            "absolute/b",
            "a/up",
            "a/up/a",
            "open",
            "open/link",
            "self",
            "dangling",
            "a/file",
            "a/file/x",
            "none",
            "none/x",
        ] {
            let [one, other] = ways(&root, path);
            assert_eq!(one, other, "{path}");
            reached += usize::from(one.is_ok());
        }
        assert_eq!(reached, 9);
    }
}
