//! One authenticator, active or waiting for its first code.

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

/// One authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authenticator {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    /// `None` for HOTP.
    pub(crate) period: Option<Period>,
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: Digits,
    pub(crate) created: u64,
    /// The first step or counter that is still good. All below are spent.
    pub(crate) next: u64,
    /// One more than a step of the future whose code was typed during enrollment, and was said to be right then: it counts as
    /// used. 0 if there is none.
    pub(crate) disclosed: u64,
    /// How many steps its clock is ahead of ours.
    pub(crate) drift: i64,
    /// How many times in a row it was off to the same side.
    pub(crate) lean: i64,
    /// The drift at the last resynchronization, or 0. What is learned stays near it.
    pub(crate) anchor: i64,
    /// When it was used last; 0 for never.
    pub(crate) used: u64,
    pub(crate) secret: Sealed,
}

impl Authenticator {
    /// Opens the secret, and absorbs it. TOTP is HOTP of the step, so this serves both.
    pub(crate) fn hotp(&self, user: &str, keyring: &Keyring) -> Result<Hotp, GuardError> {
        let secret = keyring.open(&self.secret, &self.owner(user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        Ok(Hotp::with_algorithm(key, self.algorithm).with_digits(self.digits))
    }

    pub(crate) fn owner<'a>(&'a self, user: &'a str) -> Owner<'a> {
        Owner::authenticator(user, &self.id, self.algorithm, self.digits, self.period)
    }

    /// A mask: whether the code of this step was disclosed by a diagnosis.
    pub(crate) fn was_disclosed(&self, step: u64) -> u64 {
        ct::mask_same(self.disclosed, step.wrapping_add(1))
    }

    /// The step that this authenticator's clock should show.
    pub(crate) fn expected_step(&self, period: Period, now: u64) -> u64 {
        period.steps(now).saturating_add_signed(self.drift)
    }
}

/// An authenticator that was shown and has not yet proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) authenticator: Authenticator,
    pub(crate) since: u64,
    /// Its secret comes from elsewhere, so whoever asks need not know it: codes for it are guesses, and are charged.
    pub(crate) imported: bool,
    /// Codes that did not confirm it.
    pub(crate) tries: u64,
    /// 1 once a code has confirmed it. Until the swap this tells the verdict, so it is a number in a field that is always
    /// there; [`SecondFactor::read`] turns such an enrollment into an active authenticator.
    pub(crate) confirmed: u64,
    /// The one that goes when this one comes.
    pub(crate) replaces: Option<AuthenticatorId>,
}

impl Pending {
    /// Whether a code may still confirm it. A beginning in the future was seen by a clock that ran a little ahead; if it
    /// is further off than an enrollment lasts, the clock was set back, and nobody knows how long this has waited.
    pub(crate) fn is_waiting(&self, context: &Context<'_>) -> bool {
        context.now.abs_diff(self.since) < context.policy.enrollment_lifetime() && self.tries < MAX_TRIES
    }
}

/// Whether people can read it in a list.
pub(crate) fn check_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

pub(crate) const MAX_NAME: usize = 256;

/// Steps: a day of the usual period.
pub(crate) const MAX_DRIFT: u64 = 3000;

/// So many acceptances in a row on one side move the drift by a step.
pub(crate) const LEANS: u64 = 3;

/// Wrong codes that an enrollment forgives.
const MAX_TRIES: u64 = 20;

pub(crate) const NAME_REFUSED: Error =
    Error::new(ErrorKind::Name, "a name has at most {} bytes and no control characters").number(MAX_NAME as u64);
