//! The report as a document: version 1 of its form, described in `docs/interface.md` and `docs/schemas/`.
//! What is in it is gathered in `evidence.rs`.

use std::io::{self, Write};

use payload::Package;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Change, Evidence};
use crate::error::Error;
use crate::host::about::About;
use crate::record::receipt::Receipt;
use crate::report::signature;

/// Who asked for what.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub action: &'static str,
    pub dry_run: bool,
    /// RFC 3339, in UTC.
    pub started: String,
    pub caller: Caller,
    /// The directory that the target's `/` is.
    pub root: String,
}

/// The user who started the program.
#[derive(Debug, Clone, Serialize)]
pub struct Caller {
    pub uid: u32,
    /// Who became root with sudo to do it, as sudo says.
    pub sudo_user: Option<String>,
}

/// How an action ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// RFC 3339, in UTC.
    pub ended: String,
    pub exit_code: u8,
    pub error: Option<Value>,
    pub installed: Option<Installed>,
}

/// The report. While the action goes on, and after it was killed, `ended` and `exit_code` are `null`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    report: u32,
    #[serde(flatten)]
    call: &'a Call,
    ended: Option<&'a str>,
    exit_code: Option<u8>,
    error: Option<&'a Value>,
    installer: Value,
    host: Value,
    package: Option<&'a PackageFacts>,
    installed: Value,
    changes: &'a [Change],
    result: Option<&'a RawValue>,
}

/// The package that was used.
#[derive(Debug, Clone, Serialize)]
pub struct PackageFacts {
    file: String,
    name: String,
    version: String,
    architecture: &'static str,
    length: u64,
    /// Of the whole file; `null` unless all of it was read.
    digest: Option<String>,
    index: String,
    /// Which bytes were compared with the index.
    verified: &'static str,
    signature: Value,
    builder: String,
    manifest: String,
    stub: String,
    sources: Vec<Value>,
}

/// An installed package, as its receipt names it.
#[derive(Debug, Clone, Serialize)]
pub struct Installed {
    name: String,
    version: String,
    index: String,
    generation: u64,
    prefix: String,
}

impl PackageFacts {
    pub(super) fn of(package: &Package, file: String) -> Self {
        let index = package.index();
        let sources = index.components.iter().flat_map(|component| {
            component.sources.iter().map(move |source| {
                json!({
                    "component": component.name,
                    "location": source.location,
                    "size": source.size,
                    "digest": source.digest.to_string(),
                })
            })
        });
        Self {
            file,
            name: index.package.name.to_string(),
            version: index.package.version.clone(),
            architecture: index.target.arch.name(),
            length: index.total_length,
            digest: None,
            index: package.digest().to_string(),
            verified: "index",
            signature: signature::json(package),
            builder: index.build.builder_version.clone(),
            manifest: index.build.manifest.to_string(),
            stub: index.build.stub.digest.to_string(),
            sources: sources.collect(),
        }
    }

    pub(super) fn title(&self) -> String {
        format!("Plan: install {} {}", self.name, self.version)
    }

    fn signed_by(&self) -> String {
        let word = |key: &str| self.signature[key].as_str().unwrap_or_default();
        match word("key_id") {
            "" => "none".to_owned(),
            key => format!("by key {key} ({})", word("state")),
        }
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Package", format!("{} {} for {} Linux", self.name, self.version, self.architecture)),
            ("Index", self.index.clone()),
            ("Signature", self.signed_by()),
            ("File", format!("{} ({} bytes)", self.file, self.length)),
        ]
    }

    pub(super) fn what_was_used_verified(&mut self) {
        self.verified = "used";
    }

    pub(super) fn everything_verified(&mut self, digest: Option<payload::Digest>) {
        self.verified = "everything";
        self.digest = digest.map(|digest| digest.to_string());
    }
}

impl Installed {
    /// What a receipt says.
    pub fn of(receipt: &Receipt) -> Self {
        Self {
            name: receipt.package.to_string(),
            version: receipt.version.clone(),
            index: receipt.index.to_string(),
            generation: receipt.generation,
            prefix: receipt.prefix.to_string(),
        }
    }
}

impl Ending {
    /// How `outcome` ended at `ended`.
    pub fn of(outcome: &Result<(), Error>, ended: String, installed: Option<Installed>) -> Self {
        let error = outcome.as_ref().err();
        Self {
            ended,
            exit_code: error.map_or(0, |error| error.exit() as u8),
            error: error.map(Error::to_json),
            installed,
        }
    }
}

/// Writes the report of what is known now, change by change.
///
/// # Errors
/// `out` does not take it.
pub fn write(
    evidence: &Evidence,
    call: &Call,
    host: &About,
    ending: Option<&Ending>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let gathered = evidence.gathered();
    let before = gathered.about.as_ref().and_then(|(_, installed)| installed.as_ref());
    let document = Document {
        report: 1,
        call,
        ended: ending.map(|ending| ending.ended.as_str()),
        exit_code: ending.map(|ending| ending.exit_code),
        error: ending.and_then(|ending| ending.error.as_ref()),
        installer: json!({"version": env!("CARGO_PKG_VERSION")}),
        host: json!({
            "name": host.host_name,
            "system": host.system,
            "kernel": host.kernel,
            "architecture": host.machine,
        }),
        package: gathered.package.as_ref(),
        installed: json!({"before": before, "after": ending.and_then(|ending| ending.installed.as_ref())}),
        changes: &gathered.changes,
        result: gathered.result.as_deref(),
    };
    let mut lines = Visible { out, line: Vec::new() };
    serde_json::to_writer_pretty(&mut lines, &document)?;
    lines.write_all(b"\n")
}

/// What answers an action, as it stands in a report: kept as text, which takes far less memory than its values.
pub(super) fn result(document: &impl Serialize) -> Option<Box<RawValue>> {
    let mut text = Indented(Vec::new());
    serde_json::to_writer_pretty(&mut text, document).ok()?;
    RawValue::from_string(String::from_utf8(text.0).ok()?).ok()
}

/// Every line but the first is a step further in. A text in a JSON document never holds the end of a line.
struct Indented(Vec<u8>);

impl Write for Indented {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(line);
            if line.ends_with(b"\n") {
                self.0.extend_from_slice(b"  ");
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Line by line, with everything that a terminal obeys or does not show as an escape.
struct Visible<'a> {
    out: &'a mut dyn Write,
    line: Vec<u8>,
}

impl Write for Visible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.pop_if(|byte| *byte == b'\n').is_some() {
                let shown = payload::printable_json(&String::from_utf8_lossy(&self.line));
                writeln!(self.out, "{shown}")?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a file that holds this is a report that this program wrote.
pub fn is_report(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        report: u32,
    }
    serde_json::from_slice::<Head>(bytes).is_ok_and(|head| head.report == 1)
}
