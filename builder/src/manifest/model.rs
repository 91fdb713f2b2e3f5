//! The keys of a `model-file`: the model's name in Ollama, its template, system prompt, parameters and licence.
//! The rules for names live in `model_name.rs`; what Ollama's store looks like is not known here.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Reported};
use super::modelfile::{self, Modelfile};
use super::reader::{Read, Reader, did_you_mean};
use super::vocabulary::{PARAMETERS, PARAMS, ParamType};
use super::{BYTE_ORDER_MARK, ModelName, ModelSettings, PartRole, Source, SourceKind, source};

/// Reads a text that the manifest names.
pub(crate) type Files<'a> = &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// The names in Ollama: the key `model`, one or a list of them; else the component's name.
pub(super) fn model_names(reader: &Reader<'_>, name: &Read<&str>) -> Result<Vec<Spanned<ModelName>>, Reported> {
    let texts = match reader.get("model").map(Spanned::get_ref) {
        None => vec![name.clone()?],
        Some(DeValue::Array(_)) => reader.texts("model").unwrap_or_else(|| Ok(Vec::new()))?,
        Some(_) => reader.text("model").into_iter().collect::<Result<_, _>>()?,
    };
    if texts.is_empty() {
        let span = reader.key_span("model").unwrap_or_else(|| reader.span());
        let diagnostic = Diagnostic::error(span, "`model` is an empty list");
        return Err(reader.findings.error(diagnostic.help("name the model, or leave `model` out")));
    }
    let read: Vec<Read<ModelName>> = texts.iter().map(|text| model_name(reader, text)).collect();
    let names: Vec<Spanned<ModelName>> = read.into_iter().collect::<Result<_, _>>()?;
    for (at, name) in names.iter().enumerate() {
        if let Some(first) = names[..at].iter().find(|first| first.get_ref().is_same(name.get_ref())) {
            let message = format!("{} is named twice", name.get_ref().display_shortest());
            let diagnostic = Diagnostic::error(name.span(), message).label("here again");
            return Err(reader.findings.error(diagnostic.related(first.span(), "here first")));
        }
    }
    Ok(names)
}

fn model_name(reader: &Reader<'_>, text: &Spanned<&str>) -> Read<ModelName> {
    let problem = match text.get_ref().parse::<ModelName>() {
        Ok(model) => return Ok(Spanned::new(text.span(), model)),
        Err(error) => Diagnostic::error(text.span(), error.to_string()),
    };
    Err(reader.findings.error(if reader.get("model").is_some() {
        problem
    } else {
        problem.help("give its name in Ollama beside the component's name: `model = \"llama2-7b\"`")
    }))
}

/// Template, system prompt, parameters and licences.
pub(super) fn settings(reader: &Reader<'_>) -> Result<ModelSettings, Reported> {
    let template = not_empty(reader, "template");
    let system = not_empty(reader, "system");
    let params = reader.table("params", &PARAMETERS, "write `params = { temperature = 0.7, stop = [\"</s>\"] }`");
    let params = params.map(|table| table.and_then(|table| self::params(&table))).transpose();
    let license = licenses(reader);
    Ok(ModelSettings {
        template: template?,
        system: system?,
        params: params?,
        license: license?,
        ..ModelSettings::default()
    })
}

/// What goes with the model by the manifest's own keys.
pub(super) fn parts(reader: &Reader<'_>) -> Result<Vec<(PartRole, Source)>, Reported> {
    let read = [PartRole::Projector, PartRole::Adapter].map(|role| (role, source::part(reader, role.name())));
    let read = read.into_iter().filter_map(|(role, source)| Some(source?.map(|source| (role, source))));
    // All of them are looked at, also after the first mistake.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// A Modelfile, and where it is.
pub(super) struct Given {
    path: PathBuf,
    span: Range<usize>,
    says: Modelfile,
}

/// `modelfile`: the path of a Modelfile, relative to the manifest.
pub(super) fn modelfile(reader: &Reader<'_>, files: Files<'_>) -> Option<Result<Given, Reported>> {
    Some(reader.text("modelfile")?.and_then(|text| {
        let (path, span) = (PathBuf::from(*text.get_ref()), text.span());
        let error = |message: String, help: Option<String>| {
            reader
                .findings
                .error(Diagnostic::error(span.clone(), message).label("read as a Modelfile").maybe_help(help))
        };
        let said = match files(&path).map(String::from_utf8) {
            Ok(Ok(said)) => said,
            Ok(Err(_)) => {
                let help = "save the file as UTF-8".to_owned();
                return Err(error(format!("{} is not UTF-8 text", path.display()), Some(help)));
            }
            Err(problem) => {
                let help = "the path is relative to the manifest".to_owned();
                return Err(error(format!("{} cannot be read: {problem}", path.display()), Some(help)));
            }
        };
        match modelfile::parse(said.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&said)) {
            Ok(says) => Ok(Given { path, span, says }),
            Err(problems) => {
                let reports: Vec<Reported> = problems
                    .into_iter()
                    .map(|problem| {
                        error(format!("{}, line {}: {}", path.display(), problem.line, problem.what), problem.help)
                    })
                    .collect();
                Err(reports.last().copied().unwrap_or_else(|| error("it cannot be read".to_owned(), None)))
            }
        }
    }))
}

/// A model as the manifest and a Modelfile say it together.
pub(super) struct PutTogether {
    pub(super) source: Source,
    pub(super) parts: Vec<(PartRole, Source)>,
    pub(super) settings: ModelSettings,
}

/// The manifest's own keys count before the Modelfile's commands: `source` stands in the place of the first `FROM`.
pub(super) fn put_together(
    reader: &Reader<'_>,
    given: Option<Given>,
    source: Option<Source>,
    mut parts: Vec<(PartRole, Source)>,
    own: ModelSettings,
) -> Result<PutTogether, Reported> {
    let Some(Given { path, span, says }) = given else {
        let source = source.ok_or_else(|| reader.missing("source", "where the weights come from"))?;
        return Ok(PutTogether { source, parts, settings: own });
    };
    for name in &says.ignored {
        let message = format!("{}: Ollama ignores the parameter {name} now", path.display());
        reader.findings.warn(Diagnostic::warning(span.clone(), message));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let from = |text: &str| {
        beside(directory, text).map_err(|(problem, help)| {
            let message = format!("{}: {problem}", path.display());
            reader.findings.error(Diagnostic::error(span.clone(), message).help(help))
        })
    };
    let file = |text: &str| match from(text)? {
        Source { kind: SourceKind::OllamaRegistry { .. }, .. } => {
            let message = format!("{}: {text} is not the path of a file", path.display());
            let help = format!("write ./{text} if it is a file beside the Modelfile");
            Err(reader.findings.error(Diagnostic::error(span.clone(), message).help(help)))
        }
        source => Ok(source),
    };
    let source = match (source, says.from.first()) {
        (Some(source), _) => source,
        (None, Some(first)) => from(first)?,
        (None, None) => return Err(reader.missing("source", "where the weights come from")),
    };
    let has = |parts: &[(PartRole, Source)], role| parts.iter().any(|(own, _)| *own == role);
    if !has(&parts, PartRole::Projector) {
        for more in says.from.iter().skip(1) {
            parts.push((PartRole::Projector, file(more)?));
        }
    }
    if let Some(adapter) = &says.adapter
        && !has(&parts, PartRole::Adapter)
    {
        parts.push((PartRole::Adapter, file(adapter)?));
    }
    // As Ollama has them in a model: adapters last.
    parts.sort_by_key(|(role, _)| *role == PartRole::Adapter);
    let settings = settings_of(path, says, own);
    Ok(PutTogether { source, parts, settings })
}

fn settings_of(path: PathBuf, says: Modelfile, own: ModelSettings) -> ModelSettings {
    let mut params = says.params;
    params.extend(own.params.unwrap_or_default());
    ModelSettings {
        template: own.template.or(says.template),
        system: own.system.or(says.system),
        params: (!params.is_empty()).then_some(params),
        license: if own.license.is_empty() { says.license } else { own.license },
        messages: says.messages,
        renderer: says.renderer,
        parser: says.parser,
        requires: says.requires,
        modelfile: Some(path),
    }
}

/// What `FROM` or `ADAPTER` names: a file relative to the Modelfile, or a model of a registry.
fn beside(directory: &Path, text: &str) -> Result<Source, (String, String)> {
    let source = |kind| Ok(Source { kind, checksum: None, per_target: false });
    let looks_like_a_path = text.starts_with(['.', '/']) || text.to_lowercase().ends_with(".gguf");
    if text.starts_with('~') {
        let help = "write the path from the Modelfile's directory, or from /".to_owned();
        return Err((format!("{text} is a path in somebody's home"), help));
    }
    if !looks_like_a_path && let Ok(model) = text.parse::<ModelName>() {
        return source(SourceKind::OllamaRegistry { model });
    }
    if text.contains('\0') {
        return Err((format!("{text:?} is no path"), "name a file".to_owned()));
    }
    source(SourceKind::File { path: directory.join(text.strip_prefix("./").unwrap_or(text)) })
}

/// An empty template is a statement: the model has none, whatever its file says.
fn not_empty(reader: &Reader<'_>, key: &str) -> Result<Option<String>, Reported> {
    let Some(text) = reader.text(key).transpose()? else { return Ok(None) };
    if text.get_ref().trim().is_empty() && key != "template" {
        let diagnostic = Diagnostic::error(text.span(), format!("`{key}` is empty"));
        return Err(reader.findings.error(diagnostic.help(format!("leave `{key}` out when there is none"))));
    }
    Ok(Some((*text.get_ref()).to_owned()))
}

fn licenses(reader: &Reader<'_>) -> Result<Vec<String>, Reported> {
    match reader.get("license").map(Spanned::get_ref) {
        None => Ok(Vec::new()),
        Some(DeValue::String(_)) => Ok(not_empty(reader, "license")?.into_iter().collect()),
        Some(_) => {
            let texts = reader.texts("license").unwrap_or_else(|| Ok(Vec::new()))?;
            Ok(texts.into_iter().map(|text| text.into_inner().to_owned()).collect())
        }
    }
}

fn params(table: &Reader<'_>) -> Result<Map<String, Value>, Reported> {
    let read: Vec<Result<(String, Value), Reported>> = table
        .entries()
        .map(|(key, span, value)| {
            let Some((_, kind)) = PARAMS.iter().find(|(name, _)| *name == key) else {
                let known: Vec<&str> = PARAMS.iter().map(|(name, _)| *name).collect();
                let diagnostic = Diagnostic::error(span, format!("Ollama has no parameter `{key}`"));
                return Err(table
                    .findings
                    .error(diagnostic.label("not known to Ollama").help(did_you_mean(key, &known))));
            };
            Ok((key.to_owned(), param(table, key, *kind, value)?))
        })
        .collect();
    read.into_iter().collect()
}

fn param(table: &Reader<'_>, key: &str, kind: ParamType, value: &Spanned<DeValue<'_>>) -> Result<Value, Reported> {
    let json = match (kind, value.get_ref()) {
        (ParamType::Integer | ParamType::Number, DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from)
        }
        (ParamType::Number, DeValue::Float(number)) => {
            number.as_str().parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        (ParamType::Boolean, DeValue::Boolean(flag)) => Some(Value::Bool(*flag)),
        (ParamType::Texts, DeValue::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(Value::from)
        }
        _ => None,
    };
    json.ok_or_else(|| {
        let (expected, example) = match kind {
            ParamType::Integer => ("a whole number", "4096"),
            ParamType::Number => ("a finite number", "0.7"),
            ParamType::Boolean => ("true or false", "true"),
            ParamType::Texts => ("a list of strings", "[\"</s>\"]"),
        };
        table.wrong_type(value, key, expected, Some(format!("for example `{key} = {example}`")))
    })
}
