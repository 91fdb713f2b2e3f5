//! A tour through the use case: every word that the programs say on the way, and how that looks on a terminal.
//! What is typed is in `tests/src/tour.rs`; accepting other words, and recording anew, is described in CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anstyle_svg::Term;
use anyhow::{Context, Result, ensure};
use e2e::crash::workspace;
use e2e::scenario::outcome::run;
use e2e::skip::needs_root;
use e2e::tour::recording::{Line, Recording, record};
use e2e::tour::same::{in_every_run, in_every_width};
use e2e::tour::{STEPS, Step, desk, walk};

/// Shown in docs/tour.md beside the text: where colours say most.
const PICTURES: [&str; 4] = ["check-mistake", "conflict", "dry-run", "install"];

#[test]
fn every_word_is_held() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let desk = desk()?;
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(workspace().join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let (mut number, mut wrong) = (0, Vec::new());
    walk(&desk, |step, command| {
        number += 1;
        let said = run(command)?;
        let mut text = format!("$ {}\n{}", step.typed, said.stdout);
        if !said.stderr.is_empty() {
            write!(text, "-- standard error\n{}", said.stderr)?;
        }
        write!(text, "-- exit code {}", said.code)?;
        let text = in_every_run(&text)?;
        settings.set_description(step.title);
        settings.bind(|| insta::assert_snapshot!(format!("{number:02}-{}", step.name), text));
        if said.code != step.code {
            wrong.push(format!("{}: exit code {}, not {}", step.typed, said.code, step.code));
        }
        Ok(())
    })?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn the_tour_fits_the_terminal_and_is_the_one_in_the_docs() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let mut recorded = BTreeMap::new();
    for columns in [80u16, 40] {
        for colour in [false, true] {
            let desk = desk()?;
            walk(&desk, |step, command| {
                if !colour {
                    command.env("NO_COLOR", "1");
                }
                let recording = record(command, columns)?;
                look_at(step, &recording, colour)?;
                recorded.insert((step.name, columns, colour), recording);
                Ok(())
            })
            .with_context(|| format!("{columns} columns, colour: {colour}"))?;
        }
    }
    let is_coloured = |step: &&Step| recorded[&(step.name, 80, true)].has_colours;
    ensure!(STEPS.iter().filter(is_coloured).count() > 3, "there is no colour on a terminal that takes it");
    let mut pages = BTreeMap::from([(docs("tour.md"), page(&recorded)?)]);
    for (number, name) in PICTURES.iter().enumerate() {
        for columns in [80u16, 40] {
            let coloured = &recorded[&(*name, columns, true)].coloured;
            let picture = Term::new().min_width_px(usize::from(columns) * 9).render_svg(coloured);
            pages.insert(docs(&format!("tour/{}-{name}-{columns}.svg", number + 1)), picture);
        }
    }
    if std::env::var_os("AIRGAP_DEPLOY_TOUR").is_some() {
        fs::create_dir_all(docs("tour"))?;
        return pages.iter().try_for_each(|(path, text)| Ok(fs::write(path, text)?));
    }
    for (path, text) in &pages {
        let there = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        ensure!(
            in_every_width(&there)? == in_every_width(text)?,
            "{} is not what the programs say today: make tour records it anew",
            path.display()
        );
    }
    Ok(())
}

fn docs(name: &str) -> PathBuf {
    workspace().join("docs").join(name)
}

/// What every recording must be, whatever it says.
fn look_at(step: &Step, recording: &Recording, colour: bool) -> Result<()> {
    let Recording { code, lines, has_colours, .. } = recording;
    ensure!(*code == step.code, "expected exit code {}, not {code}: {lines:#?}", step.code);
    ensure!(colour || !has_colours, "there are colours, though NO_COLOR is set");
    let broken: Vec<&Line> = lines.iter().filter(|line| line.is_badly_broken()).collect();
    ensure!(broken.is_empty(), "the terminal breaks what the program should have: {broken:#?}");
    let bars = |line: &&Line| line.rows.concat().contains("[#") || line.rows.concat().contains("--]");
    ensure!(!lines.iter().any(|line| bars(&line)), "a bar is left on the screen: {lines:#?}");
    Ok(())
}

/// The tour as a page of the docs.
fn page(recorded: &BTreeMap<(&str, u16, bool), Recording>) -> Result<String> {
    let mut page = String::from(HEAD);
    for columns in [80u16, 40] {
        writeln!(page, "\n## On {columns} columns")?;
        for step in &STEPS {
            let text = shown(&recorded[&(step.name, columns, false)]);
            write!(page, "\n### {}\n\n```text recorded\n$ {}\n{text}```\n", step.title, step.typed)?;
            if step.code != 0 {
                writeln!(page, "\nExit code {}.", step.code)?;
            }
            if let Some(number) = PICTURES.iter().position(|name| *name == step.name) {
                writeln!(page, "\nIn colour:\n\n![{}](tour/{}-{}-{columns}.svg)", step.title, number + 1, step.name)?;
            }
        }
    }
    Ok(page)
}

const HEAD: &str = "# A tour\n\nFrom a manifest to an uninstalled package, recorded from a pseudo-terminal of 80 columns and \
                    once more of 40,\nwithout colour and, where that says something, with it. `make tour` records it. The \
                    target is the directory\n`machine`, which `--root` names; on a real one, leave `--root machine` out and \
                    type `sudo` where the plan says root.\n";

fn shown(recording: &Recording) -> String {
    let rows = recording.lines.iter().flat_map(|line| &line.rows);
    rows.flat_map(|row| [row.trim_end(), "\n"]).collect()
}
