//! Names that the installer keeps for itself on a target, each said once: the stub makes them, and no package may.
//! Which paths follow from them is in `stub/src/record/state.rs`.

/// What stays known of all packages: one directory for each.
pub const STATE_DIRECTORY: &str = "var/lib/airgap-deploy";
/// What was done with packages: one log for each, where the directory above is there.
pub const LOG_DIRECTORY: &str = "var/log/airgap-deploy";
/// Keys that the host trusts.
pub const TRUSTED_KEYS: &str = "etc/airgap-deploy/trusted-keys";
/// Keys that the host trusted once: what they signed is refused, whoever trusts them.
pub const REVOKED_KEYS: &str = "etc/airgap-deploy/revoked-keys";
/// A staging directory is called this and the name of its package.
pub const STAGING_PREFIX: &str = ".airgap-deploy.";
/// Where the directory of a package waits until it appears, or while it is removed: this and the name of the package.
pub const HIDDEN_STATE_PREFIX: &str = ".airgap-deploy-state.";
/// What a file is called, behind its own name, while another has taken its place.
pub const BACKUP_SUFFIX: &str = ".airgap-deploy-backup";
/// The drop-in that the builder makes beside a unit that runs Ollama.
pub const DROP_IN: &str = "10-airgap-deploy.conf";
/// The installer's own command on a target, where the manifest does not name another.
pub const COMMAND: &str = "usr/local/sbin/airgap-deploy";
