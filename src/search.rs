//! Finds the counter, the step or the authenticator behind a code, among very many.
//!
//! For a token that is far off, and for the question which of the tokens in a drawer this one is. Verifying a login is
//! [`Hotp::verify`] and [`Totp::verify`]: a wide search for one code accepts a guess with a probability that grows with
//! its width. Ask for two codes, shown one after the other, and it grows with the width in 10^12.
//!
//! Codes of SHA-1 are computed sixteen at once where the processor has AVX2 or AVX-512 and the feature `std` is there
//! to find out; the results are the same without. Every counter is computed and compared; the time depends on how many
//! there are, not on which of them matches.
//!
//! A search calls back, every few thousand codes and at its end, with the number of codes computed so far. The answer says
//! whether to go on; at the end it changes nothing. Candidates that have nothing to compute count as well, so that a number
//! can come twice.
//!
//! ```
//! use std::ops::ControlFlow;
//! use keyfob::{Secret, Totp, search};
//!
//! let totp = Totp::new(&Secret::generate());
//! let now = 1_900_000_000;
//! let shown = now - 5 * 3600; // the token's clock stopped for five hours
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

/// Searches the counters of one HOTP token for `codes`, shown one after the other.
///
/// What is found is the counter of the last of them; all of them must lie within `counters`.
///
/// ```
/// use std::ops::ControlFlow;
/// use keyfob::{Hotp, Secret, search};
///
/// let hotp = Hotp::new(&Secret::generate());
/// let codes = [&hotp.code(70_000), &hotp.code(70_001)]; // a token that was a toy for years
/// let found = search::counters(&hotp, codes, 0..=100_000, |_| ControlFlow::Continue(()))?;
/// assert_eq!(found.last(), Some(70_001));
/// # Ok::<(), search::Stopped>(())
/// ```
///
/// # Errors
///
/// [`Stopped`] if `progress` said so before the end.
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
        // At the end there is nothing left to stop.
        if next.is_some() && verdict.is_break() {
            return Err(Stopped);
        }
    }
    Ok(Matches(newest))
}

/// Searches the steps of one TOTP authenticator for `codes`, shown one after the other: those at most `within` steps before
/// or after the one of `at`, in Unix seconds.
///
/// What is found is the step of the last of them. Before T0 there is nothing to find.
///
/// # Errors
///
/// [`Stopped`] if `progress` said so before the end.
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

/// Searches many authenticators for the one that has shown `codes`, one after the other.
///
/// What is found is the place of the authenticator in the iterator, counted from zero. Among a hundred thousand with a
/// window of three, one code of six digits fits a wrong authenticator in one search out of four: ask for two codes.
///
/// ```
/// use std::ops::ControlFlow;
/// use keyfob::{Secret, Totp, Window, search::{self, Candidate}};
///
/// let drawer: Vec<_> = (0..500).map(|_| Totp::new(&Secret::generate())).collect();
/// let now = 1_900_000_000;
/// let codes = [&drawer[123].code_at(now), &drawer[123].code_at(now + 30)];
///
/// let window = Window::new(1, 2)?;
/// let candidates = drawer.iter().map(|totp| Candidate::totp(totp, now, window));
/// let found = search::authenticators(candidates, codes, |_| ControlFlow::Continue(()))?;
/// assert_eq!((found.last(), found.count()), (Some(123), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Stopped`] if `progress` said so before the end.
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
    // Candidates and codes since the last report, which waits until there is more to do.
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

/// One of the authenticators that may have shown a code, and where to look.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    hotp: &'a Hotp,
    counters: RangeInclusive<u64>,
}

impl<'a> Candidate<'a> {
    /// The counters from the next one expected.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use keyfob::{Hotp, LookAhead, Secret, search::{self, Candidate}};
    ///
    /// let drawer: Vec<_> = (0..50).map(|_| (Hotp::new(&Secret::generate()), 7)).collect(); // with its next counter
    /// let codes = [&drawer[12].0.code(8), &drawer[12].0.code(9)];
    /// let candidates = drawer.iter().map(|(hotp, next)| Candidate::hotp(hotp, *next, LookAhead::default()));
    /// let found = search::authenticators(candidates, codes, |_| ControlFlow::Continue(()))?;
    /// assert_eq!(found.last(), Some(12));
    /// # Ok::<(), search::Stopped>(())
    /// ```
    #[must_use]
    pub fn hotp(hotp: &'a Hotp, from: u64, look_ahead: LookAhead) -> Self {
        Self { hotp, counters: look_ahead.counters(from) }
    }

    /// The steps of a window around `at`, in Unix seconds. Before T0 there are none.
    #[must_use]
    #[allow(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
    pub fn totp(totp: &'a Totp, at: u64, window: Window) -> Self {
        Self { hotp: totp.hotp(), counters: totp.steps(at, window).unwrap_or(1..=0) }
    }
}

/// What a search has found.
pub struct Matches(Newest);

impl Matches {
    /// The last match, or `None`.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.0.counter()
    }

    /// How many matches there were. More than one is an accident of short codes: ask for one code more.
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

/// The search was stopped by its caller before it had looked everywhere. What it had found by then is dropped.
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

/// How many codes, or candidates, between two reports: a fraction of a millisecond.
const CHUNK: u64 = 4096;
