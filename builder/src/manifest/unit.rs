//! A look at systemd units in the manifest: mistakes that would only show when the service fails to start.
//! Only warnings come from here; the unit is installed exactly as it is written.

use std::ops::Range;

use payload::{Owner, RelPath};
use toml::Spanned;

use super::Install;
use super::component::Draft;
use super::diagnostic::{Diagnostic, Findings};

const UNIT_DIRECTORIES: &[&str] =
    &["etc/systemd/system/", "usr/lib/systemd/system/", "lib/systemd/system/", "usr/local/lib/systemd/system/"];
const UNIT_SUFFIXES: &[&str] = &[".service", ".socket", ".timer", ".path", ".mount", ".target"];

/// Warns about units that do not fit the rest of the manifest.
pub(super) fn check(drafts: &[Draft<'_>], install: &Install, text: &str, findings: &Findings) {
    let provided: Vec<&RelPath> =
        drafts.iter().filter_map(|draft| Some(&draft.path.as_ref()?.as_ref().ok()?.get_ref().path)).collect();
    for draft in drafts {
        if let (Some(content), true) = (&draft.content, is_unit(draft)) {
            let unit = Unit { content, text, findings };
            unit.check_programs(install, &provided);
            unit.check_account(install.account.as_ref());
        }
    }
}

fn is_unit(draft: &Draft<'_>) -> bool {
    let named = draft.name.as_ref().is_ok_and(|name| name.get_ref().ends_with(".service"));
    let placed = match &draft.path {
        Some(Ok(path)) => {
            let path = path.get_ref().path.as_str();
            UNIT_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
                && UNIT_SUFFIXES.iter().any(|suffix| path.ends_with(suffix))
        }
        _ => false,
    };
    named || placed
}

struct Unit<'a> {
    content: &'a Spanned<&'a str>,
    text: &'a str,
    findings: &'a Findings,
}

impl Unit<'_> {
    /// `Exec…=` lines that start something below the prefix that nothing puts there.
    fn check_programs(&self, install: &Install, provided: &[&RelPath]) {
        for (line, key, value) in self.settings() {
            if !matches!(key, "ExecStart" | "ExecStartPre" | "ExecStartPost" | "ExecReload" | "ExecStop") {
                continue;
            }
            let command = value.trim_start_matches(['@', '-', ':', '+', '!', '|']);
            let program = command.split_whitespace().next().unwrap_or_default().trim_matches('"');
            let Some(path) = program.strip_prefix('/').and_then(|path| path.parse::<RelPath>().ok()) else { continue };
            if path.starts_with(&install.prefix) && !provided.contains(&&path) {
                let diagnostic = Diagnostic::warning(self.place(line), format!("no component installs {path}"));
                let mut diagnostic = diagnostic.label("the service would start this program");
                if let Some(same) = provided.iter().find(|provided| provided.name() == path.name()) {
                    diagnostic = diagnostic.help(format!("{} is installed at {same}", path.name()));
                }
                self.findings.warn(diagnostic);
            }
        }
    }

    /// `User=` and `Group=` against `[install]`.
    fn check_account(&self, account: Option<&Owner>) {
        let mut has_user = false;
        for (line, key, value) in self.settings() {
            has_user |= matches!((key, value), ("User", _) | ("DynamicUser", "yes" | "true" | "1" | "on"));
            let expected = match (key, account) {
                ("User", account) => account.map(|owner| &owner.user),
                ("Group", account) => account.map(|owner| &owner.group),
                _ => continue,
            };
            let message = match expected {
                Some(name) if name.as_str() == value => continue,
                Some(name) => format!("the unit says {key}={value}, [install] says {name}"),
                None if value == "root" => continue,
                None => format!("the unit says {key}={value}, but the manifest makes no account"),
            };
            let diagnostic = Diagnostic::warning(self.place(line), message);
            let help = match expected {
                Some(name) if matches!(value, "root" | "0") => {
                    format!("let both agree: write {key}={name} in the unit")
                }
                _ => format!("let both agree: `{} = {value:?}` in [install]", key.to_lowercase()),
            };
            self.findings.warn(diagnostic.help(help));
        }
        let starts = self.settings().find(|(_, key, _)| *key == "ExecStart");
        if let (Some((line, _, _)), Some(owner), false) = (starts, account, has_user) {
            let diagnostic =
                Diagnostic::warning(self.place(line), "the unit has no User=: the service would run as root");
            self.findings.warn(diagnostic.help(format!("add `User={}` to its [Service] section", owner.user)));
        }
    }

    /// Lines of the form `Key=value`: the line, the key, the value.
    fn settings(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let lines = self.content.get_ref().lines().filter(|line| !line.trim_start().starts_with(['#', ';', '[']));
        lines.filter_map(|line| line.split_once('=').map(|(key, value)| (line, key.trim(), value.trim())))
    }

    /// Where a line of the content stands in the manifest; the whole content when escapes hide it.
    fn place(&self, line: &str) -> Range<usize> {
        let span = self.content.span();
        let written = self.text.get(span.clone()).unwrap_or_default();
        match written.find(line) {
            Some(at) => span.start + at..span.start + at + line.len(),
            None => span,
        }
    }
}
