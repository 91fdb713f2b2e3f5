//! The armed failpoints: every change is counted, from 1. What happens at which number comes from the environment.
//! `AIRGAP_DEPLOY_KILL_AT=N`, `AIRGAP_DEPLOY_STOP_AT=N` (SIGSTOP), `AIRGAP_DEPLOY_FAIL_AT=N:ERRNO[,M:ERRNO]` (numbers as
//! in errno(3)), `AIRGAP_DEPLOY_SHORT_WRITES=1` (a write that dies or fails has done its first half),
//! `AIRGAP_DEPLOY_LOG=FILE` (one JSON line for every change that was made), `AIRGAP_DEPLOY_IMPATIENT=1` (a service that
//! was started is not watched).

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use serde_json::{Value, json};

use crate::host::change::Change;

static COUNT: AtomicU64 = AtomicU64::new(0);
static SETTINGS: OnceLock<Settings> = OnceLock::new();

struct Settings {
    kill_at: Option<u64>,
    stop_at: Option<u64>,
    fail_at: Vec<(u64, i32)>,
    short_writes: bool,
    impatient: bool,
    /// A change and its line are made under the shared lock; who dies takes the other: no line is torn or missing.
    log: Option<RwLock<File>>,
}

fn settings() -> &'static Settings {
    SETTINGS.get_or_init(|| {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
        let pair = |text: &str| {
            let (at, errno) = text.split_once(':')?;
            Some((at.parse().ok()?, errno.parse().ok()?))
        };
        let open = |path| OpenOptions::new().create(true).append(true).open(path).ok();
        Settings {
            kill_at: number("AIRGAP_DEPLOY_KILL_AT"),
            stop_at: number("AIRGAP_DEPLOY_STOP_AT"),
            fail_at: env::var("AIRGAP_DEPLOY_FAIL_AT").unwrap_or_default().split(',').filter_map(pair).collect(),
            short_writes: env::var_os("AIRGAP_DEPLOY_SHORT_WRITES").is_some(),
            impatient: env::var_os("AIRGAP_DEPLOY_IMPATIENT").is_some(),
            log: env::var_os("AIRGAP_DEPLOY_LOG").and_then(open).map(RwLock::new),
        }
    })
}

/// Makes the system call of a change, or dies, stops or fails instead; notes it when it has succeeded.
pub fn around<T>(change: &Change<'_>, call: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
    interfere(|| {
        if let Change::Write { file, offset, bytes, .. } = change {
            let _ = file.write_all_at(&bytes[..bytes.len() / 2], *offset);
        }
    })?;
    let Some(log) = &settings().log else { return call() };
    let log = log.read().unwrap_or_else(PoisonError::into_inner);
    let value = call()?;
    let _ = (&*log).write_all(format!("{}\n", line(change)).as_bytes());
    Ok(value)
}

/// How long a service is watched: stand-ins of systemd know at once whether it starts.
pub fn patience(usual: Duration) -> Duration {
    if settings().impatient { Duration::ZERO } else { usual }
}

/// Called before a program of the host is run that changes the machine.
pub fn tool(_command: &str) -> nix::Result<()> {
    interfere(|| {})
}

fn interfere(half: impl FnOnce()) -> nix::Result<()> {
    let settings = settings();
    let number = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    if settings.stop_at == Some(number) {
        let _ = raise(Signal::SIGSTOP);
    }
    let errno = settings.fail_at.iter().find(|(at, _)| *at == number).map(|(_, errno)| Errno::from_raw(*errno));
    let dies = settings.kill_at == Some(number);
    if settings.short_writes && (dies || errno.is_some()) {
        half();
    }
    if dies {
        let _whole = settings.log.as_ref().map(|log| log.write().unwrap_or_else(PoisonError::into_inner));
        let _ = raise(Signal::SIGKILL);
    }
    errno.map_or(Ok(()), Err)
}

fn line(change: &Change<'_>) -> Value {
    let path = change.path().as_str();
    match change {
        Change::MakeDirectory(_) => json!({"op": "mkdir", "path": path}),
        Change::SetAttributes { mode, owner, .. } => {
            json!({"op": "attributes", "path": path, "mode": mode.bits(), "owner": owner})
        }
        Change::Create(_) => json!({"op": "create", "path": path}),
        Change::Write { offset, bytes, .. } => {
            // Large pieces are only counted.
            let content = if bytes.len() < 1 << 20 { json!(bytes) } else { Value::Null };
            json!({"op": "write", "path": path, "offset": offset, "length": bytes.len(), "bytes": content})
        }
        Change::Truncate { length, .. } => json!({"op": "truncate", "path": path, "length": length}),
        Change::Reserve { length, .. } => json!({"op": "reserve", "path": path, "length": length}),
        Change::SyncFile(_) => json!({"op": "fsync", "path": path}),
        Change::SyncDirectoryOf(_) => json!({"op": "fsync-parent", "path": path}),
        Change::Link { from, .. } => json!({"op": "link", "path": path, "from": from.as_str()}),
        Change::MakeSymbolicLink { target, .. } => json!({"op": "symlink", "path": path, "target": target}),
        Change::Rename { from, .. } => json!({"op": "rename", "path": path, "from": from.as_str()}),
        Change::Exchange { one, .. } => json!({"op": "exchange", "path": path, "from": one.as_str()}),
        Change::Remove(_) => json!({"op": "unlink", "path": path}),
        Change::RemoveDirectory(_) => json!({"op": "rmdir", "path": path}),
    }
}
