//! The packages and targets that several crash tests share: two versions, with every kind of entry and of change.
//! Random ones are made where they are used.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::Result;
use payload::Digest;
use payload::index::Role;

use super::draft::Draft;

/// The directory of the package.
pub const PREFIX: &str = "opt/demo";
/// The installer, as a command of the target.
const COMMAND: &str = "opt/airgap-deploy";

fn common(version: &str, account: bool) -> Result<Draft> {
    let mut draft = Draft::new(version, PREFIX, account)?;
    draft.directory("opt")?.directory(PREFIX)?.directory("opt/demo/bin")?.directory("opt/demo/lib")?;
    draft.service_directory("opt/demo/models", 0o755)?.service_directory("opt/demo/models/blobs", 0o755)?;
    draft.service_directory("opt/demo/.demo", 0o700)?;
    draft.directory("etc")?.directory("etc/systemd")?.directory("etc/systemd/system")?;
    draft.unit("demo.service", "[Service]\nExecStart=/opt/demo/bin/demo\n")?;
    model(&mut draft, "m", b"the first model")?;
    draft.file("opt/demo/lib/libsame.so", Role::Program, 0o644, b"the same in both versions")?;
    draft.file("opt/demo/lib/empty", Role::Program, 0o644, b"")?;
    Ok(draft)
}

fn model(draft: &mut Draft, name: &str, content: &[u8]) -> Result<()> {
    let path = format!("opt/demo/models/{name}.gguf");
    draft.service_file(&path, Role::ModelBlob, 0o644, content)?;
    let blob = format!("opt/demo/models/blobs/{}", Digest::of(content).blob_name());
    draft.hard_link(&blob, &path)?;
    let manifest = format!("opt/demo/models/{name}.json");
    draft.service_file(&manifest, Role::ModelManifest, 0o644, format!("{{\"model\":\"{name}\"}}").as_bytes())?;
    Ok(())
}

/// The first version.
///
/// # Errors
/// The values contradict each other.
pub fn first(account: bool) -> Result<Draft> {
    let mut draft = common("1", account)?;
    draft.command(COMMAND, 1)?;
    draft.packed_file("opt/demo/bin/demo", Role::Program, 0o755, &b"version one ".repeat(9000))?;
    draft.file("opt/demo/lib/libdemo.so.1", Role::Program, 0o644, b"library one")?;
    draft.symbolic_link("opt/demo/lib/libdemo.so", "libdemo.so.1")?;
    draft.file("opt/demo/lib/libold.so", Role::Program, 0o644, b"not in version two")?;
    draft.symbolic_link("opt/demo/lib/libold.so.0", "libold.so")?;
    draft.directory("opt/demo/old")?.file("opt/demo/old/file", Role::Program, 0o644, b"in a directory of its own")?;
    draft.file("opt/demo/bin/tool", Role::Program, 0o755, b"tool one")?;
    draft.hard_link("opt/demo/bin/tool-too", "opt/demo/bin/tool")?;
    model(&mut draft, "gone", b"a model that goes")?;
    Ok(draft)
}

/// The second version: changed, removed and new files, links that lead elsewhere, and a file that may be in the way.
///
/// # Errors
/// The values contradict each other.
pub fn second(account: bool) -> Result<Draft> {
    let mut draft = common("2", account)?;
    draft.command(COMMAND, 2)?;
    draft.packed_file("opt/demo/bin/demo", Role::Program, 0o755, &b"version two ".repeat(9000))?;
    draft.file("opt/demo/lib/libdemo.so.2", Role::Program, 0o644, b"library two")?;
    draft.symbolic_link("opt/demo/lib/libdemo.so", "libdemo.so.2")?;
    draft.file("opt/demo/bin/tool", Role::Program, 0o755, b"tool two")?;
    draft.hard_link("opt/demo/bin/tool-too", "opt/demo/bin/tool")?;
    draft.file("etc/demo.conf", Role::Config, 0o640, b"of the package\n")?;
    model(&mut draft, "n", b"a second model")?;
    Ok(draft)
}

/// A package from which a target chooses: two models that share their weights, and one with its own.
///
/// # Errors
/// The values contradict each other.
pub fn choice() -> Result<Draft> {
    let mut draft = Draft::new("1", PREFIX, false)?;
    draft.directory("opt")?.directory(PREFIX)?.directory("opt/demo/models")?;
    draft.only_for(&["a", "b", "c"]).directory("opt/demo/models/blobs")?;
    let blob = format!("opt/demo/models/blobs/{}", Digest::of(b"shared").blob_name());
    draft.only_for(&["a"]).file("opt/demo/models/a.gguf", Role::ModelBlob, 0o644, b"shared")?;
    draft.only_for(&["a", "b"]).hard_link(&blob, "opt/demo/models/a.gguf")?;
    draft.only_for(&["b"]).hard_link("opt/demo/models/b.gguf", "opt/demo/models/a.gguf")?;
    for name in ["a", "b"] {
        let manifest = format!("opt/demo/models/{name}.json");
        draft.only_for(&[name]).file(&manifest, Role::ModelManifest, 0o644, name.as_bytes())?;
    }
    draft.only_for(&["c"]);
    model(&mut draft, "c", b"its own")?;
    draft.only_for(&[]).file("opt/demo/conf", Role::Config, 0o644, b"for everybody")?;
    Ok(draft)
}

/// A target that already has a few things on it. With `accounts`, the files in which accounts are kept.
///
/// # Errors
/// Something cannot be written.
pub fn target(root: &Path, accounts: bool) -> Result<()> {
    fs::create_dir_all(root.join("etc"))?;
    fs::create_dir_all(root.join("srv/data"))?;
    let foreign = root.join("etc/demo.conf");
    fs::write(&foreign, "of the administrator\n")?;
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o600))?;
    // Not every file system has these.
    let _ = xattr::set(&foreign, "user.note", b"keep");
    fs::write(root.join("srv/data/file"), "untouched\n")?;
    fs::hard_link(root.join("srv/data/file"), root.join("srv/data/second"))?;
    symlink("data", root.join("srv/link"))?;
    if accounts {
        let files = [
            ("passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
            ("group", "root:x:0:\n", 0o644),
            ("shadow", "root:*:19000:0:99999:7:::\n", 0o600),
            ("gshadow", "root:*::\n", 0o600),
            ("login.defs", "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n", 0o644),
        ];
        for (name, text, mode) in files {
            let path = root.join("etc").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
