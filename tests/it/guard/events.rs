//! Each event says what happened, and nothing else is said: a table of changes with the exact list of their events.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Answer, EventKind, Expectation, Flow, GuardErrorKind, Method, Notice, Proof, Purpose, Refusal, Setup,
    SignInMethod,
};
use keyfob::{KeyUri, Policy, Secret};

use super::dropped::{Stop, given_up, stopping};
use super::login::{challenge, ticket};
use super::vouch::{redeem, vouch};
use super::{AL, DAY, Phone, World, keyring};

/// An account with an app, a token and ten recovery codes. Time has passed since, and nothing was heard yet.
struct Account {
    world: World,
    app: Phone,
    token: Phone,
    codes: Vec<String>,
}

impl Account {
    fn new() -> Self {
        let policy = Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap();
        let (world, mut app, codes) = World::enrolled_with(policy, &setup());
        let proof = world.prove(&mut app, &Purpose::ADD);
        let (token, _) = world.add(AL, &Setup::hotp("al"), Some(&proof));
        world.pass(60);
        Self { world, app, token, codes }
    }

    /// A proof, which is made without a trace in what is heard.
    fn prove(&mut self, purpose: &Purpose) -> Proof {
        let proof = self.world.prove(&mut self.app, purpose);
        self.world.heard();
        proof
    }

    /// An enrollment that waits, of which nothing was heard either.
    fn wait(&mut self, setup: &Setup) -> Phone {
        let proof = self.prove(&Purpose::ADD);
        let new = Phone::of(&self.world.enroll(AL, setup, Some(&proof)).unwrap());
        self.world.heard();
        new
    }

    fn code(&mut self) -> String {
        self.world.pass(30);
        self.app.code(self.world.now())
    }
}

fn setup() -> Setup {
    Setup::totp("al@example.com")
}

fn confirmed(phone: &Phone) -> EventKind {
    EventKind::Confirmed { authenticator: phone.id.clone() }
}

fn revoked(phone: &Phone) -> EventKind {
    EventKind::Revoked { authenticator: phone.id.clone() }
}

fn canceled(phone: &Phone) -> EventKind {
    EventKind::EnrollmentCanceled { authenticator: phone.id.clone() }
}

fn by(method: Method, phone: Option<&Phone>) -> EventKind {
    EventKind::Accepted { method, authenticator: phone.map(|phone| phone.id.clone()), drift: 0 }
}

const SIGNED_IN: EventKind = EventKind::SignedIn { method: SignInMethod::Code(Method::Totp) };

/// Makes a change, and returns what must be heard of it.
type Change = fn(&mut Account) -> Vec<EventKind>;

const CHANGES: [(&str, Change); 53] = [
    // Enrollments: begun, replaced, canceled, refused, confirmed.
    ("enroll", |a| {
        let proof = a.prove(&Purpose::ADD);
        let enrollment = a.world.enroll(AL, &setup(), Some(&proof)).unwrap();
        vec![EventKind::EnrollmentStarted { authenticator: enrollment.authenticator().clone() }]
    }),
    ("enroll instead of what waits", |a| {
        let waiting = a.wait(&setup());
        let proof = a.prove(&Purpose::ADD);
        let enrollment = a.world.enroll(AL, &setup(), Some(&proof)).unwrap();
        vec![canceled(&waiting), EventKind::EnrollmentStarted { authenticator: enrollment.authenticator().clone() }]
    }),
    ("enroll after one that has expired", |a| {
        a.wait(&setup());
        a.world.pass(DAY);
        let proof = a.prove(&Purpose::ADD);
        let enrollment = a.world.enroll(AL, &setup(), Some(&proof)).unwrap();
        vec![EventKind::EnrollmentStarted { authenticator: enrollment.authenticator().clone() }]
    }),
    ("reopen", |a| {
        let proof = a.prove(&Purpose::ADD);
        let enrollment = a.world.enroll(AL, &setup(), Some(&proof)).unwrap();
        a.world.heard();
        block_on(a.world.guard.reopen_enrollment(enrollment.handle(), "al")).unwrap();
        vec![]
    }),
    ("cancel", |a| {
        let waiting = a.wait(&setup());
        block_on(a.world.guard.cancel_enrollment(AL)).unwrap();
        vec![canceled(&waiting)]
    }),
    ("confirm", |a| {
        let mut new = a.wait(&setup());
        a.world.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new)]
    }),
    ("confirm wrongly", |a| {
        let new = a.wait(&setup());
        let _ = block_on(a.world.guard.confirm(AL, &new.wrong(a.world.now()))).unwrap();
        vec![EventKind::EnrollmentRefused { reason: Refusal::WrongCode, diagnosis: None }]
    }),
    ("replace", |a| {
        let mut new = a.wait(&setup().replacing(a.token.id.clone()));
        a.world.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new), revoked(&a.token)]
    }),
    ("replace what an operator revoked meanwhile", |a| {
        // The enrollment is canceled, so that it does not come without the one it was to replace.
        let waiting = a.wait(&setup().replacing(a.token.id.clone()));
        block_on(a.world.guard.operator_revoke(AL, &a.token.id, &crate::operator())).unwrap();
        vec![revoked(&a.token), canceled(&waiting)]
    }),
    ("confirm with an exhausted budget", |a| {
        let mut new = a.wait(&setup());
        a.world.edit(|record| record["budget"]["failures"] = 100.into());
        a.world.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new), EventKind::Unlocked]
    }),
    ("confirm under a strict policy with an exhausted budget", |a| {
        let mut new = a.wait(&setup());
        a.world.edit(|record| record["budget"]["failures"] = 100.into());
        let strict = a.world.again(Policy::strict(), &keyring(&["2026"]));
        strict.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new), revoked(&a.app), revoked(&a.token), EventKind::Unlocked]
    }),
    ("confirm the first", |a| {
        block_on(a.world.guard.erase(AL)).unwrap();
        let mut new = Phone::of(&a.world.enroll(AL, &setup(), None).unwrap());
        a.world.heard();
        a.world.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new), EventKind::RecoveryCodesIssued]
    }),
    ("confirm during a login", |a| {
        let ticket = ticket(&a.world, "bo");
        let mut new = Phone::of(&block_on(a.world.guard.enroll_with_ticket(&ticket, &setup())).unwrap());
        a.world.heard();
        let _ = block_on(a.world.guard.confirm_with_ticket(&ticket, &new.code(a.world.now()))).unwrap();
        vec![confirmed(&new), SIGNED_IN, EventKind::RecoveryCodesIssued]
    }),
    // Vouchers.
    ("vouch", |a| {
        vouch(&a.world);
        vec![EventKind::Vouched]
    }),
    ("redeem", |a| {
        let voucher = vouch(&a.world);
        a.world.heard();
        redeem(&a.world, &voucher).unwrap();
        vec![EventKind::VoucherRedeemed]
    }),
    ("confirm what was vouched for", |a| {
        let proof = redeem(&a.world, &vouch(&a.world)).unwrap();
        let mut new = Phone::of(&a.world.enroll(AL, &setup(), Some(&proof)).unwrap());
        a.world.edit(|record| record["budget"]["failures"] = 100.into());
        a.world.heard();
        a.world.confirm(AL, &new.code(a.world.now()));
        vec![confirmed(&new)]
    }),
    // What is removed.
    ("revoke", |a| {
        let proof = a.prove(&Purpose::REVOKE);
        let _ = block_on(a.world.guard.revoke(AL, &a.token.id, &proof)).unwrap();
        vec![revoked(&a.token)]
    }),
    ("revoke while something waits", |a| {
        let waiting = a.wait(&setup());
        let proof = a.prove(&Purpose::REVOKE);
        let _ = block_on(a.world.guard.revoke(AL, &a.token.id, &proof)).unwrap();
        vec![revoked(&a.token), canceled(&waiting)]
    }),
    ("an operator revokes", |a| {
        block_on(a.world.guard.operator_revoke(AL, &a.app.id, &crate::operator())).unwrap();
        vec![revoked(&a.app)]
    }),
    ("disable", |a| {
        let proof = a.prove(&Purpose::DISABLE);
        let _ = block_on(a.world.guard.disable(AL, &proof)).unwrap();
        vec![EventKind::Disabled]
    }),
    ("an operator removes", |a| {
        let waiting = a.wait(&setup());
        block_on(a.world.guard.operator_remove(AL, &crate::operator())).unwrap();
        vec![EventKind::Disabled, canceled(&waiting)]
    }),
    ("an operator removes what only waits", |a| {
        let waiting = Phone::of(&a.world.enroll("bo", &setup(), None).unwrap());
        a.world.heard();
        block_on(a.world.guard.operator_remove("bo", &crate::operator())).unwrap();
        vec![canceled(&waiting)]
    }),
    ("erase", |a| {
        let waiting = a.wait(&setup());
        block_on(a.world.guard.erase(AL)).unwrap();
        vec![EventKind::Erased, canceled(&waiting)]
    }),
    // Logins.
    ("an accepted code", |a| {
        let typed = a.code();
        assert!(a.world.verify(&typed).is_ok());
        vec![by(Method::Totp, Some(&a.app))]
    }),
    ("a login", |a| {
        let typed = a.code();
        let Answer::Accepted(_) = a.world.log_in(&typed, None) else { panic!() };
        vec![by(Method::Totp, Some(&a.app)), SIGNED_IN]
    }),
    ("a login with a token", |a| {
        let typed = a.token.code(0);
        let Answer::Accepted(_) = a.world.log_in(&typed, None) else { panic!() };
        let method = SignInMethod::Code(Method::Hotp);
        vec![by(Method::Hotp, Some(&a.token)), EventKind::SignedIn { method }]
    }),
    ("a login that only begins", |a| {
        challenge(&a.world);
        vec![]
    }),
    ("a wrong code", |a| {
        a.world.fail(&a.app, 1);
        vec![EventKind::Refused { reason: Refusal::WrongCode }]
    }),
    ("the hundredth wrong code", |a| {
        a.world.edit(|record| record["budget"]["failures"] = 99.into());
        a.world.fail(&a.app, 1);
        vec![EventKind::Refused { reason: Refusal::WrongCode }, EventKind::Exhausted]
    }),
    ("a used code of an app that is ahead", |a| {
        let step = a.app.step(a.world.now());
        a.world.edit(|record| record["active"][0]["next"] = (step + 4).into());
        let typed = a.app.code(a.world.now());
        assert_eq!(a.world.verify(&typed).unwrap_err(), Refusal::Replayed);
        let behind = EventKind::ClockBehind { authenticator: a.app.id.clone(), seconds: 60 };
        vec![EventKind::Refused { reason: Refusal::Replayed }, behind]
    }),
    ("a resynchronization", |a| {
        a.world.pass(60);
        let step = a.app.step(a.world.now()) + 20;
        let [first, second] = [step, step + 1].map(|step| a.app.hotp.code(step).to_string());
        let _ = block_on(a.world.guard.resync(AL, &first, &second)).unwrap();
        vec![EventKind::Resynchronized { authenticator: a.app.id.clone(), drift: 21 }]
    }),
    // Recovery codes.
    ("a recovery code", |a| {
        assert!(a.world.verify(&a.codes[0]).is_ok());
        vec![by(Method::RecoveryCode, None), EventKind::Recovered { left: 9 }]
    }),
    ("a recovery code when all else is exhausted", |a| {
        a.world.edit(|record| record["budget"]["failures"] = 100.into());
        assert!(a.world.verify(&a.codes[0]).is_ok());
        vec![by(Method::RecoveryCode, None), EventKind::Recovered { left: 9 }, EventKind::Unlocked]
    }),
    ("a recovery code under a strict policy", |a| {
        a.world.edit(|record| record["budget"]["failures"] = 100.into());
        let strict = a.world.again(Policy::strict(), &keyring(&["2026"]));
        assert!(strict.verify(&a.codes[0]).is_ok());
        vec![by(Method::RecoveryCode, None), EventKind::Recovered { left: 9 }]
    }),
    ("a recovery code while something waits", |a| {
        let waiting = a.wait(&setup());
        assert!(a.world.verify(&a.codes[0]).is_ok());
        vec![by(Method::RecoveryCode, None), EventKind::Recovered { left: 9 }, canceled(&waiting)]
    }),
    ("a replaced recovery code", |a| {
        let accepted = a.world.verify(&a.codes[0]).unwrap();
        a.world.heard();
        block_on(a.world.guard.replace_recovery_code(&accepted)).unwrap().unwrap();
        vec![EventKind::RecoveryCodeReplaced { left: 10 }]
    }),
    ("nothing to replace", |a| {
        let typed = a.code();
        let accepted = a.world.verify(&typed).unwrap();
        a.world.heard();
        assert!(block_on(a.world.guard.replace_recovery_code(&accepted)).unwrap().is_none());
        vec![]
    }),
    ("new recovery codes", |a| {
        let proof = a.prove(&Purpose::REGENERATE);
        block_on(a.world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        vec![EventKind::RecoveryCodesRegenerated]
    }),
    // What operators and the application do.
    ("an operator unlocks", |a| {
        block_on(a.world.guard.operator_unlock(AL, &crate::operator())).unwrap();
        vec![EventKind::Unlocked]
    }),
    ("an operator suspends", |a| {
        let waiting = a.wait(&setup());
        block_on(a.world.guard.operator_suspend(AL, &crate::operator())).unwrap();
        vec![EventKind::Suspended, canceled(&waiting)]
    }),
    ("an operator resumes", |a| {
        block_on(a.world.guard.operator_suspend(AL, &crate::operator())).unwrap();
        a.world.heard();
        block_on(a.world.guard.operator_resume(AL, &crate::operator())).unwrap();
        vec![EventKind::Resumed]
    }),
    ("an operator invalidates all", |a| {
        block_on(a.world.guard.operator_invalidate_codes(AL, &crate::operator())).map(drop).unwrap();
        vec![EventKind::CodesInvalidated]
    }),
    ("an operator invalidates recent codes", |a| {
        let waiting = a.wait(&setup());
        block_on(a.world.guard.operator_invalidate_recent_codes(AL, &crate::operator())).map(drop).unwrap();
        vec![EventKind::CodesInvalidated, canceled(&waiting)]
    }),
    ("adopt", |a| {
        let uri = KeyUri::totp("Old", "bo", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
        let adoptee = Adoptee { user: "bo".into(), uri, last_used: None, name: String::new() };
        let _ = block_on(a.world.guard.adopt(&adoptee, &crate::operator())).unwrap();
        let id = block_on(a.world.guard.status("bo")).unwrap().authenticators()[0].id().clone();
        vec![EventKind::Adopted { authenticator: id }]
    }),
    ("a new password", |a| {
        let waiting = a.wait(&setup());
        let _ = block_on(a.world.guard.forget_devices(AL)).unwrap();
        vec![EventKind::LoginsVoided, canceled(&waiting)]
    }),
    ("a new password in a session that stays", |a| {
        let waiting = a.wait(&setup());
        let session = block_on(a.world.guard.status(AL)).unwrap().generation();
        block_on(a.world.guard.forget_devices_in_session(AL, session)).unwrap().unwrap();
        // The session has ended, so nothing happens.
        assert!(block_on(a.world.guard.forget_devices_in_session(AL, session)).unwrap().is_none());
        vec![EventKind::LoginsVoided, canceled(&waiting)]
    }),
    ("rename", |a| {
        let proof = a.prove(&Purpose::RENAME);
        block_on(a.world.guard.rename(AL, &a.token.id, "x", &proof)).unwrap();
        vec![EventKind::Renamed { authenticator: a.token.id.clone() }]
    }),
    ("trust a device, log in on it, and forget it", |a| {
        let typed = a.code();
        let accepted = a.world.verify(&typed).unwrap();
        a.world.heard();
        let day = Duration::from_secs(DAY);
        let token = block_on(a.world.guard.trust_device(&accepted, "x", day)).unwrap();
        let _ = block_on(a.world.guard.begin_login(AL, Expectation::Enrolled, Some(&token))).unwrap();
        block_on(a.world.guard.forget_device(AL, token.device())).unwrap();
        let device = token.device().clone();
        vec![
            EventKind::DeviceAdded { device: device.clone(), trusted: true },
            EventKind::SignedIn { method: SignInMethod::TrustedDevice },
            EventKind::DeviceForgotten { device },
        ]
    }),
    ("seal again", |a| {
        let rotated = a.world.again(Policy::default(), &keyring(&["2027", "2026"]));
        assert!(block_on(rotated.guard.reseal(AL)).unwrap());
        assert!(!block_on(rotated.guard.reseal(AL)).unwrap());
        vec![EventKind::Resealed]
    }),
    ("a check of a proof, the status, a session", |a| {
        let transfer = super::proof::transfer();
        let proof = a.prove(&transfer);
        block_on(a.world.guard.check(AL, &proof, &transfer)).unwrap();
        let generation = a.world.status().generation();
        assert!(block_on(a.world.guard.is_current(AL, generation)).unwrap());
        vec![]
    }),
    // What is told again, what failed, and what nobody waited for.
    ("a notice that is not acknowledged", |a| {
        let keeping = a.world.again(Policy::default().with_notices(), &keyring(&["2026"]));
        assert!(keeping.verify(&a.codes[0]).is_ok());
        let [notice]: [Notice; 1] = keeping.status().notices().try_into().unwrap();
        a.world.pass(300);
        a.world.heard();
        let _ = keeping.begin(None);
        block_on(keeping.guard.acknowledge(AL, notice)).unwrap();
        vec![EventKind::Unacknowledged { notice }]
    }),
    ("a failure", |a| {
        let proof = a.prove(&Purpose::ADD);
        block_on(a.world.guard.disable(AL, &proof)).unwrap_err();
        vec![EventKind::Failed { flow: Flow::Disable, kind: GuardErrorKind::ProofRejected }]
    }),
    ("a client that hangs up", |a| {
        let deaf = stopping(&a.world, Stop::Load);
        assert!(given_up(deaf.verify(AL, "000000")));
        vec![EventKind::Dropped { flow: Flow::Verify, may_have_changed: false }]
    }),
];

#[test]
fn each_change_says_what_happened_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for (name, change) in CHANGES {
        let mut account = Account::new();
        let expected = change(&mut account);
        let heard = account.world.heard();
        assert_eq!(heard, expected, "{name}");
        seen.extend(heard.iter().map(variant));
    }
    // No kind of event is missing in the table.
    let source = include_str!("../../../src/guard/answer/event.rs");
    let (_, kinds) = source.split_once("pub enum EventKind {").unwrap();
    let (kinds, _) = kinds.split_once("\n}").unwrap();
    let kinds: BTreeSet<String> = kinds
        .lines()
        .filter_map(|line| line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase)))
        .map(|line| line.trim_end_matches([' ', '{', ',']).to_owned())
        .collect();
    assert!(kinds.len() > 30 && kinds.contains("Vouched"), "{kinds:?}");
    assert_eq!(seen, kinds);
}

/// The name of the variant.
fn variant(kind: &EventKind) -> String {
    let text = format!("{kind:?}");
    text.split([' ', '{']).next().unwrap().into()
}
