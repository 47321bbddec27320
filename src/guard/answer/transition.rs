//! Commit before reveal: an answer cannot be read until its change is stored.
//!
//! Many guesses may be compared at the same time, but the store accepts only one change for each version of the record.
//! The other decisions are dropped unread and made again from the new record, in which the stored guess is counted.
//! This limits guessing only if nobody can read an answer before the swap. The types in this module ensure that.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::answer::event::Event;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::OperatorId;
use crate::store::Swap;

/// A decision that has not been stored yet.
///
/// Apply [`change`](Self::change) to the stored record, but only if the record is still the one on which the decision
/// was based. Then pass the outcome to [`committed`](Self::committed), which returns the answer. There is no other way
/// to read the answer:
///
/// ```compile_fail,E0616
/// # fn peek(transition: keyfob::guard::Transition<keyfob::Verdict>) {
/// let verdict = transition.reveal; // private: nobody may read an answer before its guess is counted
/// # }
/// ```
///
/// ```
/// # use keyfob::guard::{Committed, GuardError, Transition};
/// # use keyfob::{Verdict, store::Swap};
/// # type Answer = Result<Committed<Verdict>, GuardError>;
/// # fn look(transition: Transition<Verdict>, swap: Swap) {
/// let verdict: Answer = transition.committed(swap);
/// # }
/// ```
///
/// Dropping a transition reveals nothing and changes nothing.
#[must_use = "a decision has no effect until its change is stored"]
pub struct Transition<T> {
    change: Change,
    /// Whether the change exhausts the guess budget if the code in question is refused.
    exhausts: bool,
    reveal: Box<dyn FnOnce() -> Committed<T> + Send>,
}

impl<T> Transition<T> {
    pub(crate) fn new(change: Change, reveal: impl FnOnce() -> Committed<T> + Send + 'static) -> Self {
        Self { change, exhausts: false, reveal: Box::new(reveal) }
    }

    /// Sets whether the change exhausts the guess budget if the code in question is refused. This is public even before
    /// the swap.
    pub(crate) fn exhausting(mut self, exhausts: bool) -> Self {
        self.exhausts = exhausts;
        self
    }

    pub(crate) const fn exhausts(&self) -> bool {
        self.exhausts
    }

    /// Makes a decision that does not change the record.
    pub(crate) fn of(value: T, events: Vec<Event>) -> Self
    where
        T: Send + 'static,
    {
        Self::new(Change::None, move || Committed { value, events })
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Transition<U>
    where
        T: 'static,
    {
        let reveal = self.reveal;
        let exhausts = self.exhausts;
        let mapped = Transition::new(self.change, move || {
            let Committed { value, events } = reveal();
            Committed { value: f(value), events }
        });
        mapped.exhausting(exhausts)
    }

    /// Names the operator in all events.
    pub(crate) fn by(self, operator: &OperatorId) -> Self
    where
        T: 'static,
    {
        let (reveal, operator) = (self.reveal, operator.clone());
        Self::new(self.change, move || {
            let Committed { value, events } = reveal();
            Committed { value, events: events.into_iter().map(|event| event.by(&operator)).collect() }
        })
    }

    /// Adds events, which may depend on the answer.
    pub(crate) fn with_events(self, more: impl FnOnce(&T) -> Vec<Event> + Send + 'static) -> Self
    where
        T: 'static,
    {
        let Self { change, exhausts, reveal } = self;
        let transition = Self::new(change, move || {
            let Committed { value, mut events } = reveal();
            events.extend(more(&value));
            Committed { value, events }
        });
        transition.exhausting(exhausts)
    }

    /// The change to make to the stored record. Make it in one atomic step, and only if the record is still the one
    /// that was loaded.
    #[must_use]
    pub const fn change(&self) -> &Change {
        &self.change
    }

    /// Returns the answer. Call this once the change is stored.
    ///
    /// For [`Change::None`] there is nothing to store; pass [`Swap::Swapped`].
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Contended`] after a [`Swap::Conflict`]: load the record again and decide again. If it is
    /// unknown whether the change took effect, for example after a timeout, drop the transition and report an error to
    /// the user.
    pub fn committed(self, swap: Swap) -> Result<Committed<T>, GuardError> {
        match swap {
            Swap::Swapped => Ok((self.reveal)()),
            Swap::Conflict => Err(GuardError::new(GuardErrorKind::Contended)),
        }
    }
}

impl<T> fmt::Debug for Transition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transition").field("change", &self.change).finish_non_exhaustive()
    }
}

/// The change that a [`Transition`] makes to the stored record.
///
/// The methods of [`SecondFactor`](crate::guard::SecondFactor) that make a decision return a transition. In this
/// example, a variable stands in for the database:
///
/// ```
/// use keyfob::guard::{Change, Confirmation, Context, GuardError, OperatorId, Randomness};
/// use keyfob::guard::{SecondFactor, Setup, Transition};
/// use keyfob::store::Swap;
/// use keyfob::{Keyring, Policy, Verdict};
///
/// fn store<T>(
///     database: &mut Option<Vec<u8>>,
///     transition: Transition<T>,
/// ) -> Result<T, GuardError> {
///     match transition.change() {
///         Change::None => {}
///         Change::Remove => *database = None,
///         Change::Write(record) => *database = Some(record.clone()),
///     }
///     // Nobody else can change the variable, so there is no conflict.
///     Ok(transition.committed(Swap::Swapped)?.value)
/// }
///
/// let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
/// let (policy, random) = (Policy::default(), Randomness::default());
/// let at = |unix_seconds| Context::new("user-17", unix_seconds, &policy, &keyring);
/// let mut database = None;
///
/// let now = 1_900_000_000;
/// let factor = SecondFactor::read(database.as_deref())?;
/// let setup = Setup::totp("alice@example.com");
/// let enroll = factor.enroll(&at(now)?, &random, "Example Inc", &setup, None)?;
/// let enrollment = store(&mut database, enroll)?;
/// let phone = enrollment.uri().to_totp().ok_or("not TOTP")?;
///
/// let factor = SecondFactor::read(database.as_deref())?;
/// let typed = phone.code_at(now).to_string();
/// let answer = store(&mut database, factor.confirm(&at(now)?, &typed)?)?;
/// assert!(matches!(answer, Confirmation::Confirmed(_)));
///
/// let (factor, later) = (SecondFactor::read(database.as_deref())?, now + 60);
/// let typed = phone.code_at(later).to_string();
/// let verdict = store(&mut database, factor.verify(&at(later)?, &typed)?)?;
/// assert!(matches!(verdict, Verdict::Accepted(_)));
///
/// let factor = SecondFactor::read(database.as_deref())?;
/// let operator = OperatorId::new("jane@example.com")?;
/// store(&mut database, factor.operator_remove(&at(later)?, &operator)?)?;
/// assert!(!SecondFactor::read(database.as_deref())?.status(&at(later)?).is_active());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// The record stays as it is.
    None,
    /// The record is removed.
    Remove,
    /// The record is replaced with these bytes, or created from them. They contain secrets only in encrypted form.
    Write(Vec<u8>),
}

impl Change {
    /// The new record for [`Store::swap`](crate::store::Store::swap), or `None` if there is no record to write.
    #[must_use]
    pub fn record(&self) -> Option<&[u8]> {
        match self {
            Self::None | Self::Remove => None,
            Self::Write(record) => Some(record),
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Remove => f.write_str("Remove"),
            // The bytes reveal the verdict, which must stay secret until the swap, so only their number is printed.
            Self::Write(record) => f.debug_struct("Write").field("bytes", &record.len()).finish_non_exhaustive(),
        }
    }
}

/// An answer whose change is stored, and the events to log.
#[derive(Debug)]
#[must_use]
pub struct Committed<T> {
    /// The answer.
    pub value: T,
    /// The events, for the log and for notifying the user.
    pub events: Vec<Event>,
}
