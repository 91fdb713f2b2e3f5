//! `builder init`: a manifest to start from, out of options and of answers at a terminal.
//! The texts, and what answers make of them, are the library's; questions are put in `init/questions.rs`.

mod questions;

use std::io::Write;
use std::path::{Path, PathBuf};

use builder::manifest::init::{Answers, Kind, ModelSource, fill_in};
use builder::manifest::parse;
use builder::{BuildError, check};
use payload::index::Arch;

use super::Failure;
use super::cli::InitArgs;
use super::output::{say, typed};
use questions::Terminal;

/// A manifest that is going to be written.
struct Draft {
    kind: Kind,
    answers: Answers,
    path: PathBuf,
}

pub fn init(args: &InitArgs) -> Result<(), Failure> {
    let kind = args.kind.unwrap_or_default();
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(kind.file_name()));
    let mut draft = Draft { kind, answers: given(args), path };
    if kind == Kind::Update && args.ollama.is_some() {
        let hint = "leave it out, or begin with `builder init full`";
        return Err(Failure::new(2, "an update brings no Ollama, so --ollama says nothing in it".to_owned(), hint));
    }
    match Terminal::open().filter(|_| !args.defaults && !args.out.json && !args.out.quiet) {
        Some(mut terminal) => {
            // Nobody answers a dozen questions for a file that cannot be written.
            if args.output.is_some() {
                draft.refuse_existing()?;
            }
            terminal.ask(&mut draft, args)?;
        }
        None => draft.refuse_existing()?,
    }
    let text = draft.checked()?;
    write(&draft.path, &text)?;
    say(args.out, &format!("wrote {}", draft.path.display()));
    let name = typed(&draft.path.display().to_string());
    say(args.out, &format!("next: edit it, then builder check {name} and builder --manifest {name}"));
    Ok(())
}

/// What the options say.
fn given(args: &InitArgs) -> Answers {
    let models = |all: &[String]| {
        let none = all.iter().all(|one| one.is_empty() || one == "none");
        let all = all.iter().map(|one| ModelSource::parse(one));
        if none { Vec::new() } else { all.collect() }
    };
    let listed = |all: &[String]| (!all.is_empty()).then(|| models(all));
    Answers {
        name: args.name.clone(),
        version: args.package_version.clone(),
        description: args.description.clone(),
        prefix: args.prefix.clone(),
        user: args.user.clone(),
        ollama: args.ollama.clone(),
        models: listed(&args.models),
        optional: listed(&args.optional),
    }
}

impl Draft {
    fn file(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        if self.path.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(unwritable(&self.path, "it is there already"))
    }

    fn text(&self) -> Result<String, Failure> {
        let text = fill_in(self.kind, &self.answers, &self.file());
        text.map_err(|error| Failure::new(1, format!("a manifest to start from is broken: {error}"), "report this"))
    }

    /// The text, which `builder check` takes.
    fn checked(&self) -> Result<String, Failure> {
        let text = self.text()?;
        if let Some(prefix) = &self.answers.prefix
            && prefix.chars().any(|letter| letter.is_whitespace() || "%\"'\\$;".contains(letter))
        {
            let what = format!("a unit cannot be made for the prefix {prefix:?}");
            return Err(Failure::new(
                40,
                what,
                "choose a directory without blanks and special characters, such as /opt/ollama",
            ));
        }
        let parsed = parse(&self.path, text.as_bytes(), Arch::X86_64).map_err(|errors| {
            let mut failure = Failure::from(BuildError::from(errors));
            "nothing was written; correct what was answered".clone_into(&mut failure.hint);
            failure
        })?;
        match check(&parsed.manifest).into_iter().next() {
            None => Ok(text),
            Some(problem) => {
                Err(Failure::new(problem.exit_code, problem.what, "nothing was written; correct what was answered"))
            }
        }
    }
}

fn unwritable(path: &Path, problem: &str) -> Failure {
    Failure::new(44, format!("cannot write {}: {problem}", path.display()), "name another file: --output PATH")
}

/// The whole file under its name, or nothing.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| unwritable(path, &error.to_string());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut file = builder.permissions(permissions).tempfile_in(directory).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    file.persist_noclobber(path).map(drop).map_err(|error| failed(&error.error))
}
