//! Events report what happened to an account. They are meant for logging and for notifying the user.
//!
//! An event cannot leak a code or a secret, because none of its fields holds a code or any other string that a user
//! typed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::guard::answer::enrollment::Diagnosis;
use crate::guard::answer::login::SignInMethod;
use crate::guard::answer::notice::{Notice, NoticeKind};
use crate::guard::answer::verdict::{Method, Refusal};
use crate::guard::context::Context;
use crate::guard::error::GuardErrorKind;
use crate::guard::id::{AuthenticatorId, DeviceId, OperatorId};

/// Something that happened to an account. An event is sent after the change is stored, or when a request ends without
/// an answer.
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
    operator: Option<OperatorId>,
}

impl Event {
    pub(crate) fn new(user: &str, at: u64, kind: EventKind) -> Self {
        Self { user: user.into(), at, kind, operator: None }
    }

    pub(crate) fn by(mut self, operator: &OperatorId) -> Self {
        self.operator = Some(operator.clone());
        self
    }

    /// The account name, as the application passed it to the guard.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The time of the event in Unix seconds, or 0 if the clock could not be read.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// The operator who caused this, or `None` if it was the user or the application.
    #[must_use]
    pub const fn operator(&self) -> Option<&OperatorId> {
        self.operator.as_ref()
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> &EventKind {
        &self.kind
    }

    /// The notice that belongs to this event, or `None` if the user does not have to be told. If the policy
    /// [keeps notices](crate::Policy::with_notices), tell the user, and then pass the notice to
    /// [`Guard::acknowledge`](crate::Guard::acknowledge).
    #[must_use]
    pub const fn notice(&self) -> Option<Notice> {
        let kind = match self.kind {
            EventKind::Confirmed { .. } => NoticeKind::Added,
            EventKind::Revoked { .. } | EventKind::Disabled => NoticeKind::Removed,
            EventKind::Recovered { .. } => NoticeKind::Recovered,
            EventKind::RecoveryCodesRegenerated => NoticeKind::RecoveryCodesReplaced,
            EventKind::Exhausted => NoticeKind::Exhausted,
            EventKind::Unacknowledged { notice } => return Some(notice),
            _ => return None,
        };
        Some(Notice::new(kind, self.at))
    }
}

/// Formats the event as a single line for the log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} user={:?} ", self.at, self.user)?;
        if let Some(operator) = &self.operator {
            write!(f, "operator={:?} ", operator.as_str())?;
        }
        write!(f, "{:?}", self.kind)
    }
}

/// Creates the events that result from one decision.
pub(crate) fn events(context: &Context<'_>, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
    kinds.into_iter().map(|kind| Event::new(context.user, context.now, kind)).collect()
}

/// The request that ended without an answer, in [`EventKind::Dropped`] and [`EventKind::Failed`].
///
/// A variant says what was requested, not whether it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flow {
    /// The application acknowledged a notice with [`Guard::acknowledge`](crate::Guard::acknowledge).
    Acknowledge,
    /// An operator asked to adopt a user from another system with [`Guard::adopt`](crate::Guard::adopt).
    Adopt,
    /// A user entered a code during a login, to be checked by [`Guard::answer`](crate::Guard::answer).
    Answer,
    /// A user began a login with [`Guard::begin_login`](crate::Guard::begin_login).
    BeginLogin,
    /// A user asked to cancel an enrollment with [`Guard::cancel_enrollment`](crate::Guard::cancel_enrollment).
    CancelEnrollment,
    /// The application asked to check a proof with [`Guard::check`](crate::Guard::check).
    Check,
    /// A user asked to confirm an enrollment with [`Guard::confirm`](crate::Guard::confirm) or
    /// [`Guard::confirm_with_ticket`](crate::Guard::confirm_with_ticket).
    Confirm,
    /// The owner asked to disable the second factor with [`Guard::disable`](crate::Guard::disable).
    Disable,
    /// A user asked to start an enrollment with [`Guard::enroll`](crate::Guard::enroll),
    /// [`Guard::enroll_another`](crate::Guard::enroll_another) or
    /// [`Guard::enroll_with_ticket`](crate::Guard::enroll_with_ticket).
    Enroll,
    /// The application asked to erase the record with [`Guard::erase`](crate::Guard::erase).
    Erase,
    /// A user asked to forget a device with [`Guard::forget_device`](crate::Guard::forget_device).
    ForgetDevice,
    /// The application asked to void earlier logins with [`Guard::forget_devices`](crate::Guard::forget_devices).
    ForgetDevices,
    /// An operator asked to invalidate the codes of an account with
    /// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) or
    /// [`Guard::operator_invalidate_recent_codes`](crate::Guard::operator_invalidate_recent_codes).
    OperatorInvalidateCodes,
    /// An operator asked to resume an account with [`Guard::operator_resume`](crate::Guard::operator_resume).
    OperatorResume,
    /// An operator asked to revoke an authenticator with [`Guard::operator_revoke`](crate::Guard::operator_revoke).
    OperatorRevoke,
    /// An operator asked to suspend an account with [`Guard::operator_suspend`](crate::Guard::operator_suspend).
    OperatorSuspend,
    /// An operator asked to unlock an account with [`Guard::operator_unlock`](crate::Guard::operator_unlock).
    OperatorUnlock,
    /// An operator asked to remove the second factor with [`Guard::operator_remove`](crate::Guard::operator_remove).
    OperatorRemove,
    /// An operator vouched for a user with [`Guard::operator_vouch`](crate::Guard::operator_vouch).
    OperatorVouch,
    /// [`Guard::confirm`](crate::Guard::confirm) or [`Guard::confirm_with_ticket`](crate::Guard::confirm_with_ticket)
    /// tried to create the first recovery codes after activating the authenticator.
    RecoveryCodes,
    /// A user redeemed a voucher with [`Guard::redeem`](crate::Guard::redeem).
    Redeem,
    /// The owner asked to replace the recovery codes with
    /// [`Guard::regenerate_recovery_codes`](crate::Guard::regenerate_recovery_codes).
    RegenerateRecoveryCodes,
    /// A user asked to remember a device with [`Guard::remember_device`](crate::Guard::remember_device).
    RememberDevice,
    /// The owner asked to rename an authenticator with [`Guard::rename`](crate::Guard::rename).
    Rename,
    /// A user asked to see a pending enrollment again with
    /// [`Guard::reopen_enrollment`](crate::Guard::reopen_enrollment).
    ReopenEnrollment,
    /// The owner asked for a new recovery code with
    /// [`Guard::replace_recovery_code`](crate::Guard::replace_recovery_code).
    ReplaceRecoveryCode,
    /// The application asked to reseal the secrets under the primary key with [`Guard::reseal`](crate::Guard::reseal).
    Reseal,
    /// A user asked to resynchronize an authenticator with [`Guard::resync`](crate::Guard::resync).
    Resync,
    /// The owner asked to remove an authenticator with [`Guard::revoke`](crate::Guard::revoke).
    Revoke,
    /// A user asked to trust a device with [`Guard::trust_device`](crate::Guard::trust_device).
    TrustDevice,
    /// A user entered a code, to be checked by [`Guard::verify`](crate::Guard::verify).
    Verify,
}

/// What happened to the account. Later versions may add kinds. The example for [`Event`] lists the kinds that users
/// should be told about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A code was accepted.
    Accepted {
        /// Whether it was a TOTP code, an HOTP code or a recovery code.
        method: Method,
        /// The authenticator that the code belongs to, or `None` for a recovery code.
        authenticator: Option<AuthenticatorId>,
        /// How many steps the authenticator is ahead of the server's clock, or behind it if the number is negative. For
        /// HOTP, this is the number of codes that were skipped.
        drift: i64,
    },
    /// A user's authenticator was adopted from another system. It is active.
    Adopted {
        /// The id of the authenticator in keyfob.
        authenticator: AuthenticatorId,
    },
    /// A code was refused, and every code that this authenticator can currently show already counts as used. The usual
    /// cause is that a server accepted a later code while its clock was ahead. Codes of this authenticator are refused
    /// until the server's clock has passed the used steps.
    ClockBehind {
        /// The authenticator whose codes are refused.
        authenticator: AuthenticatorId,
        /// The number of seconds until the server's clock has passed the used steps.
        seconds: u64,
    },
    /// An authenticator was confirmed and is now active. Tell the user.
    Confirmed {
        /// The new authenticator.
        authenticator: AuthenticatorId,
    },
    /// A device was added to the account's list. Tell the user.
    DeviceAdded {
        /// The new device.
        device: DeviceId,
        /// Whether the device is trusted, rather than only known.
        trusted: bool,
    },
    /// A device was removed from the account's list, by the user or to make room for another device. This event is not
    /// sent when all devices are forgotten at once, for example because the factors changed.
    DeviceForgotten {
        /// The removed device.
        device: DeviceId,
    },
    /// The second factor was disabled. Tell the user.
    Disabled,
    /// The caller dropped the request before it was answered, for example because the client disconnected or a timeout
    /// fired. Nobody received the answer.
    Dropped {
        /// The request that was dropped.
        flow: Flow,
        /// Whether a change was sent to the store and may have been stored. If so, a guess may have been counted, a
        /// code used, an authenticator confirmed or removed, or recovery codes replaced with new ones that nobody has
        /// seen.
        may_have_changed: bool,
    },
    /// A pending enrollment was canceled. This happens if the user cancels it, another one is started, the factors or
    /// the user's password change, or the record is erased. It also happens if an operator removes the second factor,
    /// invalidates its codes or suspends the account.
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
        /// The probable cause, if the code matches a known one.
        diagnosis: Option<Diagnosis>,
    },
    /// The account's entire record was erased.
    Erased,
    /// The guess budget, or the part of it that is available to this login, is used up: someone who knows the password
    /// is probably guessing codes. Tell the user and an operator.
    ///
    /// This event is sent with the failure that used up the budget, with the next refusal, and then with one refusal
    /// per day for as long as the budget stays exhausted. It is also sent after [`Dropped`](Self::Dropped) or
    /// [`Failed`](Self::Failed), if the request may have used up the budget.
    Exhausted,
    /// A request ended in an error. The request did not complete a login.
    Failed {
        /// The request that failed.
        flow: Flow,
        /// The kind of error. After [`GuardErrorKind::Store`], a change may have taken effect.
        kind: GuardErrorKind,
    },
    /// Earlier sessions, pending logins, proofs and devices became void because the user's password was changed.
    LoginsVoided,
    /// After a backup was restored, an operator invalidated codes that may already have been used.
    CodesInvalidated,
    /// A recovery code or a new authenticator refilled an exhausted guess budget, or an operator ended the account's
    /// wait.
    Unlocked,
    /// Recovery codes were created right after an authenticator was confirmed, because the account had none.
    RecoveryCodesIssued,
    /// A recovery code was used. Tell the user, and have them enroll a new authenticator.
    Recovered {
        /// The number of recovery codes left.
        left: u8,
    },
    /// A recovery code that had been used was replaced with a new one.
    RecoveryCodeReplaced {
        /// The number of unused recovery codes, including the new one.
        left: u8,
    },
    /// The recovery codes were replaced. Tell the user.
    RecoveryCodesRegenerated,
    /// A code was refused.
    Refused {
        /// The reason.
        reason: Refusal,
    },
    /// An authenticator was renamed.
    Renamed {
        /// The renamed authenticator.
        authenticator: AuthenticatorId,
    },
    /// The secrets that were sealed under an old key were resealed under the primary key.
    Resealed,
    /// An operator ended the account's suspension.
    Resumed,
    /// An authenticator was resynchronized.
    Resynchronized {
        /// The resynchronized authenticator.
        authenticator: AuthenticatorId,
        /// How many steps the authenticator is ahead of the server's clock, or behind it if the number is negative. For
        /// HOTP, this is how many codes ahead the authenticator was.
        drift: i64,
    },
    /// An authenticator was removed. Tell the user.
    Revoked {
        /// The removed authenticator.
        authenticator: AuthenticatorId,
    },
    /// A login is complete. If it is based on a code, this event comes after [`Accepted`](Self::Accepted), or after
    /// [`Confirmed`](Self::Confirmed) for a login that ended with an enrollment.
    SignedIn {
        /// What the login is based on.
        method: SignInMethod,
    },
    /// An operator suspended the account.
    Suspended,
    /// A notice has been in the record for at least five minutes, so the user may not have been told. Each request for
    /// this user sends this event again until the notice is [acknowledged](crate::Guard::acknowledge).
    Unacknowledged {
        /// What the user must be told about.
        notice: Notice,
    },
    /// An operator vouched for the user, who can now add an authenticator without a code. Tell the user.
    Vouched,
    /// The user redeemed the operator's voucher, but has not added an authenticator yet.
    VoucherRedeemed,
}
