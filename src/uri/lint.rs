//! Finds the apps that would show a wrong code for a URI, refuse it, or show a wrong name, and explains why.
//!
//! The evidence in the table comes from the apps' source code and from public reports, and has a date if one is known.
//! An app that is missing from the table may have problems too. `docs/apps.md` shows the table.

mod table;

use alloc::vec::Vec;

use self::table::{Rule, Source, TABLE};
use super::{Factor, KeyUri};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::totp::Period;

impl KeyUri {
    /// Lists what known apps do wrong with this URI, worst first. The list is empty for TOTP with default settings, a
    /// secret of at least 128 bits, and a short issuer and account without special characters, provided that the issuer
    /// is not `Steam` (ignoring case).
    ///
    /// Each finding has a source, and a date if one is known. The page `docs/apps.md` shows all known problems.
    ///
    /// ```
    /// use keyfob::{Algorithm, Effect, KeyUri, Secret};
    ///
    /// let secret = Secret::generate_for(Algorithm::Sha256);
    /// let uri = KeyUri::totp("Example", "alice@example.com", &secret)?;
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
            rules.flat_map(|rule| rule.apps.iter().map(|(app, source)| Finding { app, source, rule })).collect();
        findings.sort_by_key(|finding| (finding.effect(), finding.app));
        findings
    }
}

/// A problem that one app has with a URI.
#[derive(Clone, Copy)]
pub struct Finding {
    app: &'static str,
    source: &'static Source,
    rule: &'static Rule,
}

impl Finding {
    /// The name of the app.
    #[must_use]
    pub const fn app(&self) -> &'static str {
        self.app
    }

    /// What the app's user sees.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.rule.effect
    }

    /// What the app does that causes the effect, such as "computes with SHA-1 whatever the URI says".
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.rule.reason
    }

    /// The source of the finding: a repository with the app's source code, or a public report.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        self.source.name
    }

    /// The year and month of the source, such as `2026-02`, or `undated`. Newer versions of the app may behave
    /// differently.
    #[must_use]
    pub const fn read(&self) -> &'static str {
        self.source.read
    }
}

impl core::fmt::Debug for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Finding")
            .field("app", &self.app)
            .field("effect", &self.rule.effect)
            .field("reason", &self.rule.reason)
            .field("source", &self.source.name)
            .field("read", &self.source.read)
            .finish()
    }
}

/// What an app's user sees. The worst effect comes first: if the code is wrong, the login fails, and nothing shows that
/// the app is the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// The app shows no error, but its codes are never accepted.
    WrongCode,
    /// The app refuses the account, or asks the user before adding it.
    Refused,
    /// The app shows the account under the wrong name.
    Mislabeled,
}

impl KeyUri {
    fn other_period(&self) -> Option<Period> {
        self.period().filter(|period| *period != Period::default())
    }

    const fn counts(&self) -> bool {
        matches!(self.factor, Factor::Counter(_))
    }

    /// The length of the name that a security key stores: `[PERIOD/][ISSUER:]ACCOUNT`.
    fn stored_name_bytes(&self) -> usize {
        let period = self.other_period().map_or(0, |period| period.seconds().ilog10() as usize + 2);
        period + self.issuer().map_or(0, |issuer| issuer.len() + 1) + self.account.len()
    }

    fn has_other_settings(&self) -> bool {
        let other = self.algorithm != Algorithm::Sha1 || self.digits != Digits::Six;
        self.period().is_some_and(|period| other || period != Period::default())
    }

    /// Whether the URI is written with the type `steam`. A `steam://` link without names is not.
    const fn names_steam(&self) -> bool {
        matches!(self.factor, Factor::Steam) && !self.account.is_empty()
    }

    /// Whether a security key would mistake the beginning of the name for a period. The key stores the period at the
    /// beginning of the name, unless the period is the default of 30 seconds.
    fn begins_like_a_period(&self) -> bool {
        let name = self.issuer().unwrap_or(&self.account);
        let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
        self.period() == Some(Period::default()) && rest.len() < name.len() && rest.starts_with('/')
    }

    /// The issuer prefix in the label, if there is one.
    fn prefix(&self) -> Option<&str> {
        self.label_issuer().or(self.issuer())
    }

    fn issuers_contain(&self, characters: &[char]) -> bool {
        self.issuers().any(|issuer| issuer.contains(characters))
    }

    fn names_contain(&self, characters: &[char]) -> bool {
        self.issuers().chain([self.account()]).any(|name| name.contains(characters))
    }

    /// The issuer parameter and the label prefix. Some apps read only one of them.
    fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuer().into_iter().chain(self.label_issuer())
    }
}

fn divides_a_minute(period: Period) -> bool {
    [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60].contains(&period.seconds())
}
