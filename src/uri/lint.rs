//! Which apps would show a wrong code, refuse a URI or cut its name, and why.
//!
//! The table has dated evidence, from the sources of the apps and from public reports. What is not in it is not known to
//! be right. `docs/apps.md` shows it.

mod table;

use alloc::vec::Vec;

use self::table::{Rule, Source, TABLE};
use super::{Factor, KeyUri};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::totp::Period;

impl KeyUri {
    /// What real apps do wrong with these settings, the worst first. Empty for the defaults and a plain name.
    ///
    /// Each finding names its source and how old it is. The page `docs/apps.md` shows all that is known.
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
            rules.flat_map(|rule| rule.apps.iter().map(|(app, source)| Finding { app, source, rule })).collect();
        findings.sort_by_key(|finding| (finding.effect(), finding.app));
        findings
    }
}

/// One app, and what it does with a URI.
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

    /// Where this was read: a repository with the source of the app, or a public report.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        self.source.name
    }

    /// The year and month of what was read, such as `2026-02`, or `undated`. Newer versions may do better.
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

    fn has_other_settings(&self) -> bool {
        let other = self.algorithm != Algorithm::Sha1 || self.digits != Digits::Six;
        self.period().is_some_and(|period| other || period != Period::default())
    }

    /// Steam as a type, and not as the link without names.
    const fn names_steam(&self) -> bool {
        matches!(self.factor, Factor::Steam) && !self.account.is_empty()
    }

    /// A security key finds the period in the stored name. One of 30 seconds is not written there.
    fn begins_like_a_period(&self) -> bool {
        let name = self.issuer().unwrap_or(&self.account);
        let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
        self.period() == Some(Period::default()) && rest.len() < name.len() && rest.starts_with('/')
    }

    /// What stands in front of the account in the label.
    fn prefix(&self) -> Option<&str> {
        self.label_issuer().or(self.issuer())
    }

    fn issuers_contain(&self, characters: &[char]) -> bool {
        self.issuers().any(|issuer| issuer.contains(characters))
    }

    fn names_contain(&self, characters: &[char]) -> bool {
        self.issuers().chain([self.account()]).any(|name| name.contains(characters))
    }

    /// The parameter and the prefix, of which some apps look at the one and some at the other.
    fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuer().into_iter().chain(self.label_issuer())
    }
}

fn divides_a_minute(period: Period) -> bool {
    [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60].contains(&period.seconds())
}
