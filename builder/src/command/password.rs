//! Passwords of secret keys: from a file, or from the terminal without an echo. Never from the command line, where every
//! user of the machine could read them.

use std::path::Path;

use builder::signing::SignError;

/// The password of the key at `key`.
pub fn existing(key: &Path, file: Option<&Path>) -> Result<String, SignError> {
    match file {
        Some(file) => from_file(key, file),
        None => ask(key, &format!("Password of {}: ", payload::printable(&key.display().to_string()))),
    }
}

/// A password for a key that is made, typed twice.
pub fn new(key: &Path, file: Option<&Path>) -> Result<String, SignError> {
    let password = match file {
        Some(file) => from_file(key, file)?,
        None => ask(key, "Password for the new key: ")?,
    };
    let refused = |problem: &str| SignError::Password { path: key.to_owned(), problem: problem.to_owned() };
    if password.is_empty() {
        return Err(refused("an empty one protects nothing; --no-password makes a key without"));
    }
    if file.is_none() && ask(key, "The same again: ")? != password {
        return Err(refused("the two were not the same"));
    }
    Ok(password)
}

fn ask(key: &Path, prompt: &str) -> Result<String, SignError> {
    rpassword::prompt_password(prompt).map_err(|error| SignError::Password {
        path: key.to_owned(),
        problem: format!("there is no terminal to ask at ({error})"),
    })
}

/// The first line of the file.
fn from_file(key: &Path, file: &Path) -> Result<String, SignError> {
    let problem = |problem: String| SignError::Password { path: key.to_owned(), problem };
    let text =
        builder::read_small(file).map_err(|error| problem(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
