//! Users of other systems, taken over with their authenticators.

mod crash;
mod kept;
mod rows;
mod several;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Adoption, Event, EventKind, Expectation, Flow, GuardError, GuardErrorKind, Login, OperatorId, Purpose,
    Refusal, SignInMethod,
};
use keyfob::store::{Accounts, MemoryStore, StoreError, Version};
use keyfob::{Algorithm, Digits, Guard, Hotp, KeyUri, Period, Policy, Secret, Verdict, Window};
use proptest::prelude::*;

use crate::guarded::{Answer, keyring};

/// When the users are taken over.
const NOW: u64 = 1_900_000_000;
const STEP: u64 = NOW / 30;

/// A guard with a clock that can be set, and with the events that it sent.
struct Site<S = MemoryStore> {
    guard: Guard<S>,
    clock: Arc<AtomicU64>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Site {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }
}

impl<S: Accounts> Site<S> {
    fn over(store: S) -> Self {
        let (clock, events) = (Arc::new(AtomicU64::new(NOW)), Arc::new(Mutex::<Vec<Event>>::default()));
        let (time, heard) = (clock.clone(), events.clone());
        let guard = Guard::new(store, keyring(), "Example Inc")
            .with_clock(move || Some(time.load(Ordering::SeqCst)))
            .with_events(move |event| heard.lock().unwrap().push(event.clone()));
        Self { guard, clock, events }
    }

    fn set(&self, now: u64) {
        self.clock.store(now, Ordering::SeqCst);
    }

    fn adopt(&self, adoptee: &Adoptee) -> Result<Adoption, GuardError> {
        block_on(self.guard.adopt(adoptee, &operator()))
    }

    fn adopt_batch(&self, adoptees: &[Adoptee]) -> Vec<Result<Adoption, GuardError>> {
        let answers = block_on(self.guard.adopt_batch(adoptees, &operator())).unwrap();
        assert_eq!(answers.len(), adoptees.len());
        answers
    }

    fn verify(&self, user: &str, typed: &str) -> Answer {
        block_on(self.guard.verify(user, typed)).unwrap().into()
    }

    fn stored(&self, user: &str) -> Option<(Version, Vec<u8>)> {
        let loaded = block_on(self.guard.store().load(user)).map_err(Into::<StoreError>::into);
        loaded.unwrap()
    }

    fn heard(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

fn operator() -> OperatorId {
    OperatorId::new("migration of 2026").unwrap()
}

fn secret(seed: u8) -> Secret {
    Secret::from_bytes(&[seed; 20]).unwrap()
}

/// A user with the usual settings.
fn adoptee(user: &str, seed: u8, last_used: Option<u64>) -> Adoptee {
    Adoptee {
        user: user.into(),
        uri: KeyUri::totp("Old", "label", &secret(seed)).unwrap(),
        last_used,
        name: String::new(),
    }
}

fn button(user: &str, seed: u8, counter: u64, last_used: Option<u64>) -> Adoptee {
    Adoptee {
        user: user.into(),
        uri: KeyUri::hotp("Old", "label", &secret(seed), counter).unwrap(),
        last_used,
        name: String::new(),
    }
}

fn code(seed: u8, step: u64) -> String {
    Hotp::new(&secret(seed)).code(step).to_string()
}

const REPLAYED: Answer = Answer::Refused(Refusal::Replayed);

fn adopted(answer: &Result<Adoption, GuardError>) -> bool {
    matches!(answer, Ok(Adoption::Adopted(_)))
}

#[test]
fn the_last_used_step_counts_as_used() {
    // The codes of the window, which are those of the steps before and after, by the last step that was used.
    for last_used in [STEP - 2, STEP - 1, STEP, STEP + 1] {
        for step in STEP - 1..=STEP + 1 {
            let site = Site::new();
            let al = adoptee("al", 1, Some(last_used));
            assert!(adopted(&site.adopt_batch(&[al])[0]));
            let expected = if step > last_used { Answer::Accepted } else { REPLAYED };
            assert_eq!(site.verify("al", &code(1, step)), expected, "step {step}, last used {last_used}");
        }
    }
    // The control: if nothing is said to be used, all three codes are good.
    for step in STEP - 1..=STEP + 1 {
        let site = Site::new();
        assert!(adopted(&site.adopt_batch(&[adoptee("al", 1, Some(0))])[0]));
        assert_eq!(site.verify("al", &code(1, step)), Answer::Accepted);
    }
}

#[test]
fn without_a_last_step_the_present_window_counts_as_used() {
    for (behind, ahead) in [(0, 0), (1, 0), (1, 1), (3, 2)] {
        let window = Window::new(behind, ahead).unwrap();
        let site = Site::new();
        let guard = Guard::new(MemoryStore::new(), keyring(), "Example Inc")
            .with_policy(Policy::default().with_window(window))
            .with_clock({
                let clock = site.clock.clone();
                move || Some(clock.load(Ordering::SeqCst))
            });
        let al = adoptee("al", 1, None);
        let answer = block_on(guard.adopt(&al, &operator()));
        assert!(adopted(&answer));
        let first = STEP + u64::from(ahead) + 1;
        let last = STEP - u64::from(behind);
        for step in last..first {
            let verdict = block_on(guard.verify("al", &code(1, step))).unwrap();
            assert!(matches!(verdict, Verdict::Refused(Refusal::Replayed)), "step {step}");
            block_on(guard.operator_unlock("al", &operator())).unwrap();
        }
        // The user waits until the app shows a code that was not yet good when the user was taken over.
        site.set(first * 30);
        let verdict = block_on(guard.verify("al", &code(1, first))).unwrap();
        assert!(matches!(verdict, Verdict::Accepted(_)), "step {first}");
    }
}

#[test]
fn with_the_default_policy_the_user_waits_a_minute_at_most() {
    let site = Site::new();
    assert!(adopted(&site.adopt(&adoptee("al", 1, None))));
    site.set(NOW + 60);
    assert_eq!(site.verify("al", &code(1, STEP + 2)), Answer::Accepted);
}

#[test]
fn the_counter_is_the_next_one() {
    // The counter in the URI, the last one that was used, and the next one to accept.
    for (counter, last_used, next) in
        [(0, None, 0u64), (5, None, 5), (5, Some(2), 5), (5, Some(4), 5), (5, Some(7), 8), (0, Some(0), 1)]
    {
        for typed in next.saturating_sub(2)..next + 3 {
            let site = Site::new();
            assert!(adopted(&site.adopt_batch(&[button("al", 2, counter, last_used)])[0]));
            let answer = site.verify("al", &code(2, typed));
            assert_eq!(answer == Answer::Accepted, typed >= next, "{counter} {last_used:?}: {typed} {answer:?}");
        }
    }
}

/// Every adopted record can be read, and answers to the codes of the old app.
#[test]
fn whatever_is_adopted_can_be_used() {
    let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let digits = [Digits::Six, Digits::Seven, Digits::Eight];
    let strategy = (
        prop::collection::vec(any::<u8>(), 10..80),
        prop::sample::select(algorithms.to_vec()),
        prop::sample::select(digits.to_vec()),
        prop_oneof![Just(None), prop::sample::select(vec![1u32, 15, 30, 60, 300]).prop_map(Some)],
        prop_oneof![Just(None), (0u64..200).prop_map(Some), any::<u64>().prop_map(Some), Just(Some(u64::MAX))],
        prop_oneof![0u64..100, any::<u64>()],
    );
    proptest!(ProptestConfig::with_cases(300), |((bytes, algorithm, digits, period, last_used, counter) in strategy)| {
        let secret = Secret::from_bytes(&bytes).unwrap();
        let uri = match period {
            Some(period) => {
                let period = Period::new(period).unwrap();
                KeyUri::totp("Old", "al", &secret).unwrap().with_period(period).unwrap()
            }
            None => KeyUri::hotp("Old", "al", &secret, counter).unwrap(),
        };
        let uri = uri.with_algorithm(algorithm).with_digits(digits);
        let al = Adoptee { user: "al".into(), uri, last_used, name: String::new() };
        let site = Site::new();
        if site.adopt_batch(std::slice::from_ref(&al))[0].is_err() {
            prop_assert!(period.is_some() && site.stored("al").is_none());
            return Ok(());
        }
        let status = block_on(site.guard.status("al")).unwrap();
        prop_assert!(status.is_active() && !status.has_recovery_codes());
        let adopted = &status.authenticators()[0];
        prop_assert_eq!((adopted.algorithm(), adopted.digits()), (algorithm, digits));
        let app = Hotp::with_algorithm(&secret, algorithm).with_digits(digits);
        let next = match period {
            Some(period) => {
                let period = u64::from(period);
                let next = last_used.map_or(NOW / period + 2, |last| (last + 1).max(NOW / period));
                site.set(next * period);
                next
            }
            None => last_used.map_or(0, |last| last.saturating_add(1)).max(counter),
        };
        // The last counter cannot be used, because none comes after it.
        if next < u64::MAX {
            prop_assert_eq!(site.verify("al", &app.code(next).to_string()), Answer::Accepted);
            prop_assert_ne!(site.verify("al", &app.code(next).to_string()), Answer::Accepted);
        }
    });
}

/// The user goes through the next login as before, and gets recovery codes then.
#[test]
fn a_user_logs_in_and_gets_recovery_codes() {
    let site = Site::new();
    assert!(adopted(&site.adopt_batch(&[adoptee("al", 1, Some(STEP))])[0]));
    site.set(NOW + 30);
    let Login::Challenge(challenge) = block_on(site.guard.begin_login("al", Expectation::Enrolled, None)).unwrap()
    else {
        panic!("no code is due")
    };
    let answer = block_on(site.guard.answer(&challenge, &code(1, STEP + 1))).unwrap();
    let keyfob::guard::Answer::Accepted(sign_in) = answer else { panic!("{answer:?}") };
    assert_eq!(sign_in.method(), SignInMethod::Code(keyfob::guard::Method::Totp));
    let proof = site.guard.prove(sign_in.accepted().unwrap(), &Purpose::REGENERATE);
    assert!(!block_on(site.guard.status("al")).unwrap().has_recovery_codes());
    let codes = block_on(site.guard.regenerate_recovery_codes("al", &proof)).unwrap();
    assert!(block_on(site.guard.status("al")).unwrap().has_recovery_codes());
    assert_eq!(site.verify("al", codes.iter().next().unwrap()), Answer::Accepted);
}

#[test]
fn each_reject_says_why_and_affects_nobody_else() {
    let long = "x".repeat(256);
    let steam = Adoptee {
        user: "steam".into(),
        uri: KeyUri::steam("Steam", "al", &secret(1)).unwrap(),
        last_used: None,
        name: String::new(),
    };
    let reach = 120;
    let rejects = [
        (steam, GuardErrorKind::Invalid, "steam"),
        (adoptee("seconds", 1, Some(NOW)), GuardErrorKind::Invalid, "a step, not a time in seconds"),
        (adoptee("milliseconds", 1, Some(1000 * NOW)), GuardErrorKind::Invalid, "a step, not a time in seconds"),
        (adoptee("future", 1, Some(STEP + reach)), GuardErrorKind::Invalid, "a step, not a time in seconds"),
        (adoptee("", 1, None), GuardErrorKind::User, "1 to 255 bytes"),
        (adoptee("x", 1, None), GuardErrorKind::User, "1 to 255 bytes"),
        (adoptee("new\nline", 1, None), GuardErrorKind::User, "1 to 255 bytes"),
    ];
    let rejects = rejects.map(|(mut adoptee, kind, message)| {
        if adoptee.user == "x" {
            adoptee.user.clone_from(&long);
        }
        (adoptee, kind, message)
    });
    let mut all = Vec::new();
    for (number, (reject, ..)) in rejects.iter().enumerate() {
        all.push(adoptee(&format!("good-{number}"), 1, Some(STEP + reach - 1)));
        all.push(reject.clone());
    }
    let site = Site::new();
    let answers = site.adopt_batch(&all);
    let mut messages = Vec::new();
    for (pair, (reject, kind, message)) in answers.chunks(2).zip(&rejects) {
        let [good, bad] = pair else { panic!() };
        assert!(adopted(good));
        let error = bad.as_ref().unwrap_err();
        assert_eq!(error.kind(), *kind, "{}", reject.user);
        assert!(error.to_string().to_lowercase().contains(message), "{}: {error}", reject.user);
        messages.push(error.to_string());
        // One at a time, they are refused for the same reason.
        assert_eq!(site.adopt(reject).unwrap_err().to_string(), error.to_string());
    }
    let names = block_on(site.guard.store().accounts("", 100)).unwrap();
    assert_eq!(names, (0..rejects.len()).map(|number| format!("good-{number}")).collect::<Vec<_>>());
    // The message must not hold the secret of the row.
    assert!(!messages.join("").contains(&**secret(1).expose_base32()));
}

#[test]
fn every_event_names_the_operator() {
    let site = Site::new();
    let setup = keyfob::guard::Setup::totp("bo");
    let waiting = block_on(site.guard.enroll("bo", &setup)).unwrap();
    assert!(adopted(&site.adopt(&adoptee("cy", 3, None))));
    assert_eq!(site.heard().iter().filter(|event| event.operator() == Some(&operator())).count(), 1);

    let all = [
        adoptee("al", 1, None),
        adoptee("bo", 2, None), // has an enrollment
        adoptee("cy", 3, None), // is kept
        adoptee("", 4, None),   // is refused
        adoptee("al", 5, None), // a second one
        adoptee("al", 5, None), // the same once more
    ];
    let answers = site.adopt_batch(&all);
    let heard = site.heard();
    assert!(heard.iter().all(|event| event.operator() == Some(&operator()) && event.at() == NOW));
    let id = |row: usize| match answers[row].as_ref() {
        Ok(Adoption::Adopted(id)) => id.clone(),
        other => panic!("{other:?}"),
    };
    let adopted = |row| EventKind::Adopted { authenticator: id(row) };
    let failed = |kind| EventKind::Failed { flow: Flow::Adopt, kind };
    assert!(matches!(answers[2], Ok(Adoption::Kept)));
    // User by user, and nothing for the one who is kept.
    let kinds: Vec<_> = heard.iter().map(|event| (event.user(), event.kind().clone())).collect();
    let expected = [
        ("", failed(GuardErrorKind::User)),
        ("al", adopted(0)),
        ("al", adopted(4)),
        ("al", failed(GuardErrorKind::SecretInUse)),
        ("bo", adopted(1)),
        ("bo", EventKind::EnrollmentCanceled { authenticator: waiting.authenticator().clone() }),
    ];
    assert_eq!(kinds, expected);
    assert!(heard[0].to_string().contains("operator=\"migration of 2026\""));
}

/// An application that still reads its old column for users without a second factor in keyfob.
#[test]
fn a_column_that_is_not_emptied_brings_a_disabled_factor_back() {
    for is_emptied in [true, false] {
        let site = Site::new();
        let mut column = Some(secret(1));
        let old = adoptee("al", 1, Some(STEP));
        assert!(adopted(&site.adopt_batch(std::slice::from_ref(&old))[0]));
        if is_emptied {
            column = None;
        }
        let due = || {
            let active = block_on(site.guard.status("al")).unwrap().is_active();
            active || column.is_some()
        };
        assert!(due());

        site.set(NOW + 30);
        let verdict = block_on(site.guard.verify("al", &code(1, STEP + 1))).unwrap();
        let Verdict::Accepted(accepted) = verdict else { panic!("{verdict:?}") };
        let proof = site.guard.prove(&accepted, &Purpose::DISABLE);
        let _ = block_on(site.guard.disable("al", &proof)).unwrap();
        assert_eq!(due(), !is_emptied, "the factor is asked for after its owner disabled it");

        // keyfob itself does not bring it back, even if the program runs again over the old rows.
        let again = site.adopt_batch(std::slice::from_ref(&old));
        assert!(matches!(again[0], Ok(Adoption::Kept)));
        assert!(matches!(site.adopt(&old), Ok(Adoption::Kept)));
        assert!(!block_on(site.guard.status("al")).unwrap().is_active());
        // The control: without the trace of the removal, it does.
        block_on(site.guard.erase("al")).unwrap();
        assert!(adopted(&site.adopt_batch(&[old])[0]));
    }
}
