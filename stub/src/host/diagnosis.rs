//! Why a service does not run: the last lines of its journal, and the cause that they speak of.
//! That it does not is found out in `unit.rs` and `apply/proof.rs`.

use super::root::Root;
use super::tool::Tool;
use super::unit::Manager;

/// How many lines of the journal are read: what a program says that died may be long, and begin with the cause.
const READ: &str = "--lines=200";
/// How many of them are shown.
const SHOWN: usize = 12;
/// A line that is longer says no more.
const LENGTH: usize = 300;

/// What usually keeps a service from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Architecture,
    Processor,
    Glibc,
    Library,
    Program,
    Port,
    Memory,
    Disk,
    Account,
    Sandbox,
    Permission,
}

/// What the journal and the state of a unit say, in small letters; what is more telling stands first.
const SIGNS: [(&str, Cause); 22] = [
    ("exec format error", Cause::Architecture),
    ("status=4/ill", Cause::Processor),
    ("illegal instruction", Cause::Processor),
    ("version `glibc", Cause::Glibc),
    ("error while loading shared libraries", Cause::Library),
    ("address already in use", Cause::Port),
    ("oom-kill", Cause::Memory),
    ("out of memory", Cause::Memory),
    ("cannot allocate memory", Cause::Memory),
    ("requires more system memory", Cause::Memory),
    ("failed to reserve page summary memory", Cause::Memory),
    ("no space left on device", Cause::Disk),
    ("status=216/group", Cause::Account),
    ("status=217/user", Cause::Account),
    ("status=226/namespace", Cause::Sandbox),
    ("status=228/seccomp", Cause::Sandbox),
    ("status=31/sys", Cause::Sandbox),
    ("read-only file system", Cause::Sandbox),
    ("permission denied", Cause::Permission),
    ("operation not permitted", Cause::Permission),
    ("status=200/chdir", Cause::Program),
    ("status=203/exec", Cause::Program),
];

impl Cause {
    /// What it is, and what to do about it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Architecture => "the program is for another architecture: compare uname -m with the package's target",
            Self::Processor => "the program uses instructions that this processor does not have",
            Self::Glibc => "the program needs a newer glibc than this machine has",
            Self::Library => "a library is missing: the package lacks it, or the machine does",
            Self::Program => "the program, the loader that it names, or its working directory is not there",
            Self::Port => "the port is in use: another server listens there already (ss -ltnp says which)",
            Self::Memory => "there is not enough memory: stop what takes it, or deploy smaller models",
            Self::Disk => "the disk is full",
            Self::Account => "the account or group of the service does not exist",
            Self::Sandbox => {
                "a restriction of the unit forbids it: `relax` in the manifest, or a drop-in, switches it off"
            }
            Self::Permission => {
                "a permission is missing: of a directory on the way, of the mount (noexec), or by SELinux"
            }
        }
    }
}

/// The cause that a text speaks of.
pub fn cause(text: &str) -> Option<Cause> {
    let text = text.to_lowercase();
    SIGNS.iter().find(|(sign, _)| text.contains(sign)).map(|(_, cause)| *cause)
}

/// What the last run said that has ended, or the last run of all: a service that systemd starts over and over may be in the
/// next one by now, and what kept an earlier one from running may be mended.
fn of_the_last_run(unit: &str, journal: &str) -> String {
    let lines: Vec<&str> = journal.lines().collect();
    let starts = (0..lines.len()).filter(|at| begins_a_run(lines[*at]));
    let starts: Vec<usize> = starts.map(|at| at - said_before(unit, &lines[..at])).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let runs: Vec<&[&str]> = starts.iter().zip(ends).map(|(start, end)| &lines[*start..end]).collect();
    let ended = [format!("{unit}: Main process exited"), format!("{unit}: Failed with result")];
    let has_ended = |run: &&&[&str]| run.iter().any(|line| ended.iter().any(|ended| line.starts_with(ended)));
    let run = runs.iter().rfind(has_ended).or(runs.last()).copied().unwrap_or(&lines);
    run.join("\n")
}

/// How many of the last lines belong to a run that systemd says to begin only after them: what a program writes that ends at
/// once, or that could not even be executed, may be logged first.
fn said_before(unit: &str, lines: &[&str]) -> usize {
    let ends = ["Main process exited", "Failed with result", "Scheduled restart job", "Deactivated successfully"];
    let ends_a_run = |line: &str| {
        line.starts_with("Stopped ") || ends.iter().any(|words| line.starts_with(&format!("{unit}: {words}")))
    };
    let own = lines.iter().rev().take_while(|line| !ends_a_run(line) && !begins_a_run(line)).count();
    // After a beginning they are those of the run that began.
    if lines[..lines.len() - own].last().is_some_and(|line| begins_a_run(line)) { 0 } else { own }
}

/// `Started ollama.service - Ollama LLM Server.`, or without the unit's name before systemd 250.
fn begins_a_run(line: &str) -> bool {
    ["Started ", "Starting "].iter().any(|word| line.starts_with(word)) && line.ends_with('.')
}

/// What can be said of a unit that does not run, in lines to stand below what happened.
pub fn lines(root: &Root, unit: &str) -> Vec<String> {
    let Some(manager) = Manager::of(root) else { return Vec::new() };
    // What was logged a moment ago may not be on its way yet.
    let _ = Tool::Journalctl.run(&["--sync"]);
    let unit_option = format!("--unit={unit}");
    let journal = Tool::Journalctl.run(&["--quiet", "--no-pager", "--output=cat", READ, &unit_option]);
    let journal = of_the_last_run(unit, &journal.unwrap_or_default());
    let state = manager.look(unit).map(|state| state.result).unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(cause) = cause(&format!("{state}\n{journal}")) {
        lines.push(format!("likely cause: {}", cause.sentence()));
    }
    let said: Vec<&str> = journal.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &said[said.len().saturating_sub(SHOWN)..];
    if !last.is_empty() {
        lines.push(format!("the last lines of its journal (journalctl -u {unit}):"));
        let shown = last.iter().map(|line| line.replace('\t', "  ").chars().take(LENGTH).collect::<String>());
        lines.extend(shown.map(|line| format!("  {line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_that_of_the_last_run_that_ended() {
        let run = |word: &str, said: &str| format!("{word} a\u{2026} it.\n{said}\n");
        let failed = |said: &str| run("Started", &format!("{said}\na.service: Main process exited, code=exited"));
        let of = |runs: &[String]| cause(&of_the_last_run("a.service", &runs.concat()));
        let (library, port) = (failed("error while loading shared libraries"), failed("address already in use"));
        assert_eq!(of(&[library.clone(), port.clone()]), Some(Cause::Port));
        assert_eq!(of(&[port, library.clone()]), Some(Cause::Library));
        assert_eq!(of(&[library.clone(), failed("nothing that is known")]), None);
        // systemd has just begun with the next attempt.
        assert_eq!(of(&[library.clone(), run("Started", "")]), Some(Cause::Library));
        let foreign =
            "a.service: Failed to execute /a: Exec format error\na.service: Failed at step EXEC spawning /a\n";
        let foreign = format!("{foreign}{}", failed("status=203/EXEC"));
        assert_eq!(of(&[failed("permission denied"), foreign]), Some(Cause::Architecture));
        // One that was stopped in order, and one that was never seen to end.
        assert_eq!(of(&[run("Starting", "permission denied"), run("Started", "it works")]), None);
        // Too quick for systemd.
        let early =
            "a directory that is not there\nStarted a\u{2026} it.\na.service: Main process exited, code=exited\n";
        assert!(of_the_last_run("a.service", &format!("{library}{early}")).starts_with("a directory"));
        assert!(of_the_last_run("a.service", early).starts_with("a directory"));
        assert_eq!(of_the_last_run("a.service", "what it says has no beginning\n"), "what it says has no beginning");
    }

    #[test]
    fn the_cause_is_what_the_journal_speaks_of() {
        for (text, expected) in [
            (
                "ollama.service: Failed at step EXEC spawning /opt/ollama/bin/ollama: Exec format error",
                Cause::Architecture,
            ),
            ("/opt/ollama/bin/ollama: /lib/libc.so.6: version `GLIBC_2.38' not found (required by …)", Cause::Glibc),
            ("ollama: error while loading shared libraries: libstdc++.so.6: cannot open …", Cause::Library),
            ("Error: listen tcp 127.0.0.1:11434: bind: address already in use", Cause::Port),
            ("Error: could not create directory mkdir /opt/ollama/.ollama: permission denied", Cause::Permission),
            ("oom-kill\nollama.service: A process of this unit has been killed by the OOM killer.", Cause::Memory),
            ("ollama.service: Main process exited, code=exited, status=203/EXEC", Cause::Program),
            ("x.service: Main process exited, code=dumped, status=4/ILL", Cause::Processor),
            ("x.service: Main process exited, code=exited, status=226/NAMESPACE", Cause::Sandbox),
            ("x: Failed at step EXEC spawning /opt/x: Permission denied\nstatus=203/EXEC", Cause::Permission),
        ] {
            assert_eq!(cause(text), Some(expected), "{text}");
        }
        assert_eq!(cause("Started ollama.service - Ollama LLM Server."), None);
    }
}
