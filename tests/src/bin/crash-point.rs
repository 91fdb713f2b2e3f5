//! `crash-point SCENARIO CHANGE [AGAIN]`: one point of the crash series, told step by step.
//! All points are tried in `tests/tests/crash_kill.rs`.

use anyhow::{Context, Result, bail};
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::trials::Scratch;
use e2e::tree::Tree;

const USAGE: &str = "usage: crash-point install|upgrade|uninstall CHANGE [AGAIN]";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().context(USAGE)?;
    let mut number = || arguments.next().map(|text| text.parse::<u64>().context(USAGE)).transpose();
    let (change, again) = (number()?.context(USAGE)?, number()?);
    let stage = Stage::new(false)?;
    let (prior, package, action, recovery) = match scenario.as_str() {
        "install" => (stage.bare.clone(), &stage.first, &["--install"][..], "--recover"),
        "upgrade" => (stage.installed.clone(), &stage.second, &["--install", "--replace"][..], "--recover"),
        "uninstall" => (stage.replaced()?, &stage.second, &["--uninstall"][..], "--uninstall"),
        _ => bail!(USAGE),
    };
    let scratch = Scratch::of(&prior)?;
    let before = Tree::read(&scratch.root)?;
    let log = stage.path().join("log");
    let run = |action: &[&str]| Run::new(package, &scratch.root, action).set("LOG", log.display());
    tell(&format!("{action:?}, killed before change {change}"), &run(action).set("KILL_AT", change).end());
    println!("the changes before it:\n{}", last_lines(&std::fs::read_to_string(&log).unwrap_or_default()));
    println!("what differs from before:\n{}", before.difference(&Tree::read(&scratch.root)?));
    if let Some(again) = again {
        tell(&format!("{recovery}, killed before change {again}"), &run(&[recovery]).set("KILL_AT", again).end());
        println!("what differs from before:\n{}", before.difference(&Tree::read(&scratch.root)?));
    }
    tell(recovery, &run(&[recovery]).end());
    println!("what differs from before:\n{}", before.difference(&Tree::read(&scratch.root)?));
    Ok(())
}

fn tell(what: &str, ended: &Ended) {
    let how = if ended.killed { "killed".to_owned() } else { format!("ended with {:?}", ended.code) };
    println!("== {what}: {how}\n{}", ended.text.trim_end());
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].iter();
    last.map(|line| line.chars().take(160).collect::<String>()).collect::<Vec<_>>().join("\n")
}
