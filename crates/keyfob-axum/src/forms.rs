//! Forms, and the two checks against forged ones: where the request comes from, and a token that only a page of ours
//! can contain.

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use sha2::{Digest, Sha256};

use crate::cookies::hex;
use crate::failure::Failure;

/// The token that the forms of one session, or of one pending login, contain.
///
/// `secret` is what ties the form to it: the session's id or the cookie of the pending login. Another site does not
/// know it, and another user's form has another token.
pub(crate) fn token(secret: &str) -> String {
    let hash = Sha256::new().chain_update(b"keyfob-axum 1 form\0").chain_update(secret.as_bytes()).finalize();
    hex(&hash[..16])
}

/// A form whose token was not checked yet, so its fields cannot be read.
pub(crate) struct Unverified(Vec<(String, String)>);

/// A form from a page of this session or of this pending login.
pub(crate) struct Fields(Vec<(String, String)>);

impl Unverified {
    /// Checks that the form contains the token of this session or pending login.
    pub(crate) fn verified(self, secret: &str) -> Result<Fields, Failure> {
        if self.is_for(secret) { Ok(Fields(self.0)) } else { Err(Failure::Forged) }
    }

    /// Returns whether the form contains the token of this session or pending login.
    pub(crate) fn is_for(&self, secret: &str) -> bool {
        // Hashes are compared instead of the tokens, so that the time tells nothing about the right one.
        Sha256::digest(get(&self.0, "token").as_bytes()) == Sha256::digest(token(secret).as_bytes())
    }
}

impl Fields {
    /// The value of a field, or an empty string.
    pub(crate) fn get(&self, name: &str) -> &str {
        get(&self.0, name)
    }
}

fn get<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

impl<S: Send + Sync> FromRequest<S> for Unverified {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(fields) = form.map_err(|error| Failure::Refused(error.status()))?;
        let repeated =
            |(index, (name, _)): (usize, &(String, _))| fields[..index].iter().any(|(other, _)| other == name);
        // A decoder puts U+FFFD in place of bytes that are not UTF-8.
        let garbled = |(name, value): &(String, String)| name.contains('\u{fffd}') || value.contains('\u{fffd}');
        if fields.len() > MOST_FIELDS || fields.iter().enumerate().any(repeated) || fields.iter().any(garbled) {
            return Err(Failure::Refused(StatusCode::BAD_REQUEST));
        }
        Ok(Self(fields))
    }
}

const MOST_FIELDS: usize = 32;

/// Returns whether a request that changes something comes from a page of this origin.
///
/// Browsers say so in `Sec-Fetch-Site`. Browsers from before 2023 may not, but all of them send `Origin` with a form. A
/// request without either is refused: no browser sends it.
pub(crate) fn is_same_origin(request: &Parts) -> bool {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header("sec-fetch-site") {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (header("origin"), host(request)) else { return false };
    let (scheme, from) = origin.split_once("://").unwrap_or_default();
    // Whoever controls the network can serve a page of this host without TLS, so an `http` origin counts only if the
    // host is this machine.
    from.eq_ignore_ascii_case(host) && (scheme == "https" || scheme == "http" && is_local(host))
}

/// The host and port that the request is for. HTTP/2 has them in the URI.
pub(crate) fn host(request: &Parts) -> Option<&str> {
    let header = request.headers.get("host").and_then(|value| value.to_str().ok());
    header.or(request.uri.authority().map(Authority::as_str))
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Returns the path to continue at, if it is a path on this site, or `home`.
///
/// Browsers treat `//host` and `/\host` as another site, and drop tabs and line breaks before they look.
pub(crate) fn local<'a>(next: &'a str, home: &'a str) -> &'a str {
    let plain = |byte| matches!(byte, 0x21..=0x7e) && byte != b'\\';
    let own = next.starts_with('/') && !next.starts_with("//") && next.len() <= 2000 && next.bytes().all(plain);
    if own { next } else { home }
}

/// Escapes a path for use as the value of a query parameter.
pub(crate) fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(byte.into()),
            _ => {
                text.push('%');
                text.push_str(&hex(&[byte]).to_ascii_uppercase());
            }
        }
    }
    text
}
