//! The stub that every package carries: static, alone, and unimpressed by what a host lacks.
//! What it does with a package is tested in the other files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::scenario::outcome::Outcome;
use e2e::scenario::{Scenario, elf, package, package_below, sample, with_mounts};
use e2e::skip::{is_root, needs_mounts, without_root};
use payload::Package;
use serde_json::Value;

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;

fn number(bytes: &[u8], at: u64, length: usize) -> Result<u64> {
    let at = usize::try_from(at)?;
    let mut field = [0; 8];
    field[..length].copy_from_slice(bytes.get(at..at + length).context("the file is short")?);
    Ok(u64::from_le_bytes(field))
}

/// The program headers of an ELF file: type, offset and size in the file.
fn segments(bytes: &[u8]) -> Result<Vec<(u64, u64, u64)>> {
    let (table, entry, count) = (number(bytes, 0x20, 8)?, number(bytes, 0x36, 2)?, number(bytes, 0x38, 2)?);
    (0..count)
        .map(|at| table + at * entry)
        .map(|at| Ok((number(bytes, at, 4)?, number(bytes, at + 8, 8)?, number(bytes, at + 32, 8)?)))
        .collect()
}

fn configured(scenario: &Scenario, more: &str, account: bool) -> Result<PathBuf> {
    let head = if account {
        sample::HEAD.to_owned()
    } else {
        sample::HEAD.split("user =").next().unwrap_or_default().to_owned()
    };
    scenario.build(&format!(
        "{head}[[components]]\ntype = \"config-file\"\nname = \"notes\"\ncontent = \"notes\\n\"\ninstall_path = \"notes.txt\"\n{more}"
    ))
}

#[test]
fn the_shipped_stub_is_static() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let run = configured(&scenario, "", true)?;
    let stub = Package::open(File::open(run)?, &payload::Trust::nobody())?.stub()?;
    let segments = segments(&stub)?;
    assert!(!segments.is_empty());
    assert!(segments.iter().all(|(kind, ..)| *kind != PT_INTERP), "it asks for a dynamic linker");
    for (_, offset, size) in segments.iter().filter(|(kind, ..)| *kind == PT_DYNAMIC) {
        for entry in (*offset..offset + size).step_by(16) {
            assert_ne!(number(&stub, entry, 8)?, DT_NEEDED, "it asks for a library");
        }
    }
    Ok(())
}

#[test]
fn the_directory_it_was_compiled_in_is_not_in_the_stub() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let run = configured(&scenario, "", true)?;
    let stub = Package::open(File::open(run)?, &payload::Trust::nobody())?.stub()?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let path = workspace.to_str().context("UTF-8")?;
    let found = stub.windows(path.len()).position(|window| window == path.as_bytes());
    assert_eq!(found, None, "{path} stands in the stub");
    Ok(())
}

#[test]
fn an_owner_that_nobody_knows_is_refused_in_one_sentence() -> Result<()> {
    without_root("owners below a root");
    let scenario = Scenario::new()?.shipped();
    for account in [true, false] {
        for key in ["owner", "group"] {
            let run = configured(&scenario, &format!("{key} = \"nosuchuser\"\n"), account)?;
            // The running system: getent is asked where there is one.
            let outcome =
                package(&run, &["--dry-run"])?.exits(23).with_context(|| format!("{key}, account {account}"))?;
            outcome.says("nosuchuser")?.says("next:")?;
            // A target with accounts of its own.
            let root = scenario.target("root")?;
            scenario.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
            scenario.write("root/etc/group", "root:x:0:\n")?;
            if is_root() {
                package_below(&run, &root, &["--install"])?
                    .exits(23)?
                    .says("nosuchuser")?
                    .says("nothing was changed")?;
            }
            assert!(!root.join("opt/ollama").exists());
        }
    }
    Ok(())
}

#[test]
fn it_works_in_a_system_with_nothing_but_a_root_directory() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?.shipped();
    let run = configured(&scenario, "owner = \"nosuchuser\"\n", false)?;
    let root = scenario.directory("bare")?;
    fs::copy(&run, root.join("x.run"))?;
    // No /proc, no getent, no /etc/passwd, no libraries.
    let script = "exec chroot \"$1\" /x.run --payload /x.run --dry-run";
    with_mounts(script, &[&root])?.exits(23)?.says("nosuchuser")?.says("no such user")?;
    with_mounts("exec chroot \"$1\" /x.run --payload /x.run --verify", &[&root])?.exits(0)?;
    // Without /proc it cannot find itself, and says so.
    with_mounts("exec chroot \"$1\" /x.run --verify", &[&root])?.exits(10)?.says("--payload FILE")?;
    Ok(())
}

#[test]
fn a_package_that_may_not_be_executed_is_installed_by_another_stub() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let run = sample::build(&scenario)?;
    let copy = scenario.path("copy.run");
    fs::copy(&run, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o444))?;
    let root = scenario.target("root")?;
    let copy = copy.to_str().context("UTF-8")?;
    package(&run, &["--payload", copy, "--verify"])?.exits(0)?;
    package_below(&run, &root, &["--payload", copy, "--install"])?.exits(0)?;
    assert!(root.join("opt/ollama/bin/ollama").exists());
    Ok(())
}

#[test]
fn media_mounted_read_only_and_noexec_serve_as_well() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?.shipped();
    let run = sample::build(&scenario)?;
    let (stick, root) = (scenario.directory("stick")?, scenario.target("root")?);
    let mount = "mount -t tmpfs tmpfs \"$1\"; cp \"$2\" \"$1/x.run\"; mount -o remount,ro,nodev,nosuid";
    let direct = format!("{mount} \"$1\"; exec \"$1/x.run\" --install --root \"$3\"");
    with_mounts(&direct, &[&stick, &run, &root])?.exits(0)?;
    fs::remove_dir_all(&root)?;
    let root = scenario.target("root")?;
    let through = format!(
        "{mount},noexec \"$1\"; if \"$1/x.run\" --verify; then exit 99; fi; exec \"$2\" --payload \"$1/x.run\" --install --root \"$3\""
    );
    with_mounts(&through, &[&stick, &run, &root])?.exits(0)?;
    assert!(root.join("opt/ollama/bin/ollama").exists());
    Ok(())
}

#[test]
fn no_environment_variable_and_no_working_directory_changes_what_it_does() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    scenario.write("inputs/ollama", elf::program(elf::X86_64, "GLIBC_2.2", "x"))?;
    let run = configured(&scenario, "", true)?;
    let root = scenario.target("root")?;
    let plain = package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?;
    let mut command = std::process::Command::new(&run);
    command.arg("--root").arg(&root).args(["--dry-run", "--json"]).current_dir("/proc").env_clear();
    for (name, value) in [
        ("LANG", "tr_TR.UTF-8"),
        ("PATH", "/nonexistent"),
        ("HOME", "/nonexistent"),
        ("LD_PRELOAD", "/x.so"),
        ("TZ", "x"),
    ] {
        command.env(name, value);
    }
    let odd = e2e::scenario::outcome::run(&mut command)?.exits(0)?;
    // Free space is the machine's, and others use it meanwhile.
    let without_space = |outcome: &Outcome| -> Result<Value> {
        let mut document = outcome.json()?;
        document["space"] = Value::Null;
        Ok(document)
    };
    assert_eq!(without_space(&odd)?, without_space(&plain)?);
    Ok(())
}
