//! `[[components]]`: one table each, and what no two of them may share.
//! Sources live in `source.rs`, models in `model.rs`, paths in `path.rs`.

use std::ops::Range;

use payload::index::optional_name_problem;
use payload::{AccountName, Mode, RelPath};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Findings, Reported};
use super::install::one_line;
use super::placeholder::{self, Braces};
use super::reader::{Read, Reader, did_you_mean};
use super::vocabulary::{COMPONENT_TYPES, CONFIG_FILE, EXTERNAL_BINARY, MODEL_FILE, OLLAMA_REGISTRY};
use super::{Component, ComponentKind, Content, InstallPath, ModelName, PartRole, Source, model, path, source};

/// What is known of a component even when something else in it is wrong.
pub(super) struct Draft<'a> {
    pub(super) name: Read<&'a str>,
    pub(super) path: Option<Read<InstallPath>>,
    /// The inline content of a configuration file.
    pub(super) content: Option<Spanned<&'a str>>,
    models: Vec<Spanned<ModelName>>,
    pub(super) component: Result<Component, Reported>,
}

/// What the rest of the manifest means for its components.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) prefix: Result<&'a RelPath, Reported>,
    pub(super) files: model::Files<'a>,
}

/// Reads one component.
pub(super) fn component<'a>(reader: &Reader<'a>, around: Surroundings<'_>) -> Draft<'a> {
    let kind = kind(reader);
    let known = kind.as_ref().ok().copied();
    reader.refuse_unknown(known);
    let required = reader.boolean("required").transpose();
    let optional = matches!(&required, Ok(Some(required)) if !required.get_ref());
    let name = name(reader, optional);
    let path = reader.text("install_path").map(|given| {
        let given = placeholder::filled(reader, &given?, Braces::None)?;
        path::install_path(reader.findings, &given, around.prefix)
    });
    let source = source::source(reader, known);
    let content = reader.text("content").transpose();
    let models = if known == Some(MODEL_FILE) { model::model_names(reader, &name) } else { Ok(Vec::new()) };
    let (owner, group) = (reader.optional::<AccountName>("owner"), reader.optional::<AccountName>("group"));
    let mode = mode(reader);
    let kind = kind.and_then(|kind| {
        let parts = Parts { source, content: content.clone(), path: path.clone() };
        match kind {
            EXTERNAL_BINARY => external_binary(reader, parts),
            MODEL_FILE => return model_file(reader, parts, models.clone(), &name, around.files),
            _ => config_file(reader, parts),
        }
        .map(|kind| (kind, Vec::new()))
    });
    let (owner, group) = (owner.transpose(), group.transpose());
    let component = (|| {
        Ok(Component {
            name: name.clone()?.into_inner().to_owned(),
            required: required?.is_none_or(Spanned::into_inner),
            kind: kind.as_ref().map_err(|reported| *reported)?.0.clone(),
            mode: mode?,
            owner: owner?.map(Spanned::into_inner),
            group: group?.map(Spanned::into_inner),
            parts: kind?.1,
        })
    })();
    Draft { name, path, content: content.ok().flatten(), models: models.unwrap_or_default(), component }
}

/// Keys that several component types have.
struct Parts<'a> {
    source: Option<Result<Source, Reported>>,
    content: Result<Option<Spanned<&'a str>>, Reported>,
    path: Option<Read<InstallPath>>,
}

fn kind(reader: &Reader<'_>) -> Result<&'static str, Reported> {
    let given = reader.required_text("type", &format!("one of {}", COMPONENT_TYPES.join(", ")))?;
    COMPONENT_TYPES.iter().copied().find(|kind| kind == given.get_ref()).ok_or_else(|| {
        let diagnostic = Diagnostic::error(given.span(), format!("unknown component type {:?}", given.get_ref()));
        reader.findings.error(diagnostic.help(did_you_mean(given.get_ref(), COMPONENT_TYPES)))
    })
}

fn name<'a>(reader: &Reader<'a>, optional: bool) -> Read<&'a str> {
    let text = reader.required_text("name", "for example `name = \"llama2-7b\"`")?;
    one_line(reader.findings, &text, "name")?;
    let given = *text.get_ref();
    let problem = match given {
        _ if given.trim().is_empty() => "it is empty",
        _ if given.trim() != given => "it begins or ends with a space",
        _ if given.starts_with('-') => "it begins with '-', so that `--include` would take it for an option",
        _ if given.contains('/') || matches!(given, "." | "..") => "it could be taken for a path",
        _ if given.len() > 128 => "it is longer than 128 bytes",
        _ => match optional_name_problem(given).filter(|_| optional) {
            Some(problem) => problem,
            None => return Ok(text),
        },
    };
    let diagnostic = Diagnostic::error(text.span(), format!("{given:?} cannot be the name of a component"));
    Err(reader.findings.error(diagnostic.label(problem)))
}

fn mode(reader: &Reader<'_>) -> Result<Option<Mode>, Reported> {
    match reader.get("mode") {
        Some(value) if matches!(value.get_ref(), DeValue::Integer(_)) => {
            let digits = value.get_ref().as_integer().map_or("", |number| number.as_str());
            let help = match format!("{digits:0>4}").parse::<Mode>() {
                Ok(mode) => format!("write the octal digits as a string: `mode = \"{mode}\"`"),
                Err(_) => "write the octal digits as a string: `mode = \"0755\"`".to_owned(),
            };
            Err(reader.wrong_type(value, "mode", "a string of octal digits", Some(help)))
        }
        _ => Ok(reader.optional::<Mode>("mode").transpose()?.map(Spanned::into_inner)),
    }
}

const NEEDS_SOURCE: &str = "for example `source = { type = \"file\", path = \"files/ollama.tgz\" }`";
const NEEDS_PATH: &str = "a path below the prefix such as \"bin/ollama\", or an absolute one";

fn external_binary(reader: &Reader<'_>, parts: Parts<'_>) -> Result<ComponentKind, Reported> {
    let path = parts.path.unwrap_or_else(|| Err(reader.missing("install_path", NEEDS_PATH)));
    let source = parts.source.unwrap_or_else(|| Err(reader.missing("source", NEEDS_SOURCE)));
    let exclude = reader.texts("exclude").map_or(Ok(Vec::new()), |list| {
        let globs: Vec<Result<String, Reported>> =
            list?.iter().map(|text| source::glob(reader, text, "exclude")).collect();
        globs.into_iter().collect()
    });
    Ok(ComponentKind::ExternalBinary { source: source?, install_path: path?.into_inner(), exclude: exclude? })
}

/// The model, and what goes with it.
fn model_file(
    reader: &Reader<'_>,
    parts: Parts<'_>,
    names: Result<Vec<Spanned<ModelName>>, Reported>,
    name: &Read<&str>,
    files: model::Files<'_>,
) -> Result<(ComponentKind, Vec<Component>), Reported> {
    let settings = model::settings(reader);
    let own = model::parts(reader);
    let given = model::modelfile(reader, files).transpose();
    let has_modelfile = reader.get("modelfile").is_some();
    let source = match parts.source {
        None if !has_modelfile => Err(reader.missing("source", NEEDS_SOURCE)),
        source => source.transpose(),
    };
    let path = match parts.path {
        None if !has_modelfile && source::kind_as_written(reader).is_some_and(|kind| kind != OLLAMA_REGISTRY) => {
            Err(reader.missing("install_path", "for example `install_path = \"models/llama2-7b.gguf\"`"))
        }
        path => path.transpose(),
    };
    let model = model::put_together(reader, given?, source?, own?, settings?)?;
    let install_path = path?.map(Spanned::into_inner);
    let names = names?.into_iter().map(Spanned::into_inner).collect();
    let name = name.clone()?.into_inner();
    let mut parts: Vec<Component> = Vec::new();
    for (role, source) in model.parts {
        let of_role =
            |part: &&Component| matches!(part.kind, ComponentKind::ModelPart { role: other, .. } if other == role);
        parts.push(part(name, parts.iter().filter(of_role).count(), role, source));
    }
    let kind =
        ComponentKind::ModelFile { source: model.source, install_path, names, settings: Box::new(model.settings) };
    Ok((kind, parts))
}

fn part(of: &str, earlier: usize, role: PartRole, source: Source) -> Component {
    let again = if earlier == 0 { String::new() } else { format!("-{}", earlier + 1) };
    Component {
        name: format!("{of}/{}{again}", role.name()),
        required: true,
        kind: ComponentKind::ModelPart { role, source },
        mode: None,
        owner: None,
        group: None,
        parts: Vec::new(),
    }
}

fn config_file(reader: &Reader<'_>, parts: Parts<'_>) -> Result<ComponentKind, Reported> {
    let path = parts.path.unwrap_or_else(|| Err(reader.missing("install_path", NEEDS_PATH)));
    let content = match (parts.content, parts.source) {
        (_, Some(_)) if reader.get("content").is_some() => {
            let span = reader.key_span("content").unwrap_or_else(|| reader.span());
            let mut diagnostic =
                Diagnostic::error(span, "`content` and `source` exclude each other").label("one of them");
            if let Some(other) = reader.key_span("source") {
                diagnostic = diagnostic.related(other, "and the other");
            }
            Err(reader.findings.error(diagnostic.help(format!("a {CONFIG_FILE} has exactly one of them"))))
        }
        (Ok(Some(text)), _) => Ok(Content::Inline(text.into_inner().to_owned())),
        (Err(reported), _) => Err(reported),
        (Ok(None), Some(source)) => source.map(Content::Source),
        (Ok(None), None) => Err(reader.missing("content", "write the text as `content`, or name a file as `source`")),
    };
    Ok(ComponentKind::ConfigFile { content: content?, install_path: path?.into_inner() })
}

/// Reports what two components share and must not: a name, a model's name, a path, or a path below the other's.
pub(super) fn refuse_duplicates(drafts: &[Draft<'_>], findings: &Findings) {
    for (at, draft) in drafts.iter().enumerate() {
        let earlier = &drafts[..at];
        let clashes = [
            earlier.iter().find_map(|first| same_name(draft, first)),
            earlier.iter().find_map(|first| same_path(draft, first)),
            earlier.iter().find_map(|first| same_model(draft, first)),
        ];
        for (second, first, message) in clashes.into_iter().flatten() {
            findings.error(Diagnostic::error(second, message).label("here again").related(first, "here first"));
        }
    }
}

/// Where the second stands, where the first stands, and what they have in common.
type Clash = (Range<usize>, Range<usize>, String);

fn same_name(draft: &Draft<'_>, first: &Draft<'_>) -> Option<Clash> {
    let (name, other) = (draft.name.as_ref().ok()?, first.name.as_ref().ok()?);
    let message = || format!("two components are called {:?}", name.get_ref());
    (name.get_ref() == other.get_ref()).then(|| (name.span(), other.span(), message()))
}

/// Components of one name, which is reported already, would say the same of their models.
fn same_model(draft: &Draft<'_>, first: &Draft<'_>) -> Option<Clash> {
    if same_name(draft, first).is_some() {
        return None;
    }
    let pairs = draft.models.iter().flat_map(|model| first.models.iter().map(move |other| (model, other)));
    let (model, other) = pairs.into_iter().find(|(model, other)| model.get_ref().is_same(other.get_ref()))?;
    let message = format!("two models are called {} in Ollama", model.get_ref().display_shortest());
    Some((model.span(), other.span(), message))
}

fn same_path(draft: &Draft<'_>, first: &Draft<'_>) -> Option<Clash> {
    let (path, other) = (draft.path.as_ref()?.as_ref().ok()?, first.path.as_ref()?.as_ref().ok()?);
    Some((path.span(), other.span(), clash(&path.get_ref().path, &other.get_ref().path)?))
}

fn clash(path: &RelPath, first: &RelPath) -> Option<String> {
    if path == first {
        Some(format!("two components are installed at {path}"))
    } else if path.starts_with(first) {
        Some(format!("{path} lies below {first}, which is a file"))
    } else if first.starts_with(path) {
        Some(format!("{path} is a file, but {first} lies below it"))
    } else {
        None
    }
}
