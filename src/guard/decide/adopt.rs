//! Adopts a user's authenticators from another system.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};
use crate::guard::answer::adoption::{Adoptee, Adoption};
use crate::guard::answer::event::{Event, EventKind, Flow, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::OperatorId;
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::Authenticator;
use crate::guard::setup::Setup;

impl SecondFactor {
    /// Adopts a user's authenticators from another system. They are active immediately, without any action by their
    /// owner. See [`Guard::adopt`](crate::Guard::adopt).
    ///
    /// All `adoptees` must be for the user of `context`. The answers have the same order. An authenticator that cannot
    /// be adopted does not affect the others: its answer is an error that says why.
    ///
    /// The errors in the answer:
    ///
    /// * [`GuardErrorKind::Invalid`] for a Steam URI, if `last_used` is too far in the future to be a TOTP step, and if
    ///   the name is longer than 256 bytes or contains control characters.
    /// * [`GuardErrorKind::SecretInUse`] if an earlier entry has the same secret.
    /// * [`GuardErrorKind::TooManyAuthenticators`] if the user already has eight authenticators.
    /// * [`GuardErrorKind::User`] for an entry for another user.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn adopt(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        adoptees: &[&Adoptee],
        operator: &OperatorId,
    ) -> Result<Transition<Vec<Result<Adoption, GuardError>>>, GuardError> {
        // Adoption must not bring back a second factor that was removed here, for example when it is run again.
        if self.is_enrolled() || self.removed != 0 {
            return Ok(Transition::of(adoptees.iter().map(|_| Ok(Adoption::Kept)).collect(), vec![]));
        }
        let mut next = self.clone();
        let (mut answers, mut told) = (Vec::with_capacity(adoptees.len()), Vec::new());
        for adoptee in adoptees {
            answers.push(match next.adopted(context, random, adoptee) {
                Ok(authenticator) => {
                    let id = authenticator.id.clone();
                    next.active.push(authenticator);
                    told.push(EventKind::Adopted { authenticator: id.clone() });
                    Ok(Adoption::Adopted(id))
                }
                Err(error) if error.kind() == GuardErrorKind::Randomness => return Err(error),
                Err(error) => {
                    told.push(EventKind::Failed { flow: Flow::Adopt, kind: error.kind() });
                    Err(error)
                }
            });
        }
        let change = if next.active.is_empty() {
            Change::None
        } else {
            told.extend(next.drop_enrollment(context));
            next.generation = random.generation()?;
            Change::Write(next.write())
        };
        let events: Vec<Event> = events(context, told);
        Ok(Transition::new(change, move || Committed { value: answers, events }).by(operator))
    }

    /// Returns the authenticator to add for this adoptee.
    fn adopted(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        adoptee: &Adoptee,
    ) -> Result<Authenticator, GuardError> {
        if adoptee.user != context.user {
            return Err(GuardErrorKind::User.into());
        }
        if self.active.len() >= Self::MAX_AUTHENTICATORS {
            return Err(GuardErrorKind::TooManyAuthenticators.into());
        }
        if self.has_secret(context, adoptee.uri.secret()) {
            return Err(GuardErrorKind::SecretInUse.into());
        }
        let setup = Setup::import(&adoptee.uri)?.with_name(&adoptee.name)?;
        setup.check(context.policy)?;
        let mut authenticator = setup.authenticator(context, random, adoptee.uri.secret())?;
        authenticator.bound = context.now.max(1);
        let unused = adoptee.last_used.map(|last| last.saturating_add(1));
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
        Ok(authenticator)
    }
}

const IN_THE_FUTURE: Error =
    Error::new(ErrorKind::Uri, "the last used step is in the future; it must be a step, not a time in seconds");
