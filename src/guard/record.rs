//! The record of an account. It holds the whole state of the second factor, so each change is one atomic swap.
//!
//! `write.rs` and `read.rs` implement the JSON format that `docs/record.md` describes.

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

/// The second factor of one account, read from its record and validated. Its methods verify codes and change the
/// factors.
///
/// This type does no I/O and reads no clock. [`Guard`](crate::Guard) combines it with a [`Store`](crate::store::Store).
/// An application with its own database layer calls it directly, as [the module](crate::guard) shows. Each method that
/// can change the record takes a [`Context`](crate::guard::Context) and returns a
/// [`Transition`](crate::guard::Transition). The example of [`Change`](crate::guard::Change) calls four of these
/// methods; the others work the same way.
///
/// The record is versioned JSON. It contains secrets only in encrypted form, and recovery codes only as keyed hashes.
/// `docs/record.md` in the package describes all fields.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// The generation increases with each change of the factors. It starts at a random number, because an account that
    /// is removed and enrolled again must not repeat a generation that trusted devices are bound to.
    pub(crate) generation: u64,
    pub(crate) active: Vec<Authenticator>,
    pub(crate) pending: Option<Pending>,
    pub(crate) recovery: Option<RecoverySet>,
    pub(crate) budget: Budget,
}

impl SecondFactor {
    /// The maximum number of active authenticators of an account.
    pub const MAX_AUTHENTICATORS: usize = 8;

    /// Returns a number that changes whenever an authenticator is added or removed, the recovery codes are replaced,
    /// the second factor is removed, or an operator invalidates its codes.
    ///
    /// Store this number with each trusted device or session, and stop trusting a device or session whose number
    /// differs. Only compare the numbers for equality. 0 means that the account has no record.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Moves to the next generation, because the factors changed.
    pub(crate) fn factors_changed(&mut self) {
        self.generation = generation_after(self.generation);
    }
}

/// Returns the generation after this one. Skips 0, which means that the account has no record.
pub(crate) const fn generation_after(generation: u64) -> u64 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}
