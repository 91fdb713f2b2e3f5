//! The program is killed before every change it makes, and again in every recovery: the target is then as before or
//! complete, to the last attribute. Each test prints how many trials it made (`--nocapture`).

use anyhow::{Result, ensure};

use e2e::crash::program::Run;
use e2e::crash::sample;
use e2e::crash::stage::Stage;
use e2e::crash::trials::{Goal, Scratch, Series};
use e2e::skip::needs_root;
use e2e::tree::Tree;

const INSTALL: [&str; 1] = ["--install"];
const REPLACE: [&str; 2] = ["--install", "--replace"];
const RECOVER: [&str; 1] = ["--recover"];
const UNINSTALL: [&str; 1] = ["--uninstall"];

fn fresh_install(accounts: bool) -> Result<()> {
    let stage = Stage::new(accounts)?;
    let series = Series::new(&stage.bare, &stage.first, &INSTALL)?;
    let back = series.kill_everywhere(&RECOVER, Goal::BeforeOrComplete)?;
    let again = series.kill_everywhere(&INSTALL, Goal::Complete)?;
    println!("fresh install (accounts: {accounts}): {back:?} with --recover, {again:?} with --install");
    ensure!(back.kills > 50 && back.in_recovery > 50, "hardly a trial was made: {back:?}");
    Ok(())
}

fn upgrade(accounts: bool) -> Result<()> {
    let stage = Stage::new(accounts)?;
    let series = Series::new(&stage.installed, &stage.second, &REPLACE)?;
    let back = series.kill_everywhere(&RECOVER, Goal::BeforeOrComplete)?;
    let again = series.kill_everywhere(&REPLACE, Goal::Complete)?;
    println!("upgrade (accounts: {accounts}): {back:?} with --recover, {again:?} with --install");
    ensure!(back.kills > 50 && back.in_recovery > 50, "hardly a trial was made: {back:?}");
    Ok(())
}

fn uninstall(accounts: bool) -> Result<()> {
    let stage = Stage::new(accounts)?;
    let replaced = stage.replaced()?;
    let series = Series::new(&replaced, &stage.second, &UNINSTALL)?;
    let bare = Tree::read(&stage.bare)?.difference(&series.complete);
    ensure!(bare.is_empty(), "an uninstallation leaves:\n{bare}");
    let count = series.kill_everywhere(&UNINSTALL, Goal::Complete)?;
    println!("uninstall (accounts: {accounts}): {count:?}");
    ensure!(count.kills > 20 && count.in_recovery > 20, "hardly a trial was made: {count:?}");
    Ok(())
}

#[test]
fn a_fresh_install_is_complete_or_undone() -> Result<()> {
    fresh_install(false)
}

#[test]
fn an_upgrade_is_complete_or_undone() -> Result<()> {
    upgrade(false)
}

#[test]
fn another_choice_of_optional_components_is_complete_or_undone() -> Result<()> {
    let stage = Stage::new(false)?;
    let scratch = Scratch::of(&stage.bare)?;
    let package = scratch.root.with_file_name("choice.run");
    sample::choice()?.write(&package)?;
    let ended = Run::new(&package, &scratch.root, &["--install", "--include", "a"]).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    let other = ["--install", "--include", "b,c"];
    let series = Series::new(&scratch.root, &package, &other)?;
    let back = series.kill_everywhere(&RECOVER, Goal::BeforeOrComplete)?;
    println!("another choice: {back:?} with --recover");
    ensure!(back.kills > 30 && back.in_recovery > 20, "hardly a trial was made: {back:?}");
    Ok(())
}

#[test]
fn an_uninstallation_goes_on_where_it_stopped() -> Result<()> {
    uninstall(false)
}

#[test]
fn a_fresh_install_that_makes_accounts_is_complete_or_undone() -> Result<()> {
    if needs_root() { Ok(()) } else { fresh_install(true) }
}

#[test]
fn an_uninstallation_that_removes_accounts_goes_on_where_it_stopped() -> Result<()> {
    if needs_root() { Ok(()) } else { uninstall(true) }
}

#[test]
fn an_upgrade_of_a_service_with_an_account_is_complete_or_undone() -> Result<()> {
    if needs_root() { Ok(()) } else { upgrade(true) }
}

#[test]
fn a_second_run_changes_nothing() -> Result<()> {
    let stage = Stage::new(false)?;
    for (root, package) in [(&stage.installed, &stage.first), (&stage.replaced()?, &stage.second)] {
        let scratch = Scratch::of(root)?;
        let before = Tree::read(&scratch.root)?;
        // It would be killed at its first change.
        let ended = Run::new(package, &scratch.root, &INSTALL).set("KILL_AT", 1).end();
        ensure!(ended.code == Some(0) && ended.text.contains("installed already"), "{ended:?}");
        ensure!(before == Tree::read(&scratch.root)?, "something changed");
    }
    Ok(())
}
