//! Computes the status of an account.

use alloc::vec::Vec;

use crate::guard::answer::status::{AuthenticatorStatus, DeviceStatus, Status};
use crate::guard::context::Context;
use crate::guard::id::KeyId;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::Authenticator;
use crate::guard::record::notices::Notices;
use crate::guard::record::recovery::RecoverySet;

impl SecondFactor {
    /// Returns the status of the second factor, to show on the user's security page or to an operator. See
    /// [`Guard::status`](crate::Guard::status).
    #[must_use]
    pub fn status(&self, context: &Context<'_>) -> Status {
        // The fraction of all possible codes that an authenticator accepts at any one time.
        let share = |authenticator: &Authenticator| {
            let codes = match authenticator.period {
                Some(_) => context.policy.codes_of_totp(),
                None => context.policy.codes_of_hotp(),
            };
            codes / 10f64.powi(authenticator.digits.get().into())
        };
        let pending = self.pending.as_ref().filter(|pending| pending.is_waiting(context));
        let imported = pending.filter(|pending| pending.imported).map(|pending| &pending.authenticator);
        let authenticators = self.active.iter().chain(pending.map(|pending| &pending.authenticator));
        let secrets = authenticators.map(|authenticator| &authenticator.secret);
        let sealed = secrets.chain(self.recovery.as_ref().map(|set| &set.key));
        let mut keys: Vec<KeyId> = sealed.map(|sealed| sealed.key.clone()).collect();
        keys.sort();
        keys.dedup();
        let devices = self.devices.iter().filter(|device| context.now < device.ends);
        Status {
            authenticators: self.active.iter().map(AuthenticatorStatus::of).collect(),
            enrollment_pending: pending.is_some(),
            recovery_codes_left: self.recovery.as_ref().map_or(0, RecoverySet::left),
            has_recovery_codes: self.recovery.is_some(),
            generation: self.generation(),
            enrolled: self.is_enrolled(),
            suspended: self.suspended,
            devices: devices.map(|device| DeviceStatus::of(device, device.is_trusted(context))).collect(),
            notices: self.notices.as_ref().map(Notices::pending).unwrap_or_default(),
            failures: self.budget.failures,
            gate: self.budget.gate(context.policy, context.now, self.share(context, false)),
            keys,
            // Each guess is compared either with the active authenticators or with the enrollment, never with both.
            share: self.active.iter().map(share).sum::<f64>().max(imported.map_or(0.0, share)),
            policy: context.policy.clone(),
        }
    }
}
