//! A build reads no byte of its weights twice once it knows them: the kernel counts what is read.
//! That the bytes are compared all the same is asserted here too; how fast it is, is in `docs/performance.md`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::packages::{Need, install};
use e2e::scenario::binaries::quick;
use e2e::scenario::measure::{Used, measured};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::digest;
use e2e::scenario::{Scenario, gguf, with_mounts};

const MEASURE: &str = env!("CARGO_BIN_EXE_measure");
const WEIGHTS: u64 = 60 << 20;
/// Headers, the lock file, and the program at the start of the package that is replaced.
const BESIDE: u64 = 8 << 20;
/// What the builder may take, however large the weights are.
const MEMORY: u64 = 64 << 20;

/// A scenario with the manifest of a model that comes from this source.
fn made(source: &str) -> Result<Scenario> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let manifest = format!(
        "[package]\nname = \"once\"\nversion = \"1\"\n[install]\nprefix = \"/opt/once\"\n[[components]]\n\
         type = \"model-file\"\nname = \"m\"\nsource = {{ {source} }}\ninstall_path = \"models/m.gguf\"\n"
    );
    scenario.write("m.toml", manifest)?;
    Ok(scenario)
}

fn local() -> Result<Scenario> {
    let scenario = made("type = \"file\", path = \"m.gguf\"")?;
    scenario.write("m.gguf", weights()?)?;
    Ok(scenario)
}

fn weights() -> Result<Vec<u8>> {
    Ok(gguf::noise("once", usize::try_from(WEIGHTS)?))
}

/// Builds, and tells what that took.
fn build(scenario: &Scenario) -> Result<Used> {
    let path = |name: &str| scenario.path(name).display().to_string();
    let (manifest, output, cache) = (path("m.toml"), path("p.run"), path("cache"));
    let arguments = ["--manifest", &manifest, "--output", &output, "--cache-dir", &cache];
    let (used, _) = measured(Path::new(MEASURE), &scenario.path("used.json"), quick()?, &arguments)?;
    ensure!(used.read > WEIGHTS, "the measurement sees nothing: {used:?}");
    ensure!(used.resident < MEMORY, "it took too much memory: {used:?}");
    Ok(used)
}

fn tried(scenario: &Scenario, more: &[&str]) -> Result<Outcome> {
    run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "p.run", "--cache-dir", "cache"]).args(more))
}

/// Changes one byte in the middle.
fn change(path: &Path) -> Result<()> {
    Ok(File::options().write(true).open(path)?.write_all_at(b"changed", WEIGHTS / 2)?)
}

/// The files of a directory of the cache.
fn cached(scenario: &Scenario, directory: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(scenario.path("cache").join(directory))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// Serves these bytes to one request, and gives its URL.
fn serve_once(bytes: Vec<u8>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/m.gguf", listener.local_addr()?);
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 4096];
        let _ = stream.read(&mut request)?;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len())?;
        stream.write_all(&bytes)
    });
    Ok(url)
}

#[test]
fn weights_of_this_machine_are_read_once_when_the_lock_file_has_them() -> Result<()> {
    let scenario = local()?;
    let first = build(&scenario)?;
    // Their digest stands before them in the package: whoever does not know it reads them before.
    assert!(first.read <= 2 * WEIGHTS + BESIDE, "{first:?}");
    let package = digest(&scenario.path("p.run"))?;
    for _ in 0..2 {
        let again = build(&scenario)?;
        assert!(again.read <= WEIGHTS + BESIDE, "{again:?}");
        assert_eq!(digest(&scenario.path("p.run"))?, package);
    }
    let listed = fs::read_to_string(scenario.path("p.run.sha256"))?;
    assert_eq!(listed, format!("{}  p.run\n", package.hex()));
    Ok(())
}

#[test]
fn weights_in_the_cache_are_read_once() -> Result<()> {
    let bytes = weights()?;
    let scenario = made(&format!(
        "type = \"url\", checksum = \"{}\", url = \"{}\"",
        payload::Digest::of(&bytes),
        serve_once(bytes)?
    ))?;
    // From the server, and once from the disk.
    let first = build(&scenario)?;
    assert!(first.read <= 2 * WEIGHTS + BESIDE, "{first:?}");
    let package = digest(&scenario.path("p.run"))?;
    let again = build(&scenario)?;
    assert!(again.read <= WEIGHTS + BESIDE, "{again:?}");
    assert_eq!(digest(&scenario.path("p.run"))?, package);
    // What is in the cache is no longer what its name says.
    let [object] = cached(&scenario, "sha256")?.try_into().ok().context("more than one object")?;
    change(&object)?;
    fs::remove_file(scenario.path("p.run"))?;
    let offline = tried(&scenario, &["--offline"])?;
    assert_ne!(offline.code, 0);
    offline.says("it is not in the cache, and --offline forbids fetching it")?;
    assert!(!object.exists() && !scenario.path("p.run").exists());
    Ok(())
}

#[test]
fn weights_that_changed_since_the_lock_file_was_written_are_not_taken_for_the_old_ones() -> Result<()> {
    let scenario = local()?;
    build(&scenario)?;
    let before = fs::read(scenario.path("p.run"))?;
    change(&scenario.path("m.gguf"))?;
    tried(&scenario, &["--locked"])?.exits(42)?.says("AirGapDeploy.lock")?;
    assert!(fs::read(scenario.path("p.run"))? == before, "a build that failed changed the package");
    tried(&scenario, &[])?.exits(0)?.says("changed since AirGapDeploy.lock was written")?;
    let changed = digest(&scenario.path("m.gguf"))?;
    let package = payload::Package::open(File::open(scenario.path("p.run"))?, &payload::Trust::nobody())?;
    assert!(package.index().blobs.iter().any(|blob| blob.digest == changed));
    package.verify(2, payload::Watch::nobody())?;
    Ok(())
}

#[test]
fn what_the_cache_says_of_chunks_is_not_believed() -> Result<()> {
    let scenario = local()?;
    build(&scenario)?;
    let package = digest(&scenario.path("p.run"))?;
    let lists = cached(&scenario, "chunks")?;
    assert_eq!(lists.len(), 1);
    for list in lists {
        let lines = fs::read_to_string(&list)?;
        let reversed: Vec<&str> = lines.lines().rev().collect();
        fs::write(&list, reversed.join("\n"))?;
    }
    build(&scenario)?;
    assert_eq!(digest(&scenario.path("p.run"))?, package);
    // It was corrected.
    let again = build(&scenario)?;
    assert!(again.read <= WEIGHTS + BESIDE, "{again:?}");
    Ok(())
}

/// How much of a file system is used, in bytes, after everything is on it.
const USED: &str = "used() { sync -f .; df --block-size=1 --output=used . | tail -n 1; }";

/// Neither a build nor an installation writes the weights a second time where the file system can share them. What is shared is
/// compared all the same.
#[test]
#[ignore = "mounts images: needs root, loop devices, btrfs-progs and xfsprogs"]
fn weights_are_shared_where_a_file_system_has_reflinks() -> Result<()> {
    install(&[
        Need { file: "/usr/bin/btrfs", package: "btrfs-progs" },
        Need { file: "/usr/sbin/mkfs.xfs", package: "xfsprogs" },
    ])?;
    for kind in ["btrfs", "xfs"] {
        let scenario = local()?;
        let (image, there) = (scenario.path("image"), scenario.path("mounted"));
        File::create(&image)?.set_len(512 << 20)?;
        fs::create_dir(&there)?;
        let script = format!(
            "{USED}\nbuilder=$4; mkfs.{kind} -q \"$1\" > /dev/null && mount -o loop \"$1\" \"$2\" && cp \"$3\"/m.* \"$2\" && cd \"$2\"
            build() {{ \"$builder\" -q --manifest m.toml --output p.run --cache-dir cache; }}
            before=$(used); build; echo built $(($(used) - before))
            mkdir root other; rm p.run; build; before=$(used); ./p.run -q --install --root root; echo installed $(($(used) - before))
            cmp m.gguf root/opt/once/models/m.gguf && echo the same
            printf x | dd of=p.run bs=1 seek=40000000 conv=notrunc status=none
            code=0; ./p.run -q --install --root other || code=$?; echo damaged $code $(ls -A other)
            cd / && umount \"$2\""
        );
        let home = scenario.path("m.toml").parent().context("a directory")?.to_owned();
        let said = with_mounts(&script, &[&image, &there, &home, quick()?])?.exits(0)?.says("the same")?;
        let said = said.says("damaged 10")?;
        for what in ["built ", "installed "] {
            let grown = said.stdout.lines().find_map(|line| line.strip_prefix(what)).context("no such line")?;
            let grown: i64 = grown.trim().parse()?;
            ensure!(grown < 20 << 20, "{kind}: {what}{grown}");
            println!("{kind}: {what}{grown} bytes of {WEIGHTS}");
        }
    }
    Ok(())
}
