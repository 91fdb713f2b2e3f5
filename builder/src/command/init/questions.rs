//! The questions of `builder init`: one line each, in a terminal that shows what is typed as it always does. Enter takes what
//! stands in brackets. By hand, without a crate: lines work on every terminal, for screen readers too, and Ctrl-C ends the
//! program as it does everywhere.

use std::io::{self, BufRead, IsTerminal, Write};

use builder::manifest::init::{Answers, Kind, ModelSource};

use super::{Draft, Failure};
use crate::command::cli::InitArgs;
use crate::command::output::warn;

/// Both ends of a terminal: what is typed, and what is read by the one who types.
pub struct Terminal {
    input: io::StdinLock<'static>,
}

/// What a question is about, and where its answer goes.
struct Question {
    text: &'static str,
    /// What Enter takes.
    usual: fn(&Answers) -> String,
    set: fn(&mut Answers, &str),
    /// Whether an option has answered it.
    is_given: fn(&InitArgs) -> bool,
    only_for: Option<Kind>,
}

const QUESTIONS: &[Question] = &[
    Question {
        text: "Ollama's release",
        usual: |answers| answers.ollama.clone().unwrap_or_default(),
        set: |answers, text| answers.ollama = Some(text.to_owned()),
        is_given: |args| args.ollama.is_some(),
        only_for: Some(Kind::Full),
    },
    Question {
        text: "Models (names in Ollama's registry, files, or URL#sha256=DIGEST; several with commas)",
        usual: |answers| listed(answers.models.as_deref()),
        set: |answers, text| answers.models = Some(read_list(text)),
        is_given: |args| !args.models.is_empty(),
        only_for: None,
    },
    Question {
        text: "Optional models, left out without --include (or: none)",
        usual: |answers| listed(answers.optional.as_deref()),
        set: |answers, text| answers.optional = Some(read_list(text)),
        is_given: |args| !args.optional.is_empty(),
        only_for: None,
    },
    Question {
        text: "Name of the package",
        usual: |answers| answers.name.clone().unwrap_or_default(),
        set: |answers, text| answers.name = Some(text.to_owned()),
        is_given: |args| args.name.is_some(),
        only_for: None,
    },
    Question {
        text: "Version of the package",
        usual: |answers| answers.version.clone().unwrap_or_default(),
        set: |answers, text| answers.version = Some(text.to_owned()),
        is_given: |args| args.package_version.is_some(),
        only_for: None,
    },
    Question {
        text: "Description, in one line",
        usual: |answers| answers.description.clone().unwrap_or_default(),
        set: |answers, text| answers.description = Some(text.to_owned()),
        is_given: |args| args.description.is_some(),
        only_for: None,
    },
    Question {
        text: "Directory on the target",
        usual: |answers| answers.prefix.clone().unwrap_or_default(),
        set: |answers, text| answers.prefix = Some(text.to_owned()),
        is_given: |args| args.prefix.is_some(),
        only_for: None,
    },
    Question {
        text: "User of the service",
        usual: |answers| answers.user.clone().unwrap_or_default(),
        set: |answers, text| answers.user = Some(text.to_owned()),
        is_given: |args| args.user.is_some(),
        only_for: None,
    },
];

fn listed(models: Option<&[ModelSource]>) -> String {
    let all: Vec<String> = models.unwrap_or_default().iter().map(ModelSource::to_string).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn read_list(text: &str) -> Vec<ModelSource> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "none");
    words.map(ModelSource::parse).collect()
}

impl Terminal {
    /// The terminal, when somebody sits before it.
    pub fn open() -> Option<Self> {
        let is_there = io::stdin().is_terminal() && io::stderr().is_terminal();
        is_there.then(|| Self { input: io::stdin().lock() })
    }

    /// Asks what no option has answered, until each answer is one that a manifest takes.
    pub fn ask(&mut self, draft: &mut Draft, args: &InitArgs) -> Result<(), Failure> {
        warn("Enter takes what stands in brackets; Ctrl-C ends this, and nothing is written.");
        if args.kind.is_none() {
            draft.kind = self.kind(draft.kind)?;
            if args.output.is_none() {
                draft.path = draft.kind.file_name().into();
            }
        }
        for question in QUESTIONS {
            let applies = question.only_for.is_none_or(|kind| kind == draft.kind);
            if applies && !(question.is_given)(args) {
                self.answer(question, draft)?;
            }
        }
        while args.output.is_none() {
            let usual = draft.path.display().to_string();
            let text = self.line("File to write", &usual)?;
            draft.path = if text.is_empty() { usual } else { text }.into();
            match draft.refuse_existing() {
                Ok(()) => break,
                Err(failure) => warn(&failure.what),
            }
        }
        Ok(())
    }

    fn kind(&mut self, usual: Kind) -> Result<Kind, Failure> {
        loop {
            let text = self.line(
                "full: Ollama, models and the service; update: models for an Ollama that is there",
                usual.name(),
            )?;
            match text.parse() {
                _ if text.is_empty() => return Ok(usual),
                Ok(kind) => return Ok(kind),
                Err(problem) => warn(&problem),
            }
        }
    }

    fn answer(&mut self, question: &Question, draft: &mut Draft) -> Result<(), Failure> {
        loop {
            let usual = (question.usual)(&draft.answers.completed(draft.kind));
            let text = self.line(question.text, &usual)?;
            if text.is_empty() {
                return Ok(());
            }
            let before = draft.answers.clone();
            (question.set)(&mut draft.answers, &text);
            match draft.checked() {
                Ok(_) => return Ok(()),
                Err(failure) => {
                    warn(&format!("{}{}", failure.above, failure.what));
                    draft.answers = before;
                }
            }
        }
    }

    /// One line of what is typed, without blanks around it.
    fn line(&mut self, question: &str, usual: &str) -> Result<String, Failure> {
        ask(question, usual);
        let mut text = String::new();
        match self.input.read_line(&mut text) {
            Ok(read) if read > 0 => Ok(text.trim().to_owned()),
            Ok(_) => Err(unanswered("the answers ended too early")),
            Err(error) => Err(unanswered(&format!("cannot read the answer: {error}"))),
        }
    }
}

/// Standard error is free again before anything is waited for: who presses Ctrl-C is told what became of it there.
fn ask(question: &str, usual: &str) {
    let mut screen = io::stderr().lock();
    // A terminal that went away ends the next reading.
    let _ = write!(screen, "{question} [{}]: ", payload::printable(usual)).and_then(|()| screen.flush());
}

fn unanswered(problem: &str) -> Failure {
    let hint = "answer them all, or give the answers as options: `builder init --help`";
    Failure::new(2, format!("{problem}: nothing was written"), hint)
}
