//! What the stub is made of: the crates that cargo says it linked, with their versions, licences and licence texts.
//! What is made of that is in `src/evidence/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The files in which crates keep the terms they are under.
const TERMS: [&str; 4] = ["LICEN", "COPYING", "COPYRIGHT", "NOTICE"];
/// Longer than any licence, in bytes.
const LONGEST: usize = 128 << 10;

/// One crate: where its manifest is, and what that says.
struct Crate {
    directory: PathBuf,
    name: String,
    version: String,
    license: String,
}

/// The crates for `target` among the messages of a build (`--message-format=json`), as JSON and as a document with all
/// their licence texts. `own` is the licence of the workspace, `lock` its `Cargo.lock`.
pub fn of_build(messages: &str, target: &str, own: &str, lock: &str) -> (String, String) {
    let manifests: BTreeSet<PathBuf> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|m| linked(&m, target))
        .collect();
    let mut crates: Vec<Crate> = manifests.iter().map(|manifest| read(manifest, own)).collect();
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let checksums = checksums(lock);
    let list: Vec<Value> = crates
        .iter()
        .map(|found| {
            let checksum = checksums.get(&(found.name.clone(), found.version.clone()));
            json!({"name": found.name, "version": found.version, "license": found.license, "sha256": checksum})
        })
        .collect();
    (serde_json::to_string(&list).expect("it is plain JSON"), texts(&crates))
}

/// The manifest of a library or program that was compiled for the target: what runs while compiling is not linked.
fn linked(message: &Value, target: &str) -> Option<PathBuf> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let is_for_target =
        message["filenames"].as_array()?.iter().any(|name| name.as_str().is_some_and(|name| name.contains(target)));
    let built = message["reason"] == "compiler-artifact" && message["target"]["kind"] != json!(["custom-build"]);
    (built && is_for_target).then(|| text(&message["manifest_path"]).map(PathBuf::from))?
}

fn read(manifest: &Path, own: &str) -> Crate {
    let shown = manifest.display();
    let text = fs::read_to_string(manifest).unwrap_or_else(|error| panic!("cannot read {shown}: {error}"));
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let package = &table["package"];
    let inherited = package.get("version").is_some_and(toml::Value::is_table);
    let said = |key: &str| package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    Crate {
        directory: manifest.parent().expect("a manifest lies in a directory").to_owned(),
        name: said("name"),
        version: if inherited { env!("CARGO_PKG_VERSION").to_owned() } else { said("version") },
        // Some still write the older form of an expression.
        license: if inherited { own.to_owned() } else { said("license").replace(" / ", "/").replace('/', " OR ") },
    }
}

/// The checksums of `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let table: toml::Table = lock.parse().expect("Cargo.lock is TOML");
    let packages = table.get("package").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let said = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let pinned =
        |package: &toml::Value| Some(((said(package, "name")?, said(package, "version")?), said(package, "checksum")?));
    packages.iter().filter_map(pinned).collect()
}

/// Every licence text once, each under the names of the crates that have it.
fn texts(crates: &[Crate]) -> String {
    let mut document = "The stub at the start of this package is linked from these crates:\n\n".to_owned();
    // The same words in other lines are the same text.
    let mut texts: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for found in crates {
        let Crate { directory, name, version, license } = found;
        let _ = writeln!(document, "{name} {version}: {license}");
        let entries: BTreeSet<PathBuf> =
            fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let is_terms = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
            TERMS.iter().any(|terms| name.starts_with(terms))
        };
        for path in entries.into_iter().filter(is_terms) {
            let Ok(text) = fs::read_to_string(path) else { continue };
            if text.len() <= LONGEST {
                let words: Vec<&str> = text.split_whitespace().collect();
                let text = text.trim_end().replace("\r\n", "\n");
                texts.entry(words.join(" ")).or_insert_with(|| (text, BTreeSet::new())).1.insert(name.clone());
            }
        }
    }
    for (text, names) in texts.into_values() {
        let names: Vec<String> = names.into_iter().collect();
        let _ = write!(document, "\n{}\n{}\n\n{text}\n", "=".repeat(72), names.join(", "));
    }
    document
}
