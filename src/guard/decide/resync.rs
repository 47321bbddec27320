//! Uses two consecutive codes to identify and resynchronize an authenticator whose clock or counter is out of sync.

use alloc::string::String;
use alloc::vec;

use crate::code::Code;
use crate::ct;
use crate::guard::answer::event::{Event, EventKind};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::{Refusal, Resynchronization};
use crate::guard::context::Context;
use crate::guard::decide::attempt::{LAST, Revealed};
use crate::guard::error::GuardError;
use crate::guard::record::SecondFactor;

impl SecondFactor {
    /// Uses two consecutive codes to identify an authenticator that is out of sync. Stores the counter of a HOTP
    /// authenticator (RFC 4226, section 7.4) or the drift of a TOTP authenticator (RFC 6238, section 6). See
    /// [`Guard::resync`](crate::Guard::resync), which explains to which users an application may offer this.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    ///   authenticator cannot be opened.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    pub fn resync(
        &self,
        context: &Context<'_>,
        first: &str,
        second: &str,
    ) -> Result<Transition<Resynchronization>, GuardError> {
        let refused = |reason, change, exhausted| {
            self.refusal(context, reason, change, exhausted).map(Resynchronization::Refused)
        };
        self.not_suspended()?;
        let share = self.share(context, false);
        if self.active.is_empty() {
            return Ok(refused(Refusal::NotEnrolled, Change::None, None));
        }
        let (Ok(first), Ok(second)) = (Code::parse(first), Code::parse(second)) else {
            return Ok(refused(Refusal::Malformed, Change::None, None));
        };
        if let Some((reason, change, exhausted)) = self.barred(context, share) {
            return Ok(refused(reason, change, exhausted));
        }
        let (next, hidden) = self.attempt(
            context,
            share,
            |authenticator, unused| {
                let hotp = authenticator.hotp(context.user, context.keyring)?;
                let within = context.policy.resync_within();
                let (from, to) = match authenticator.period {
                    Some(period) => {
                        let now = period.steps(context.now);
                        (now.saturating_sub(within), now.saturating_add(within))
                    }
                    None => (unused, unused.saturating_add(within)),
                };
                let (hit, counter) = hotp.scan([&first, &second], from, to.min(LAST)).hidden();
                // `counter` is the counter of the second code. The first code must also be unused.
                let disclosed =
                    authenticator.was_disclosed(counter) | authenticator.was_disclosed(counter.wrapping_sub(1));
                Ok((hit & ct::mask_less(unused, counter) & !disclosed, 0, counter))
            },
            |authenticator, fresh, context, counter| {
                if let Some(period) = authenticator.period {
                    let drift = counter.wrapping_sub(period.steps(context.now));
                    authenticator.drift = ct::select(fresh, drift, authenticator.drift.cast_unsigned()).cast_signed();
                    authenticator.lean = ct::select(fresh, 0, authenticator.lean.cast_unsigned()).cast_signed();
                    authenticator.anchor = ct::select(fresh, drift, authenticator.anchor.cast_unsigned()).cast_signed();
                }
            },
            |_, _| {},
        )?;
        let user = String::from(context.user);
        let now = context.now;
        let exhausts = hidden.exhausts;
        let transition = Transition::new(Change::Write(next), move || match hidden.reveal() {
            Ok(Revealed { id, drift, .. }) => {
                let kind = EventKind::Resynchronized { authenticator: id.clone(), drift };
                Committed {
                    value: Resynchronization::Done { authenticator: id, drift },
                    events: vec![Event::new(&user, now, kind)],
                }
            }
            Err((refused, events)) => Committed { value: Resynchronization::Refused(refused), events },
        });
        Ok(transition.exhausting(exhausts))
    }
}
