//! What happened, to log and to tell the user. An event cannot hold a code or a secret: it has no room for text that
//! somebody typed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::answer::enrollment::Diagnosis;
use crate::guard::answer::verdict::{Method, Refusal};
use crate::guard::context::Context;
use crate::guard::error::GuardErrorKind;
use crate::guard::id::AuthenticatorId;

/// Something that happened to an user, after it was stored; or an attempt that came to nothing.
///
/// ```
/// use keyfob::guard::{Event, EventKind};
/// # use keyfob::{Guard, Keyring, store::MemoryStore};
/// # let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
/// # let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc");
///
/// fn listen(event: &Event) {
///     println!("{event}"); // 1900000000 user="user-17" Recovered { left: 9 }
///     let notice = match event.kind() {
///         EventKind::Confirmed { .. } => "An authenticator was added to your account.",
///         EventKind::Disabled => "The second factor of your account was switched off.",
///         EventKind::Exhausted => "Somebody knows your password and guesses codes. Change the password.",
///         EventKind::Recovered { .. } => "A recovery code was used for your account.",
///         EventKind::RecoveryCodesRegenerated => "Your recovery codes were replaced.",
///         EventKind::Revoked { .. } => "An authenticator was removed from your account.",
///         _ => return,
///     };
///     println!("mail to {}: {notice}", event.user());
/// }
///
/// let guard = guard.with_events(listen);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    user: String,
    at: u64,
    kind: EventKind,
}

impl Event {
    pub(crate) fn new(user: &str, at: u64, kind: EventKind) -> Self {
        Self { user: user.into(), at, kind }
    }

    /// Whose account.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// When, in Unix seconds; 0 if the clock could not be read.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// What.
    #[must_use]
    pub const fn kind(&self) -> &EventKind {
        &self.kind
    }
}

/// One line for a log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} user={:?} {:?}", self.at, self.user, self.kind)
    }
}

/// The events of one decision.
pub(crate) fn events(context: &Context<'_>, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
    kinds.into_iter().map(|kind| Event::new(context.user, context.now, kind)).collect()
}

/// What was asked of the guard, in an event about a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flow {
    /// [`Guard::check`](crate::Guard::check).
    Check,
    /// [`Guard::confirm`](crate::Guard::confirm).
    Confirm,
    /// [`Guard::disable`](crate::Guard::disable).
    Disable,
    /// [`Guard::enroll`](crate::Guard::enroll) and [`Guard::enroll_another`](crate::Guard::enroll_another).
    Enroll,
    /// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes).
    OperatorInvalidateCodes,
    /// [`Guard::operator_unlock`](crate::Guard::operator_unlock).
    OperatorUnlock,
    /// [`Guard::operator_remove`](crate::Guard::operator_remove).
    OperatorRemove,
    /// The first recovery codes, which [`Guard::confirm`](crate::Guard::confirm) makes.
    RecoveryCodes,
    /// [`Guard::regenerate_recovery_codes`](crate::Guard::regenerate_recovery_codes).
    RegenerateRecoveryCodes,
    /// [`Guard::rename`](crate::Guard::rename).
    Rename,
    /// [`Guard::reseal`](crate::Guard::reseal).
    Reseal,
    /// [`Guard::resync`](crate::Guard::resync).
    Resync,
    /// [`Guard::revoke`](crate::Guard::revoke).
    Revoke,
    /// [`Guard::verify`](crate::Guard::verify).
    Verify,
}

/// What happened. New kinds may come. The example of [`Event`] has those that the user should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A code was accepted.
    Accepted {
        /// By what.
        method: Method,
        /// By which authenticator, unless it was a recovery code.
        authenticator: Option<AuthenticatorId>,
        /// How many steps the authenticator is ahead of the server's clock; for HOTP, how many codes were skipped.
        drift: i64,
    },
    /// An authenticator accepted codes of the future, so the clock must have run ahead: its codes are refused until
    /// the clock gets there.
    ClockBehind {
        /// Which authenticator.
        authenticator: AuthenticatorId,
        /// By how many seconds.
        seconds: u64,
    },
    /// An authenticator was confirmed, and is active. Tell the user.
    Confirmed {
        /// Which.
        authenticator: AuthenticatorId,
    },
    /// The second factor was switched off. Tell the user.
    Disabled,
    /// The caller gave up before there was an answer: a client hung up, or a timeout fired. Nobody was told anything.
    Dropped {
        /// What was asked.
        flow: Flow,
        /// Whether a change was on its way to the store, which may have stored it. If so, a guess may have been counted, a
        /// code used, an authenticator confirmed or removed, or recovery codes replaced by ones that nobody has seen.
        may_have_changed: bool,
    },
    /// An enrollment that was waiting for its code ended without one: another began, an operator removed it, or the factors
    /// changed.
    EnrollmentCanceled {
        /// Which authenticator.
        authenticator: AuthenticatorId,
    },
    /// An enrollment began.
    EnrollmentStarted {
        /// For which authenticator.
        authenticator: AuthenticatorId,
    },
    /// A code did not confirm an enrollment.
    EnrollmentRefused {
        /// Why.
        reason: Refusal,
        /// What the authenticator seems to do differently, if that is known.
        diagnosis: Option<Diagnosis>,
    },
    /// The guess budget is used up. Somebody is guessing, and knows the password. Tell the user and an operator.
    ///
    /// Sent with the failure that used it up, with the next refusal after that, and with one refusal a day for as long as
    /// it lasts: whoever guesses can see to it that the first of these is never sent, by hanging up.
    Exhausted,
    /// A request ended in an error. It let nobody in.
    Failed {
        /// What was asked.
        flow: Flow,
        /// The error. After [`GuardErrorKind::Store`] a change may have taken effect.
        kind: GuardErrorKind,
    },
    /// An operator has had all codes up to now refused, after a backup was restored.
    CodesInvalidated,
    /// An exhausted guess budget was refilled, by a recovery code or a new authenticator; or an operator ended the waits.
    Unlocked,
    /// The first recovery codes were made, for an authenticator that was just confirmed.
    RecoveryCodesIssued,
    /// A recovery code was used. Tell the user, and have them enroll a new authenticator.
    Recovered {
        /// How many codes are left.
        left: u8,
    },
    /// The recovery codes were replaced. Tell the user.
    RecoveryCodesRegenerated,
    /// A code was refused.
    Refused {
        /// Why. Show the user one message for all of them.
        reason: Refusal,
    },
    /// An authenticator has a new name.
    Renamed {
        /// Which.
        authenticator: AuthenticatorId,
    },
    /// What was sealed under an old key is sealed under the primary one now.
    Resealed,
    /// What is sealed under an old key could not be sealed again along with an acceptance. If it goes on, the old key has to
    /// stay.
    ResealFailed {
        /// Why.
        kind: GuardErrorKind,
    },
    /// An authenticator was resynchronized.
    Resynchronized {
        /// Which.
        authenticator: AuthenticatorId,
        /// How many steps it is ahead of the server's clock, or how many counters it was ahead.
        drift: i64,
    },
    /// An authenticator was removed. Tell the user.
    Revoked {
        /// Which.
        authenticator: AuthenticatorId,
    },
}
