//! Accounts of the target: looked up with its own `getent`, or in its `/etc/passwd` and `/etc/group`.
//! Making and removing accounts is a step (`plan/step.rs`).

use std::collections::HashMap;

use payload::{AccountName, RelPath};

use crate::host::root::{FsError, Root};
use crate::host::tool::Tool;

/// A user of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub shell: String,
}

/// The accounts a plan needs to know; those that do not exist are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    pub users: HashMap<AccountName, User>,
    pub groups: HashMap<AccountName, u32>,
}

/// `/etc/passwd` and `/etc/group` are never larger than this.
const LIMIT: u64 = 64 << 20;

impl Accounts {
    /// Looks up users and groups by name.
    ///
    /// # Errors
    /// [`FsError`] when the files of a target below another root cannot be read.
    pub fn look_up(root: &Root, users: &[AccountName], groups: &[AccountName]) -> Result<Self, FsError> {
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
        Ok(found)
    }
}

/// The user called `name`.
pub fn user(root: &Root, name: &AccountName) -> Result<Option<User>, FsError> {
    Ok(entry(root, "passwd", name)?.as_deref().and_then(parse_user))
}

/// The number of the group called `name`.
pub fn group(root: &Root, name: &AccountName) -> Result<Option<u32>, FsError> {
    Ok(entry(root, "group", name)?.as_deref().and_then(parse_group))
}

/// The line of one account. The running system answers through `getent`, which also knows LDAP and SSSD; libc's own
/// look-up is not used, because in a static program it would load modules of the host.
fn entry(root: &Root, database: &'static str, name: &AccountName) -> Result<Option<String>, FsError> {
    if root.is_live() && Tool::Getent.find().is_some() {
        let answer = Tool::Getent.run(&[database, name.as_str()]).ok();
        return Ok(answer.and_then(|text| line_of(&text, name)));
    }
    let path = if database == "passwd" { "etc/passwd" } else { "etc/group" };
    let Ok(path) = path.parse::<RelPath>() else { return Ok(None) };
    let bytes = root.read(&path, LIMIT)?.unwrap_or_default();
    Ok(line_of(&String::from_utf8_lossy(&bytes), name))
}

fn line_of(text: &str, name: &AccountName) -> Option<String> {
    text.lines().find(|line| line.split(':').next() == Some(name.as_str())).map(str::to_owned)
}

/// `name:password:uid:gid:gecos:home:shell`, see passwd(5).
fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let shell = (*fields.get(6).unwrap_or(&"")).to_owned();
    Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()?, shell })
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
        let user = parse_user(&line_of(text, &name).unwrap()).unwrap();
        assert_eq!(user, User { uid: 998, gid: 997, shell: "/bin/false".to_owned() });
        assert_eq!(parse_group("ollama:x:997:"), Some(997));
        assert_eq!(parse_group("broken"), None);
        assert_eq!(line_of(text, &"nobody".parse().unwrap()), None);
    }
}
