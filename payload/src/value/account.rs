//! Names of accounts, and owners, as the index states them.
//! Looking an account up or making one is the stub's business.

use std::fmt;
use std::str::FromStr;

/// The name of a user or group: what `useradd` accepts on every distribution.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AccountName(String);

/// Text that is not an account name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an account name (a-z or _ first, then a-z, 0-9, _ and -, at most 31 characters)")]
pub struct AccountNameError(String);

impl AccountName {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the account with uid 0 and of the group with gid 0.
    pub fn root() -> Self {
        Self("root".to_owned())
    }

    /// Whether this is `root`.
    pub fn is_root(&self) -> bool {
        self.0 == "root"
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
        if first && rest && text.len() <= 31 {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who owns an entry, by name: numbers differ from machine to machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    pub user: AccountName,
    pub group: AccountName,
}

impl Owner {
    /// `root:root`.
    pub fn root() -> Self {
        Self { user: AccountName::root(), group: AccountName::root() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_those_every_distribution_takes() {
        for good in ["ollama", "_svc", "a-b_c9"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "9a", "Ollama", "a b", "a:b", "a\n", "röt", &"x".repeat(32)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?} was accepted");
        }
    }
}
