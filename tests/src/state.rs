//! What a running machine keeps on this host: a directory, a control group, and a lock that says it is alive.
//! Also the clearing away of what a killed run left. Booting is in `machine.rs`.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::wait_until;

/// On a disk: an installer's payload may be larger than a RAM disk.
const ABOVE: &str = "/var/tmp/airgap-deploy-machines";
const GUARD: &str = ".guard";
const GONE_WITHIN: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// The directory of one machine. Dropping it kills what still runs in its control group and removes both.
#[derive(Debug)]
pub struct State {
    name: String,
    dir: PathBuf,
    /// Locked for as long as the machine belongs to a living test.
    _alive: File,
}

impl State {
    /// Makes a new one, after clearing away those whose owners are gone.
    pub fn create() -> Result<Self> {
        let above = Path::new(ABOVE);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o711).create(above).with_context(|| format!("{ABOVE} cannot be made"))?;
        let guard = File::create(above.join(GUARD)).with_context(|| format!("{ABOVE} cannot be written to"))?;
        guard.lock()?;
        clear_leftovers(above)?;
        let name = format!("airgap-deploy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = above.join(&name);
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(dir.join(part)).with_context(|| format!("{} cannot be made", dir.display()))?;
        }
        let alive = File::create(dir.join("alive"))?;
        alive.lock()?;
        Ok(Self { name, dir, _alive: alive })
    }

    /// The name of the machine and of its control group.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where `upper`, `work`, `root` and `console.log` are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last lines of the console, for the text of a failure.
    pub fn console(&self) -> String {
        let text = fs::read(self.dir.join("console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Kills every process of the machine and waits until none is left.
    pub fn kill(&self) -> Result<()> {
        kill_group(&self.name)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.name, &self.dir) {
            eprintln!("machine {} is not cleared away, the next run will try again: {error:#}", self.name);
        }
    }
}

fn clear_leftovers(above: &Path) -> Result<()> {
    for entry in fs::read_dir(above)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let alive = File::open(entry.path().join("alive"));
        if alive.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        clear(&entry.file_name().to_string_lossy(), &entry.path())?;
    }
    Ok(())
}

fn clear(name: &str, dir: &Path) -> Result<()> {
    kill_group(name)?;
    // The mounts of a machine are in a namespace of its own and went with its last process.
    fs::remove_dir_all(dir).with_context(|| format!("{} cannot be removed", dir.display()))
}

fn kill_group(name: &str) -> Result<()> {
    let Some(group) = cgroup_root()?.map(|root| root.join(name)).filter(|group| group.exists()) else { return Ok(()) };
    let _ = fs::write(group.join("cgroup.kill"), "1");
    let empty = || Ok(fs::read_to_string(group.join("cgroup.events")).is_ok_and(|text| text.contains("populated 0")));
    if !wait_until(GONE_WITHIN, empty)? {
        bail!("processes in {} do not go away", group.display());
    }
    remove_group(&group)
}

fn remove_group(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group).with_context(|| format!("{} cannot be removed", group.display()))
}

/// Where this host has the unified control group hierarchy mounted, if anywhere.
fn cgroup_root() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    }))
}
