//! A build that is told to stop, or killed, at its long stages: it ends at once and leaves nothing as large as a package.
//! What is kept of a download is tested with the sources, in the builder.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use e2e::scenario::outcome::run;
use e2e::scenario::{Scenario, gguf, sample};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Seconds of processor time after which a build that does not stop is ended.
const BOUND: &str = "--cpu=60";

struct Build {
    scenario: Scenario,
    child: Child,
}

/// Starts a build of a model of `size` bytes, which is a hole in a file.
fn start(size: u64) -> Result<Build> {
    let scenario = Scenario::below(Path::new("/var/tmp"))?;
    gguf::sparse(&scenario.path("large.gguf"), size)?;
    let model = "[[components]]\ntype = \"model-file\"\nname = \"large\"\n\
                 source = { type = \"file\", path = \"large.gguf\" }\ninstall_path = \"models/large.gguf\"\n";
    scenario.write("m.toml", format!("{}{model}", sample::HEAD))?;
    scenario.directory("out")?;
    scenario.directory("cache")?;
    let builder = scenario.builder()?;
    let mut command = Command::new("prlimit");
    command.arg(BOUND).arg(builder.get_program()).current_dir(scenario.path(""));
    command.env_clear().env("HOME", scenario.path("home")).process_group(0);
    command.args(["--manifest", "m.toml", "--output", "out/p.run", "--cache-dir", "cache"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    Ok(Build { scenario, child })
}

impl Build {
    /// Waits until the build is where `there` says.
    fn wait_until(&mut self, there: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        while !there(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("the build ended before: {status}");
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// How many bytes it has read, from /proc.
    fn has_read(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).context("no rchar")?;
        Ok(line.parse()?)
    }

    /// Whether it writes a file in the directory of the output.
    fn is_emitting(&self) -> Result<bool> {
        let out = self.scenario.path("out").canonicalize()?;
        for entry in fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            if target.starts_with(&out) && target != out {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end(self, signal: Signal) -> Result<(Scenario, Output)> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        Ok((self.scenario, self.child.wait_with_output()?))
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    entries.collect()
}

fn is_told(scenario: &Scenario, ended: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(130), "{}: {said}", ended.status);
    ensure!(said.contains("run the same command again"), "{said}");
    ensure!(names(&scenario.path("out"))?.is_empty(), "{:?}", names(&scenario.path("out"))?);
    let cache = names(&scenario.path("cache"))?;
    ensure!(!cache.iter().any(|name| name.starts_with("work.")), "{cache:?}");
    Ok(())
}

#[test]
fn a_ctrl_c_while_a_source_is_hashed_ends_the_build() -> Result<()> {
    // It is hashed for many seconds; what the disk has no room for would be refused before.
    let mut build = start(8 << 30)?;
    build.wait_until(|build| Ok(build.has_read()? > 64 << 20))?;
    let (scenario, ended) = build.end(Signal::SIGINT)?;
    is_told(&scenario, &ended)
}

#[test]
fn a_ctrl_c_while_the_package_is_packed_or_written_leaves_nothing() -> Result<()> {
    let mut build = start(1 << 30)?;
    build.wait_until(|build| Ok(names(&build.scenario.path("cache"))?.iter().any(|name| name.starts_with("work."))))?;
    let (scenario, ended) = build.end(Signal::SIGTERM)?;
    is_told(&scenario, &ended)?;
    let mut build = start(1 << 30)?;
    build.wait_until(Build::is_emitting)?;
    let (scenario, ended) = build.end(Signal::SIGINT)?;
    is_told(&scenario, &ended)
}

#[test]
fn what_a_killed_build_leaves_is_pruned() -> Result<()> {
    let mut build = start(1 << 30)?;
    build.wait_until(Build::is_emitting)?;
    let (scenario, ended) = build.end(Signal::SIGKILL)?;
    ensure!(ended.status.signal() == Some(9), "{}", ended.status);
    ensure!(names(&scenario.path("out"))?.is_empty(), "{:?}", names(&scenario.path("out"))?);
    let is_work = |name: &String| name.starts_with("work.");
    ensure!(names(&scenario.path("cache"))?.iter().any(is_work), "there is nothing to prune");
    let prune = ["cache", "--cache-dir", "cache", "prune", "--unused-for", "30"];
    run(scenario.builder()?.args(prune))?.exits(0)?.says("removed 1")?;
    let cache = names(&scenario.path("cache"))?;
    ensure!(!cache.iter().any(is_work), "{cache:?}");
    Ok(())
}
