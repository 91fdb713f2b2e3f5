//! What the stub is made of: the crates that cargo says it linked, with their versions and licences.
//! Their licence texts are in `terms.rs`; what is made of all that is in `src/evidence/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::terms::Terms;

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

/// The list for people, and all licence texts.
fn texts(crates: &[Crate]) -> String {
    let mut document = "The stub at the start of this package is linked from these crates:\n\n".to_owned();
    let mut terms = Terms::default();
    for Crate { directory, name, version, license } in crates {
        let _ = writeln!(document, "{name} {version}: {license}");
        terms.add(name, directory);
    }
    terms.write(&mut document);
    document
}
