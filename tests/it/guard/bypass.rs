//! The known ways around a second factor, one test for each. Each has happened to a product; the guide's chapter on the
//! login lists them. The last assertions of a test are its control: without the rule, the way is open.

use std::collections::HashMap;
use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Answer, Challenge, EnrollmentTicket, Expectation, Generation, GuardErrorKind, Login, Proof, Purpose, Refusal,
    Setup, SignIn, SignInMethod,
};
use keyfob::store::{MemoryStore, Store};
use keyfob::{Guard, Policy};

use super::login::{answer, challenge};
use super::{AL, DAY, World, keyring, kind};

/// An application: sessions by id. Only a sign-in starts one.
#[derive(Default)]
struct App {
    sessions: HashMap<u64, (String, Generation)>,
}

impl App {
    fn start_session(&mut self, sign_in: SignIn) -> u64 {
        let id = self.sessions.len() as u64 + 1;
        self.sessions.insert(id, (sign_in.user().into(), sign_in.generation()));
        id
    }

    fn is_logged_in(&self, world: &World, id: u64) -> bool {
        let session = self.sessions.get(&id);
        session.is_some_and(|(user, generation)| block_on(world.guard.is_current(user, *generation)).unwrap())
    }
}

#[test]
fn a_pending_login_enrolls_no_authenticator() {
    let (world, mut phone, _) = World::enrolled();
    let pending = challenge(&world).token();
    let setup = Setup::totp("mallory");
    assert!(EnrollmentTicket::from_token(&pending).is_err() && Proof::from_token(&pending).is_err());
    assert_eq!(kind(world.enroll(AL, &setup, None)), GuardErrorKind::ProofRequired);
    // Control: a code makes a proof, and that enrolls.
    let proof = world.prove(&mut phone, &Purpose::ADD);
    assert!(world.enroll(AL, &setup, Some(&proof)).is_ok());
}

#[test]
fn a_pending_login_shows_no_secret() {
    let (world, mut phone, _) = World::enrolled();
    let stored = world.stored(AL);
    let pending = challenge(&world);
    let shown = format!("{:?} {:?} {:?}", pending, pending.token(), world.status());
    assert!(!shown.contains(&*phone.uri.secret().expose_base32()));
    // It cannot replace the secret either.
    let replacement = Setup::totp("al").replacing(phone.id.clone());
    assert_eq!(kind(world.enroll(AL, &replacement, None)), GuardErrorKind::ProofRequired);
    assert_eq!(world.stored(AL), stored);
    let proof = world.prove(&mut phone, &Purpose::ADD);
    assert!(world.enroll(AL, &replacement, Some(&proof)).is_ok(), "control");
}

/// A password reset, a link in an email and single sign-on begin a login like a password does.
#[test]
fn a_password_reset_is_no_login() {
    let policy = Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap();
    let (world, mut phone, _) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
    for expectation in [Expectation::Enrolled, Expectation::Optional, Expectation::RequiredFrom(u64::MAX)] {
        let login = block_on(world.guard.begin_login(AL, expectation, None)).unwrap();
        assert!(matches!(login, Login::Challenge(_)), "{expectation:?}");
    }
    let Answer::Accepted(sign_in) = world.log_in(&phone.code(world.now()), None) else { panic!() };
    let accepted = sign_in.accepted().unwrap();
    let device = block_on(world.guard.trust_device(accepted, "x", Duration::from_secs(DAY))).unwrap();
    // Control: without the call that belongs to a new password, the old cookie completes the login after the reset.
    assert!(matches!(world.begin(Some(&device)), Login::Complete(_)));
    block_on(world.guard.forget_devices(AL)).unwrap();
    assert!(matches!(world.begin(Some(&device)), Login::Challenge(_)));
}

#[test]
fn a_device_is_remembered_only_after_the_second_factor() {
    let (world, mut phone, _) = World::enrolled();
    // Before: there is nothing that could remember it.
    let Login::Challenge(pending) = world.begin(None) else { panic!() };
    assert!(world.status().devices().is_empty());
    let Login::Complete(sign_in) = block_on(world.guard.begin_login("bo", Expectation::Optional, None)).unwrap() else {
        panic!()
    };
    assert!(sign_in.accepted().is_none(), "a login without a code");
    // Control: after a code there is.
    let sign_in = answer(&world, &pending, &phone.code(world.now())).unwrap();
    assert!(block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x")).is_ok());
}

/// Other endpoints that issue tokens: an API, app passwords, OAuth. They need a sign-in, which only a complete login
/// makes. The documentation of `SignIn` has the examples that do not compile.
#[test]
fn there_is_one_door() {
    let (world, mut phone, _) = World::enrolled();
    let mut app = App::default();
    let before = challenge(&world);
    assert!(answer(&world, &before, &phone.wrong(world.now())).is_err() && app.sessions.is_empty());
    let session = app.start_session(answer(&world, &before, &phone.code(world.now())).unwrap());
    assert!(app.is_logged_in(&world, session));
}

#[test]
fn the_second_step_needs_the_first() {
    let (world, mut phone, _) = World::enrolled();
    let typed = phone.code(world.now());
    // A challenge that nobody began: of a stranger's keys, and with a field changed.
    let stranger = Guard::new(MemoryStore::new(), keyring(&["2026", "x"]), "Mallory");
    let foreign = world.again(Policy::default(), &keyring(&["x"]));
    let forged = challenge(&foreign).token();
    let genuine = challenge(&world).token();
    let edited = genuine.replacen(&format!("~{}~", world.now()), &format!("~{}~", world.now() + 1), 1);
    assert_ne!(edited, genuine);
    for token in [&forged, &edited] {
        let outcome = answer(&world, &Challenge::from_token(token).unwrap(), &typed);
        assert_eq!(outcome.unwrap_err(), Err(GuardErrorKind::LoginRejected));
    }
    assert!(block_on(stranger.begin_login(AL, Expectation::Enrolled, None)).is_err());
    assert_eq!(world.status().consecutive_failures(), 0, "nothing was compared");
    assert!(answer(&world, &Challenge::from_token(&genuine).unwrap(), &typed).is_ok(), "control");
}

/// One's own code does not open somebody else's account.
#[test]
fn the_account_is_not_taken_from_a_field() {
    let (world, mut phone, _) = World::enrolled();
    let (mut mallory, _) = world.add("mallory", &Setup::totp("m"), None);
    let pending = challenge(&world);
    let typed = mallory.code(world.now());
    assert_eq!(answer(&world, &pending, &typed).unwrap_err(), Ok(Refusal::WrongCode));
    let [al, mallory_name] = ["YWw", "bWFsbG9yeQ"];
    let swapped = pending.token().replacen(&format!("~{al}~"), &format!("~{mallory_name}~"), 1);
    let swapped = Challenge::from_token(&swapped).unwrap();
    assert_eq!(swapped.user(), "mallory");
    assert_eq!(answer(&world, &swapped, &typed).unwrap_err(), Err(GuardErrorKind::LoginRejected));
    // Controls: the code is right for its own account, and the challenge for the code of its account.
    assert!(
        block_on(world.guard.verify("mallory", &typed))
            .is_ok_and(|verdict| matches!(verdict, keyfob::Verdict::Accepted(_)))
    );
    assert_eq!(answer(&world, &pending, &phone.code(world.now())).unwrap().user(), AL);
}

#[test]
fn a_pending_login_ends_after_minutes_and_after_one_success() {
    let (world, mut phone, _) = World::enrolled();
    let [first, second] = [challenge(&world), challenge(&world)];
    assert!(answer(&world, &first, &phone.code(world.now())).is_ok());
    world.pass(30);
    assert_eq!(answer(&world, &first, &phone.code(world.now())).unwrap_err(), Err(GuardErrorKind::LoginRejected));
    // Control: the code was not used up by the attempt, and another login may use it.
    assert!(answer(&world, &second, &phone.code(world.now())).is_ok());
    let third = challenge(&world);
    world.pass(300);
    assert_eq!(answer(&world, &third, &phone.code(world.now())).unwrap_err(), Err(GuardErrorKind::LoginRejected));
}

/// Whoever planted or observed the identifier of the pending login has nothing afterwards.
#[test]
fn the_session_has_another_identifier_than_the_pending_login() {
    let (world, mut phone, _) = World::enrolled();
    let mut app = App::default();
    let planted = challenge(&world).token();
    let sign_in = answer(&world, &Challenge::from_token(&planted).unwrap(), &phone.code(world.now())).unwrap();
    let session = app.start_session(sign_in);
    world.pass(30);
    let replayed = answer(&world, &Challenge::from_token(&planted).unwrap(), &phone.code(world.now()));
    assert_eq!(replayed.unwrap_err(), Err(GuardErrorKind::LoginRejected));
    assert!(app.is_logged_in(&world, session) && !app.is_logged_in(&world, session + 1));
}

/// A page's script can be skipped. Without the code, the server has no sign-in.
#[test]
fn the_server_enforces_the_second_factor() {
    let (world, mut phone, _) = World::enrolled();
    let pending = challenge(&world);
    for typed in ["", "0", "null", "true", "\u{0}", &"0".repeat(1000)] {
        assert_eq!(answer(&world, &pending, typed).unwrap_err(), Ok(Refusal::Malformed));
    }
    world.fail(&phone, 100);
    assert!(matches!(answer(&world, &pending, "000000"), Err(Ok(Refusal::Exhausted { .. }) | Err(_))));
    assert!(matches!(world.begin(None), Login::Challenge(_)), "an account whose guesses are used up is still asked");
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    assert!(answer(&world, &challenge(&world), &phone.code(world.now())).is_ok(), "control");
}

#[test]
fn enrolling_ends_older_sessions() {
    let world = World::new();
    let mut app = App::default();
    let mut sessions = [(); 2].map(|()| {
        let Login::Complete(sign_in) = block_on(world.guard.begin_login(AL, Expectation::Optional, None)).unwrap()
        else {
            panic!()
        };
        assert_eq!(sign_in.method(), SignInMethod::NoSecondFactor);
        app.start_session(sign_in)
    });
    let enrollment = world.enroll(AL, &Setup::totp("al"), None).unwrap();
    assert!(sessions.iter().all(|session| app.is_logged_in(&world, *session)), "control: nothing has changed yet");
    let confirmed = world.confirm(AL, &super::Phone::of(&enrollment).code(world.now()));
    assert!(!sessions.iter().any(|session| app.is_logged_in(&world, *session)));
    // The session that enrolled goes on with the new generation.
    sessions[0] = 77;
    app.sessions.insert(77, (AL.into(), confirmed.generation()));
    assert!(app.is_logged_in(&world, sessions[0]) && !app.is_logged_in(&world, sessions[1]));
}

/// A forged request has no proof, and a stolen token of a proof is worth nothing in another session.
#[test]
fn disabling_takes_a_fresh_proof() {
    let (world, mut phone, _) = World::enrolled();
    let token = world.prove(&mut phone, &Purpose::DISABLE).token("the owner's session");
    let disable = |proof: Proof| block_on(world.guard.disable(AL, &proof)).map(drop);
    let stolen = Proof::from_token(&token).unwrap().in_session("another session");
    assert_eq!(kind(disable(stolen)), GuardErrorKind::ProofRejected);
    assert_eq!(kind(disable(Proof::from_token(&token).unwrap())), GuardErrorKind::ProofRejected);
    let other = world.prove(&mut phone, &Purpose::RENAME);
    assert_eq!(kind(disable(other)), GuardErrorKind::ProofRejected);
    let late = world.prove(&mut phone, &Purpose::DISABLE);
    world.pass(300);
    assert_eq!(kind(disable(late)), GuardErrorKind::ProofRejected);
    let token = world.prove(&mut phone, &Purpose::DISABLE).token("the owner's session");
    assert!(disable(Proof::from_token(&token).unwrap().in_session("the owner's session")).is_ok(), "control");
}

/// A lost row, a replica that lags, an empty database: the login fails with an error of its own and an event.
#[test]
fn a_missing_record_is_no_account_without_a_second_factor() {
    let (world, ..) = World::enrolled();
    let lost = world.again(Policy::default(), &keyring(&["2026"]));
    let (version, _) = world.stored(AL).unwrap();
    let replica = MemoryStore::new(); // it has not heard of the account yet
    let lagging = Guard::new(replica, keyring(&["2026"]), "Example");
    let begin = |guard: &Guard<MemoryStore>, expectation| block_on(guard.begin_login(AL, expectation, None));
    assert_eq!(kind(begin(&lagging, Expectation::Enrolled)), GuardErrorKind::RecordMissing);
    // Control: without the expectation, the login is complete.
    assert!(matches!(begin(&lagging, Expectation::Optional), Ok(Login::Complete(_))));

    assert_eq!(block_on(world.store.swap(AL, Some(version), None)).unwrap(), keyfob::store::Swap::Swapped);
    world.heard();
    let login = block_on(lost.guard.begin_login(AL, Expectation::Enrolled, None));
    assert_eq!(kind(login), GuardErrorKind::RecordMissing);
    let flow = keyfob::guard::Flow::BeginLogin;
    let failed = keyfob::guard::EventKind::Failed { flow, kind: GuardErrorKind::RecordMissing };
    assert_eq!(world.heard(), [failed]);
    assert!(matches!(block_on(lost.guard.begin_login(AL, Expectation::Optional, None)), Ok(Login::Complete(_))));
}
