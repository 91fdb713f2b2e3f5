//! What a receipt vouches for is not read again; whoever changes a file, in whatever way, is found all the same.
//! How little is read, in bytes, is asserted in `large.rs`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, gguf, package_below, sample};
use e2e::skip::{is_root, skipped};
use serde_json::Value;

const MODEL: &str = "opt/ollama/models/one.gguf";
const NOTES: &str = "opt/ollama/notes.txt";

/// A package of a model, which has two names, and a text.
fn package(scenario: &Scenario, notes: &str) -> Result<PathBuf> {
    scenario.write("inputs/one.gguf", gguf::noise("one", 1 << 16))?;
    scenario.write("inputs/notes.txt", notes)?;
    scenario.build(&format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"one\"\nsource = {{ type = \"file\", path = \"inputs/one.gguf\" }}\n\
         install_path = \"models/one.gguf\"\n\
         [[components]]\ntype = \"config-file\"\nname = \"notes\"\nsource = {{ type = \"file\", path = \"inputs/notes.txt\" }}\n\
         install_path = \"notes.txt\"\n",
        sample::HEAD
    ))
}

fn status(run: &Path, root: &Path, arguments: &[&str]) -> Result<(Outcome, Value)> {
    let outcome = package_below(run, root, &[&["--status", "--json"], arguments].concat())?;
    let lines = outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let document = lines.into_iter().find(|value| value["status"] == 1).with_context(|| format!("{outcome}"))?;
    Ok((outcome, document))
}

fn files(document: &Value, how: &str) -> u64 {
    document[how]["files"].as_u64().unwrap_or(u64::MAX)
}

/// Sets the time of the last write back to what it was.
fn date_back(path: &Path, time: SystemTime) -> Result<()> {
    Ok(File::options().write(true).open(path)?.set_modified(time)?)
}

fn python(code: &str, path: &Path) -> Result<()> {
    let outcome = run(Command::new("python3").args(["-c", code]).arg(path))?;
    ensure!(outcome.code == 0, "{outcome}");
    Ok(())
}

const MAPPED: &str = "import mmap, sys\nwith open(sys.argv[1], 'r+b') as file:\n    mapped = mmap.mmap(file.fileno(), 0)\n    mapped[100] ^= 1\n    mapped.close()\n";

/// A way to change a file, and what `--status` has to say of it; nothing where the content is what it was.
type Change = (&'static str, fn(&Path) -> Result<()>, Option<&'static str>);

const CHANGES: [Change; 12] = [
    (
        "written in place",
        |path| Ok(File::options().write(true).open(path)?.write_all_at(b"x", 100)?),
        Some("was changed"),
    ),
    ("written through a mapping", |path| python(MAPPED, path), Some("was changed")),
    (
        "cut and filled up",
        |path| {
            let (length, file) = (fs::metadata(path)?.len(), File::options().write(true).open(path)?);
            file.set_len(length / 2)?;
            Ok(file.set_len(length)?)
        },
        Some("was changed"),
    ),
    (
        "replaced by a rename",
        |path| {
            let (fresh, mut bytes) = (path.with_extension("fresh"), fs::read(path)?);
            bytes[100] ^= 1;
            fs::write(&fresh, bytes)?;
            fs::set_permissions(&fresh, fs::metadata(path)?.permissions())?;
            Ok(fs::rename(fresh, path)?)
        },
        Some("was changed"),
    ),
    (
        "replaced by a hard link to another file",
        |path| {
            let (other, mut bytes) = (path.with_extension("other"), fs::read(path)?);
            bytes[100] ^= 1;
            fs::write(&other, bytes)?;
            fs::set_permissions(&other, fs::metadata(path)?.permissions())?;
            fs::remove_file(path)?;
            Ok(fs::hard_link(other, path)?)
        },
        Some("was changed"),
    ),
    (
        "written under another name of it",
        |path| {
            let name = path.with_extension("name");
            fs::hard_link(path, &name)?;
            File::options().write(true).open(&name)?.write_all_at(b"x", 100)?;
            Ok(fs::remove_file(name)?)
        },
        Some("was changed"),
    ),
    (
        "written past the cache",
        |path| {
            let of = format!("of={}", path.display());
            let arguments =
                ["if=/dev/zero", of.as_str(), "bs=4096", "count=1", "seek=1", "conv=notrunc", "oflag=direct"];
            let outcome = run(Command::new("dd").args(arguments))?;
            ensure!(outcome.code == 0, "{outcome}");
            Ok(())
        },
        Some("was changed"),
    ),
    (
        "extended",
        |path| Ok(File::options().write(true).open(path)?.set_len(fs::metadata(path)?.len() + 1)?),
        Some("was changed"),
    ),
    (
        "given another mode",
        |path| Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?),
        Some("has another mode"),
    ),
    ("removed", |path| Ok(fs::remove_file(path)?), Some("is missing")),
    ("dated back alone", |path| date_back(path, SystemTime::UNIX_EPOCH), None),
    (
        "rewritten with what it held",
        |path| {
            let bytes = fs::read(path)?;
            Ok(File::options().write(true).open(path)?.write_all_at(&bytes, 0)?)
        },
        None,
    ),
];

#[test]
fn whatever_is_done_to_a_file_is_found_without_reading_the_others() -> Result<()> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let mut manifest = sample::HEAD.to_owned();
    for number in 0..CHANGES.len() {
        scenario.write(&format!("inputs/{number}"), format!("file {number} ").repeat(2000))?;
        write!(
            manifest,
            "[[components]]\ntype = \"config-file\"\nname = \"c{number}\"\n\
             source = {{ type = \"file\", path = \"inputs/{number}\" }}\ninstall_path = \"share/{number}\"\n"
        )?;
    }
    let (run, root) = (scenario.build(&manifest)?, scenario.target("root")?);
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let (outcome, before) = status(&run, &root, &[])?;
    outcome.exits(0)?;
    if files(&before, "trusted") == 0 {
        skipped("/var/tmp is on a file system of which a receipt trusts nothing");
        return Ok(());
    }
    ensure!(files(&before, "read") == 0, "an untouched file was read: {before}");
    let (mut expected, mut read) = (Vec::new(), 0);
    for (number, (name, change, problem)) in CHANGES.into_iter().enumerate() {
        let path = root.join(format!("opt/ollama/share/{number}"));
        let time = fs::metadata(&path)?.modified()?;
        change(&path).context(name)?;
        if path.exists() {
            date_back(&path, time)?;
        }
        match problem {
            Some(problem) => expected.push(format!("/opt/ollama/share/{number} {problem}")),
            None => read += 1,
        }
    }
    let (outcome, found) = status(&run, &root, &[])?;
    outcome.exits(23)?;
    ensure!(found["problems"] == serde_json::json!(expected), "{found} instead of {expected:?}");
    let untouched = files(&before, "trusted") - CHANGES.len() as u64;
    ensure!(files(&found, "trusted") == untouched && files(&found, "read") >= read, "{found}");
    let (_, full) = status(&run, &root, &["--full"])?;
    ensure!(full["problems"] == found["problems"] && files(&full, "trusted") == 0, "{full}");
    Ok(())
}

#[test]
fn another_owner_is_told() -> Result<()> {
    if !is_root() {
        skipped("needs root");
        return Ok(());
    }
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let (run, root) = (package(&scenario, "notes")?, scenario.target("root")?);
    package_below(&run, &root, &["--install"])?.exits(0)?;
    if files(&status(&run, &root, &[])?.1, "trusted") == 0 {
        skipped("/var/tmp is on a file system of which a receipt trusts nothing");
        return Ok(());
    }
    chown(root.join(NOTES), Some(12345), None)?;
    status(&run, &root, &[])?.0.exits(23)?.says(&format!("/{NOTES} has another owner"))?;
    Ok(())
}

/// Copied elsewhere, every file is another one to the kernel: read, and no false alarm. An installation that has nothing
/// to do writes down how they are now.
#[test]
fn a_copied_root_is_read_once_and_trusted_again() -> Result<()> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let (run, root) = (package(&scenario, "notes")?, scenario.target("root")?);
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let trusted = files(&status(&run, &root, &[])?.1, "trusted");
    let copy = scenario.path("copy");
    e2e::tree::copy(&root, &copy)?;
    let (outcome, copied) = status(&run, &copy, &[])?;
    outcome.exits(0)?;
    ensure!(files(&copied, "trusted") == 0 && files(&copied, "read") > 0, "{copied}");
    package_below(&run, &copy, &["--install"])?.exits(0)?.says("nothing was changed")?;
    let (outcome, after) = status(&run, &copy, &[])?;
    outcome.exits(0)?;
    ensure!(files(&after, "trusted") == trusted, "{after}");
    let receipt = copy.join("var/lib/airgap-deploy/sample/receipt.json");
    let inode = fs::metadata(&receipt)?.ino();
    let again = package_below(&run, &copy, &["--install"])?.exits(0)?;
    ensure!(inode == fs::metadata(&receipt)?.ino(), "the receipt was written once more");
    if trusted > 0 {
        again.says("Trusted without reading: ")?.says("--verify-installed reads all")?;
        let plan = package_below(&run, &copy, &["--dry-run", "--json"])?.exits(0)?.json()?;
        ensure!(files(&plan, "trusted") == trusted && files(&plan, "read") == 0, "{plan}");
        let plan = package_below(&run, &copy, &["--dry-run", "--verify-installed", "--json"])?.exits(0)?.json()?;
        ensure!(files(&plan, "trusted") == 0 && files(&plan, "read") == trusted, "{plan}");
    }
    Ok(())
}

/// There a write through a mapping leaves no trace in the stat data.
#[test]
fn on_a_file_system_in_memory_nothing_is_trusted() -> Result<()> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        skipped("there is no /dev/shm");
        return Ok(());
    }
    let (scenario, targets) = (Scenario::new()?, Scenario::below(memory)?);
    let (run, root) = (package(&scenario, "notes")?, targets.target("root")?);
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let (outcome, before) = status(&run, &root, &[])?;
    outcome.exits(0)?;
    ensure!(files(&before, "trusted") == 0, "{before}");
    python(MAPPED, &root.join(MODEL))?;
    status(&run, &root, &[])?.0.exits(23)?.says(&format!("/{MODEL} was changed"))?;
    Ok(())
}

/// An upgrade trusts what it leaves alone, and a file that was changed is neither replaced nor removed unseen.
#[test]
fn a_changed_file_is_kept_by_upgrade_and_uninstallation() -> Result<()> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let root = scenario.target("root")?;
    let old = scenario.path("old.run");
    fs::rename(package(&scenario, "notes")?, &old)?;
    package_below(&old, &root, &["--install"])?.exits(0)?;
    let new = package(&scenario, "other notes")?;
    for path in [NOTES, MODEL] {
        let path = root.join(path);
        let (time, before) = (fs::metadata(&path)?.modified()?, fs::read(&path)?);
        File::options().write(true).open(&path)?.write_all_at(b"N", 0)?;
        date_back(&path, time)?;
        package_below(&new, &root, &["--install"])?.exits(23)?.says("was changed since it was installed")?;
        package_below(&old, &root, &["--uninstall", "--dry-run"])?
            .exits(32)?
            .says("was changed since it was installed")?;
        File::options().write(true).open(&path)?.write_all_at(&before[..1], 0)?;
    }
    package_below(&new, &root, &["--install"])?.exits(0)?.says("is installed")?;
    ensure!(fs::read_to_string(root.join(NOTES))? == "other notes");
    let (outcome, after) = status(&new, &root, &[])?;
    outcome.exits(0)?;
    let (_, full) = status(&new, &root, &["--full"])?;
    ensure!(files(&after, "trusted") == 0 || files(&after, "read") == 0, "{after}");
    ensure!(files(&full, "read") == files(&after, "trusted") + files(&after, "read"), "{after} {full}");
    package_below(&new, &root, &["--uninstall"])?.exits(0)?;
    Ok(())
}
