//! What can be said of a manifest without any network: everything that is wrong with it, at once.
//! Reading the manifest itself is in `manifest/`; fetching is in `fetch.rs`.

use std::path::Path;

use crate::content::local;
use crate::fetch;
use crate::lock::{self, LockFile, LockKey, LockedSource};
use crate::manifest::{Component, Manifest, SourceKind, missing_checksums};

/// One thing that a build would refuse.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The code with which that build would end.
    pub exit_code: u8,
    pub what: String,
}

/// Problems beyond the manifest's own text: local files that are not there or not what they should be, checksums that
/// nothing pins, hosts that are not allowed. Of files the headers alone are read.
pub fn check(manifest: &Manifest) -> Vec<Problem> {
    let lock = LockFile::read(&LockFile::beside(&manifest.path), &manifest.path);
    let mut problems = Vec::new();
    if let Err(error) = &lock {
        problems.push(Problem { exit_code: 40, what: error.to_string() });
    }
    let locked = lock.ok().flatten();
    for missing in missing_checksums(manifest) {
        let key = LockKey::of(missing.component, manifest.target);
        let source = LockedSource::of(&missing.source.kind, &manifest.path);
        let pinned = locked.as_ref().is_some_and(|lock| lock.pinned(&key, &source).is_some());
        if !pinned {
            let (name, command) = (&missing.component.name, lock::command(manifest.target));
            let key = missing.source.checksum_key(manifest.target);
            let what = format!(
                "component {name:?} has no checksum, and AirGapDeploy.lock does not pin it: add {key}, or run \
                 `{command}`"
            );
            problems.push(Problem { exit_code: 40, what });
        }
    }
    for component in manifest.components.iter().flat_map(Component::with_parts) {
        log::info!("component {}: {}", component.name, fetch::origin(component));
        match component.source().map(|source| &source.kind) {
            Some(SourceKind::File { path }) => {
                let directory = manifest.path.parent().unwrap_or(Path::new(""));
                problems.extend(local_file(manifest, component, &directory.join(path)));
            }
            Some(SourceKind::Url { url }) => problems.extend(host(manifest, &component.name, url)),
            _ => {}
        }
    }
    problems
}

fn local_file(manifest: &Manifest, component: &Component, path: &Path) -> Option<Problem> {
    let metadata = match fetch::look_at(component, path) {
        Ok(metadata) if metadata.is_dir() => return None,
        Ok(metadata) => metadata,
        Err(error) => return Some(Problem { exit_code: error.exit_code(), what: error.to_string() }),
    };
    let error = local::look_at(manifest, component, path, metadata.len()).err()?;
    Some(Problem { exit_code: error.exit_code(), what: error.to_string() })
}

fn host(manifest: &Manifest, component: &str, url: &url::Url) -> Option<Problem> {
    let host = url.host_str()?;
    let allowed = manifest.package.allowed_hosts.as_ref()?;
    (!fetch::host_is_allowed(allowed, host)).then(|| Problem {
        exit_code: 43,
        what: format!("component {component:?}: {host} is not in allowed_hosts ({})", allowed.join(", ")),
    })
}
