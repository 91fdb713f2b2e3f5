//! What can be said of a manifest without any network: everything that is wrong with it, at once.
//! Reading the manifest itself is in `manifest/`; fetching is in `fetch.rs`.

use std::fs::File;
use std::path::Path;

use crate::lock::LockFile;
use crate::manifest::{Manifest, SourceKind, missing_checksums};

/// Findings beyond the manifest's own text: local files that are not there, checksums that nothing pins, hosts that
/// are not allowed.
pub fn check(manifest: &Manifest) -> Vec<String> {
    let lock = LockFile::read(&LockFile::beside(&manifest.path), &manifest.path);
    let mut findings = Vec::new();
    if let Err(error) = &lock {
        findings.push(error.to_string());
    }
    let locked = lock.ok().flatten();
    for missing in missing_checksums(manifest) {
        let pinned = locked.as_ref().is_some_and(|lock| lock.components.contains_key(&missing.component.name));
        if !pinned {
            findings.push(format!(
                "component {:?} has no checksum, and AirGapDeploy.lock does not pin it: add source.checksum, or run `builder lock`",
                missing.component.name
            ));
        }
    }
    for component in &manifest.components {
        match component.source().map(|source| &source.kind) {
            Some(SourceKind::File { path }) => {
                let directory = manifest.path.parent().unwrap_or(Path::new(""));
                findings.extend(local(&component.name, &directory.join(path)));
            }
            Some(SourceKind::Url { url }) => findings.extend(host(manifest, &component.name, url)),
            _ => {}
        }
    }
    findings
}

fn local(component: &str, path: &Path) -> Option<String> {
    let error = File::open(path).err()?;
    Some(format!("component {component:?}: cannot read {}: {error}", path.display()))
}

fn host(manifest: &Manifest, component: &str, url: &url::Url) -> Option<String> {
    let host = url.host_str()?;
    let allowed = manifest.package.allowed_hosts.as_ref()?;
    (!crate::fetch::host_is_allowed(allowed, host))
        .then(|| format!("component {component:?}: {host} is not in allowed_hosts ({})", allowed.join(", ")))
}
