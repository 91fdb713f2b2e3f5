//! The component an error is about: turns faults into errors with its name, the URL and the remedy.
//! The errors themselves are in `error.rs`.

use std::fmt::Display;

use payload::Digest;
use url::Url;

use crate::fetch::error::SourceError;
use crate::fetch::net::fault::Fault;
use crate::fetch::net::policy::shown;
use crate::manifest::{Component, ComponentKind, SourceKind};

/// A component's name and what it is called in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedComponent {
    pub component: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Binary,
    Model,
    File,
}

impl From<&Component> for NamedComponent {
    fn from(component: &Component) -> Self {
        let kind = match component.kind {
            ComponentKind::ExternalBinary { .. } => Kind::Binary,
            ComponentKind::ModelFile { .. } | ComponentKind::ModelPart { .. } => Kind::Model,
            ComponentKind::ConfigFile { .. } => Kind::File,
        };
        Self { component: component.name.clone(), kind }
    }
}

/// Where a component's content comes from, for people.
pub(crate) fn origin(component: &Component) -> String {
    match component.source().map(|source| &source.kind) {
        None => "in the manifest itself".to_owned(),
        Some(SourceKind::GithubRelease { repo, tag, asset_pattern }) => {
            format!("{asset_pattern:?} of release {tag} of github.com/{repo}")
        }
        Some(SourceKind::Url { url }) => shown(url),
        Some(SourceKind::File { path }) => format!("file {}", path.display()),
        Some(SourceKind::OllamaRegistry { model }) => format!("{} of {}", model.display_shortest(), model.host),
    }
}

impl NamedComponent {
    /// "Binary not found" and its relatives.
    pub(crate) fn not_found(&self, location: impl Into<String>, problem: String, hint: String) -> SourceError {
        let what = match self.kind {
            Kind::Binary => "Binary",
            Kind::Model => "Model",
            Kind::File => "File",
        };
        SourceError::NotFound { what, component: self.component.clone(), location: location.into(), problem, hint }
    }

    /// "Model checksum mismatch" and its relatives.
    pub(crate) fn mismatch(
        &self,
        location: impl Into<String>,
        expected: impl Display,
        found: impl Display,
        hint: &str,
    ) -> SourceError {
        SourceError::Mismatch {
            what: if self.kind == Kind::Model { "Model checksum" } else { "Checksum" },
            component: self.component.clone(),
            location: location.into(),
            expected: expected.to_string().into(),
            found: found.to_string().into(),
            hint: hint.into(),
        }
    }

    /// Two statements about one content that contradict each other, each with its origin.
    pub(crate) fn contradiction(
        &self,
        location: impl Into<String>,
        a: (Digest, &str),
        b: (Digest, &str),
    ) -> SourceError {
        let told = |(digest, by): (Digest, &str)| format!("{digest} ({by})");
        self.mismatch(
            location,
            told(a),
            told(b),
            "find out which one is right before anything is installed: \
             correct source.checksum, or accept the new content with --update-lock",
        )
    }

    /// Something is allowed only when it is asked for.
    pub(crate) fn refused(&self, location: &Url, problem: String, hint: &str) -> SourceError {
        SourceError::Refused {
            component: self.component.clone(),
            location: shown(location),
            problem,
            hint: hint.to_owned(),
        }
    }

    /// Nothing says what the content must be.
    pub(crate) fn unpinned(&self, location: impl Into<String>, problem: String, hint: String) -> SourceError {
        SourceError::Unpinned { component: self.component.clone(), location: location.into(), problem, hint }
    }

    /// A request that failed for good.
    pub(crate) fn fault(&self, location: &Url, fault: &Fault) -> SourceError {
        match fault {
            Fault::Refused(problem) => self.refused(location, problem.clone(), refusal_hint(problem)),
            Fault::Status { code: 404 | 410, .. } => self.not_found(
                shown(location),
                fault.to_string(),
                "check the URL, name and tag in the manifest; nothing was changed".to_owned(),
            ),
            _ => SourceError::Network {
                component: self.component.clone(),
                location: shown(location),
                problem: fault.to_string(),
                hint: network_hint(fault).to_owned(),
            },
        }
    }
}

fn refusal_hint(problem: &str) -> &'static str {
    if problem.contains("allowed_hosts") {
        "add the host to allowed_hosts in [package] if content may come from it, or use --mirror FROM=TO"
    } else {
        "use an HTTPS address, or an internal mirror with --mirror FROM=TO"
    }
}

fn network_hint(fault: &Fault) -> &'static str {
    match fault.status() {
        Some(401 | 403) => "the server wants credentials: see \"Private registries\" in docs/sources.md",
        Some(429) => "the server limits requests: try again later",
        _ => {
            "check network and proxy settings (HTTPS_PROXY, NO_PROXY), then run the same command again: \
              what has arrived is kept"
        }
    }
}
