//! A package in volumes: cut, joined, read in place from several directories, and every way in which volumes go astray.
//! Real media are in `media.rs`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::crash::program::Run;
use e2e::crash::workspace;
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, gguf, package, package_below, sample};

const MODEL: usize = 28 << 20;
/// Each holds two whole chunks at least, by which it is told from others.
const SIZE: u64 = 13_000;

/// A package, and the same in volumes in a directory of their own.
struct Bench {
    scenario: Scenario,
    whole: PathBuf,
    volumes: Vec<PathBuf>,
    root: PathBuf,
}

fn manifest(note: &str) -> String {
    format!(
        "{}[[components]]\ntype = \"config-file\"\nname = \"notes\"\ncontent = \"{note}\"\ninstall_path = \"share/notes\"\n\
         [[components]]\ntype = \"model-file\"\nname = \"llama2-7b\"\nsource = {{ type = \"file\", path = \"model.gguf\" }}\n\
         install_path = \"models/llama2-7b.gguf\"\n",
        sample::HEAD
    )
}

impl Bench {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        scenario.write("model.gguf", gguf::noise("llama2", MODEL))?;
        let whole = scenario.build(&manifest("one"))?;
        let volumes = cut(&scenario, &whole, "cut", SIZE)?;
        ensure!(volumes.len() >= 3, "the package is too short for these tests: {volumes:?}");
        let root = scenario.target("root")?;
        Ok(Self { scenario, whole, volumes, root })
    }

    fn first(&self) -> &Path {
        &self.volumes[0]
    }

    fn verify(&self, options: &[&str]) -> Result<Outcome> {
        package(self.first(), &[&["--verify"], options].concat())
    }

    /// The volume with this number, counted from 1, goes to a directory of its own.
    fn away(&self, number: usize) -> Result<PathBuf> {
        let directory = self.scenario.directory(&format!("stick-{number}"))?;
        let from = &self.volumes[number - 1];
        fs::rename(from, directory.join(from.file_name().context("a name")?))?;
        Ok(directory)
    }

    /// That package and builder both end with `code` and name a file, and nothing was installed.
    fn refused(&self, code: i32, name: &str, why: &str) -> Result<()> {
        let before = Tree::of(&self.root)?.without_directory_times();
        self.verify(&[])?.exits(code)?.says(name)?.says(why)?;
        let first = self.first().to_str().context("UTF-8")?;
        run(self.scenario.builder()?.args(["verify", first]))?.exits(code)?.says(name)?.says(why)?;
        package_below(self.first(), &self.root, &["--install"])?.exits(code)?.says(name)?;
        before.equals(&Tree::of(&self.root)?.without_directory_times())
    }
}

/// Cuts a package into volumes of so many kB.
fn cut(scenario: &Scenario, whole: &Path, directory: &str, size: u64) -> Result<Vec<PathBuf>> {
    let output = scenario.path(directory);
    let size = format!("{size}kB");
    run(scenario.builder()?.arg("split").arg(whole).args(["--chunk-size", &size, "--output"]).arg(&output))?
        .exits(0)?;
    let mut volumes: Vec<PathBuf> = fs::read_dir(&output)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    volumes.retain(|path| path.extension().is_some_and(|kind| kind != "sha256"));
    volumes.sort();
    Ok(volumes)
}

fn flip(path: &Path, offset: SeekFrom) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let at = file.seek(offset)?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.write_all(&[byte[0] ^ 1])?)
}

#[test]
fn cat_of_the_volumes_is_the_package_and_join_makes_it_too() -> Result<()> {
    let bench = Bench::new()?;
    let joined: Vec<u8> = bench.volumes.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?.concat();
    ensure!(joined == fs::read(&bench.whole)?, "the volumes are not the package");
    let directory = bench.first().parent().context("a directory")?;
    let glob = run(Command::new("sh")
        .args(["-ec", "cat package.run package.run.0* | cmp - ../package.run"])
        .current_dir(directory))?;
    glob.exits(0)?;
    let again = bench.scenario.path("again.run");
    run(bench.scenario.builder()?.arg("join").arg(bench.first()).arg("--output").arg(&again))?.exits(0)?;
    ensure!(fs::read(&again)? == joined, "join makes another file");
    run(Command::new("sha256sum").args(["-c", "again.run.sha256"]).current_dir(bench.scenario.path("")))?.exits(0)?;
    // A reader that was made from docs/format.md alone.
    let reader = || -> Result<Outcome> {
        let script = workspace().join("tests/format/runfile.py");
        run(Command::new("python3").arg("-B").arg(script).arg("verify").arg(bench.first()))
    };
    reader()?.exits(0)?;
    flip(&bench.volumes[2], SeekFrom::Start(5 << 20))?;
    reader()?.exits(10)?;
    flip(&bench.volumes[2], SeekFrom::Start(5 << 20))?;
    // Any stick that holds one of the volumes and the list can be compared.
    let stick = bench.away(2)?;
    fs::copy(directory.join("package.run.sha256"), stick.join("package.run.sha256"))?;
    let listed = ["-c", "--ignore-missing", "package.run.sha256"];
    run(Command::new("sha256sum").args(listed).current_dir(&stick))?.exits(0)?.says("package.run.002: OK")?;
    Ok(())
}

#[test]
fn a_build_in_volumes_is_the_package_that_a_build_without_makes() -> Result<()> {
    let bench = Bench::new()?;
    let output = bench.scenario.path("built/package.run");
    fs::create_dir(bench.scenario.path("built"))?;
    let size = format!("{SIZE}kB");
    let build = |size: &[&str]| -> Result<Outcome> {
        run(bench
            .scenario
            .builder()?
            .arg("--manifest")
            .arg(bench.scenario.path("AirGapDeploy.toml"))
            .args(size)
            .arg("--output")
            .arg(&output))
    };
    let answer = build(&["--chunk-size", &size, "--json"])?.exits(0)?.json()?;
    let volumes = answer["volumes"].as_array().context("volumes")?;
    ensure!(volumes.len() == bench.volumes.len(), "{answer}");
    // Whoever approves the transfer reads how many there are, and the digest of each.
    let page = fs::read_to_string(output.with_file_name("package.run.html"))?;
    ensure!(page.contains(&format!("in {} volumes", volumes.len())) && !page.contains("in one file"), "{page}");
    for volume in volumes {
        ensure!(page.contains(volume["digest"].as_str().context("a digest")?), "{volume} is not on the page");
    }
    for volume in &bench.volumes {
        let name = volume.file_name().context("a name")?;
        ensure!(fs::read(volume)? == fs::read(output.with_file_name(name))?, "{name:?} differs");
    }
    // In one file again: no volume of the older package is left for `cat`.
    build(&[])?.exits(0)?;
    ensure!(fs::read(&output)? == fs::read(&bench.whole)? && !output.with_extension("run.002").exists());
    // A file that nobody listed is not ours to remove.
    let foreign = output.with_extension("run.003");
    fs::write(&foreign, "mine")?;
    build(&["--chunk-size", &size])?.exits(44)?.says("package.run.003")?;
    ensure!(fs::read(&foreign)? == b"mine");
    Ok(())
}

#[test]
fn sizes_that_cannot_be_are_refused_with_a_reason() -> Result<()> {
    let bench = Bench::new()?;
    let split = |size: &str| -> Result<Outcome> {
        run(bench.scenario.builder()?.arg("split").arg(&bench.whole).args(["--chunk-size", size, "--output", "other"]))
    };
    split("100kB")?.exits(2)?.says("the first volume must hold the program and the index")?;
    split("4999999")?.exits(2)?.says("a whole number of kB or MiB")?;
    split("many")?.exits(2)?.says("is no size")?;
    split("4GiB")?.exits(0)?.says("one byte too long for FAT32")?;
    ensure!(fs::read(bench.scenario.path("other/package.run"))? == fs::read(&bench.whole)?);
    split("fat32")?.exits(0)?;
    let beside = bench.scenario.path("");
    run(bench
        .scenario
        .builder()?
        .arg("split")
        .arg(&bench.whole)
        .args(["--chunk-size", "9MB", "--output"])
        .arg(beside))?
    .exits(44)?
    .says("package.run was left as it is")?;
    Ok(())
}

#[test]
fn volumes_are_read_where_they_are_and_the_first_is_enough_to_look() -> Result<()> {
    let bench = Bench::new()?;
    let (second, third) = (bench.away(2)?, bench.away(3)?);
    package_below(bench.first(), &bench.root, &["--list"])?.exits(0)?;
    // A file that was cut off may look like the first volume: then too a plan is no more hopeful than the installation.
    let plan = package_below(bench.first(), &bench.root, &["--dry-run"])?.exits(0)?;
    plan.says("volumes are missing: package.run.002 (volume 2 of")?
        .says("if there is only one file, it was cut off")?;
    let told = |options: &[&str]| -> Result<Vec<serde_json::Value>> {
        let plan = package_below(bench.first(), &bench.root, &[&["--dry-run", "--json"], options].concat())?;
        Ok(plan.exits(0)?.json()?["volumes"].as_array().context("no volumes")?.clone())
    };
    let states = |told: &[serde_json::Value]| -> Vec<String> {
        told.iter().filter_map(|volume| volume["state"].as_str()).map(str::to_owned).collect()
    };
    let volumes = told(&[])?;
    assert_eq!(states(&volumes), ["found", "missing", "missing"]);
    assert_eq!((&volumes[1]["name"], &volumes[1]["number"]), (&"package.run.002".into(), &2.into()));
    let wrong = third.join("package.run.003");
    let right = fs::read(&wrong)?;
    fs::copy(second.join("package.run.002"), &wrong)?;
    let utf8 = |path: &Path| path.to_str().map(str::to_owned).context("UTF-8");
    let volumes = told(&["--volumes", &utf8(&second)?, "--volumes", &utf8(&third)?])?;
    assert_eq!(states(&volumes), ["found", "found", "wrong"]);
    ensure!(volumes[2]["problem"].as_str().is_some_and(|why| why.contains("holds volume 2")), "{volumes:?}");
    fs::write(wrong, right)?;
    let missing = package_below(bench.first(), &bench.root, &["--install"])?.exits(24)?;
    let missing = missing.says("package.run.002 (volume 2 of")?.says("package.run.003 (volume 3 of")?;
    missing.says(bench.first().parent().context("a directory")?.to_str().context("UTF-8")?)?.says("--volumes DIR")?;
    let first = bench.first().to_str().context("UTF-8")?;
    run(bench.scenario.builder()?.args(["verify", first]))?.exits(24)?.says("package.run.002")?;
    let (second, third) = (second.to_str().context("UTF-8")?, third.to_str().context("UTF-8")?);
    let named = ["--volumes", second, "--volumes", third];
    bench.verify(&named)?.exits(0)?;
    run(bench.scenario.builder()?.args(["verify", first]).args(named))?.exits(0)?;
    package_below(bench.first(), &bench.root, &[&["--install"], &named[..]].concat())?.exits(0)?;
    let model = bench.root.join("opt/ollama/models/llama2-7b.gguf");
    ensure!(fs::read(model)? == fs::read(bench.scenario.path("model.gguf"))?, "the model is another one");
    package_below(bench.first(), &bench.root, &["--status"])?.exits(0)?;
    Ok(())
}

#[test]
fn a_flipped_byte_names_its_volume() -> Result<()> {
    let bench = Bench::new()?;
    for (number, offset) in
        [(2, SeekFrom::Start(0)), (3, SeekFrom::Start(1 << 20)), (bench.volumes.len(), SeekFrom::End(-1))]
    {
        let path = &bench.volumes[number - 1];
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?;
        flip(path, offset)?;
        bench.verify(&[])?.exits(10)?.says(&format!("{name} is damaged")).with_context(|| format!("{offset:?}"))?;
        bench.refused(10, name, "damaged").with_context(|| format!("{offset:?} of {name}"))?;
        flip(path, offset)?;
    }
    bench.verify(&[])?.exits(0)?;
    Ok(())
}

#[test]
fn every_volume_that_is_bad_is_named_at_once() -> Result<()> {
    let bench = Bench::new()?;
    let (second, third) = (&bench.volumes[1], &bench.volumes[2]);
    let named = |outcome: Outcome, why: [&str; 2]| -> Result<()> {
        outcome.exits(10)?.says("package.run.002 ")?.says(why[0])?.says("package.run.003 ")?.says(why[1])?;
        Ok(())
    };
    let both = |why: [&str; 2]| -> Result<()> {
        named(bench.verify(&[])?, why)?;
        let first = bench.first().to_str().context("UTF-8")?;
        named(run(bench.scenario.builder()?.args(["verify", first]))?, why)
    };
    let (two, three) = (fs::read(second)?, fs::read(third)?);
    let inside = SeekFrom::Start(5 << 20);
    for path in [second, third] {
        flip(path, inside)?;
    }
    both(["is damaged", "is damaged"])?;
    fs::write(third, &three[..three.len() - 512])?;
    both(["is damaged", "is cut off"])?;
    fs::write(second, &three)?;
    fs::write(third, &two)?;
    both(["holds volume 3 of this package", "holds volume 2 of this package"])?;
    named(
        package_below(bench.first(), &bench.root, &["--install"])?,
        ["holds volume 3 of this package", "holds volume 2 of this package"],
    )?;
    // One was copied again, and the other is left.
    fs::write(second, &two)?;
    fs::write(third, &three)?;
    flip(third, inside)?;
    let outcome = bench.verify(&[])?.exits(10)?.says("package.run.003 is damaged")?;
    ensure!(!outcome.stderr.contains("package.run.002"), "{outcome}");
    // One is not here at all, and of another one all is wrong, or a byte in its middle.
    fs::remove_file(second)?;
    both(["(volume 2 of 3", "is damaged"])?;
    fs::write(third, &three[..three.len() - 512])?;
    both(["(volume 2 of 3", "is cut off"])?;
    let nowhere = bench.scenario.path("joined.run");
    named(package_below(bench.first(), &bench.root, &["--install"])?, ["(volume 2 of 3", "is cut off"])?;
    named(
        run(bench.scenario.builder()?.arg("join").arg(bench.first()).arg("--output").arg(&nowhere))?,
        ["(volume 2 of 3", "is cut off"],
    )?;
    fs::write(third, &three)?;
    bench.verify(&[])?.exits(24)?.says("package.run.002 (volume 2 of 3")?;
    // Its first byte is in a chunk that begins in the one that is missing.
    flip(third, SeekFrom::Start(0))?;
    both(["(volume 2 of 3", "is damaged"])?;
    Ok(())
}

#[test]
fn volumes_that_are_cut_off_swapped_or_of_another_package_are_named() -> Result<()> {
    let bench = Bench::new()?;
    let (second, third) = (&bench.volumes[1], &bench.volumes[2]);
    let (two, three) = (fs::read(second)?, fs::read(third)?);
    fs::write(second, &two[..two.len() - 5])?;
    bench.refused(10, "package.run.002", "is cut off")?;
    for length in [0, 100, 3 << 20] {
        fs::write(second, &two[..length])?;
        bench.verify(&[])?.exits(10)?.says(&format!("is cut off: {length} bytes of 13000000"))?;
    }
    fs::write(second, [&two[..], b"more"].concat())?;
    bench.refused(10, "package.run.002", "is too long")?;
    fs::write(second, &three)?;
    bench.refused(10, "package.run.002", "holds volume 3 of this package")?;
    fs::write(second, &two)?;
    // The same package, built twice, with other weights.
    let mut model = gguf::noise("llama2", MODEL);
    model.iter_mut().skip(1 << 20).for_each(|byte| *byte ^= 1);
    bench.scenario.write("model.gguf", model)?;
    let other = bench.scenario.build(&manifest("two"))?;
    let others = cut(&bench.scenario, &other, "other", SIZE)?;
    fs::copy(&others[1], second)?;
    bench.refused(10, "package.run.002", "another build of this one")?;
    // Of several media the one that has it is named; one of another build does not hide the right one.
    let stale = bench.away(2)?;
    let stale = stale.to_str().context("UTF-8")?;
    bench.verify(&["--volumes", stale])?.exits(10)?.says(&format!("{stale}/package.run.002 belongs to another"))?;
    let right = bench.scenario.directory("right")?;
    fs::write(right.join("package.run.002"), &two)?;
    bench.verify(&["--volumes", stale, "--volumes", right.to_str().context("UTF-8")?])?.exits(0)?;
    fs::write(second, &two)?;
    fs::copy(&others[0], bench.first())?;
    bench.refused(10, "package.run.002", "another build of this one")?;
    Ok(())
}

#[test]
fn a_first_volume_that_was_cut_off_is_damaged_and_not_one_of_many() -> Result<()> {
    let bench = Bench::new()?;
    let length = fs::metadata(bench.first())?.len();
    File::options().write(true).open(bench.first())?.set_len(length - 512)?;
    bench.verify(&[])?.exits(10)?.says("cut off")?;
    Ok(())
}

#[test]
fn volumes_that_are_shorter_than_a_chunk_are_told_apart_by_the_list_beside_them() -> Result<()> {
    let bench = Bench::new()?;
    let opened = payload::Package::open(File::open(&bench.whole)?, &payload::Trust::nobody())?;
    let volumes = cut(&bench.scenario, &bench.whole, "short", opened.head_length().div_ceil(1000))?;
    package(&volumes[0], &["--verify"])?.exits(0)?;
    let (two, three) = (fs::read(&volumes[1])?, fs::read(&volumes[2])?);
    fs::write(&volumes[1], &three)?;
    fs::write(&volumes[2], &two)?;
    package(&volumes[0], &["--verify"])?.exits(10)?.says("wrong name")?;
    Ok(())
}

/// The directory that airgap-transfer would leave: the archives are those of any tar, each with whole files.
fn packed(scenario: &Scenario, name: &str, chunks: &[&[&Path]]) -> Result<PathBuf> {
    let directory = scenario.directory(name)?;
    let mut entries = Vec::new();
    for (index, files) in chunks.iter().enumerate() {
        let filename = format!("chunk_{index:03}.tar");
        let archive = directory.join(&filename);
        let above = files[0].parent().and_then(Path::parent).context("a directory above")?;
        let mut tar = Command::new("tar");
        tar.args(["--format=gnu", "-c", "-f"]).arg(&archive).arg("-C").arg(above);
        for file in *files {
            tar.arg(file.strip_prefix(above)?);
        }
        run(&mut tar)?.exits(0)?;
        let digest = payload::Digest::of(&fs::read(&archive)?).to_string();
        entries.push(
            serde_json::json!({"index": index, "filename": filename, "size_bytes": fs::metadata(&archive)?.len(),
            "checksum": digest, "status": "completed"}),
        );
    }
    let manifest = serde_json::json!({"version": "1.0", "operation": "pack", "source_path": "/data/cut",
        "total_size_bytes": 1, "chunk_size_bytes": 1, "hash_algorithm": "sha256", "chunk_count": entries.len(), "chunks": entries,
        "created_utc": "2026-01-04T12:00:00Z", "last_updated_utc": "2026-01-04T12:00:00Z"});
    fs::write(directory.join("airgap-transfer-manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    Ok(directory)
}

#[test]
fn what_airgap_transfer_packed_is_read_where_it_is() -> Result<()> {
    let bench = Bench::new()?;
    let volumes: Vec<&Path> = bench.volumes.iter().map(PathBuf::as_path).collect();
    let installer = bench.first().to_str().context("UTF-8")?.to_owned();
    let text = |path: &Path| path.to_str().map(str::to_owned).context("UTF-8");
    // Whole files, as the original never cuts one; then volumes, one or two in an archive.
    for (name, chunks) in [
        ("whole", vec![vec![bench.whole.as_path()]]),
        ("volumes", vec![vec![volumes[0]], vec![volumes[1], volumes[2]]]),
    ] {
        let chunks: Vec<&[&Path]> = chunks.iter().map(Vec::as_slice).collect();
        let directory = text(&packed(&bench.scenario, name, &chunks)?)?;
        let root = bench.scenario.target(&format!("root-{name}"))?;
        package(Path::new(&installer), &["--payload", &directory, "--verify"])?.exits(0).context(name)?;
        package_below(Path::new(&installer), &root, &["--payload", &directory, "--install"])?.exits(0).context(name)?;
        ensure!(
            fs::read(root.join("opt/ollama/models/llama2-7b.gguf"))? == fs::read(bench.scenario.path("model.gguf"))?
        );
        run(bench.scenario.builder()?.args(["verify", &directory]))?.exits(0)?;
    }
    // Paths that are too long for a header, as GNU tar and pax write them.
    let long = bench.scenario.directory(&format!("{0}/{0}", "long".repeat(30)))?;
    fs::copy(&bench.whole, long.join("package.run"))?;
    for format in ["gnu", "posix"] {
        let above = bench.scenario.path("");
        let directory = packed(&bench.scenario, &format!("long-{format}"), &[&[bench.whole.as_path()]])?;
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).arg("-cf").arg(directory.join("chunk_000.tar")).arg("-C").arg(&above);
        run(tar.arg(long.strip_prefix(&above)?))?.exits(0)?;
        let outcome = package(Path::new(&installer), &["--payload", &text(&directory)?, "--verify"])?;
        outcome.exits(0).context(format)?;
    }
    // The archives of the others go to another medium, with the manifest.
    let directory = bench.scenario.path("volumes");
    let other = bench.scenario.directory("other-medium")?;
    fs::copy(directory.join("airgap-transfer-manifest.json"), other.join("airgap-transfer-manifest.json"))?;
    fs::rename(directory.join("chunk_001.tar"), other.join("chunk_001.tar"))?;
    let (directory, other) = (text(&directory)?, text(&other)?);
    let alone = ["--payload", &directory, "--verify"];
    package(Path::new(&installer), &alone)?.exits(24)?.says("volume 2 of 3")?;
    package(Path::new(&installer), &["--payload", &directory, "--volumes", &other, "--verify"])?.exits(0)?;
    Ok(())
}

#[test]
fn the_builder_writes_the_layout_of_airgap_transfer() -> Result<()> {
    let bench = Bench::new()?;
    let split = |size: &str| -> Result<Outcome> {
        let layout = ["--layout", "airgap-transfer", "--output", "chunks", "--chunk-size", size];
        run(bench.scenario.builder()?.arg("split").arg(&bench.whole).args(layout))
    };
    split("13MB")?.exits(0)?;
    let directory = bench.scenario.path("chunks");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.join("airgap-transfer-manifest.json"))?)?;
    let chunks = manifest["chunks"].as_array().context("chunks")?;
    ensure!(manifest["chunk_count"] == chunks.len() && chunks.len() >= 3, "{manifest}");
    let unpacked = bench.scenario.directory("unpacked")?;
    for chunk in chunks {
        let archive = directory.join(chunk["filename"].as_str().context("a name")?);
        let bytes = fs::read(&archive)?;
        ensure!(bytes.len() <= 13_000_000 && chunk["size_bytes"] == bytes.len(), "{chunk}");
        ensure!(chunk["checksum"] == payload::Digest::of(&bytes).to_string(), "{chunk}");
        run(Command::new("tar").arg("-x").arg("-f").arg(archive).arg("-C").arg(&unpacked))?.exits(0)?;
    }
    // What comes out are volumes, the first of them a program.
    let program = unpacked.join("package.run");
    package(&program, &["--verify"])?.exits(0)?;
    let chunks = directory.to_str().context("UTF-8")?;
    fs::remove_file(unpacked.join("package.run.002"))?;
    package(&program, &["--verify"])?.exits(24)?;
    package(&program, &["--verify", "--volumes", chunks])?.exits(0)?;
    split("13MB")?.exits(44)?.says("another packing")?;
    // What somebody wrote into the manifest or the archive is shown as what it is, by both.
    let (manifest, archive) = (directory.join("airgap-transfer-manifest.json"), directory.join("chunk_000.tar"));
    let refused = |why: &str| -> Result<()> {
        for outcome in [
            package(&program, &["--payload", chunks, "--verify"])?,
            run(bench.scenario.builder()?.args(["verify", chunks]))?,
        ] {
            let outcome = outcome.exits(10)?.says(why)?;
            ensure!(!outcome.stderr.contains('\u{1b}'), "{outcome:?}");
        }
        Ok(())
    };
    let written = fs::read_to_string(&manifest)?;
    fs::write(&manifest, written.replace("chunk_001.tar", "../chunks/chunk_001.tar"))?;
    refused("not chunk_001.tar")?;
    fs::write(&manifest, written.replacen("completed", "pending", 1))?;
    refused("was not finished")?;
    fs::write(&manifest, &written)?;
    let good = fs::read(&archive)?;
    fs::write(&archive, [&good[..148], &b"\x1b[31m\xff  "[..8], &good[156..]].concat())?;
    refused("a header of the archive is damaged")?;
    fs::write(&archive, &good)?;
    flip(&directory.join("chunk_002.tar"), SeekFrom::Start(1 << 20))?;
    package(&program, &["--payload", chunks, "--verify"])?.exits(10)?.says("chunk_002.tar")?;
    Ok(())
}

#[test]
fn a_signed_package_in_volumes_is_trusted_by_its_first_and_installed_from_all() -> Result<()> {
    let bench = Bench::new()?;
    let builder = |arguments: &[&str]| -> Result<Outcome> { run(bench.scenario.builder()?.args(arguments)) };
    builder(&["keygen", "site.key", "--no-password"])?.exits(0)?;
    builder(&["keygen", "other.key", "--no-password"])?.exits(0)?;
    bench.scenario.directory("signed")?;
    let signed = ["--manifest", "AirGapDeploy.toml", "--sign-key", "site.key", "--chunk-size", "13MB"];
    builder(&[&signed[..], &["--output", "signed/package.run"]].concat())?.exits(0)?;
    let first = bench.scenario.path("signed/package.run");
    let text = |name: &str| bench.scenario.path(name).to_str().map(str::to_owned).context("UTF-8");
    let (site, other) = (text("site.pub")?, text("other.pub")?);
    builder(&["verify", "signed/package.run", "--trusted-key", &site])?.exits(0)?;
    // The first volume is enough to say no, and nothing of the others is asked for.
    let away = bench.scenario.directory("away")?;
    for number in ["002", "003"] {
        let name = format!("package.run.{number}");
        fs::rename(bench.scenario.path("signed").join(&name), away.join(&name))?;
    }
    for action in ["--list", "--dry-run", "--verify", "--install"] {
        package_below(&first, &bench.root, &[action, "--trusted-key", &other])?.exits(11)?;
    }
    package_below(&first, &bench.root, &["--dry-run", "--trusted-key", &site])?.exits(0)?;
    package_below(&first, &bench.root, &["--install", "--trusted-key", &site])?.exits(24)?.says("package.run.002")?;
    let away = away.to_str().context("UTF-8")?;
    let install = ["--install", "--trusted-key", &site, "--volumes", away];
    package_below(&first, &bench.root, &install)?.exits(0)?;
    package_below(&first, &bench.root, &["--status", "sample"])?.exits(0)?.says("signed by key")?;
    builder(&["join", "signed/package.run", "--volumes", away, "--output", "joined.run"])?.exits(0)?;
    builder(&["verify", "joined.run", "--trusted-key", &site])?.exits(0)?;
    Ok(())
}

#[test]
fn after_a_kill_in_the_second_volume_the_next_installation_goes_on() -> Result<()> {
    let bench = Bench::new()?;
    let model = fs::read(bench.scenario.path("model.gguf"))?;
    let staged = |root: &Path| -> Result<usize> {
        let mut copied = 0;
        for entry in fs::read_dir(root.join("opt/.airgap-deploy.sample")).into_iter().flatten() {
            let bytes = fs::read(entry?.path())?;
            let same = |(one, other): (&[u8], &[u8])| one == other;
            copied =
                copied.max(bytes.chunks(4096).zip(model.chunks(4096)).take_while(|pair| same(*pair)).count() * 4096);
        }
        Ok(copied)
    };
    for change in 1.. {
        let root = bench.scenario.target(&format!("killed-{change}"))?;
        let ended = Run::new(bench.first(), &root, &["--install"]).set("KILL_AT", change).end();
        ensure!(ended.killed, "no kill in the second volume: {ended:?}");
        // The model begins in the first volume, whose end lies before this.
        if staged(&root)? < 13_000_000 {
            fs::remove_dir_all(&root)?;
            continue;
        }
        ensure!(staged(&root)? < model.len() && !root.join("opt/ollama/models/llama2-7b.gguf").exists());
        let second = bench.away(2)?;
        let volumes = ["--install", "--volumes", second.to_str().context("UTF-8")?];
        package_below(bench.first(), &root, &volumes)?.exits(0)?;
        ensure!(fs::read(root.join("opt/ollama/models/llama2-7b.gguf"))? == model, "the model is another one");
        ensure!(!root.join("var/lib/airgap-deploy/sample/journal").exists(), "the journal is left");
        return Ok(());
    }
    Ok(())
}
