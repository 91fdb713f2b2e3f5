//! Builds the stubs and hands them to the builder: musl where this machine has it, static glibc as the last resort.
//! Installing a musl target is the Makefile's business (`make toolchain`).
//!
//! A release build of the builder carries the stub that ships (cargo profile `stub`). A debug build carries one that is
//! compiled quickly (`stub-dev`), unless `AIRGAP_DEPLOY_STUB_PROFILE=stub` asks for the other.

#![expect(clippy::expect_used, clippy::panic, reason = "a build script has no other way to say that it cannot go on")]

#[path = "build/crates.rs"]
mod crates;
#[path = "build/terms.rs"]
mod terms;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GNU: &str = "x86_64-unknown-linux-gnu";
/// The profiles in `Cargo.toml`: what ships, and what is compiled quickly.
const SHIPPED: &str = "stub";
const QUICK: &str = "stub-dev";

/// The machines that there are stubs for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    const fn musl(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }
}

/// How a stub is compiled on this machine.
struct Toolchain {
    target: &'static str,
    rustc: PathBuf,
    flags: Vec<String>,
    /// What cargo and build scripts must be told beside.
    environment: Vec<(String, OsString)>,
}

/// A stub, and what it is linked from: a list in JSON, and all licence texts.
struct Stub {
    path: PathBuf,
    crates: String,
    texts: String,
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let workspace = manifest.parent().expect("the builder lies in a workspace").to_owned();
    for path in ["stub", "payload", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for name in [
        "AIRGAP_DEPLOY_STUB",
        "AIRGAP_DEPLOY_STUB_AARCH64",
        "AIRGAP_DEPLOY_STUB_PROFILE",
        "AIRGAP_DEPLOY_COMMIT",
        "AIRGAP_DEPLOY_MUSL_SYSROOT",
        "CC_x86_64_unknown_linux_musl",
        "CC_aarch64_unknown_linux_musl",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    // What `make toolchain-aarch64` touches: a builder that was compiled before it gets its second stub then. Cargo would
    // run this program again every time for a file that is not there.
    if let Some(changed) = cache().map(|cache| cache.join("toolchains")).filter(|changed| changed.exists()) {
        println!("cargo::rerun-if-changed={}", changed.display());
    }
    println!("cargo::rustc-env=AIRGAP_DEPLOY_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));
    println!("cargo::rustc-env=AIRGAP_DEPLOY_COMMIT={}", commit(&workspace));
    let (stubs, crates) = (out.join("stubs"), out.join("crates"));
    for directory in [&stubs, &crates] {
        // Made anew: what is no longer made must not stay.
        fs::remove_dir_all(directory).ok();
        fs::create_dir_all(directory).expect("OUT_DIR is writable");
    }
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let Some(stub) = stub(arch, &workspace, &out) else { continue };
        let name = arch.name();
        fs::write(crates.join(format!("{name}.json")), stub.crates).expect("OUT_DIR is writable");
        fs::write(crates.join(format!("{name}.txt")), stub.texts).expect("OUT_DIR is writable");
        fs::copy(&stub.path, stubs.join(name))
            .unwrap_or_else(|error| panic!("cannot copy {}: {error}", stub.path.display()));
    }
}

/// The stub for one machine. None for ARM where there is no way to compile it, and in a builder that is compiled quickly:
/// there it would cost more than the builder.
fn stub(arch: Arch, workspace: &Path, out: &Path) -> Option<Stub> {
    let named = match arch {
        Arch::X86_64 => "AIRGAP_DEPLOY_STUB",
        Arch::Aarch64 => "AIRGAP_DEPLOY_STUB_AARCH64",
    };
    if let Some(path) = env::var_os(named) {
        // What a stub from elsewhere is made of is not known here.
        return Some(Stub { path: PathBuf::from(path), crates: "[]".to_owned(), texts: String::new() });
    }
    let profile = profile();
    if arch == Arch::Aarch64 && profile == QUICK {
        return None;
    }
    let Some(toolchain) = toolchain(arch, workspace) else {
        println!(
            "cargo::warning=this builder carries no stub for aarch64: `make toolchain-aarch64` installs what is missing"
        );
        return None;
    };
    Some(build(&toolchain, profile, workspace, &target_directory(out)))
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

/// The commit that a release build is made of: what the environment says (sources without git), else what git says. A debug
/// build would be linked again after each commit for it.
fn commit(workspace: &Path) -> String {
    if let Ok(commit) = env::var("AIRGAP_DEPLOY_COMMIT") {
        return commit;
    }
    if env::var("PROFILE").as_deref() == Ok("debug") {
        return "not recorded in a debug build".to_owned();
    }
    let Some(commit) = git(workspace, &["rev-parse", "HEAD"]).filter(|_| is_repository(workspace)) else {
        return "unknown".to_owned();
    };
    // The log of HEAD grows with each commit and checkout; whether something was changed since is only known by asking.
    for path in ["builder", "Cargo.toml"].map(|path| workspace.join(path)) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    if let Some(log) = git(workspace, &["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    match git(workspace, &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}, modified"),
    }
}

/// Whether this is a repository of its own, not sources that were unpacked inside of another one.
fn is_repository(workspace: &Path) -> bool {
    let top = git(workspace, &["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    top.and_then(|top| top.canonicalize().ok()) == workspace.canonicalize().ok()
}

fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(workspace).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// One directory for all builds of this workspace, so that the stub that ships is compiled once: cargo marks the
/// directory that it writes to, which is one of those above `OUT_DIR`.
fn target_directory(out: &Path) -> PathBuf {
    let target = out.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("stubs")
}

/// Leaves out what a program that aborts has no use for.
fn unwinding(workspace: &Path) -> String {
    format!("-Clink-arg=-Wl,-T,{}", workspace.join("stub/unwinding.ld").display())
}

fn toolchain(arch: Arch, workspace: &Path) -> Option<Toolchain> {
    let rustc = PathBuf::from(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    let target = arch.musl();
    if let Some(environment) = c_compiler(arch) {
        if has_standard_library(&rustc, target, None) {
            return Some(Toolchain { target, rustc, flags: vec![unwinding(workspace)], environment });
        }
        if let Some(sysroot) = sysroot(arch).filter(|sysroot| has_standard_library(&rustc, target, Some(sysroot))) {
            let flags = vec!["--sysroot".to_owned(), sysroot.display().to_string(), unwinding(workspace)];
            return Some(Toolchain { target, rustc: PathBuf::from("/usr/bin/rustc"), flags, environment });
        }
    }
    if arch != Arch::X86_64 {
        return None;
    }
    println!(
        "cargo::warning=no musl target here: the stub is linked statically with glibc, as a last resort. \
         `make toolchain` installs what is missing"
    );
    let flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    Some(Toolchain { target: GNU, rustc, flags, environment: Vec::new() })
}

/// liblzma is C: it needs a compiler for musl too. What must be said of it; nothing where there is none.
fn c_compiler(arch: Arch) -> Option<Vec<(String, OsString)>> {
    let name = format!("CC_{}", arch.musl().replace('-', "_"));
    let starts =
        |program: &OsStr| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let given = env::var_os(&name);
    match arch {
        Arch::X86_64 => (given.is_some() || starts(OsStr::new("musl-gcc"))).then(Vec::new),
        Arch::Aarch64 => {
            let made = cache()?.join("musl-aarch64/musl-gcc").into_os_string();
            let compiler = given.or_else(|| starts(&made).then_some(made))?;
            let linker = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER".to_owned();
            let named = env::var_os(&linker).unwrap_or_else(|| OsString::from("aarch64-linux-gnu-gcc"));
            let archive_tool = "AR_aarch64_unknown_linux_musl".to_owned();
            let packer = env::var_os(&archive_tool).unwrap_or_else(|| OsString::from("aarch64-linux-gnu-ar"));
            Some(vec![(name, compiler), (linker, named), (archive_tool, packer)])
        }
    }
}

fn has_standard_library(rustc: &Path, target: &str, sysroot: Option<&Path>) -> bool {
    let directory = if let Some(sysroot) = sysroot {
        sysroot.join("lib/rustlib").join(target).join("lib")
    } else {
        let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
        let Ok(output) = output else { return false };
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    };
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Where `make toolchain` puts a standard library that it made itself.
fn sysroot(arch: Arch) -> Option<PathBuf> {
    match env::var_os("AIRGAP_DEPLOY_MUSL_SYSROOT") {
        Some(path) if arch == Arch::X86_64 => Some(PathBuf::from(path)),
        _ => Some(cache()?.join(format!("musl-sysroot-{}", arch.name()))),
    }
}

/// Where `make toolchain` keeps what it makes.
fn cache() -> Option<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("airgap-deploy"))
}

fn build(toolchain: &Toolchain, profile: &str, workspace: &Path, directory: &Path) -> Stub {
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
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .envs(toolchain.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("cargo can be started");
    assert!(output.status.success(), "building the stub failed");
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).expect("the workspace has a Cargo.lock");
    let own = env::var("CARGO_PKG_LICENSE").expect("cargo sets CARGO_PKG_LICENSE");
    let (crates, texts) = crates::of_build(&String::from_utf8_lossy(&output.stdout), toolchain.target, &own, &lock);
    Stub { path: directory.join(toolchain.target).join(profile).join("stub"), crates, texts }
}

fn cargo_home() -> PathBuf {
    match env::var_os("CARGO_HOME") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    }
}
