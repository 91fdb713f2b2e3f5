//! The Ollama that a machine has already: found by the unit of its service, whoever installed it.
//! What follows for a package of models is decided in `plan/store.rs`.

use std::collections::BTreeMap;

use payload::{AccountName, Owner, RelPath};

use super::account::{self, AccountError};
use super::root::{Found, Root};

/// A service that runs Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Such as `ollama.service`.
    pub unit: String,
    /// Its unit file.
    pub path: RelPath,
    /// Where it keeps its models, or why nobody can say.
    pub store: Result<RelPath, String>,
    /// What it runs as; root when there is no such account.
    pub owner: Owner,
    /// Where it is told to listen (`OLLAMA_HOST`); empty when nobody told it.
    pub listens: String,
}

/// In systemd's order: what stands earlier hides what has the same name later.
const DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Unit files and environment files are never larger.
const LIMIT: u64 = 1 << 20;
/// Where Ollama keeps its models below its home.
const BELOW_HOME: &str = "/.ollama/models";

/// The services of this machine that run Ollama: `ollama.service` alone when there is one.
///
/// # Errors
/// The accounts of the machine, or its unit files, cannot be read.
pub fn services(root: &Root) -> Result<Vec<Service>, AccountError> {
    let mut services = all(root)?;
    if let Some(usual) = services.iter().position(|service| service.unit == "ollama.service") {
        services = vec![services.swap_remove(usual)];
    }
    Ok(services)
}

/// Where the service `unit` is told to listen; empty when nobody told it.
///
/// # Errors
/// As [`services`].
pub fn listens(root: &Root, unit: &str) -> Result<String, AccountError> {
    let service = all(root)?.into_iter().find(|service| service.unit == unit);
    Ok(service.map(|service| service.listens).unwrap_or_default())
}

fn all(root: &Root) -> Result<Vec<Service>, AccountError> {
    let mut units: BTreeMap<String, RelPath> = BTreeMap::new();
    for directory in directories() {
        for name in root.names(&directory)?.into_iter().filter(|name| name.ends_with(".service")) {
            if let Ok(path) = directory.join(&name) {
                units.entry(name).or_insert(path);
            }
        }
    }
    let mut services = Vec::new();
    for (unit, path) in units {
        let Some(text) = read(root, &path)? else { continue };
        if !settings(&text).any(|(key, value)| key == "ExecStart" && serves(value)) {
            continue;
        }
        services.push(look(root, unit, path, text)?);
    }
    Ok(services)
}

fn directories() -> impl Iterator<Item = RelPath> {
    DIRECTORIES.iter().filter_map(|directory| directory.parse().ok())
}

/// A unit may be a link to its file; one to `/dev/null` hides it.
fn read(root: &Root, path: &RelPath) -> Result<Option<String>, AccountError> {
    let file = match root.look(path)? {
        Found::File(_) => Some(path.clone()),
        Found::Link { target } => match target.strip_prefix('/') {
            Some(below) => below.parse().ok(),
            None => path.resolve_link(&target),
        },
        _ => None,
    };
    let Some(file) = file else { return Ok(None) };
    if !matches!(root.look(&file)?, Found::File(_)) {
        return Ok(None);
    }
    // A line goes on after a backslash at its end.
    Ok(root.read(&file, LIMIT)?.map(|bytes| String::from_utf8_lossy(&bytes).replace("\\\n", " ")))
}

/// The unit with its drop-ins, in the order in which systemd reads them.
fn look(root: &Root, unit: String, path: RelPath, mut text: String) -> Result<Service, AccountError> {
    let mut drop_ins: BTreeMap<String, RelPath> = BTreeMap::new();
    for below in [format!("{unit}.d"), "service.d".to_owned()] {
        for directory in directories().filter_map(|directory| directory.join(&below).ok()) {
            for name in root.names(&directory)?.into_iter().filter(|name| name.strip_suffix(".conf").is_some()) {
                if let Ok(path) = directory.join(&name) {
                    drop_ins.entry(name).or_insert(path);
                }
            }
        }
    }
    for drop_in in drop_ins.values() {
        text.push_str("\n[Service]\n");
        text.push_str(&read(root, drop_in)?.unwrap_or_default());
    }
    let environment = environment(root, &text)?;
    let last = |wanted: &str| settings(&text).filter(|(key, _)| *key == wanted).last().map(|(_, value)| value);
    let name = last("User").filter(|name| !name.is_empty()).unwrap_or("root");
    let user = if is_account(name) { account::named_user(root, name)? } else { None };
    let home = environment.get("HOME").cloned().or_else(|| user.as_ref().map(|(_, user)| user.home.clone()));
    let given = environment.get("OLLAMA_MODELS").map(|value| value.trim_matches([' ', '"', '\'']).to_owned());
    let store = match (given.filter(|value| !value.is_empty()), home) {
        _ if last("RootDirectory").or_else(|| last("RootImage")).is_some_and(|value| !value.is_empty()) => {
            Err("runs below a root directory of its own".to_owned())
        }
        (Some(store), _) => absolute(&store),
        (None, Some(home)) => absolute(&format!("{home}{BELOW_HOME}")),
        (None, None) => Err(format!("runs as {name}, whose home nobody knows")),
    };
    let owner = match user {
        None => Owner::root(),
        Some((user, facts)) => {
            let given = match last("Group").filter(|group| is_account(group)) {
                Some(group) => account::group_name(root, group)?,
                None => None,
            };
            let group = match given {
                Some(group) => Some(group),
                None => account::group_name(root, &facts.gid.to_string())?,
            };
            group.map_or_else(Owner::root, |group| Owner { user, group })
        }
    };
    let listens = environment.get("OLLAMA_HOST").cloned().unwrap_or_default();
    Ok(Service { unit, path, store, owner, listens })
}

/// Whether `User=` or `Group=` is a name or a number, rather than a specifier or nothing.
fn is_account(text: &str) -> bool {
    text.parse::<AccountName>().is_ok() || text.parse::<u32>().is_ok()
}

/// `Key=value` lines of `[Service]`.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut inside = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[Service]";
        }
        let (key, value) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))?;
        Some((key.trim(), value.trim()))
    })
}

/// Whether a command line runs `ollama serve`, however it is wrapped.
fn serves(command: &str) -> bool {
    let bare = |word: &str| word.trim_matches(['"', '\'', '-', '@', ':', '+', '!', '|']).to_owned();
    let words: Vec<String> = command.split_whitespace().map(bare).collect();
    let program = words.iter().position(|word| word.rsplit('/').next() == Some("ollama"));
    program.is_some_and(|at| words[at..].iter().any(|word| word == "serve"))
}

/// The variables a service is started with; those of files win.
fn environment(root: &Root, text: &str) -> Result<BTreeMap<String, String>, AccountError> {
    let (mut variables, mut files) = (BTreeMap::new(), Vec::new());
    for (key, value) in settings(text) {
        match (key, value) {
            ("Environment", "") => variables.clear(),
            ("Environment", value) => variables.extend(assignments(value)),
            ("EnvironmentFile", "") => files.clear(),
            ("EnvironmentFile", file) => files.push(file.trim_start_matches('-').trim_start_matches('/').to_owned()),
            _ => {}
        }
    }
    for file in files.iter().filter_map(|file| file.parse::<RelPath>().ok()) {
        let text = read(root, &file)?.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        variables.extend(lines.filter_map(assignment));
    }
    Ok(variables)
}

/// The words of `Environment=`: quoted as a whole or in part, with `\` before a character that means itself.
fn assignments(line: &str) -> Vec<(String, String)> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.extend(characters.next()),
            (character, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            (' ' | '\t', None) => words.push(std::mem::take(&mut word)),
            (character, _) => word.push(character),
        }
    }
    words.push(word);
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A line of an environment file: everything after `=` is the value, with or without quotes around it.
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()))
}

/// A path as systemd writes it: `%%` is a percent sign, any other specifier is systemd's secret.
fn absolute(text: &str) -> Result<RelPath, String> {
    let plain = text.replace("%%", "\0");
    let unclear = || format!("keeps its models in {}, which is no plain absolute path", payload::printable(text));
    let below = plain.strip_prefix('/').filter(|_| !plain.contains('%')).ok_or_else(unclear)?;
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/").replace('\0', "%").parse().map_err(|_| unclear())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_serves_is_a_service() {
        assert!(serves("/usr/local/bin/ollama serve"));
        assert!(serves("-/usr/bin/numactl --interleave=all /opt/ollama/bin/ollama serve"));
        assert!(!serves("/usr/local/bin/ollama pull llama3"));
        assert!(!serves("/usr/bin/rsync /opt/ollama/models backup:/srv"));
    }

    #[test]
    fn environments_are_read_as_systemd_writes_them() {
        let read = assignments(r#""OLLAMA_MODELS=/srv/my models" HOME=/x "A=\"b\"""#);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("OLLAMA_MODELS", "/srv/my models"), pair("HOME", "/x"), pair("A", "\"b\"")]);
        assert_eq!(absolute("/srv//models/./x/").unwrap().as_str(), "srv/models/x");
        assert_eq!(absolute("/srv/100%%").unwrap().as_str(), "srv/100%");
        for unclear in ["%h/models", "models", "/srv/../etc", "/"] {
            assert!(absolute(unclear).is_err(), "{unclear}");
        }
    }

    #[test]
    fn a_line_of_an_environment_file_is_one_variable() {
        let pair = |value: &str| Some(("OLLAMA_MODELS".to_owned(), value.to_owned()));
        assert_eq!(assignment("OLLAMA_MODELS=/srv/my models A=1"), pair("/srv/my models A=1"));
        assert_eq!(assignment("OLLAMA_MODELS = '/srv/my models'"), pair("/srv/my models"));
        assert_eq!(assignment("nothing"), None);
        assert!(is_account("ollama") && is_account("998") && !is_account("%i") && !is_account(""));
    }

    #[test]
    fn settings_are_those_of_the_service() {
        let text = "[Unit]\nUser=no\n[Service]\n# User=no\nUser = ollama\n[Install]\nUser=no\n";
        assert_eq!(settings(text).collect::<Vec<_>>(), [("User", "ollama")]);
    }
}
