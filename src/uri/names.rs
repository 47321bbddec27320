//! Splits the names in other programs' files into issuer and account.

use alloc::borrow::Cow;
#[cfg(feature = "pskc")]
use alloc::borrow::ToOwned;
use alloc::string::String;

use percent_encoding::percent_decode_str;

use super::MAX_NAME_BYTES;
#[cfg(feature = "pskc")]
use super::{ACCOUNT_EMPTY, name_too_long, trim_name};
#[cfg(feature = "pskc")]
use crate::error::Error;

/// Returns the account in a name of the form `issuer:account`, or `None` if it has another form.
///
/// Programs that store the label of a URI unchanged leave the prefix in the name. The colon may have spaces around it,
/// the prefix may differ in case from `issuer`, and the whole label may be percent-encoded.
pub(crate) fn without_prefix<'a>(name: &'a str, issuer: &str) -> Option<Cow<'a, str>> {
    let issuer = issuer.trim_matches(' ');
    if issuer.is_empty() {
        return None;
    }
    match (cut(name, issuer), decoded(name)) {
        (Some(account), _) => Some(Cow::Borrowed(account)),
        (None, Some(label)) => cut(&label, issuer).map(|account| Cow::Owned(account.into())),
        (None, None) => None,
    }
}

fn cut<'a>(name: &'a str, issuer: &str) -> Option<&'a str> {
    let (prefix, rest) = name.trim_start_matches(' ').split_at_checked(issuer.len())?;
    let account = rest.trim_start_matches(' ').strip_prefix(':')?;
    prefix.eq_ignore_ascii_case(issuer).then(|| account.trim_matches(' '))
}

/// Decodes a label whose colon is percent-encoded, because then the whole label is percent-encoded. Returns `None` for
/// all other names, in which a `%` may be literal.
fn decoded(name: &str) -> Option<String> {
    // Longer names are refused later, so do not copy them.
    let is_encoded = name.len() <= MAX_ENCODED && (name.contains("%3A") || name.contains("%3a"));
    is_encoded.then(|| String::from_utf8(percent_decode_str(name).collect()).ok())?
}

/// Returns the issuer and the account of an entry. `other` is an alternative name for the issuer. Either the issuer or
/// `other` may be the prefix of the account.
///
/// In some apps, users can leave the issuer or the account empty. If there is no account, the issuer is also used as
/// the account. If `is_label` is true, the name may be the label of a URI. It is then split like a label if there is no
/// issuer, and an issuer without an account is split in the same way.
#[cfg(feature = "pskc")]
pub(crate) fn names(issuer: &str, other: &str, name: &str, is_label: bool) -> Result<(Option<String>, String), Error> {
    let (issuer, name) = (trim_name("issuer", issuer.trim())?, name.trim());
    // The checks below read the whole name. All keys in a file may share one long name, so reading it for each key
    // would take quadratic time.
    if name.len() > MAX_ENCODED {
        return Err(name_too_long("account name"));
    }
    let is_alone = is_label && name.is_empty();
    let (issuer, name) = if is_alone { ("", issuer) } else { (issuer, name) };
    let label = decoded(name);
    let account = [issuer, other].into_iter().find_map(|issuer| without_prefix(name, issuer));
    let (issuer, account) = match (&account, split(label.as_deref().unwrap_or(name))) {
        (Some(account), _) => (issuer, &**account),
        (None, Some(parts)) if issuer.is_empty() && is_label => parts,
        _ if is_alone => (name, ""),
        _ => (issuer, name),
    };
    let (issuer, account) = (trim_name("issuer", issuer)?, trim_name("account name", account.trim())?);
    let account = if account.is_empty() { issuer } else { account };
    if account.is_empty() {
        return Err(ACCOUNT_EMPTY);
    }
    Ok(((!issuer.is_empty()).then(|| issuer.to_owned()), account.to_owned()))
}

/// Splits at the first colon. Returns `None` if there is no colon, if a part is empty, or if the colon belongs to a web
/// address.
#[cfg(feature = "pskc")]
fn split(label: &str) -> Option<(&str, &str)> {
    let (issuer, account) = label.split_once(':')?;
    let is_label = !issuer.trim().is_empty() && !account.trim().is_empty() && !account.starts_with("//");
    is_label.then(|| (issuer.trim(), account.trim()))
}

/// The length of the longest valid label: two names and a colon, with every byte percent-encoded.
const MAX_ENCODED: usize = 3 * (2 * MAX_NAME_BYTES + 1);
