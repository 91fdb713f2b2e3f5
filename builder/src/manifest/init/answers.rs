//! What was answered, put into the text of a manifest; everything else in it stays as it is, comments too.
//! The texts are in `init.rs`. With `toml_edit`, by the people who make toml: it keeps what it does not change.

use std::fmt;

use toml_edit::{DocumentMut, Item, Table, TomlError, value};

use super::{Kind, init_text};

/// What the manifest shall say; what is absent stays as the text has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub name: Option<String>,
    pub version: Option<String>,
    pub description: Option<String>,
    pub prefix: Option<String>,
    /// Of the service; its group has the same name.
    pub user: Option<String>,
    /// The tag of Ollama's release, such as `v0.15.0`.
    pub ollama: Option<String>,
    /// Models that are always in.
    pub models: Option<Vec<ModelSource>>,
    /// Models that are in when they are asked for.
    pub optional: Option<Vec<ModelSource>>,
}

/// Where a model comes from, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// `llama2:7b`: a name in Ollama's registry.
    Registry(String),
    /// `https://…#sha256=…`
    Url { url: String, sha256: Option<String> },
    /// A file of this machine: a path, or a name that ends in `.gguf`.
    File(String),
}

impl ModelSource {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with("https://") || text.starts_with("http://") {
            let (url, sha256) = match text.split_once("#sha256=") {
                Some((url, sha256)) => (url, Some(sha256.to_owned())),
                None => (text, None),
            };
            return Self::Url { url: url.to_owned(), sha256 };
        }
        let is_path = text.starts_with(['/', '.', '~']) || text.to_ascii_lowercase().ends_with(".gguf");
        if is_path { Self::File(text.to_owned()) } else { Self::Registry(text.to_owned()) }
    }

    /// What the component is called: the last part of where it comes from, in the letters that names have.
    fn name(&self) -> String {
        let (Self::Registry(from) | Self::Url { url: from, .. } | Self::File(from)) = self;
        let path = from.split(['?', '#']).next().unwrap_or_default();
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let stem = last.len().checked_sub(5).filter(|_| last.to_ascii_lowercase().ends_with(".gguf"));
        let stem = stem.and_then(|end| last.get(..end)).unwrap_or(last);
        let stem = stem.strip_suffix(":latest").unwrap_or(stem).to_ascii_lowercase();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let name: String = stem.chars().map(|letter| if is_part(letter) { letter } else { '-' }).collect();
        let name = name.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if name.is_empty() { "model".to_owned() } else { name.to_owned() }
    }

    fn write(&self, source: &mut Table) {
        source.clear();
        match self {
            Self::Registry(model) => {
                source["type"] = value("ollama-registry");
                source["model"] = value(model);
            }
            Self::Url { url, sha256 } => {
                source["type"] = value("url");
                source["url"] = value(url);
                if let Some(sha256) = sha256 {
                    source["checksum"] = value(format!("sha256:{sha256}"));
                }
            }
            Self::File(path) => {
                source["type"] = value("file");
                source["path"] = value(path);
            }
        }
    }
}

impl fmt::Display for ModelSource {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, sha256: Some(sha256) } => write!(f, "{url}#sha256={sha256}"),
            Self::Registry(from) | Self::Url { url: from, .. } | Self::File(from) => f.write_str(from),
        }
    }
}

impl Answers {
    /// What the text says that nobody answered.
    pub fn of_text(kind: Kind) -> Self {
        let Ok(document) = init_text(kind).parse::<DocumentMut>() else { return Self::default() };
        let text = |table: &str, key: &str| Some(document.get(table)?.get(key)?.as_str()?.to_owned());
        let tables: Vec<&Table> = document
            .get("components")
            .and_then(Item::as_array_of_tables)
            .into_iter()
            .flat_map(|all| all.iter())
            .collect();
        let models = |optional: bool| {
            let those = tables.iter().filter(move |table| is_model(table) && is_optional(table) == optional);
            those.filter_map(|table| {
                Some(ModelSource::Registry(table.get("source")?.get("model")?.as_str()?.to_owned()))
            })
        };
        let tag = tables.iter().find_map(|table| table.get("source")?.get("tag")?.as_str());
        Self {
            name: text("package", "name"),
            version: text("package", "version"),
            description: text("package", "description"),
            prefix: text("install", "prefix"),
            user: text("install", "user"),
            ollama: tag.map(str::to_owned),
            models: Some(models(false).collect()),
            optional: Some(models(true).collect()),
        }
    }

    /// What follows from these answers for those that nobody gave.
    #[must_use]
    pub fn completed(&self, kind: Kind) -> Self {
        let text = Self::of_text(kind);
        let called = |all: &[ModelSource]| all.iter().map(ModelSource::name).collect::<Vec<_>>();
        let models =
            self.models.as_ref().filter(|models| Some(*models) != text.models.as_ref()).map(|models| called(models));
        let described = models.as_ref().map(|names| match (kind, names.as_slice()) {
            (Kind::Full, []) => "Ollama runtime for air-gapped deployment".to_owned(),
            (Kind::Full, names) => format!("Ollama runtime with {} for air-gapped deployment", names.join(", ")),
            (Kind::Update, names) => format!("{} for an existing Ollama installation", names.join(", ")),
        });
        let first = models.as_ref().and_then(|names| names.first()).filter(|_| kind == Kind::Update);
        let of_ollama = self.ollama.as_ref().map(|tag| tag.strip_prefix('v').unwrap_or(tag).to_owned());
        let optional = self.optional.clone().or_else(|| self.models.as_ref().map(|_| Vec::new()));
        Self {
            name: self.name.clone().or_else(|| first.map(|name| format!("ollama-{name}"))).or(text.name),
            version: self.version.clone().or(of_ollama).or(text.version),
            description: self.description.clone().or(described).or(text.description),
            prefix: self.prefix.clone().or(text.prefix),
            user: self.user.clone().or(text.user),
            ollama: self.ollama.clone().or(text.ollama),
            models: self.models.clone().or(text.models),
            optional: optional.or(text.optional),
        }
    }
}

fn is_model(table: &Table) -> bool {
    table.get("type").and_then(Item::as_str) == Some("model-file")
}

fn is_optional(table: &Table) -> bool {
    table.get("required").and_then(Item::as_bool) == Some(false)
}

/// The manifest of a kind with these answers in it, to be written as `file`. Without answers it is the very text.
///
/// # Errors
/// The text in `manifests/` is no TOML.
pub fn fill_in(kind: Kind, answers: &Answers, file: &str) -> Result<String, TomlError> {
    let (before, after) = (Answers::of_text(kind), answers.completed(kind));
    if before == after && file == kind.file_name() {
        return Ok(init_text(kind).to_owned());
    }
    let mut document: DocumentMut = init_text(kind).parse()?;
    for (table, key, answer, text) in [
        ("package", "name", &after.name, &before.name),
        ("package", "version", &after.version, &before.version),
        ("package", "description", &after.description, &before.description),
        ("install", "prefix", &after.prefix, &before.prefix),
        ("install", "user", &after.user, &before.user),
        ("install", "group", &after.user, &before.user),
    ] {
        if let Some(answer) = answer.as_ref().filter(|_| answer != text) {
            document[table][key] = value(answer);
        }
    }
    if let Some(package) = document["package"].as_table_mut() {
        package.decor_mut().set_prefix(heading(&after, file));
    }
    if let Some(components) = document["components"].as_array_of_tables_mut() {
        let tables: Vec<Table> = components.iter().cloned().collect();
        components.clear();
        for table in of_answers(&tables, &before, &after) {
            components.push(table);
        }
    }
    Ok(document.to_string())
}

/// The comment at the beginning.
fn heading(answers: &Answers, file: &str) -> String {
    let file = payload::printable(file);
    let mut lines = vec![
        format!("# {file}: {}", answers.description.as_deref().unwrap_or_default()),
        "#".to_owned(),
        format!("#   builder --manifest {file}"),
    ];
    let optional = answers.optional.iter().flatten().map(ModelSource::name).collect::<Vec<_>>();
    if !optional.is_empty() {
        lines.push(format!("#   builder --manifest {file} --include {}", optional.join(",")));
    }
    lines.extend(["#", "# docs/manifest.md explains every key.", "", ""].map(str::to_owned));
    lines.iter().map(|line| payload::printable(line)).collect::<Vec<_>>().join("\n")
}

/// The components of the text, with the models of the answers in place of its own.
fn of_answers(tables: &[Table], before: &Answers, after: &Answers) -> Vec<Table> {
    let mut all = Vec::new();
    let mut done = [false, false];
    for table in tables {
        if !is_model(table) {
            all.push(adapted(table, before, after));
            continue;
        }
        let optional = is_optional(table);
        let (answered, own) =
            if optional { (&after.optional, &before.optional) } else { (&after.models, &before.models) };
        if answered == own {
            all.push(table.clone());
        } else if !std::mem::replace(&mut done[usize::from(optional)], true) {
            all.extend(answered.iter().flatten().map(|source| model(table, source, optional)));
        }
    }
    // A kind that has no optional model in its text gets those of the answers, too.
    if let Some(table) = tables.iter().find(|table| is_model(table))
        && !tables.iter().any(|table| is_model(table) && is_optional(table))
    {
        all.extend(after.optional.iter().flatten().map(|source| model(table, source, true)));
    }
    all
}

/// A model like that of `table`, from elsewhere.
fn model(table: &Table, source: &ModelSource, optional: bool) -> Table {
    let mut table = table.clone();
    let name = source.name();
    table["install_path"] = value(format!("models/{name}.gguf"));
    table["name"] = value(name);
    if let Some(given) = table["source"].as_table_mut() {
        source.write(given);
    }
    if optional {
        table["required"] = value(false);
    }
    let comment = if optional { "# Optional: only in with --include: " } else { "# " };
    table.decor_mut().set_prefix(format!("\n{comment}{}\n", payload::printable(&source.to_string())));
    table
}

/// Ollama of another release, and a unit for another prefix and user.
fn adapted(table: &Table, before: &Answers, after: &Answers) -> Table {
    let mut table = table.clone();
    if before.ollama != after.ollama
        && let Some(tag) = &after.ollama
        && let Some(source) = table.get_mut("source").and_then(Item::as_table_mut)
    {
        source["tag"] = value(tag);
    }
    let unit = table.get("content").and_then(Item::as_str).map(str::to_owned);
    if let (Some(unit), Some(prefix), Some(user)) = (unit, &before.prefix, &before.user) {
        let (to, account) = (after.prefix.as_ref().unwrap_or(prefix), after.user.as_ref().unwrap_or(user));
        let other = unit.replace(prefix, to).replace(&format!("User={user}\n"), &format!("User={account}\n"));
        if other != unit {
            table["content"] = value(other);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use payload::index::Arch;

    use crate::manifest::parse;

    #[test]
    fn without_answers_it_is_the_text_of_the_file() {
        for kind in Kind::ALL {
            assert_eq!(fill_in(kind, &Answers::default(), kind.file_name()).unwrap(), init_text(kind));
        }
    }

    #[test]
    fn every_answer_is_in_a_manifest_that_can_be_read() {
        let answers = Answers {
            name: Some("acme".to_owned()),
            version: Some("2".to_owned()),
            description: Some("With \"quotes\"".to_owned()),
            prefix: Some("/srv/llm".to_owned()),
            user: Some("llm".to_owned()),
            ollama: Some("v0.16.1".to_owned()),
            models: Some(["qwen2:0.5b", "https://x.example/a/Big.GGUF?x=1"].map(ModelSource::parse).to_vec()),
            optional: Some(vec![ModelSource::parse("./My Model.gguf")]),
        };
        let text = fill_in(Kind::Full, &answers, "a.toml").unwrap();
        let manifest = parse(Path::new("a.toml"), text.as_bytes(), Arch::X86_64).unwrap().manifest;
        let names: Vec<&str> = manifest.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["ollama", "qwen2-0.5b", "big", "my-model", "ollama.service"]);
        assert!(!manifest.components[3].required);
        for part in ["tag = \"v0.16.1\"", "User=llm\n", "ExecStart=/srv/llm/bin/ollama serve", "group = \"llm\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("llama2") && !text.contains("/opt/ollama"), "{text}");
    }

    #[test]
    fn an_update_takes_optional_models_too_and_is_called_after_its_own() {
        let answers = Answers {
            models: Some(vec![ModelSource::parse("phi3")]),
            optional: Some(vec![ModelSource::parse("qwen2")]),
            ..Answers::default()
        };
        let text = fill_in(Kind::Update, &answers, "u.toml").unwrap();
        let manifest = parse(Path::new("u.toml"), text.as_bytes(), Arch::X86_64).unwrap().manifest;
        assert_eq!(manifest.package.name.as_str(), "ollama-phi3");
        assert_eq!(manifest.package.description, "phi3 for an existing Ollama installation");
        assert_eq!(manifest.components.iter().map(|one| one.required).collect::<Vec<_>>(), [true, false]);
    }
}
