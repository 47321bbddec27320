//! One record per account: everything that a decision depends on and changes, so that one swap makes it atomic.

mod json;
mod stored;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::guard::budget::Budget;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::randomness::Randomness;
use crate::guard::record::json::{Json, hex};
use crate::guard::record::stored::{AnyVersion, Stored};
use crate::guard::seal::{Keyring, Owner, Sealed};
use crate::hotp::Hotp;
use crate::key::Key;
use crate::totp::Period;

/// The second factor of one user, as it is stored: read, validated, and ready to decide.
///
/// Nothing in here does I/O or reads a clock. [`Guard`](crate::Guard) runs it over a [`Store`](crate::store::Store); an
/// application with a database layer of its own runs it itself, as [the module](crate::guard) shows. Each flow is a
/// method that takes a [`Context`](crate::guard::Context) and gives a [`Transition`](crate::guard::Transition). The
/// example of [`Change`](crate::guard::Change) goes through four of them; the others go the same way.
///
/// The record is JSON with a version. Secrets are in it only sealed, recovery codes only as keyed hashes. `docs/record.md`
/// in the package has all fields.
#[derive(Clone, Debug, Default)]
pub struct SecondFactor {
    /// Changes with each change of the factors, and begins at random: bind trusted devices to it.
    pub(crate) generation: u64,
    pub(crate) active: Vec<Authenticator>,
    pub(crate) pending: Option<Pending>,
    pub(crate) recovery: Option<RecoverySet>,
    pub(crate) budget: Budget,
}

impl SecondFactor {
    /// How many active authenticators an account has at most.
    pub const MAX_AUTHENTICATORS: usize = 8;

    /// Reads a record. An account without one has no second factor: `None` is a valid record.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::RecordNewer`] for the record of a newer version, [`GuardErrorKind::RecordInvalid`] for what is not
    /// a record. Nothing is filled in by a default.
    pub fn read(record: Option<&[u8]>) -> Result<Self, GuardError> {
        let Some(record) = record else { return Ok(Self::default()) };
        if record.len() > MAX_RECORD {
            return Err(GuardErrorKind::RecordInvalid.into());
        }
        let record = core::str::from_utf8(record).map_err(|_| GuardErrorKind::RecordInvalid)?;
        match serde_json::from_str::<Stored<'_>>(record) {
            Ok(stored) if stored.v == VERSION => stored.validated().ok_or(GuardErrorKind::RecordInvalid.into()),
            // A newer version may have fields that this one does not know, so the version is looked for alone.
            _ => match serde_json::from_str::<AnyVersion>(record) {
                Ok(AnyVersion { v }) if v > VERSION => Err(GuardErrorKind::RecordNewer.into()),
                _ => Err(GuardErrorKind::RecordInvalid.into()),
            },
        }
    }

    /// Changes whenever an authenticator is added or removed, recovery codes are replaced, or an operator removes or
    /// fences the account. Store it with a trusted device or a session, and stop trusting them when it is another.
    /// Compare for equality only.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The factors are others from now on. Zero is for an account that has had none.
    pub(crate) fn factors_changed(&mut self) {
        self.generation = generation_after(self.generation);
    }

    /// The record as JSON. Every number that depends on a verdict has the same length whatever it is, and is written
    /// without a branch: up to the swap, time and size must not tell what the swap decides about.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut json = Json(Vec::with_capacity(2048 + 512 * self.active.len()));
        json.raw("{\"v\":1,\"generation\":");
        json.plain(self.generation);
        json.raw(",\"active\":[");
        for (place, authenticator) in self.active.iter().enumerate() {
            json.raw(if place > 0 { "," } else { "" });
            authenticator.write(&mut json);
        }
        json.raw("]");
        if let Some(pending) = &self.pending {
            json.raw(",\"pending\":{\"authenticator\":");
            pending.authenticator.write(&mut json);
            json.raw(",\"since\":");
            json.plain(pending.since);
            json.raw(",\"imported\":");
            json.raw(if pending.imported { "true" } else { "false" });
            json.raw(",\"tries\":");
            json.fixed(pending.tries, 0);
            json.raw(",\"confirmed\":");
            json.fixed(pending.confirmed, 0);
            if let Some(id) = &pending.replaces {
                json.raw(",\"replaces\":");
                json.text(&id.0);
            }
            json.raw("}");
        }
        if let Some(recovery) = &self.recovery {
            recovery.write(&mut json);
        }
        let Budget { failures, failed_at, level, level_at, until, reported_at } = self.budget;
        for (name, number) in [
            (",\"budget\":{\"failures\":", failures),
            (",\"failed_at\":", failed_at),
            (",\"level\":", level),
            (",\"level_at\":", level_at),
            (",\"until\":", until),
            (",\"reported_at\":", reported_at),
        ] {
            json.raw(name);
            json.fixed(number, 0);
        }
        json.raw("}}");
        json.0
    }
}

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
    /// 1 once its owner has resynchronized it: this clock is known to be poor, so what is learned has no limit.
    pub(crate) resynced: u64,
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

    fn write(&self, json: &mut Json) {
        json.raw("{\"id\":");
        json.text(&self.id.0);
        json.raw(",\"name\":");
        json.text(&self.name);
        if let Some(period) = self.period {
            json.raw(",\"period\":");
            json.plain(period.seconds().into());
        }
        json.raw(",\"algorithm\":\"");
        json.raw(self.algorithm.name());
        json.raw("\",\"digits\":");
        json.plain(self.digits.get().into());
        json.raw(",\"created\":");
        json.plain(self.created);
        json.raw(",\"next\":");
        json.fixed(self.next, 0);
        json.raw(",\"disclosed\":");
        json.fixed(self.disclosed, 0);
        json.raw(",\"drift\":");
        json.signed(self.drift);
        json.raw(",\"lean\":");
        json.signed(self.lean);
        json.raw(",\"resynced\":");
        json.fixed(self.resynced, 0);
        json.raw(",\"used\":");
        json.fixed(self.used, 0);
        json.raw(",\"secret\":");
        json.sealed(&self.secret);
        json.raw("}");
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecoverySet {
    pub(crate) id: AuthenticatorId,
    pub(crate) created: u64,
    /// Under which the codes are hashed. Sealed rather than derived from the keyring: it can be sealed again under a new
    /// key, while hashes under an old key could never leave it.
    pub(crate) key: Sealed,
    /// The hash of each code, and when it was used; 0 for never.
    pub(crate) codes: Vec<([u8; 32], u64)>,
}

impl RecoverySet {
    pub(crate) fn owner<'a>(&'a self, user: &'a str) -> Owner<'a> {
        Owner::recovery(user, &self.id)
    }

    pub(crate) fn left(&self) -> u8 {
        u8::try_from(self.codes.iter().filter(|(_, used)| *used == 0).count()).unwrap_or(u8::MAX)
    }

    fn write(&self, json: &mut Json) {
        json.raw(",\"recovery\":{\"id\":");
        json.text(&self.id.0);
        json.raw(",\"created\":");
        json.plain(self.created);
        json.raw(",\"key\":");
        json.sealed(&self.key);
        json.raw(",\"codes\":[");
        for (place, (hash, used)) in self.codes.iter().enumerate() {
            json.raw(if place > 0 { ",[\"" } else { "[\"" });
            json.0.extend_from_slice(&hex(hash));
            json.raw("\",");
            // Which code was used is public before the swap: `verify_recovery_code` says why.
            json.plain(*used);
            json.raw("]");
        }
        json.raw("]}");
    }
}

/// The name of an authenticator within its account: random letters and digits, to put into links and forms.
///
/// ```
/// use keyfob::guard::AuthenticatorId;
///
/// let id = AuthenticatorId::new("hcpbmjdnoaeglkfi"); // from a form, as `Display` wrote it
/// assert!(id.is_ok());
/// assert!("../admin".parse::<AuthenticatorId>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthenticatorId(pub(crate) String);

impl AuthenticatorId {
    /// Reads an id that was shown before: 1 to 32 lowercase letters and digits. `str::parse` does the same. Whether the account
    /// has such an authenticator turns out when it is used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) for any other string.
    pub fn new(id: &str) -> Result<Self, Error> {
        let valid = matches!(id.len(), 1..=32) && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
        if valid { Ok(Self(id.into())) } else { Err(ID_REFUSED) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn random(random: &Randomness) -> Result<Self, GuardError> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(bytes.into_iter().map(|byte| char::from(b'a' + (byte & 15))).collect()))
    }
}

impl FromStr for AuthenticatorId {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self, Error> {
        Self::new(id)
    }
}

impl fmt::Display for AuthenticatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether people can read it in a list.
pub(crate) fn check_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

/// The generation that follows on this one.
pub(crate) const fn generation_after(generation: u64) -> u64 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

const VERSION: u64 = 1;
/// Eight authenticators with the longest secrets and names take a quarter of it.
const MAX_RECORD: usize = 1 << 16;
pub(crate) const MAX_NAME: usize = 256;
/// Steps: a day of the usual period.
pub(crate) const MAX_DRIFT: u64 = 3000;
/// So many acceptances in a row on one side move the drift by a step.
pub(crate) const LEANS: u64 = 3;

const ID_REFUSED: Error =
    Error::new(ErrorKind::Name, "the id of an authenticator has 1 to 32 lowercase letters and digits");
pub(crate) const NAME_REFUSED: Error =
    Error::new(ErrorKind::Name, "a name has at most {} bytes and no control characters").number(MAX_NAME as u64);
