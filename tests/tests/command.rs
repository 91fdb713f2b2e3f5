//! The installer as a command of the machine: it comes with a package, looks after all of them, reads new ones from any
//! medium, and goes with the last of them. What somebody else has in its place stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::crash::draft::Draft;
use e2e::crash::program::{Ended, Run};
use e2e::crash::{directory, sample};
use e2e::scenario::{Scenario, package, sample as shipped};
use e2e::tree::Tree;
use payload::index::Role;

const COMMAND: &str = "usr/local/sbin/airgap-deploy";

/// A package of one file, whose installer is of this version.
fn draft(name: &str, version: u8) -> Result<Draft> {
    let prefix = format!("opt/{name}");
    let mut draft = Draft::new("1", &prefix, false)?;
    draft.index.package.name = name.parse().map_err(anyhow::Error::msg)?;
    draft.directory("opt")?.directory(&prefix)?;
    draft.file(&format!("{prefix}/file"), Role::Config, 0o644, name.as_bytes())?;
    draft.command(COMMAND, version)?;
    Ok(draft)
}

/// A target, and packages beside it.
struct Site {
    directory: tempfile::TempDir,
    root: PathBuf,
    bare: Tree,
}

impl Site {
    fn new() -> Result<Self> {
        let directory = directory()?;
        let root = directory.path().join("root");
        sample::target(&root, false)?;
        let bare = Tree::read(&root)?;
        Ok(Self { directory, root, bare })
    }

    fn run(&self, draft: &Draft, action: &[&str]) -> Result<Ended> {
        let path = self.directory.path().join(format!("{}.run", draft.index.package.name));
        draft.write(&path)?;
        Ok(Run::new(&path, &self.root, action).end())
    }

    fn does(&self, draft: &Draft, action: &[&str]) -> Result<Ended> {
        let ended = self.run(draft, action)?;
        ensure!(ended.code == Some(0), "{} {action:?}: {ended:?}", draft.index.package.name);
        Ok(ended)
    }

    fn command(&self) -> PathBuf {
        self.root.join(COMMAND)
    }

    fn holds(&self, draft: &Draft) -> Result<()> {
        let found = fs::read(self.command()).context("there is no command")?;
        ensure!(found == draft.program(), "the command is another one than {}'s", draft.index.package.name);
        let facts = fs::metadata(self.command())?;
        ensure!(facts.permissions().mode() & 0o7777 == 0o755 && facts.nlink() == 1, "{facts:?}");
        Ok(())
    }

    fn is_bare(&self) -> Result<()> {
        let left = self.bare.difference(&Tree::read(&self.root)?);
        ensure!(left.is_empty(), "all are gone, and this differs:\n{left}");
        Ok(())
    }
}

#[test]
fn the_installer_becomes_a_command_that_looks_after_the_machine() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = shipped::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = Tree::read(&root)?;
    let at = root.to_str().context("UTF-8")?;
    let step = format!("place /{COMMAND} (this installer, for later: ");
    package(&run, &["--root", at, "--dry-run", "--verbose"])?.exits(0)?.says(&step)?;
    let plan = package(&run, &["--root", at, "--dry-run", "--json"])?.exits(0)?.json()?;
    let steps = plan["steps"].as_array().context("no steps")?;
    ensure!(steps.iter().any(|step| step["path"] == format!("/{COMMAND}") && step["mode"] == "0755"), "{plan:#}");
    package(&run, &["--root", at, "--install"])?.exits(0)?.says(&step)?;
    let command = root.join(COMMAND);
    let installer = fs::read(root.join("var/lib/airgap-deploy/sample/airgap-deploy"))?;
    ensure!(fs::read(&command)? == installer, "the command is not the installer");
    ensure!(fs::metadata(&command)?.permissions().mode() & 0o7777 == 0o755, "{:?}", fs::metadata(&command)?);
    let receipt: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("var/lib/airgap-deploy/sample/receipt.json"))?)?;
    let recorded = receipt["files"].as_array().context("no files")?.iter().find(|file| file["role"] == "installer");
    ensure!(recorded.is_some_and(|file| file["origin"] == "created" && file["path"] == COMMAND), "{receipt:#}");
    package(&run, &["--root", at, "--install"])?.exits(0)?.says("nothing was changed")?;

    let medium = run.to_str().context("UTF-8")?;
    for action in [&["--status"][..], &["--status", "sample"], &["--uninstall", "--dry-run"]] {
        package(&command, &[&["--root", at], action].concat())?.exits(0)?;
    }
    package(&command, &["--root", at, "--list-installed"])?.exits(0)?.says("sample 1.2.3")?;
    for action in ["--verify", "--dry-run", "--install"] {
        package(&command, &["--root", at, "--payload", medium, action])?.exits(0)?;
    }
    package(&command, &["--root", at, "--uninstall"])?.exits(0)?.says("sample is uninstalled")?;
    let left = before.difference(&Tree::read(&root)?);
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

#[test]
fn packages_share_the_newest_and_the_last_one_takes_it_along() -> Result<()> {
    let (old, new) = (draft("old", 1)?, draft("new", 2)?);
    for order in [[&old, &new], [&new, &old]] {
        let site = Site::new()?;
        site.does(&old, &["--install"])?;
        site.holds(&old)?;
        let updated = site.does(&new, &["--install"])?;
        ensure!(updated.text.contains(&format!("update /{COMMAND}")), "{updated:?}");
        site.holds(&new)?;
        for package in [&old, &new] {
            site.does(package, &["--status"])?;
            let again = site.does(package, &["--install"])?;
            ensure!(again.text.contains("nothing was changed"), "{again:?}");
            site.holds(&new)?;
        }
        let [first, last] = order;
        let shown = site.does(first, &["--uninstall", "--dry-run"])?;
        ensure!(!shown.text.contains(&format!("remove /{COMMAND}")), "{shown:?}");
        site.does(first, &["--uninstall"])?;
        site.holds(&new)?;
        site.does(last, &["--status"])?;
        // An older one never takes its place, whoever put it there.
        site.does(&old, &["--install"])?;
        site.holds(&new)?;
        site.does(&old, &["--uninstall"])?;
        site.run(last, &["--uninstall"])?;
        site.is_bare()?;
    }
    Ok(())
}

#[test]
fn what_somebody_else_has_there_stays_and_the_package_is_installed_without() -> Result<()> {
    for what in ["a file", "a link", "a directory"] {
        let mut site = Site::new()?;
        fs::create_dir_all(site.command().parent().context("a parent")?)?;
        match what {
            "a file" => fs::write(site.command(), "of the administrator")?,
            "a link" => symlink("/bin/true", site.command())?,
            _ => fs::create_dir(site.command())?,
        }
        site.bare = Tree::read(&site.root)?;
        let package = draft("one", 1)?;
        for action in [&["--dry-run"][..], &["--install"], &["--install", "--replace"]] {
            let ended = site.does(&package, action)?;
            let said = format!("warning: the installer cannot be the command /{COMMAND}: ");
            ensure!(ended.text.contains(&said), "{what}, {action:?}: {ended:?}");
        }
        site.does(&package, &["--status"])?;
        site.does(&package, &["--uninstall"])?;
        site.is_bare()?;
    }
    Ok(())
}

#[test]
fn a_command_that_somebody_changed_is_not_taken_back() -> Result<()> {
    let site = Site::new()?;
    let (one, next) = (draft("one", 1)?, draft("one", 2)?);
    site.does(&one, &["--install"])?;
    fs::write(site.command(), "changed")?;
    let status = site.run(&one, &["--status"])?;
    ensure!(status.code == Some(23) && status.text.contains(&format!("/{COMMAND} was changed")), "{status:?}");
    let upgrade = site.does(&next, &["--install", "--replace"])?;
    ensure!(upgrade.text.contains("it was changed since it was installed, and stays"), "{upgrade:?}");
    let gone = site.run(&next, &["--uninstall"])?;
    // The upgrade left it to whoever changed it.
    ensure!(gone.code == Some(32) && gone.text.contains("/usr/local/sbin/ is not empty: airgap-deploy"), "{gone:?}");
    ensure!(fs::read(site.command())? == b"changed", "the change is gone");
    Ok(())
}

#[test]
fn a_package_may_name_another_place_or_none() -> Result<()> {
    let site = Site::new()?;
    let mut one = draft("one", 1)?;
    site.does(&one, &["--install"])?;
    one.command("opt/one/installer", 1)?;
    site.does(&one, &["--install"])?;
    ensure!(!site.command().exists(), "the command of the earlier version is left");
    ensure!(fs::read(site.root.join("opt/one/installer"))? == one.program(), "there is no command");
    one.index.install.command = None;
    site.does(&one, &["--install"])?;
    ensure!(!site.root.join("opt/one/installer").exists(), "it is left");
    site.does(&one, &["--uninstall"])?;
    site.is_bare()
}

#[test]
fn several_packages_want_a_name() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = shipped::build(&scenario)?;
    let root = scenario.target("root")?;
    let at = root.to_str().context("UTF-8")?;
    package(&run, &["--root", at, "--install"])?.exits(0)?;
    let other = scenario.path("other.run");
    fs::rename(&run, scenario.path("sample.run"))?;
    let manifest = shipped::HEAD.replace("\"sample\"", "\"other\"").replace("/opt/ollama", "/opt/other")
        + "[[components]]\ntype = \"config-file\"\nname = \"n\"\ncontent = \"n\"\ninstall_path = \"n\"\n";
    fs::rename(scenario.build(&manifest)?, &other)?;
    package(&other, &["--root", at, "--install"])?.exits(0)?;
    let command = root.join(COMMAND);
    for action in ["--status", "--uninstall", "--recover"] {
        package(&command, &["--root", at, action])?.exits(2)?.says("several packages are installed: other, sample")?;
    }
    package(&command, &["--root", at, "--uninstall", "other"])?.exits(0)?;
    package(&command, &["--root", at, "--status"])?.exits(0)?.says("sample 1.2.3 is installed")?;
    Ok(())
}

#[test]
fn a_package_with_a_newer_format_is_named_as_one() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = shipped::build(&scenario)?;
    let root = scenario.target("root")?;
    let at = root.to_str().context("UTF-8")?;
    package(&run, &["--root", at, "--install"])?.exits(0)?;
    let newer = scenario.write("newer.run", in_format_2(&fs::read(&run)?)?)?;
    let before = Tree::read(&root)?;
    for action in ["--install", "--dry-run", "--verify", "--list"] {
        let medium = newer.to_str().context("UTF-8")?;
        package(&root.join(COMMAND), &["--root", at, "--payload", medium, action])?
            .exits(12)?
            .says("format version 2")?
            .says("state: nothing was changed")?;
    }
    ensure!(before == Tree::read(&root)?, "something was changed");
    Ok(())
}

/// The same package as a newer builder would write it: its index says so, and its digest fits.
fn in_format_2(run: &[u8]) -> Result<Vec<u8>> {
    let find = |what: &[u8], from: usize| {
        run[from..].windows(what.len()).position(|window| window == what).map(|at| at + from).context("not found")
    };
    let start = find(b"{\n  \"format\": 1,\n", 0)?;
    let digest = find(b"index.json.sha256\0", start)? + 512;
    // The header of a member is the block before it; its size is in octal.
    let size = start - 512 + 124;
    let length = usize::from_str_radix(std::str::from_utf8(&run[size..size + 11])?, 8)?;
    let mut bytes = run.to_vec();
    bytes[find(b"1", start)?] = b'2';
    let hex = payload::Digest::of(&bytes[start..start + length]).to_string();
    let hex = hex.trim_start_matches("sha256:").as_bytes();
    bytes[digest..digest + hex.len()].copy_from_slice(hex);
    Ok(bytes)
}
