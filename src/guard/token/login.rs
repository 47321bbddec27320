//! The tokens for a login that is not complete yet: the challenge, which asks for a code, the enrollment ticket, and
//! an operator's voucher.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::ct;
use crate::guard::context::{Context, is_user};
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::{DeviceId, KeyId};
use crate::guard::keyring::{Keyring, RingKey};
use crate::guard::randomness::Randomness;
use crate::guard::token;

/// A pending login: the password was correct, and a code is required. It allows the user to enter a code and nothing
/// else.
///
/// A challenge is valid for one user, for at most five minutes ([`Policy::with_login_lifetime`]), and for one success,
/// no matter how many servers share the store. It becomes void when the [generation](crate::guard::Generation) changes,
/// for example because the factors change. Completing it with an authenticator's code does not affect other logins of
/// the same user. Completing it with a recovery code makes them void.
///
/// Keep [`token`](Self::token) in a cookie in the browser. [`Guard::begin_login`] has an example.
///
/// [`Policy::with_login_lifetime`]: crate::Policy::with_login_lifetime
/// [`Guard::begin_login`]: crate::Guard::begin_login
#[derive(Clone)]
pub struct Challenge(pub(crate) LoginToken);

/// Allows a user without a second factor to enroll a first authenticator during a login that requires one. It allows
/// nothing else.
///
/// A ticket is valid for one user, and for as long as an enrollment can be confirmed
/// ([`Policy::with_enrollment_lifetime`]). It becomes void when the [generation](crate::guard::Generation) changes, for
/// example because an enrollment was confirmed.
///
/// Keep [`token`](Self::token) in a cookie in the browser. [`Guard::enroll_with_ticket`] has an example.
///
/// [`Policy::with_enrollment_lifetime`]: crate::Policy::with_enrollment_lifetime
/// [`Guard::enroll_with_ticket`]: crate::Guard::enroll_with_ticket
#[derive(Clone)]
pub struct EnrollmentTicket(pub(crate) LoginToken);

/// An operator's statement that a user without a working code may add an authenticator, for example after the user has
/// shown a backup code of another system. It allows nothing else.
///
/// A voucher is valid for one user, can be redeemed once, and expires after as long as an enrollment can be confirmed
/// ([`Policy::with_enrollment_lifetime`]). It becomes void when the [generation](crate::guard::Generation) changes, or
/// when another voucher is made for the same user.
///
/// Give [`token`](Self::token) to the user. Anybody who has both the token and the user's password can add an
/// authenticator. [`Guard::operator_vouch`] has an example.
///
/// [`Policy::with_enrollment_lifetime`]: crate::Policy::with_enrollment_lifetime
/// [`Guard::operator_vouch`]: crate::Guard::operator_vouch
#[derive(Clone)]
pub struct Voucher(pub(crate) LoginToken);

/// What these tokens have in common.
#[derive(Clone)]
pub(crate) struct LoginToken {
    purpose: Purpose,
    user: String,
    generation: Generation,
    made: u64,
    pub(crate) expires: u64,
    /// A random number that identifies this login. It is not 0.
    pub(crate) id: u64,
    /// The known device that the login began on. Only a challenge has one.
    pub(crate) device: Option<DeviceId>,
    key: KeyId,
    mac: [u8; 32],
}

/// What a login token is for. The MAC covers it, so a challenge is never valid as a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Challenge,
    Enrollment,
    Voucher,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Challenge => "login",
            Self::Enrollment => "enroll",
            Self::Voucher => "vouch",
        }
    }

    /// Returns the longest lifetime that the policy allows for a token with this purpose, in seconds.
    fn lifetime(self, context: &Context<'_>) -> u64 {
        match self {
            Self::Challenge => context.policy.login_lifetime(),
            Self::Enrollment | Self::Voucher => context.policy.enrollment_lifetime(),
        }
    }
}

impl LoginToken {
    pub(crate) fn make(
        context: &Context<'_>,
        random: &Randomness,
        purpose: Purpose,
        generation: Generation,
        device: Option<DeviceId>,
    ) -> Result<Self, GuardError> {
        let mut id = [0; 8];
        random.fill(&mut id)?;
        let key = context.keyring.primary_key();
        let mut token = Self {
            purpose,
            user: context.user.into(),
            generation,
            made: context.now,
            expires: context.now.saturating_add(purpose.lifetime(context)),
            // The id is below 2^52, so that JSON parsers that store numbers as doubles read it exactly.
            id: (u64::from_le_bytes(id) >> 12).max(1),
            device,
            key: key.id.clone(),
            mac: [0; 32],
        };
        token.mac = token.expected(key);
        Ok(token)
    }

    /// Returns whether keyfob made this token. Anybody can send a forged token for any user, so this is checked before
    /// anything else.
    pub(crate) fn is_genuine(&self, keyring: &Keyring) -> bool {
        let Some(key) = keyring.key(&self.key) else { return false };
        // The result may be public: the caller is told whether the MAC is valid.
        ct::declassify(ct::mask(ct::eq(&self.expected(key), &self.mac).into()))
    }

    /// Checks that the token is genuine, and made for this user. Its purpose is checked when it is parsed: a
    /// [`Challenge`], an [`EnrollmentTicket`] and a [`Voucher`] each hold only tokens of their own purpose.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::LoginRejected`] if it is not. A missing key causes the same error, as it does for a proof.
    pub(crate) fn check_genuine(&self, context: &Context<'_>) -> Result<(), GuardError> {
        let genuine = self.is_genuine(context.keyring) && self.user == context.user;
        if genuine { Ok(()) } else { Err(GuardErrorKind::LoginRejected.into()) }
    }

    /// Checks that the token is valid now, and that the account still has the generation that it was made for.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::LoginRejected`] if either check fails.
    pub(crate) fn check_current(&self, context: &Context<'_>, generation: Generation) -> Result<(), GuardError> {
        let lifetime = self.purpose.lifetime(context);
        let current = self.generation == generation && token::is_timely(self.made, self.expires, lifetime, context.now);
        if current { Ok(()) } else { Err(GuardErrorKind::LoginRejected.into()) }
    }

    fn expected(&self, key: &RingKey) -> [u8; 32] {
        let device = self.device.as_ref().map_or("", DeviceId::as_str);
        let Generation { factors, epoch } = self.generation;
        let numbers = [factors, epoch, self.made, self.expires, self.id];
        token::mac(key, "keyfob 1 login", &[self.purpose.name(), &self.user, device], &numbers)
    }

    fn text(&self) -> String {
        let user = Base64UrlUnpadded::encode_string(self.user.as_bytes());
        let device = self.device.as_ref().map_or("", DeviceId::as_str);
        let Self { purpose, generation, made, expires, id, key, mac, .. } = self;
        token::write(&[&purpose.name(), &user, generation, made, expires, id, &device], key, mac)
    }

    fn read(text: &str, purpose: Purpose) -> Option<Self> {
        let ([name, user, generation, made, expires, id, device], key, mac) = token::read::<7>(text)?;
        let device = match device {
            "" => None,
            id => Some(DeviceId::new(id).ok()?),
        };
        let token = Self {
            purpose,
            user: String::from_utf8(Base64UrlUnpadded::decode_vec(user).ok()?).ok().filter(|user| is_user(user))?,
            generation: generation.parse().ok()?,
            made: made.parse().ok()?,
            expires: expires.parse().ok()?,
            id: id.parse().ok()?,
            device,
            key,
            mac,
        };
        (name == purpose.name() && token.text() == text).then_some(token)
    }

    fn parse(text: &str, purpose: Purpose) -> Result<Self, GuardError> {
        Self::read(text, purpose).ok_or(GuardErrorKind::LoginRejected.into())
    }
}

macro_rules! login_token {
    ($token:ident, $purpose:ident) => {
        impl $token {
            /// The token as a string to keep in a cookie. [`from_token`](Self::from_token) reads it.
            #[must_use]
            pub fn token(&self) -> String {
                self.0.text()
            }

            /// Parses a token, for example from a cookie, without checking it. The method that you pass it to checks
            /// it.
            ///
            /// # Errors
            ///
            /// [`GuardErrorKind::LoginRejected`] for a string that does not have the form of such a token.
            pub fn from_token(token: &str) -> Result<Self, GuardError> {
                LoginToken::parse(token, Purpose::$purpose).map(Self)
            }

            /// The user who is logging in. For a value from [`from_token`](Self::from_token), do not trust this name
            /// until the method that the value is passed to has accepted it.
            #[must_use]
            pub fn user(&self) -> &str {
                &self.0.user
            }

            /// The time at which the token expires, in Unix seconds.
            #[must_use]
            pub const fn expires_at(&self) -> u64 {
                self.0.expires
            }
        }

        impl FromStr for $token {
            type Err = GuardError;

            fn from_str(token: &str) -> Result<Self, GuardError> {
                Self::from_token(token)
            }
        }

        /// Prints the user and the expiry, but not the MAC.
        impl fmt::Debug for $token {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($token))
                    .field("user", &self.0.user)
                    .field("expires", &self.0.expires)
                    .finish_non_exhaustive()
            }
        }
    };
}

login_token!(Challenge, Challenge);
login_token!(EnrollmentTicket, Enrollment);
login_token!(Voucher, Voucher);
