//! Calls the guard and translates its answers into the types of the oracle.

use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keyfob::guard::{
    Accepted, Adoption, AuthenticatorId, Challenge, Confirmation, DeviceId, DeviceToken, Enrollment, EnrollmentHandle,
    EnrollmentTicket, Event, Expectation, GuardError, GuardErrorKind, Login, Proof, Randomness, Resynchronization,
    Setup, SignInMethod, Voucher,
};
use keyfob::{Algorithm, Digits, Guard, Hotp, KeyUri, Keyring, Period, Policy, Secret, Verdict};

use super::checker::{Call, Kept, Seen};
use super::oracle::{Adoptee, Answer, Notices, Op, Phone};
use super::store::{Broken, Faulty, lock};
use crate::Random;

pub type Shared = Guard<Arc<Faulty>>;

/// The source of randomness. It remembers the last secret of an authenticator, so that the oracle knows the secret even
/// if the answer with it was lost.
pub struct Source {
    random: Random,
    secret: [u8; SECRET],
    /// The number of names that were given to authenticators.
    names: u64,
}

/// The length of a secret that the guard makes. It draws nothing else of this length.
const SECRET: usize = 20;

/// What makes the calls, and what it told others than the caller.
#[derive(Clone)]
pub struct Server {
    pub guard: Arc<Shared>,
    source: Arc<Mutex<Source>>,
    pub heard: Arc<Mutex<Vec<Event>>>,
}

impl Server {
    pub fn new(store: &Arc<Faulty>, clock: &Arc<Mutex<Option<u64>>>, seed: u64, policy: &Policy) -> Self {
        let source = Arc::new(Mutex::new(Source { random: Random(seed), secret: [0; SECRET], names: 0 }));
        let (time, drawn, heard) = (clock.clone(), source.clone(), Arc::new(Mutex::new(Vec::new())));
        let randomness = Randomness::new(move |buffer| {
            let mut source = lock(&drawn);
            buffer.iter_mut().for_each(|byte| *byte = source.random.next().to_le_bytes()[0]);
            if let Ok(secret) = <[u8; SECRET]>::try_from(&*buffer) {
                source.secret = secret;
            }
            Ok::<(), ()>(())
        });
        let told = heard.clone();
        let guard = Guard::new(store.clone(), keyring(0), "Example").with_policy(policy.clone());
        let guard = guard.with_events(move |event| lock(&told).push(event.clone()));
        let guard = Arc::new(guard.with_randomness(randomness).with_clock(move || *lock(&time)));
        Self { guard, source, heard }
    }
}

/// The keys up to the primary one.
pub fn keyring(primary: usize) -> Keyring {
    let entry = |id: usize| format!("k{id}:{}", *keyfob::base32::encode(&[id as u8 + 1; 32]));
    Keyring::parse(&(0..=primary).rev().map(entry).collect::<Vec<_>>().join(",")).unwrap()
}

/// One of the secrets of other systems.
fn foreign(index: usize, kind: u64, weak: bool) -> Secret {
    let bytes = [index as u64, kind, 2, 3].map(u64::to_be_bytes).concat();
    Secret::from_bytes(if weak { &bytes[..10] } else { &bytes }).unwrap()
}

/// An authenticator of another system, each with a secret of its own.
fn imported(hotp: bool, weak: bool, index: usize) -> KeyUri {
    let secret = foreign(index, 1, weak);
    let uri = match hotp {
        true => KeyUri::hotp("Example", "al", &secret, 0).unwrap(),
        false => KeyUri::totp("Example", "al", &secret).unwrap().with_period(Period::new(60).unwrap()).unwrap(),
    };
    uri.with_algorithm(Algorithm::Sha256).with_digits(Digits::Eight)
}

/// An authenticator that is adopted, except for its id.
pub fn adopted(adoptee: &Adoptee) -> (KeyUri, Phone) {
    let secret = foreign(adoptee.secret, 0x0a00_0000_0000_0000, adoptee.weak);
    let uri = match adoptee.hotp {
        true => KeyUri::hotp("Old", "al", &secret, 0).unwrap(),
        false => KeyUri::totp("Old", "al", &secret).unwrap(),
    };
    let counter = adoptee.last_used.map_or(0, |last| last.saturating_add(1));
    let phone = Phone { counter, ..phone(&uri, AuthenticatorId::new("lost").unwrap()) };
    (uri, phone)
}

/// The authenticator that an enrollment began whose answer was lost, and whose id is this one.
pub fn lost(op: &Op, id: AuthenticatorId, index: usize, secret: &[u8]) -> Phone {
    let Op::Enroll { hotp, odd, weak, .. } = *op else { unreachable!("another call") };
    let secret = Secret::from_bytes(secret).unwrap();
    let uri = match (odd, hotp) {
        (true, _) => imported(hotp, weak, index),
        (_, true) => KeyUri::hotp("Example", "al", &secret, 0).unwrap(),
        _ => KeyUri::totp("Example", "al", &secret).unwrap(),
    };
    Phone { shown: odd, ..phone(&uri, id) }
}

fn phone(uri: &KeyUri, id: AuthenticatorId) -> Phone {
    let hotp = Hotp::with_algorithm(uri.secret(), uri.algorithm()).with_digits(uri.digits());
    let period = uri.period().map(|period| period.seconds().into());
    Phone { id, hotp, shown: true, period, counter: 0, ahead: 0 }
}

fn shown(enrollment: &Enrollment) -> Phone {
    phone(enrollment.uri(), enrollment.authenticator().clone())
}

/// Makes a call, and translates the answer into the types of the oracle.
pub fn run(Server { guard, source, heard }: &Server, name: &str, ids: &[AuthenticatorId], call: &Call) -> Seen {
    let mut seen = Seen {
        outcome: Ok(Answer::Done),
        dropped: false,
        phone: None,
        adopted: Vec::new(),
        secret: Vec::new(),
        codes: None,
        kept: None,
        proof: None,
        token: None,
        session: None,
        notices: Vec::new(),
        events: Vec::new(),
    };
    // Another request may run in the middle of this one.
    let before = std::mem::take(&mut *lock(heard));
    let nobody = || AuthenticatorId::new("nobody").unwrap();
    let id = |phone: usize| ids.get(phone).cloned().unwrap_or_else(nobody);
    let index = |id: &AuthenticatorId| ids.iter().position(|other| other == id).unwrap();
    let proof = call.with.proof.as_ref();
    let proved = proof.unwrap_or(&NOBODYS);
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
        Op::Enroll { replaces, hotp, odd, weak, ticket: with, .. } => {
            let setup = match (odd, hotp) {
                (true, _) => Setup::import(&imported(*hotp, *weak, ids.len())).unwrap(),
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
                seen.phone = Some(shown(&enrollment));
                seen.token = Some(enrollment.handle().token());
                Answer::Enrolled
            })
        }
        Op::Reopen(_) => {
            let handle = EnrollmentHandle::from_token(token()).unwrap();
            now(guard.reopen_enrollment(&handle, "al@example.com")).map(|enrollment| {
                let phone = shown(&enrollment);
                let index = ids.iter().position(|id| *id == phone.id).unwrap_or(usize::MAX);
                seen.phone = Some(phone);
                Answer::Shown { phone: index }
            })
        }
        Op::Cancel => now(guard.cancel_enrollment(name)).map(done),
        Op::Adopt(adoptees) => {
            let adoptee = |adoptee: &Adoptee| keyfob::guard::Adoptee {
                user: name.into(),
                uri: adopted(adoptee).0,
                last_used: adoptee.last_used,
                name: String::new(),
            };
            let rows: Vec<_> = adoptees.iter().map(adoptee).collect();
            let adopted = async {
                match &rows[..] {
                    [row] => match guard.adopt(row, &crate::operator()).await {
                        Err(error) if !is_of_a_row(error.kind()) => Err(error),
                        answer => Ok(vec![answer]),
                    },
                    rows => guard.adopt_batch(rows, &crate::operator()).await,
                }
            };
            now(adopted).and_then(|answers| {
                let mut rows = Vec::new();
                for answer in answers {
                    rows.push(match answer {
                        Ok(Adoption::Adopted(id)) => {
                            seen.adopted.push(id);
                            Ok(true)
                        }
                        Ok(Adoption::Kept) => Ok(false),
                        Err(error) if is_of_a_row(error.kind()) => Err(error.kind()),
                        Err(error) => return Err(Unanswered::Failed(error.kind())),
                    });
                }
                Ok(Answer::Adopted(rows))
            })
        }
        Op::Vouch => now(guard.operator_vouch(name, &crate::operator())).map(|voucher| {
            seen.token = Some(voucher.token());
            Answer::Vouched
        }),
        Op::Redeem(_) => now(guard.redeem(&Voucher::from_token(token()).unwrap())).map(|proof| {
            seen.proof = Some(proof);
            Answer::Redeemed
        }),
        Op::ReplaceCode(_) => {
            let accepted = call.with.kept.as_ref().unwrap().accepted();
            now(guard.replace_recovery_code(accepted)).map(|codes| {
                let replaced = codes.is_some();
                if let Some(codes) = codes {
                    seen.codes = Some(codes.iter().map(Into::into).collect());
                    seen.session = Some(codes.generation());
                }
                Answer::Replaced(replaced)
            })
        }
        Op::Acknowledge(notice) => now(guard.acknowledge(name, *notice)).map(done),
        Op::Regenerate(_) => now(guard.regenerate_recovery_codes(name, proved)).map(|codes| {
            seen.codes = Some(codes.iter().map(Into::into).collect());
            seen.session = Some(codes.generation());
            Answer::Done
        }),
        Op::Status => now(guard.status(name)).map(|status| {
            let mut notices = Notices::default();
            for notice in status.notices() {
                *notices.of(notice.kind()) = notice.at();
                seen.notices.push(*notice);
            }
            Answer::Status {
                failures: status.consecutive_failures(),
                left: status.recovery_codes_left().into(),
                active: status.authenticators().len(),
                exhausted: status.is_exhausted(),
                retry_at: status.retry_at(),
                devices: status.devices().len(),
                suspended: status.is_suspended(),
                notices: notices.0,
            }
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
            let mut source = lock(source);
            source.names += 1;
            let new = format!("phone {}", source.names);
            drop(source);
            now(guard.rename(name, &id(*phone), &new, proved)).map(done)
        }
        Op::Fence(true) => now(guard.operator_invalidate_codes(name, &crate::operator())).map(drop).map(done),
        Op::Fence(false) => now(guard.operator_invalidate_recent_codes(name, &crate::operator())).map(drop).map(done),
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
    seen.secret = lock(source).secret.into();
    seen.events = std::mem::replace(&mut *lock(heard), before);
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

/// Whether an error says that one authenticator cannot be adopted.
fn is_of_a_row(kind: GuardErrorKind) -> bool {
    matches!(kind, GuardErrorKind::Invalid | GuardErrorKind::SecretInUse | GuardErrorKind::TooManyAuthenticators)
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

/// A proof that no account has made.
static NOBODYS: LazyLock<Proof> =
    LazyLock::new(|| Proof::from_token(&format!("add~1.1~1~1~k0~{}", *keyfob::base32::encode(&[0; 32]))).unwrap());
