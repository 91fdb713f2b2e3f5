//! Hostile surroundings, as far as they need no systemd: a second installer, signals at every change, nobody who reads
//! the output, closed descriptors, odd variables and limits, no /proc, a package that is rewritten while it is read.

use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::crash::program::{Ended, Run, stub};
use e2e::crash::stage::Stage;
use e2e::crash::stopped::{go_on, signal, stopped};
use e2e::crash::trials::{Scratch, Series};
use e2e::crash::{directory, sample};
use e2e::scenario::with_mounts;
use e2e::skip::{needs_root, skipped};
use e2e::tree::Tree;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

const INSTALL: [&str; 1] = ["--install"];

struct Bare {
    directory: TempDir,
    root: PathBuf,
    run: PathBuf,
}

fn bare() -> Result<Bare> {
    let directory = directory()?;
    let (root, run) = (directory.path().join("root"), directory.path().join("x.run"));
    sample::target(&root, false)?;
    sample::first(false)?.write(&run)?;
    Ok(Bare { directory, root, run })
}

fn same(expected: &Tree, root: &Path, what: &str) -> Result<()> {
    let difference = expected.difference(&Tree::read(root)?);
    ensure!(difference.is_empty(), "{what}:\n{difference}");
    Ok(())
}

/// The program started by a shell that first does what `preparation` says.
fn through_shell(preparation: &str, run: &Path, root: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{preparation} exec \"$@\""), "sh"]);
    command.arg(stub()).arg("--payload").arg(run).arg("--root").arg(root).arg("--install").stdin(Stdio::null());
    command
}

#[test]
fn a_second_installer_is_turned_away() -> Result<()> {
    let stage = bare()?;
    let complete = Series::new(&stage.root, &stage.run, &INSTALL)?.complete;
    let first = stopped(Run::new(&stage.run, &stage.root, &INSTALL), 40)?.context("it ended too soon")?;
    for action in ["--install", "--uninstall", "--recover"] {
        let second = Run::new(&stage.run, &stage.root, &[action]).end();
        ensure!(second.code == Some(23) && second.text.contains("another installer is running"), "{second:?}");
    }
    let ended = go_on(first)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    same(&complete, &stage.root, "the first installer was disturbed")
}

#[test]
fn signals_lead_back_to_the_state_before() -> Result<()> {
    let stage = bare()?;
    let before = Tree::read(&stage.root)?;
    let series = Series::new(&stage.root, &stage.run, &INSTALL)?;
    let (mut undone, mut finished) = (0, 0);
    for number in 1..=series.changes()? {
        let scratch = Scratch::of(&stage.root)?;
        let chosen = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP][usize::try_from(number)? % 3];
        let child = stopped(Run::new(&stage.run, &scratch.root, &INSTALL), number)?.context("it ended too soon")?;
        signal(&child, chosen)?;
        let ended = go_on(child)?;
        match ended.code {
            Some(130) => {
                undone += 1;
                ensure!(ended.text.contains("the machine is as it was before"), "{ended:?}");
                same(&before, &scratch.root, "not as before")?;
            }
            Some(0) => {
                finished += 1;
                same(&series.complete, &scratch.root, "not complete")?;
            }
            _ => anyhow::bail!("{chosen} at change {number}: {ended:?}"),
        }
    }
    println!("signals: {undone} installations undone, {finished} complete");
    ensure!(undone > 100, "hardly any signal was noticed");
    Ok(())
}

#[test]
fn an_uninstallation_that_got_a_signal_goes_on_later() -> Result<()> {
    let stage = bare()?;
    let bare = Tree::read(&stage.root)?;
    ensure!(Run::new(&stage.run, &stage.root, &INSTALL).end().code == Some(0), "cannot install");
    let series = Series::new(&stage.root, &stage.run, &["--uninstall"])?;
    for number in 1..=series.changes()? {
        let scratch = Scratch::of(&stage.root)?;
        let child = stopped(Run::new(&stage.run, &scratch.root, &["--uninstall"]), number)?.context("ended")?;
        signal(&child, Signal::SIGTERM)?;
        let ended = go_on(child)?;
        ensure!(matches!(ended.code, Some(0 | 130)), "{ended:?}");
        let again = Run::new(&stage.run, &scratch.root, &["--uninstall"]).end();
        ensure!(again.is_done(), "{again:?}");
        same(&bare, &scratch.root, "something is left")?;
    }
    Ok(())
}

#[test]
fn a_directory_of_the_service_that_is_mounted_there_is_used() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let complete = Series::new(&stage.installed, &stage.second, &["--install", "--replace"])?.complete;
    // The same file system once more: only the mount is another one.
    let mount = "cp -a \"$1/opt/demo/models\" \"$1/elsewhere\" && mount --bind \"$1/elsewhere\" \"$1/opt/demo/models\" \
        && shift && \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mount, "sh"]).arg(&stage.installed).arg(stub());
    command.arg("--payload").arg(&stage.second).arg("--root").arg(&stage.installed).args(["--install", "--replace"]);
    let ended: Ended = command.stdin(Stdio::null()).output()?.into();
    ensure!(ended.code == Some(0), "{ended:?}");
    let models = stage.installed.join("opt/demo/models");
    fs::remove_dir_all(&models)?;
    fs::rename(stage.installed.join("elsewhere"), &models)?;
    same(&complete, &stage.installed, "not complete")
}

#[test]
fn a_purge_removes_everything_but_what_is_mounted_there() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let own = stage.path().join("own");
    fs::create_dir(&own)?;
    fs::write(own.join("file"), "of somebody else\n")?;
    let mess = "cd \"$2/opt/demo/models\" && mkdir 'on disk' deep deep/er && mount --bind \"$1\" 'on disk' && echo x > deep/er/x \
        && echo changed > m.gguf && touch \"$(printf 'two\\nlines')\" \"$(printf 'no-\\377-text')\" && ln -s / link \
        && shift 2 && { \"$@\" --dry-run || echo \"dry run $?\"; \"$@\"; }";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mess, "sh"]).arg(&own).arg(&stage.installed).arg(stub());
    command.arg("--payload").arg(&stage.first).arg("--root").arg(&stage.installed).args(["--uninstall", "--purge"]);
    let ended: Ended = command.stdin(Stdio::null()).output()?.into();
    ensure!(ended.code == Some(32) && ended.text.contains("/opt/demo/models/ is not empty: on disk"), "{ended:?}");
    ensure!(ended.text.contains("dry run 32"), "the plan is more hopeful: {ended:?}");
    ensure!(fs::read_to_string(own.join("file"))? == "of somebody else\n", "files of others went");
    let models: Vec<_> = fs::read_dir(stage.installed.join("opt/demo/models"))?.collect::<Result<_, _>>()?;
    ensure!(models.len() == 1 && models[0].file_name() == "on disk", "{models:?}");
    Ok(())
}

#[test]
fn a_purge_enters_no_mount_below_names_that_no_path_can_have() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let own = stage.path().join("own");
    fs::create_dir(&own)?;
    fs::write(own.join("file"), "of somebody else\n")?;
    let mess = "cd \"$2/opt/demo/models\" && odd=\"$(printf 'two\\nlines')\" && mkdir \"$odd\" && mkdir \"$odd/on\" \
        && mount --bind \"$1\" \"$odd/on\" && touch \"$(printf 'no-\\377-text')\" \
        && shift 2 && { \"$@\" --dry-run || echo \"dry run $?\"; \"$@\"; }";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mess, "sh"]).arg(&own).arg(&stage.installed).arg(stub());
    command.arg("--payload").arg(&stage.first).arg("--root").arg(&stage.installed).args(["--uninstall", "--purge"]);
    let ended: Ended = command.stdin(Stdio::null()).output()?.into();
    let told =
        ended.text.contains(r"/opt/demo/models/two\u{a}lines/on") && ended.text.contains("something is mounted there");
    ensure!(ended.code == Some(32) && told, "{ended:?}");
    ensure!(ended.text.contains("dry run 32"), "the plan is more hopeful: {ended:?}");
    ensure!(fs::read_to_string(own.join("file"))? == "of somebody else\n", "files of others went");
    let models: Vec<_> = fs::read_dir(stage.installed.join("opt/demo/models"))?.collect::<Result<_, _>>()?;
    ensure!(models.len() == 1 && models[0].file_name() == "two\nlines", "{models:?}");
    // With the mount gone, it goes on where it stopped.
    let plan = Run::new(&stage.first, &stage.installed, &["--uninstall", "--purge", "--dry-run"]).end();
    ensure!(plan.code == Some(0), "the plan is less hopeful: {plan:?}");
    let again = Run::new(&stage.first, &stage.installed, &["--uninstall", "--purge"]).end();
    ensure!(again.code == Some(0) && !stage.installed.join("opt/demo").exists(), "{again:?}");
    Ok(())
}

#[test]
fn a_second_writer_that_takes_the_space_leads_back_to_the_state_before() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = bare()?;
    let before = Tree::read(&stage.root)?;
    let changes = Series::new(&stage.root, &stage.run, &INSTALL)?.changes()?;
    let small = stage.directory.path().join("small");
    fs::create_dir(&small)?;
    let mount = "mount -t tmpfs -o size=4m,mode=755 tmpfs \"$1\" && cp -a \"$2/.\" \"$1\" && shift 2 && exec \"$@\"";
    let (mut full, mut done) = (0, 0);
    for number in (1..=changes).step_by(7) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", mount, "sh"]).arg(&small).arg(&stage.root);
        command.arg(stub()).arg("--payload").arg(&stage.run).arg("--root").arg(&small).arg("--install");
        command.env("AIRGAP_DEPLOY_STOP_AT", number.to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        ensure!(matches!(waitpid(pid, Some(WaitPidFlag::WUNTRACED))?, WaitStatus::Stopped(..)), "it ended too soon");
        // The file system is only there in the mount namespace of the process.
        let inside = Path::new("/proc").join(pid.to_string()).join("root").join(small.strip_prefix("/")?);
        let mut filler = fs::File::create(inside.join("filler"))?;
        let grown = std::io::copy(&mut std::io::repeat(0), &mut filler);
        ensure!(grown.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull), "no end of space");
        let root = fs::File::open(&inside)?;
        let ended = go_on(child)?;
        let seen = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root)));
        match ended.code {
            Some(22) => {
                full += 1;
                ensure!(ended.text.contains("Out of disk space"), "{ended:?}");
                ensure!(ended.text.contains("the machine is as it was before"), "{ended:?}");
                let difference = before.difference(&Tree::read(&seen)?.without("filler"));
                ensure!(difference.is_empty(), "full at change {number}:\n{difference}");
            }
            Some(0) => done += 1,
            _ => anyhow::bail!("full at change {number}: {ended:?}"),
        }
    }
    println!("a second writer: {full} installations undone, {done} had their space already");
    ensure!(full > 5, "the space never ran out");
    Ok(())
}

#[test]
fn a_reader_that_went_away_is_no_reason_to_stop() -> Result<()> {
    let stage = bare()?;
    let complete = Series::new(&stage.root, &stage.run, &INSTALL)?.complete;
    let (reader, writer) = nix::unistd::pipe()?;
    drop(reader);
    let mut command = Run::new(&stage.run, &stage.root, &INSTALL).command();
    command.stdout(writer.as_fd().try_clone_to_owned()?).stderr(writer);
    ensure!(command.status()?.code() == Some(0), "it did not install");
    same(&complete, &stage.root, "not complete")
}

#[test]
fn closed_descriptors_odd_variables_and_masks_change_nothing() -> Result<()> {
    let stage = bare()?;
    let complete = Series::new(&stage.root, &stage.run, &INSTALL)?.complete;
    let trap = stage.directory.path().join("trap");
    fs::create_dir(&trap)?;
    let marker = stage.directory.path().join("marker");
    for tool in ["useradd", "groupadd", "getent", "systemctl", "sh", "cp"] {
        let path = trap.join(tool);
        fs::write(&path, format!("#!/bin/sh\necho {tool} >> {}\n", marker.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let preparations = [
        "exec <&-; ".to_owned(),
        "exec <&- >&-; ".to_owned(),
        "exec <&- >&- 2>&-; ".to_owned(),
        "umask 0777; ".to_owned(),
        "umask 0000; ".to_owned(),
        "cd /; ".to_owned(),
        format!("export PATH={}; ", trap.display()),
        "export LD_PRELOAD=/nonexistent.so LD_LIBRARY_PATH=/nonexistent LD_AUDIT=/nonexistent.so; ".to_owned(),
        "export TMPDIR=/nonexistent HOME=/nonexistent LC_ALL=xx_YY IFS=/ TERM=; ".to_owned(),
        "export RUST_BACKTRACE=full RUST_MIN_STACK=1 MALLOC_CHECK_=3; ".to_owned(),
    ];
    for preparation in preparations {
        let scratch = Scratch::of(&stage.root)?;
        let ended: Ended = through_shell(&preparation, &stage.run, &scratch.root).output()?.into();
        ensure!(ended.code == Some(0), "{preparation}: {ended:?}");
        same(&complete, &scratch.root, &preparation)?;
    }
    ensure!(!marker.exists(), "a program was found through PATH: {}", fs::read_to_string(&marker)?);
    Ok(())
}

#[test]
fn low_limits_end_in_the_state_before_or_complete() -> Result<()> {
    let stage = bare()?;
    let before = Tree::read(&stage.root)?;
    let complete = Series::new(&stage.root, &stage.run, &INSTALL)?.complete;
    let lengths = [0, 1, 2, 8, 40, 100, 1000].map(|blocks| format!("ulimit -f {blocks}; "));
    let descriptors = (4..24).chain([255, 256, 300]).map(|number| format!("ulimit -n {number}; "));
    let soft = ["ulimit -S -n 8; ".to_owned()];
    let (mut refused, mut done) = (0, 0);
    for limit in lengths.into_iter().chain(descriptors).chain(soft) {
        let scratch = Scratch::of(&stage.root)?;
        let ended: Ended = through_shell(&limit, &stage.run, &scratch.root).output()?.into();
        match ended.code {
            Some(0) => {
                done += 1;
                same(&complete, &scratch.root, &limit)?;
            }
            Some(_) => {
                refused += 1;
                same(&before, &scratch.root, &format!("{limit}: {ended:?}"))?;
            }
            None => anyhow::bail!("{limit}: {ended:?}"),
        }
    }
    println!("limits: {refused} refused or undone, {done} installed");
    ensure!(refused > 5 && done > 3, "the limits did not bite, or nothing worked");
    Ok(())
}

#[test]
fn it_works_where_there_is_no_proc_and_nothing_else() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = bare()?;
    let complete = Series::new(&stage.root, &stage.run, &INSTALL)?.complete;
    let cell = stage.directory.path().join("cell");
    fs::create_dir(&cell)?;
    fs::copy(stub(), cell.join("stub"))?;
    fs::copy(&stage.run, cell.join("x.run"))?;
    e2e::tree::copy(&stage.root, &cell.join("root"))?;
    let inside = |arguments: &[&str]| -> Result<Ended> {
        let mut command = Command::new("chroot");
        command.arg(&cell).arg("/stub").args(arguments).stdin(Stdio::null());
        Ok(command.output()?.into())
    };
    let ended = inside(&["--install", "--root", "/root"])?;
    ensure!(ended.code == Some(10) && ended.text.contains("--payload FILE"), "{ended:?}");
    let ended = inside(&["--payload", "/x.run", "--install", "--root", "/root"])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    same(&complete, &cell.join("root"), "not complete")
}

#[test]
fn a_package_that_is_rewritten_while_it_is_read_is_noticed() -> Result<()> {
    let stage = bare()?;
    let before = Tree::read(&stage.root)?;
    let series = Series::new(&stage.root, &stage.run, &INSTALL)?;
    let bytes = fs::read(&stage.run)?;
    let changes = series.changes()?;
    let (mut noticed, mut harmless) = (0, 0);
    for number in (1..=changes).step_by(2) {
        let scratch = Scratch::of(&stage.root)?;
        let mutant = stage.directory.path().join("mutant.run");
        fs::write(&mutant, &bytes)?;
        let child = stopped(Run::new(&mutant, &scratch.root, &INSTALL), number)?.context("it ended too soon")?;
        // From here on, every byte after the index is another one, and so are those of the stub.
        let garbage = vec![0x5a; bytes.len()];
        OpenOptions::new().write(true).open(&mutant)?.write_all_at(&garbage, 0)?;
        let ended = go_on(child)?;
        match ended.code {
            Some(10) => {
                noticed += 1;
                ensure!(ended.text.contains("the machine is as it was before"), "{ended:?}");
                same(&before, &scratch.root, "not as before")?;
            }
            Some(0) => {
                harmless += 1;
                same(&series.complete, &scratch.root, "something else than the package was installed")?;
            }
            _ => anyhow::bail!("rewritten at change {number}: {ended:?}"),
        }
    }
    println!("rewritten packages: {noticed} noticed, {harmless} too late to matter");
    ensure!(noticed > 20, "hardly any was noticed");
    Ok(())
}

/// A FAT image behind FUSE, of which no type tells whether it has hard links: the plan is no more hopeful than the
/// installation, and nobody is sent for sudo.
#[test]
fn a_file_system_without_hard_links_behind_fuse_is_refused_by_the_plan_too() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let has = |program: &str| ["/usr/bin", "/usr/sbin"].iter().any(|place| Path::new(place).join(program).exists());
    if !has("fusefat") || !has("mkfs.vfat") || !Path::new("/dev/fuse").exists() {
        skipped("needs FUSE, fusefat and mkfs.vfat (Debian: fusefat, dosfstools)");
        return Ok(());
    }
    let Bare { directory, root, run } = bare()?;
    fs::create_dir_all(root.join("opt"))?;
    let image = directory.path().join("fat");
    fs::File::create(&image)?.set_len(64 << 20)?;
    let script = r#"mkfs.vfat "$4" >&2; fusefat -o rw+ "$4" "$3/opt" < /dev/null > /dev/null 2>&1
        before=$(ls -A "$3/opt")
        for action in --dry-run --install; do
            code=0; "$1" --payload "$2" --root "$3" $action || code=$?; echo "$action $code"
        done
        [ "$before" = "$(ls -A "$3/opt")" ] && echo nothing left; umount "$3/opt""#;
    let said = with_mounts(script, &[stub(), &run, &root, &image])?;
    let said = said.says("--dry-run 21")?.says("--install 21")?.says("nothing left")?;
    let said = said.says("/opt is on a file system without hard links")?;
    ensure!(!said.stderr.contains("sudo"), "{}", said.stderr);
    Ok(())
}
