//! Parses `otpauth` URIs, strictly or leniently.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::escaped::{SEPARATORS, check_hidden, is_reserved, unescaped};
use super::write::encoded;
use super::{ACCOUNT_EMPTY, COUNTER, Factor, KeyUri, trim_name};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::totp::Period;

impl KeyUri {
    /// Parses a URI strictly. Everything that [`parse_lenient`](Self::parse_lenient) would warn about is an error.
    ///
    /// `parse(&x.to_uri())` returns a value equal to `x` for every `x` that the constructors create. `parse_lenient`
    /// and the functions that import files and transfers may also return names with a colon and accounts without a
    /// name. Only `parse_lenient` can parse the URIs of those accounts again, with a warning.
    ///
    /// ```
    /// use keyfob::{ErrorKind, KeyUri};
    ///
    /// let text = "otpauth://totp/ACME:al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME";
    /// let uri = KeyUri::parse(text)?;
    /// assert_eq!((uri.issuer(), uri.account()), (Some("ACME"), "al"));
    /// assert_eq!(*uri.to_uri(), text);
    ///
    /// let error = KeyUri::parse(&text.replace("totp", "TOTP")).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Uri);
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri), or [`ErrorKind::Secret`](crate::ErrorKind::Secret),
    /// [`ErrorKind::Digits`](crate::ErrorKind::Digits) or [`ErrorKind::Period`](crate::ErrorKind::Period) if that value
    /// is invalid. The error message never contains any part of the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &[])
    }

    /// Parses the output of [`to_uri`](Self::to_uri). Parsing is strict, except that it tolerates the two warnings that
    /// this output can cause.
    #[cfg(feature = "serde")]
    pub(crate) fn parse_written(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &[Warning::Colon, Warning::SteamLink])
    }

    fn parse_with(text: &str, tolerated: &[Warning]) -> Result<Self, Error> {
        let (uri, warnings) = Self::parse_lenient(text)?;
        match warnings.iter().find(|warning| !tolerated.contains(warning)) {
            Some(warning) => Err(Error::new(ErrorKind::Uri, warning.message())),
            None => Ok(uri),
        }
    }

    /// Parses a URI leniently, because URIs from existing programs deviate from the grammar. Returns the account and a
    /// warning for each kind of deviation that it tolerated.
    ///
    /// It does not guess: a character of the secret that is not base32, an unsupported algorithm, and two different
    /// values for one parameter are errors, as in [`parse`](Self::parse).
    ///
    /// ```
    /// use keyfob::{KeyUri, Warning};
    ///
    /// let text = "otpauth://totp/ACME%3aal\
    ///     ?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&issuer=ACME&algorithm=sha1";
    /// let (uri, warnings) = KeyUri::parse_lenient(text)?;
    /// assert_eq!(warnings, [Warning::SecretSpelling, Warning::AlgorithmSpelling]);
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse), except for deviations that only cause a warning.
    pub fn parse_lenient(text: &str) -> Result<(Self, Vec<Warning>), Error> {
        let mut reader = Reader { warnings: Vec::new() };
        let uri = reader.read(text)?;
        Ok((uri, reader.warnings))
    }
}

/// A deviation from the grammar that [`KeyUri::parse_lenient`] tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// There is white space around the URI.
    WhiteSpace,
    /// The scheme, the type or the value of `encoder` is not in lowercase. Many apps refuse such a URI.
    SchemeSpelling,
    /// A `#`, a space, a control character or a non-ASCII character is not percent-encoded.
    RawCharacter,
    /// The name of a parameter is not in lowercase.
    ParameterSpelling,
    /// A parameter occurs twice, with the same value.
    RepeatedParameter,
    /// A `+` was read as a space.
    Plus,
    /// The URI contains `&amp;`, `&#38;` or another HTML character reference, because it was copied from the source of
    /// a web page. Many apps then ignore the algorithm, the digits and the period.
    HtmlEscape,
    /// A name contains a colon. Some apps cut the name off there.
    Colon,
    /// The secret is in lowercase or contains spaces, hyphens or padding.
    SecretSpelling,
    /// The last character of the secret has leftover bits that belong to no byte and are not zero.
    /// [`to_uri`](KeyUri::to_uri) writes these bits as zero.
    LeftOverBits,
    /// The algorithm is in lowercase or contains a hyphen or `HMAC`. Some apps read it as SHA-1 and show wrong codes.
    AlgorithmSpelling,
    /// The digits, the period or the counter has leading zeros.
    NumberSpelling,
    /// A parameter was ignored because it does not apply to this type: a period for HOTP, a counter for TOTP, or an
    /// algorithm or digits for Steam, where both are fixed.
    ForeignParameter,
    /// The URI of an HOTP account has no counter. The counter was assumed to be 0.
    NoCounter,
    /// The URI is a `steam://` link, which contains no names.
    SteamLink,
}

impl Warning {
    const fn message(self) -> &'static str {
        match self {
            Self::WhiteSpace => "there is white space around the URI",
            Self::SchemeSpelling => "scheme or type is not in lower case",
            Self::RawCharacter => "a space, a #, a control character or one beyond ASCII is not percent-encoded",
            Self::ParameterSpelling => "the name of a parameter is not in lower case",
            Self::RepeatedParameter => "a parameter is given twice",
            Self::Plus => "a + stands for a space, which is written %20",
            Self::HtmlEscape => "the URI is escaped for HTML, with &amp; or &#38; for &",
            Self::Colon => "a name contains a colon",
            Self::SecretSpelling => "the secret is not written in uppercase without spaces, hyphens and padding",
            Self::LeftOverBits => "the last character of the secret has bits that belong to no byte",
            Self::AlgorithmSpelling => "the algorithm is not written SHA1, SHA256 or SHA512",
            Self::NumberSpelling => "a number has leading zeros",
            Self::ForeignParameter => "HOTP has no period, TOTP no counter, and Steam its own algorithm and digits",
            Self::NoCounter => "HOTP needs a counter",
            Self::SteamLink => "a steam link names no account",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

struct Reader {
    warnings: Vec<Warning>,
}

/// The decoded values of the parameters.
#[derive(Default)]
struct Parameters {
    secret: Option<Zeroizing<Vec<u8>>>,
    /// The number of `+` characters in the secret, before decoding.
    secret_pluses: usize,
    issuer: Option<Zeroizing<String>>,
    algorithm: Option<Zeroizing<String>>,
    digits: Option<Zeroizing<String>>,
    period: Option<Zeroizing<String>>,
    counter: Option<Zeroizing<String>>,
    encoder: Option<Zeroizing<String>>,
    others: Vec<(String, Zeroizing<String>)>,
}

/// Whether the parameters exceed the limits. The limits keep the parsing time linear and ensure that the reader accepts
/// every URI that the writer produces.
pub(super) fn is_too_much(others: &[(String, Zeroizing<String>)]) -> bool {
    let parts = others.iter().flat_map(|(name, value)| [name, &**value]);
    let bytes: usize = parts.map(|part| encoded(part).map(str::len).sum::<usize>() + 1).sum();
    others.len() > MAX_OTHERS || bytes > MAX_OTHERS_BYTES
}

impl Reader {
    fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn read(&mut self, text: &str) -> Result<KeyUri, Error> {
        if text.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        let uri = text.trim();
        if uri.len() != text.len() {
            self.warn(Warning::WhiteSpace);
        }
        let unescaped = unescaped(uri);
        let uri = match &unescaped {
            Some(unescaped) => {
                self.warn(Warning::HtmlEscape);
                unescaped.trim()
            }
            None => uri,
        };
        let (scheme, rest) = uri.split_once("://").ok_or(NO_URI)?;
        if let Some(name) = NOT_SUPPORTED.iter().find(|name| name.eq_ignore_ascii_case(scheme)) {
            return Err(not_supported(name));
        }
        if scheme.eq_ignore_ascii_case("steam") {
            self.warn(Warning::SteamLink);
            let secret = self.secret(rest.as_bytes(), 0)?;
            return Ok(KeyUri::with(Factor::Steam, None, String::new(), secret));
        }
        if !["otpauth", "apple-otpauth"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            return Err(NO_URI);
        }
        if rest.contains(|c: char| c == '#' || !c.is_ascii_graphic()) {
            self.warn(Warning::RawCharacter);
        }

        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, label) = path.split_once('/').ok_or(NO_LABEL)?;
        if [scheme, kind].iter().any(|part| part.contains(|c: char| c.is_ascii_uppercase())) {
            self.warn(Warning::SchemeSpelling);
        }
        let mut parameters = self.parameters(query)?;
        let factor = self.factor(kind, &mut parameters)?;
        let (label_issuer, account) = self.label(label, parameters.issuer.as_ref().map(|issuer| issuer.as_str()))?;
        let secret = parameters.secret.as_deref().ok_or(NO_SECRET)?;
        let secret = self.secret(secret, parameters.secret_pluses)?;
        let issuer = parameters.issuer.map(|issuer| (*issuer).clone()).or_else(|| label_issuer.clone());

        let mut uri = KeyUri::with(factor, issuer, account, secret);
        uri.label_issuer = label_issuer.filter(|prefix| Some(prefix) != uri.issuer.as_ref());
        if factor == Factor::Steam {
            let algorithm = parameters.algorithm.is_some_and(|name| self.algorithm(&name) != Ok(Algorithm::Sha1));
            // Some programs write 5, the number of symbols. Programs that only support numeric codes write 6.
            let digits = parameters.digits.is_some_and(|digits| !["5", "6"].contains(&digits.as_str()));
            self.foreign(algorithm || digits);
        } else {
            if let Some(name) = &parameters.algorithm {
                uri.algorithm = self.algorithm(name)?;
            }
            if let Some(digits) = &parameters.digits {
                uri.digits = Digits::new(self.number(digits).ok_or(Digits::REFUSED)?)?;
            }
        }
        uri.others = parameters.others;
        Ok(uri)
    }
}

impl Reader {
    /// Splits the query into parameters. The query is split before it is decoded, because a percent-encoded `&` belongs
    /// to a value.
    fn parameters(&mut self, query: &str) -> Result<Parameters, Error> {
        let mut parameters = Parameters::default();
        check_hidden("value of a parameter", query, &[';'])?;
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (raw_name, raw) = piece.split_once('=').unwrap_or((piece, ""));
            let name = text(raw_name)?;
            let known = name.trim().to_ascii_lowercase();
            if known == "secret" {
                self.spelling(&name, &known);
                let value = bytes(&self.plus(raw))?;
                match &parameters.secret {
                    Some(other) if **other != *value => return Err(CONTRADICTION),
                    Some(_) => self.warn(Warning::RepeatedParameter),
                    None => parameters.secret = Some(value),
                }
                parameters.secret_pluses = raw.matches('+').count();
                continue;
            }
            let value = match known.as_str() {
                "issuer" => Zeroizing::new(text(&self.plus(raw))?.trim_matches(' ').to_owned()),
                _ => text(raw)?,
            };
            if raw.contains('=') {
                // Allow `?` and `#` in parameters that only apps interpret, such as an image URL.
                let own = if known == "issuer" || known == "encoder" { &SEPARATORS } else { &SEPARATORS[..2] };
                check_hidden("value of a parameter", &value, own)?;
            }
            check_hidden("value of a parameter", &value, &[';'])?;
            let slot = match known.as_str() {
                // An empty issuer counts as absent.
                "issuer" if value.is_empty() => {
                    self.spelling(&name, &known);
                    continue;
                }
                "issuer" => &mut parameters.issuer,
                "algorithm" => &mut parameters.algorithm,
                "digits" => &mut parameters.digits,
                "period" => &mut parameters.period,
                "counter" => &mut parameters.counter,
                "encoder" => &mut parameters.encoder,
                _ if is_reserved(&name) => return Err(SEPARATOR),
                _ => {
                    match parameters.others.iter().find(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                        Some((_, other)) if *other != value => return Err(CONTRADICTION),
                        Some(_) => self.warn(Warning::RepeatedParameter),
                        None if parameters.others.len() == MAX_OTHERS => {
                            return Err(PARAMETERS_TOO_MANY);
                        }
                        None => parameters.others.push(((*name).clone(), value)),
                    }
                    continue;
                }
            };
            let repeated = match slot {
                Some(other) if *other != value => return Err(CONTRADICTION),
                Some(_) => true,
                None => {
                    *slot = Some(value);
                    false
                }
            };
            self.spelling(&name, &known);
            if repeated {
                self.warn(Warning::RepeatedParameter);
            }
        }
        Ok(parameters)
    }

    fn spelling(&mut self, name: &str, known: &str) {
        if name != known {
            self.warn(Warning::ParameterSpelling);
        }
    }

    /// Replaces `+` with `%20`: programs that use form encoding instead of URI encoding write `+` for a space.
    fn plus(&mut self, raw: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(raw.len().saturating_mul(3)));
        for (index, part) in raw.split('+').enumerate() {
            if index > 0 {
                self.warn(Warning::Plus);
                text.push_str("%20");
            }
            text.push_str(part);
        }
        text
    }

    /// If `is_there` is true, warns about a parameter that this type of account does not have. Its value is not
    /// checked, since it does not affect the codes.
    fn foreign(&mut self, is_there: bool) {
        if is_there {
            self.warn(Warning::ForeignParameter);
        }
    }

    fn factor(&mut self, kind: &str, parameters: &mut Parameters) -> Result<Factor, Error> {
        let encoder = parameters.encoder.take();
        let steam = encoder.as_ref().is_some_and(|encoder| encoder.eq_ignore_ascii_case("steam"));
        match encoder {
            Some(encoder) if !steam => parameters.others.push(("encoder".to_owned(), encoder)),
            Some(encoder) if *encoder != "steam" => self.warn(Warning::SchemeSpelling),
            _ => {}
        }
        if is_too_much(&parameters.others) {
            return Err(PARAMETERS_TOO_MANY);
        }
        match kind.to_ascii_lowercase().as_str() {
            "hotp" if steam => Err(not_supported("hotp with encoder=steam")),
            "hotp" => {
                self.foreign(parameters.period.is_some());
                let Some(counter) = &parameters.counter else {
                    self.warn(Warning::NoCounter);
                    return Ok(Factor::Counter(0));
                };
                self.number(counter).map(Factor::Counter).ok_or(COUNTER)
            }
            kind @ ("totp" | "steam") => {
                self.foreign(parameters.counter.is_some());
                let period = match &parameters.period {
                    Some(period) => Period::new(self.number(period).ok_or(Period::REFUSED)?)?,
                    None => Period::default(),
                };
                match steam || kind == "steam" {
                    true if period != Period::default() => Err(Period::REFUSED),
                    true => Ok(Factor::Steam),
                    false => Ok(Factor::Period(period)),
                }
            }
            "yaotp" => Err(not_supported("yaotp")),
            _ => Err(NO_URI),
        }
    }

    fn secret(&mut self, typed: &[u8], pluses: usize) -> Result<Secret, Error> {
        let typed = str::from_utf8(typed).map_err(|_| NOT_UTF8)?;
        let secret = Secret::from_base32(typed)?;
        let canonical = secret.expose_base32();
        if *canonical == *typed {
            return Ok(secret);
        }
        // A `+` that stands for a space causes a separate warning.
        if typed.chars().filter(|c| !c.is_ascii_uppercase() && !c.is_ascii_digit()).count() > pluses {
            self.warn(Warning::SecretSpelling);
        }
        // The last symbols differ only if the typed symbol has nonzero leftover bits.
        let last = typed.chars().rev().find(char::is_ascii_alphanumeric);
        if last.map(|last| last.to_ascii_uppercase()) != canonical.chars().next_back() {
            self.warn(Warning::LeftOverBits);
        }
        Ok(secret)
    }

    /// Splits the label into prefix and account.
    fn label(&mut self, raw: &str, issuer: Option<&str>) -> Result<(Option<String>, String), Error> {
        let label = text(raw)?;
        // Check for hidden parameters only if there is an unencoded `=`, because keyfob writes `%3D` in names.
        if raw.contains('=') {
            check_hidden("label", &label, &SEPARATORS)?;
        }
        let own = issuer.and_then(|issuer| label.strip_prefix(issuer)?.strip_prefix(':').map(|rest| (issuer, rest)));
        let (prefix, account) = own.or_else(|| label.split_once(':')).unwrap_or(("", &label));
        let (prefix, account) = (trim_name("issuer", prefix)?, trim_name("account name", account)?);
        if account.is_empty() {
            return Err(ACCOUNT_EMPTY);
        }
        // The prefix contains a colon only if it equals the issuer.
        let issuer = trim_name("issuer", issuer.unwrap_or_default())?;
        if issuer.contains(':') || account.contains(':') {
            self.warn(Warning::Colon);
        }
        Ok(((!prefix.is_empty()).then(|| prefix.to_owned()), account.to_owned()))
    }

    fn algorithm(&mut self, name: &str) -> Result<Algorithm, Error> {
        let algorithm = algorithm(name)?;
        if algorithm.name() != name {
            self.warn(Warning::AlgorithmSpelling);
        }
        Ok(algorithm)
    }

    /// Parses a number that consists only of ASCII digits, without a sign or spaces.
    fn number<T: core::str::FromStr>(&mut self, text: &str) -> Option<T> {
        if text.len() > 1 && text.starts_with('0') {
            self.warn(Warning::NumberSpelling);
        }
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    }
}

/// Parses an algorithm name in any spelling that programs use.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, Error> {
    let plain: String = name.chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    plain.strip_prefix("HMAC").unwrap_or(&plain).parse()
}

fn text(raw: &str) -> Result<Zeroizing<String>, Error> {
    let bytes = bytes(raw)?;
    str::from_utf8(&bytes).map(|text| text.to_owned().into()).map_err(|_| NOT_UTF8)
}

/// Percent-decodes into a buffer that never grows, so that no copy of a secret is left in freed memory.
fn bytes(raw: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let escapes = raw.split('%').skip(1);
    if escapes.clone().any(|escape| !escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count().eq(&2)) {
        return Err(PERCENT_ENCODING);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(raw.len()));
    bytes.extend(percent_decode_str(raw));
    Ok(bytes)
}

/// Other programs' schemes that keyfob recognizes but does not support. The error message names the scheme.
const NOT_SUPPORTED: [&str; 3] = ["motp", "otpauth-migration", "phonefactor"];

/// The maximum length of a URI. No QR code can hold that much text.
const MAX_BYTES: usize = 16 * 1024;

/// The maximum number of parameters that keyfob does not interpret. Each parameter is compared with all parameters
/// before it, and a file may contain thousands of URIs.
const MAX_OTHERS: usize = 64;

/// The maximum length of all parameters that keyfob does not interpret, in percent-encoded form. Three names and the
/// longest secret take at most 11 KiB of the 16 KiB that a URI may have.
const MAX_OTHERS_BYTES: usize = 5 * 1024;

pub(crate) const fn not_supported(kind: &'static str) -> Error {
    Error::new(ErrorKind::Uri, "URIs of the kind {} are not supported").word(kind)
}

pub(crate) const CONTRADICTION: Error = Error::new(ErrorKind::Uri, "a parameter is given twice, with different values");
pub(crate) const NOT_UTF8: Error = Error::new(ErrorKind::Uri, "a part of the URI is not UTF-8 once it is decoded");
pub(super) const NO_LABEL: Error = Error::new(ErrorKind::Uri, "the URI names no account");
pub(super) const PARAMETERS_TOO_MANY: Error =
    Error::new(ErrorKind::Uri, "a URI has at most {} parameters beyond the usual ones, with {} bytes in all")
        .number(MAX_OTHERS as u64)
        .number(MAX_OTHERS_BYTES as u64);
const NO_SECRET: Error =
    Error::new(ErrorKind::Uri, "the URI has no secret; some apps use such URIs to approve a login, not for codes");
const SEPARATOR: Error = Error::new(
    ErrorKind::Uri,
    "the name of a parameter is damaged, as in amp;digits=8; separate parameters by a plain &",
);
const NO_URI: Error =
    Error::new(ErrorKind::Uri, "this is not an otpauth URI: otpauth://totp/... or otpauth://hotp/...");
const PERCENT_ENCODING: Error = Error::new(ErrorKind::Uri, "a % is not followed by two hexadecimal digits");
const TOO_LONG: Error = Error::new(ErrorKind::Uri, "a URI has at most {} bytes").number(MAX_BYTES as u64);
