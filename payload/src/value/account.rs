//! Names of accounts, owners and permission bits as the index states them.
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

/// Permission bits, 0000 to 0777: no set-uid, set-gid or sticky bit ever comes from a package.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u32);

/// Text or bits that are not permission bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a file mode (octal, \"0000\" to \"0777\"; set-uid, set-gid and sticky bits are not allowed)")]
pub struct ModeError(String);

impl Mode {
    /// 0755: programs and directories that everybody may use.
    pub const EXECUTABLE: Self = Self(0o755);
    /// 0644: files that everybody may read.
    pub const READABLE: Self = Self(0o644);
    /// 0700: directories of one account alone.
    pub const PRIVATE_DIRECTORY: Self = Self(0o700);

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Mode {
    type Error = ModeError;

    fn try_from(bits: u32) -> Result<Self, ModeError> {
        if bits <= 0o777 { Ok(Self(bits)) } else { Err(ModeError(format!("{bits:04o}"))) }
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let wrong = || ModeError(text.to_owned());
        if !(3..=4).contains(&text.len()) || !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
            return Err(wrong());
        }
        u32::from_str_radix(text, 8).ok().and_then(|bits| Self::try_from(bits).ok()).ok_or_else(wrong)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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

    #[test]
    fn modes_with_special_bits_are_refused() {
        assert_eq!("0755".parse(), Ok(Mode::EXECUTABLE));
        assert_eq!("644".parse(), Ok(Mode::READABLE));
        for bad in ["4755", "1777", "0o755", "755x", "", "8", "+755"] {
            assert!(bad.parse::<Mode>().is_err(), "{bad:?} was accepted");
        }
    }
}
