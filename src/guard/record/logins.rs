//! Remembers which logins were completed, so that each challenge completes only one login.

use crate::ct;
use crate::guard::policy;

/// The ids of completed logins, in a fixed number of slots. After an attempt, the contents of the slots reveal the
/// verdict, so they are secret until the swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompletedLogins(pub(crate) [Slot; SLOTS]);

/// A completed login. An unused slot is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: u64,
    /// The time at which the challenge of this login expires.
    pub(crate) expires: u64,
}

impl CompletedLogins {
    pub(crate) const EMPTY: Self = Self([Slot { id: 0, expires: 0 }; SLOTS]);

    /// Returns whether the login with this id was completed.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.0.iter().any(|slot| slot.id == id)
    }

    /// Returns the index of a slot that is unused or can be reused because no server still accepts its challenge. If
    /// there is no such slot, returns the time at which the next one becomes available.
    ///
    /// If a challenge expires later than any challenge made now would, it was made while the clock was ahead. Such a
    /// challenge is refused because of its timestamp, so its slot also counts as free. Otherwise, an account whose
    /// slots are all taken in this way could not log in until the clock caught up.
    pub(crate) fn free(&self, now: u64, skew: u64) -> Result<usize, u64> {
        let latest = now.saturating_add(MAX_LIFETIME).saturating_add(skew);
        let is_free = |slot: &Slot| slot.id == 0 || slot.expires.saturating_add(skew) <= now;
        // The clock may return to the time of such a challenge, so its slot is used only if no other is free.
        let is_from_the_future = |slot: &Slot| slot.expires > latest;
        let index = self.0.iter().position(is_free).or_else(|| self.0.iter().position(is_from_the_future));
        let first = || self.0.iter().map(|slot| slot.expires).min().unwrap_or(now).saturating_add(skew);
        index.ok_or_else(first)
    }

    /// Stores a login in the slot at this index if the mask `accepted` is all ones.
    pub(crate) fn complete(&mut self, index: usize, login: Slot, accepted: u64) {
        if let Some(slot) = self.0.get_mut(index) {
            slot.id = ct::select(accepted, login.id, slot.id);
            slot.expires = ct::select(accepted, login.expires, slot.expires);
        }
    }
}

/// The number of slots. Each completed login requires a code that has not been used before. A TOTP authenticator with
/// the default period shows about twelve codes during the lifetime of a slot, which is at most six minutes.
pub(crate) const SLOTS: usize = 16;

/// The longest lifetime of a challenge that a policy allows, in seconds.
const MAX_LIFETIME: u64 = policy::MAX_LOGIN_LIFETIME as u64;
