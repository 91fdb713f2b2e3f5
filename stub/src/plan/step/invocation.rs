//! What a step has a program of the machine do: which one, with which arguments.
//! How programs are run is in `host/tool.rs`; when, in `plan/step.rs`.

use payload::{AccountName, RelPath};

use super::Step;
use crate::host::account::MadeAccount;
use crate::host::tool::Tool;

impl Step {
    /// The program and its arguments, if the step runs one.
    pub(super) fn invocation(&self, root: &std::path::Path) -> Option<(Tool, Vec<String>)> {
        let mut arguments = Vec::new();
        if root != std::path::Path::new("/") {
            arguments.extend(["--prefix".to_owned(), root.display().to_string()]);
        }
        let tool = match self {
            Self::CreateGroup(MadeAccount { name, id }) => {
                arguments.extend(words(&["--system", "--gid", &id.to_string(), name.as_str()]));
                Tool::Groupadd
            }
            Self::CreateUser { user: MadeAccount { name, id }, group, groups, home } => {
                let (id, home) = (id.to_string(), home.to_string());
                arguments.extend(words(&["--system", "--uid", &id, "--gid", group.as_str()]));
                arguments.extend(words(&["--home-dir", &home, "--no-create-home"]));
                let groups: Vec<&str> = groups.iter().map(AccountName::as_str).collect();
                let joined = (!groups.is_empty()).then(|| ["--groups".to_owned(), groups.join(",")]);
                arguments.extend(joined.into_iter().flatten());
                arguments.extend(["--shell", "/usr/sbin/nologin", name.as_str()].map(str::to_owned));
                Tool::Useradd
            }
            Self::StopUnit { unit } => return Some((Tool::Systemctl, words(&["stop", "--", unit]))),
            Self::RestoreLabels { paths } => return Some((Tool::Restorecon, restorecon(paths))),
            Self::ReloadSystemd => return Some((Tool::Systemctl, words(&["daemon-reload"]))),
            Self::EnableUnit { unit } => return Some((Tool::Systemctl, words(&["enable", "--", unit]))),
            Self::DisableUnit { unit } => return Some((Tool::Systemctl, words(&["disable", "--", unit]))),
            Self::StartUnit { unit } => return Some((Tool::Systemctl, words(&["start", "--", unit]))),
            _ => return None,
        };
        Some((tool, arguments))
    }
}

pub fn restorecon(paths: &[RelPath]) -> Vec<String> {
    words(&["--"]).into_iter().chain(paths.iter().map(ToString::to_string)).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
