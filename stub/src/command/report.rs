//! `--report FILE`: evidence of what an action judged and changed, also when it fails, is refused or is killed.
//! What is gathered for it is in `report/evidence.rs`, the page for a change board in `report/board.rs`.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::getuid;
use payload::{Mode, RelPath};

use super::cli::Args;
use super::target::open_root;
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::about::{About, about};
use crate::host::root::{Found, Root};
use crate::record::log::Log;
use crate::record::state;
use crate::report::board::{Page, Rows};
use crate::report::evidence::{self, Call, Caller, Ending, Evidence, Installed, is_report};

/// What a program's surroundings are: the library reads neither clock nor environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub now: fn() -> SystemTime,
    /// As sudo left it in the environment.
    pub sudo_user: Option<String>,
}

/// A report that is being kept.
#[derive(Debug)]
pub struct Report {
    shown: String,
    /// The file system of this machine, not the target's: the report stays with who asked for it.
    machine: Root,
    path: RelPath,
    form: Form,
    call: Call,
    host: About,
}

/// What the name of the file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Page(Page),
}

/// Larger than any report.
const LIMIT: u64 = 64 << 20;
const UNFINISHED: &str = "The program was ended before the plan was made.";

impl Report {
    /// Begins the report that was asked for: it says from now on that the action was begun.
    ///
    /// # Errors
    /// Exit code 44: it could not be written. Nothing else was done.
    pub fn begin(args: &Args, surroundings: &Surroundings) -> Result<Option<Self>, Error> {
        let Some(file) = &args.report else { return Ok(None) };
        let shown = file.display().to_string();
        let refused = |why: String| cannot_write(&shown, &why).state(NOTHING_CHANGED).hint(ANOTHER);
        let path = path_of(file).map_err(&refused)?;
        let form = form_of(&path, args).map_err(&refused)?;
        let machine = Root::open(Path::new("/"))?;
        require_ours(&machine, &path).map_err(&refused)?;
        let root = open_root(args)?;
        let call = Call {
            action: action(args),
            dry_run: args.dry_run,
            started: time((surroundings.now)()),
            caller: Caller { uid: getuid().as_raw(), sudo_user: surroundings.sudo_user.clone() },
            root: root.path().display().to_string(),
        };
        let report = Self { host: about(&root), shown, machine, path, form, call };
        match report.write(&Evidence::new(false, Log::none()), None) {
            Ok(()) => Ok(Some(report)),
            Err(why) => Err(cannot_write(&report.shown, &why).state(NOTHING_CHANGED).hint(ANOTHER)),
        }
    }

    /// Ends it: the report says how the action ended.
    ///
    /// # Errors
    /// What the action itself failed with; exit code 44 when only the report could not be written.
    pub fn end(
        &self,
        outcome: Result<(), Error>,
        now: SystemTime,
        evidence: &Evidence,
        args: &Args,
    ) -> Result<(), Error> {
        let ending = Ending::of(&outcome, time(now), installed(evidence, args));
        let Err(why) = self.write(evidence, Some(&ending)) else { return outcome };
        match outcome {
            Ok(()) => Err(cannot_write(&self.shown, &why)
                .state("the work is done, with exit code 0; the report says only that it was begun")
                .hint("--status --report FILE writes what is installed")),
            Err(error) => Err(error.and_also(&format!("the report cannot be written to {}: {why}", self.shown))),
        }
    }

    fn write(&self, evidence: &Evidence, ending: Option<&Ending>) -> Result<(), String> {
        let written = self.machine.write_exclusively(&self.path, Mode::READABLE, |out| match self.form {
            Form::Json => evidence::write(evidence, &self.call, &self.host, ending, out),
            Form::Page(page) => out.write_all(self.page(page, evidence, ending).as_bytes()),
        });
        written.map_err(|error| error.cause.to_string())
    }

    fn page(&self, page: Page, evidence: &Evidence, ending: Option<&Ending>) -> String {
        let mut rows: Rows = evidence.rows();
        rows.extend([
            ("Machine", self.host.host_name.clone()),
            ("System", self.host.system.clone().unwrap_or_default()),
            ("Kernel", format!("{} {}", self.host.kernel, self.host.machine)),
            ("Root directory", self.call.root.clone()),
            ("Begun", self.call.started.clone()),
        ]);
        let mut why_not = UNFINISHED.to_owned();
        if let Some(ending) = ending {
            rows.push(("Ended", ending.ended.clone()));
            rows.push(("Exit code", ending.exit_code.to_string()));
            if let Some(error) = ending.error.as_ref().and_then(|error| error["what"].as_str()) {
                rows.push(("Problem", error.to_owned()));
                error.clone_into(&mut why_not);
            }
        }
        let title = evidence.title().unwrap_or_else(|| "Installation plan".to_owned());
        page.of(&title, &rows, evidence.plan_lines().as_ref(), &why_not)
    }
}

const ANOTHER: &str = "name another file, in a directory that exists: --report FILE";

fn cannot_write(shown: &str, why: &str) -> Error {
    Error::new(Exit::Output, format!("the report cannot be written to {shown}: {why}"))
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

pub(super) fn action(args: &Args) -> &'static str {
    match args {
        Args { verify: true, .. } => "verify",
        Args { status: true, .. } => "status",
        Args { recover: true, .. } => "recover",
        Args { uninstall: true, .. } => "uninstall",
        _ => "install",
    }
}

/// Where the file is, from the root of this machine. `..` behind a name may lead elsewhere than it seems to.
fn path_of(file: &Path) -> Result<RelPath, String> {
    if file == Path::new("-") {
        return Err("a report is written to a file; standard output is for --json".to_owned());
    }
    let mut path = if file.is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().map_err(|error| format!("the current directory is gone: {error}"))?
    };
    let mut named = false;
    for component in file.components() {
        match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir if named => return Err("name it without \"..\" behind a directory".to_owned()),
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => {
                named = true;
                path.push(name);
            }
        }
    }
    let path = path.to_str().ok_or("its name is not UTF-8")?;
    path.trim_start_matches('/').parse().map_err(|error: payload::PathError| error.to_string())
}

/// A page is written of a plan alone.
fn form_of(path: &RelPath, args: &Args) -> Result<Form, String> {
    let suffix = path.name().rsplit_once('.').map_or("", |(_, suffix)| suffix).to_ascii_lowercase();
    let form = match suffix.as_str() {
        "md" => Form::Page(Page::Markdown),
        "html" | "htm" => Form::Page(Page::Html),
        _ => Form::Json,
    };
    let plan = args.dry_run && !args.uninstall && !args.recover;
    if form != Form::Json && !plan {
        return Err("only the plan of --dry-run is written as .md or .html; name it .json".to_owned());
    }
    Ok(form)
}

/// Nothing but an earlier report gives way.
fn require_ours(machine: &Root, path: &RelPath) -> Result<(), String> {
    match machine.look(path).map_err(|error| error.to_string())? {
        Found::Absent => Ok(()),
        Found::File(_) => match machine.read(path, LIMIT) {
            Ok(Some(bytes)) if bytes.is_empty() || is_report(&bytes) || Page::is_one(&bytes) => Ok(()),
            Ok(None) => Ok(()),
            _ => Err("a file is there already that is no report: it was left as it is".to_owned()),
        },
        Found::Hidden => Err("this user is not allowed to look there".to_owned()),
        Found::Directory(_) => Err("it is a directory".to_owned()),
        Found::Link { .. } | Found::Special => {
            Err("what is there is not a regular file: it was left as it is".to_owned())
        }
    }
}

/// What is installed now of the package that the action was about.
fn installed(evidence: &Evidence, args: &Args) -> Option<Installed> {
    let name = evidence.subject()?;
    let receipt = state::read_receipt(&open_root(args).ok()?, &name).ok()??;
    Some(Installed::of(&receipt))
}
