//! The keys of a `model-file`: the model's name in Ollama, its template, system prompt, parameters and licence.
//! The rules for names live in `model_name.rs`; what Ollama's store looks like is not known here.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Reported};
use super::reader::{Read, Reader, did_you_mean};
use super::vocabulary::{PARAMETERS, PARAMS, ParamType};
use super::{ModelName, ModelSettings};

/// The name in Ollama: the key `model`, else the component's name.
pub(super) fn model_name(reader: &Reader<'_>, name: &Read<&str>) -> Read<ModelName> {
    let text = match reader.text("model") {
        Some(given) => given?,
        None => name.clone()?,
    };
    let problem = match text.get_ref().parse::<ModelName>() {
        Ok(model) if lower_case(&model) => return Ok(Spanned::new(text.span(), model)),
        Ok(_) => Diagnostic::error(text.span(), format!("the model name {:?} has upper-case letters", text.get_ref()))
            .label("Ollama looks names up as they are typed")
            .help(format!("write `model = {:?}`", text.get_ref().to_lowercase())),
        Err(error) => Diagnostic::error(text.span(), error.to_string()),
    };
    Err(reader.findings.error(if reader.get("model").is_some() {
        problem
    } else {
        problem.help("give its name in Ollama beside the component's name: `model = \"llama2-7b\"`")
    }))
}

fn lower_case(name: &ModelName) -> bool {
    [&name.namespace, &name.model, &name.tag].iter().all(|part| !part.contains(|c: char| c.is_ascii_uppercase()))
}

/// Template, system prompt, parameters and licences.
pub(super) fn settings(reader: &Reader<'_>) -> Result<ModelSettings, Reported> {
    let template = not_empty(reader, "template");
    let system = not_empty(reader, "system");
    let params = reader.table("params", &PARAMETERS, "write `params = { temperature = 0.7, stop = [\"</s>\"] }`");
    let params = params.map(|table| table.and_then(|table| self::params(&table))).transpose();
    let license = licenses(reader);
    Ok(ModelSettings { template: template?, system: system?, params: params?, license: license? })
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
