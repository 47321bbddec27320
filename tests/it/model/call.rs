//! Calls the guard and translates its answers into the types of the oracle.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use keyfob::guard::{
    AuthenticatorId, Confirmation, EventKind, GuardError, GuardErrorKind, Proof, Randomness, Resynchronization, Setup,
};
use keyfob::{Algorithm, Digits, Guard, Hotp, KeyUri, Keyring, Period, Policy, Secret, Verdict};

use super::checker::{Call, Seen};
use super::oracle::{Answer, Op, Phone};
use super::store::{Faulty, lock};
use crate::Random;

pub type Shared = Guard<Arc<Faulty>>;

/// The events that a guard reported.
pub type Heard = Arc<Mutex<Vec<EventKind>>>;

pub fn guard(
    store: &Arc<Faulty>,
    clock: &Arc<Mutex<Option<u64>>>,
    randomness: &Arc<Mutex<Random>>,
    heard: &Heard,
    policy: &Policy,
    primary: usize,
) -> Arc<Shared> {
    let entry = |id: usize| format!("k{id}:{}", *keyfob::base32::encode(&[id as u8 + 1; 32]));
    let keyring = Keyring::parse(&(0..=primary).rev().map(entry).collect::<Vec<_>>().join(",")).unwrap();
    let (time, random) = (clock.clone(), randomness.clone());
    let randomness = Randomness::new(move |buffer| {
        let mut random = lock(&random);
        buffer.iter_mut().for_each(|byte| *byte = random.next().to_le_bytes()[0]);
        Ok::<(), ()>(())
    });
    let guard = Guard::new(store.clone(), keyring, "Example").with_policy(policy.clone());
    let heard = heard.clone();
    let guard = guard.with_events(move |event| lock(&heard).push(event.kind().clone()));
    Arc::new(guard.with_randomness(randomness).with_clock(move || *lock(&time)))
}

/// An authenticator of another system, each with a secret of its own.
fn imported(hotp: bool, index: usize) -> KeyUri {
    let secret = Secret::from_bytes(&[index as u64, 1, 2, 3].map(u64::to_be_bytes).concat()).unwrap();
    let uri = match hotp {
        true => KeyUri::hotp("Example", "al", &secret, 0).unwrap(),
        false => KeyUri::totp("Example", "al", &secret).unwrap().with_period(Period::new(60).unwrap()).unwrap(),
    };
    uri.with_algorithm(Algorithm::Sha256).with_digits(Digits::Eight)
}

/// Makes a call, and translates the answer into the types of the oracle.
pub fn run(guard: &Shared, name: &str, ids: &[AuthenticatorId], call: &Call, proof: Option<&Proof>) -> Seen {
    let mut seen = Seen { outcome: Ok(Answer::Done), dropped: false, phone: None, codes: None, accepted: None };
    let nobody = || AuthenticatorId::new("nobody").unwrap();
    let id = |phone: usize| ids.get(phone).cloned().unwrap_or_else(nobody);
    let index = |id: &AuthenticatorId| ids.iter().position(|other| other == id).unwrap();
    // A proof that no account has made.
    let none = Proof::from_token(&format!("add~1~1~1~k0~{}", *keyfob::base32::encode(&[0; 32]))).unwrap();
    let proved = proof.unwrap_or(&none);
    let done = |()| Answer::Done;
    let outcome = match &call.op {
        Op::Verify(_) => now(guard.verify(name, &call.typed[0])).map(|verdict| match verdict {
            Verdict::Refused(refused) => Answer::Refused(refused),
            Verdict::Accepted(accepted) => {
                let left = accepted.recovery_codes_left().into();
                let answer = match accepted.authenticator() {
                    Some(id) => Answer::Accepted { phone: index(id), drift: accepted.drift(), left },
                    None => Answer::Recovered { left },
                };
                seen.accepted = Some(accepted);
                answer
            }
        }),
        Op::Resync(..) => now(guard.resync(name, &call.typed[0], &call.typed[1])).map(|answer| match answer {
            Resynchronization::Done { authenticator, drift } => {
                Answer::Resynchronized { phone: index(&authenticator), drift }
            }
            Resynchronization::Refused(refused) => Answer::Refused(refused),
        }),
        Op::Confirm(_) => now(guard.confirm(name, &call.typed[0])).map(|answer| match answer {
            Confirmation::Confirmed(confirmed) => {
                let told = confirmed.recovery_codes();
                seen.codes = told.map(|codes| codes.iter().map(Into::into).collect());
                Answer::Confirmed { recovery_codes: told.is_some() }
            }
            Confirmation::Refused { refusal, .. } => Answer::Refused(refusal),
        }),
        Op::Enroll { replaces, hotp, odd, .. } => {
            let setup = match (odd, hotp) {
                (true, _) => Setup::import(&imported(*hotp, ids.len())).unwrap(),
                (_, true) => Setup::hotp("al@example.com"),
                _ => Setup::totp("al@example.com"),
            };
            let setup = replaces.map_or(setup.clone(), |phone| setup.replacing(id(phone)));
            let begun = async {
                match proof {
                    Some(proof) => guard.enroll_another(name, &setup, proof).await,
                    None => guard.enroll(name, &setup).await,
                }
            };
            now(begun).map(|enrollment| {
                let uri = enrollment.uri();
                let hotp = Hotp::with_algorithm(uri.secret(), uri.algorithm()).with_digits(uri.digits());
                let hotp = Some(hotp);
                let period = uri.period().map(|period| period.seconds().into());
                let id = enrollment.authenticator().clone();
                seen.phone = Some(Phone { id, hotp, period, counter: 0, ahead: 0 });
                Answer::Enrolled
            })
        }
        Op::Regenerate(_) => now(guard.regenerate_recovery_codes(name, proved)).map(|codes| {
            seen.codes = Some(codes.iter().map(Into::into).collect());
            Answer::Done
        }),
        Op::Status => now(guard.status(name)).map(|status| Answer::Status {
            failures: status.consecutive_failures(),
            left: status.recovery_codes_left().into(),
            active: status.authenticators().len(),
            exhausted: status.is_exhausted(),
            retry_at: status.retry_at(),
        }),
        Op::Reseal => now(guard.reseal(name)).map(Answer::Resealed),
        Op::Disable(_) => now(guard.disable(name, proved)).map(done),
        Op::Revoke(phone, _) => now(guard.revoke(name, &id(*phone), proved)).map(done),
        Op::Rename(phone, _) => {
            // A new name each time, because an unchanged name would write nothing.
            let new = format!("phone {}", NAMES.fetch_add(1, Ordering::Relaxed));
            now(guard.rename(name, &id(*phone), &new, proved)).map(done)
        }
        Op::Fence(true) => now(guard.operator_invalidate_codes(name)).map(done),
        Op::Fence(false) => now(guard.operator_invalidate_recent_codes(name)).map(done),
        Op::Lift => now(guard.operator_unlock(name)).map(done),
        Op::Remove => now(guard.operator_remove(name)).map(done),
    };
    match outcome {
        Ok(answer) => seen.outcome = Ok(answer),
        Err(Unanswered::Failed(kind)) => seen.outcome = Err(kind),
        // As after an error of the store, the caller cannot know whether the record changed.
        Err(Unanswered::Dropped) => (seen.outcome, seen.dropped) = (Err(GuardErrorKind::Store), true),
    }
    seen
}

enum Unanswered {
    Dropped,
    Failed(GuardErrorKind),
}

/// The store answers immediately or never. If never, the caller gives up and drops the request.
fn now<T>(request: impl Future<Output = Result<T, GuardError>>) -> Result<T, Unanswered> {
    match pin!(request).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.map_err(|error| Unanswered::Failed(error.kind())),
        Poll::Pending => Err(Unanswered::Dropped),
    }
}

static NAMES: AtomicU64 = AtomicU64::new(0);
