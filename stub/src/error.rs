//! The one error that reaches the administrator: what failed, what state the machine is in, what to type next.
//! Errors of the single parts live with them, and with them what they become here.

use payload::PayloadError;

use crate::exit::Exit;

/// Something that keeps an installation from being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub exit: Exit,
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Why the program ends with another code than 0.
#[derive(Debug, Clone)]
pub struct Error {
    exit: Exit,
    what: String,
    /// The state of the machine.
    state: Option<String>,
    hint: Option<String>,
    findings: Vec<Finding>,
}

impl Error {
    /// An error with nothing more to say than what failed.
    pub fn new(exit: Exit, what: String) -> Self {
        Self { exit, what, state: None, hint: None, findings: Vec::new() }
    }

    /// Adds the state the machine is in.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds something else that failed, which does not hide the first.
    #[must_use]
    pub fn and_also(mut self, what: &str) -> Self {
        self.what = format!("{}\nand {what}", self.what);
        self
    }

    /// Somebody asked the program to stop, before it changed anything.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted".to_owned()).state(NOTHING_CHANGED).hint("run the same command again")
    }

    /// The `.run` file cannot be used.
    pub fn payload(error: &PayloadError) -> Self {
        match error {
            PayloadError::Damaged { .. } => Self::new(Exit::Damaged, format!("the package is damaged: {error}"))
                .state(NOTHING_CHANGED)
                .hint("copy it again from where it was built, then compare with --verify"),
            PayloadError::NotTrusted(_) => Self::new(Exit::NotTrusted, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("ask for a package signed by a key in /etc/airgap-deploy/trusted-keys"),
            PayloadError::Volume { .. } => Self::new(Exit::Damaged, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("copy that volume again from where the package was built, then compare with --verify"),
            PayloadError::Volumes(_) if !error.missing().is_empty() => Self::new(Exit::Damaged, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("copy the damaged ones again from where the package was built, name the directories of the missing ones (--volumes DIR), then compare with --verify"),
            PayloadError::Volumes(_) => Self::new(Exit::Damaged, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("copy these volumes again from where the package was built, then compare with --verify"),
            PayloadError::Missing { .. } => Self::new(Exit::VolumeMissing, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("put them beside the first volume, or name the directory of each: --volumes DIR; if there is only one file, it was cut off: copy it again"),
            PayloadError::NoPayload(_) => Self::new(Exit::Damaged, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("name the package: --payload FILE"),
            PayloadError::Format(_) => Self::new(Exit::FormatNotReadable, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("build the package again with the builder of this program's version, or use the installer that is in the package: docs/trust.md"),
            PayloadError::Interrupted => Self::interrupted(),
            PayloadError::Read { .. } | PayloadError::Write { .. } => Self::new(Exit::Damaged, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("check the medium and the permissions of the file"),
        }
    }

    /// Preflight found something.
    pub fn refused(findings: Vec<Finding>) -> Self {
        let exit = findings.first().map_or(Exit::Bug, |finding| finding.exit);
        let what = match findings.as_slice() {
            [only] => only.what.clone(),
            many => format!("{} problems", many.len()),
        };
        let hint = match findings.as_slice() {
            [only] => Some(only.hint.clone()),
            _ => None,
        };
        Self { exit, what, state: Some(NOTHING_CHANGED.to_owned()), hint, findings }
    }

    /// The code the program ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What failed.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What failed, and what was found, without line ends.
    pub fn in_one_line(&self) -> String {
        let what = self.what.lines().map(str::trim).collect::<Vec<_>>().join("; ").replace(":; ", ": ");
        if self.findings.len() < 2 {
            return what;
        }
        let findings: Vec<&str> = self.findings.iter().map(|finding| finding.what.as_str()).collect();
        format!("{what}: {}", findings.join("; "))
    }

    /// All lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut what = self.what.lines().map(payload::printable);
        let mut lines = vec![format!("error: {}", what.next().unwrap_or_default())];
        lines.extend(what);
        if self.findings.len() > 1 {
            for finding in &self.findings {
                lines.push(format!("  - {}", payload::printable(&finding.what)));
                lines.push(format!("    next: {}", finding.hint));
            }
        }
        if let Some(state) = &self.state {
            lines.push(format!("state: {state}"));
        }
        if let Some(hint) = &self.hint {
            lines.push(format!("next:  {hint}"));
        }
        lines
    }

    /// The same for programs.
    pub fn to_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|finding| serde_json::json!({"exit_code": finding.exit as u8, "what": finding.what, "hint": finding.hint}))
            .collect();
        serde_json::json!({
            "error": 1,
            "exit_code": self.exit as u8,
            "what": self.what,
            "state": self.state,
            "hint": self.hint,
            "findings": findings,
        })
    }
}

pub const NOTHING_CHANGED: &str = "nothing was changed";
