//! What the user must be told about stays in the record until the application has told it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use keyfob::guard::{
    Confirmation, Event, EventKind, Expectation, GuardErrorKind, Notice, NoticeKind, Purpose, Refusal, Setup,
};
use keyfob::store::SqliteStore;
use keyfob::{Guard, KeyUri, Policy, Secret, Totp};

use super::{AL, DAY, Phone, T, World, keyring, kind};
use crate::guarded::{Scratch, report};

fn keeping() -> Policy {
    Policy::default().with_notices()
}

fn setup() -> Setup {
    Setup::totp("al@example.com")
}

/// An account whose notices have all been acknowledged.
fn quiet(policy: Policy) -> (World, Phone, Vec<String>) {
    let (world, phone, codes) = World::enrolled_with(policy, &setup());
    acknowledge_all(&world);
    (world, phone, codes)
}

fn acknowledge_all(world: &World) {
    for notice in world.status().notices() {
        block_on(world.guard.acknowledge(AL, *notice)).unwrap();
    }
    world.heard();
}

/// The notices that the events since the last time bring.
fn told(world: &World) -> Vec<Notice> {
    world.events.lock().unwrap().drain(..).filter_map(|event| event.notice()).collect()
}

fn kinds(notices: &[Notice]) -> Vec<NoticeKind> {
    notices.iter().map(|notice| notice.kind()).collect()
}

/// With a proof, or what else a change needs, which is made before anything is acknowledged.
type Change = fn(&World, &mut Phone, &[String]);

fn changes() -> Vec<(&'static str, &'static [NoticeKind], Change)> {
    use NoticeKind::{Added, Exhausted, Recovered, RecoveryCodesReplaced, Removed};
    vec![
        ("another authenticator", &[Added], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            confirm(world, &setup(), &proof);
        }),
        ("one in the place of another", &[Added, Removed], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            confirm(world, &setup().replacing(phone.id.clone()), &proof);
        }),
        ("one with a voucher", &[Added], |world, _, _| {
            let voucher = super::vouch::vouch(world);
            let proof = super::vouch::redeem(world, &voucher).unwrap();
            confirm(world, &setup(), &proof);
        }),
        ("revoked by an operator", &[Removed], |world, phone, _| {
            block_on(world.guard.operator_revoke(AL, &phone.id, &crate::operator())).unwrap();
        }),
        ("disabled", &[Removed], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::DISABLE);
            let _ = block_on(world.guard.disable(AL, &proof)).unwrap();
        }),
        ("removed by an operator", &[Removed], |world, _, _| {
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
        }),
        ("a recovery code", &[Recovered], |world, _, codes| assert!(world.verify(&codes[0]).is_ok())),
        ("a login with a recovery code", &[Recovered], |world, _, codes| drop(world.log_in(&codes[0], None))),
        ("new recovery codes", &[RecoveryCodesReplaced], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::REGENERATE);
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        }),
        ("a hundred guesses", &[Exhausted], |world, phone, _| {
            world.edit(|record| record["budget"]["failures"] = 99.into());
            world.fail(phone, 1);
        }),
        ("a hundred guesses in logins", &[Exhausted], |world, phone, _| {
            world.edit(|record| record["budget"]["failures"] = 99.into());
            let _ = world.log_in(&phone.wrong(world.now()), None);
        }),
        ("a hundred guesses to resynchronize", &[Exhausted], |world, _, _| {
            world.edit(|record| record["budget"]["failures"] = 99.into());
            let _ = block_on(world.guard.resync(AL, "000000", "000001")).unwrap();
        }),
        ("a hundred guesses at an imported secret", &[Exhausted], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            let imported = KeyUri::totp("Other", "al", &Secret::from_bytes(&[5; 20]).unwrap()).unwrap();
            world.enroll(AL, &Setup::import(&imported).unwrap(), Some(&proof)).unwrap();
            world.edit(|record| record["budget"]["failures"] = 99.into());
            let answer = block_on(world.guard.confirm(AL, "000000")).unwrap();
            assert!(matches!(answer, Confirmation::Refused { refusal: Refusal::WrongCode, .. }));
        }),
        // The user need not be told about these.
        ("a login", &[], |world, phone, _| {
            world.pass(30);
            assert!(world.verify(&phone.code(world.now())).is_ok());
        }),
        ("a wrong code", &[], |world, phone, _| world.fail(phone, 1)),
        ("a wrong first code", &[], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.enroll(AL, &setup(), Some(&proof)).unwrap();
            let _ = block_on(world.guard.confirm(AL, "1")).unwrap();
            let _ = block_on(world.guard.confirm(AL, "000000")).unwrap();
        }),
        ("a repeated code at the brink", &[], |world, phone, _| {
            world.pass(30);
            let typed = phone.code(world.now());
            assert!(world.verify(&typed).is_ok());
            world.edit(|record| record["budget"]["failures"] = 99.into());
            assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
        }),
        ("an accepted code at the brink", &[], |world, phone, _| {
            world.pass(30);
            world.edit(|record| record["budget"]["failures"] = 99.into());
            assert!(world.verify(&phone.code(world.now())).is_ok());
        }),
        ("a device, a name, a session", &[], |world, phone, _| {
            let proof = world.prove(phone, &Purpose::RENAME);
            block_on(world.guard.rename(AL, &phone.id, "x", &proof)).unwrap();
            world.pass(30);
            let accepted = world.verify(&phone.code(world.now())).unwrap();
            block_on(world.guard.remember_device(&accepted, "x")).unwrap();
            let _ = block_on(world.guard.forget_devices(AL)).unwrap();
        }),
        ("a replaced recovery code, beside the one that was used", &[Recovered], |world, _, codes| {
            let accepted = world.verify(&codes[0]).unwrap();
            assert!(block_on(world.guard.replace_recovery_code(&accepted)).unwrap().is_some());
        }),
    ]
}

fn confirm(world: &World, setup: &Setup, proof: &keyfob::guard::Proof) {
    let mut new = Phone::of(&world.enroll(AL, setup, Some(proof)).unwrap());
    world.confirm(AL, &new.code(world.now()));
}

#[test]
fn a_notice_is_kept_for_each_change_that_the_user_must_be_told_about() {
    let mut seen: Vec<NoticeKind> = Vec::new();
    for (name, expected, change) in changes() {
        let (world, mut phone, codes) = quiet(keeping());
        assert!(world.status().notices().is_empty());
        change(&world, &mut phone, &codes);
        let kept = world.status().notices().to_vec();
        assert_eq!(kinds(&kept), expected, "{name}");
        assert!(kept.iter().all(|notice| notice.at() == world.now()), "{name}");
        // The events carry the same ones, with which they are acknowledged.
        let mut told = told(&world);
        told.sort_by_key(|notice| expected.iter().position(|kind| *kind == notice.kind()));
        assert_eq!(told, kept, "{name}");
        told.iter().for_each(|notice| block_on(world.guard.acknowledge(AL, *notice)).unwrap());
        assert!(world.status().notices().is_empty(), "{name}");
        assert!(world.heard().is_empty(), "{name}");
        seen.extend(expected);

        // The control: without the policy, the event is all that there is.
        let (world, mut phone, codes) = quiet(Policy::default());
        change(&world, &mut phone, &codes);
        assert!(world.status().notices().is_empty() && world.record().get("notices").is_none(), "{name}");
        assert_eq!(told_kinds(&world).len(), expected.len(), "{name}");
    }
    seen.sort_by_key(|kind: &NoticeKind| format!("{kind:?}"));
    seen.dedup();
    assert_eq!(seen.len(), 5, "{seen:?}");
}

fn told_kinds(world: &World) -> Vec<NoticeKind> {
    kinds(&told(world))
}

/// The first authenticator of an account, too. Its recovery codes are no news.
#[test]
fn the_first_authenticator_is_a_notice() {
    let world = World::with(keeping());
    let mut phone = Phone::of(&world.enroll(AL, &setup(), None).unwrap());
    assert!(world.record().get("notices").is_none());
    world.confirm(AL, &phone.code(T));
    assert_eq!(kinds(world.status().notices()), [NoticeKind::Added]);
    assert_eq!(told_kinds(&world), [NoticeKind::Added]);
}

#[test]
fn a_notice_is_acknowledged_up_to_its_own_time() {
    let (world, mut phone, _) = quiet(keeping());
    let regenerate = |phone: &mut Phone| {
        let proof = world.prove(phone, &Purpose::REGENERATE);
        world.heard();
        block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        told(&world)[0]
    };
    let first = regenerate(&mut phone);
    // An email about the first one is on its way while the codes are replaced again.
    let second = regenerate(&mut phone);
    assert!(first.at() < second.at());
    let stored = world.stored(AL);
    block_on(world.guard.acknowledge(AL, first)).unwrap();
    assert_eq!((world.status().notices(), world.stored(AL)), (&[second][..], stored), "the second one was lost");
    // One of another kind, of the same moment or later, is none of it.
    world.fail(&phone, 1);
    world.edit(|record| record["budget"]["failures"] = 99.into());
    world.fail(&phone, 1);
    let exhausted = told(&world)[0];
    assert_eq!(kinds(world.status().notices()), [NoticeKind::RecoveryCodesReplaced, NoticeKind::Exhausted]);
    block_on(world.guard.acknowledge(AL, exhausted)).unwrap();
    assert_eq!(world.status().notices(), [second]);
    // The control: its own.
    block_on(world.guard.acknowledge(AL, second)).unwrap();
    assert!(world.status().notices().is_empty());
    // Twice is as good as once, and is not written. Nor does it make a record where there is none.
    let stored = world.stored(AL);
    block_on(world.guard.acknowledge(AL, second)).unwrap();
    assert_eq!(world.stored(AL), stored);
    block_on(world.guard.acknowledge("bo", second)).unwrap();
    assert!(world.bytes("bo").is_none() && world.heard().is_empty());

    // An exhausted budget is reported again every day. Whoever tells the user about that has told it all.
    world.edit(|record| record["budget"]["failures"] = 99.into());
    world.edit(|record| record["notices"][4] = 1.into());
    world.edit(|record| record["budget"]["failures"] = 100.into());
    assert!(matches!(world.verify(&phone.wrong(world.now())), Err(Refusal::Exhausted { .. })));
    let again = world.events.lock().unwrap().drain(..).find(|event| *event.kind() == EventKind::Exhausted).unwrap();
    block_on(world.guard.acknowledge(AL, again.notice().unwrap())).unwrap();
    assert!(world.status().notices().is_empty());
}

/// A server whose clock is behind must not date a notice back: acknowledging an earlier one would remove it.
#[test]
fn the_time_of_a_notice_never_moves_back() {
    let (world, _, codes) = quiet(keeping());
    assert!(world.verify(&codes[0]).is_ok());
    let [first] = told(&world)[..] else { panic!() };
    world.pass(40);
    assert!(world.verify(&codes[1]).is_ok());
    let [second] = told(&world)[..] else { panic!() };
    // The third one is used on a server that is behind by more than the time between the first two.
    world.at(first.at() - 10);
    assert!(world.verify(&codes[2]).is_ok());
    block_on(world.guard.acknowledge(AL, first)).unwrap();
    assert_eq!(world.status().notices(), [second]);
    block_on(world.guard.acknowledge(AL, second)).unwrap();
    assert!(world.status().notices().is_empty());
}

/// The time that the application has to tell the user.
const TIME: u64 = 300;

#[test]
fn what_is_not_acknowledged_is_sent_again_after_five_minutes() {
    let (world, phone, codes) = quiet(keeping());
    assert!(world.verify(&codes[0]).is_ok());
    world.pass(10);
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    let [recovered] = world.status().notices()[..] else { panic!() };
    let reminder = EventKind::Unacknowledged { notice: recovered };
    world.heard();
    let begin = || drop(block_on(world.guard.begin_login(AL, Expectation::Enrolled, None)).unwrap());
    world.at(recovered.at() + TIME - 1);
    begin();
    world.fail(&phone, 1);
    assert_eq!(world.heard(), [EventKind::Refused { reason: Refusal::WrongCode }]);

    world.at(recovered.at() + TIME);
    begin();
    assert_eq!(world.heard(), std::slice::from_ref(&reminder));
    // By each request, behind its own events, until it is acknowledged.
    for passed in [0, 1, DAY] {
        world.pass(passed);
        world.fail(&phone, 1);
        assert_eq!(world.heard(), [EventKind::Refused { reason: Refusal::WrongCode }, reminder.clone()]);
    }
    // The event has the time of the request. Its notice has the time of the change.
    begin();
    let event = world.events.lock().unwrap().pop().unwrap();
    assert_eq!((event.at(), event.notice(), event.operator()), (world.now(), Some(recovered), None));
    assert!(event.to_string().contains("Unacknowledged"), "{event}");
    world.heard();
    // What only looks, sends nothing. Nor does a request that fails.
    world.status();
    let _ = block_on(world.guard.is_current(AL, world.status().generation())).unwrap();
    assert!(world.heard().is_empty());
    assert_eq!(kind(block_on(world.guard.enroll(AL, &setup()))), GuardErrorKind::ProofRequired);
    assert!(matches!(&*world.heard(), [EventKind::Failed { .. }]));
    // To acknowledge one does not send it again.
    block_on(world.guard.acknowledge(AL, recovered)).unwrap();
    assert!(world.heard().is_empty());
    for passed in [0, TIME, DAY] {
        world.pass(passed);
        begin();
        world.fail(&phone, 1);
        assert_eq!(world.heard(), [EventKind::Refused { reason: Refusal::WrongCode }], "after {passed} seconds");
    }

    // Several at once, and each by itself.
    assert!(world.verify(&codes[1]).is_ok());
    world.pass(100);
    block_on(world.guard.operator_revoke(AL, &phone.id, &crate::operator())).unwrap();
    world.heard();
    world.pass(TIME - 100);
    let [removed, recovered] = world.status().notices()[..] else { panic!() };
    assert_eq!((removed.kind(), recovered.kind()), (NoticeKind::Removed, NoticeKind::Recovered));
    begin();
    assert_eq!(world.heard(), [EventKind::Unacknowledged { notice: recovered }]);
    world.pass(100);
    begin();
    assert_eq!(world.heard(), [removed, recovered].map(|notice| EventKind::Unacknowledged { notice }));
    // Operators' requests bring them, too, and name no operator for what the operator did not do.
    block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
    let events = std::mem::take(&mut *world.events.lock().unwrap());
    let operators: Vec<bool> = events.iter().map(|event| event.operator().is_some()).collect();
    assert_eq!(operators, [true, false, false], "{events:?}");
}

/// The other users' requests say nothing about it. If the clock was set back, the age of the notice is unknown, and it
/// is sent.
#[test]
fn a_reminder_is_for_the_user_it_is_about() {
    let (world, _, codes) = quiet(keeping());
    world.add("bo", &setup(), None);
    let bo = block_on(world.guard.status("bo")).unwrap().notices()[0];
    block_on(world.guard.acknowledge("bo", bo)).unwrap();
    assert!(world.verify(&codes[0]).is_ok());
    world.pass(DAY);
    world.heard();
    let _ = block_on(world.guard.begin_login("bo", Expectation::Enrolled, None)).unwrap();
    assert!(world.heard().is_empty());
    for now in [T - DAY, T + 2 * DAY] {
        world.at(now);
        let _ = block_on(world.guard.begin_login(AL, Expectation::Enrolled, None)).unwrap();
        assert_eq!(world.heard().len(), 1);
    }
}

#[test]
fn the_tombstone_keeps_the_notices() {
    for operator in [true, false] {
        let (world, mut phone, codes) = quiet(keeping());
        assert!(world.verify(&codes[0]).is_ok());
        let before = world.status().notices().to_vec();
        let proof = world.prove(&mut phone, &Purpose::DISABLE);
        match operator {
            true => block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap(),
            false => drop(block_on(world.guard.disable(AL, &proof)).unwrap()),
        }
        assert!(!world.status().is_active());
        let kept = world.status().notices().to_vec();
        assert_eq!(kinds(&kept), [NoticeKind::Removed, NoticeKind::Recovered]);
        assert_eq!((kept[0].at(), kept[1]), (world.now(), before[0]));
        world.pass(DAY);
        world.heard();
        let _ = block_on(world.guard.begin_login(AL, Expectation::Optional, None)).unwrap();
        let heard = world.heard();
        assert_eq!(heard[1..], [kept[0], kept[1]].map(|notice| EventKind::Unacknowledged { notice }));
        // The next enrollment has them still.
        world.add(AL, &setup(), None);
        assert_eq!(kinds(world.status().notices()), [NoticeKind::Added, NoticeKind::Removed, NoticeKind::Recovered]);
        // The control: erased, nothing is left.
        block_on(world.guard.erase(AL)).unwrap();
        assert!(world.status().notices().is_empty());
    }
}

/// An enrollment that is canceled because the second factor was removed is not a removal of it.
#[test]
fn what_was_not_active_is_not_removed() {
    let world = World::with(keeping());
    world.enroll(AL, &setup(), None).unwrap();
    block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
    assert!(world.status().notices().is_empty() && told(&world).is_empty());
}

/// A server with another policy forgets none, whether it makes new ones or not.
#[test]
fn notices_outlive_the_policy() {
    let (world, _, codes) = quiet(keeping());
    assert!(world.verify(&codes[0]).is_ok());
    let kept = world.status().notices().to_vec();
    let without = world.again(Policy::default(), &keyring(&["2026"]));
    assert!(without.verify(&codes[1]).is_ok());
    assert_eq!(world.status().notices(), kept, "no new one was kept");
    without.pass(TIME);
    without.heard();
    let _ = without.begin(None);
    assert_eq!(without.heard(), [EventKind::Unacknowledged { notice: kept[0] }]);
    block_on(without.guard.acknowledge(AL, kept[0])).unwrap();
    assert!(world.status().notices().is_empty());
}

/// A server dies between the change and the email. The notice is stored with the change, so it survives.
#[test]
fn a_notice_survives_a_kill_between_the_commit_and_the_email() {
    for (keeps, change) in [(true, "confirm"), (true, "recover"), (false, "confirm"), (false, "recover")] {
        let scratch = Scratch::new(&format!("notices-{change}-{keeps}"));
        let file = scratch.file("db");
        let kind = if change == "confirm" { NoticeKind::Added } else { NoticeKind::Recovered };
        let status = dying(&file, keeps, change);
        // 101 is a panic, of a test that failed before.
        assert!(!status.success() && status.code() != Some(101), "the process was not killed");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (guard, events, clock) = opened(&file, keeps).await;
            let stored = guard.status(AL).await.unwrap();
            assert!(stored.is_active() && stored.recovery_codes_left() == if change == "recover" { 9 } else { 0 });

            // A sweep over all accounts finds it.
            let find = || async {
                let guard = &guard;
                let page = guard.sweep("", 10, |user| async move { guard.status(&user).await }).await.unwrap();
                let [(user, status)] = page.accounts() else { panic!("{:?}", page.last()) };
                assert_eq!(user, AL);
                status.as_ref().unwrap().notices().to_vec()
            };
            let found = find().await;
            let expected = if keeps { vec![kind] } else { vec![] };
            assert_eq!(kinds(&found), expected, "{change}");
            // So does the next request of the user.
            *clock.lock().unwrap() += TIME;
            let begin = || async { guard.begin_login(AL, Expectation::Enrolled, None).await.unwrap() };
            let _ = begin().await;
            let sent = || -> Vec<_> { events.lock().unwrap().drain(..).filter_map(|event| event.notice()).collect() };
            let again = sent();
            assert_eq!(again, found, "{change}");
            assert_eq!(again.len(), usize::from(keeps), "without the policy, nobody ever hears of it");
            // Until it is acknowledged: a second kill would not lose it either.
            let _ = begin().await;
            assert_eq!(sent(), found);
            for notice in again {
                guard.acknowledge(AL, notice).await.unwrap();
            }
            let _ = begin().await;
            assert!(sent().is_empty() && find().await.is_empty(), "{change}: it is sent again");
            guard.store().close().await;
        });
        report(&format!("killed after {change}, notices {keeps}: {}", if keeps { "found and sent" } else { "lost" }));
    }
}

type Opened = (Guard<SqliteStore>, Arc<Mutex<Vec<Event>>>, Arc<Mutex<u64>>);

async fn opened(file: &Path, keeps: bool) -> Opened {
    let (events, clock) = (Arc::new(Mutex::<Vec<Event>>::default()), Arc::new(Mutex::new(T + 60)));
    let (heard, time) = (events.clone(), clock.clone());
    let policy = if keeps { keeping() } else { Policy::default() };
    let guard = Guard::new(SqliteStore::open(file).await.unwrap(), keyring(&["2026"]), "Example")
        .with_policy(policy)
        .with_clock(move || Some(*time.lock().unwrap()))
        .with_events(move |event| heard.lock().unwrap().push(event.clone()));
    (guard, events, clock)
}

/// Runs the worker in a process of its own, which dies in its event listener.
fn dying(file: &Path, keeps: bool, change: &str) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "guard::notices::worker", "--ignored", "--nocapture"]);
    command.env("KEYFOB_NOTICES", file).env("KEYFOB_NOTICES_KEPT", if keeps { "1" } else { "" });
    command.env("KEYFOB_NOTICES_CHANGE", change).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap()
}

#[test]
#[ignore = "what another test runs in a process of its own"]
fn worker() {
    // Also run by whoever runs all ignored tests.
    let Some(file) = std::env::var_os("KEYFOB_NOTICES") else { return };
    let file = Path::new(&file);
    let change = std::env::var("KEYFOB_NOTICES_CHANGE").unwrap();
    let keeps = !std::env::var("KEYFOB_NOTICES_KEPT").unwrap().is_empty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (guard, ..) = opened(file, keeps).await;
        // The listener is what sends the email.
        let fatal = change.clone();
        let guard = guard.with_events(move |event| match event.kind() {
            EventKind::Confirmed { .. } if fatal == "confirm" => std::process::abort(),
            EventKind::Recovered { .. } => std::process::abort(),
            _ => {}
        });
        let secret = Secret::from_bytes(&[9; 20]).unwrap();
        let setup = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
        guard.enroll(AL, &setup).await.unwrap();
        let typed = Totp::new(&secret).code_at(T + 60).to_string();
        let Confirmation::Confirmed(confirmed) = guard.confirm(AL, &typed).await.unwrap() else { panic!() };
        // Told about, so that only the second change is left.
        for notice in guard.status(AL).await.unwrap().notices() {
            guard.acknowledge(AL, *notice).await.unwrap();
        }
        let code = confirmed.recovery_codes().unwrap().iter().next().unwrap().to_owned();
        let _ = guard.verify(AL, &code).await;
    });
    panic!("the event listener was not called");
}
