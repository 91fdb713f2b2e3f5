//! The licences that a finished package states: of its components, of its installer, and of the crates in that.
//! They are read from the bill of materials in the package, which `evidence/` wrote.

use payload::{Package, PayloadError, printable};
use serde::Serialize;
use serde_json::Value;

use crate::pack::SBOM;

/// Where licence texts are among the documents of a package.
const TEXTS: &str = "/LICENSES/";

/// What is said of licences.
#[derive(Debug, Serialize)]
pub struct Terms {
    /// Of what is installed, in the order of the manifest.
    pub components: Vec<Stated>,
    /// Of the installer, and of the crates that it is linked from.
    pub installer: Vec<Stated>,
    /// Documents in the package that hold the texts.
    pub texts: Vec<String>,
}

/// Identifiers, expressions or names of the licences of one thing; none when nobody stated any.
#[derive(Debug, Serialize)]
pub struct Stated {
    pub name: String,
    pub version: Option<String>,
    pub licenses: Vec<String>,
}

/// Reads them. A package without a bill of materials states nothing.
///
/// # Errors
/// The document is damaged.
pub fn terms(package: &Package) -> Result<Terms, PayloadError> {
    let documents = &package.index().documents;
    let bom = match documents.iter().position(|document| document.name.as_str() == SBOM) {
        Some(position) => serde_json::from_slice(&package.document(position)?).unwrap_or(Value::Null),
        None => Value::Null,
    };
    let all = bom["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_shipped =
        |component: &&Value| component["bom-ref"].as_str().is_some_and(|reference| reference.starts_with("component-"));
    let (shipped, installer): (Vec<&Value>, Vec<&Value>) = all.iter().partition(is_shipped);
    let texts = documents.iter().map(|document| document.name.to_string()).filter(|name| name.starts_with(TEXTS));
    Ok(Terms {
        components: shipped.into_iter().map(stated).collect(),
        installer: installer.into_iter().map(stated).collect(),
        texts: texts.map(|name| name.trim_start_matches('/').to_owned()).collect(),
    })
}

fn stated(component: &Value) -> Stated {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let license = |choice: &Value| {
        let license = &choice["license"];
        text(&choice["expression"]).or_else(|| text(&license["id"])).or_else(|| text(&license["name"]))
    };
    Stated {
        name: text(&component["name"]).unwrap_or_default(),
        version: text(&component["version"]),
        licenses: component["licenses"].as_array().into_iter().flatten().filter_map(license).collect(),
    }
}

impl Terms {
    /// The same in lines. The crates are counted, unless all are asked for.
    pub(super) fn lines(&self, all: bool) -> Vec<String> {
        let mut lines: Vec<String> = self.components.iter().map(Stated::line).collect();
        let (program, crates) = self.installer.split_at(self.installer.len().min(1));
        lines.extend(program.iter().map(Stated::line));
        if all {
            lines.extend(crates.iter().map(|stated| format!("  {}", stated.line())));
        } else if !crates.is_empty() {
            lines.push(format!("  and {} crates in it: --verbose names each", crates.len()));
        }
        lines.extend((!self.texts.is_empty()).then(|| format!("texts in the package: {}", self.texts.join(", "))));
        lines
    }
}

impl Stated {
    fn line(&self) -> String {
        let version = self.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        let licenses = if self.licenses.is_empty() { "not stated".to_owned() } else { self.licenses.join(", ") };
        printable(&format!("{}{version}: {licenses}", self.name))
    }
}
