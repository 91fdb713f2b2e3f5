//! Names of systemd units, and the directories they are found in (systemd.unit(5)).
//! What a unit says, and whether it runs, is not known here.

use std::fmt;
use std::str::FromStr;

use crate::RelPath;

/// Where systemd looks for system units, of those directories that a package may write to.
pub const UNIT_DIRECTORIES: [&str; 4] =
    ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "usr/local/lib/systemd/system"];

/// The types of units.
const TYPES: [&str; 11] =
    ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"];

const MAX_NAME: usize = 255;

/// The name of a unit, such as `ollama.service`: nothing in it means anything to a shell or to systemctl.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UnitName(String);

/// Text that is no name of a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a systemd unit (letters, digits, and : - _ . @, then .service or another type)")]
pub struct UnitNameError(String);

impl UnitName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as people type it: a service without its type.
    pub fn short(&self) -> &str {
        self.0.strip_suffix(".service").unwrap_or(&self.0)
    }

    /// Whether a unit file of this name is found at `path`.
    pub fn is_at(&self, path: &RelPath) -> bool {
        path.name() == self.0 && path.parent().is_some_and(|parent| UNIT_DIRECTORIES.contains(&parent.as_str()))
    }

    /// Whether `path` is a drop-in of this unit.
    pub fn has_drop_in_at(&self, path: &RelPath) -> bool {
        let directory = path.parent();
        let unit = directory.as_ref().and_then(|directory| directory.as_str().strip_suffix(".d"));
        let unit = unit.and_then(|unit| unit.parse::<RelPath>().ok());
        path.name().strip_suffix(".conf").is_some_and(|name| !name.is_empty())
            && unit.is_some_and(|unit| self.is_at(&unit))
    }
}

impl FromStr for UnitName {
    type Err = UnitNameError;

    /// systemd allows a backslash as well, as an escape. No package needs one.
    fn from_str(text: &str) -> Result<Self, UnitNameError> {
        let known = text.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && TYPES.contains(&kind));
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte));
        if known && plain && text.len() <= MAX_NAME && !text.starts_with(['-', '.']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UnitNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_systemd() {
        for good in ["ollama.service", "a-b_c:d.timer", "getty@tty1.service", "x.y.socket"] {
            assert!(good.parse::<UnitName>().is_ok(), "{good}");
        }
        let long = format!("{}.service", "x".repeat(250));
        for bad in [
            "",
            "x",
            ".service",
            "-x.service",
            "x;touch pwn;.service",
            "a b.service",
            "a/b.service",
            "x.conf",
            "ü.service",
            &long,
        ] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn drop_ins_lie_beside_their_unit() {
        let unit: UnitName = "ollama.service".parse().unwrap();
        let is_drop_in = |path: &str| unit.has_drop_in_at(&path.parse().unwrap());
        assert!(is_drop_in("etc/systemd/system/ollama.service.d/10-x.conf"));
        for other in [
            "etc/systemd/system/sshd.service.d/x.conf",
            "etc/systemd/system/ollama.service.d/.conf",
            "opt/ollama.service.d/x.conf",
        ] {
            assert!(!is_drop_in(other), "{other}");
        }
    }
}
