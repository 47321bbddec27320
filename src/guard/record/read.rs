//! Reads the record from JSON. A missing field is an error unless it is optional, and values that the guard could not
//! handle are refused.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::guard::answer::notice::NoticeKind;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::{AuthenticatorId, DeviceId};
use crate::guard::keyring::Sealed;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{Authenticator, LEANS, MAX_DRIFT, Pending, check_name};
use crate::guard::record::budget::{Budget, MAX_FAILURES, MAX_LEVEL};
use crate::guard::record::devices::{Device, MAX_DEVICES};
use crate::guard::record::logins::{CompletedLogins, SLOTS, Slot};
use crate::guard::record::notices::Notices;
use crate::guard::record::recovery::{RecoveryCodes, RecoverySet};
use crate::totp::Period;

impl SecondFactor {
    /// Reads a record. `None` means that the account has no record and therefore no second factor.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::RecordNewer`] if a newer version of keyfob wrote the record. [`GuardErrorKind::RecordInvalid`]
    /// if the bytes are not a valid record, for example because a required field is missing.
    pub fn read(record: Option<&[u8]>) -> Result<Self, GuardError> {
        let Some(record) = record else { return Ok(Self::default()) };
        if record.len() > MAX_RECORD {
            return Err(GuardErrorKind::RecordInvalid.into());
        }
        let record = core::str::from_utf8(record).map_err(|_| GuardErrorKind::RecordInvalid)?;
        match serde_json::from_str::<Stored<'_>>(record) {
            Ok(stored) if stored.v == VERSION => stored.validated().ok_or(GuardErrorKind::RecordInvalid.into()),
            // A newer version may write fields that this version does not know about, so only the version number is
            // read.
            _ => match serde_json::from_str::<AnyVersion>(record) {
                Ok(AnyVersion { v }) if v > VERSION => Err(GuardErrorKind::RecordNewer.into()),
                _ => Err(GuardErrorKind::RecordInvalid.into()),
            },
        }
    }
}

/// The record as serde deserializes it, before its values are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    v: u64,
    generation: u64,
    epoch: u64,
    removed: u64,
    revoked: u64,
    suspended: bool,
    #[serde(default)]
    voucher: u64,
    #[serde(borrow)]
    active: Vec<StoredAuthenticator<'a>>,
    #[serde(borrow)]
    pending: Option<StoredPending<'a>>,
    #[serde(borrow)]
    recovery: Option<StoredRecovery<'a>>,
    #[serde(borrow, default)]
    devices: Vec<StoredDevice<'a>>,
    logins: Option<&'a str>,
    notices: Option<[u64; NoticeKind::ALL.len()]>,
    budget: StoredBudget,
}

#[derive(Deserialize)]
struct AnyVersion {
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAuthenticator<'a> {
    id: &'a str,
    // A name can contain escapes, so it cannot be borrowed from the JSON.
    name: String,
    period: Option<Period>,
    algorithm: Algorithm,
    digits: Digits,
    created: u64,
    bound: u64,
    next: u64,
    disclosed: u64,
    repeated: u64,
    drift: i64,
    lean: i64,
    anchor: i64,
    used: u64,
    #[serde(borrow)]
    secret: StoredSealed<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSealed<'a> {
    key: &'a str,
    sealed: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPending<'a> {
    #[serde(borrow)]
    authenticator: StoredAuthenticator<'a>,
    since: u64,
    imported: bool,
    #[serde(default)]
    ticket: u64,
    tries: u64,
    confirmed: u64,
    replaces: Option<&'a str>,
    #[serde(default)]
    replaces_all: bool,
    #[serde(default)]
    vouched: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRecovery<'a> {
    id: &'a str,
    created: u64,
    #[serde(borrow)]
    key: StoredSealed<'a>,
    #[serde(borrow)]
    codes: Vec<StoredCode<'a>>,
}

/// A recovery code as a JSON array: its hash and the time at which it was used. If the ten codes were objects, parsing
/// them would take up most of the time needed to read a record.
#[derive(Deserialize)]
struct StoredCode<'a>(&'a str, u64);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDevice<'a> {
    id: &'a str,
    name: String,
    hash: &'a str,
    trusted: bool,
    created: u64,
    ends: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBudget {
    failures: u64,
    failed_at: u64,
    level: u64,
    level_at: u64,
    until: u64,
    reported_at: u64,
    succeeded_at: u64,
    known_failures: u64,
    known_failed_at: u64,
    known_level: u64,
}

impl Stored<'_> {
    fn validated(self) -> Option<SecondFactor> {
        let active = self.active.into_iter().map(StoredAuthenticator::validated).collect::<Option<Vec<_>>>()?;
        let distinct =
            active.iter().zip(1..).all(|(first, after)| active.iter().skip(after).all(|other| other.id != first.id));
        // At most one of these is true: an authenticator is active, the last one was revoked, or the second factor was
        // removed.
        let states = [!active.is_empty(), self.revoked != 0, self.removed != 0];
        let exclusive = states.into_iter().filter(|state| *state).count() <= 1;
        if active.len() > SecondFactor::MAX_AUTHENTICATORS || !distinct || !exclusive {
            return None;
        }
        let devices = self.devices.into_iter().map(StoredDevice::validated).collect::<Option<Vec<_>>>()?;
        if devices.len() > MAX_DEVICES {
            return None;
        }
        let logins = match self.logins {
            Some(text) => Some(unhex_logins(text)?),
            None => None,
        };
        let pending = match self.pending {
            Some(pending) => Some(pending.validated().filter(|pending| {
                // The record must still be valid once this enrollment is confirmed.
                let replaced = active.iter().any(|other| Some(&other.id) == pending.replaces.as_ref());
                let room = replaced || active.len() < SecondFactor::MAX_AUTHENTICATORS;
                room && active.iter().all(|other| other.id != pending.authenticator.id)
            })?),
            None => None,
        };
        let recovery = match self.recovery {
            Some(recovery) => Some(recovery.validated()?),
            None => None,
        };
        let Self { generation, epoch, removed, revoked, suspended, voucher, .. } = self;
        let notices = self.notices.map(Notices);
        let budget = self.budget.validated()?;
        let stored = SecondFactor {
            generation,
            epoch,
            removed,
            revoked,
            suspended,
            active,
            pending,
            recovery,
            devices,
            logins,
            budget,
            voucher,
            notices,
        };
        Some(stored.activated())
    }
}

impl SecondFactor {
    /// Turns a confirmed enrollment into an active authenticator.
    ///
    /// The transition that confirmed the enrollment could not add it to the active authenticators, because the length
    /// of the record would have revealed the verdict before the swap.
    fn activated(mut self) -> Self {
        if let Some(pending) = self.pending.take_if(|pending| pending.confirmed == 1) {
            let replaced = |id: &AuthenticatorId| pending.replaces_all || Some(id) == pending.replaces.as_ref();
            self.active.retain(|authenticator| !replaced(&authenticator.id));
            self.active.push(pending.authenticator);
            (self.removed, self.revoked) = (0, 0);
            self.factors_changed();
        }
        self
    }
}

impl StoredAuthenticator<'_> {
    fn validated(self) -> Option<Authenticator> {
        let sane = check_name(&self.name) && self.drift.unsigned_abs() <= MAX_DRIFT && self.lean.unsigned_abs() < LEANS;
        // HOTP has no clock, so it has no drift.
        if !sane
            || self.anchor.unsigned_abs() > MAX_DRIFT
            || (self.period.is_none() && (self.drift, self.lean, self.anchor) != (0, 0, 0))
        {
            return None;
        }
        Some(Authenticator {
            id: AuthenticatorId::new(self.id).ok()?,
            name: self.name,
            period: self.period,
            algorithm: self.algorithm,
            digits: self.digits,
            created: self.created,
            bound: self.bound,
            next: self.next,
            disclosed: self.disclosed,
            repeated: self.repeated,
            drift: self.drift,
            lean: self.lean,
            anchor: self.anchor,
            used: self.used,
            secret: Sealed::new(self.secret.key, self.secret.sealed)?,
        })
    }
}

impl StoredPending<'_> {
    fn validated(self) -> Option<Pending> {
        let replaces = match self.replaces {
            Some(id) => Some(AuthenticatorId::new(id).ok()?),
            None => None,
        };
        let Self { since, imported, ticket, tries, confirmed, replaces_all, vouched, .. } = self;
        let authenticator = self.authenticator.validated()?;
        (confirmed <= 1).then_some(Pending {
            authenticator,
            since,
            imported,
            ticket,
            tries,
            confirmed,
            replaces,
            replaces_all,
            vouched,
        })
    }
}

impl StoredRecovery<'_> {
    fn validated(self) -> Option<RecoverySet> {
        let codes = self
            .codes
            .into_iter()
            .map(|StoredCode(hash, used)| Some((unhex(hash.as_bytes())?, used)))
            .collect::<Option<Vec<_>>>()?;
        let set = RecoverySet {
            id: AuthenticatorId::new(self.id).ok()?,
            created: self.created,
            key: Sealed::new(self.key.key, self.key.sealed)?,
            codes,
        };
        (set.codes.len() <= RecoveryCodes::COUNT).then_some(set)
    }
}

impl StoredDevice<'_> {
    fn validated(self) -> Option<Device> {
        let Self { trusted, created, ends, .. } = self;
        let name = Some(self.name).filter(|name| check_name(name))?;
        Some(Device {
            id: DeviceId::new(self.id).ok()?,
            name,
            hash: unhex(self.hash.as_bytes())?,
            trusted,
            created,
            ends,
        })
    }
}

impl StoredBudget {
    fn validated(self) -> Option<Budget> {
        let Self { failures, failed_at, level, level_at, until, reported_at, .. } = self;
        let Self { succeeded_at, known_failures, known_failed_at, known_level, .. } = self;
        let valid = failures <= MAX_FAILURES && level <= MAX_LEVEL;
        (valid && known_failures <= MAX_FAILURES && known_level <= MAX_LEVEL).then_some(Budget {
            failures,
            failed_at,
            level,
            level_at,
            until,
            reported_at,
            succeeded_at,
            known_failures,
            known_failed_at,
            known_level,
        })
    }
}

/// Decodes the slots for completed logins. Each slot takes 32 hexadecimal digits.
fn unhex_logins(text: &str) -> Option<CompletedLogins> {
    let mut logins = CompletedLogins::EMPTY;
    let (pairs, rest) = text.as_bytes().as_chunks::<64>();
    if 2 * pairs.len() != SLOTS || !rest.is_empty() {
        return None;
    }
    for (slots, pair) in logins.0.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        let bytes = unhex(pair)?;
        let mut numbers = bytes.as_chunks().0.iter().map(|number| u64::from_be_bytes(*number));
        for slot in slots {
            *slot = Slot { id: numbers.next()?, expires: numbers.next()? };
        }
    }
    Some(logins)
}

/// Decodes a hash encoded by `hex` in `fixed_json.rs`. Returns `None` if the text is not 64 lowercase hexadecimal
/// digits.
fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let valid = text.iter().fold(true, |all, digit| all & matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let nibbles = text.map(|digit| (digit & 15) + 9 * (digit >> 6));
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(nibbles.as_chunks().0) {
        *byte = (high << 4) | low;
    }
    valid.then_some(bytes)
}

const VERSION: u64 = 1;
/// The maximum record length in bytes. A record with the maximum number of authenticators and devices, and with the
/// longest secrets and names, takes about half of this.
const MAX_RECORD: usize = 1 << 16;
