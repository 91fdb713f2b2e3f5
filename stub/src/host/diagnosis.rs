//! Why a service does not run: the last lines of its journal, and the cause that they speak of.
//! That it does not is found out in `unit.rs` and `apply/proof.rs`.

use super::root::Root;
use super::tool::Tool;
use super::unit::Manager;

/// How many lines of the journal are shown.
const LINES: &str = "--lines=12";
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
const SIGNS: [(&str, Cause); 21] = [
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
                "a restriction of the unit stands in the way: `relax` in the manifest, or a drop-in, switches it off"
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

/// Without what an earlier run said that was stopped in order: systemd's word for that depends on its version.
fn of_this_run(unit: &str, journal: &str) -> String {
    let ended = [format!("{unit}: Deactivated successfully."), format!("{unit}: Succeeded.")];
    let lines: Vec<&str> = journal.lines().collect();
    let from = lines.iter().rposition(|line| ended.iter().any(|ended| line == ended)).map_or(0, |at| at + 1);
    let own = lines[from..].iter().skip_while(|line| from > 0 && line.starts_with("Stopped "));
    own.copied().collect::<Vec<_>>().join("\n")
}

/// What can be said of a unit that does not run, in lines to stand below what happened.
pub fn lines(root: &Root, unit: &str) -> Vec<String> {
    let Some(manager) = Manager::of(root) else { return Vec::new() };
    // What was logged a moment ago may not be on its way yet.
    let _ = Tool::Journalctl.run(&["--sync"]);
    let unit_option = format!("--unit={unit}");
    let journal = Tool::Journalctl.run(&["--quiet", "--no-pager", "--output=cat", LINES, &unit_option]);
    let journal = of_this_run(unit, &journal.unwrap_or_default());
    let state = manager.look(unit).map(|state| state.result).unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(cause) = cause(&format!("{state}\n{journal}")) {
        lines.push(format!("likely cause: {}", cause.sentence()));
    }
    let said = journal.lines().filter(|line| !line.trim().is_empty());
    let said: Vec<String> = said.map(|line| format!("  {}", line.chars().take(LENGTH).collect::<String>())).collect();
    if !said.is_empty() {
        lines.push(format!("the last lines of its journal (journalctl -u {unit}):"));
        lines.extend(said);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_said_is_left_out() {
        let journal = "permission denied\nStopping a\na.service: Succeeded.\nStopped a.\nStarted a.\nIt fails.\n";
        assert_eq!(of_this_run("a.service", journal), "Started a.\nIt fails.");
        assert_eq!(of_this_run("b.service", "Started b.\n"), "Started b.");
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
