//! The files of a package, as text and as JSON.
//! Writing them somewhere is `command/extract.rs`.

use payload::index::{Index, LinkKind, Lookup, OnlyFor};
use payload::{Package, PayloadError, printable};
use serde_json::Value;

/// The files of a package, one line each, as `ls -l` would show them; behind what not every target gets, the optional
/// components that it is for.
pub fn lines(index: &Index) -> Vec<String> {
    let mut lines = Vec::new();
    let only_for = |only_for: &OnlyFor| {
        let names = only_for.positions().iter().filter_map(|position| index.components.get(*position));
        let names: Vec<String> = names.map(|component| printable(&component.name)).collect();
        if names.is_empty() { String::new() } else { format!("  [{}]", names.join(", ")) }
    };
    for directory in &index.directories {
        let owner = directory.owner.to_string();
        let optional = only_for(&directory.only_for);
        lines.push(format!("d {} {owner:20} {:>14} {}/{optional}", directory.mode, "", directory.path));
    }
    let shipped = Lookup::of(index);
    for file in &index.files {
        let size = shipped.size(file.blob);
        lines.push(format!(
            "- {} {:20} {size:>14} {}{}",
            file.mode,
            file.owner.to_string(),
            printable(&file.path.to_string()),
            only_for(&file.only_for)
        ));
    }
    for link in &index.links {
        let path = printable(&link.path.to_string());
        let mut line = match &link.kind {
            LinkKind::Hard { to } => format!("h      {:20} {:>14} {path} = {to}", link.owner.to_string(), ""),
            LinkKind::Symbolic { target } => {
                format!("l      {:20} {:>14} {path} -> {}", link.owner.to_string(), "", printable(target))
            }
        };
        line.push_str(&only_for(&link.only_for));
        lines.push(line);
    }
    lines
}

/// The same as JSON: the index as it stands in the file.
///
/// # Errors
/// It is not as it was when the package was opened.
pub fn json(package: &Package) -> Result<Value, PayloadError> {
    Ok(serde_json::from_slice(&package.index_json()?).unwrap_or(Value::Null))
}
