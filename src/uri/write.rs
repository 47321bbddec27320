//! Writes a URI in a single canonical form, and the secret for manual entry.

use alloc::string::String;
use core::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Factor, KeyUri};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::totp::Period;

impl KeyUri {
    /// Returns the URI as a string. The string contains the secret.
    #[must_use]
    pub fn to_uri(&self) -> Zeroizing<String> {
        let issuer = self.issuer.as_ref().map_or(0, String::len);
        let prefix = self.label_issuer.as_ref().map_or(issuer, String::len);
        let others: usize = self.others.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let secret = self.secret.expose_base32();
        // Reserve the whole length: a buffer that grows leaves copies of the secret in freed memory. A percent-encoded
        // byte takes three characters. Everything except the names, the other parameters and the secret takes at most
        // 87 characters.
        let names = 3 * (issuer + prefix + self.account.len());
        let mut uri = Zeroizing::new(String::with_capacity(names + others + secret.len() + 128));
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut uri, &secret);
        uri
    }

    /// The secret for users who cannot scan the QR code: base32 in groups of four characters.
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

    /// Whether `prefix:account` begins with the issuer and a colon. A reader would split such a label after the issuer.
    /// To prevent that, the writer adds a space after the prefix's colon, which readers drop.
    fn reads_as_issuer(&self, prefix: &str) -> bool {
        let rest = self.issuer.as_ref().and_then(|issuer| issuer.strip_prefix(prefix)?.strip_prefix(':'));
        rest.is_some_and(|rest| self.account.strip_prefix(rest).is_some_and(|rest| rest.starts_with(':')))
    }

    fn write(&self, uri: &mut String, secret: &str) -> fmt::Result {
        let kind = match self.factor {
            Factor::Counter(_) => "hotp",
            Factor::Period(_) => "totp",
            Factor::Steam if self.account.is_empty() => return write!(uri, "steam://{secret}"),
            // Do not write `totp` with `encoder=steam`: apps that do not know `encoder` show wrong codes for it.
            Factor::Steam => "steam",
        };
        write!(uri, "otpauth://{kind}/")?;
        // Write the issuer both as a prefix and as a parameter, because some apps read only one of them.
        if let Some(prefix) = self.label_issuer.as_ref().or(self.issuer.as_ref()) {
            write!(uri, "{}:", encoded(prefix))?;
            if self.label_issuer.is_some() && self.reads_as_issuer(prefix) {
                uri.push_str("%20");
            }
        } else if self.account.contains(':') {
            // Write an empty prefix: without it, readers use the beginning of the account as the issuer.
            uri.push(':');
        }
        write!(uri, "{}?secret={secret}", encoded(&self.account))?;
        if let Some(issuer) = &self.issuer {
            write!(uri, "&issuer={}", encoded(issuer))?;
        }
        // Omit default values, because this makes the QR code smaller, and because some apps fail on parameters that
        // they do not expect.
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

/// The characters to percent-encode. A space is written as `%20` and a plus sign as `%2B`, because parsers disagree on
/// whether `+` means a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');
