//! What must not be built or installed: the use case's error scenarios by their own words and exit codes, each with
//! nothing changed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, elf, gguf, package, package_as_nobody, package_below, sample, with_mounts};
use e2e::skip::{needs_mounts, needs_root, skipped};

fn binary(source: &str) -> String {
    format!(
        "{}[[components]]\ntype = \"external-binary\"\nname = \"ollama\"\nsource = {{ type = \"file\", path = \"{source}\" }}\n\
         install_path = \"bin/ollama\"\n",
        sample::HEAD
    )
}

/// A package with one program.
fn with_program(scenario: &Scenario, machine: u16, glibc: &str) -> Result<PathBuf> {
    scenario.write("inputs/ollama", elf::program(machine, glibc, "program"))?;
    scenario.build(&binary("inputs/ollama"))
}

/// That installing below a root is refused with `code`, and leaves the root as it was.
fn refused_below(run: &Path, root: &Path, code: i32) -> Result<Outcome> {
    let before = Tree::of(root)?;
    let outcome = package_below(run, root, &["--install"])?.exits(code)?.says("nothing was changed")?.says("next:")?;
    before.equals(&Tree::of(root)?)?;
    Ok(outcome)
}

/// Answers one request with `bytes`, on loopback.
fn serve_once(bytes: Vec<u8>) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (stream, _) = listener.accept()?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let mut stream = reader.into_inner();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
        stream.write_all(&bytes)
    });
    Ok(format!("http://{address}/llama2-7b.gguf"))
}

#[test]
fn a_download_that_is_not_what_the_manifest_says_is_a_model_checksum_mismatch() -> Result<()> {
    let scenario = Scenario::new()?;
    let mut model = gguf::noise("llama2", 1 << 16);
    let checksum = payload::Digest::of(&model);
    *model.last_mut().context("empty")? ^= 1;
    let source = format!("type = \"url\", url = \"{}\", checksum = \"{checksum}\"", serve_once(model)?);
    let outcome = scenario.try_build(&format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"llama2-7b\"\nsource = {{ {source} }}\ninstall_path = \"models/m.gguf\"\n",
        sample::HEAD
    ))?;
    outcome.exits(42)?.says("Model checksum mismatch")?.says(&checksum.hex())?.says("next:")?;
    assert!(!scenario.path("package.run").exists());
    Ok(())
}

#[test]
fn a_local_model_that_is_not_what_the_manifest_says_is_refused_too() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.write("inputs/m.gguf", gguf::noise("llama2", 1 << 16))?;
    let source = format!("type = \"file\", path = \"inputs/m.gguf\", checksum = \"sha256:{}\"", "0".repeat(64));
    let outcome = scenario.try_build(&format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"m\"\nsource = {{ {source} }}\ninstall_path = \"models/m.gguf\"\n",
        sample::HEAD
    ))?;
    outcome.exits(42)?.says("Model checksum mismatch")?;
    assert!(!scenario.path("package.run").exists());
    Ok(())
}

#[test]
fn an_archive_without_the_program_is_binary_not_found_and_says_what_is_there() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::release_tree(&scenario.path("release"))?;
    let text = binary("release").replace("bin/ollama", "bin/olama");
    let outcome = scenario.try_build(&text)?.exits(41)?.says("Binary not found")?;
    outcome.says("bin/ollama")?.says("next:")?;
    assert!(!scenario.path("package.run").exists());
    Ok(())
}

#[test]
fn installing_without_privileges_is_permission_denied() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let outcome = package_as_nobody(&run, &["--install"])?.exits(20)?.says("Permission denied")?;
    outcome.says("sudo")?.says("nothing was changed")?;
    // Looking is for everybody, and says what it would take.
    package_as_nobody(&run, &["--dry-run"])?.exits(0)?.says("Required permissions: root")?;
    Ok(())
}

#[test]
fn a_root_that_the_user_may_not_write_to_is_refused() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let root = scenario.target("root")?;
    let before = Tree::of(&root)?;
    let outcome = package_as_nobody(&run, &["--install", "--root", root.to_str().context("UTF-8")?])?;
    outcome.exits(20)?.says("next:")?;
    before.equals(&Tree::of(&root)?)
}

#[test]
fn a_program_for_another_machine_is_found_before_anything_changes() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.write("inputs/ollama", elf::program(elf::AARCH64, "GLIBC_2.17", "program"))?;
    let refused = scenario.try_build(&binary("inputs/ollama"))?.exits(40)?;
    refused.says("is a program for aarch64, and the package is for x86_64")?.says("--target aarch64")?;
    assert!(!scenario.path("package.run").exists());
    // What is not the program itself is a warning there, and still no program for this machine.
    sample::release_tree(&scenario.path("release"))?;
    scenario.write("release/lib/ollama/foreign.so", elf::program(elf::AARCH64, "GLIBC_2.17", "library"))?;
    let run = scenario.build(&binary("release"))?;
    let root = scenario.target("root")?;
    refused_below(&run, &root, 21)?.says("aarch64")?.says("x86_64")?;
    package(&run, &["--dry-run"])?.exits(21)?.says("foreign.so is a program for aarch64")?;
    Ok(())
}

#[test]
fn a_program_that_needs_a_newer_glibc_is_found_before_anything_changes() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.38")?;
    let root = scenario.target("root")?;
    let libc = "root/usr/lib/x86_64-linux-gnu/libc.so.6";
    scenario.write(libc, elf::libc(elf::X86_64, "GLIBC_2.37"))?;
    refused_below(&run, &root, 21)?.says("need glibc 2.38, this machine has 2.37")?;
    scenario.write(libc, elf::libc(elf::X86_64, "GLIBC_2.38"))?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    Ok(())
}

#[test]
fn a_full_disk_is_found_before_anything_changes() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.directory("small")?;
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\"; mkdir \"$1/etc\"; code=0; \"$2\" --install --root \"$1\" || code=$?; \
                  find \"$1\" -mindepth 1; exit $code";
    let outcome = with_mounts(script, &[&root, &run])?.exits(22)?.says("Out of disk space")?;
    outcome.says("nothing was changed")?;
    Ok(())
}

#[test]
fn a_full_disk_leaves_nothing_behind() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.directory("small")?;
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\"; mkdir \"$1/etc\"; \"$2\" -q --install --root \"$1\" || true; \
                  find \"$1\" -mindepth 1";
    let outcome = with_mounts(script, &[&root, &run])?.exits(0)?;
    assert_eq!(outcome.stdout, format!("{}/etc\n", root.display()));
    Ok(())
}

#[test]
fn a_read_only_or_noexec_destination_is_found_before_anything_changes() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let root = scenario.target("root")?;
    for (option, words) in [("ro", "read-only"), ("noexec", "noexec")] {
        let script = format!("mount -t tmpfs -o {option} tmpfs \"$1/opt\"; exec \"$2\" --install --root \"$1\"");
        let before = Tree::of(&root)?;
        let outcome = with_mounts(&script, &[&root, &run])?.exits(21)?.says(words)?;
        outcome.says("/opt is on a file system")?.says("nothing was changed")?;
        before.equals(&Tree::of(&root)?)?;
    }
    Ok(())
}

#[test]
fn foreign_files_in_the_way_are_a_conflict_that_names_them() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let root = scenario.target("root")?;
    scenario.write("root/opt/ollama/bin/ollama", "somebody else's")?;
    refused_below(&run, &root, 23)?.says("/opt/ollama/bin/ollama exists and does not belong")?.says("--replace")?;
    fs::remove_file(root.join("opt/ollama/bin/ollama"))?;
    std::os::unix::fs::symlink("/etc/passwd", root.join("opt/ollama/bin/ollama"))?;
    refused_below(&run, &root, 23)?.says("is a symbolic link")?;
    fs::remove_dir_all(root.join("opt/ollama"))?;
    scenario.write("root/opt/ollama", "a file where the prefix goes")?;
    refused_below(&run, &root, 23)?.says("/opt/ollama is in the way of a directory")?;
    Ok(())
}

#[test]
fn a_replaced_file_comes_back_with_uninstallation() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let root = scenario.target("root")?;
    let path = scenario.write("root/opt/ollama/bin/ollama", "somebody else's")?;
    package_below(&run, &root, &["--install", "--replace"])?.exits(0)?;
    assert_ne!(fs::read(&path)?, b"somebody else's");
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    assert_eq!(fs::read(&path)?, b"somebody else's");
    Ok(())
}

#[test]
fn mistakes_on_the_command_line_are_usage_errors() -> Result<()> {
    let scenario = Scenario::new()?;
    let run_file = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    for arguments in [
        &["--nonsense"][..],
        &["--verify", "--list"],
        &["--dry-run", "--purge"],
        &["--enable"],
        &["--verify", "--start"],
        &["--extract"],
        &["--dry-run", "-q", "-v"],
        &["--dry-run", "--root", "/nonexistent"],
        &["positional"],
    ] {
        package(&run_file, arguments)?.exits(2).with_context(|| format!("{arguments:?}"))?;
    }
    // Where no manifest has the usual name.
    let scenario = Scenario::new()?;
    for arguments in [&[][..], &["--output", "x"], &["nonsense"], &["verify"], &["init", "nonsense"], &["--manifest"]] {
        run(scenario.builder()?.args(arguments))?.exits(2).with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}

#[test]
fn without_an_action_it_introduces_itself_and_changes_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = with_program(&scenario, elf::X86_64, "GLIBC_2.2")?;
    let outcome = package_as_nobody(&run, &[])?.exits(0)?.says("Something of everything")?;
    outcome.says("Nothing was changed")?.says("--dry-run")?.says("--install")?;
    Ok(())
}

/// systemctl would follow the link to what this machine has there.
#[test]
fn an_absolute_link_to_the_units_of_an_image_is_found_before_anything_changes() -> Result<()> {
    if !Path::new("/usr/bin/systemctl").exists() {
        skipped("there is no systemctl");
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let (units, outside) = (root.join("etc/systemd/system"), scenario.directory("units")?);
    fs::remove_dir(&units)?;
    fs::create_dir_all(root.join(outside.strip_prefix("/")?))?;
    symlink(&outside, &units)?;
    let before = Tree::of(&root)?;
    for action in ["--dry-run", "--install"] {
        let refused = package_below(&run, &root, &[action, "--enable"])?.exits(23)?;
        refused.says("lies behind an absolute link")?.says("leave --enable out")?;
        before.equals(&Tree::of(&root)?)?;
    }
    package_below(&run, &root, &["--install"])?.exits(0)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    assert_eq!(fs::read_dir(&outside)?.count(), 0, "something was changed out of the image");
    fs::remove_file(&units)?;
    fs::create_dir(root.join("units"))?;
    symlink("../../units", &units)?;
    package_below(&run, &root, &["--install", "--enable"])?.exits(0)?;
    assert!(root.join("units/multi-user.target.wants/ollama.service").is_symlink());
    Ok(())
}
