//! The cookies of the pages. The browser sends each of them only over TLS and only to this host, and no script can read
//! it.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite};
use sha2::{Digest, Sha256};

/// A login that waits for a code.
pub(crate) const LOGIN: &str = "__Host-keyfob-login";
/// A login that waits for the enrollment of a first authenticator.
pub(crate) const TICKET: &str = "__Host-keyfob-ticket";
/// The handle of an enrollment that waits for its first code.
pub(crate) const ENROLLMENT: &str = "__Host-keyfob-enrollment";
/// The sentence that the security page shows once after a change.
pub(crate) const NOTICE: &str = "__Host-keyfob-notice";

/// The cookie of a trusted or known device. Users who share a browser have a cookie each.
pub(crate) fn device(user: &str) -> String {
    let hash = Sha256::digest(user.as_bytes());
    format!("__Host-keyfob-device-{}", hex(&hash[..8]))
}

/// The cookie of a proof for one purpose.
pub(crate) fn proof(purpose: &str) -> String {
    format!("__Host-keyfob-proof-{purpose}")
}

/// Returns the value of a cookie. If the browser sends several cookies of this name, the first one counts.
///
/// Other cookies may contain any bytes. A sibling domain can set such a cookie, and must not hide ours with it. Only
/// ASCII spaces are trimmed, because browsers let a sibling domain set a cookie whose name is ours behind another kind
/// of space.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = all(headers).find_map(|cookie| cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(value).ok()
}

/// Returns whether the browser has sent a cookie with this value.
pub(crate) fn contain(headers: &HeaderMap, value: &str) -> bool {
    all(headers).any(|cookie| cookie.splitn(2, |byte| *byte == b'=').nth(1) == Some(value.as_bytes()))
}

/// The cookies that the browser has sent, each with its name.
fn all(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let headers = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    headers.flat_map(|header| header.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

/// Sets a cookie for this many seconds.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str, seconds: u64) {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    // The values are tokens of keyfob, which have no character that a cookie could not contain.
    let cookie = Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(seconds));
    if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
        headers.append(SET_COOKIE, value);
    }
}

/// Removes a cookie from the browser.
pub(crate) fn clear(headers: &mut HeaderMap, name: &str) {
    set(headers, name, "", 0);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
