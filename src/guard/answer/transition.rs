//! Commit before reveal: an answer that cannot be read before its consequence is stored.
//!
//! Of many guesses in flight at once all may be compared, but a store that swaps lets one of them through for each
//! state of the record. The others are dropped unread and decided again, against a record that has counted the winner.
//! That only holds if nobody can look at an answer before the swap; here the types see to it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::answer::event::Event;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::store::Swap;

/// A decision that was made and not yet stored.
///
/// Store what [`change`](Self::change) says, only if the record is still the one that the decision was made from, and
/// hand the outcome to [`committed`](Self::committed). There is no other way to the answer:
///
/// ```compile_fail,E0616
/// # fn peek(transition: keyfob::guard::Transition<keyfob::Verdict>) {
/// let verdict = transition.reveal; // private: a verdict that is read before it is stored can be had for free
/// # }
/// ```
///
/// ```
/// # fn look(transition: keyfob::guard::Transition<keyfob::Verdict>, swap: keyfob::store::Swap) {
/// let verdict = transition.committed(swap);
/// # }
/// ```
///
/// A transition that is dropped has told nothing and changed nothing.
#[must_use = "nothing has happened until the change is stored"]
pub struct Transition<T> {
    change: Change,
    reveal: Box<dyn FnOnce() -> Committed<T> + Send>,
}

impl<T> Transition<T> {
    pub(crate) fn new(change: Change, reveal: impl FnOnce() -> Committed<T> + Send + 'static) -> Self {
        Self { change, reveal: Box::new(reveal) }
    }

    /// An answer that changes nothing.
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
        Transition::new(self.change, move || {
            let Committed { value, events } = reveal();
            Committed { value: f(value), events }
        })
    }

    /// Further events, which may depend on the answer.
    pub(crate) fn with_events(self, more: impl FnOnce(&T) -> Vec<Event> + Send + 'static) -> Self
    where
        T: 'static,
    {
        let reveal = self.reveal;
        Self::new(self.change, move || {
            let Committed { value, mut events } = reveal();
            events.extend(more(&value));
            Committed { value, events }
        })
    }

    /// What has to be done to the stored record, in one atomic step, if it is still the one that was loaded.
    #[must_use]
    pub const fn change(&self) -> &Change {
        &self.change
    }

    /// The answer, once the change took effect.
    ///
    /// For [`Change::None`] there was nothing to do, and `Swap::Swapped` is the right thing to say.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Contended`] after a conflict: load the record again and decide again. If it is unknown whether
    /// the change took effect (a time-out after sending), drop the transition and answer nobody.
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

/// What a [`Transition`] does to the stored record.
///
/// Every flow of [`SecondFactor`](crate::guard::SecondFactor) ends in one, here with a variable for a database:
///
/// ```
/// use keyfob::guard::{Change, Confirmation, Context, GuardError, Randomness, SecondFactor, Setup, Transition};
/// use keyfob::store::Swap;
/// use keyfob::{Keyring, Policy, Verdict};
///
/// fn store<T>(database: &mut Option<Vec<u8>>, transition: Transition<T>) -> Result<T, GuardError> {
///     match transition.change() {
///         Change::None => {}
///         Change::Remove => *database = None,
///         Change::Write(record) => *database = Some(record.clone()),
///     }
///     Ok(transition.committed(Swap::Swapped)?.value) // nobody else has a hand on the variable
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
/// let enrollment = store(&mut database, factor.enroll(&at(now)?, &random, "Example Inc", &setup, None)?)?;
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
/// store(&mut database, factor.operator_remove(&at(later)?)?)?;
/// assert!(database.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the record stays as it is.
    None,
    /// The record is removed.
    Remove,
    /// The record becomes these bytes. They hold no secret in the open.
    Write(Vec<u8>),
}

impl Change {
    /// The new record, or `None` where there is none to write: as [`Store::swap`](crate::store::Store::swap) takes it.
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
            // Between the decision and the swap the bytes tell the verdict.
            Self::Write(record) => f.debug_struct("Write").field("bytes", &record.len()).finish_non_exhaustive(),
        }
    }
}

/// An answer whose consequence is stored, and what there is to log about it.
#[derive(Debug)]
#[must_use]
pub struct Committed<T> {
    /// The answer.
    pub value: T,
    /// What happened, for the log and for notices to the user.
    pub events: Vec<Event>,
}
