//! What a step has a program of the machine do: which one, with which arguments.
//! How programs are run is in `host/tool.rs`; when, in `plan/step.rs`.

use payload::{AccountName, RelPath};

use super::Step;
use crate::host::account::{MadeAccount, NO_LOGIN};
use crate::host::tool::Tool;

impl Step {
    /// The command line the step runs, if it runs one.
    pub fn command(&self, machine_root: &std::path::Path) -> Option<Vec<String>> {
        let (tool, arguments) = self.invocation()?;
        let program = tool.find().map_or_else(|| tool.name().to_owned(), |path| path.display().to_string());
        let mut command = arguments;
        if machine_root != std::path::Path::new("/") {
            let root = machine_root.display();
            match tool {
                Tool::Systemctl => command.insert(1, format!("--root={root}")),
                _ if tool.takes_root() => drop(command.splice(0..0, ["--prefix".to_owned(), root.to_string()])),
                _ => {}
            }
        }
        command.insert(0, program);
        Some(command)
    }

    /// The program and its arguments, if the step runs one.
    pub(super) fn invocation(&self) -> Option<(Tool, Vec<String>)> {
        Some(match self {
            Self::CreateGroup(MadeAccount { name, id }) => {
                (Tool::Groupadd, words(&["--system", "--gid", &id.to_string(), name.as_str()]))
            }
            Self::CreateUser { user: MadeAccount { name, id }, group, groups, home } => {
                let (id, home) = (id.to_string(), home.to_string());
                let numbers = words(&["--system", "--uid", &id, "--gid", group.as_str(), "--home-dir", &home]);
                let groups = groups.iter().map(AccountName::as_str).collect::<Vec<_>>().join(",");
                let joined = if groups.is_empty() { Vec::new() } else { words(&["--groups", &groups]) };
                let fixed = words(&["--no-create-home"]);
                let last = words(&["--shell", NO_LOGIN, name.as_str()]);
                (Tool::Useradd, [numbers, fixed, joined, last].concat())
            }
            Self::StopUnit { unit } => (Tool::Systemctl, words(&["stop", "--", unit])),
            Self::RestoreLabels { paths } => (Tool::Restorecon, restorecon(paths)),
            Self::ReloadSystemd => (Tool::Systemctl, words(&["daemon-reload"])),
            Self::EnableUnit { unit } => (Tool::Systemctl, words(&["enable", "--", unit])),
            Self::DisableUnit { unit } => (Tool::Systemctl, words(&["disable", "--", unit])),
            Self::StartUnit { unit } => (Tool::Systemctl, words(&["start", "--", unit])),
            _ => return None,
        })
    }
}

pub fn restorecon(paths: &[RelPath]) -> Vec<String> {
    words(&["--"]).into_iter().chain(paths.iter().map(ToString::to_string)).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
