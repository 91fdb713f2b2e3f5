//! Who may install what: signatures, keys, downgrades, and a program that was replaced. Every attack is refused with its
//! exit code before anything of the package is believed. `docs/trust.md` names these tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::crash::workspace;
use e2e::forge::{Key, Original, behind_another_program};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, elf, package, package_below};
use e2e::skip::skipped;
use e2e::typed::typed;

const MANIFEST: &str = "[package]\nname = \"sample\"\nversion = \"1.2.3\"\n[install]\nprefix = \"/opt/sample\"\n\
    [[components]]\ntype = \"config-file\"\nname = \"notes\"\ncontent = \"A note.\"\ninstall_path = \"share/notes.txt\"\n";
const KEYS: &str = "etc/airgap-deploy/trusted-keys";
const REVOKED: &str = "etc/airgap-deploy/revoked-keys";

/// A signed package, a host that trusts the key that signed it, and one more key.
struct Site {
    scenario: Scenario,
    key: Key,
    other: Key,
    good: PathBuf,
    root: PathBuf,
}

impl Site {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        let (key, other) = (Key::new()?, Key::new()?);
        scenario.write("site.key", key.secret()?)?;
        let root = scenario.target("root")?;
        let site = Self { good: scenario.path("good.run"), scenario, key, other, root };
        site.build(MANIFEST, &site.good, &["--sign-key", "site.key"])?.exits(0)?;
        site.key_file(KEYS, "site.pub", &site.key)?;
        Ok(site)
    }

    fn build(&self, manifest: &str, output: &Path, options: &[&str]) -> Result<Outcome> {
        self.scenario.write("AirGapDeploy.toml", manifest)?;
        run(self.scenario.builder()?.args(["--manifest", "AirGapDeploy.toml", "--output"]).arg(output).args(options))
    }

    fn key_file(&self, directory: &str, name: &str, key: &Key) -> Result<PathBuf> {
        let path = self.scenario.write(&format!("root/{directory}/{name}"), key.public()?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// A package that was forged out of the good one.
    fn forged(&self, name: &str, change: impl FnOnce(&mut Original) -> Result<()>) -> Result<PathBuf> {
        let mut original = Original::open(&self.good)?;
        change(&mut original)?;
        let path = self.scenario.path(name);
        original.write(&path)?;
        Ok(path)
    }

    /// That the file itself, a trusted copy and the builder refuse it, whatever is asked for, and nothing changes.
    fn refuses(&self, forged: &Path, why: &str) -> Result<()> {
        let before = Tree::of(&self.root)?.without_directory_times();
        let file = forged.to_str().context("UTF-8")?;
        let extract = self.scenario.path("extracted");
        let extract = extract.to_str().context("UTF-8")?;
        for action in [&["--install"][..], &["--dry-run"], &["--list"], &["--verify"], &["--extract", extract], &[]] {
            for payload in [&[][..], &["--payload", file]] {
                let program = if payload.is_empty() { forged } else { &self.good };
                let outcome = package_below(program, &self.root, &[action, payload].concat())?;
                let outcome = outcome.exits(11)?.says("not trusted")?.says(why)?.says("next:")?;
                anyhow::ensure!(!outcome.to_string().contains("A note"), "it says what is in it: {outcome}");
            }
        }
        let key = self.root.join(KEYS).join("site.pub");
        run(self.scenario.builder()?.arg("verify").arg(forged).arg("--trusted-key").arg(key))?.exits(11)?;
        anyhow::ensure!(!self.scenario.path("extracted").exists(), "something was extracted");
        before.equals(&Tree::of(&self.root)?.without_directory_times())
    }
}

#[test]
fn what_a_trusted_key_signed_is_installed_and_stays_known_with_its_key() -> Result<()> {
    let site = Site::new()?;
    let plan = package_below(&site.good, &site.root, &["--dry-run", "--json"])?.exits(0)?.json()?;
    let key_id = plan["signature"]["key_id"].as_str().context("no key id")?.to_owned();
    assert_eq!(plan["signature"]["state"], "trusted");
    package_below(&site.good, &site.root, &["--dry-run"])?
        .exits(0)?
        .says("Signed by the trusted key")?
        .says(&key_id)?;
    package_below(&site.good, &site.root, &["--install"])?.exits(0)?.says(&key_id)?;
    let status = package_below(&site.good, &site.root, &["--status", "--json"])?.exits(0)?.json()?;
    assert_eq!(status["signed_by"]["key_id"], key_id.as_str());
    assert_eq!(status["index"], plan["index"]);
    package_below(&site.good, &site.root, &["--status"])?.exits(0)?.says(&key_id)?;
    package_below(&site.good, &site.root, &["--verify"])?.exits(0)?.says("in words")?;
    let inspected = run(site.scenario.builder()?.arg("inspect").arg(&site.good))?.exits(0)?;
    inspected.says(&key_id)?;
    Ok(())
}

#[test]
fn a_signature_of_another_key_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        original.signature = Some(site.other.sign(&original.json, &original.comment())?);
        Ok(())
    })?;
    site.refuses(&forged, "which is not trusted here")
}

#[test]
fn a_signature_of_another_key_with_the_id_of_a_trusted_one_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        let ours = String::from_utf8(original.signature.clone().context("signed")?)?;
        let theirs = String::from_utf8(site.other.sign(&original.json, &original.comment())?)?;
        // Algorithm and id are the first 10 of the bytes: 12 letters of base64 are 9 of them, which is all but one byte.
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
        let line = format!("{}{}", &ours[1][..16], &theirs[1][16..]);
        original.signature = Some(format!("{}\n{line}\n{}\n{}\n", theirs[0], theirs[2], theirs[3]).into_bytes());
        Ok(())
    })?;
    site.refuses(&forged, "is not right")
}

#[test]
fn a_signature_of_another_index_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        let comment = original.comment();
        original.signature = Some(site.key.sign(b"another index", &comment)?);
        Ok(())
    })?;
    site.refuses(&forged, "is not right")
}

#[test]
fn an_index_swapped_under_a_good_signature_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        original.change(|index| index.package.description = "Something else".to_owned())
    })?;
    site.refuses(&forged, "is not right")
}

#[test]
fn a_package_whose_signature_was_stripped_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        original.signature = None;
        original.change(|_| {})
    })?;
    site.refuses(&forged, "it is not signed")
}

#[test]
fn a_trusted_comment_that_was_altered_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        let text = String::from_utf8(original.signature.clone().context("signed")?)?;
        original.signature = Some(text.replace("sample 1.2.3", "sample 9.2.3").into_bytes());
        Ok(())
    })?;
    site.refuses(&forged, "is not right")
}

#[test]
fn a_trusted_key_that_signed_another_comment_is_refused() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        let comment = original.comment().replace("1.2.3", "9.9.9");
        original.signature = Some(site.key.sign(&original.json, &comment)?);
        Ok(())
    })?;
    site.refuses(&forged, "another package")
}

#[test]
fn nothing_is_parsed_before_the_signature_is_checked() -> Result<()> {
    let site = Site::new()?;
    let forged = site.forged("forged.run", |original| {
        // No JSON at all, under a signature that is good for something else: the digest beside it fits.
        original.json = b"this is not JSON".to_vec();
        Ok(())
    })?;
    site.refuses(&forged, "is not right")?;
    // Signed by the trusted key, the same bytes are read, and are no index.
    let signed = site.forged("signed.run", |original| {
        original.json = b"this is not JSON".to_vec();
        original.signature = Some(site.key.sign(&original.json, "anything")?);
        Ok(())
    })?;
    package_below(&site.good, &site.root, &["--payload", signed.to_str().context("UTF-8")?, "--dry-run"])?.exits(12)?;
    Ok(())
}

#[test]
fn a_revoked_key_is_refused_also_where_somebody_trusts_it() -> Result<()> {
    let site = Site::new()?;
    package_below(&site.good, &site.root, &["--install"])?.exits(0)?;
    site.key_file(REVOKED, "lost.pub", &site.key)?;
    let why = "was revoked";
    // What it signed and is installed stays, and is named.
    let copy = site.scenario.path("copy");
    fs::write(&copy, Original::open(&site.good)?.stub)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    package_below(&copy, &site.root, &["--status", "sample"])?.exits(0)?.says("has been revoked since")?;
    for action in ["--install", "--dry-run", "--verify"] {
        package_below(&site.good, &site.root, &[action])?.exits(11)?.says(why)?;
    }
    fs::remove_file(site.root.join(KEYS).join("site.pub"))?;
    package_below(&site.good, &site.root, &["--install"])?.exits(11)?.says(why)?;
    fs::remove_file(site.root.join(REVOKED).join("lost.pub"))?;
    package_below(&site.good, &site.root, &["--dry-run"])?.exits(0)?;
    Ok(())
}

#[test]
fn a_key_that_others_than_root_could_have_placed_is_refused() -> Result<()> {
    let site = Site::new()?;
    let file = site.root.join(KEYS).join("site.pub");
    let refused = |why: &str| -> Result<()> {
        package_below(&site.good, &site.root, &["--install"])?.exits(11)?.says(why)?;
        Ok(())
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for bad in [0o666, 0o664, 0o646] {
        mode(&file, bad)?;
        refused("users other than root can change")?;
    }
    mode(&file, 0o644)?;
    for directory in [KEYS, "etc/airgap-deploy", "etc"] {
        mode(&site.root.join(directory), 0o777)?;
        refused("users other than root can change")?;
        mode(&site.root.join(directory), 0o755)?;
    }
    fs::rename(&file, site.scenario.path("elsewhere.pub"))?;
    symlink(site.scenario.path("elsewhere.pub"), &file)?;
    refused("symbolic link")?;
    fs::remove_file(&file)?;
    fs::write(&file, "no key at all\n")?;
    refused("no public key of minisign")?;
    fs::remove_file(&file)?;
    fs::create_dir(&file)?;
    refused("not a regular file")?;
    fs::remove_dir(&file)?;
    // It may be meant as a key, or as the one that was revoked.
    for directory in [KEYS, REVOKED] {
        let other = site.root.join(directory).join("site.key");
        fs::create_dir_all(site.root.join(directory))?;
        fs::write(&other, site.key.public()?)?;
        refused("\"site.key\" in it is not called *.pub")?;
        fs::remove_file(&other)?;
    }
    fs::rename(site.root.join(KEYS), site.root.join("etc/keys"))?;
    fs::write(site.root.join(KEYS), "")?;
    refused("not a directory")?;
    fs::remove_file(site.root.join(KEYS))?;
    fs::rename(site.root.join("etc/keys"), site.root.join(KEYS))?;
    // The same of a file that is named.
    let named = site.scenario.write("named.pub", site.key.public()?)?;
    let options = ["--dry-run", "--trusted-key", named.to_str().context("UTF-8")?];
    mode(&named, 0o644)?;
    package_below(&site.good, &site.root, &options)?.exits(0)?;
    mode(&named, 0o666)?;
    package_below(&site.good, &site.root, &options)?.exits(11)?.says("users other than root can change")?;
    Ok(())
}

#[test]
fn a_host_that_trusts_no_key_says_so_loudly_and_a_named_key_makes_it_strict() -> Result<()> {
    let site = Site::new()?;
    fs::remove_file(site.root.join(KEYS).join("site.pub"))?;
    let unsigned = site.scenario.path("unsigned.run");
    site.build(MANIFEST, &unsigned, &[])?.exits(0)?.says("not signed")?;
    package_below(&unsigned, &site.root, &["--dry-run"])?.exits(0)?.says("WARNING: the package is not signed")?;
    package_below(&site.good, &site.root, &["--dry-run"])?.exits(0)?.says("NOT CHECKED")?;
    let key = site.scenario.write("other.pub", site.other.public()?)?;
    let key = key.to_str().context("UTF-8")?;
    for run in [&unsigned, &site.good] {
        package_below(run, &site.root, &["--install", "--trusted-key", key])?.exits(11)?.says("not trusted")?;
    }
    let ours = site.scenario.write("ours.pub", site.key.public()?)?;
    let both = ["--install", "--trusted-key", key, "--trusted-key", ours.to_str().context("UTF-8")?];
    package_below(&site.good, &site.root, &both)?.exits(0)?;
    let loud = package_below(&unsigned, &site.scenario.target("second")?, &["--install", "--quiet"])?.exits(0)?;
    assert!(loud.stderr.contains("WARNING: the package is not signed"), "{loud}");
    Ok(())
}

#[test]
fn an_old_signed_package_over_a_newer_one_is_a_downgrade_that_must_be_asked_for() -> Result<()> {
    let site = Site::new()?;
    let newer = site.scenario.path("newer.run");
    let manifest = MANIFEST.replace("1.2.3", "1.10.0").replace("A note.", "A newer note.");
    site.build(&manifest, &newer, &["--sign-key", "site.key"])?.exits(0)?;
    package_below(&newer, &site.root, &["--install"])?.exits(0)?;
    let before = Tree::of(&site.root)?.without_directory_times();
    for action in ["--dry-run", "--install"] {
        let outcome = package_below(&site.good, &site.root, &[action])?.exits(23)?;
        outcome.says("downgrade")?.says("1.10.0")?.says("--allow-downgrade")?;
    }
    before.equals(&Tree::of(&site.root)?.without_directory_times())?;
    package_below(&site.good, &site.root, &["--install", "--allow-downgrade"])?.exits(0)?.says("downgrade")?;
    assert_eq!(fs::read_to_string(site.root.join("opt/sample/share/notes.txt"))?, "A note.");
    package_below(&newer, &site.root, &["--install"])?.exits(0)?;
    // A version that differs in nothing else is a version all the same.
    let same = site.scenario.path("same.run");
    site.build(&manifest.replace("1.10.0", "1.11.0"), &same, &["--sign-key", "site.key"])?.exits(0)?;
    package_below(&same, &site.root, &["--dry-run"])?
        .exits(0)?
        .says("only the receipt changes, from version 1.10.0")?;
    package_below(&same, &site.root, &["--install"])?.exits(0)?;
    package_below(&same, &site.root, &["--list-installed"])?.exits(0)?.says("sample 1.11.0")?;
    package_below(&same, &site.root, &["--install"])?.exits(0)?.says("installed already: nothing was changed")?;
    package_below(&newer, &site.root, &["--install"])?.exits(23)?.says("downgrade")?;
    package_below(&same, &site.root, &["--uninstall"])?.exits(0)?;
    Ok(())
}

#[test]
fn a_program_that_was_replaced_is_reported_and_what_was_signed_is_installed_by_the_trusted_copy() -> Result<()> {
    let site = Site::new()?;
    for (name, program) in [
        ("larger", elf::program(elf::X86_64, "GLIBC_2.17", &"evil ".repeat(900_000))),
        ("smaller", elf::program(elf::X86_64, "GLIBC_2.17", "evil")),
    ] {
        let evil = site.scenario.path(&format!("{name}.run"));
        behind_another_program(&site.good, &program, &evil)?;
        let file = evil.to_str().context("UTF-8")?;
        let root = site.scenario.target(&format!("root-{name}"))?;
        let key = site.scenario.write("ours.pub", site.key.public()?)?;
        let with = |action| ["--payload", file, action, "--trusted-key", key.to_str().unwrap_or_default()];
        let shown = payload::Digest::of(&program).to_string();
        for action in ["--verify", "--dry-run", "--install"] {
            let outcome = package_below(&site.good, &root, &with(action))?.exits(0)?;
            outcome.says("is not the one that was signed")?.says(&shown)?;
        }
        assert_eq!(fs::read_to_string(root.join("opt/sample/share/notes.txt"))?, "A note.");
        // What is kept for later is the program that ran, not the one in the file.
        let kept = fs::read(root.join("var/lib/airgap-deploy/sample/airgap-deploy"))?;
        assert_eq!(payload::Digest::of(&kept), payload::Digest::of(&Original::open(&site.good)?.stub));
        // Where nobody vouches for the rest, and on the connected side, it is damage.
        package(&site.good, &["--payload", file, "--verify"])?.exits(10)?;
        run(site.scenario.builder()?.args(["verify", file, "--trusted-key"]).arg(&key))?.exits(10)?;
    }
    Ok(())
}

#[test]
fn a_copy_without_payload_looks_after_every_package_by_its_name() -> Result<()> {
    let site = Site::new()?;
    let (root, copy) = (&site.root, site.scenario.path("copy"));
    fs::write(&copy, Original::open(&site.good)?.stub)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    package_below(&copy, root, &["--list-installed"])?.exits(0)?.says("no package is installed")?;
    package_below(&copy, root, &["--status"])?.exits(10)?.says("--list-installed")?;
    let file = site.good.to_str().context("UTF-8")?;
    package_below(&copy, root, &["--payload", file, "--install"])?.exits(0)?;
    package_below(&copy, root, &["--status", "sample"])?.exits(0)?.says("sample 1.2.3")?;
    // It may be a package that was cut off: nothing is taken in the place of what it was.
    package_below(&copy, root, &["--uninstall"])?.exits(10)?.says("--list-installed")?;
    let second = site.scenario.path("second.run");
    let manifest = MANIFEST.replace("\"sample\"", "\"second\"").replace("/opt/sample", "/opt/second");
    site.build(&manifest, &second, &["--sign-key", "site.key"])?.exits(0)?;
    package_below(&second, root, &["--install"])?.exits(0)?;
    let listed = package_below(&copy, root, &["--list-installed", "--json"])?.exits(0)?.json()?;
    let names: Vec<&str> =
        listed["packages"].as_array().context("a list")?.iter().filter_map(|one| one["package"].as_str()).collect();
    assert_eq!(names, ["sample", "second"]);
    package_below(&copy, root, &["--uninstall"])?.exits(10)?;
    package_below(&copy, root, &["--status", "third"])?.exits(41)?.says("--list-installed")?;
    package_below(&copy, root, &["--install", "sample"])?.exits(2)?;
    package_below(&copy, root, &["--uninstall", "--dry-run", "second"])?.exits(0)?;
    package_below(&copy, root, &["--uninstall", "second"])?.exits(0)?;
    assert!(root.join("opt/sample").exists() && !root.join("opt/second").exists());
    // A key that is no longer trusted keeps nobody from removing what it signed.
    fs::write(root.join(KEYS).join("broken.pub"), "no key")?;
    package_below(&site.good, root, &["--uninstall"])?.exits(11)?.says("--uninstall PACKAGE")?;
    package_below(&copy, root, &["--uninstall", "sample"])?.exits(0)?;
    assert!(!root.join("opt/sample").exists());
    Ok(())
}

#[test]
fn keys_are_made_for_their_owner_alone_and_never_over_a_file() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.write("password", "correct horse\nnot this\n")?;
    let keygen = |arguments: &[&str]| run(scenario.builder()?.arg("keygen").args(arguments));
    keygen(&["site.key", "--password-file", "password"])?.exits(0)?.says("in words")?;
    let facts = fs::metadata(scenario.path("site.key"))?;
    assert_eq!(facts.permissions().mode() & 0o7777, 0o600);
    let before = fs::read(scenario.path("site.key"))?;
    keygen(&["site.key", "--no-password"])?.exits(44)?.says("never overwritten")?;
    assert_eq!(fs::read(scenario.path("site.key"))?, before);
    scenario.write("lone.pub", "")?;
    keygen(&["lone.key", "--no-password"])?.exits(44)?;
    assert!(!scenario.path("lone.key").exists());
    scenario.write("AirGapDeploy.toml", MANIFEST)?;
    let build = |options: &[&str]| {
        run(scenario.builder()?.args(["AirGapDeploy.toml", "-o", "x.run", "--sign-key", "site.key"]).args(options))
    };
    scenario.write("wrong", "incorrect horse\n")?;
    build(&["--password-file", "wrong"])?.exits(11)?.says("password")?;
    build(&["--password-file", "nothing"])?.exits(2)?;
    assert!(!scenario.path("x.run").exists(), "something was built");
    build(&["--password-file", "password"])?.exits(0)?.says("signed by key")?;
    run(scenario.builder()?.args(["verify", "x.run", "--trusted-key", "site.pub"]))?.exits(0)?.says("trusted key")?;
    run(scenario.builder()?.args(["verify", "x.run"]))?.exits(0)?.says("NOT CHECKED")?;
    let page = fs::read_to_string(scenario.path("x.run.html"))?;
    assert!(page.contains("fingerprint of the key") && page.contains("in words"), "{page}");
    Ok(())
}

/// For `sh`: makes three keys at its terminal, and says how each ended and whether the terminal has its echo.
const AT_A_TERMINAL: &str = r#"
trap : INT
after() { code=$?; case " $(stty -a | tr '\n' ' ') " in *" -echo "*) echo "code $code, silent.";; *) echo "code $code, echo.";; esac; }
read -r begin
"$1" keygen one.key; after
"$1" keygen two.key; after
sh -c 'echo $$ > pid; exec "$1" keygen three.key' sh "$1"; after
"#;

#[test]
fn what_is_typed_is_never_shown_and_the_terminal_gets_its_echo_back() -> Result<()> {
    let scenario = Scenario::new()?;
    let at = |name: &str| scenario.path(name).display().to_string();
    let steps = serde_json::json!([
        // Stopped with Ctrl-S, it cannot show its question: before it stands there, there is no echo.
        {"wait": "", "send": "\u{13}\n"},
        {"wait": "", "silent": true, "send": "\u{11}"},
        {"wait": "Password for the new key: ", "send": "correct horse\ncorrect horse\n"},
        {"wait": "code 0, echo."},
        {"wait": "Password for the new key: ", "send": "battery\u{3}"},
        {"wait": "code 130, echo."},
        {"wait": "Password for the new key: ", "run": format!("kill -TERM $(cat {})", at("pid"))},
        {"wait": "code 130, echo."},
    ]);
    let steps = scenario.write("steps.json", steps.to_string())?;
    let mut command = std::process::Command::new("python3");
    command.arg(workspace().join("tests/media/terminal.py")).arg(steps).args(["/bin/sh", "-c", AT_A_TERMINAL, "sh"]);
    let outcome = run(command.arg(scenario.builder()?.get_program()).current_dir(scenario.path("")))?.exits(0)?;
    for word in ["horse", "battery"] {
        anyhow::ensure!(!outcome.stdout.contains(word), "it shows what is typed: {outcome}");
    }
    anyhow::ensure!(!scenario.path("two.key").exists() && !scenario.path("three.key").exists(), "{outcome}");
    scenario.write("password", "correct horse\n")?;
    scenario.write("AirGapDeploy.toml", MANIFEST)?;
    let signed = ["AirGapDeploy.toml", "-o", "x.run", "--sign-key", "one.key", "--password-file", "password"];
    run(scenario.builder()?.args(signed))?.exits(0)?;
    Ok(())
}

/// Whether the original is missing; says that aloud.
fn needs_minisign() -> bool {
    let missing =
        ["minisign", "script"].iter().any(|tool| std::process::Command::new(tool).arg("-v").output().is_err());
    if missing {
        skipped("needs minisign and script (Debian: minisign, bsdutils)");
    }
    missing
}

fn minisign(scenario: &Scenario, arguments: &[&str]) -> Result<Outcome> {
    run(std::process::Command::new("minisign").args(arguments).current_dir(scenario.path("")))
}

#[test]
fn minisign_accepts_our_signature_and_our_key() -> Result<()> {
    if needs_minisign() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let (builder, at) = (scenario.builder()?, |name: &str| scenario.path(name).display().to_string());
    let command = format!("{} keygen {}", builder.get_program().display(), at("site.key"));
    let (code, said) =
        typed(&command, &[("Password for the new key:", "correct horse"), ("same password again:", "correct horse")])?;
    assert_eq!(code, 0, "{said}");
    scenario.write("AirGapDeploy.toml", MANIFEST)?;
    let prep = format!(
        "{} {} -o {} --sign-key {} --cache-dir {}",
        builder.get_program().display(),
        at("AirGapDeploy.toml"),
        at("x.run"),
        at("site.key"),
        at("cache")
    );
    let (code, said) = typed(&prep, &[("Password of", "correct horse")])?;
    assert_eq!(code, 0, "{said}");
    let original = Original::open(&scenario.path("x.run"))?;
    scenario.write("index.json", &original.json)?;
    scenario.write("index.json.minisig", original.signature.clone().context("unsigned")?)?;
    minisign(&scenario, &["-V", "-p", "site.pub", "-m", "index.json"])?.exits(0)?.says(&original.comment())?;
    scenario.write("index.json", "another")?;
    minisign(&scenario, &["-V", "-p", "site.pub", "-m", "index.json"])?.exits(1)?;
    // Our protected key, in the hands of the original.
    scenario.write("letter", "Dear reader")?;
    let (code, said) =
        typed(&format!("minisign -S -s {} -m {}", at("site.key"), at("letter")), &[("Password", "correct horse")])?;
    assert_eq!(code, 0, "{said}");
    minisign(&scenario, &["-V", "-p", "site.pub", "-m", "letter"])?.exits(0)?;
    Ok(())
}

#[test]
fn a_key_that_minisign_made_signs_packages_with_and_without_a_password() -> Result<()> {
    if needs_minisign() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let at = |name: &str| scenario.path(name).display().to_string();
    scenario.write("AirGapDeploy.toml", MANIFEST)?;
    scenario.write("password", "correct horse\n")?;
    minisign(&scenario, &["-G", "-W", "-p", "bare.pub", "-s", "bare.key"])?.exits(0)?;
    let command = format!("minisign -G -p {} -s {}", at("safe.pub"), at("safe.key"));
    let (code, said) = typed(&command, &[("Password:", "correct horse"), ("one more time", "correct horse")])?;
    assert_eq!(code, 0, "{said}");
    for (name, options) in [("bare", &[][..]), ("safe", &["--password-file", "password"])] {
        let (run_file, key, public) = (format!("{name}.run"), format!("{name}.key"), format!("{name}.pub"));
        let build = ["AirGapDeploy.toml", "-o", &run_file, "--sign-key", &key];
        run(scenario.builder()?.args(build).args(options))?.exits(0)?;
        let root = scenario.target(&format!("root-{name}"))?;
        fs::create_dir_all(root.join(KEYS))?;
        fs::copy(scenario.path(&public), root.join(KEYS).join("theirs.pub"))?;
        package_below(&scenario.path(&run_file), &root, &["--install"])?.exits(0)?.says("Signed by the trusted key")?;
    }
    Ok(())
}
