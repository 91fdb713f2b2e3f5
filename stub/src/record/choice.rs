//! Which optional components a target has: the rule that was asked for, and what it came to for the package.
//! How it is asked for, and what of an index it leaves, is in `plan/choice.rs`.

use serde_json::{Value, json};

/// What was asked for. It stays until another one is, also when the package is replaced by another version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rule {
    #[default]
    All,
    /// These alone.
    Include(Vec<String>),
    /// All but these.
    Exclude(Vec<String>),
}

/// The rule, and the optional components of the package that it takes and leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    pub rule: Rule,
    pub included: Vec<String>,
    pub left_out: Vec<String>,
}

impl Rule {
    /// Whether it takes the component of this name.
    pub fn takes(&self, name: &String) -> bool {
        match self {
            Self::All => true,
            Self::Include(names) => names.contains(name),
            Self::Exclude(names) => !names.contains(name),
        }
    }

    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Include(_) => "include",
            Self::Exclude(_) => "exclude",
        }
    }

    /// The components that it names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Include(names) | Self::Exclude(names) => names,
        }
    }
}

impl Choice {
    /// Whether there is anything to say: nothing could be chosen, and nothing was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For people, when there was something to choose.
    pub fn line(&self) -> Option<String> {
        let of = |names: &[String]| payload::printable(&names.join(", "));
        match (self.included.as_slice(), self.left_out.as_slice()) {
            ([], []) => None,
            (included, []) => Some(format!("Optional components: {}", of(included))),
            ([], left_out) => Some(format!("Optional components: none; left out: {}", of(left_out))),
            (included, left_out) => Some(format!("Optional components: {}; left out: {}", of(included), of(left_out))),
        }
    }

    /// For programs; `null` when there is nothing to say.
    pub fn to_json(&self) -> Value {
        if self.is_empty() {
            return Value::Null;
        }
        json!({
            "rule": self.rule.name(),
            "names": self.rule.names(),
            "included": self.included,
            "left_out": self.left_out,
        })
    }
}
