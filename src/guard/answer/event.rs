//! Events: what happened to an account, for the log and for notices to the user.
//!
//! An event cannot leak a code or a secret, because no field of it holds a string that somebody typed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::answer::enrollment::Diagnosis;
use crate::guard::answer::verdict::{Method, Refusal};
use crate::guard::context::Context;
use crate::guard::error::GuardErrorKind;
use crate::guard::id::AuthenticatorId;

/// Something that happened to an account. It is sent after the change is stored, or when a request ends without an
/// answer.
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
///         EventKind::Disabled => "The second factor of your account was disabled.",
///         EventKind::Exhausted => "Somebody who knows your password is guessing codes.",
///         EventKind::Recovered { .. } => "A recovery code was used for your account.",
///         EventKind::RecoveryCodesRegenerated => "Your recovery codes were replaced.",
///         EventKind::Revoked { .. } => "An authenticator was removed from your account.",
///         _ => return,
///     };
///     println!("email to {}: {notice}", event.user());
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

    /// The name of the account, as the application passed it to the guard.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The time of the event in Unix seconds, or 0 if the clock could not be read.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> &EventKind {
        &self.kind
    }
}

/// One line for the log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} user={:?} {:?}", self.at, self.user, self.kind)
    }
}

/// Makes the events of one decision.
pub(crate) fn events(context: &Context<'_>, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
    kinds.into_iter().map(|kind| Event::new(context.user, context.now, kind)).collect()
}

/// The request that ended without an answer, in [`EventKind::Dropped`] and [`EventKind::Failed`].
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
    /// The second step of [`Guard::confirm`](crate::Guard::confirm), which makes the first recovery codes.
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

/// What happened. New kinds may be added. The example of [`Event`] lists those to tell the user about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A code was accepted.
    Accepted {
        /// Whether it was a TOTP code, an HOTP code or a recovery code.
        method: Method,
        /// The authenticator that the code belongs to, or `None` for a recovery code.
        authenticator: Option<AuthenticatorId>,
        /// How many steps the authenticator is ahead of the server's clock. For HOTP: how many codes were skipped.
        drift: i64,
    },
    /// A code was refused, and every code that this authenticator can show now counts as used. Usually a server's clock
    /// was ahead when a later code was accepted. The codes are refused until the clock has caught up.
    ClockBehind {
        /// The authenticator whose codes are refused.
        authenticator: AuthenticatorId,
        /// How many seconds the clock has to catch up.
        seconds: u64,
    },
    /// An authenticator was confirmed, and is active. Tell the user.
    Confirmed {
        /// The new authenticator.
        authenticator: AuthenticatorId,
    },
    /// The second factor was disabled. Tell the user.
    Disabled,
    /// The caller dropped the request before there was an answer: the client disconnected, or a timeout fired. Nobody
    /// received the answer.
    Dropped {
        /// The request that was dropped.
        flow: Flow,
        /// Whether a change had been sent to the store, so that it may have been stored. If so, a guess may have been
        /// counted, a code used, an authenticator confirmed or removed, or recovery codes replaced by new ones that
        /// nobody has seen.
        may_have_changed: bool,
    },
    /// A pending enrollment was canceled: another enrollment was started, an operator removed it, or the factors of the
    /// account changed.
    EnrollmentCanceled {
        /// The authenticator that was pending.
        authenticator: AuthenticatorId,
    },
    /// An enrollment was started.
    EnrollmentStarted {
        /// The new authenticator, which is pending.
        authenticator: AuthenticatorId,
    },
    /// A code did not confirm the pending enrollment.
    EnrollmentRefused {
        /// The reason.
        reason: Refusal,
        /// What the authenticator probably does differently, if the code fits a known difference.
        diagnosis: Option<Diagnosis>,
    },
    /// The guess budget is used up: somebody who knows the password is guessing. Tell the user and an operator.
    ///
    /// It is sent with the failure that used up the budget, with the next refusal, and then with one refusal a day for
    /// as long as the budget is exhausted. An attacker can suppress the first of these by disconnecting before the
    /// answer.
    Exhausted,
    /// A request ended in an error. Nobody was let in.
    Failed {
        /// The request that failed.
        flow: Flow,
        /// The kind of the error. After [`GuardErrorKind::Store`] a change may have taken effect.
        kind: GuardErrorKind,
    },
    /// An operator invalidated all codes up to now, after a backup was restored.
    CodesInvalidated,
    /// An exhausted guess budget was refilled by a recovery code or a new authenticator, or an operator ended the
    /// waits.
    Unlocked,
    /// The first recovery codes were made, right after the first authenticator was confirmed.
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
        /// The reason, for the log. Show the user the same message for every reason.
        reason: Refusal,
    },
    /// An authenticator was renamed.
    Renamed {
        /// The renamed authenticator.
        authenticator: AuthenticatorId,
    },
    /// The secrets that were sealed under an old key were sealed again under the primary key.
    Resealed,
    /// A code was accepted, but the secrets of the account could not be sealed again under the primary key. The account
    /// still needs the old key.
    ResealFailed {
        /// The kind of the error.
        kind: GuardErrorKind,
    },
    /// An authenticator was resynchronized.
    Resynchronized {
        /// The resynchronized authenticator.
        authenticator: AuthenticatorId,
        /// How many steps it is ahead of the server's clock. For HOTP: how many codes it was ahead.
        drift: i64,
    },
    /// An authenticator was removed. Tell the user.
    Revoked {
        /// The removed authenticator.
        authenticator: AuthenticatorId,
    },
}
