//! Calls the guard and translates its answers into the types of the oracle.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keyfob::guard::{
    Accepted, AuthenticatorId, Challenge, Confirmation, DeviceId, DeviceToken, EnrollmentTicket, EventKind,
    Expectation, GuardError, GuardErrorKind, Login, Proof, Randomness, Resynchronization, Setup, SignInMethod,
};
use keyfob::{Algorithm, Digits, Guard, Hotp, KeyUri, Keyring, Period, Policy, Secret, Verdict};

use super::checker::{Call, Kept, Seen};
use super::oracle::{Answer, Op, Phone};
use super::store::{Broken, Faulty, lock};
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
pub fn run(guard: &Shared, name: &str, ids: &[AuthenticatorId], call: &Call) -> Seen {
    let mut seen = Seen {
        outcome: Ok(Answer::Done),
        dropped: false,
        phone: None,
        codes: None,
        kept: None,
        token: None,
        session: None,
    };
    let nobody = || AuthenticatorId::new("nobody").unwrap();
    let id = |phone: usize| ids.get(phone).cloned().unwrap_or_else(nobody);
    let index = |id: &AuthenticatorId| ids.iter().position(|other| other == id).unwrap();
    // A proof that no account has made.
    let none = Proof::from_token(&format!("add~1.1~1~1~k0~{}", *keyfob::base32::encode(&[0; 32]))).unwrap();
    let proof = call.with.proof.as_ref();
    let proved = proof.unwrap_or(&none);
    let token = || call.with.token.as_deref().unwrap();
    let ticket = || EnrollmentTicket::from_token(token()).unwrap();
    let done = |()| Answer::Done;
    let outcome = match &call.op {
        Op::Verify(_) => now(guard.verify(name, &call.typed[0])).map(|verdict| match verdict {
            Verdict::Refused(refused) => Answer::Refused(refused),
            Verdict::Accepted(accepted) => {
                let answer = accepted_by(ids, &accepted);
                seen.session = Some(accepted.generation());
                seen.kept = Some(Kept::Verdict(accepted));
                answer
            }
        }),
        Op::Answer(..) => {
            let challenge = Challenge::from_token(token()).unwrap();
            now(guard.answer(&challenge, &call.typed[0])).map(|answer| match answer {
                keyfob::guard::Answer::Refused(refused) => Answer::Refused(refused),
                keyfob::guard::Answer::Accepted(sign_in) => {
                    let accepted = sign_in.accepted().unwrap();
                    let answer = accepted_by(ids, accepted);
                    assert_eq!((sign_in.user(), sign_in.generation()), (name, accepted.generation()));
                    assert_eq!(sign_in.method(), SignInMethod::Code(accepted.method()));
                    seen.session = Some(sign_in.generation());
                    seen.kept = Some(Kept::SignIn(sign_in));
                    answer
                }
            })
        }
        Op::BeginLogin { expectation, .. } => {
            let expectation = match guard.store().broken {
                Some(Broken::Careless) => Expectation::Optional,
                _ => *expectation,
            };
            let device = call.with.token.as_ref().map(|token| DeviceToken::from_token(token).unwrap());
            now(guard.begin_login(name, expectation, device.as_ref())).map(|login| match login {
                Login::Challenge(challenge) => {
                    seen.token = Some(challenge.token());
                    Answer::Challenge
                }
                Login::Complete(sign_in) => {
                    assert!(sign_in.accepted().is_none() && sign_in.amr().is_empty());
                    seen.session = Some(sign_in.generation());
                    Answer::SignedIn(sign_in.method())
                }
                Login::MustEnroll(ticket) => {
                    seen.token = Some(ticket.token());
                    Answer::MustEnroll
                }
            })
        }
        Op::AddDevice(_, lifetime) => {
            let accepted = call.with.kept.as_ref().unwrap().accepted();
            let added = async {
                match lifetime {
                    Some(lifetime) => guard.trust_device(accepted, "", Duration::from_secs(*lifetime)).await,
                    None => guard.remember_device(accepted, "").await,
                }
            };
            now(added).map(|device| {
                seen.token = Some(device.token().to_string());
                Answer::Added { trusted: lifetime.is_some() }
            })
        }
        Op::ForgetDevice(_) => now(guard.forget_device(name, &DeviceId::new(token()).unwrap())).map(done),
        Op::ForgetDevices => now(guard.forget_devices(name)).map(|generation| {
            seen.session = Some(generation);
            Answer::Done
        }),
        Op::IsCurrent(_) => now(guard.is_current(name, call.with.session.unwrap())).map(Answer::Current),
        Op::Resync(..) => now(guard.resync(name, &call.typed[0], &call.typed[1])).map(|answer| match answer {
            Resynchronization::Done { authenticator, drift } => {
                Answer::Resynchronized { phone: index(&authenticator), drift }
            }
            Resynchronization::Refused(refused) => Answer::Refused(refused),
        }),
        Op::Confirm(_, with) => {
            let confirmed = async {
                match with {
                    Some(_) => guard.confirm_with_ticket(&ticket(), &call.typed[0]).await,
                    None => guard.confirm(name, &call.typed[0]).await,
                }
            };
            now(confirmed).map(|answer| match answer {
                Confirmation::Confirmed(confirmed) => {
                    let told = confirmed.recovery_codes();
                    let answer = Answer::Confirmed { recovery_codes: told.is_some() };
                    seen.codes = told.map(|codes| codes.iter().map(Into::into).collect());
                    seen.session = Some(confirmed.generation());
                    seen.kept = confirmed.into_sign_in().map(Kept::SignIn);
                    assert_eq!(seen.kept.is_some(), with.is_some());
                    answer
                }
                Confirmation::Refused { refusal, .. } => Answer::Refused(refusal),
            })
        }
        Op::Enroll { replaces, hotp, odd, ticket: with, .. } => {
            let setup = match (odd, hotp) {
                (true, _) => Setup::import(&imported(*hotp, ids.len())).unwrap(),
                (_, true) => Setup::hotp("al@example.com"),
                _ => Setup::totp("al@example.com"),
            };
            let setup = replaces.map_or(setup.clone(), |phone| setup.replacing(id(phone)));
            let begun = async {
                match (with, proof) {
                    (Some(_), _) => guard.enroll_with_ticket(&ticket(), &setup).await,
                    (None, Some(proof)) => guard.enroll_another(name, &setup, proof).await,
                    (None, None) => guard.enroll(name, &setup).await,
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
            seen.session = Some(codes.generation());
            Answer::Done
        }),
        Op::Status => now(guard.status(name)).map(|status| Answer::Status {
            failures: status.consecutive_failures(),
            left: status.recovery_codes_left().into(),
            active: status.authenticators().len(),
            exhausted: status.is_exhausted(),
            retry_at: status.retry_at(),
            devices: status.devices().len(),
            suspended: status.is_suspended(),
        }),
        Op::Reseal => now(guard.reseal(name)).map(Answer::Resealed),
        Op::Disable(_) => now(guard.disable(name, proved)).map(|generation| {
            seen.session = Some(generation);
            Answer::Done
        }),
        Op::Revoke(phone, _) => now(guard.revoke(name, &id(*phone), proved)).map(|generation| {
            seen.session = Some(generation);
            Answer::Done
        }),
        Op::Rename(phone, _) => {
            // A new name each time, because an unchanged name would write nothing.
            let new = format!("phone {}", NAMES.fetch_add(1, Ordering::Relaxed));
            now(guard.rename(name, &id(*phone), &new, proved)).map(done)
        }
        Op::Fence(true) => now(guard.operator_invalidate_codes(name, &crate::operator())).map(done),
        Op::Fence(false) => now(guard.operator_invalidate_recent_codes(name, &crate::operator())).map(done),
        Op::Lift => now(guard.operator_unlock(name, &crate::operator())).map(done),
        Op::Remove => now(guard.operator_remove(name, &crate::operator())).map(done),
        Op::Resume => now(guard.operator_resume(name, &crate::operator())).map(done),
        Op::Suspend => now(guard.operator_suspend(name, &crate::operator())).map(done),
        Op::Erase => now(guard.erase(name)).map(done),
    };
    match outcome {
        Ok(answer) => seen.outcome = Ok(answer),
        Err(Unanswered::Failed(kind)) => seen.outcome = Err(kind),
        // As after an error of the store, the caller cannot know whether the record changed.
        Err(Unanswered::Dropped) => (seen.outcome, seen.dropped) = (Err(GuardErrorKind::Store), true),
    }
    seen
}

fn accepted_by(ids: &[AuthenticatorId], accepted: &Accepted) -> Answer {
    let left = accepted.recovery_codes_left().into();
    match accepted.authenticator() {
        Some(id) => {
            let phone = ids.iter().position(|other| other == id).unwrap();
            Answer::Accepted { phone, drift: accepted.drift(), left }
        }
        None => Answer::Recovered { left },
    }
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
