//! `builder init`: manifests to start from, and what answers make of them.
//! They are files in `manifests/`, so that the tests that read those hold for these. Who is asked is the program's business.

mod answers;

use std::fmt;
use std::str::FromStr;

pub use answers::{Answers, ModelSource, fill_in};

/// What kind of package to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Ollama, models and the service.
    #[default]
    Full,
    /// A model for machines that have Ollama already.
    Update,
}

impl Kind {
    /// All kinds, for help texts.
    pub const ALL: [Self; 2] = [Self::Full, Self::Update];

    /// What one types for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Update => "update",
        }
    }

    /// The usual name of such a manifest.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Full => "AirGapDeploy.ollama.toml",
            Self::Update => "AirGapDeploy.ollama-update.toml",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is not a kind of manifest (possible: {names})")
        })
    }
}

/// A commented manifest that has no errors: ready to build, and to be changed.
pub fn init_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Full => include_str!("../../../manifests/AirGapDeploy.ollama.toml"),
        Kind::Update => include_str!("../../../manifests/AirGapDeploy.ollama-update.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_by_the_name_they_show() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("x".parse::<Kind>(), Err("\"x\" is not a kind of manifest (possible: full, update)".to_owned()));
    }
}
