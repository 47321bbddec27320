//! Searches many counters, steps or authenticators for the one that produced the given codes.
//!
//! Use a search to resynchronize a token that is far out of sync, or to identify which one of many tokens a person has.
//! To verify a login, use [`Hotp::verify`] or [`Totp::verify`] instead: the probability that a search accepts a random
//! code grows with the number of codes that it computes. Ask for two consecutive codes: a search over `n` counters then
//! accepts two random six-digit codes with a probability of `n` in 10^12.
//!
//! With the feature `std` and a processor with AVX2 or AVX-512, a search computes sixteen SHA-1 codes at once. The
//! results are the same on other processors. The code of every counter is computed and compared, so the time depends on
//! the number of counters and not on which of them matches.
//!
//! A search calls `progress` with the number of codes computed so far, every few thousand codes and at the end. It
//! stops if `progress` returns `Break`, but ignores the result of the last call. [`authenticators`] also calls
//! `progress` after a few thousand candidates that have no counters to search, so it may report the same number twice.
//!
//! ```
//! use std::ops::ControlFlow;
//! use keyfob::{Secret, Totp, search};
//!
//! let totp = Totp::new(&Secret::generate());
//! let now = 1_900_000_000;
//! let shown = now - 5 * 3600; // the token's clock is five hours slow
//! let codes = [&totp.code_at(shown), &totp.code_at(shown + 30)];
//!
//! let found = search::steps(&totp, codes, now, 1440, |_| ControlFlow::Continue(()))?;
//! assert_eq!(found.last(), Some(totp.step(shown).get() + 1));
//! # Ok::<(), search::Stopped>(())
//! ```

use core::fmt;
use core::ops::{ControlFlow, RangeInclusive};

use crate::algorithm::Batch;
use crate::code::Code;
use crate::hotp::{Consecutive, Hotp, LookAhead, Newest};
use crate::totp::{Totp, Window};

/// Searches `counters` of one HOTP token for consecutive `codes`.
///
/// [`Matches::last`] is the counter of the last code. The counters of all codes must lie within `counters`.
///
/// ```
/// use std::ops::ControlFlow;
/// use keyfob::{Hotp, Secret, search};
///
/// let hotp = Hotp::new(&Secret::generate());
/// // A token whose button was pressed 70,000 times.
/// let codes = [&hotp.code(70_000), &hotp.code(70_001)];
/// let found = search::counters(&hotp, codes, 0..=100_000, |_| ControlFlow::Continue(()))?;
/// assert_eq!(found.last(), Some(70_001));
/// # Ok::<(), search::Stopped>(())
/// ```
///
/// # Errors
///
/// [`Stopped`] if `progress` returned `Break` before the end.
pub fn counters<const N: usize>(
    hotp: &Hotp,
    codes: [&Code; N],
    counters: RangeInclusive<u64>,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Matches, Stopped> {
    let Some(mut codes) = Consecutive::new(codes, hotp.digits()) else { return Ok(Matches(Newest::default())) };
    let mut newest = Newest::default();
    let mut next = Some(*counters.start()).filter(|_| !counters.is_empty());
    while let Some(first) = next {
        let last = first.saturating_add(CHUNK - 1).min(*counters.end());
        hotp.hmac().for_each_truncated(first, last, |counter, truncated| {
            newest.record(counter, codes.matches(truncated));
        });
        let verdict = progress((last - counters.start()).saturating_add(1));
        next = last.checked_add(1).filter(|next| next <= counters.end());
        // After the last chunk the search is complete, so it cannot be stopped.
        if next.is_some() && verdict.is_break() {
            return Err(Stopped);
        }
    }
    Ok(Matches(newest))
}

/// Searches the steps of one TOTP authenticator for consecutive `codes`. The search covers the step that contains `at`,
/// a Unix time in seconds, and up to `within` steps before and after it.
///
/// [`Matches::last`] is the step of the last code. If `at` is before T0, nothing matches.
///
/// # Errors
///
/// [`Stopped`] if `progress` returned `Break` before the end.
pub fn steps<const N: usize>(
    totp: &Totp,
    codes: [&Code; N],
    at: u64,
    within: u32,
    progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Matches, Stopped> {
    match totp.steps_within(at, within.into()) {
        Some(steps) => counters(totp.hotp(), codes, steps, progress),
        None => Ok(Matches(Newest::default())),
    }
}

/// Searches many authenticators for the one that showed consecutive `codes`.
///
/// [`Matches::last`] is the index of the authenticator in `candidates`, counted from 0. Use two codes: with 100,000
/// authenticators and a window of three steps, a search for a single six-digit code also matches a wrong authenticator
/// about one time in four.
///
/// ```
/// use std::ops::ControlFlow;
/// use keyfob::{Secret, Totp, Window, search::{self, Candidate}};
///
/// let tokens: Vec<_> = (0..500).map(|_| Totp::new(&Secret::generate())).collect();
/// let now = 1_900_000_000;
/// let codes = [&tokens[123].code_at(now), &tokens[123].code_at(now + 30)];
///
/// let window = Window::new(1, 2)?;
/// let candidates = tokens.iter().map(|totp| Candidate::totp(totp, now, window));
/// let found = search::authenticators(candidates, codes, |_| ControlFlow::Continue(()))?;
/// assert_eq!((found.last(), found.count()), (Some(123), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Stopped`] if `progress` returned `Break` before the end.
pub fn authenticators<'a, const N: usize>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    codes: [&Code; N],
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Matches, Stopped> {
    let mut newest = Newest::default();
    let mut batch = Batch::new();
    let mut consecutive = None;
    let mut computed = 0u64;
    let mut visit = |label: Label, truncated| {
        if label.first {
            consecutive = Consecutive::new(codes, label.hotp.digits());
        }
        if let Some(codes) = &mut consecutive {
            newest.record(label.index, codes.matches(truncated));
        }
    };
    // The number of candidates and codes since the last report. `due` reports only before another candidate or code, so
    // it cannot stop a search that is complete.
    let mut since = 0u64;
    let mut reported = None;
    let mut due = |since: &mut u64, computed| {
        if *since < CHUNK {
            return Ok(());
        }
        *since = 0;
        reported = Some(computed);
        match progress(computed) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    };
    for (index, candidate) in (0..).zip(candidates) {
        due(&mut since, computed)?;
        since += 1;
        let Candidate { hotp, counters } = candidate;
        let start = *counters.start();
        for counter in counters {
            due(&mut since, computed)?;
            since += 1;
            let label = Label { hotp, index, first: counter == start };
            batch.push(hotp.hmac(), counter, label, &mut visit);
            computed += 1;
        }
    }
    batch.flush(&mut visit);
    if reported != Some(computed) {
        let _ = progress(computed);
    }
    Ok(Matches(newest))
}

/// An authenticator that may have shown the codes, and the counters or steps to search.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    hotp: &'a Hotp,
    counters: RangeInclusive<u64>,
}

impl<'a> Candidate<'a> {
    /// Creates a candidate from an HOTP token. Its counters are `from`, which is the next expected counter, and the
    /// look-ahead counters after it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use keyfob::{Hotp, LookAhead, Secret, search::{self, Candidate}};
    ///
    /// // Each token with its next expected counter.
    /// let tokens: Vec<_> = (0..50).map(|_| (Hotp::new(&Secret::generate()), 7)).collect();
    /// let codes = [&tokens[12].0.code(8), &tokens[12].0.code(9)];
    /// let candidates = tokens
    ///     .iter()
    ///     .map(|(hotp, next)| Candidate::hotp(hotp, *next, LookAhead::default()));
    /// let found = search::authenticators(candidates, codes, |_| ControlFlow::Continue(()))?;
    /// assert_eq!(found.last(), Some(12));
    /// # Ok::<(), search::Stopped>(())
    /// ```
    #[must_use]
    pub fn hotp(hotp: &'a Hotp, from: u64, look_ahead: LookAhead) -> Self {
        Self { hotp, counters: look_ahead.counters(from) }
    }

    /// Creates a candidate from a TOTP authenticator. Its steps are those of the window around `at`, a Unix time in
    /// seconds. If `at` is before T0, there are no steps.
    #[must_use]
    #[allow(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
    pub fn totp(totp: &'a Totp, at: u64, window: Window) -> Self {
        Self { hotp: totp.hotp(), counters: totp.steps(at, window).unwrap_or(1..=0) }
    }
}

/// The result of a search.
pub struct Matches(Newest);

impl Matches {
    /// Returns the last match, which is a counter, a step or the index of an authenticator, or `None` if nothing
    /// matched.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.0.counter()
    }

    /// The number of matches. If there is more than one match, some of them are coincidences: ask for one more code.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.0.matches()
    }
}

impl fmt::Debug for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matches").field("last", &self.last()).field("count", &self.count()).finish()
    }
}

/// The caller stopped the search before it was complete. Matches found so far are discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the search was stopped before its end")
    }
}

impl core::error::Error for Stopped {}

#[derive(Clone, Copy)]
struct Label<'a> {
    hotp: &'a Hotp,
    index: u64,
    /// Whether this is the first counter of its candidate.
    first: bool,
}

/// The number of codes and candidates between two calls to `progress`. Processing them takes a fraction of a
/// millisecond.
const CHUNK: u64 = 4096;
