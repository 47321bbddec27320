//! Adds and forgets a user's devices.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::guard::answer::event::EventKind;
use crate::guard::answer::transition::Transition;
use crate::guard::answer::verdict::Accepted;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::DeviceId;
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{NAME_REFUSED, check_name};
use crate::guard::record::devices::{Device, KNOWN_LIFETIME, hash, insert};
use crate::guard::token::device::DeviceToken;
use crate::guard::token::is_timely;

impl SecondFactor {
    /// Adds a device on which the user can log in without a code. See
    /// [`Guard::trust_device`](crate::Guard::trust_device).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::TrustRefused`] if the policy does not allow trusted devices, or if `lifetime` is less than a
    ///   second or longer than the policy allows.
    /// * [`GuardErrorKind::ProofRejected`] if the code was accepted for another user or longer ago than the lifetime of
    ///   a proof, or if the generation has changed since the code was accepted.
    /// * [`GuardErrorKind::Invalid`] if the name is longer than 256 bytes or contains control characters.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn trust_device(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        accepted: &Accepted,
        name: &str,
        lifetime: Duration,
    ) -> Result<Transition<DeviceToken>, GuardError> {
        let lifetime = lifetime.as_secs();
        let allowed = context.policy.trusted_device_lifetime().is_some_and(|longest| lifetime <= longest);
        if !allowed || lifetime == 0 {
            return Err(GuardErrorKind::TrustRefused.into());
        }
        self.add_device(context, random, accepted, name, Some(lifetime))
    }

    /// Remembers a device. Logins from it still need a code, but part of the guess budget is reserved for them. See
    /// [`Guard::remember_device`](crate::Guard::remember_device).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the code was accepted for another user or longer ago than the lifetime of
    ///   a proof, or if the generation has changed since the code was accepted.
    /// * [`GuardErrorKind::Invalid`] if the name is longer than 256 bytes or contains control characters.
    /// * [`GuardErrorKind::TooManyDevices`] if the account has sixteen trusted devices.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn remember_device(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        accepted: &Accepted,
        name: &str,
    ) -> Result<Transition<DeviceToken>, GuardError> {
        self.add_device(context, random, accepted, name, None)
    }

    /// Adds a device that is trusted for `trusted` seconds, or that is only known if `trusted` is `None`.
    fn add_device(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        accepted: &Accepted,
        name: &str,
        trusted: Option<u64>,
    ) -> Result<Transition<DeviceToken>, GuardError> {
        self.not_suspended()?;
        if !check_name(name) {
            return Err(NAME_REFUSED.into());
        }
        self.check_accepted(context, accepted)?;
        let token = DeviceToken::generate(random)?;
        let device = Device {
            id: token.id.clone(),
            name: String::from(name),
            hash: hash(context.user, &token),
            trusted: trusted.is_some(),
            created: context.now,
            ends: context.now.saturating_add(trusted.unwrap_or(KNOWN_LIFETIME)),
        };
        let mut next = self.clone();
        let removed = insert(&mut next.devices, device, context.now)?;
        let added = EventKind::DeviceAdded { device: token.id.clone(), trusted: trusted.is_some() };
        let forgotten = removed.map(|device| EventKind::DeviceForgotten { device });
        Ok(next.changed(context, [added].into_iter().chain(forgotten), token))
    }

    /// Checks that a code was accepted for this user not long ago, and that nothing has changed since.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if this is not the case.
    pub(crate) fn check_accepted(&self, context: &Context<'_>, accepted: &Accepted) -> Result<(), GuardError> {
        let lifetime = context.policy.proof_lifetime();
        let timely = is_timely(accepted.at, accepted.at.saturating_add(lifetime), lifetime, context.now);
        let current = accepted.user == context.user && accepted.generation == self.generation();
        if timely && current { Ok(()) } else { Err(GuardErrorKind::ProofRejected.into()) }
    }

    /// Forgets one device. See [`Guard::forget_device`](crate::Guard::forget_device).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::UnknownDevice`] if the account has no device with this id.
    pub fn forget_device(&self, context: &Context<'_>, device: &DeviceId) -> Result<Transition<()>, GuardError> {
        let mut next = self.clone();
        next.devices.retain(|listed| listed.id != *device);
        if next.devices.len() == self.devices.len() {
            return Err(GuardErrorKind::UnknownDevice.into());
        }
        Ok(next.changed(context, [EventKind::DeviceForgotten { device: device.clone() }], ()))
    }

    /// Voids earlier logins because the user's password was changed. Forgets all devices and cancels a pending
    /// enrollment. See [`Guard::forget_devices`](crate::Guard::forget_devices).
    pub fn forget_devices(&self, context: &Context<'_>) -> Transition<Generation> {
        let mut next = self.clone();
        // An attacker who knew the old password may have started the enrollment.
        let canceled = next.drop_enrollment(context);
        next.void_logins(context.now);
        let generation = next.generation();
        let kinds: Vec<_> = [EventKind::LoginsVoided].into_iter().chain(canceled).collect();
        next.changed(context, kinds, generation)
    }
}
