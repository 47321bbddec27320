//! The stored form of an authenticator, active or pending.

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

/// The data that the record stores about an authenticator in order to check its codes. The label is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticator {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    /// `None` for HOTP.
    pub(crate) period: Option<Period>,
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: Digits,
    /// The time at which the enrollment began.
    pub(crate) created: u64,
    /// The time at which a code confirmed the authenticator or at which it was adopted, or 0 if it is still pending. In
    /// a pending enrollment, this reveals the verdict.
    pub(crate) bound: u64,
    /// The lowest step or counter whose code can still be accepted. All lower steps or counters count as used.
    pub(crate) next: u64,
    /// A diagnosis during enrollment can reveal that the typed code belongs to a future step. That code then counts as
    /// used. This field holds that step plus one, or 0 if there is no such step.
    pub(crate) disclosed: u64,
    /// The value of `next` when the last accepted code was entered again for the first time. That repetition was not
    /// counted as a failure; later ones are.
    pub(crate) repeated: u64,
    /// How many steps the authenticator's clock is ahead of the server's clock.
    pub(crate) drift: i64,
    /// How many consecutive accepted codes were off in the same direction: positive if ahead, negative if behind.
    pub(crate) lean: i64,
    /// The drift at the last resynchronization, or 0 if there was none. Later logins can change the drift, but only
    /// within the limits around this value that `Authenticator::learn` applies.
    pub(crate) anchor: i64,
    /// The time at which a code of this authenticator was last accepted, or 0 if none was.
    pub(crate) used: u64,
    pub(crate) secret: Sealed,
}

impl Authenticator {
    /// Decrypts the secret and keys the HMAC with it. TOTP is HOTP with the time step as the counter (RFC 6238, section
    /// 4), so this method serves both.
    pub(crate) fn hotp(&self, user: &str, keyring: &Keyring) -> Result<Hotp, GuardError> {
        let secret = keyring.open(&self.secret, &self.owner(user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        Ok(Hotp::with_algorithm(key, self.algorithm).with_digits(self.digits))
    }

    pub(crate) fn owner<'a>(&'a self, user: &'a str) -> Owner<'a> {
        Owner::authenticator(user, &self.id, self.algorithm, self.digits, self.period)
    }

    /// Returns a mask that is set if a diagnosis revealed that a typed code belongs to this step.
    pub(crate) fn was_disclosed(&self, step: u64) -> u64 {
        ct::mask_same(self.disclosed, step.wrapping_add(1))
    }

    /// Returns the step whose code the authenticator shows now: the server's current step plus the drift.
    pub(crate) fn expected_step(&self, period: Period, now: u64) -> u64 {
        period.steps(now).saturating_add_signed(self.drift)
    }
}

/// An authenticator whose enrollment has started. It becomes active once a code confirms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) authenticator: Authenticator,
    pub(crate) since: u64,
    /// Whether the secret was imported. An imported secret was not shown during this enrollment, so the user may not
    /// know it. Wrong codes for it are therefore guesses and count as failures.
    pub(crate) imported: bool,
    /// The id of the login whose [ticket](crate::guard::EnrollmentTicket) began this enrollment, or 0 if none did. Only
    /// that ticket can confirm it.
    pub(crate) ticket: u64,
    /// The number of wrong codes so far.
    pub(crate) tries: u64,
    /// 1 once a code has confirmed the enrollment, 0 before. This value reveals the verdict, which must stay secret
    /// until the swap. The field is therefore a number that is always written, so that the length of the record does
    /// not depend on it. [`SecondFactor::read`] turns a confirmed enrollment into an active authenticator.
    pub(crate) confirmed: u64,
    /// The active authenticator to remove when this one is confirmed.
    pub(crate) replaces: Option<AuthenticatorId>,
    /// Whether confirming this one removes all active authenticators. This is the case if the policy is strict and the
    /// guess budget was exhausted when a code was last compared.
    pub(crate) replaces_all: bool,
    /// Whether the enrollment began with a [voucher](crate::guard::Voucher). It then does not refill the guess budget.
    pub(crate) vouched: bool,
}

impl Pending {
    /// Returns whether a code may still confirm this enrollment.
    ///
    /// If the enrollment started slightly in the future, the clock of the server that started it is ahead. If the start
    /// is further ahead than the lifetime of an enrollment, the clock was set back. The age of the enrollment is then
    /// unknown, so it counts as expired.
    pub(crate) fn is_waiting(&self, context: &Context<'_>) -> bool {
        context.now.abs_diff(self.since) < context.policy.enrollment_lifetime() && self.tries < MAX_TRIES
    }
}

/// Returns whether a string is allowed as the name of an authenticator or a device: at most [`MAX_NAME`] bytes and no
/// control characters.
pub(crate) fn check_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

/// The maximum length of a name in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// The maximum drift in steps. With a period of 30 seconds, this is a little more than a day.
pub(crate) const MAX_DRIFT: u64 = 3000;

/// The drift moves by one step after this many consecutive accepted codes that were off in the same direction.
pub(crate) const LEANS: u64 = 3;

/// A pending enrollment ends after this many wrong codes.
const MAX_TRIES: u64 = 20;

pub(crate) const NAME_REFUSED: Error =
    Error::new(ErrorKind::Name, "a name has at most {} bytes and no control characters").number(MAX_NAME as u64);
