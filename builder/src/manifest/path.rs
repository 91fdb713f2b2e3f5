//! Where things go on the target: the prefix, paths below it, absolute paths, and places that no package may touch.
//! What is put there, and with which permissions, is read in `component.rs`.

use std::ops::Range;

use payload::RelPath;
use payload::index::{command_problem, file_problem, prefix_problem};
use payload::names::{COMMAND, DROP_IN, STATE_DIRECTORY};
use toml::Spanned;
use toml::de::DeValue;

use super::InstallPath;
use super::diagnostic::{Diagnostic, Findings, Reported};
use super::reader::{Read, Reader};

/// File systems that the kernel makes, or that are empty after every boot.
const NOT_ON_DISK: &[&str] = &["proc", "sys", "dev", "run"];
/// Below the prefix: what Ollama's store and the installer write there themselves.
const STORE: &[&str] = &["models/blobs", "models/manifests", ".ollama"];

/// `install.prefix`
pub(super) fn prefix(reader: &Reader<'_>) -> Result<RelPath, Reported> {
    let given = reader.required_text("prefix", "for example `prefix = \"/opt/ollama\"`")?;
    let text = *given.get_ref();
    let error =
        |message: String, help: String| reader.findings.error(Diagnostic::error(given.span(), message).help(help));
    let Some(relative) = text.strip_prefix('/') else {
        return Err(error(
            "the prefix must be an absolute path".to_owned(),
            "it begins with a slash: `prefix = \"/opt/ollama\"`".to_owned(),
        ));
    };
    if text.contains(':') {
        let help = "it becomes the home directory of the service's user, where ':' cannot stand".to_owned();
        return Err(error("the prefix contains ':'".to_owned(), help));
    }
    match relative.parse::<RelPath>() {
        Ok(path) => {
            refuse_places(reader.findings, &given.span(), &path)?;
            refuse_problem(reader.findings, &given.span(), &path, prefix_problem(&path))?;
            Ok(path)
        }
        Err(_) if relative.chars().all(|c| c == '/') => Err(error(
            "the prefix cannot be `/`".to_owned(),
            "choose a directory of its own, such as /opt/ollama".to_owned(),
        )),
        Err(problem) => Err(error(format!("the prefix is not normalised: {problem}"), normalised(text))),
    }
}

fn normalised(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") || text.chars().any(char::is_control) {
        return "write the path without `..`, `.`, doubled slashes and control characters".to_owned();
    }
    let root = if text.starts_with('/') { "/" } else { "" };
    format!("write \"{root}{}\"", parts.join("/"))
}

/// `install_path`, resolved against the prefix.
pub(super) fn install_path(
    findings: &Findings,
    given: &Spanned<String>,
    prefix: Result<&RelPath, Reported>,
) -> Read<InstallPath> {
    let (text, span) = (given.get_ref().as_str(), given.span());
    let refuse =
        |message: String, help: String| Err(findings.error(Diagnostic::error(span.clone(), message).help(help)));
    let below = text.strip_prefix('/');
    let relative = match below.unwrap_or(text).parse::<RelPath>() {
        Ok(path) => path,
        Err(_) if !text.is_empty() && text.chars().all(|c| c == '/') => {
            return refuse("`/` is no place for a file".to_owned(), "give the file's full path".to_owned());
        }
        Err(problem) => return refuse(format!("`install_path` is not usable: {problem}"), normalised(text)),
    };
    let path = match below {
        Some(_) => relative,
        None => match prefix?.join(relative.as_str()) {
            Ok(path) => path,
            Err(problem) => return refuse(format!("`install_path` is not usable: {problem}"), normalised(text)),
        },
    };
    refuse_places(findings, &span, &path)?;
    refuse_problem(findings, &span, &path, file_problem(&path))?;
    if let Ok(prefix) = prefix {
        refuse_store(findings, &span, &path, prefix)?;
    }
    Ok(Spanned::new(span, InstallPath { given: text.to_owned(), path, absolute: below.is_some() }))
}

/// `install.command`: where the installer becomes a command of the target, or `false`.
pub(super) fn command(reader: &Reader<'_>) -> Result<Option<RelPath>, Reported> {
    let Some(value) = reader.get("command") else { return Ok(COMMAND.parse().ok()) };
    let help = "for example `command = \"/usr/local/sbin/airgap-deploy\"`, or `command = false` for none";
    let text = match value.get_ref() {
        DeValue::Boolean(false) => return Ok(None),
        DeValue::String(text) => text.as_ref(),
        _ => return Err(reader.wrong_type(value, "command", "an absolute path or false", Some(help.to_owned()))),
    };
    let span = value.span();
    let Some(below) = text.strip_prefix('/') else {
        let diagnostic = Diagnostic::error(span, "`command` must be an absolute path");
        return Err(reader.findings.error(diagnostic.help(help)));
    };
    match below.parse::<RelPath>() {
        Ok(path) => {
            refuse_problem(reader.findings, &span, &path, command_problem(&path))?;
            Ok(Some(path))
        }
        Err(problem) => {
            let diagnostic = Diagnostic::error(span, format!("`command` is not usable: {problem}"));
            Err(reader.findings.error(diagnostic.help(normalised(text))))
        }
    }
}

fn refuse_places(findings: &Findings, span: &Range<usize>, path: &RelPath) -> Result<(), Reported> {
    let top = path.components().next().unwrap_or_default();
    let reason = if NOT_ON_DISK.contains(&top) {
        format!("/{top} is not kept on disk: what is installed there is lost or never arrives")
    } else if path.as_str() == STATE_DIRECTORY || path.as_str().starts_with(&format!("{STATE_DIRECTORY}/")) {
        format!("/{STATE_DIRECTORY} is where the installer keeps its receipts")
    } else if path.name() == DROP_IN && path.parent().is_some_and(|parent| parent.name().strip_suffix(".d").is_some()) {
        format!("the installer writes {DROP_IN} itself")
    } else {
        return Ok(());
    };
    Err(nothing_at(findings, span, path, reason))
}

/// What the stub of every package refuses, whoever made it.
fn refuse_problem(
    findings: &Findings,
    span: &Range<usize>,
    path: &RelPath,
    problem: Option<String>,
) -> Result<(), Reported> {
    problem.map_or(Ok(()), |problem| Err(nothing_at(findings, span, path, problem)))
}

fn nothing_at(findings: &Findings, span: &Range<usize>, path: &RelPath, reason: String) -> Reported {
    findings.error(Diagnostic::error(span.clone(), format!("nothing can be installed at {path}")).label(reason))
}

fn refuse_store(findings: &Findings, span: &Range<usize>, path: &RelPath, prefix: &RelPath) -> Result<(), Reported> {
    let error = |label: String| Err(nothing_at(findings, span, path, label));
    if prefix.starts_with(path) {
        return error(format!("the prefix {prefix} is a directory that needs this path"));
    }
    for reserved in STORE {
        if prefix.join(reserved).is_ok_and(|reserved| path.starts_with(&reserved)) {
            return error(format!("Ollama keeps its own files in {prefix}/{reserved} and deletes others"));
        }
    }
    Ok(())
}
