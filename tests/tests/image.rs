//! An image: installed into, enabled and uninstalled from below another root, then booted. Needs root and Debian:
//! `make acceptance`. Machines that are installed while they run are in `matrix.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::base::{self, Suite};
use e2e::command::{Captured, argv, capture, succeed, wait_until};
use e2e::httpd::{Stick, URL};
use e2e::machine::{BindRo, Machine};
use e2e::tree::Tree;

const COPY: &str = "/var/lib/airgap-deploy/demo/airgap-deploy";
const WITHIN: Duration = Duration::from_secs(120);

fn stick() -> Result<Stick> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?;
    let builder = std::env::var_os("AIRGAP_DEPLOY_BUILDER");
    Stick::build(&builder.map_or_else(|| target.join("release/builder"), PathBuf::from))
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn an_image_boots_and_serves() -> Result<()> {
    let stick = stick()?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    succeed(argv(&["cp", "--archive"])?.arg(base::provide(Suite::Bookworm)?).arg(&image), WITHIN)?;
    // An image may keep elsewhere what belongs to the site: the command goes there, and not to this machine's own.
    std::fs::rename(image.join("usr/local"), image.join("srv/local"))?;
    std::os::unix::fs::symlink("/srv/local", image.join("usr/local"))?;
    let before = Tree::read(&image)?;
    let root = image.to_str().context("UTF-8")?;
    let below = |arguments: &[&str]| -> Result<Captured> {
        let package = stick.path().join("one.run");
        let done =
            capture(&mut argv(&[&[package.to_str().context("UTF-8")?, "--root", root], arguments].concat())?, WITHIN)?;
        ensure!(done.ok(), "{arguments:?}: {}", done.describe());
        Ok(done)
    };
    let enabled = image.join("etc/systemd/system/multi-user.target.wants/demo.service");

    let plan = below(&["--dry-run", "--enable"])?;
    ensure!(plan.stdout.contains(&format!("systemctl enable --root={root} -- demo.service")), "{}", plan.describe());
    below(&["--install", "--enable"])?;
    ensure!(enabled.is_symlink(), "it is not enabled");
    ensure!(image.join("srv/local/sbin/airgap-deploy").is_file(), "the command is not below the image's own link");
    ensure!(below(&["--install", "--enable"])?.stdout.contains("nothing was changed"), "it changes something twice");
    below(&["--uninstall"])?;
    ensure!(!enabled.is_symlink(), "it is still enabled");
    // What was done stays in its log.
    std::fs::remove_dir_all(image.join("var/log/airgap-deploy"))?;
    let left = before.difference(&Tree::read(&image)?);
    ensure!(left.is_empty(), "left in the image: {left}");
    // Not enabled at first, and then: the state is looked at.
    below(&["--install"])?;
    ensure!(!enabled.is_symlink(), "it was enabled unasked");
    below(&["--install", "--enable"])?;
    let here = capture(&mut argv(&["getent", "passwd", "demo"])?, WITHIN)?;
    ensure!(!here.ok(), "the image's account was made on this machine");

    let machine = Machine::boot_image(Suite::Bookworm, image.clone(), &[BindRo::new(&stick.path(), "/media/usb")])?;
    let mut page = String::new();
    let serves = || {
        page = machine.run(&["curl", "--silent", URL])?.stdout;
        Ok(page == "one\n")
    };
    ensure!(wait_until(WITHIN, serves)?, "it does not serve what it should");
    let status = machine.run(&[COPY, "--status"])?;
    ensure!(status.ok() && status.stdout.contains("active (running), enabled"), "{}", status.describe());
    machine.must(&["/media/usb/two.run", "--install"])?;
    machine.must(&[COPY, "--uninstall"])?;
    ensure!(!machine.run(&["getent", "passwd", "demo"])?.ok(), "the account stays");
    Ok(())
}
