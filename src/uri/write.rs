//! Writing: one spelling of a URI, and the secret for people.

use alloc::string::String;
use core::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Factor, KeyUri};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::totp::Period;

impl KeyUri {
    /// The URI. It contains the secret.
    #[must_use]
    pub fn to_uri(&self) -> Zeroizing<String> {
        let issuer = self.issuer.as_ref().map_or(0, String::len);
        let prefix = self.label_issuer.as_ref().map_or(issuer, String::len);
        let others: usize = self.others.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let secret = self.secret.expose_base32();
        // Room for the whole text, so that it never grows and leaves a copy of the secret behind: a percent-encoded
        // byte takes three characters, and everything but names and secret takes at most 87.
        let names = 3 * (issuer + prefix + self.account.len());
        let mut uri = Zeroizing::new(String::with_capacity(names + others + secret.len() + 128));
        // Writing to a `String` does not fail.
        let _ = self.write(&mut uri, &secret);
        uri
    }

    /// The secret for people who cannot scan: base32 in groups of four.
    #[must_use]
    pub fn manual_entry(&self) -> Zeroizing<String> {
        let secret = self.secret.expose_base32();
        let mut text = Zeroizing::new(String::with_capacity(secret.len() + (secret.len() >> 2)));
        for (index, symbol) in secret.chars().enumerate() {
            if index & 3 == 0 && index > 0 {
                text.push(' ');
            }
            text.push(symbol);
        }
        text
    }

    /// Whether prefix, colon and account begin with the issuer and a colon, so that a reader would cut there. A space
    /// behind the prefix, which readers drop, keeps them apart.
    fn reads_as_issuer(&self, prefix: &str) -> bool {
        let rest = self.issuer.as_ref().and_then(|issuer| issuer.strip_prefix(prefix)?.strip_prefix(':'));
        rest.is_some_and(|rest| self.account.strip_prefix(rest).is_some_and(|rest| rest.starts_with(':')))
    }

    fn write(&self, uri: &mut String, secret: &str) -> fmt::Result {
        let kind = match self.factor {
            Factor::Counter(_) => "hotp",
            Factor::Period(_) => "totp",
            Factor::Steam if self.account.is_empty() => return write!(uri, "steam://{secret}"),
            // The other spelling, `totp` with `encoder=steam`, makes apps that do not know it show wrong codes.
            Factor::Steam => "steam",
        };
        write!(uri, "otpauth://{kind}/")?;
        // Some apps show only the prefix of the label, others prefer the parameter: both, alike.
        if let Some(prefix) = self.label_issuer.as_ref().or(self.issuer.as_ref()) {
            write!(uri, "{}:", encoded(prefix))?;
            if self.label_issuer.is_some() && self.reads_as_issuer(prefix) {
                uri.push_str("%20");
            }
        } else if self.account.contains(':') {
            // An empty prefix: without it, readers take the beginning of the account for the issuer.
            uri.push(':');
        }
        write!(uri, "{}?secret={secret}", encoded(&self.account))?;
        if let Some(issuer) = &self.issuer {
            write!(uri, "&issuer={}", encoded(issuer))?;
        }
        // Left out where it is the default: a smaller QR code, and apps that trip over a parameter do not.
        if self.factor != Factor::Steam {
            if self.defaults_written || self.algorithm != Algorithm::default() {
                write!(uri, "&algorithm={}", self.algorithm)?;
            }
            if self.defaults_written || self.digits != Digits::default() {
                write!(uri, "&digits={}", self.digits.get())?;
            }
        }
        match self.factor {
            Factor::Counter(counter) => write!(uri, "&counter={counter}")?,
            Factor::Period(period) if self.defaults_written || period != Period::default() => {
                write!(uri, "&period={}", period.seconds())?;
            }
            Factor::Period(_) | Factor::Steam => {}
        }
        self.others.iter().try_for_each(|(name, value)| write!(uri, "&{}={}", encoded(name), encoded(value)))
    }
}

pub(super) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

/// A space must be `%20` and a plus `%2B`: parsers disagree on whether `+` is a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');
