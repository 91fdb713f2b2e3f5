//! Large payloads, and as many entries as there may be: memory stays small, and a plan costs no more than the index, whatever lies behind it.
//! What is large is a hole in a file where it comes from; in the package and on the target it is not.

use std::path::Path;

use anyhow::{Context, Result};
use e2e::crash::draft::Draft;
use e2e::crash::program::stub;
use e2e::crash::{directory, sample};
use e2e::scenario::binaries::shipped;
use e2e::scenario::measure::{Used, measured};
use e2e::scenario::{Scenario, gguf, sample as manifest};
use payload::index::Role;

const MEASURE: &str = env!("CARGO_BIN_EXE_measure");
/// What builder and stub may take at most.
const MEMORY: u64 = 64 << 20;
/// What else a process reads: the C library, `/proc`, `/etc/passwd`, accounts.
const ELSEWHERE: u64 = 8 << 20;

struct Made {
    scenario: Scenario,
    size: u64,
}

/// Where there is room: `/var/tmp` is a disk where `/tmp` may be memory.
fn make(size: u64) -> Result<Made> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    let size = gguf::sparse(&scenario.path("large.gguf"), size)?;
    let manifest = format!(
        "{}[[components]]\ntype = \"model-file\"\nname = \"large\"\nsource = {{ type = \"file\", path = \"large.gguf\" }}\n\
         install_path = \"models/large.gguf\"\n",
        manifest::HEAD
    );
    scenario.write("m.toml", manifest)?;
    Ok(Made { scenario, size })
}

impl Made {
    fn measured(&self, program: &Path, arguments: &[&str]) -> Result<Used> {
        let (used, _) = measured(Path::new(MEASURE), &self.scenario.path("report.json"), program, arguments)?;
        assert!(used.resident < MEMORY, "{arguments:?} took {} bytes of memory", used.resident);
        assert!(used.resident > 1 << 20, "the measurement sees nothing: {used:?}");
        Ok(used)
    }

    fn build(&self) -> Result<()> {
        let path = |name| self.scenario.path(name).display().to_string();
        let (manifest, output, cache) = (path("m.toml"), path("p.run"), path("cache"));
        self.measured(shipped()?, &["--manifest", &manifest, "--output", &output, "--cache-dir", &cache])?;
        Ok(())
    }

    /// Bytes that a plan reads beyond the stub and the index.
    fn dry_run(&self) -> Result<u64> {
        let run = self.scenario.path("p.run");
        let package = payload::Package::open(std::fs::File::open(&run)?, &payload::Trust::nobody())?;
        let own = package.index().build.stub.size + package.index_json()?.len() as u64;
        let root = self.scenario.target("root")?;
        let used = self.measured(&run, &["--dry-run", "--root", root.to_str().context("UTF-8")?])?;
        // The stub is read to be compared with the index, and its headers to find its end.
        assert!(used.read > own / 2, "the measurement sees nothing: {used:?}");
        assert!(used.read < 2 * own + ELSEWHERE, "a plan read {} bytes of a payload of {}", used.read, self.size);
        Ok(used.read)
    }

    fn verify_and_install(&self) -> Result<()> {
        let run = self.scenario.path("p.run");
        let verified = self.measured(&run, &["--verify"])?;
        assert!(verified.read > self.size, "not everything was read: {verified:?}");
        let root = self.scenario.target("root")?;
        self.measured(&run, &["-q", "--install", "--root", root.to_str().context("UTF-8")?])?;
        let placed = std::fs::metadata(root.join("opt/ollama/models/large.gguf"))?;
        assert_eq!(placed.len(), self.size);
        Ok(())
    }
}

fn compare(size: u64) -> Result<()> {
    let (small, large) = (make(4 << 10)?, make(size)?);
    small.build()?;
    large.build()?;
    let (few, many) = (small.dry_run()?, large.dry_run()?);
    // Beside the index, whose chunks are 75 bytes each: the payload leaves no trace.
    let chunks = size.div_ceil(payload::CHUNK_SIZE) * 100;
    assert!(many <= few + 4 * chunks + 4096, "{many} bytes for a large payload, {few} for a small one");
    large.verify_and_install()
}

#[test]
fn memory_and_plans_stay_small_with_a_payload_of_192_mib() -> Result<()> {
    compare(192 << 20)
}

#[test]
#[ignore = "writes 8 GiB and takes minutes: run by `make acceptance`"]
fn memory_and_plans_stay_small_with_a_payload_of_4_gib() -> Result<()> {
    compare(4 << 30)
}

/// So long that with as many files as there may be the index is as large as it may be.
const NAMES: usize = 122;

/// Bytes that these actions on a package of `count` files with long names read; each stays within the limit.
fn entries(count: usize, actions: &[&str]) -> Result<Vec<u64>> {
    let scratch = directory()?;
    let at = |name: &str| scratch.path().join(name);
    let (run, root, report) = (at("many.run"), at("root"), at("report.json"));
    std::fs::create_dir(&root)?;
    let mut draft = Draft::new("1", sample::PREFIX, false)?;
    let directory = format!("{}/{}", sample::PREFIX, "d".repeat(NAMES));
    draft.directory("opt")?.directory(sample::PREFIX)?.directory(&directory)?;
    for number in 0..count {
        let path = format!("{directory}/{number}{}", "n".repeat(NAMES - 5));
        draft.file(&path, Role::Config, 0o644, number.to_string().as_bytes())?;
    }
    draft.write(&run)?;
    println!("{count} files: an index of {} bytes", draft.index.to_json()?.len());
    let mut read = Vec::new();
    for action in actions {
        let (package, below) = (run.to_str().context("UTF-8")?, root.to_str().context("UTF-8")?);
        let kept = at("kept.json").display().to_string();
        let place = ["--payload", package, "--root", below];
        let words = action.split(' ').map(|word| if word == "KEPT" { kept.as_str() } else { word });
        let arguments: Vec<&str> = place.into_iter().chain(words).collect();
        let (used, _) = measured(Path::new(MEASURE), &report, stub(), &arguments)?;
        assert!(used.resident < MEMORY, "{action} of {count} files took {} bytes of memory", used.resident);
        println!("{count} files: {action}: {} MiB of memory", used.resident >> 20);
        read.push(used.read);
    }
    Ok(read)
}

#[test]
fn memory_stays_small_and_work_grows_in_a_line_up_to_the_most_entries() -> Result<()> {
    let (half, all) = (
        entries(4990, &["--install --report KEPT"])?,
        entries(
            9980,
            &[
                "--dry-run --json --report KEPT",
                "--install --report KEPT",
                "--install",
                "--status --json",
                "--uninstall --report KEPT",
            ],
        )?,
    );
    assert!(all[1] < half[0] * 5 / 2, "twice as many files, and {} bytes are read instead of {}", all[1], half[0]);
    Ok(())
}
