//! Builds the stub and hands it to the builder: musl where this machine has it, static glibc as the last resort.
//! Installing a musl target is the Makefile's business (`make toolchain`).
//!
//! A release build of the builder carries the stub that ships (cargo profile `stub`). A debug build carries one that is
//! compiled quickly (`stub-dev`), unless `AIRGAP_DEPLOY_STUB_PROFILE=stub` asks for the other.

#![expect(clippy::expect_used, clippy::panic, reason = "a build script has no other way to say that it cannot go on")]

#[path = "build/crates.rs"]
mod crates;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MUSL: &str = "x86_64-unknown-linux-musl";
const GNU: &str = "x86_64-unknown-linux-gnu";
/// The profiles in `Cargo.toml`: what ships, and what is compiled quickly.
const SHIPPED: &str = "stub";
const QUICK: &str = "stub-dev";

/// How the stub is compiled on this machine.
struct Toolchain {
    target: &'static str,
    rustc: PathBuf,
    flags: Vec<String>,
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let workspace = manifest.parent().expect("the builder lies in a workspace").to_owned();
    for path in ["stub", "payload", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for name in ["AIRGAP_DEPLOY_STUB", "AIRGAP_DEPLOY_STUB_PROFILE", "AIRGAP_DEPLOY_MUSL_SYSROOT"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rustc-env=AIRGAP_DEPLOY_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));
    let stubs = out.join("stubs");
    fs::create_dir_all(&stubs).expect("OUT_DIR is writable");
    let (stub, (crates, texts)) = match env::var_os("AIRGAP_DEPLOY_STUB") {
        // What a stub from elsewhere is made of is not known here.
        Some(prebuilt) => (PathBuf::from(prebuilt), ("[]".to_owned(), String::new())),
        None => build(&toolchain(), profile(), &workspace, &target_directory(&out)),
    };
    fs::write(out.join("crates.json"), crates).expect("OUT_DIR is writable");
    fs::write(out.join("crates.txt"), texts).expect("OUT_DIR is writable");
    fs::copy(&stub, stubs.join("x86_64")).unwrap_or_else(|error| panic!("cannot copy {}: {error}", stub.display()));
}

/// What the environment asks for, else what suits the profile that the builder is compiled with.
fn profile() -> &'static str {
    let debug = env::var("PROFILE").as_deref() == Ok("debug");
    match env::var("AIRGAP_DEPLOY_STUB_PROFILE").as_deref() {
        Ok(QUICK) if !debug => panic!("a release build of the builder carries the stub that ships, never {QUICK}"),
        Ok(QUICK) => QUICK,
        Ok(SHIPPED) => SHIPPED,
        Ok(other) => panic!("AIRGAP_DEPLOY_STUB_PROFILE is {SHIPPED} or {QUICK}, not {other:?}"),
        Err(_) if debug => QUICK,
        Err(_) => SHIPPED,
    }
}

/// One directory for all builds of this workspace, so that the stub that ships is compiled once: cargo marks the
/// directory that it writes to, which is one of those above `OUT_DIR`.
fn target_directory(out: &Path) -> PathBuf {
    let target = out.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("stubs")
}

fn toolchain() -> Toolchain {
    let rustc = PathBuf::from(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    if has_c_compiler() {
        if has_standard_library(&rustc, None) {
            return Toolchain { target: MUSL, rustc, flags: Vec::new() };
        }
        if let Some(sysroot) = sysroot().filter(|sysroot| has_standard_library(&rustc, Some(sysroot))) {
            let flags = vec!["--sysroot".to_owned(), sysroot.display().to_string()];
            return Toolchain { target: MUSL, rustc: PathBuf::from("/usr/bin/rustc"), flags };
        }
    }
    println!(
        "cargo::warning=no musl target here: the stub is linked statically with glibc, as a last resort. \
         `make toolchain` installs what is missing"
    );
    Toolchain { target: GNU, rustc, flags: vec!["-Ctarget-feature=+crt-static".to_owned()] }
}

/// liblzma is C: it needs a compiler for musl too.
fn has_c_compiler() -> bool {
    env::var_os("CC_x86_64_unknown_linux_musl").is_some()
        || Command::new("musl-gcc").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn has_standard_library(rustc: &Path, sysroot: Option<&Path>) -> bool {
    let directory = if let Some(sysroot) = sysroot {
        sysroot.join("lib/rustlib").join(MUSL).join("lib")
    } else {
        let output = Command::new(rustc).args(["--print", "target-libdir", "--target", MUSL]).output();
        let Ok(output) = output else { return false };
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    };
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Where `make toolchain` puts a standard library that it made itself.
fn sysroot() -> Option<PathBuf> {
    if let Some(path) = env::var_os("AIRGAP_DEPLOY_MUSL_SYSROOT") {
        return Some(PathBuf::from(path));
    }
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("airgap-deploy/musl-sysroot-x86_64"))
}

/// Where the stub is then, and what it is made of.
fn build(toolchain: &Toolchain, profile: &str, workspace: &Path, directory: &Path) -> (PathBuf, (String, String)) {
    let mut flags = toolchain.flags.clone();
    // The stub is the same wherever it is built: no path of this machine stays in it.
    for (path, name) in [(workspace.to_owned(), "/airgap-deploy"), (cargo_home(), "/cargo")] {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    let mut command = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    command
        .args(["build", "--package", "stub", "--profile", profile, "--target", toolchain.target, "--target-dir"])
        .arg(directory)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .current_dir(workspace)
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS")
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = command.output().expect("cargo can be started");
    assert!(output.status.success(), "building the stub failed");
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).expect("the workspace has a Cargo.lock");
    let own = env::var("CARGO_PKG_LICENSE").expect("cargo sets CARGO_PKG_LICENSE");
    let crates = crates::of_build(&String::from_utf8_lossy(&output.stdout), toolchain.target, &own, &lock);
    (directory.join(toolchain.target).join(profile).join("stub"), crates)
}

fn cargo_home() -> PathBuf {
    match env::var_os("CARGO_HOME") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}
