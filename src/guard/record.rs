//! The record of an account. It holds all state that a decision reads or changes, so that one swap is atomic.
//!
//! `write.rs` and `read.rs` are the JSON format; `docs/record.md` describes it.

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

/// The second factor of one account, read from its record and validated. Its methods make the decisions.
///
/// It does no I/O and reads no clock. [`Guard`](crate::Guard) runs it over a [`Store`](crate::store::Store). An
/// application with its own database layer calls it directly, as [the module](crate::guard) shows. Each method that
/// decides takes a [`Context`](crate::guard::Context) and returns a [`Transition`](crate::guard::Transition). The
/// example of [`Change`](crate::guard::Change) calls four of them; the others work the same way.
///
/// The record is JSON with a version. Secrets are in it only encrypted, recovery codes only as keyed hashes.
/// `docs/record.md` in the package describes all fields.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// Increases with each change of the factors. It starts at a random number, so that an account that is removed and
    /// enrolled again does not repeat a generation that trusted devices are bound to.
    pub(crate) generation: u64,
    pub(crate) active: Vec<Authenticator>,
    pub(crate) pending: Option<Pending>,
    pub(crate) recovery: Option<RecoverySet>,
    pub(crate) budget: Budget,
}

impl SecondFactor {
    /// The maximum number of active authenticators of an account.
    pub const MAX_AUTHENTICATORS: usize = 8;

    /// A number that changes whenever an authenticator is added or removed, the recovery codes are replaced, or an
    /// operator removes the second factor or invalidates its codes.
    ///
    /// Store it with a trusted device or a session, and stop trusting them when it differs. Compare it for equality
    /// only. 0 means that the account never had a factor.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Moves to the next generation, because the factors changed.
    pub(crate) fn factors_changed(&mut self) {
        self.generation = generation_after(self.generation);
    }
}

/// The generation after this one. It skips 0, which means that the account never had a factor.
pub(crate) const fn generation_after(generation: u64) -> u64 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}
