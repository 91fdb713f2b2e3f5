//! `--dry-run`: the plan that `--install` would carry out, and what keeps it from being carried out. Anybody may ask.
//! How it is shown is in `report/text.rs` and `report/json.rs`.

use payload::Package;

use super::cli::Args;
use super::medium;
use super::target::{UNFINISHED, asked, open_root, options, thoroughly};
use crate::apply::recover;
use crate::error::{Error, Finding};
use crate::exit::Exit;
use crate::host::program::Installer;
use crate::plan::facts::Host;
use crate::plan::{plan, preflight};
use crate::report::evidence::{Evidence, PlanLines};
use crate::report::json::PlanDocument;
use crate::report::screen::{Level, Screen};
use crate::report::{signature, text};

/// Shows the plan.
///
/// # Errors
/// The exit code that `--install` would end with, run as root.
pub fn dry_run(package: &Package, args: &Args, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let root = open_root(args)?;
    let installer = Installer::of(package).map_err(|error| Error::payload(&error))?;
    let (index, host) = &Host::probe(package.index(), &root, &installer, thoroughly(args), &asked(args))?;
    let mut plan = plan(index, host, options(args, package));
    plan.notes.extend(medium::absent(package));
    evidence.about(&index.package.name, host.receipt.as_ref());
    let findings = preflight::findings(&plan, index, host);
    let lines = |every_path| text::plan(&plan, index, host, &findings, every_path);
    let document = || {
        let mut document = PlanDocument::new(&plan, index, host, &findings);
        document.set("volumes", medium::volumes(package));
        document
    };
    if evidence.is_wanted() {
        evidence.result(&document());
        evidence.plan(PlanLines { summary: lines(false), every_path: lines(true) });
    }
    if screen.json {
        let mut shown = document();
        shown.set("index", package.digest().to_string().into());
        shown.set("signature", signature::json(package));
        shown.set("stub", signature::stub_json(package));
        screen.json(&shown);
    } else {
        let every_path = screen.level == Level::Verbose;
        screen.say_all(&lines(every_path));
        if recover::unfinished(&root, &index.package.name)?.is_some() {
            screen.say(&format!("note: {UNFINISHED}"));
        }
        if !every_path {
            screen.say("To see every path: --dry-run --verbose");
        }
        screen.say("The content was not verified: --verify compares every byte of it.");
        screen.say_all(&signature::lines(package));
        screen.say("Nothing was changed.");
    }
    // Missing privileges are part of the plan, not a reason to fail: anybody may look.
    let obstacles: Vec<Finding> =
        findings.into_iter().filter(|finding| finding.exit != Exit::PermissionDenied).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(Error::refused(obstacles)) }
}
