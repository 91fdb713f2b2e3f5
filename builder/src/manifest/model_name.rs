//! Model names by Ollama's rules: `[scheme://][host/][namespace/]model[:tag]`, missing parts filled in.
//! Which model goes under which name is told by the manifest and read in `model.rs`.

use std::fmt;
use std::str::FromStr;

use super::ModelName;

/// The host of names that give none.
pub const DEFAULT_HOST: &str = "registry.ollama.ai";
/// The namespace of names that give none.
pub const DEFAULT_NAMESPACE: &str = "library";
/// The tag of names that give none.
pub const DEFAULT_TAG: &str = "latest";

/// Text that Ollama would not take as the name of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a model name: {problem}")]
pub struct ModelNameError {
    text: String,
    problem: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Namespace,
    Model,
    Tag,
}

impl FromStr for ModelName {
    type Err = ModelNameError;

    /// A scheme in front is dropped, as Ollama does.
    fn from_str(text: &str) -> Result<Self, ModelNameError> {
        let mut rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let mut tag = DEFAULT_TAG;
        if let Some((before, after)) = rest.rsplit_once(':').filter(|(_, after)| !after.contains('/')) {
            (rest, tag) = (before, after);
        }
        let mut parts = rest.rsplitn(3, '/');
        let model = parts.next().unwrap_or_default();
        let namespace = parts.next().unwrap_or(DEFAULT_NAMESPACE);
        let host = parts.next().unwrap_or(DEFAULT_HOST);
        for (part, value) in [(Part::Host, host), (Part::Namespace, namespace), (Part::Model, model), (Part::Tag, tag)]
        {
            part.check(value).map_err(|problem| ModelNameError { text: text.to_owned(), problem })?;
        }
        let [host, namespace, model, tag] = [host, namespace, model, tag].map(str::to_owned);
        Ok(Self { host, namespace, model, tag })
    }
}

impl ModelName {
    /// Whether Ollama takes the two for one model: it shows names as they were given, and finds them in any case.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.to_string().eq_ignore_ascii_case(&other.to_string())
    }
}

/// The full name: `registry.ollama.ai/library/llama2-7b:latest`.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}:{}", self.host, self.namespace, self.model, self.tag)
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Namespace => "namespace",
            Self::Model => "model",
            Self::Tag => "tag",
        }
    }

    fn check(self, value: &str) -> Result<(), String> {
        let name = self.name();
        let longest = if self == Self::Host { 350 } else { 80 };
        if value.is_empty() {
            return Err(format!("its {name} is empty"));
        }
        if value.len() > longest {
            return Err(format!("its {name} is longer than {longest} characters"));
        }
        match value.char_indices().find(|&(at, c)| !self.allows(at, c)) {
            Some((0, c)) => Err(format!("its {name} begins with {c:?}, not with a letter, a digit or '_'")),
            Some((_, c)) => Err(format!("its {name} contains {c:?}")),
            None => Ok(()),
        }
    }

    fn allows(self, at: usize, c: char) -> bool {
        let inside = match c {
            '-' => true,
            '.' => self != Self::Namespace,
            ':' => self == Self::Host,
            _ => false,
        };
        c.is_ascii_alphanumeric() || c == '_' || (at > 0 && inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        text.parse::<ModelName>().map_or_else(|error| error.to_string(), |name| name.to_string())
    }

    #[test]
    fn missing_parts_get_ollamas_defaults() {
        assert_eq!(name("llama2-7b"), "registry.ollama.ai/library/llama2-7b:latest");
        assert_eq!(name("llama2:7b"), "registry.ollama.ai/library/llama2:7b");
        assert_eq!(name("me/llama2"), "registry.ollama.ai/me/llama2:latest");
        assert_eq!(name("hf.co/bartowski/X-GGUF:Q4_K_M"), "hf.co/bartowski/X-GGUF:Q4_K_M");
        assert_eq!(name("127.0.0.1:5000/library/llama2"), "127.0.0.1:5000/library/llama2:latest");
        assert_eq!(name("https://registry.example/team/m:t"), "registry.example/team/m:t");
        assert_eq!(name("_why/_the/_lucky:_stiff"), "_why/_the/_lucky:_stiff");
    }

    #[test]
    fn names_that_could_leave_the_store_or_confuse_ollama_are_refused() {
        let long = "m".repeat(81);
        for bad in [
            "",
            ":",
            "/",
            "a:",
            ":t",
            "a/",
            "/a",
            "h//m",
            "-hh/nn/mm:tt",
            "hh/-nn/mm:tt",
            "hh/nn/-mm:tt",
            "hh/nn/mm:-tt",
            "host/name:space/model:tag",
            "..",
            "a/../b:c",
            "n.s/m",
            "a b",
            "a\n",
            "ä",
            "a@sha256",
            "h/n/m/extra/x:t",
            &long,
        ] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!(name("n.s/m"), "\"n.s/m\" is not a model name: its namespace contains '.'");
    }

    #[test]
    fn the_reason_names_the_part() {
        assert_eq!(
            name("-x"),
            "\"-x\" is not a model name: its model begins with '-', not with a letter, a digit or '_'"
        );
        assert_eq!(name("x:"), "\"x:\" is not a model name: its tag is empty");
    }
}
