//! Permission bits as the index states them.
//! Setting them on a file is the stub's business.

use std::fmt;
use std::str::FromStr;

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
    fn modes_with_special_bits_are_refused() {
        assert_eq!("0755".parse(), Ok(Mode::EXECUTABLE));
        assert_eq!("644".parse(), Ok(Mode::READABLE));
        for bad in ["4755", "1777", "0o755", "755x", "", "8", "+755"] {
            assert!(bad.parse::<Mode>().is_err(), "{bad:?} was accepted");
        }
    }
}
