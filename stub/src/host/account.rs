//! Accounts of the target: looked up with its own `getent`, or in its `/etc/passwd` and `/etc/group`; and removed again.
//! Making them is a step (`plan/step.rs`).

use std::collections::HashMap;

use payload::{AccountName, RelPath};

use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::root::{FsError, Root};
use crate::host::tool::{Tool, ToolError};

/// A user of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

/// The accounts a plan needs to know; those that do not exist are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    pub users: HashMap<AccountName, User>,
    pub groups: HashMap<AccountName, u32>,
    /// A number that neither a user nor a group has, when one of the accounts does not exist; `None` when all are taken.
    pub unused: Option<u32>,
}

/// An account that was made for a package. The number is chosen, and written down, before the account is made: one of the
/// same name with another number was made by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeAccount {
    pub name: AccountName,
    /// uid or gid.
    pub id: u32,
}

/// The shell of a user that is made.
pub const NO_LOGIN: &str = "/usr/sbin/nologin";

/// Nobody can say which accounts there are.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("this machine does not say which accounts it has: {0}")]
    Tool(#[from] ToolError),
}

impl From<AccountError> for Error {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Fs(error) => error.into(),
            AccountError::Tool(_) => Self::new(Exit::IncompatibleHost, error.to_string())
                .state(NOTHING_CHANGED)
                .hint("see why getent fails here (a directory service that does not answer?), then run it again"),
        }
    }
}

/// `/etc/passwd` and `/etc/group` are never larger than this.
const LIMIT: u64 = 64 << 20;

/// What getent(1) ends with when there is no such entry.
const NO_SUCH_ENTRY: i32 = 2;

/// Numbers of system accounts where `/etc/login.defs` names none, see login.defs(5).
const SYSTEM_NUMBERS: (u32, u32) = (101, 999);

impl Accounts {
    /// Looks up users and groups by name.
    ///
    /// # Errors
    /// [`AccountError`] when the files of a target below another root cannot be read, or `getent` fails.
    pub fn look_up(root: &Root, users: &[AccountName], groups: &[AccountName]) -> Result<Self, AccountError> {
        let mut found = Self::default();
        for name in users {
            if let Some(user) = user(root, name)? {
                found.users.insert(name.clone(), user);
            }
        }
        for name in groups {
            if let Some(gid) = group(root, name)? {
                found.groups.insert(name.clone(), gid);
            }
        }
        if found.users.len() < users.len() || found.groups.len() < groups.len() {
            found.unused = unused(root)?;
        }
        Ok(found)
    }
}

/// The user called `name`.
///
/// # Errors
/// [`AccountError`] when nobody can say.
pub fn user(root: &Root, name: &AccountName) -> Result<Option<User>, AccountError> {
    Ok(entry(root, Database::Passwd, name.as_str())?.as_deref().and_then(parse_user))
}

/// The user that a unit names, by name or by number.
///
/// # Errors
/// [`AccountError`] when nobody can say.
pub fn named_user(root: &Root, key: &str) -> Result<Option<(AccountName, User)>, AccountError> {
    let line = entry(root, Database::Passwd, key)?;
    Ok(line.and_then(|line| Some((line.split(':').next()?.parse().ok()?, parse_user(&line)?))))
}

/// The number of the group called `name`.
///
/// # Errors
/// [`AccountError`] when nobody can say.
pub fn group(root: &Root, name: &AccountName) -> Result<Option<u32>, AccountError> {
    Ok(entry(root, Database::Group, name.as_str())?.as_deref().and_then(parse_group))
}

/// Whether users were made members of the group called `name`, beside those whose own group it is.
///
/// # Errors
/// [`AccountError`] when nobody can say.
pub fn has_members(root: &Root, name: &AccountName) -> Result<bool, AccountError> {
    let line = entry(root, Database::Group, name.as_str())?;
    Ok(line.is_some_and(|line| line.split(':').nth(3).is_some_and(|members| !members.trim().is_empty())))
}

/// The name of the group with this name or number; `None` also for one that has no name here.
///
/// # Errors
/// [`AccountError`] when nobody can say.
pub fn group_name(root: &Root, key: &str) -> Result<Option<AccountName>, AccountError> {
    let line = entry(root, Database::Group, key)?;
    Ok(line.and_then(|line| line.split(':').next()?.parse().ok()))
}

#[derive(Clone, Copy)]
enum Database {
    Passwd,
    Group,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Passwd => "passwd",
            Self::Group => "group",
        }
    }
}

/// The line of one account, by its name or number. The running system answers through `getent`, which also knows LDAP and
/// SSSD; libc's own look-up is not used, because in a static program it would load modules of the host.
fn entry(root: &Root, database: Database, key: &str) -> Result<Option<String>, AccountError> {
    if root.is_live() && Tool::Getent.find().is_some() {
        return match Tool::Getent.run(&[database.name(), key]) {
            Ok(text) => Ok(line_of(&text, key)),
            Err(error) if error.code == Some(NO_SUCH_ENTRY) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let Ok(path) = format!("etc/{}", database.name()).parse::<RelPath>() else { return Ok(None) };
    let bytes = root.read(&path, LIMIT)?.unwrap_or_default();
    Ok(line_of(&String::from_utf8_lossy(&bytes), key))
}

/// The third field is the number, in both files.
fn line_of(text: &str, key: &str) -> Option<String> {
    let is_it = |line: &&str| line.split(':').next() == Some(key) || line.split(':').nth(2) == Some(key);
    text.lines().find(is_it).map(str::to_owned)
}

/// A system number that is free as uid and as gid: not the next one that useradd(8) or adduser(8) would take, since these
/// go from the ends of the range.
fn unused(root: &Root) -> Result<Option<u32>, AccountError> {
    let (first, last) = system_numbers(root)?;
    let middle = u32::midpoint(first, last);
    for id in (middle..=last).chain(first..middle) {
        let key = id.to_string();
        if entry(root, Database::Passwd, &key)?.is_none() && entry(root, Database::Group, &key)?.is_none() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The first and the last number that are for system users and for system groups.
fn system_numbers(root: &Root) -> Result<(u32, u32), FsError> {
    let Ok(path) = "etc/login.defs".parse::<RelPath>() else { return Ok(SYSTEM_NUMBERS) };
    let bytes = root.read(&path, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let number = |name: &str| {
        let values = text.lines().filter_map(|line| line.trim().strip_prefix(name));
        values.filter(|rest| rest.starts_with([' ', '\t'])).find_map(|rest| rest.trim().parse::<u32>().ok())
    };
    let (first, last) = SYSTEM_NUMBERS;
    let first = number("SYS_UID_MIN").unwrap_or(first).max(number("SYS_GID_MIN").unwrap_or(first));
    let last = number("SYS_UID_MAX").unwrap_or(last).min(number("SYS_GID_MAX").unwrap_or(last));
    Ok(if first <= last { (first, last) } else { SYSTEM_NUMBERS })
}

/// `name:password:uid:gid:gecos:home:shell`, see passwd(5).
fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let text = |at: usize| (*fields.get(at).unwrap_or(&"")).to_owned();
    Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()?, home: text(5), shell: text(6) })
}

/// `name:password:gid:members`, see group(5).
fn parse_group(line: &str) -> Option<u32> {
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd_and_group_are_read() {
        let name: AccountName = "ollama".parse().unwrap();
        let text = "root:x:0:0:root:/root:/bin/bash\nollama2:x:1:1::/:\nollama:x:998:997:Ollama:/opt:/bin/false\n";
        let user = parse_user(&line_of(text, name.as_str()).unwrap()).unwrap();
        assert_eq!(user, User { uid: 998, gid: 997, home: "/opt".to_owned(), shell: "/bin/false".to_owned() });
        assert_eq!(parse_group("ollama:x:997:"), Some(997));
        assert_eq!(parse_group("broken"), None);
        assert_eq!(line_of(text, "nobody"), None);
        assert_eq!(line_of(text, "998").as_deref(), Some("ollama:x:998:997:Ollama:/opt:/bin/false"));
        assert_eq!(line_of(text, "997"), None);
    }
}
