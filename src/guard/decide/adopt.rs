//! Adopts a user's authenticator from another system.

use alloc::vec;

use crate::error::{Error, ErrorKind};
use crate::guard::answer::adoption::Adoption;
use crate::guard::answer::event::EventKind;
use crate::guard::answer::transition::Transition;
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::OperatorId;
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::setup::Setup;
use crate::uri::KeyUri;

impl SecondFactor {
    /// Adopts a user's authenticator from another system. It is active immediately, without any action by its
    /// owner. See [`Guard::adopt`](crate::Guard::adopt).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) for a Steam URI, and if `last_used` is too
    ///   far in the future to be a TOTP step.
    /// * [`GuardErrorKind::Randomness`](crate::guard::GuardErrorKind::Randomness) if the source of randomness failed.
    pub fn adopt(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        uri: &KeyUri,
        last_used: Option<u64>,
        operator: &OperatorId,
    ) -> Result<Transition<Adoption>, GuardError> {
        // Adoption must not bring back a second factor that was removed here, for example when it is run again.
        if self.is_enrolled() || self.removed != 0 {
            return Ok(Transition::of(Adoption::Kept, vec![]));
        }
        let setup = Setup::import(uri)?;
        let mut authenticator = setup.authenticator(context, random, uri.secret())?;
        let id = authenticator.id.clone();
        let unused = last_used.map(|last| last.saturating_add(1));
        authenticator.next = match setup.period {
            // It is unknown which codes in the window have been used, so all of them count as used.
            Some(_) => unused.unwrap_or(authenticator.window(context.policy, context.now).1.saturating_add(1)),
            None => unused.unwrap_or(0).max(setup.counter),
        };
        if let Some(period) = setup.period {
            // A time in seconds, passed by mistake instead of a step, would cause every code of the next thousand years
            // to be refused.
            let reach = period.steps(context.now).saturating_add(context.policy.resync_within());
            if unused.is_some_and(|unused| unused > reach) {
                return Err(IN_THE_FUTURE.into());
            }
        }
        let mut next = self.clone();
        let canceled = next.cancel_enrollment(context);
        next.generation = random.generation()?;
        next.active.push(authenticator);
        let adopted = EventKind::Adopted { authenticator: id.clone() };
        Ok(next.changed(context, [adopted].into_iter().chain(canceled), Adoption::Adopted(id)).by(operator))
    }
}

const IN_THE_FUTURE: Error =
    Error::new(ErrorKind::Uri, "the last used step is in the future; it must be a step, not a time in seconds");
