//! From what a file of another program says of an account to a [`KeyUri`].

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::{Factor, KeyUri, algorithm, trim_name};
use crate::code::Digits;
use crate::error::{Cause, Error};
use crate::secret::Secret;
use crate::totp::Period;

/// The parts, in the words of the app. What is absent is the default that every app has.
#[derive(Default)]
pub(crate) struct Account<'a> {
    /// `totp` if it is empty.
    pub(crate) kind: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) name: &'a str,
    pub(crate) algorithm: Option<&'a str>,
    pub(crate) digits: Option<u64>,
    pub(crate) period: Option<u64>,
    pub(crate) counter: Option<u64>,
}

impl Account<'_> {
    /// The secret is asked for last: an account of a kind that is not supported may have another sort of secret, and
    /// that is not what is wrong with it.
    pub(crate) fn with(&self, secret: impl FnOnce() -> Result<Secret, Error>) -> Result<KeyUri, Error> {
        let kind = self.kind.to_ascii_lowercase();
        let factor = match kind.as_str() {
            "" | "totp" => Factor::Period(self.period()?),
            "hotp" => Factor::Counter(self.counter.unwrap_or(0)),
            "steam" if self.period()? != Period::default() => return Err(Error::new(Cause::Period)),
            "steam" => Factor::Steam,
            _ => {
                let name = NOT_SUPPORTED.iter().find(|name| name.eq_ignore_ascii_case(&kind));
                return Err(Error::new(name.map_or(Cause::AccountKind, |name| Cause::NotSupported(name))));
            }
        };
        let (issuer, account) = names(self.issuer, self.name)?;
        let mut uri = KeyUri::with(factor, issuer, account, secret()?);
        // Steam has one algorithm and five symbols, whatever an app writes there.
        if factor != Factor::Steam {
            if let Some(name) = self.algorithm {
                uri = uri.with_algorithm(algorithm(name)?);
            }
            if let Some(digits) = self.digits {
                let digits = u8::try_from(digits).map_err(|_| Error::new(Cause::Digits))?;
                uri = uri.with_digits(Digits::new(digits)?);
            }
        }
        Ok(uri)
    }

    fn period(&self) -> Result<Period, Error> {
        let Some(period) = self.period else { return Ok(Period::default()) };
        Period::new(u32::try_from(period).map_err(|_| Error::new(Cause::Period))?)
    }
}

/// People leave one of the two empty, and apps let them. The issuer then names the account as well.
pub(crate) fn names(issuer: &str, account: &str) -> Result<(Option<String>, String), Error> {
    let (issuer, account) = (trim_name("issuer", issuer.trim())?, trim_name("account name", account.trim())?);
    let account = if account.is_empty() { issuer } else { account };
    if account.is_empty() {
        return Err(Error::new(Cause::AccountEmpty));
    }
    Ok(((!issuer.is_empty()).then(|| issuer.to_owned()), account.to_owned()))
}

/// Of apps whose backups keyfob reads, so that the message can say so.
const NOT_SUPPORTED: [&str; 4] = ["mOTP", "OCRA", "PIN", "Yandex"];
