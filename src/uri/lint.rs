//! Which apps would show a wrong code, refuse a URI or cut its name, and why.
//!
//! Apps change, and nobody announces it: the table is dated evidence, from their sources and from public reports of
//! 2018 to 2026. What is not in it is not known to be right.

use alloc::vec::Vec;

use super::{Factor, KeyUri};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::key::Strength;
use crate::totp::Period;

impl KeyUri {
    /// What real apps do wrong with these settings, the worst first. Empty for the defaults and a plain name.
    ///
    /// ```
    /// use keyfob::{Algorithm, Effect, KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example", "alice@example.com", &Secret::generate_for(Algorithm::Sha256))?;
    /// assert!(uri.lint().is_empty());
    ///
    /// let uri = uri.with_algorithm(Algorithm::Sha256);
    /// let finding = uri.lint()[0];
    /// assert_eq!((finding.app(), finding.effect()), ("Authy", Effect::WrongCode));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let rules = TABLE.iter().filter(|rule| (rule.applies)(self));
        let mut findings: Vec<Finding> =
            rules.flat_map(|rule| rule.apps.iter().map(|app| Finding { app, rule })).collect();
        findings.sort_by_key(|finding| (finding.effect(), finding.app));
        findings
    }
}

/// One app, and what it does with a URI.
#[derive(Clone, Copy)]
pub struct Finding {
    app: &'static str,
    rule: &'static Rule,
}

impl Finding {
    /// The name of the app.
    #[must_use]
    pub const fn app(&self) -> &'static str {
        self.app
    }

    /// What its user sees.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.rule.effect
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.rule.reason
    }
}

impl core::fmt::Debug for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Finding")
            .field("app", &self.app)
            .field("effect", &self.rule.effect)
            .field("reason", &self.rule.reason)
            .finish()
    }
}

/// What the user of an app sees. The worst first: a code that is always wrong looks like a broken login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Codes that are never accepted, without an error.
    WrongCode,
    /// The app does not take the account, or asks first.
    Refused,
    /// The account has another name than it should.
    Mislabeled,
}

struct Rule {
    applies: fn(&KeyUri) -> bool,
    effect: Effect,
    apps: &'static [&'static str],
    reason: &'static str,
}

const fn rule(
    applies: fn(&KeyUri) -> bool,
    effect: Effect,
    apps: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    Rule { applies, effect, apps, reason }
}

static TABLE: [Rule; 24] = [
    rule(
        |uri| uri.algorithm != Algorithm::Sha1,
        Effect::WrongCode,
        &[
            "Authy",
            "Duo Mobile",
            "Google Authenticator for Android before 2024",
            "Microsoft Authenticator",
            "Okta Verify",
        ],
        "computes with SHA-1 whatever the URI says",
    ),
    rule(
        |uri| uri.algorithm == Algorithm::Sha512,
        Effect::Refused,
        &["YubiKey with firmware before 4.3.1"],
        "does not know SHA-512",
    ),
    rule(
        |uri| uri.digits != Digits::Six,
        Effect::WrongCode,
        &["Google Authenticator for Android before 2024", "Microsoft Authenticator", "Okta Verify"],
        "shows six digits whatever the URI says",
    ),
    rule(
        |uri| uri.digits == Digits::Seven,
        Effect::WrongCode,
        &["Authy", "Google Authenticator after a transfer"],
        "has no codes of seven digits",
    ),
    rule(
        |uri| uri.other_period().is_some(),
        Effect::WrongCode,
        &["Duo Mobile", "Google Authenticator", "Microsoft Authenticator"],
        "counts in 30 seconds whatever the URI says",
    ),
    rule(
        |uri| uri.other_period().is_some_and(|period| !(5..=300).contains(&period.seconds())),
        Effect::WrongCode,
        &["Apple Passwords"],
        "counts in 30 seconds where the period is not 5 to 300",
    ),
    rule(
        |uri| uri.period().is_some_and(|period| period.seconds() < 5),
        Effect::Refused,
        &["FreeOTP for Android"],
        "takes periods of 5 seconds and more",
    ),
    rule(|uri| uri.counts(), Effect::WrongCode, &["Bitwarden"], "reads HOTP as TOTP"),
    rule(|uri| uri.counts(), Effect::Refused, &["Apple Passwords"], "knows TOTP only"),
    rule(
        // Without an account it is written as a link that the app knows.
        |uri| uri.factor == Factor::Steam && !uri.account.is_empty(),
        Effect::WrongCode,
        &["Bitwarden"],
        "reads Steam as TOTP, unless it is a steam:// link",
    ),
    rule(
        |uri| uri.factor == Factor::Steam,
        Effect::Refused,
        &["Apple Passwords", "Google Authenticator", "YubiKey"],
        "does not know Steam codes",
    ),
    rule(
        |uri| uri.factor == Factor::Steam,
        Effect::WrongCode,
        &["FreeOTP for Android"],
        "shows Steam codes in reverse",
    ),
    rule(
        |uri| uri.issuers().any(|issuer| issuer == "Steam") && uri.factor != Factor::Steam,
        Effect::WrongCode,
        &["Ente Auth", "FreeOTP", "Stratum"],
        "makes Steam codes for the issuer Steam",
    ),
    rule(
        |uri| uri.secret.strength() < Strength::Strong,
        Effect::Refused,
        &["FreeOTP for Android"],
        "asks before it takes a secret below 128 bits",
    ),
    rule(
        |uri| uri.counter() > Some(i32::MAX as u64),
        Effect::Refused,
        &["2FAS", "Google Authenticator for Android before 2024", "Stratum"],
        "keeps the counter in 31 bits",
    ),
    rule(
        |uri| uri.counter() > Some(1 << 53),
        Effect::WrongCode,
        &["apps written in JavaScript"],
        "keep the counter in a number that is exact up to 2^53",
    ),
    rule(|uri| uri.stored_name_bytes() > 64, Effect::Refused, &["YubiKey"], "stores names of at most 64 bytes"),
    rule(
        |uri| uri.issuers().any(|issuer| issuer.chars().count() > 30) || uri.account.chars().count() > 50,
        Effect::Mislabeled,
        &["2FAS for Android"],
        "cuts an issuer at 30 characters and an account at 50",
    ),
    rule(
        |uri| uri.names_contain(&['&', '#', '?', '%', '+', '=', '/', '"']),
        Effect::Mislabeled,
        &["2FAS for Android", "Stratum"],
        "decodes the whole URI before it splits it, so that & # ? % + = / and \" cut or change a name",
    ),
    rule(|uri| uri.names_contain(&[':']), Effect::Refused, &["FreeOTP for Android"], "takes one colon only"),
    rule(
        |uri| uri.names_contain(&[':']),
        Effect::Mislabeled,
        &["Aegis", "Apple Passwords", "FreeOTP for iOS"],
        "loses a part of a name with a colon",
    ),
    rule(
        |uri| uri.label_issuer.is_some(),
        Effect::Mislabeled,
        &["Aegis", "FreeOTP", "Microsoft Authenticator", "Stratum"],
        "shows the prefix of the label instead of the issuer",
    ),
    rule(
        |uri| uri.issuer.is_none(),
        Effect::Mislabeled,
        &["Microsoft Authenticator"],
        "shows the domain of the mail address where there is no issuer",
    ),
    rule(
        |uri| uri.to_uri().len() > 213,
        Effect::Refused,
        &["cameras of older phones"],
        "fail on QR codes above version 10, which 213 bytes fill",
    ),
];

impl KeyUri {
    fn other_period(&self) -> Option<Period> {
        self.period().filter(|period| *period != Period::default())
    }

    const fn counts(&self) -> bool {
        matches!(self.factor, Factor::Counter(_))
    }

    /// What a security key stores: `[PERIOD/][ISSUER:]ACCOUNT`.
    fn stored_name_bytes(&self) -> usize {
        let period = self.other_period().map_or(0, |period| period.seconds().ilog10() as usize + 2);
        period + self.issuer().map_or(0, |issuer| issuer.len() + 1) + self.account.len()
    }

    fn names_contain(&self, characters: &[char]) -> bool {
        self.issuers().chain([self.account()]).any(|name| name.contains(characters))
    }

    /// The parameter and the prefix, of which some apps look at the one and some at the other.
    fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuer().into_iter().chain(self.label_issuer())
    }
}
