//! Real sticks at a machine without a network: images with FAT32, exFAT and ext4, a volume on each, exchanged at one port.
//! The same with directories and tmpfs, and every way in which volumes go astray, is in `media.rs` and `volumes.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use e2e::base::Suite;
use e2e::crash::workspace;
use e2e::machine::{BindRo, Machine};
use e2e::packages::{ACCEPTANCE, Need, install};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, gguf, sample};
use serde_json::json;

const MODEL: usize = 28 << 20;
const FILE_SYSTEMS: &[Need] = &[
    Need { file: "/usr/sbin/mkfs.vfat", package: "dosfstools" },
    Need { file: "/usr/bin/fusefat", package: "fusefat" },
    Need { file: "/usr/sbin/mkfs.exfat", package: "exfatprogs" },
    Need { file: "/usr/sbin/mount.exfat-fuse", package: "exfat-fuse" },
];
/// How each image is made and mounted; `$1` is the image, `$2` where it is mounted, `$3` is `rw`, or `ro` as a machine has it.
const FAT32: [&str; 2] = [
    "mkfs.vfat -F 32 \"$1\"",
    "if [ $3 = rw ]; then o=rw+; else o=ro; fi; fusefat -o $o \"$1\" \"$2\" < /dev/null > /dev/null 2>&1",
];
// It wants a block device, which goes with its mount.
const EXFAT: [&str; 2] = [
    "mkfs.exfat \"$1\"",
    "device=$(losetup --find --show \"$1\"); mount.exfat-fuse -o $3 \"$device\" \"$2\" < /dev/null > /dev/null 2>&1
    losetup --detach \"$device\"",
];
const EXT4: [&str; 2] =
    ["mkfs.ext4 -q \"$1\"", "if [ $3 = rw ]; then o=rw; else o=ro,noexec; fi; mount -o loop,$o \"$1\" \"$2\""];

fn manifest() -> String {
    format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"llama2-7b\"\nsource = {{ type = \"file\", path = \"model.gguf\" }}\n\
         install_path = \"models/llama2-7b.gguf\"\n",
        sample::HEAD
    )
}

/// An image that is mounted, until it is dropped.
struct Stick {
    image: PathBuf,
    directory: PathBuf,
    mount: &'static str,
}

impl Stick {
    fn new(scenario: &Scenario, name: &str, [make, mount]: [&'static str; 2]) -> Result<Self> {
        let stick = Self { image: scenario.path(&format!("{name}.img")), directory: scenario.directory(name)?, mount };
        fs::File::create(&stick.image)?.set_len(96 << 20)?;
        stick.sh(make, "rw")?;
        stick.sh(mount, "rw")?;
        Ok(stick)
    }

    /// Takes it out and puts it in again, so that it is read and not remembered, and nothing can be written.
    fn put_in_again(&self) -> Result<()> {
        self.take_out()?;
        self.sh(self.mount, "ro")
    }

    fn take_out(&self) -> Result<()> {
        self.sh("umount \"$2\"; while mountpoint -q \"$2\"; do :; done", "rw")
    }

    fn sh(&self, script: &str, mode: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-ec", script, "sh"]).arg(&self.image).arg(&self.directory).arg(mode);
        run(&mut command)?.exits(0)?;
        Ok(())
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _ = self.take_out();
    }
}

/// Sticks with a volume each, and the last one with the whole package beside it, in a machine that boots with them.
struct Desk {
    scenario: Scenario,
    machine: Machine,
    _sticks: Vec<Stick>,
}

impl Desk {
    fn new() -> Result<Self> {
        install(ACCEPTANCE)?;
        install(FILE_SYSTEMS)?;
        let scenario = Scenario::below(Path::new("/var/tmp"))?;
        scenario.write("model.gguf", gguf::noise("llama2", MODEL))?;
        let whole = scenario.build(&manifest())?;
        run(scenario.builder()?.arg("split").arg(&whole).args(["--chunk-size", "13MB", "--output", "cut"]))?
            .exits(0)?;
        let kinds = [("fat32", FAT32), ("exfat", EXFAT), ("ext4", EXT4)];
        let sticks: Vec<Stick> =
            kinds.into_iter().map(|(name, kind)| Stick::new(&scenario, name, kind)).collect::<Result<_>>()?;
        for (stick, volume) in sticks.iter().zip(["package.run", "package.run.002", "package.run.003"]) {
            // Not fs::copy: sticks have no permissions to copy.
            fs::write(stick.directory.join(volume), fs::read(scenario.path("cut").join(volume))?)?;
        }
        fs::create_dir(sticks[2].directory.join("whole"))?;
        fs::copy(&whole, sticks[2].directory.join("whole/package.run"))?;
        fs::set_permissions(sticks[2].directory.join("whole/package.run"), fs::Permissions::from_mode(0o755))?;
        sticks.iter().try_for_each(Stick::put_in_again)?;
        let binds: Vec<BindRo> = kinds
            .iter()
            .zip(&sticks)
            .map(|((name, _), stick)| BindRo::new(&stick.directory, &format!("/media/{name}")))
            .collect();
        let machine = Machine::boot(Suite::Bookworm, &binds)?;
        Ok(Self { scenario, machine, _sticks: sticks })
    }

    /// For `sh` on this host: another stick is put into the one port of the machine.
    fn exchange(&self, name: &str) -> String {
        format!("{} sh -ec 'umount /mnt; mount --bind /media/{name} /mnt'", self.enter())
    }

    fn enter(&self) -> String {
        format!("nsenter -t {} -m -u -i -n -p -C -r -w --", self.machine.leader())
    }

    fn installed(&self) -> Result<()> {
        let model = fs::read(self.machine.path("/opt/ollama/models/llama2-7b.gguf"))?;
        ensure!(model == fs::read(self.scenario.path("model.gguf"))?, "the model is another one");
        Ok(())
    }
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn a_package_comes_on_three_sticks_of_three_kinds() -> Result<()> {
    let desk = Desk::new()?;
    let machine = &desk.machine;
    for (name, kind, option) in
        [("fat32", "fuse.fusefat", "ro"), ("exfat", "fuseblk", "ro"), ("ext4", "ext4", "noexec")]
    {
        let mounted = machine.must(&["findmnt", "--noheadings", "-o", "FSTYPE,OPTIONS", &format!("/media/{name}")])?;
        ensure!(mounted.stdout.contains(option), "{name} is {}", mounted.stdout);
        let is_fuse = mounted.stdout.trim_start().starts_with("fuse");
        ensure!(mounted.stdout.contains(kind) || (kind.starts_with("fuse") && is_fuse), "{name} is {}", mounted.stdout);
    }
    // All sticks at once, each in a port of its own.
    let all = ["--volumes", "/media/exfat", "--volumes", "/media/ext4"];
    machine.must(&["/media/fat32/package.run", "--dry-run"])?;
    let alone = machine.run(&["/media/fat32/package.run", "--verify"])?;
    ensure!(alone.code == 24 && alone.both().contains("package.run.002 (volume 2 of 3"), "{}", alone.describe());
    machine.must(&[&["/media/fat32/package.run", "--verify"], &all[..]].concat())?;

    // One port: whoever sits there exchanges them while the program runs that was on the first.
    machine.must(&["mount", "--bind", "/media/fat32", "/mnt"])?;
    let steps = json!([
        {"wait": "insert the medium with package.run.002 (volume 2 of 3", "send": "\n"},
        {"wait": "insert the medium with package.run.002", "run": desk.exchange("exfat"), "send": "\n"},
        {"wait": "insert the medium with package.run.003", "run": desk.exchange("ext4"), "send": "\n"},
        {"wait": "is installed"},
    ]);
    let steps = desk.scenario.write("steps.json", steps.to_string())?;
    let mut command = Command::new("python3");
    command.arg(workspace().join("tests/media/terminal.py")).arg(steps);
    let enter = desk.enter();
    command.arg("/usr/bin/nsenter").args(enter.split(' ').skip(1));
    command.args(["sh", "-c", "cd / && exec /mnt/package.run --install"]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let outcome = run(&mut command)?.exits(0)?;
    ensure!(outcome.stdout.matches("insert the medium").count() == 3, "a medium was asked for twice: {outcome}");
    desk.installed()?;
    machine.must(&["umount", "/mnt"])?;

    // From now on nothing is started from a stick, and nothing could be started from this one.
    let whole = "/media/ext4/whole/package.run";
    let started = machine.run(&["sh", "-c", &format!("exec {whole} --list")])?;
    ensure!(started.code == 126, "{}", started.describe());
    machine.must(&["airgap-deploy", "--payload", whole, "--verify"])?;
    let again = machine.must(&["airgap-deploy", "--payload", whole, "--install"])?;
    ensure!(again.both().contains("nothing was changed"), "{}", again.describe());
    let listed = machine.must(&["airgap-deploy", "--list-installed"])?;
    ensure!(listed.stdout.contains("sample 1.2.3"), "{}", listed.describe());
    machine.must(&["airgap-deploy", "--status"])?;
    machine.must(&["airgap-deploy", "--uninstall"])?;
    ensure!(!machine.path("/usr/local/sbin/airgap-deploy").exists(), "the command is left");
    Ok(())
}

#[test]
#[ignore = "needs root and FUSE; run by `make acceptance`"]
fn a_file_of_4_gib_is_too_long_for_fat32() -> Result<()> {
    install(FILE_SYSTEMS)?;
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let stick = Stick::new(&scenario, "fat32", FAT32)?;
    let file = fs::File::create(stick.directory.join("package.run"))?;
    // The driver refuses, or keeps what 32 bits hold of the length: nothing.
    let _ = file.set_len(4 << 30);
    drop(file);
    ensure!(fs::metadata(stick.directory.join("package.run"))?.len() == 0, "FAT32 took it");
    Ok(())
}

/// Copies with mtools, a FAT of their own: fusefat reads no file behind 2 GiB.
fn mcopy(image: &Path, from: &Path, to: &Path) -> Result<Outcome> {
    run(Command::new("mcopy").arg("-i").arg(image).args([from, to]))
}

#[test]
#[ignore = "writes 21 GiB, as root, and takes minutes; run by `make acceptance`"]
fn a_package_of_more_than_4_gib_comes_on_fat32_in_volumes_that_fit() -> Result<()> {
    install(ACCEPTANCE)?;
    install(FILE_SYSTEMS)?;
    install(&[Need { file: "/usr/bin/mcopy", package: "mtools" }])?;
    let scenario = Scenario::below(Path::new("/var/tmp"))?.shipped();
    let size = gguf::sparse(&scenario.path("model.gguf"), (4 << 30) + (200 << 20))?;
    scenario.try_build(&manifest())?.exits(0)?.says("takes no file of 4 GiB or more; --chunk-size fat32")?;
    let (whole, stick) = (scenario.path("package.run"), scenario.directory("cut")?);
    ensure!(fs::metadata(&whole)?.len() > payload::FAT32_MAX, "the package is too short for this test");
    let image = |number: usize| -> Result<PathBuf> {
        let image = scenario.path(&format!("{number}.img"));
        fs::File::create(&image)?.set_len(9 << 30)?;
        run(Command::new("mkfs.vfat").args(["-F", "32"]).arg(&image))?.exits(0)?;
        Ok(image)
    };
    let listed = |image: &Path| run(Command::new("mdir").args(["-b", "-i"]).arg(image).arg("::/"));
    let (first, second) = (image(1)?, image(2)?);
    mcopy(&first, &whole, Path::new("::/package.run"))?.says("too big")?;
    ensure!(!listed(&first)?.stdout.contains("package.run"), "FAT32 took it");
    let split = ["--chunk-size", "fat32", "--output", "cut"];
    run(scenario.builder()?.arg("split").arg(&whole).args(split))?.exits(0)?;
    fs::remove_file(&whole)?;
    ensure!(
        fs::metadata(stick.join("package.run"))?.len() == payload::FAT32_MAX,
        "the first volume is no longest file"
    );
    let (mut binds, mut names) = (Vec::new(), Vec::new());
    for (number, (image, volume)) in [(first, "package.run"), (second, "package.run.002")].into_iter().enumerate() {
        let inside = Path::new("::/").join(volume);
        mcopy(&image, &stick.join(volume), &inside)?.exits(0)?;
        fs::remove_file(stick.join(volume))?;
        ensure!(listed(&image)?.stdout.contains(volume), "{volume} does not fit");
        // What comes off the stick goes to the machine, a directory for each.
        let directory = scenario.directory(&format!("stick-{number}"))?;
        mcopy(&image, &inside, &directory.join(volume))?.exits(0)?;
        fs::remove_file(image)?;
        fs::set_permissions(directory.join(volume), fs::Permissions::from_mode(0o755))?;
        names.push(format!("/media/{number}"));
        binds.push(BindRo::new(&directory, &format!("/media/{number}")));
    }
    let machine = Machine::boot(Suite::Bookworm, &binds)?;
    let (program, other) = (format!("{}/package.run", names[0]), names[1].as_str());
    let alone = machine.run(&[&program, "--install"])?;
    ensure!(alone.code == 24 && alone.both().contains("package.run.002 (volume 2 of 2"), "{}", alone.describe());
    machine.must(&[&program, "--install", "--volumes", other])?;
    let placed = machine.path("/opt/ollama/models/llama2-7b.gguf");
    ensure!(fs::metadata(&placed)?.len() == size, "the model has another length");
    run(Command::new("cmp").arg(&placed).arg(scenario.path("model.gguf")))?.exits(0)?;
    machine.must(&["airgap-deploy", "--status"])?;
    Ok(())
}
