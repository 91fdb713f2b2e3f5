//! One medium after the other, and somebody who exchanges them: a pseudo-terminal, and file systems that are unmounted.
//! What volumes are, and how they go astray, is in `volumes.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::crash::workspace;
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, gguf, package_below, sample, with_mounts};
use e2e::skip::needs_mounts;
use serde_json::json;

const MODEL: usize = 28 << 20;

/// A package in three volumes, none of them in the directory of another.
struct Sticks {
    scenario: Scenario,
    volumes: Vec<PathBuf>,
    root: PathBuf,
}

impl Sticks {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        scenario.write("model.gguf", gguf::noise("llama2", MODEL))?;
        let manifest = format!(
            "{}[[components]]\ntype = \"model-file\"\nname = \"llama2-7b\"\nsource = {{ type = \"file\", path = \"model.gguf\" }}\n\
             install_path = \"models/llama2-7b.gguf\"\n",
            sample::HEAD
        );
        let whole = scenario.build(&manifest)?;
        run(scenario.builder()?.arg("split").arg(&whole).args(["--chunk-size", "13MB", "--output", "cut"]))?
            .exits(0)?;
        fs::remove_file(&whole)?;
        let names = ["package.run", "package.run.002", "package.run.003"];
        let volumes = names.iter().map(|name| scenario.path("cut").join(name)).collect();
        let root = scenario.target("root")?;
        Ok(Self { scenario, volumes, root })
    }

    /// What is typed while the program runs, and done before.
    fn steps(&self, steps: &serde_json::Value) -> Result<PathBuf> {
        self.scenario.write("steps.json", steps.to_string())
    }

    fn installed(&self) -> Result<()> {
        let model = fs::read(self.root.join("opt/ollama/models/llama2-7b.gguf"))?;
        ensure!(model == fs::read(self.scenario.path("model.gguf"))?, "the model is another one");
        Ok(())
    }

    /// Mounts a file system with the first volume at `stick`, and runs what is on it with an answerer.
    fn answered(&self, steps: &serde_json::Value, action: &[&str]) -> Result<Outcome> {
        let stick = self.scenario.directory("stick")?;
        let script = format!(
            "mount -t tmpfs stick \"$1\"; cp \"$2\" \"$1/package.run\"; cd /\n\
             exec python3 \"$3\" \"$4\" \"$1/package.run\" {} --root \"$5\"",
            action.join(" ")
        );
        let terminal = workspace().join("tests/media/terminal.py");
        let paths: [&Path; 5] = [&stick, &self.volumes[0], &terminal, &self.steps(steps)?, &self.root];
        with_mounts(&script, &paths)
    }

    /// For `sh`: the medium goes, and another one with this volume takes its place.
    fn exchange(&self, volume: usize, name: &str) -> String {
        let (stick, from) = (self.scenario.path("stick"), &self.volumes[volume - 1]);
        let stick = stick.display();
        format!("umount {stick}; mount -t tmpfs stick {stick}; cp {} {stick}/{name}", from.display())
    }
}

#[test]
fn media_are_exchanged_while_the_program_runs_that_was_on_the_first() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let sticks = Sticks::new()?;
    let steps = json!([
        {"wait": "insert the medium with package.run.002 (volume 2 of 3)", "send": "\n"},
        // The wrong one first, under the right name.
        {"wait": "insert the medium with package.run.002", "run": sticks.exchange(3, "package.run.002"), "send": "\n"},
        {"wait": "holds volume 3 of this package"},
        {"wait": "insert the medium with package.run.002", "run": sticks.exchange(2, "package.run.002"), "send": "\n"},
        {"wait": "insert the medium with package.run.003", "run": sticks.exchange(3, "package.run.003"), "send": "\n"},
    ]);
    let outcome = sticks.answered(&steps, &["--install"])?.exits(0)?;
    ensure!(outcome.stdout.matches("insert the medium").count() == 4, "a medium was asked for twice: {outcome}");
    sticks.installed()
}

#[test]
fn verify_needs_each_medium_once() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let sticks = Sticks::new()?;
    let steps = json!([
        {"wait": "insert the medium with package.run.002", "run": sticks.exchange(2, "package.run.002"), "send": "\n"},
        {"wait": "insert the medium with package.run.003", "run": sticks.exchange(3, "package.run.003"), "send": "\n"},
        {"wait": "every byte is as it was packed"},
    ]);
    sticks.answered(&steps, &["--verify"])?.exits(0)?;
    Ok(())
}

#[test]
fn whoever_has_no_other_medium_stops_and_nothing_was_changed() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let sticks = Sticks::new()?;
    for (typed, code, said) in [("q\n", 24, "a volume is missing: package.run.002"), ("\u{3}", 130, "interrupted")] {
        let steps = json!([{"wait": "insert the medium with package.run.002", "send": typed}]);
        let outcome = sticks.answered(&steps, &["--install"])?.exits(code)?.says(said)?;
        ensure!(outcome.stdout.matches("not here: package.run.002").count() == 1, "it is said twice: {outcome}");
        ensure!(!sticks.root.join("opt/ollama").exists(), "something was installed");
    }
    Ok(())
}

#[test]
fn a_directory_that_is_typed_is_looked_in() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let sticks = Sticks::new()?;
    let elsewhere = sticks.scenario.path("cut");
    let steps =
        json!([{"wait": "insert the medium with package.run.002", "send": format!("{}\n", elsewhere.display())}]);
    sticks.answered(&steps, &["--install"])?.exits(0)?;
    sticks.installed()
}

#[test]
fn a_volume_that_is_damaged_in_its_middle_undoes_what_was_done_and_the_next_try_succeeds() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let sticks = Sticks::new()?;
    let last = &sticks.volumes[2];
    let good = fs::read(last)?;
    let mut bad = good.clone();
    // Behind the chunk that a volume is known by.
    let at = bad.len().saturating_sub(4096);
    bad[at] ^= 1;
    fs::write(last, bad)?;
    let damaged = package_below(&sticks.volumes[0], &sticks.root, &["--install"])?.exits(10)?;
    damaged.says("package.run.003")?;
    ensure!(!sticks.root.join("opt/ollama/models").exists(), "something was left");
    fs::write(last, good)?;
    package_below(&sticks.volumes[0], &sticks.root, &["--install"])?.exits(0)?;
    sticks.installed()?;
    File::open(last).context("the volume is still there")?;
    Ok(())
}
