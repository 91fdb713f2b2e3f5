//! A large installation that was killed goes on from what it had verified, and from nothing else.
//! What is undone instead is tested in `crash_kill.rs`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::crash::directory;
use e2e::crash::draft::Draft;
use e2e::crash::program::Run;
use payload::CHUNK_SIZE;
use payload::index::Role;
use serde_json::Value;

const CHUNKS: u64 = 16;
const MODEL: &str = "opt/demo/model.gguf";

fn content(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = (0..CHUNKS * CHUNK_SIZE / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn package(path: &Path, version: &str, content: &[u8]) -> Result<()> {
    let mut draft = Draft::new(version, "opt/demo", false)?;
    draft.directory("opt")?.directory("opt/demo")?;
    // In the builder's order, in which content is staged: models last.
    draft.packed_file("opt/demo/program", Role::Program, 0o755, &b"a program ".repeat(100_000))?;
    draft.file(MODEL, Role::ModelBlob, 0o644, content)?;
    draft.write(path)
}

fn log_lines(log: &Path) -> Result<Vec<Value>> {
    fs::read_to_string(log)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// How many chunks of the model a run has written, by its log.
fn chunks_written(log: &Path) -> Result<u64> {
    let lines = log_lines(log)?;
    Ok(lines.iter().filter(|line| line["op"] == "write" && line["length"] == CHUNK_SIZE).count() as u64)
}

/// Kills an installation when about half of the model is staged; gives the chunks it had written.
fn kill_half_way(package: &Path, root: &Path, log: &Path) -> Result<u64> {
    for number in (1..).step_by(4) {
        let _ = fs::remove_dir_all(root);
        fs::create_dir(root)?;
        let _ = fs::remove_file(log);
        let killed = Run::new(package, root, &["--install"]).set("KILL_AT", number).set("LOG", log.display()).end();
        ensure!(killed.killed, "it was never half-way: {killed:?}");
        let written = chunks_written(log)?;
        if written >= CHUNKS / 2 {
            return Ok(written);
        }
    }
    Ok(0)
}

/// The staged copy of the model.
fn staged(root: &Path) -> Result<std::path::PathBuf> {
    let areas = fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let area = areas.iter().find(|path| path.to_string_lossy().contains(".airgap-deploy.")).context("no staging")?;
    let files = fs::read_dir(area)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let largest = files.into_iter().max_by_key(|path| fs::metadata(path).map_or(0, |facts| facts.len()));
    largest.context("nothing is staged")
}

#[test]
fn verified_chunks_are_not_copied_again() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (run, root, log) = (path("x.run"), path("root"), path("log"));
    let model = content(1);
    package(&run, "1", &model)?;
    let before = kill_half_way(&run, &root, &log)?;
    fs::remove_file(&log)?;
    let ended = Run::new(&run, &root, &["--install"]).set("LOG", log.display()).end();
    ensure!(ended.code == Some(0) && ended.text.contains("goes on from what it had verified"), "{ended:?}");
    let after = chunks_written(&log)?;
    println!("{before} of {CHUNKS} chunks written before the kill, {after} after it");
    ensure!(before + after == CHUNKS, "{before} chunks before the kill and {after} after it, of {CHUNKS}");
    let lines = log_lines(&log)?;
    let again = |line: &&Value| line["op"] == "write" && line["path"] == ".airgap-deploy.demo/f0";
    ensure!(lines.iter().find(again).is_none(), "the compressed file was complete, and was written again");
    ensure!(fs::read(root.join(MODEL))? == model, "the model is not what was packed");
    Ok(())
}

#[test]
fn a_damaged_chunk_is_noticed_and_replaced() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (run, root, log) = (path("x.run"), path("root"), path("log"));
    let model = content(2);
    package(&run, "1", &model)?;
    let before = kill_half_way(&run, &root, &log)?;
    OpenOptions::new().write(true).open(staged(&root)?)?.write_all_at(b"damage", 3 * CHUNK_SIZE + 17)?;
    fs::remove_file(&log)?;
    let ended = Run::new(&run, &root, &["--install"]).set("LOG", log.display()).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(chunks_written(&log)? == CHUNKS - before + 1, "only the damaged chunk should be written again");
    ensure!(fs::read(root.join(MODEL))? == model, "the model is not what was packed");
    Ok(())
}

#[test]
fn what_another_package_staged_is_not_used() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (run, other, root, log) = (path("x.run"), path("y.run"), path("root"), path("log"));
    package(&run, "1", &content(3))?;
    let model = content(4);
    package(&other, "2", &model)?;
    kill_half_way(&run, &root, &log)?;
    fs::remove_file(&log)?;
    let ended = Run::new(&other, &root, &["--install"]).set("LOG", log.display()).end();
    ensure!(ended.code == Some(0) && ended.text.contains("was undone"), "{ended:?}");
    ensure!(chunks_written(&log)? == CHUNKS, "something that another package staged was used");
    ensure!(fs::read(root.join(MODEL))? == model, "the model is not what was packed");
    let left: Vec<_> =
        fs::read_dir(&root)?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}
