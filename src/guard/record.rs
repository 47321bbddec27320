//! The record of an account. It holds the whole state of the second factor, so each change is one atomic swap.
//!
//! `write.rs` and `read.rs` implement the JSON format that `docs/record.md` describes.

pub(crate) mod authenticator;
pub(crate) mod budget;
pub(crate) mod devices;
mod fixed_json;
pub(crate) mod logins;
pub(crate) mod notices;
mod read;
pub(crate) mod recovery;
mod write;

use alloc::vec::Vec;

use crate::guard::answer::notice::NoticeKind;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::record::authenticator::{Authenticator, Pending};
use crate::guard::record::budget::{Budget, Gate, Share};
use crate::guard::record::devices::Device;
use crate::guard::record::logins::CompletedLogins;
use crate::guard::record::notices::Notices;
use crate::guard::record::recovery::RecoverySet;

/// The second factor of one account, read from its record and validated. Its methods verify codes and change the
/// factors.
///
/// This type does no I/O and reads no clock. [`Guard`](crate::Guard) combines it with a [`Store`](crate::store::Store).
/// An application with its own database layer calls it directly, as [the module](crate::guard) shows. Each method that
/// can change the record takes a [`Context`](crate::guard::Context) and returns a
/// [`Transition`](crate::guard::Transition). The example for [`Change`](crate::guard::Change) calls four of these
/// methods; the others work the same way.
///
/// The record is versioned JSON. It contains secrets only in encrypted form, and recovery codes only as keyed hashes.
/// `docs/record.md` in the package describes all fields.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// A number that increases with each change of the factors. It starts at a random number, because an account that
    /// is erased and enrolled again must not reuse a generation that old sessions, tickets or proofs are bound to. It
    /// is 0 until an enrollment is started.
    pub(crate) generation: u64,
    /// The login epoch. It increases when earlier logins become void although the factors stay the same.
    pub(crate) epoch: u64,
    /// The time at which the second factor was removed, or 0 if the account has one or never had one. This tombstone
    /// distinguishes a removed second factor from a lost record.
    pub(crate) removed: u64,
    /// The time at which an operator revoked the last authenticator, or 0 if the account is not in this state. In this
    /// state, a login still needs a code, and only a recovery code can be accepted.
    pub(crate) revoked: u64,
    pub(crate) suspended: bool,
    pub(crate) active: Vec<Authenticator>,
    pub(crate) pending: Option<Pending>,
    pub(crate) recovery: Option<RecoverySet>,
    pub(crate) devices: Vec<Device>,
    /// `None` until [`answer`](Self::answer) first compares a code. The code does not have to be accepted.
    pub(crate) logins: Option<CompletedLogins>,
    pub(crate) budget: Budget,
    /// The id of the voucher that can still be redeemed, or 0 if there is none.
    pub(crate) voucher: u64,
    /// `None` unless the policy keeps notices.
    pub(crate) notices: Option<Notices>,
}

impl SecondFactor {
    /// The maximum number of active authenticators of an account.
    pub const MAX_AUTHENTICATORS: usize = 8;

    /// Returns the generation, which changes whenever the factors change or earlier logins become void.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        // Until the first enrollment is confirmed, `factors` is 0, as for an account without a record. If starting an
        // enrollment changed the generation, the session in which it was started would end.
        let factors = if !self.is_enrolled() && self.removed == 0 { 0 } else { self.generation };
        Generation { factors, epoch: self.epoch }
    }

    /// Returns whether the account has a second factor, so that a login needs a code.
    pub(crate) const fn is_enrolled(&self) -> bool {
        !self.active.is_empty() || self.revoked != 0
    }

    /// Moves to the next generation, because the factors have changed. All devices are forgotten.
    pub(crate) fn factors_changed(&mut self) {
        self.generation = generation_after(self.generation);
        self.devices.clear();
        self.voucher = 0;
    }

    /// Makes earlier logins void: sessions, pending logins, proofs and devices.
    ///
    /// The new epoch is the current time, or the old epoch plus one if the old epoch is not in the past. So even if a
    /// record is lost and created again, the account moves to an epoch that it has not had before, unless the clock was
    /// set back. A clock that is far ahead must not use up all epochs, because after the last one, nothing could become
    /// void.
    pub(crate) fn void_logins(&mut self, now: u64) {
        self.epoch = self.epoch.saturating_add(1).max(now.min(MAX_TIME));
        self.devices.clear();
        self.voucher = 0;
    }

    /// # Errors
    ///
    /// [`GuardErrorKind::Suspended`] if an operator has suspended the account.
    pub(crate) fn not_suspended(&self) -> Result<(), GuardError> {
        if self.suspended { Err(GuardErrorKind::Suspended.into()) } else { Ok(()) }
    }

    /// Keeps a notice of this kind if the mask `happened` is all ones and the policy keeps notices. The length of the
    /// record does not depend on the mask.
    pub(crate) fn note(&mut self, context: &Context<'_>, kind: NoticeKind, happened: u64) {
        if context.policy.keeps_notices() {
            self.notices.get_or_insert_default().keep(kind, context.now, happened);
        }
    }

    /// Returns whether any part of the guess budget is used up.
    pub(crate) fn is_exhausted(&self, context: &Context<'_>) -> bool {
        let known = self.has_known_device(context.now);
        self.budget.is_exhausted(context.policy, context.now, known)
    }

    /// Returns whether the account has a known device. Trusted devices are also known.
    pub(crate) fn has_known_device(&self, now: u64) -> bool {
        self.devices.iter().any(|device| device.is_current(now))
    }

    /// Returns the part of the guess budget that a guess is charged to.
    pub(crate) fn share(&self, context: &Context<'_>, from_known_device: bool) -> Share {
        let known = self.has_known_device(context.now);
        let share = Share::of(context.policy, known, from_known_device);
        // Once known devices have used up the reserve, their guesses are charged to the rest, like those of any other
        // device.
        match self.budget.gate(context.policy, context.now, share) {
            Gate::Exhausted { .. } => Share::of(context.policy, known, false),
            Gate::Open | Gate::Throttled { .. } => share,
        }
    }
}

/// The latest time that is used as an epoch. Like generations, epochs must be small enough for JSON parsers that store
/// numbers as doubles to read them exactly.
const MAX_TIME: u64 = 1 << 52;

/// Returns the generation that follows this one. Skips 0, which means that no enrollment was ever started.
pub(crate) const fn generation_after(generation: u64) -> u64 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}
