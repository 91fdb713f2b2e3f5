//! Ollama's Modelfile, read as Ollama 0.15.0 reads it (`parser/parser.go`), and what its commands say together.
//! Which of it counts beside the manifest's own keys is decided in `model.rs`; nothing here looks at a disk.

mod commands;

use serde_json::{Map, Number, Value};

use super::vocabulary::{PARAMS, ParamType, nearest};
use commands::Command;

/// What a Modelfile says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Modelfile {
    /// The files or models that it starts from: at least one, in their order.
    pub(crate) from: Vec<String>,
    pub(crate) adapter: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) system: Option<String>,
    pub(crate) params: Map<String, Value>,
    pub(crate) license: Vec<String>,
    pub(crate) messages: Vec<(String, String)>,
    pub(crate) renderer: Option<String>,
    pub(crate) parser: Option<String>,
    pub(crate) requires: Option<String>,
    /// Parameters that Ollama takes no notice of any more.
    pub(crate) ignored: Vec<String>,
}

/// What is wrong with a Modelfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1; where the command begins.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) help: Option<String>,
}

/// Parameters of earlier releases, which Ollama warns about and leaves out.
const IGNORED: [&str; 9] = [
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
];

/// Reads the text of a Modelfile.
///
/// # Errors
/// Everything that is wrong with it; after a mistake in the way it is written, that alone.
pub(crate) fn parse(text: &str) -> Result<Modelfile, Vec<Problem>> {
    let commands = commands::read(text).map_err(|problem| vec![problem])?;
    let mut file = Modelfile::default();
    let mut problems: Vec<Problem> = Vec::new();
    for command in &commands {
        problems.extend(file.take(command).err());
    }
    if file.from.is_empty() && problems.is_empty() {
        let help = "begin it with the weights: FROM ./model.gguf".to_owned();
        problems.push(Problem { line: 1, what: "it has no FROM".to_owned(), help: Some(help) });
    }
    if problems.is_empty() { Ok(file) } else { Err(problems) }
}

impl Modelfile {
    fn take(&mut self, command: &Command) -> Result<(), Problem> {
        let said = || Some(command.value.clone()).filter(|value| !value.is_empty());
        match command.name.as_str() {
            "from" => self.from.push(command.needed("for example FROM ./model.gguf")?),
            "adapter" => self.adapter = Some(command.needed("for example ADAPTER ./adapter.gguf")?),
            // What is empty says nothing to Ollama either.
            "template" => self.template = said().or(self.template.take()),
            "system" => self.system = said().or(self.system.take()),
            "renderer" => self.renderer = said().or(self.renderer.take()),
            "parser" => self.parser = said().or(self.parser.take()),
            "license" => self.license.extend(said()),
            "requires" => self.requires = Some(version(command)?),
            "message" => self.messages.push((command.word.clone(), command.value.clone())),
            _ => self.parameter(command)?,
        }
        Ok(())
    }

    fn parameter(&mut self, command: &Command) -> Result<(), Problem> {
        let name = command.word.as_str();
        if IGNORED.contains(&name) {
            self.ignored.push(name.to_owned());
            return Ok(());
        }
        let Some((_, kind)) = PARAMS.iter().find(|(known, _)| *known == name) else {
            let near = nearest(name, PARAMS.iter().map(|(known, _)| *known));
            let help = near.map_or_else(
                || format!("it knows {}", PARAMS.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean {near:?}?"),
            );
            return Err(command.problem(format!("Ollama has no parameter {name:?}"), &help));
        };
        let value = value(*kind, &command.value).ok_or_else(|| {
            let wanted = match kind {
                ParamType::Integer => "a whole number",
                ParamType::Number => "a number",
                ParamType::Boolean => "true or false",
                ParamType::Texts => "a text",
            };
            command.problem(format!("{:?} is no value of {name}", command.value), &format!("it must be {wanted}"))
        })?;
        match (self.params.get_mut(name), value) {
            // Each line adds one stop word.
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (_, value) => drop(self.params.insert(name.to_owned(), value)),
        }
        Ok(())
    }
}

/// A parameter's value as Ollama stores it.
fn value(kind: ParamType, text: &str) -> Option<Value> {
    match kind {
        ParamType::Integer => text.parse::<i64>().ok().map(Value::from),
        // Ollama keeps 32 bits of a number, and writes the shortest text that means it.
        ParamType::Number => {
            let number = text.parse::<f32>().ok().filter(|number| number.is_finite())?;
            number.to_string().parse().ok().and_then(Number::from_f64).map(Value::Number)
        }
        ParamType::Boolean => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        ParamType::Texts => Some(Value::from(vec![text])),
    }
}

/// A release of Ollama without the `v` in front.
fn version(command: &Command) -> Result<String, Problem> {
    let text = command.value.strip_prefix('v').unwrap_or(&command.value);
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.len() > 3 || !numbers.iter().all(number) {
        return Err(
            command.problem(format!("{:?} is no release of Ollama", command.value), "for example REQUIRES 0.14.0")
        );
    }
    Ok(text.to_owned())
}

impl Command {
    fn needed(&self, help: &str) -> Result<String, Problem> {
        if self.value.is_empty() {
            return Err(self.problem(format!("{} has no value", self.name.to_uppercase()), help));
        }
        Ok(self.value.clone())
    }

    fn problem(&self, what: String, help: &str) -> Problem {
        Problem { line: self.line, what, help: Some(help.to_owned()) }
    }
}

#[cfg(test)]
mod tests;
