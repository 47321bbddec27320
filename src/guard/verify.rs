//! The decision on a code.
//!
//! Up to the swap a hit, a miss and a replay do the same work: everything is computed with masks, the next record is
//! written through one path in one length, and nothing is read from the verdict. It is read in what
//! [`Transition::committed`] runs.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ct;
use crate::guard::budget::{Budget, Gate};
use crate::guard::error::GuardError;
use crate::guard::event::{Event, EventKind, Flow};
use crate::guard::record::{Authenticator, AuthenticatorId, LEANS, MAX_DRIFT, SecondFactor};
use crate::guard::recovery::RecoveryCode;
use crate::guard::transition::{Change, Committed, Transition};
use crate::guard::{Context, Policy};

impl SecondFactor {
    /// Decides on what a user typed: a code of any active authenticator, or a recovery code, by its shape.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) and
    /// [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if a secret does not open.
    pub fn verify(&self, context: &Context<'_>, typed: &str) -> Result<Transition<Verdict>, GuardError> {
        if self.active.is_empty() {
            return Ok(self.refused(context, Refusal::NotEnrolled, Change::None));
        }
        // In this order: the shape of a code is which bytes are digits, and in a recovery code that is secret.
        if let Some(code) = RecoveryCode::parse(typed) {
            return match code.is_valid() {
                true => self.verify_recovery_code(context, &code),
                false => Ok(self.refused(context, Refusal::Malformed, Change::None)),
            };
        }
        match Code::parse(typed) {
            Ok(code) => self.verify_code(context, &code),
            Err(_) => Ok(self.refused(context, Refusal::Malformed, Change::None)),
        }
    }

    /// Finds an authenticator that ran off, by two codes that it showed one after the other (RFC 4226, section 7.4;
    /// RFC 6238, section 6), and remembers how far it is off. Lets nobody in.
    ///
    /// It is charged to the guess budget like any attempt. Both codes are spent, and neither may have been before.
    ///
    /// Codes of an hour ago resynchronize an authenticator to an hour ago, and its owner is out of step from then on.
    /// Whoever has noted three unspent codes in a row can resynchronize by two of them and log in by the third, as long as
    /// [`Policy::with_resync_within`] reaches back to them. So offer it to users who have shown otherwise who they are.
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify).
    pub fn resync(
        &self,
        context: &Context<'_>,
        first: &str,
        second: &str,
    ) -> Result<Transition<Resynchronization>, GuardError> {
        let refused = |reason, change, exhausted| {
            self.refusal(context, reason, change, exhausted).map(Resynchronization::Refused)
        };
        if self.active.is_empty() {
            return Ok(refused(Refusal::NotEnrolled, Change::None, None));
        }
        let (Ok(first), Ok(second)) = (Code::parse(first), Code::parse(second)) else {
            return Ok(refused(Refusal::Malformed, Change::None, None));
        };
        if let Some((reason, change, exhausted)) = self.barred(context) {
            return Ok(refused(reason, change, exhausted));
        }
        let (next, hidden) = self.attempt(
            context,
            |authenticator, spent| {
                let hotp = authenticator.hotp(context.user, context.keyring)?;
                let within = context.policy.resync_within();
                let (from, to) = match authenticator.period {
                    Some(period) => {
                        let now = period.steps(context.now);
                        (now.saturating_sub(within), now.saturating_add(within))
                    }
                    None => (spent, spent.saturating_add(within)),
                };
                let (hit, counter) = hotp.scan([&first, &second], from, to.min(LAST)).hidden();
                // The first of the two may not have been used either.
                let disclosed =
                    authenticator.was_disclosed(counter) | authenticator.was_disclosed(counter.wrapping_sub(1));
                Ok((hit & ct::mask_less(spent, counter) & !disclosed, 0, counter))
            },
            |authenticator, fresh, context, counter| {
                if let Some(period) = authenticator.period {
                    let drift = counter.wrapping_sub(period.steps(context.now));
                    authenticator.drift = ct::select(fresh, drift, authenticator.drift.cast_unsigned()).cast_signed();
                    authenticator.lean = ct::select(fresh, 0, authenticator.lean.cast_unsigned()).cast_signed();
                    authenticator.resynced = ct::select(fresh, 1, authenticator.resynced);
                }
            },
        )?;
        let user = String::from(context.user);
        let now = context.now;
        Ok(Transition::new(Change::Write(next), move || match hidden.reveal() {
            Ok(Revealed { id, drift, .. }) => {
                let kind = EventKind::Resynchronized { authenticator: id.clone(), drift };
                Committed {
                    value: Resynchronization::Done { authenticator: id, drift },
                    events: vec![Event::new(&user, now, kind)],
                }
            }
            Err((refused, events)) => Committed { value: Resynchronization::Refused(refused), events },
        }))
    }

    fn verify_code(&self, context: &Context<'_>, code: &Code) -> Result<Transition<Verdict>, GuardError> {
        if let Some((reason, change, exhausted)) = self.barred(context) {
            return Ok(self.refusal(context, reason, change, exhausted).map(Verdict::Refused));
        }
        let (next, hidden) = self.attempt(
            context,
            |authenticator, spent| {
                let (from, to) = authenticator.window(context.policy, context.now);
                let hotp = authenticator.hotp(context.user, context.keyring)?;
                let (hit, counter) = hotp.scan([code], from, to).hidden();
                let replayed = ct::mask_less(counter, spent) | authenticator.was_disclosed(counter);
                Ok((hit & !replayed, hit & replayed, counter))
            },
            |authenticator, fresh, context, counter| authenticator.learn(fresh, context.now, counter),
        )?;

        let user = String::from(context.user);
        let (now, generation) = (context.now, self.generation);
        let recovery_codes_left = self.recovery.as_ref().map_or(0, |recovery| recovery.left());
        let lagging: Vec<_> = self.active.iter().filter_map(|one| one.clock_behind(context.policy, now)).collect();
        Ok(Transition::new(Change::Write(next), move || match hidden.reveal() {
            Ok(Revealed { id, method, name, drift }) => {
                let kind = EventKind::Accepted { method, authenticator: Some(id.clone()), drift };
                let events = vec![Event::new(&user, now, kind)];
                let authenticator = Some((id, name));
                let accepted =
                    Accepted { user, at: now, generation, method, authenticator, drift, recovery_codes_left };
                Committed { value: Verdict::Accepted(accepted), events }
            }
            Err((refused, mut events)) => {
                events.extend(lagging.into_iter().map(|kind| Event::new(&user, now, kind)));
                Committed { value: Verdict::Refused(refused), events }
            }
        }))
    }

    /// Recovery codes cannot be guessed, so a miss is not counted and nothing is written for it. All slots are compared.
    fn verify_recovery_code(
        &self,
        context: &Context<'_>,
        code: &RecoveryCode,
    ) -> Result<Transition<Verdict>, GuardError> {
        let Some(set) = &self.recovery else { return Ok(self.refused(context, Refusal::WrongCode, Change::None)) };
        let key = set.open(context)?;
        let hash = code.hash(&key);
        let matches: Vec<_> = set.codes.iter().map(|(stored, _)| ct::mask(ct::eq(stored, &hash).into())).collect();
        // Public: the code is 115 bits long, so its holder knows what the answer is, and which slot it was is stored.
        let slot = matches.into_iter().position(ct::declassify);
        let mut next = self.clone();
        let used = slot.and_then(|slot| next.recovery.as_mut()?.codes.get_mut(slot));
        let Some((_, used)) = used else { return Ok(self.refused(context, Refusal::WrongCode, Change::None)) };
        if *used != 0 {
            return Ok(self.refused(context, Refusal::Replayed, Change::None));
        }
        // Zero means unused.
        *used = context.now.max(1);
        let lifted = next.budget.lift(context.policy, context.now, u64::MAX);
        let left = next.recovery.as_ref().map_or(0, |recovery| recovery.left());
        let accepted = Accepted {
            user: context.user.into(),
            at: context.now,
            generation: self.generation,
            method: Method::RecoveryCode,
            authenticator: None,
            drift: 0,
            recovery_codes_left: left,
        };
        let accept = EventKind::Accepted { method: Method::RecoveryCode, authenticator: None, drift: 0 };
        let mut events = vec![accept, EventKind::Recovered { left }];
        events.extend(lifted.then_some(EventKind::Unlocked));
        let events = context.events(events);
        Ok(Transition::new(Change::Write(next.write()), move || Committed {
            value: Verdict::Accepted(accepted),
            events,
        }))
    }

    /// Why no code may be compared now, if so, what has to be stored for it, and what to report besides the refusal.
    pub(crate) fn barred(&self, context: &Context<'_>) -> Option<(Refusal, Change, Option<EventKind>)> {
        let reason = match self.budget.gate(context.policy, context.now) {
            Gate::Open => return None,
            Gate::Throttled { retry_at } => Refusal::Throttled { retry_at },
            Gate::Exhausted { retry_at } => Refusal::Exhausted { retry_at },
        };
        // Refusals write nothing, or they would be a way to keep the record busy. The exceptions are a clock that was set
        // back, and an exhausted budget that is reported again.
        let mut budget = self.budget.brought_back(context.now);
        let mut report = None;
        if matches!(reason, Refusal::Exhausted { .. })
            && let Some(reported) = budget.as_ref().unwrap_or(&self.budget).reported(context.now)
        {
            budget = Some(reported);
            report = Some(EventKind::Exhausted);
        }
        let written = |budget| Change::Write(Self { budget, ..self.clone() }.write());
        Some((reason, budget.map_or(Change::None, written), report))
    }

    /// Whether a failure in this flow, counted now, would use up the guess budget.
    pub(crate) fn exhausted_by(&self, flow: Flow, context: &Context<'_>) -> bool {
        let charged = match flow {
            Flow::Resync | Flow::Verify => !self.active.is_empty(),
            Flow::Confirm => self.pending.as_ref().is_some_and(|pending| pending.imported),
            _ => false,
        };
        charged && self.budget.ends_with_a_failure(context.policy, context.now)
    }

    /// Compares with every active authenticator, and charges the budget. `compare` gives two masks, accepted and
    /// replayed, and the counter that matched; `moved` changes the authenticator under the first mask.
    fn attempt(
        &self,
        context: &Context<'_>,
        compare: impl Fn(&Authenticator, u64) -> Result<(u64, u64, u64), GuardError>,
        moved: impl Fn(&mut Authenticator, u64, &Context<'_>, u64),
    ) -> Result<(Vec<u8>, Hidden), GuardError> {
        let mut next = self.clone();
        let (mut accepted, mut replayed, mut place, mut drift) = (0, 0, 0, 0);
        for (authenticator, here) in next.active.iter_mut().zip(0u64..) {
            let spent = authenticator.next;
            let (fresh, replay, counter) = compare(authenticator, spent)?;
            let base = authenticator.period.map_or(spent, |period| period.steps(context.now));
            // A code that two authenticators show at once is spent for both, and told of the first.
            let first = fresh & !accepted;
            place = ct::select(first, here, place);
            drift = ct::select(first, counter.wrapping_sub(base), drift);
            accepted |= fresh;
            replayed |= replay;
            moved(authenticator, fresh, context, counter);
            authenticator.next = ct::select(fresh, counter.wrapping_add(1), spent);
            authenticator.used = ct::select(fresh, context.now.max(1), authenticator.used);
        }
        next.budget.charge(context.policy, context.now, accepted);
        let record = next.write();
        let hidden = Hidden {
            accepted,
            replayed,
            place,
            drift: drift.cast_signed(),
            context: (context.user.into(), context.now, context.policy.clone()),
            budget: self.budget.clone(),
            authenticators: next.active,
        };
        Ok((record, hidden))
    }

    fn refused(&self, context: &Context<'_>, reason: Refusal, change: Change) -> Transition<Verdict> {
        self.refusal(context, reason, change, None).map(Verdict::Refused)
    }

    fn refusal(
        &self,
        context: &Context<'_>,
        reason: Refusal,
        change: Change,
        exhausted: Option<EventKind>,
    ) -> Transition<Refusal> {
        let events = context.events([EventKind::Refused { reason }].into_iter().chain(exhausted));
        Transition::new(change, move || Committed { value: reason, events })
    }
}

impl Authenticator {
    /// The first and the last step or counter to look at. One is looked at that is spent, to tell a replay.
    pub(crate) fn window(&self, policy: &Policy, now: u64) -> (u64, u64) {
        let (from, to) = match self.period {
            Some(period) => {
                let expected = self.expected_step(period, now);
                let (behind, ahead) = (policy.window().behind(), policy.window().ahead());
                (expected.saturating_sub(behind.into()), expected.saturating_add(ahead.into()))
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(policy.look_ahead().get().into())),
        };
        // The last counter there is has no next one, so it could be used for ever.
        (from, to.min(LAST))
    }

    /// Moves the drift by one step after some acceptances in a row on one side of it. A single one may be a user who
    /// types slowly. What is learned stays small until the owner has resynchronized: a clock that is far off is for
    /// [`SecondFactor::resync`], and learning goes on from there.
    fn learn(&mut self, fresh: u64, now: u64, counter: u64) {
        let Some(period) = self.period else { return };
        let (drift, lean) = (self.drift, self.lean);
        let deviation = counter.wrapping_sub(self.expected_step(period, now)).cast_signed();
        let (late, none) = (ct::mask_negative(deviation), ct::mask_same(deviation.cast_unsigned(), 0));
        // -1, 0 or 1.
        let side = ct::select(none, 0, late | 1).cast_signed();
        let kept = ct::select(ct::mask_negative(lean.wrapping_mul(side)), 0, lean.cast_unsigned()).cast_signed();
        let leaning = ct::select(none, 0, kept.wrapping_add(side).cast_unsigned()).cast_signed();
        let full = ct::mask_same(ct::magnitude(leaning), LEANS);
        let moved = drift.wrapping_add(side);
        let most = ct::select(ct::mask_same(self.resynced, 0), MAX_LEARNED, MAX_DRIFT);
        let small = ct::mask_less(ct::magnitude(moved), most + 1);
        let leaning = ct::select(full, 0, leaning.cast_unsigned());
        self.lean = ct::select(fresh, leaning, lean.cast_unsigned()).cast_signed();
        self.drift = ct::select(fresh & full & small, moved.cast_unsigned(), drift.cast_unsigned()).cast_signed();
    }

    /// Whether all codes that this authenticator can show by our clock are spent.
    fn clock_behind(&self, policy: &Policy, now: u64) -> Option<EventKind> {
        let period = self.period?;
        let steps = self.next.checked_sub(self.window(policy, now).1.saturating_add(2))?;
        let seconds = steps.saturating_add(1).saturating_mul(period.seconds().into());
        Some(EventKind::ClockBehind { authenticator: self.id.clone(), seconds })
    }
}

/// What was decided, and not yet stored.
struct Hidden {
    /// Masks.
    accepted: u64,
    replayed: u64,
    /// Of the authenticator.
    place: u64,
    drift: i64,
    context: (String, u64, Policy),
    /// Before the attempt.
    budget: Budget,
    authenticators: Vec<Authenticator>,
}

struct Revealed {
    id: AuthenticatorId,
    name: String,
    method: Method,
    drift: i64,
}

impl Hidden {
    /// Public from here on: the record that carries the consequence is stored.
    fn reveal(self) -> Result<Revealed, (Refusal, Vec<Event>)> {
        let (user, now, policy) = self.context;
        if ct::declassify(self.accepted) {
            // Whose code it was is stored as well, as the step that is spent.
            let found = |(_, place): &(Authenticator, u64)| ct::declassify(ct::mask_same(self.place, *place));
            if let Some((one, _)) = self.authenticators.into_iter().zip(0..).find(found) {
                let method = if one.period.is_some() { Method::Totp } else { Method::Hotp };
                return Ok(Revealed { id: one.id, name: one.name, method, drift: self.drift });
            }
        }
        let reason = if ct::declassify(self.replayed) { Refusal::Replayed } else { Refusal::WrongCode };
        let mut events = vec![Event::new(&user, now, EventKind::Refused { reason })];
        // From the budget before the attempt, which is public.
        if self.budget.ends_with_a_failure(&policy, now) {
            events.push(Event::new(&user, now, EventKind::Exhausted));
        }
        Err((reason, events))
    }
}

/// The answer to an attempt, as in the example of [the module](crate::guard).
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The second factor is there.
    Accepted(Accepted),
    /// It is not.
    Refused(Refusal),
}

/// An attempt that succeeded, once: it cannot be copied or stored. What it is good for later is a
/// [`Proof`](crate::guard::Proof).
#[derive(Debug)]
pub struct Accepted {
    pub(crate) user: String,
    pub(crate) at: u64,
    pub(crate) generation: u64,
    method: Method,
    authenticator: Option<(AuthenticatorId, String)>,
    drift: i64,
    recovery_codes_left: u8,
}

impl Accepted {
    /// Whose.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// By what. After a recovery code, have the user enroll a new authenticator.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// By which authenticator, unless it was a recovery code.
    #[must_use]
    pub fn authenticator(&self) -> Option<&AuthenticatorId> {
        self.authenticator.as_ref().map(|(id, _)| id)
    }

    /// The name that its user gave it.
    #[must_use]
    pub fn authenticator_name(&self) -> Option<&str> {
        self.authenticator.as_ref().map(|(_, name)| name.as_str())
    }

    /// How many steps the authenticator's clock is ahead of the server's; for HOTP, how many codes were skipped. If it is
    /// off to the same side for most users, it is the server's clock.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }

    /// How many recovery codes are left. Tell the user when they become few.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// Which factors the account has, as a number: [`SecondFactor::generation`].
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Why an attempt failed. This is for the log: show the user one message, whatever the reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The guess budget is used up, and nothing was compared. A recovery code still works, and lifts it.
    Exhausted {
        /// When time alone gives one more attempt, in Unix seconds, if it will.
        retry_at: Option<u64>,
    },
    /// What was typed is no code of any kind: a typing mistake, not a guess. Nothing was charged.
    Malformed,
    /// The account has no second factor.
    NotEnrolled,
    /// The code was right and had been used. Charged like a wrong one.
    Replayed,
    /// Too soon after too many failures, and nothing was compared.
    Throttled {
        /// From when on a code is compared, in Unix seconds.
        retry_at: u64,
    },
    /// The code is wrong.
    WrongCode,
}

/// What proved the second factor. After [`RecoveryCode`](Self::RecoveryCode), have the user enroll a new authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// A code of a counter.
    Hotp,
    /// A recovery code.
    RecoveryCode,
    /// A code of a moment.
    Totp,
}

/// The answer to a resynchronization. [`Policy::with_resync_within`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resynchronization {
    /// The authenticator was found. Its next code will be accepted.
    Done {
        /// Which.
        authenticator: AuthenticatorId,
        /// How many steps it is ahead of the server's clock, or how many counters it was ahead.
        drift: i64,
    },
    /// Nothing was found, or the budget does not allow a try.
    Refused(Refusal),
}

/// The last counter that has a next one.
const LAST: u64 = u64::MAX - 1;
/// Steps: five minutes of the usual period.
pub(crate) const MAX_LEARNED: u64 = 10;
const _: () = assert!(MAX_LEARNED < MAX_DRIFT);
