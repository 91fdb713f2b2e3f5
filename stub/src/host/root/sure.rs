//! When stat data prove that a file is unchanged: on which file systems, and how long after its last change.
//! What is proven with them is decided in `host/contents.rs` and `record/vouch.rs`.

use std::fs::File;
use std::time::Duration;

use nix::sys::stat::fstat;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, fstatfs};
use nix::time::{ClockId, clock_gettime};
use payload::RelPath;

use super::found::{Stat, attributes};
use super::{Found, Result, Root, failed};

/// As `linux/magic.h` of the kernel has it.
const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);

/// File systems whose time of change is the kernel's, in nanoseconds, and moves with every write, also one through a
/// mapping. On tmpfs such writes leave no trace, on an overlay nobody can say what is below it, and what is behind FUSE or
/// on another machine has a clock of its own.
const TELLING: [FsType; 4] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC];

/// A file system that keeps whole seconds only has nothing behind the dot, always.
const WHOLE_SECOND: i64 = 0;

/// Longer than any kernel's clock stands still, in milliseconds.
const LONGEST_TICK: u32 = 50;

impl Root {
    /// The stat data of the regular file at `path`, when everything that happens to it from now on will change them.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn sure_stat(&self, path: &RelPath) -> Result<Option<Stat>> {
        let now = clock();
        let file = self.open_file(path)?;
        sure_stat(&file, now).map_err(failed("look at", path))
    }

    /// The time of the last change of the file at `path`.
    pub fn change_time(&self, path: &RelPath) -> Option<(i64, i64)> {
        match self.look(path) {
            Ok(Found::File(facts)) => Some(facts.changed),
            _ => None,
        }
    }
}

/// The same of an open file. `now` was read before: a change within one tick of the clock leaves no trace.
pub(super) fn sure_stat(file: &File, now: (i64, i64)) -> nix::Result<Option<Stat>> {
    let stat = attributes(&fstat(file)?).stat();
    let telling = TELLING.contains(&fstatfs(file)?.filesystem_type());
    Ok((telling && stat.changed.1 != WHOLE_SECOND && stat.changed < now).then_some(stat))
}

/// The clock that the kernel takes the times of files from: seconds and nanoseconds since 1970. It stands still for some
/// milliseconds at a time. Where it cannot be read, it is before everything.
pub fn clock() -> (i64, i64) {
    clock_gettime(ClockId::CLOCK_REALTIME_COARSE).map_or((0, 0), |now| (now.tv_sec(), now.tv_nsec()))
}

/// Waits until a change is told from one at `time`; in vain, and not for long, when that is in the future.
pub fn wait_for_clock(time: (i64, i64)) {
    for _ in 0..LONGEST_TICK {
        if clock() > time {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
