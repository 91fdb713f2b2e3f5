//! A damaged package is refused before anything changed: one byte flipped anywhere, cut off anywhere, or with more
//! behind it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, package, package_below, sample};
use payload::{Package, Region, Trust};

/// An intact package, a copy to damage, and a target that must stay as it is.
struct Bench {
    scenario: Scenario,
    good: PathBuf,
    bad: PathBuf,
    root: PathBuf,
    before: Tree,
    length: u64,
}

impl Bench {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        let good = sample::build(&scenario)?;
        let bad = scenario.path("bad.run");
        fs::copy(&good, &bad)?;
        let root = scenario.target("root")?;
        let before = Tree::of(&root)?.without_directory_times();
        let length = fs::metadata(&good)?.len();
        Ok(Self { scenario, good, bad, root, before, length })
    }

    fn regions(&self) -> Result<Vec<(u64, u64, String)>> {
        let package = Package::open(File::open(&self.good)?, &Trust::nobody())?;
        let layout = package.layout();
        let starts: Vec<(u64, String)> = layout.regions().map(|(offset, region)| (offset, name(region))).collect();
        let ends = starts.iter().skip(1).map(|(offset, _)| *offset).chain([layout.length()]);
        Ok(starts.iter().zip(ends).map(|((start, name), end)| (*start, end, name.clone())).collect())
    }

    /// Runs `check` on the copy with one byte changed.
    fn flipped(&self, offset: u64, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let file = File::options().read(true).write(true).open(&self.bad)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ 0x10], offset)?;
        drop(file);
        let outcome = check();
        File::options().write(true).open(&self.bad)?.write_all_at(&byte, offset)?;
        outcome
    }

    /// That an intact stub and the builder refuse the copy, and nothing changes.
    fn refused(&self) -> Result<()> {
        let bad = self.bad.to_str().context("UTF-8")?;
        refusal(package(&self.good, &["--payload", bad, "--verify"])?)?;
        refusal(run(self.scenario.builder()?.args(["verify", bad]))?)?;
        refusal(package_below(&self.good, &self.root, &["--payload", bad, "--install"])?)?;
        self.unchanged()
    }

    /// The same by the stub that is in the copy itself, where that still starts.
    fn refused_by_itself(&self) -> Result<()> {
        refusal(package(&self.bad, &["--verify"])?)?;
        refusal(package_below(&self.bad, &self.root, &["--install"])?)?;
        self.unchanged()
    }

    fn unchanged(&self) -> Result<()> {
        self.before.equals(&Tree::of(&self.root)?.without_directory_times())
    }
}

fn refusal(outcome: Outcome) -> Result<Outcome> {
    outcome.exits(10)?.says("next:")
}

fn name(region: &Region) -> String {
    match region {
        Region::Stub => "the stub".to_owned(),
        Region::Index => "index.json".to_owned(),
        Region::Known { what, .. } => what.clone(),
        Region::Document(position) => format!("document {position}"),
        Region::Blob(position) => format!("blob {position}"),
    }
}

/// The first, the last and one byte in between.
fn samples(start: u64, end: u64) -> Vec<u64> {
    let mut offsets = vec![start, start + (end - start) / 2, end - 1];
    offsets.dedup();
    offsets
}

#[test]
fn a_flipped_byte_in_any_region_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let regions = bench.regions()?;
    let mut kinds = vec!["the stub", "index.json", "index.json.sha256", "document 0", "blob 0"];
    kinds.extend(["the tar header of manifest.toml", "the end of the archive"]);
    // There is nothing to fill where the stub ends on a block of its own.
    if regions.iter().any(|(_, end, name)| name == "the stub" && end % 512 != 0) {
        kinds.push("the padding after the stub");
    }
    for kind in kinds {
        assert!(regions.iter().any(|(_, _, name)| name == kind), "no {kind} in {regions:?}");
    }
    let mut survived = Vec::new();
    for (start, end, name) in &regions {
        for offset in samples(*start, *end) {
            if let Err(error) = bench.flipped(offset, || bench.refused()) {
                survived.push(format!("{name}, byte {offset} ({} of it): {error}", offset - start));
            }
        }
    }
    assert!(survived.is_empty(), "{} flips were not refused:\n{}", survived.len(), survived.join("\n"));
    Ok(())
}

#[test]
fn a_flipped_byte_in_any_field_of_the_elf_header_or_of_a_tar_header_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let regions = bench.regions()?;
    let headers: Vec<u64> = regions
        .iter()
        .filter(|(_, _, name)| *name == "the tar header of index.json")
        // Name, mode, owner, group, size, time, checksum, type, magic, and the unused rest.
        .flat_map(|(start, _, _)| {
            [0, 9, 100, 108, 116, 124, 134, 136, 148, 156, 157, 257, 263, 345, 511].map(|at| start + at)
        })
        .collect();
    assert_eq!(headers.len(), 15);
    for offset in (0..64).chain(headers) {
        bench.flipped(offset, || bench.refused()).with_context(|| format!("byte {offset}"))?;
    }
    Ok(())
}

#[test]
fn a_flipped_bit_of_a_long_blob_in_its_second_chunk_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let regions = bench.regions()?;
    let (start, _, _) = regions
        .iter()
        .find(|(start, end, name)| name.starts_with("blob") && end - start > 5 << 20)
        .context("no long blob")?;
    for inside in [(4 << 20) - 1, 4 << 20, (4 << 20) + 1] {
        bench.flipped(start + inside, || bench.refused())?;
    }
    Ok(())
}

#[test]
fn a_package_with_a_flipped_byte_that_still_starts_refuses_itself() -> Result<()> {
    let bench = Bench::new()?;
    let regions = bench.regions()?;
    let mut still_starts: Vec<u64> = regions.iter().skip(1).flat_map(|(start, end, _)| samples(*start, *end)).collect();
    // Bytes of the stub that no kernel looks at: the unused end of e_ident, and the section header table.
    let stub = regions.first().map(|(_, end, _)| *end).context("no stub")?;
    still_starts.extend([9, 15, stub - 1, stub - 60]);
    for offset in still_starts {
        bench.flipped(offset, || bench.refused_by_itself()).with_context(|| format!("byte {offset}"))?;
    }
    Ok(())
}

#[test]
fn a_package_that_is_cut_off_anywhere_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let mut lengths = vec![0, 1, 63, 64, 4096];
    for (start, end, _) in bench.regions()? {
        lengths.extend([start.saturating_sub(1), start, start + 1, start + (end - start) / 2]);
    }
    lengths.push(bench.length - 1);
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths.into_iter().rev() {
        assert!(length < bench.length);
        // Of this length it might be the first of several volumes, and ends with 24: see docs/format.md.
        if payload::is_volume_size(length) {
            continue;
        }
        File::options().write(true).open(&bench.bad)?.set_len(length)?;
        bench.refused().with_context(|| format!("cut off to {length} bytes of {}", bench.length))?;
    }
    Ok(())
}

#[test]
fn a_package_with_something_behind_its_end_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let good = fs::read(&bench.good)?;
    for more in [&b"\0"[..], b"x", &[0; 512], &[0; 10240], &good] {
        fs::write(&bench.bad, [&good, more].concat())?;
        bench.refused().with_context(|| format!("{} bytes more", more.len()))?;
        bench.refused_by_itself()?;
    }
    Ok(())
}

/// What stands already is not read again from the package: damage there is found when it is used, or by `--verify`.
#[test]
fn a_damaged_package_of_something_installed_changes_nothing() -> Result<()> {
    let bench = Bench::new()?;
    package_below(&bench.good, &bench.root, &["--install"])?.exits(0)?;
    let installed = Tree::of(&bench.root)?;
    let bad = bench.bad.to_str().context("UTF-8")?;
    let mut head = true;
    for (start, end, name) in bench.regions()? {
        head &= !name.starts_with("document") && !name.starts_with("blob");
        bench
            .flipped(start + (end - start) / 2, || {
                let outcome = package_below(&bench.good, &bench.root, &["--payload", bad, "--install"])?;
                if head {
                    refusal(outcome)?;
                } else {
                    outcome.exits(0)?.says("nothing was changed")?;
                }
                installed.equals(&Tree::of(&bench.root)?)
            })
            .with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn what_is_no_package_at_all_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let package = Package::open(File::open(&bench.good)?, &Trust::nobody())?;
    let stub = package.stub()?;
    for bytes in [&stub[..], b"", b"text\n", &[0; 8192], &fs::read("/proc/self/exe")?] {
        fs::write(&bench.bad, bytes)?;
        bench.refused()?;
    }
    let missing = Path::new("/nonexistent/x.run");
    let named = e2e::scenario::package(&bench.good, &["--payload", missing.to_str().context("UTF-8")?, "--verify"])?;
    named.exits(41)?.says("nothing was changed")?.says("next:")?;
    Ok(())
}
