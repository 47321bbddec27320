//! Converts an account from another program's file to a [`KeyUri`].

#[cfg(feature = "import")]
use alloc::string::String;

#[cfg(feature = "import")]
use zeroize::Zeroizing;

use super::names::names;
#[cfg(feature = "import")]
use super::{ACCOUNT_EMPTY, parse::NO_LABEL, trim_name, write::encoded};
use super::{Factor, KeyUri, algorithm};
use crate::code::Digits;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::totp::Period;

/// The fields of an account, as the app spells them. A missing field gets the default value that every app uses.
#[derive(Default)]
pub(crate) struct Account<'a> {
    /// The type of the account. An empty string means `totp`.
    pub(crate) kind: &'a str,
    pub(crate) issuer: &'a str,
    /// The original issuer. Some apps let people rename an account and store both names.
    pub(crate) other_issuer: &'a str,
    pub(crate) name: &'a str,
    /// Whether `name` contains only the account. If false, `name` may be a URI label, which is split at the colon if
    /// there is no issuer.
    pub(crate) whole_name: bool,
    pub(crate) algorithm: Option<&'a str>,
    pub(crate) digits: Option<u64>,
    pub(crate) period: Option<u64>,
    pub(crate) counter: Option<u64>,
}

impl Account<'_> {
    /// Builds the URI. `secret` is called last: if the kind of account is not supported, its secret may have a
    /// different format, and the error should name the kind.
    pub(crate) fn with(&self, secret: impl FnOnce() -> Result<Secret, Error>) -> Result<KeyUri, Error> {
        let is = |kind: &str| self.kind.eq_ignore_ascii_case(kind);
        let factor = match self.kind {
            "" => Factor::Period(self.period()?),
            _ if is("totp") => Factor::Period(self.period()?),
            _ if is("hotp") => Factor::Counter(self.counter.unwrap_or(0)),
            _ if is("steam") && self.period()? != Period::default() => return Err(Period::REFUSED),
            _ if is("steam") => Factor::Steam,
            _ => {
                let name = NOT_SUPPORTED.iter().find(|name| is(name));
                return Err(name.map_or(KIND_UNKNOWN, |name| KIND_NOT_SUPPORTED.word(name)));
            }
        };
        let (issuer, account) = names(self.issuer, self.other_issuer, self.name, !self.whole_name)?;
        let mut uri = KeyUri::with(factor, issuer, account, secret()?);
        // Ignore what the app writes into these fields for Steam, whose algorithm and code length are fixed.
        if factor != Factor::Steam {
            if let Some(name) = self.algorithm {
                uri = uri.with_algorithm(algorithm(name)?);
            }
            if let Some(digits) = self.digits {
                let digits = u8::try_from(digits).map_err(|_| Digits::REFUSED)?;
                uri = uri.with_digits(Digits::new(digits)?);
            }
        }
        Ok(uri)
    }

    fn period(&self) -> Result<Period, Error> {
        let Some(period) = self.period else { return Ok(Period::default()) };
        Period::new(u32::try_from(period).map_err(|_| Period::REFUSED)?)
    }
}

/// Parses the URI of an entry that also has its own issuer and name. Falls back to those if the URI lacks an issuer or
/// an account, as a `steam://` link does.
#[cfg(feature = "import")]
pub(crate) fn entry_uri(link: &str, issuer: &str, name: &str) -> Result<KeyUri, Error> {
    let parsed = KeyUri::parse_lenient(link);
    let without_account = [NO_LABEL, ACCOUNT_EMPTY];
    let own_names = || names(issuer, "", name, true).or_else(|_| names(issuer, "", "", true));
    let mut uri = match parsed {
        Ok((uri, _)) => uri,
        Err(error) if without_account.contains(&error) => {
            let (own_issuer, account) = own_names()?;
            let (mut uri, _) = KeyUri::parse_lenient(&with_account(link.trim(), &account))?;
            uri.issuer = uri.issuer.or(own_issuer);
            return Ok(uri);
        }
        Err(error) => return Err(error),
    };
    if uri.account.is_empty() {
        (uri.issuer, uri.account) = own_names()?;
    }
    // The URI is valid without an issuer, so an unusable issuer is dropped rather than refused.
    if uri.issuer.is_none()
        && let Ok(issuer) = trim_name("issuer", issuer.trim())
        && !issuer.is_empty()
        && *issuer != uri.account
    {
        uri.issuer = Some(issuer.into());
    }
    Ok(uri)
}

/// Inserts an account into the label of a URI whose label is missing, is empty, or contains only a prefix.
#[cfg(feature = "import")]
fn with_account(link: &str, account: &str) -> Zeroizing<String> {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let start = path.find("://").map_or(0, |at| at + 3);
    let slash = if path.get(start..).is_some_and(|path| path.contains('/')) { "" } else { "/" };
    // If the label has no prefix, start it with a colon. Without this, a colon in the account would be read as the end
    // of a prefix.
    let colon = if path.ends_with('/') || !slash.is_empty() { ":" } else { "" };
    let mut text = Zeroizing::new(String::with_capacity(link.len() + 3 * account.len() + 3));
    text.extend([path, slash, colon]);
    text.extend(encoded(account));
    text.extend(["?", query]);
    text
}

pub(crate) const KIND_UNKNOWN: Error = Error::new(ErrorKind::Import, "the account is not TOTP, HOTP or Steam");
const KIND_NOT_SUPPORTED: Error = Error::new(ErrorKind::Import, "accounts of the kind {} are not supported");

/// Kinds of accounts that keyfob does not support but that occur in supported backups. The error message names the
/// kind.
const NOT_SUPPORTED: [&str; 4] = ["mOTP", "OCRA", "PIN", "Yandex"];
