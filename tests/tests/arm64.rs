//! A package for ARM, built on this machine: what the builder makes of it, and what an ARM machine does with it.
//! There is no ARM processor here: qemu interprets every program of Debian's arm64 packages. It has no seccomp.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use e2e::arm::Arm;
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, package};

const HELLO: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello from ARM\") < 0; }\n";

const MANIFEST: &str = r#"
[package]
name = "hello"
version = "1.0.0"

[install]
prefix = "/opt/hello"
user = "hello"

[[components]]
type = "external-binary"
name = "hello"
source = { type = "file", path = "hello-{machine}" }
install_path = "bin/hello"

[[components]]
type = "config-file"
name = "hello.service"
install_path = "/etc/systemd/system/hello.service"
content = """
[Unit]
Description=Hello

[Service]
Type=oneshot
User=hello
ExecStart=/opt/hello/bin/hello

[Install]
WantedBy=multi-user.target
"""
"#;

fn build(scenario: &Scenario, target: &str, output: &str) -> Result<Outcome> {
    let manifest = scenario.write("AirGapDeploy.toml", MANIFEST)?;
    let mut builder = scenario.builder()?;
    run(builder.arg("--manifest").arg(manifest).args(["--target", target, "--output", output]))
}

#[test]
#[ignore = "root, downloads, and a builder with a stub for ARM (make toolchain-aarch64): make acceptance"]
fn a_package_for_arm_lives_on_an_arm_machine_and_explains_itself_elsewhere() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let arm = Arm::new(&scenario.path(""))?;
    let (arm_program, own_program) = (scenario.path("hello-aarch64"), scenario.path("hello-x86_64"));
    Arm::compile(&scenario.write("hello.c", HELLO)?, &arm_program)?;

    fs::copy(&arm_program, &own_program)?;
    build(&scenario, "x86_64", "x.run")?
        .exits(40)?
        .says("is a program for aarch64, and the package is for x86_64")?
        .says("--target aarch64")?;
    ensure!(!scenario.path("x.run").exists(), "what was refused is there");
    build(&scenario, "aarch64", "hello.run")?.exits(0)?;
    let arm_package = scenario.path("hello.run");
    run(scenario.builder()?.arg("inspect").arg(&arm_package))?.exits(0)?.says("linux aarch64, glibc 2.34")?;

    // Here: the kernel does not start it, and a stub for this machine says why.
    fs::copy("/bin/true", own_program)?;
    build(&scenario, "x86_64", "hello.run")?
        .exits(44)?
        .says("it is a package for aarch64, and this one is for x86_64")?;
    build(&scenario, "x86_64", "native.run")?.exits(0)?;
    let locked = fs::read_to_string(scenario.path("AirGapDeploy.lock"))?;
    ensure!(locked.contains("file:hello-x86_64") && locked.contains("file:hello-aarch64"), "one is gone:\n{locked}");
    let payload = arm_package.display().to_string();
    package(&scenario.path("native.run"), &["--payload", &payload, "--dry-run"])?
        .exits(21)?
        .says("the package is for aarch64, this machine is x86_64")?;

    fs::copy(&arm_package, arm.root.join("srv/hello.run"))?;
    let accounts = || fs::read_to_string(arm.root.join("etc/passwd"));
    let before = accounts()?;
    arm.run(&["/bin/uname", "-m"])?.exits(0)?.says("aarch64")?;
    arm.run(&["/srv/hello.run", "--verify"])?.exits(0)?;
    let plan = arm.run(&["/srv/hello.run", "--dry-run"])?.exits(0)?;
    plan.says("hello 1.0.0 for aarch64 Linux")?
        .says("create user hello")?
        .says("the kernel of this machine is x86_64")?;
    arm.run(&["/srv/hello.run", "--install"])?.exits(0)?.says("hello 1.0.0 is installed")?;
    arm.run(&["/opt/hello/bin/hello"])?.exits(0)?.says("hello from ARM")?;
    arm.run(&["/usr/bin/systemd-analyze", "verify", "--man=no", "/etc/systemd/system/hello.service"])?.exits(0)?;
    let copy = "/var/lib/airgap-deploy/hello/airgap-deploy";
    ensure!(accounts()?.contains("hello:x:"), "the account was not made");
    arm.run(&[copy, "--status"])?.exits(0)?;
    arm.run(&["/srv/hello.run", "--install"])?.exits(0)?;
    arm.run(&[copy, "--uninstall"])?.exits(0)?;
    for path in ["opt/hello", "etc/systemd/system/hello.service", "var/lib/airgap-deploy"] {
        ensure!(!arm.root.join(path).exists(), "{path} stays");
    }
    ensure!(accounts()? == before, "an account stays");
    ensure!(!Path::new("/opt/hello").exists(), "it was installed on this machine");
    println!("arm64: built, refused elsewhere, installed, verified, uninstalled");
    Ok(())
}
