//! What can go wrong with one request, and whether asking again may help.
//! Naming the component and the remedy is done where the request was made.

use std::io;
use std::time::Duration;

/// A failed request or transfer, not yet tied to a component.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Policy forbids it: scheme, host, redirect.
    Refused(String),
    /// The server answered, with a status that is not success.
    Status { code: u16, retry_after: Option<Duration>, challenge: Option<Challenge>, excerpt: String },
    /// The connection, or what came through it, is broken. Asking again may help.
    Transient(String),
    /// Asking again will not help.
    Fatal(String),
}

/// `WWW-Authenticate` of the host that was asked, not of one it redirected to.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub text: String,
    /// It comes from a mirror, which must not see the upstream's credentials.
    pub mirrored: bool,
}

impl Fault {
    /// Whether another attempt may succeed.
    pub(crate) fn worth_retrying(&self) -> bool {
        match self {
            Self::Transient(_) => true,
            Self::Status { code, .. } => matches!(code, 408 | 425 | 429 | 500..=599) && !matches!(code, 501 | 505),
            Self::Refused(_) | Self::Fatal(_) => false,
        }
    }

    /// How long the server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status code, where the server gave one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl Fault {
    fn fatal(text: String) -> Self {
        if text.to_ascii_lowercase().contains("certificate") {
            let remedy = "a private certificate authority must be in the system's store or in SSL_CERT_FILE";
            return Self::Fatal(format!("{text}; {remedy}"));
        }
        Self::Fatal(text)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) | Self::Transient(problem) | Self::Fatal(problem) => f.write_str(problem),
            Self::Status { code, excerpt, .. } => {
                write!(f, "the server answered {code}")?;
                if excerpt.is_empty() { Ok(()) } else { write!(f, ": {excerpt}") }
            }
        }
    }
}

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) => Self::from(error),
            ureq::Error::Timeout(_) => Self::Transient("no data came in time".to_owned()),
            ureq::Error::HostNotFound => Self::Transient("the host name is not known".to_owned()),
            ureq::Error::ConnectionFailed => Self::Transient("no connection".to_owned()),
            ureq::Error::ConnectProxyFailed(problem) => Self::Transient(format!("the proxy refused: {problem}")),
            ureq::Error::Protocol(problem) => Self::Transient(format!("the answer is not HTTP: {problem}")),
            other => Self::fatal(other.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        // While a body is read, ureq's own errors come in this disguise.
        let error = match error.downcast::<ureq::Error>() {
            Ok(ureq::Error::Io(inner)) => inner,
            Ok(other) => return Self::from(other),
            Err(error) => error,
        };
        let text = error.to_string();
        if text.contains("certificate") {
            return Self::fatal(text);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Transient("the connection ended before the content did".to_owned()),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Transient("no data came in time".to_owned()),
            _ => Self::Transient(text),
        }
    }
}
