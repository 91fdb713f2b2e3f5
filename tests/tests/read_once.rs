//! Neither builder nor stub reads a byte of the weights twice, on any path: the kernel counts what is read.
//! That the bytes are compared all the same is asserted here too; how fast it is, is in `docs/performance.md`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, MetadataExt};
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

/// A package of weights that are installed under two names, and of a note; where it is installed.
struct Installed {
    scenario: Scenario,
    run: PathBuf,
    root: PathBuf,
    /// Program, index and documents: what a plan reads at most.
    head: u64,
}

const MODEL: &str = "opt/once/models/m.gguf";

impl Installed {
    fn new() -> Result<Self> {
        let scenario = Scenario::below(Path::new("/var/tmp"))?;
        scenario.write("m.gguf", weights()?)?;
        let (run, root) = (noted(&scenario, "first")?, scenario.target("root")?);
        let package = payload::Package::open(File::open(&run)?, &payload::Trust::nobody())?;
        let stored: u64 = package.index().blobs.iter().map(|blob| blob.stored_size).sum();
        let head = fs::metadata(&run)?.len() - stored;
        Ok(Self { scenario, run, root, head })
    }

    fn measured(&self, program: &Path, arguments: &[&str]) -> Result<Used> {
        let (used, _) = measured(Path::new(MEASURE), &self.scenario.path("used.json"), program, arguments)?;
        println!("{}: {} bytes read, {} written", arguments.join(" "), used.read, used.written);
        Ok(used)
    }

    /// What the package does below the root.
    fn does(&self, package: &Path, action: &str) -> Result<Used> {
        let mut arguments = vec!["--root", self.root.to_str().context("UTF-8")?];
        arguments.extend(action.split(' '));
        self.measured(package, &arguments)
    }

    /// It reads the weights, and none of them twice. Its own program, which is small, it compares and copies.
    fn reads_once(&self, used: Used, what: &str) {
        self.reads_once_beside(used, 0, what);
    }

    fn reads_once_beside(&self, used: Used, beside: u64, what: &str) {
        let beside = beside + 3 * self.head + LITTLE;
        assert!(used.read >= WEIGHTS, "{what} did not read the weights: {used:?}");
        assert!(used.read < WEIGHTS + beside, "{what} read more than the weights: {used:?}");
    }

    /// It reads the index, a little of the machine, and its own program: to compare it, and to replace the one that stays.
    fn reads_none(&self, used: Used, what: &str) {
        assert!(used.read < 4 * self.head, "{what} read of the weights: {used:?}");
        assert!(used.written < 2 * self.head, "{what} wrote of the weights: {used:?}");
    }
}

/// Receipt, journal, `/proc` and accounts.
const LITTLE: u64 = 1 << 20;

/// A build of the package whose note says this.
fn noted(scenario: &Scenario, note: &str) -> Result<PathBuf> {
    let run = scenario.build(&format!(
        "[package]\nname = \"once\"\nversion = \"{note}\"\n[install]\nprefix = \"/opt/once\"\n[[components]]\n\
         type = \"model-file\"\nname = \"m\"\nsource = {{ type = \"file\", path = \"m.gguf\" }}\n\
         install_path = \"models/m.gguf\"\ntemplate = \"\"\n[[components]]\ntype = \"config-file\"\nname = \"note\"\n\
         content = \"{note}\"\ninstall_path = \"note\"\n"
    ))?;
    let named = scenario.path(&format!("{note}.run"));
    fs::rename(run, &named)?;
    Ok(named)
}

#[test]
fn the_stub_reads_no_byte_of_the_weights_twice_and_none_that_its_receipt_vouches_for() -> Result<()> {
    let here = Installed::new()?;
    let extracted = here.scenario.path("extracted").display().to_string();
    for action in ["--list", "--dry-run"] {
        here.reads_none(here.does(&here.run, action)?, action);
    }
    for action in ["--verify", &format!("--extract {extracted}"), "--install"] {
        here.reads_once(here.does(&here.run, action)?, action);
    }
    assert_eq!(digest(&here.root.join(MODEL))?, digest(&here.scenario.path("m.gguf"))?);
    assert!(fs::metadata(here.root.join(MODEL))?.nlink() > 1, "the weights have one name only");
    for action in ["--install", "--dry-run", "--dry-run --verbose", "--list-installed", "--history", "--status"] {
        here.reads_none(here.does(&here.run, action)?, action);
    }
    // The two names are one inode.
    for action in ["--status --full", "--dry-run --verify-installed", "--install --verify-installed"] {
        here.reads_once(here.does(&here.run, action)?, action);
    }
    let next = noted(&here.scenario, "next")?;
    for action in ["--dry-run", "--install", "--status"] {
        here.reads_none(here.does(&next, action)?, &format!("the upgrade's {action}"));
    }
    assert_eq!(fs::read_to_string(here.root.join("opt/once/note"))?, "next");
    for action in ["--uninstall --dry-run", "--uninstall"] {
        here.reads_none(here.does(&next, action)?, action);
    }
    assert!(!here.root.join(MODEL).exists());
    Ok(())
}

#[test]
fn volumes_are_read_once_by_whoever_writes_or_installs_them() -> Result<()> {
    let here = Installed::new()?;
    let path = |name: &str| here.scenario.path(name).display().to_string();
    let (run, cut) = (here.run.display().to_string(), here.scenario.path("cut/first.run"));
    let first = cut.display().to_string();
    let builder = quick()?;
    here.reads_none(here.measured(builder, &["inspect", &run])?, "inspect");
    here.reads_once(here.measured(builder, &["verify", &run])?, "verify");
    let split = ["split", &run, "--chunk-size", "24MiB", "--output", &path("cut")];
    here.reads_once(here.measured(builder, &split)?, "split");
    // Which volume a file is, is proven by a chunk of it before it is read.
    let proofs = 3 * payload::CHUNK_SIZE;
    let joined = here.measured(builder, &["join", &first, "--output", &path("joined.run")])?;
    here.reads_once_beside(joined, proofs, "join");
    assert_eq!(digest(&here.scenario.path("joined.run"))?, digest(&here.run)?);
    here.reads_none(here.does(&cut, "--dry-run")?, "--dry-run");
    for action in ["--verify", "--install"] {
        here.reads_once_beside(here.does(&cut, action)?, proofs, action);
    }
    Ok(())
}
