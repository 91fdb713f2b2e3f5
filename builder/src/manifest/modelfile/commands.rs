//! The text of a Modelfile, cut into commands: words, quotes, comments.
//! What the commands mean is in `modelfile.rs`.

use super::Problem;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// In lower case.
    pub(super) name: String,
    /// The parameter of `PARAMETER`, the role of `MESSAGE`; empty of others.
    pub(super) word: String,
    /// Without its quotes.
    pub(super) value: String,
}

const NAMES: [&str; 10] =
    ["from", "adapter", "license", "message", "parameter", "parser", "renderer", "requires", "system", "template"];
const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// What the next character belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Comment,
    Name,
    Word,
    Value,
}

/// The commands of a Modelfile in their order.
///
/// # Errors
/// The first place that is not written as a Modelfile is.
pub(super) fn read(text: &str) -> Result<Vec<Command>, Problem> {
    let mut reader =
        Reader { state: State::Between, line: 1, text: String::new(), command: None, commands: Vec::new() };
    for c in text.chars() {
        reader.take(c)?;
        reader.line += usize::from(c == '\n');
    }
    reader.end()
}

struct Reader {
    state: State,
    line: usize,
    text: String,
    command: Option<Command>,
    commands: Vec<Command>,
}

impl Reader {
    fn take(&mut self, c: char) -> Result<(), Problem> {
        match self.state {
            State::Between if is_space(c) || is_newline(c) => {}
            State::Between if c == '#' => self.state = State::Comment,
            State::Between => {
                let line = self.line;
                self.command = Some(Command { line, name: String::new(), word: String::new(), value: String::new() });
                self.state = State::Name;
                self.text.push(c);
            }
            State::Comment if is_newline(c) => self.state = State::Between,
            State::Name if is_space(c) => self.name()?,
            State::Name if c.is_ascii_alphabetic() => self.text.push(c),
            State::Name => return Err(self.unknown(c)),
            State::Word if is_space(c) && self.text.is_empty() => {}
            State::Word if is_space(c) => self.word()?,
            State::Word if c.is_ascii_alphanumeric() || c == '_' => self.text.push(c),
            State::Word => return Err(self.problem("it has no value", "write a name, a space and a value")),
            State::Value if is_newline(c) => match unquoted(&self.text) {
                Some(value) => self.value(value),
                None => self.text.push(c),
            },
            // Characters that do not print are left out, as Ollama leaves them out.
            State::Value if is_space(c) || payload::is_printable(c.encode_utf8(&mut [0; 4])) => self.text.push(c),
            State::Comment | State::Value => {}
        }
        Ok(())
    }

    fn name(&mut self) -> Result<(), Problem> {
        let name = self.text.to_lowercase();
        if !NAMES.contains(&name.as_str()) {
            return Err(self.unknown(' '));
        }
        self.text.clear();
        self.state = if name == "parameter" || name == "message" { State::Word } else { State::Value };
        self.command.iter_mut().for_each(|command| command.name.clone_from(&name));
        Ok(())
    }

    fn word(&mut self) -> Result<(), Problem> {
        let word = std::mem::take(&mut self.text);
        let is_message = self.command.as_ref().is_some_and(|command| command.name == "message");
        if is_message && !ROLES.contains(&word.as_str()) {
            let help = "it must be system, user or assistant";
            return Err(self.problem(&format!("{word:?} is no role of a message"), help));
        }
        self.command.iter_mut().for_each(|command| command.word.clone_from(&word));
        self.state = State::Value;
        Ok(())
    }

    fn value(&mut self, value: String) {
        self.commands.extend(self.command.take().map(|command| Command { value, ..command }));
        self.text.clear();
        self.state = State::Between;
    }

    fn end(mut self) -> Result<Vec<Command>, Problem> {
        match self.state {
            State::Between | State::Comment => {}
            State::Value => match unquoted(&self.text) {
                Some(value) => self.value(value),
                None => return Err(self.problem("its quotes are not closed", "end the text with \"\"\"")),
            },
            State::Name if !NAMES.contains(&self.text.to_lowercase().as_str()) => return Err(self.unknown('\n')),
            State::Name | State::Word => return Err(self.problem("it has no value", "write a value behind it")),
        }
        Ok(self.commands)
    }

    /// What stands where a command should, up to `c`.
    fn unknown(&self, c: char) -> Problem {
        let known = NAMES.contains(&self.text.to_lowercase().as_str());
        if known && is_newline(c) {
            return self.problem(&format!("{} has no value", self.text), "write a value behind it");
        }
        let stray = if is_space(c) || is_newline(c) { String::new() } else { c.to_string() };
        let names = NAMES.map(str::to_uppercase).join(", ");
        let what = format!("{:?} is no command of a Modelfile", format!("{}{stray}", self.text));
        self.problem(&what, &format!("possible: {names}; a text of several lines stands between \"\"\""))
    }

    fn problem(&self, what: &str, help: &str) -> Problem {
        let line = self.command.as_ref().map_or(self.line, |command| command.line);
        Problem { line, what: what.to_owned(), help: Some(help.to_owned()) }
    }
}

/// The value between its quotes; `None` while they are open.
fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    for quotes in ["\"\"\"", "\""] {
        if let Some(rest) = text.strip_prefix(quotes) {
            return rest.strip_suffix(quotes).map(str::to_owned);
        }
    }
    Some(text.to_owned())
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_newline(c: char) -> bool {
    c == '\r' || c == '\n'
}
