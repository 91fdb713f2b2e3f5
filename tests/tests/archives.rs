//! Upstream archives through the whole pipeline: what is in them arrives below the root of a target.
//! How single formats are read is tested in the builder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use e2e::scenario::outcome::run;
use e2e::scenario::tree::{Kind, Tree, digest};
use e2e::scenario::{Scenario, elf, package_below, sample};

const PROGRAM: &str = "opt/ollama/bin/ollama";
const LIBRARIES: &str = "opt/ollama/lib/ollama";

fn manifest(source: &str, more: &str) -> String {
    format!(
        "{}[[components]]\ntype = \"external-binary\"\nname = \"ollama\"\nsource = {{ type = \"file\", path = \"{source}\" }}\n\
         install_path = \"bin/ollama\"\n{more}",
        sample::HEAD
    )
}

/// Runs a command in `directory`; its standard input and output are files where they are given.
fn pack(directory: &Path, arguments: &[&str], files: Option<(&Path, &Path)>) -> Result<()> {
    let (program, rest) = arguments.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(directory).stdin(Stdio::null());
    let Some((input, output)) = files else {
        run(&mut command)?.exits(0)?;
        return Ok(());
    };
    let status = command.stdin(File::open(input)?).stdout(File::create(output)?).status();
    assert!(status.with_context(|| format!("{program} cannot be started"))?.success(), "{arguments:?}");
    Ok(())
}

/// Builds the package and installs it below a fresh target.
fn installed(scenario: &Scenario, text: &str) -> Result<(PathBuf, Tree)> {
    let package = scenario.build(text)?;
    let root = scenario.target("root")?;
    package_below(&package, &root, &["--install"])?.exits(0)?;
    let tree = Tree::of(&root)?;
    Ok((root, tree))
}

fn is_the_release(scenario: &Scenario, root: &Path, tree: &Tree) -> Result<()> {
    for path in ["bin/ollama", "lib/ollama/libggml-base.so.0", "lib/ollama/cuda_v12/libcudart.so.12"] {
        let original = digest(&scenario.path("release").join(path))?;
        assert_eq!(digest(&root.join("opt/ollama").join(path))?, original, "{path}");
    }
    let link = |name: &str| tree.get(&format!("{LIBRARIES}/{name}")).map(|node| node.kind.clone());
    assert_eq!(link("libggml-base.so"), Some(Kind::Link("libggml-base.so.0".into())));
    assert_eq!(link("cuda_v12/libggml-base.so"), Some(Kind::Link("../libggml-base.so.0".into())));
    let followed = fs::canonicalize(root.join(LIBRARIES).join("cuda_v12/libggml-base.so"))?;
    assert_eq!(followed, fs::canonicalize(root.join(LIBRARIES).join("libggml-base.so.0"))?);
    assert_eq!(tree.get(PROGRAM).map(|node| node.mode), Some(0o755));
    Ok(())
}

#[test]
fn a_tar_zst_with_a_window_of_128_mib_is_installed() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::release_tree(&scenario.path("release"))?;
    let (tar, archive) = (scenario.path("release.tar"), scenario.path("ollama-linux-amd64.tar.zst"));
    pack(&scenario.path("release"), &["tar", "-cf", "../release.tar", "bin", "lib"], None)?;
    // From a pipe or standard input zstd does not know the length, and keeps the window it was told.
    pack(&scenario.path(""), &["zstd", "--ultra", "-22", "--long=27", "-c"], Some((&tar, &archive)))?;
    let header = fs::read(&archive)?;
    assert_eq!(header[5] >> 3, 27 - 10, "the archive does not ask for a window of 128 MiB");
    let (root, tree) = installed(&scenario, &manifest("ollama-linux-amd64.tar.zst", ""))?;
    is_the_release(&scenario, &root, &tree)
}

#[test]
fn tgz_tar_gz_tar_xz_and_zip_are_installed() -> Result<()> {
    for (name, arguments) in [
        ("ollama.tgz", &["tar", "-czf"][..]),
        ("ollama.tar.gz", &["tar", "-czf"]),
        ("ollama.tar.xz", &["tar", "-cJf"]),
        ("ollama.zip", &["zip", "-qry"]),
    ] {
        let scenario = Scenario::new()?;
        sample::release_tree(&scenario.path("release"))?;
        let target = format!("../{name}");
        pack(&scenario.path("release"), &[arguments, &[&target, "bin", "lib"]].concat(), None)?;
        let (root, tree) = installed(&scenario, &manifest(name, ""))?;
        is_the_release(&scenario, &root, &tree).with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn a_directory_and_an_archive_with_one_top_directory_are_installed() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::release_tree(&scenario.path("release"))?;
    let (root, tree) = installed(&scenario, &manifest("release", ""))?;
    is_the_release(&scenario, &root, &tree)?;
    fs::remove_dir_all(&root)?;
    pack(&scenario.path(""), &["tar", "-czf", "ollama.tgz", "release"], None)?;
    let (root, tree) = installed(&scenario, &manifest("ollama.tgz", ""))?;
    is_the_release(&scenario, &root, &tree)
}

#[test]
fn a_bare_program_is_installed_executable_whatever_its_own_mode() -> Result<()> {
    let scenario = Scenario::new()?;
    let program = scenario.write("ollama-linux-amd64", elf::program(elf::X86_64, "GLIBC_2.17", "bare"))?;
    let (root, tree) = installed(&scenario, &manifest("ollama-linux-amd64", ""))?;
    assert_eq!(digest(&root.join(PROGRAM))?, digest(&program)?);
    assert_eq!(tree.get(PROGRAM).map(|node| node.mode), Some(0o755));
    Ok(())
}

#[test]
fn excluded_members_stay_out_and_the_rest_follows() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::release_tree(&scenario.path("release"))?;
    let (_, tree) = installed(&scenario, &manifest("release", "exclude = [\"lib/ollama/cuda_*\"]\n"))?;
    let names: Vec<String> = tree.0.keys().map(|path| path.display().to_string()).collect();
    assert!(!names.iter().any(|name| name.contains("cuda")), "{names:?}");
    assert!(tree.get(&format!("{LIBRARIES}/libggml-base.so")).is_some(), "{names:?}");
    Ok(())
}

#[test]
fn a_link_left_dangling_by_an_exclude_is_refused_at_build_time() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::release_tree(&scenario.path("release"))?;
    let text = manifest("release", "exclude = [\"lib/ollama/libggml-base.so.0\"]\n");
    let outcome = scenario.try_build(&text)?.exits(40)?.says("libggml-base.so")?;
    outcome.says("is left without its target")?.says("next:")?;
    assert!(!scenario.path("package.run").exists());
    Ok(())
}
