//! Reads the apps' JSON formats. Some app versions leave out fields. A missing optional field gets the default value
//! that all apps use, such as six digits.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{App, Import, MALFORMED, UNKNOWN, encrypted, json};
use crate::algorithm::Algorithm;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::uri::{Account, COUNTER, KIND_UNKNOWN, KeyUri, entry_uri};

type Entry = Result<KeyUri, Error>;

/// Parses a backup that is a JSON object. All JSON formats except andOTP's are objects. The app is recognized by fields
/// that no other app writes.
pub(super) fn object(text: &str) -> Result<Import, Error> {
    let [
        header,
        db,
        services,
        services_encrypted,
        items,
        is_encrypted,
        tokens,
        kdf,
        authenticators,
        entries,
        salt,
        content,
    ] = json::fields(
        text,
        [
            "header",
            "db",
            "services",
            "servicesEncrypted",
            "items",
            "encrypted",
            "tokens",
            "kdfParams",
            "Authenticators",
            "entries",
            "salt",
            "content",
        ],
    )
    .ok_or(MALFORMED)?;
    if let (Some(header), Some(db)) = (header, db) {
        let [slots] = json::fields(header, ["slots"]).ok_or(MALFORMED)?;
        if slots.is_some() {
            return Err(encrypted(App::Aegis));
        }
        let [entries] = json::fields(db, ["entries"]).ok_or(MALFORMED)?;
        return list(App::Aegis, entries, |entry| Some(aegis(entry)));
    }
    if services_encrypted.is_some() {
        return Err(encrypted(App::TwoFas));
    }
    if is_encrypted == Some("true") {
        return Err(encrypted(App::Bitwarden));
    }
    if kdf.is_some() {
        return Err(encrypted(App::Ente));
    }
    if salt.is_some() && content.is_some() {
        return Err(encrypted(App::Proton));
    }
    if services.is_some() {
        list(App::TwoFas, services, |entry| Some(two_fas(entry)))
    } else if items.is_some() {
        list(App::Bitwarden, items, |entry| bitwarden(entry).transpose())
    } else if tokens.is_some() {
        list(App::FreeOtpPlus, tokens, |entry| Some(free_otp_plus(entry)))
    } else if authenticators.is_some() {
        list(App::Stratum, authenticators, |entry| Some(stratum(entry)))
    } else if entries.is_some() {
        list(App::Proton, entries, |entry| Some(proton(entry)))
    } else {
        Err(UNKNOWN)
    }
}

pub(super) fn array(text: &str) -> Result<Import, Error> {
    let entries = json::elements(text)?;
    let own = |entry: &&str| matches!(json::fields(entry, ["secret", "label"]), Some([Some(_), Some(_)]));
    if !entries.iter().any(own) {
        return Err(UNKNOWN);
    }
    Import::of(App::AndOtp, entries.into_iter().map(and_otp).collect())
}

/// Converts each element of an array. An invalid element becomes an error entry; `entry` returns `None` for an element
/// that is not an account.
fn list(app: App, array: Option<&str>, entry: impl Fn(&str) -> Option<Entry>) -> Result<Import, Error> {
    let elements = array.map_or(Err(MALFORMED), json::elements)?;
    let mut entries = Vec::with_capacity(elements.len());
    entries.extend(elements.into_iter().filter_map(entry));
    entries.shrink_to_fit();
    Import::of(app, entries)
}

fn aegis(entry: &str) -> Entry {
    let [kind, name, issuer, info] = fields(entry, ["type", "name", "issuer", "info"])?;
    let info = info.ok_or(field("info"))?;
    let [secret, algorithm, digits, period, counter] = fields(info, ["secret", "algo", "digits", "period", "counter"])?;
    let kind = required("type", kind)?;
    let account = Account {
        kind: &kind,
        issuer: &text("issuer", issuer)?,
        name: &text("name", name)?,
        algorithm: Some(&required("algo", algorithm)?),
        digits: number("digits", digits)?,
        period: number("period", period)?,
        counter: counter_of(&kind, counter)?,
        ..Account::default()
    };
    with_base32(&account, secret)
}

fn two_fas(entry: &str) -> Entry {
    let [name, secret, otp] = fields(entry, ["name", "secret", "otp"])?;
    let [kind, account, label, issuer, algorithm, digits, period, counter] = fields(
        otp.unwrap_or("{}"),
        ["tokenType", "account", "label", "issuer", "algorithm", "digits", "period", "counter"],
    )?;
    let kind = text("tokenType", kind)?;
    // 2FAS shows the field `name` instead of the issuer, and lets users change it.
    let (own_name, issuer) = (text("name", name)?, text("issuer", issuer)?);
    let (account, label) = (text("account", account)?, text("label", label)?);
    let algorithm = text("algorithm", algorithm)?;
    let account = Account {
        kind: &kind,
        issuer: either(&own_name, &issuer),
        other_issuer: &issuer,
        name: either(&account, &label),
        algorithm: given(&algorithm),
        digits: number("digits", digits)?,
        period: number("period", period)?,
        counter: counter_of(&kind, counter)?,
        ..Account::default()
    };
    with_base32(&account, secret)
}

fn and_otp(entry: &str) -> Entry {
    let [kind, label, issuer, secret, algorithm, digits, period, counter] =
        fields(entry, ["type", "label", "issuer", "secret", "algorithm", "digits", "period", "counter"])?;
    let (kind, label) = (text("type", kind)?, text("label", label)?);
    let own_issuer = text("issuer", issuer)?;
    // Old versions had no issuer field and wrote the issuer into the label.
    let (issuer, name) = match label.split_once(" - ") {
        Some(parts) if issuer.is_none() => parts,
        _ => (own_issuer.as_str(), label.as_str()),
    };
    let algorithm = text("algorithm", algorithm)?;
    let account = Account {
        kind: &kind,
        issuer,
        name,
        algorithm: given(&algorithm),
        digits: number("digits", digits)?,
        period: number("period", period)?,
        counter: counter_of(&kind, counter)?,
        ..Account::default()
    };
    with_base32(&account, secret)
}

/// Parses a Bitwarden entry. Returns `None` for a card, a note, or a login without a second factor.
fn bitwarden(entry: &str) -> Result<Option<KeyUri>, Error> {
    let [name, login] = fields(entry, ["name", "login"])?;
    let Some(login) = login else { return Ok(None) };
    let [user, totp] = fields(login, ["username", "totp"])?;
    let totp = text("totp", totp)?;
    if totp.trim().is_empty() {
        return Ok(None);
    }
    login_totp(&totp, &text("name", name)?, &text("username", user)?).map(Some)
}

/// Parses the field `totp` of a login, which contains a URI or only the secret.
pub(super) fn login_totp(totp: &str, name: &str, user: &str) -> Entry {
    if totp.contains("://") {
        return entry_uri(totp, name, user);
    }
    Account { issuer: name, name: user, ..Account::default() }.with(|| Secret::from_base32(totp))
}

fn free_otp_plus(entry: &str) -> Entry {
    let [kind, label, parameter, prefix, secret, algorithm, digits, period, counter] =
        fields(entry, ["type", "label", "issuerInt", "issuerExt", "secret", "algo", "digits", "period", "counter"])?;
    let (kind, label) = (text("type", kind)?, text("label", label)?);
    let (parameter, prefix) = (text("issuerInt", parameter)?, text("issuerExt", prefix)?);
    let algorithm = text("algo", algorithm)?;
    let bytes = secret.and_then(|secret| json::elements(secret).ok()).ok_or(field("secret"))?;
    let mut secret = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for byte in bytes {
        // The app is written in Java, where bytes are signed.
        let byte: Option<i8> = byte.parse().ok();
        secret.push(byte.ok_or(field("secret"))?.cast_unsigned());
    }
    // The app increments the counter before it computes a code, so it stores the counter of the last code, and -1
    // before the first code.
    let counter = match counter {
        Some(counter) if kind.eq_ignore_ascii_case("hotp") => {
            let counter: Option<i64> = counter.parse().ok();
            let next = counter.and_then(|counter| u64::try_from(counter.checked_add(1)?).ok());
            Some(next.ok_or(COUNTER)?)
        }
        _ => None,
    };
    Account {
        kind: &kind,
        issuer: either(&parameter, &prefix),
        other_issuer: &prefix,
        name: &label,
        algorithm: given(&algorithm),
        digits: number("digits", digits)?,
        period: number("period", period)?,
        counter,
        ..Account::default()
    }
    .with(|| Secret::from_bytes(&secret))
}

fn stratum(entry: &str) -> Entry {
    let [kind, issuer, user, secret, algorithm, digits, period, counter] =
        fields(entry, ["Type", "Issuer", "Username", "Secret", "Algorithm", "Digits", "Period", "Counter"])?;
    let kind = match number("Type", kind)? {
        Some(1) => "hotp",
        Some(2) => "totp",
        Some(3) => "mOTP",
        Some(4) => "steam",
        Some(5) => "Yandex",
        _ => return Err(KIND_UNKNOWN),
    };
    let algorithm = match number("Algorithm", algorithm)? {
        None | Some(0) => Algorithm::Sha1,
        Some(1) => Algorithm::Sha256,
        Some(2) => Algorithm::Sha512,
        Some(_) => return Err(Algorithm::UNKNOWN),
    };
    let account = Account {
        kind,
        issuer: &text("Issuer", issuer)?,
        name: &text("Username", user)?,
        algorithm: Some(algorithm.name()),
        digits: number("Digits", digits)?,
        period: number("Period", period)?,
        counter: counter_of(kind, counter)?,
        ..Account::default()
    };
    with_base32(&account, secret)
}

fn proton(entry: &str) -> Entry {
    let [content] = fields(entry, ["content"])?;
    let [link, name] = fields(content.ok_or(field("content"))?, ["uri", "name"])?;
    entry_uri(&required("uri", link)?, "", &text("name", name)?)
}

fn with_base32(account: &Account<'_>, secret: Option<&str>) -> Entry {
    account.with(|| Secret::from_base32(&required("secret", secret)?))
}

fn fields<'a, const N: usize>(object: &'a str, names: [&str; N]) -> Result<[Option<&'a str>; N], Error> {
    json::fields(object, names).ok_or(ENTRY)
}

/// Reads a string. An absent field counts as an empty string.
fn text(name: &'static str, value: Option<&str>) -> Result<Zeroizing<String>, Error> {
    match value {
        Some(value) => json::text(value).ok_or(field(name)),
        None => Ok(Zeroizing::default()),
    }
}

fn required(name: &'static str, value: Option<&str>) -> Result<Zeroizing<String>, Error> {
    value.and_then(json::text).ok_or(field(name))
}

fn number(name: &'static str, value: Option<&str>) -> Result<Option<u64>, Error> {
    match value {
        Some(value) => value.parse().map(Some).map_err(|_| field(name)),
        None => Ok(None),
    }
}

/// Reads the counter of an HOTP account. For other accounts, the field is ignored, because apps write arbitrary values
/// there, such as -1.
fn counter_of(kind: &str, value: Option<&str>) -> Result<Option<u64>, Error> {
    if kind.eq_ignore_ascii_case("hotp") { number("counter", value) } else { Ok(None) }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn either<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.trim().is_empty() { second } else { first }
}

const fn field(name: &'static str) -> Error {
    Error::new(ErrorKind::Import, "the field {} is missing, or not what it should be").word(name)
}

const ENTRY: Error = Error::new(ErrorKind::Import, "the entry is damaged: it is not an object, or names a field twice");
