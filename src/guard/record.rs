//! One record per account: everything that a decision depends on and changes, so that one swap makes it atomic.

pub(crate) mod authenticator;
pub(crate) mod budget;
mod fixed_json;
mod read;
pub(crate) mod recovery;
mod write;

use alloc::vec::Vec;

use crate::guard::record::authenticator::{Authenticator, Pending};
use crate::guard::record::budget::Budget;
use crate::guard::record::recovery::RecoverySet;

/// The second factor of one user, as it is stored: read, validated, and ready to decide.
///
/// Nothing in here does I/O or reads a clock. [`Guard`](crate::Guard) runs it over a [`Store`](crate::store::Store); an
/// application with a database layer of its own runs it itself, as [the module](crate::guard) shows. Each flow is a
/// method that takes a [`Context`](crate::guard::Context) and gives a [`Transition`](crate::guard::Transition). The
/// example of [`Change`](crate::guard::Change) goes through four of them; the others go the same way.
///
/// The record is JSON with a version. Secrets are in it only sealed, recovery codes only as keyed hashes. `docs/record.md`
/// in the package has all fields.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// Changes with each change of the factors, and begins at random: bind trusted devices to it.
    pub(crate) generation: u64,
    pub(crate) active: Vec<Authenticator>,
    pub(crate) pending: Option<Pending>,
    pub(crate) recovery: Option<RecoverySet>,
    pub(crate) budget: Budget,
}

impl SecondFactor {
    /// How many active authenticators an account has at most.
    pub const MAX_AUTHENTICATORS: usize = 8;

    /// Changes whenever an authenticator is added or removed, recovery codes are replaced, or an operator removes or
    /// fences the account. Store it with a trusted device or a session, and stop trusting them when it is another.
    /// Compare for equality only.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The factors are others from now on. Zero is for an account that has had none.
    pub(crate) fn factors_changed(&mut self) {
        self.generation = generation_after(self.generation);
    }
}

/// The generation that follows on this one.
pub(crate) const fn generation_after(generation: u64) -> u64 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}
