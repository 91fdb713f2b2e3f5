//! User names and passwords in URLs: taken out, so that they are neither stored nor shown.
//! Who may be sent them is decided where requests are made.

use percent_encoding::percent_decode_str;
use url::Url;

/// Splits off user name and password.
pub(crate) fn without_login(url: &Url) -> (Url, Option<(String, String)>) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
    let mut plain = url.clone();
    // Both calls fail only for URLs without a host, which have no login either.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain.set_fragment(None);
    (plain, login)
}
