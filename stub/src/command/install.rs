//! `--install`: verify, recover, plan, preflight, apply. Every byte is compared before anything that it is needed for.
//! Each of these stages has a file of its own name; what is said at the end is said here.

use std::collections::HashSet;
use std::sync::Mutex;

use indicatif::ProgressBar;
use nix::unistd::geteuid;
use payload::index::{Index, Lookup, PackageName};
use payload::{Digest, Package, Watch};
use serde_json::Value;

use super::cli::Args;
use super::medium;
use super::recover::{recover_noted, tell_recovered};
use super::target::{asked, lock, machine, open_root, options, thoroughly};
use crate::apply::commit::{self, Events};
use crate::apply::proof::{self, Answers};
use crate::apply::recover;
use crate::error::Error;
use crate::host::interrupt;
use crate::host::machine::{Machine, StepError};
use crate::host::ollama_client::Performance;
use crate::host::program::Installer;
use crate::plan::facts::{Host, Systemd};
use crate::plan::step::{PlaceFile, Step};
use crate::plan::{Plan, plan, preflight};
use crate::record::{state, vouch};
use crate::report::evidence::Evidence;
use crate::report::proof as proof_report;
use crate::report::screen::Screen;
use crate::report::{json, signature, summary, text};

/// Installs the package.
///
/// # Errors
/// Every exit code but 32: what keeps it from beginning, what failed, and what state the machine is in.
pub fn install(
    package: &Package,
    args: &Args,
    workers: usize,
    screen: Screen,
    evidence: &Evidence,
) -> Result<(), Error> {
    let root = open_root(args)?;
    let index = package.index();
    if evidence.is_wanted() {
        evidence.about(&index.package.name, state::read_receipt(&root, &index.package.name).ok().flatten().as_ref());
    }
    let name = &index.package.name;
    let installer = &Installer::of(package).map_err(|error| Error::payload(&error))?;
    if root.is_live() && !geteuid().is_root() {
        let (index, host) = Host::probe(index, &root, installer, thoroughly(args), &asked(args))?;
        let plan = plan(&index, &host, options(args, package));
        return Err(Error::refused(preflight::findings(&plan, &index, &host)));
    }
    let _lock = lock(&root)?;
    interrupt::watch();
    let machine = machine(root)?;
    let mut ready = None;
    if recover::unfinished(&machine.root, name)?.is_some() {
        ready = Some(verify_head(package, args, workers, screen)?);
        recover_first(&machine, package, screen, evidence)?;
    }
    let (index, host) = &Host::probe(index, &machine.root, installer, thoroughly(args), &asked(args))?;
    let mut plan = plan(index, host, options(args, package));
    let give_up = |error: Error| match recover::roll_back(&machine, name, false) {
        Ok(_) => error,
        Err(rollback) => rollback,
    };
    // Another version, or another build, is another package also where no file differs: the receipt says which is installed.
    let is_recorded = host.receipt.as_ref().is_some_and(|receipt| receipt.index == package.digest());
    if is_recorded && plan.is_empty() && preflight::findings(&plan, index, host).is_empty() {
        recover::roll_back(&machine, name, false)?;
        renew_receipt(&plan, host, &machine)?;
        let console = Console::new(screen, ProgressBar::hidden(), evidence);
        if let Some(proof) = &plan.proof {
            proof::prove(proof, &machine, &console).map_err(|error| error.state(commit::INSTALLED))?;
        }
        text::warning_lines(host.command.warning.iter()).for_each(|line| screen.warn(&line));
        already_installed(index, host, &console);
        return Ok(());
    }
    let workers = if let Some(workers) = ready {
        workers
    } else {
        let workers = verify_head(package, args, workers, screen)?;
        recover_first(&machine, package, screen, evidence)?;
        workers
    };
    // Every path of the package is in memory several times: what is in the receipt is not needed in the plan any more.
    let made = std::mem::take(&mut plan.made);
    let receipt = made.receipt(index, package.digest(), signature::trusted_key(package), host.receipt.as_ref());
    drop(made);
    let cleared = preflight::clear(plan, index, host).map_err(|findings| give_up(Error::refused(findings)))?;
    for line in signature::lines(package) {
        if package.signature().is_trusted() { screen.say(&line) } else { screen.warn(&line) }
    }
    text::warnings(cleared.plan()).for_each(|line| screen.warn(&line));
    let placed: HashSet<Digest> = cleared.plan().placed().map(|place| place.digest).collect();
    let shipped = Lookup::of(index);
    let stored = |place: &PlaceFile| shipped.blob(place.digest).map_or(0, |blob| blob.stored_size);
    let sizes = cleared.plan().placed().map(stored);
    let bar = screen.progress("installing", sizes.sum());
    evidence.will_install(&cleared, index, host);
    let console = Console::new(screen, bar, evidence);
    let generation = receipt.generation;
    let outcome = commit::apply(&cleared, package, &machine, receipt, workers, &console);
    console.bar.finish_and_clear();
    if outcome.is_err() {
        note_rollback(&machine, name, (generation, package.digest()), evidence);
    }
    outcome?;
    if package.index().blobs.iter().all(|blob| placed.contains(&blob.digest)) {
        evidence.verified(package);
    } else {
        evidence.verified_in_part();
    }
    done(cleared.plan(), index, host, &console);
    Ok(())
}

/// Everything but the blobs: before anything changes, a recovery included. Blobs follow, those that are placed, while they are
/// staged; what is in place already is not read again. Says how many workers read.
fn verify_head(package: &Package, args: &Args, workers: usize, screen: Screen) -> Result<usize, Error> {
    let workers = medium::prepare(package, args, workers, screen)?;
    package.verify_blobs(|_| false, workers, Watch::nobody()).map_err(|error| Error::payload(&error))?;
    Ok(workers)
}

fn recover_first(machine: &Machine, package: &Package, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let name = &package.index().package.name;
    let (recovered, remains) = recover_noted(machine, name, Some(package.digest()), evidence)?;
    tell_recovered(recovered, screen);
    remains.kept.iter().chain(&remains.units).for_each(|line| screen.warn(&payload::printable(line)));
    Ok(())
}

/// What was read because the receipt does not vouch for it is not read again the next time.
fn renew_receipt(plan: &Plan, host: &Host, machine: &Machine) -> Result<(), Error> {
    let Some(receipt) = &host.receipt else { return Ok(()) };
    let mut renewed = vouch::renewed(receipt, &plan.made.stats);
    // Another rule that comes to the same is remembered too, of what is installed.
    let is_installed = || Ok::<_, Error>(state::read_receipt(&machine.root, &receipt.package)?.is_some());
    if receipt.choice != plan.made.choice && is_installed()? {
        renewed.get_or_insert_with(|| receipt.clone()).choice.clone_from(&plan.made.choice);
    }
    // As when there is something to do: what stands there is somebody else's now.
    if host.command.warning.is_some() && receipt.command().is_some() {
        renewed.get_or_insert_with(|| receipt.clone()).give_up_command();
    }
    if let Some(renewed) = renewed {
        state::write_receipt(&machine.root, &renewed)?;
    }
    Ok(())
}

/// What of a failed installation was undone: all of it, unless the receipt stands, or the journal still has it.
fn note_rollback(machine: &Machine, name: &PackageName, meant: (u64, Digest), evidence: &Evidence) {
    let there = state::read_receipt(&machine.root, name).ok().flatten();
    if there.is_some_and(|there| (there.generation, there.index) == meant) {
        return;
    }
    match recover::unfinished(&machine.root, name) {
        Ok(Some(unfinished)) => evidence.rolled_back(&unfinished.steps),
        _ => evidence.rolled_back(&[]),
    }
}

fn already_installed(index: &Index, host: &Host, console: &Console<'_>) {
    let screen = console.screen;
    let document = serde_json::json!({
        "install": 1,
        "package": index.package.name.as_str(),
        "optional": host.choice.to_json(),
        "changed": false,
        "trusted": json::sum(host.looked_at.trusted),
        "read": json::sum(host.looked_at.read),
        "answers": console.answers(),
    });
    console.evidence.result(&document);
    if screen.json {
        screen.json(&document);
    }
    screen.say_all(&text::trusted(&host.looked_at, "--verify-installed").into_iter().collect::<Vec<_>>());
    screen.say(&format!("{} is installed already: nothing was changed", index.package.name));
}

fn done(plan: &Plan, index: &Index, host: &Host, console: &Console<'_>) {
    let screen = console.screen;
    let files = plan.placed().count();
    let bytes: u64 = plan.placed().map(|place| place.size).sum();
    let seconds = console.bar.elapsed().as_secs_f64();
    let steps = plan.steps.iter().chain(&plan.afterwards);
    let started: Vec<&str> = steps.filter_map(started_unit).collect();
    // A sentence for each of thousands of steps is made for those who read it.
    if screen.json || console.evidence.is_wanted() {
        let document = serde_json::json!({
            "install": 1,
            "package": index.package.name.as_str(),
            "version": index.package.version,
            "optional": host.choice.to_json(),
            "changed": true,
            "placed": {"files": files, "bytes": bytes},
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "started": started,
            "steps": plan.steps.iter().map(Step::describe).collect::<Vec<_>>(),
            "warnings": json::warnings(plan),
            "answers": console.answers(),
        });
        console.evidence.result(&document);
        if screen.json {
            screen.json(&document);
        }
    }
    screen.say_all(&host.choice.line().into_iter().collect::<Vec<_>>());
    for note in &plan.notes {
        screen.say(&format!("note: {}", payload::printable(note)));
    }
    screen.say(&format!("{} {} is installed", index.package.name, payload::printable(&index.package.version)));
    screen.say(&format!("placed: {}, {} in {seconds:.1} s", summary::plural(files, "file"), payload::size(bytes)));
    if !started.is_empty() {
        screen.say(&format!("running: {}", started.join(", ")));
    }
    if let Some(unit) = index.units.first()
        && host.systemd == Systemd::Running
        && plan.afterwards.is_empty()
        && plan.proof.is_none()
        && !plan.steps.iter().any(|step| matches!(step, Step::EnableUnit { .. }))
    {
        let unit = unit.name.trim_end_matches(".service");
        screen.say(&format!("next: systemctl start {unit}; systemctl enable {unit}"));
    }
}

fn started_unit(step: &Step) -> Option<&str> {
    if let Step::StartUnit { unit } = step { Some(unit) } else { None }
}

/// Tells the administrator what goes on.
struct Console<'a> {
    screen: Screen,
    bar: ProgressBar,
    /// Stored bytes that are staged, of how many.
    staged: Mutex<(u64, u64)>,
    answers: Mutex<Vec<Value>>,
    evidence: &'a Evidence,
}

impl<'a> Console<'a> {
    fn new(screen: Screen, bar: ProgressBar, evidence: &'a Evidence) -> Self {
        let size = bar.length().unwrap_or(0);
        Self { screen, bar, staged: Mutex::new((0, size)), answers: Mutex::default(), evidence }
    }

    /// For programs: a line each time that another hundredth is there.
    fn tell_staged(&self, bytes: u64) {
        let Ok(mut staged) = self.staged.lock() else { return };
        let (before, size) = *staged;
        let hundredths = |position: u64| position.saturating_mul(100) / size.max(1);
        staged.0 += bytes;
        if self.screen.json && hundredths(before) < hundredths(staged.0) {
            self.screen.json(&serde_json::json!({"event": "staged", "position": staged.0, "size": size}));
        }
    }

    fn answers(&self) -> Vec<Value> {
        self.answers.lock().map_or_else(|_| Vec::new(), |answers| answers.clone())
    }
}

impl Answers for Console<'_> {
    fn answered(&self, model: &str, performance: &Performance) {
        self.bar.suspend(|| self.screen.say(&proof_report::line(model, performance)));
        if let Ok(mut answers) = self.answers.lock() {
            answers.push(proof_report::json(model, performance));
        }
    }

    fn not_asked(&self, why: &str) {
        self.bar.suspend(|| self.screen.say(&format!("note: the models were not asked: {why}")));
    }
}

impl Events for Console<'_> {
    fn staged(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.tell_staged(bytes);
    }

    fn step(&self, step: &Step, outcome: Result<(), &StepError>) {
        self.evidence.step(step, outcome);
        let text = step.describe();
        if self.screen.json {
            let outcome = if outcome.is_ok() { "done" } else { "failed" };
            self.screen.json(&serde_json::json!({"event": "step", "text": text, "outcome": outcome}));
        }
        let line = payload::printable(&text);
        let line = if outcome.is_ok() { line } else { format!("failed: {line}") };
        self.bar.suspend(|| self.screen.say(&line));
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| self.screen.warn(text));
    }
}
