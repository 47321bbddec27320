//! Commit before reveal: an answer that cannot be read before its consequence is stored.
//!
//! Of many guesses in flight at once all may be compared, but a store that swaps lets one of them through for each
//! state of the record. The others are dropped unread and decided again, against a record that has counted the winner.
//! That only holds if nobody can look at an answer before the swap; here the types see to it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::event::Event;
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
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the record stays as it is.
    None,
    /// The record is removed.
    Remove,
    /// The record becomes these bytes. They hold no secret in the open.
    Write(Vec<u8>),
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
