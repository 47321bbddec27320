//! An authenticator as it is stored, active or pending.

use alloc::string::String;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::AuthenticatorId;
use crate::guard::keyring::{Keyring, Owner, Sealed};
use crate::hotp::Hotp;
use crate::key::Key;
use crate::totp::Period;

/// An authenticator, without its label: what a decision needs to check a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticator {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    /// `None` for HOTP.
    pub(crate) period: Option<Period>,
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: Digits,
    pub(crate) created: u64,
    /// The lowest step or counter whose code can still be accepted. All lower ones count as used.
    pub(crate) next: u64,
    /// A diagnosis during enrollment can confirm that a code of a future step was right, so that code counts as used.
    /// This is that step plus one, or 0 if there is none.
    pub(crate) disclosed: u64,
    /// How many steps its clock is ahead of the server's clock.
    pub(crate) drift: i64,
    /// How many accepted codes in a row were off to the same side: ahead if positive, behind if negative.
    pub(crate) lean: i64,
    /// The drift at the last resynchronization, or 0 if there was none. What is learned afterwards stays near it.
    pub(crate) anchor: i64,
    /// When a code of it was last accepted; 0 for never.
    pub(crate) used: u64,
    pub(crate) secret: Sealed,
}

impl Authenticator {
    /// Decrypts the secret and prepares HMAC with it. TOTP is HOTP of the step (RFC 6238, section 4), so this serves
    /// both.
    pub(crate) fn hotp(&self, user: &str, keyring: &Keyring) -> Result<Hotp, GuardError> {
        let secret = keyring.open(&self.secret, &self.owner(user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        Ok(Hotp::with_algorithm(key, self.algorithm).with_digits(self.digits))
    }

    pub(crate) fn owner<'a>(&'a self, user: &'a str) -> Owner<'a> {
        Owner::authenticator(user, &self.id, self.algorithm, self.digits, self.period)
    }

    /// Whether a diagnosis confirmed the code of this step. Returns a mask.
    pub(crate) fn was_disclosed(&self, step: u64) -> u64 {
        ct::mask_same(self.disclosed, step.wrapping_add(1))
    }

    /// The step that the authenticator is at, with its drift.
    pub(crate) fn expected_step(&self, period: Period, now: u64) -> u64 {
        period.steps(now).saturating_add_signed(self.drift)
    }
}

/// An authenticator that was shown to the user, and that no code has confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) authenticator: Authenticator,
    pub(crate) since: u64,
    /// Whether the secret was imported. Then the user who enrolls was not just shown it and may not know it, so wrong
    /// codes are guesses and count as failures.
    pub(crate) imported: bool,
    /// The number of wrong codes so far.
    pub(crate) tries: u64,
    /// 1 once a code has confirmed it. Until the swap this reveals the verdict, so it is a number in a field that is
    /// always written, and the length of the record does not depend on it. [`SecondFactor::read`] turns a confirmed
    /// enrollment into an active authenticator.
    pub(crate) confirmed: u64,
    /// The active authenticator to remove when this one is confirmed.
    pub(crate) replaces: Option<AuthenticatorId>,
}

impl Pending {
    /// Whether a code may still confirm it.
    ///
    /// A start in the future came from a server whose clock was a little ahead. If it is further ahead than an
    /// enrollment lasts, the clock was set back, and the age of the enrollment is unknown, so it has expired.
    pub(crate) fn is_waiting(&self, context: &Context<'_>) -> bool {
        context.now.abs_diff(self.since) < context.policy.enrollment_lifetime() && self.tries < MAX_TRIES
    }
}

/// Whether a string can be the name of an authenticator: at most [`MAX_NAME`] bytes and no control characters.
pub(crate) fn check_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

/// Bytes.
pub(crate) const MAX_NAME: usize = 256;

/// In steps: a little more than a day with a period of 30 seconds.
pub(crate) const MAX_DRIFT: u64 = 3000;

/// The number of accepted codes in a row, off to the same side, that move the drift by one step.
pub(crate) const LEANS: u64 = 3;

/// The number of wrong codes after which a pending enrollment is over.
const MAX_TRIES: u64 = 20;

pub(crate) const NAME_REFUSED: Error =
    Error::new(ErrorKind::Name, "a name has at most {} bytes and no control characters").number(MAX_NAME as u64);
