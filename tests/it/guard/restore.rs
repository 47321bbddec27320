//! A backup was restored: what was used, revoked or ended since then must not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Challenge, DeviceToken, EventKind, Generation, GuardErrorKind, Invalidation, Login, OperatorId, Proof, Purpose,
    Refusal, Setup, Voucher,
};
use keyfob::store::{MemoryStore, Store};
use keyfob::{KeyUri, Period, Policy, Secret};

use super::dropped::given_up;
use super::login::challenge;
use super::{AL, DAY, Phone, T, World, keyring, kind};

fn invalidate(world: &World, strict: bool) -> Invalidation {
    let operator = crate::operator();
    match strict {
        true => block_on(world.guard.operator_invalidate_codes(AL, &operator)).unwrap(),
        false => block_on(world.guard.operator_invalidate_recent_codes(AL, &operator)).unwrap(),
    }
}

/// An account, its backup, and what was used or ended since then.
struct Restored {
    world: World,
    backup: Vec<u8>,
    at: u64,
    totp: String,
    hotp: String,
    recovery: String,
    device: DeviceToken,
    canceled: Phone,
    voucher: Voucher,
    proof: Proof,
    challenge: Challenge,
    /// Of a session that began after the backup.
    generation: Generation,
}

impl Restored {
    fn new() -> Self {
        let policy = Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap();
        let (world, mut app, codes) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
        let proof = world.prove(&mut app, &Purpose::ADD);
        let (mut token, _) = world.add(AL, &Setup::hotp("al@example.com"), Some(&proof));
        world.pass(30);
        let accepted = world.verify(&app.code(world.now())).unwrap();
        let device = block_on(world.guard.trust_device(&accepted, "laptop", Duration::from_secs(DAY))).unwrap();
        let add = world.guard.prove(&accepted, &Purpose::ADD);
        let canceled = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&add)).unwrap());
        let voucher = super::vouch::vouch(&world);
        let backup = world.bytes(AL).unwrap();

        // Since then: codes are used, a session begins, the enrollment is canceled, the voucher is redeemed, the device
        // is forgotten.
        world.pass(60);
        let totp = app.code(world.now());
        let accepted = world.verify(&totp).unwrap();
        let generation = accepted.generation();
        let proof = world.guard.prove(&accepted, &super::proof::transfer());
        let hotp = token.code(world.now());
        assert!(world.verify(&hotp).is_ok());
        let challenge = challenge(&world);
        block_on(world.guard.cancel_enrollment(AL)).unwrap();
        super::vouch::redeem(&world, &voucher).unwrap();
        block_on(world.guard.forget_device(AL, device.device())).unwrap();
        let recovery = codes[0].clone();
        assert!(world.verify(&recovery).is_ok());
        let at = world.now();
        Self { world, backup, at, totp, hotp, recovery, device, canceled, voucher, proof, challenge, generation }
    }

    fn restore(&self) {
        self.world.put(AL, &self.backup);
        self.world.at(self.at);
        self.world.heard();
    }
}

#[test]
fn all_that_was_used_or_ended_since_the_backup_is_void() {
    type Works = fn(&Restored) -> bool;
    // Each of these worked at some time after the backup, or before it. The last column says whether it must be void
    // after the milder kind, too.
    let rows: [(&str, Works, bool); 9] = [
        ("TOTP", |r| r.world.verify(&r.totp).is_ok(), true),
        ("HOTP", |r| r.world.verify(&r.hotp).is_ok(), false),
        ("recovery code", |r| r.world.verify(&r.recovery).is_ok(), false),
        ("device", |r| matches!(r.world.begin(Some(&r.device)), Login::Complete(_)), true),
        (
            "enrollment",
            |r| {
                let typed = r.canceled.clone().code(r.world.now());
                block_on(r.world.guard.confirm(AL, &typed)).is_ok()
            },
            true,
        ),
        ("voucher", |r| super::vouch::redeem(&r.world, &r.voucher).is_ok(), true),
        ("session", |r| block_on(r.world.guard.is_current(AL, r.generation)).unwrap(), true),
        ("proof", |r| block_on(r.world.guard.check(AL, &r.proof, &super::proof::transfer())).is_ok(), true),
        (
            "pending login",
            |r| {
                // The code is not the point, so a wrong one will do.
                block_on(r.world.guard.answer(&r.challenge, "000000")).is_ok()
            },
            true,
        ),
    ];
    let restored = Restored::new();
    for (name, works, milder) in rows {
        restored.restore();
        assert!(works(&restored), "{name}: the control, without an invalidation");
        for strict in [true, false] {
            restored.restore();
            invalidate(&restored.world, strict);
            assert_eq!(works(&restored), !strict && !milder, "{name}, strict: {strict}");
        }
    }
}

#[test]
fn the_answer_lists_what_is_left_to_do() {
    let (world, mut app, codes) = World::enrolled();
    let mut all = vec![app.id.clone()];
    let mut tokens = Vec::new();
    for hotp in [true, false, true] {
        let proof = world.prove(&mut app, &Purpose::ADD);
        let setup = if hotp { Setup::hotp("al") } else { Setup::totp("al") };
        let (phone, _) = world.add(AL, &setup, Some(&proof));
        all.push(phone.id.clone());
        tokens.extend(hotp.then_some(phone.id));
    }
    let lost = all[2].clone();
    let backup = world.bytes(AL).unwrap();
    world.pass(30);
    let proof = world.prove(&mut app, &Purpose::REVOKE);
    block_on(world.guard.revoke(AL, &lost, &proof)).unwrap();
    assert!(world.verify(&codes[0]).is_ok() && world.verify(&codes[1]).is_ok());
    // Without a restored backup, it lists what there is now.
    let now = invalidate(&world, true);
    assert_eq!((now.to_check(), now.recovery_codes_voided()), (&[&all[..2], &all[3..]].concat()[..], 8));

    for strict in [true, false] {
        world.put(AL, &backup);
        let answer = invalidate(&world, strict);
        // The one that was revoked since the backup is active again. Nothing tells it from the others.
        assert_eq!(answer.to_check(), all);
        assert!(answer.to_check().contains(&lost));
        assert_eq!(answer.to_replace(), if strict { &tokens[..] } else { &[] });
        assert_eq!(answer.recovery_codes_voided(), if strict { 10 } else { 0 });
        assert_eq!(world.status().recovery_codes_left(), if strict { 0 } else { 10 });
        assert!(answer.usable_at().is_some());
        // A second time there are no codes to void.
        assert_eq!(invalidate(&world, strict).recovery_codes_voided(), 0);
    }
    // Without an app there is no time, and without a second factor there is nothing to do.
    let (world, token, _) = World::enrolled_with(Policy::default(), &Setup::hotp("al"));
    let answer = invalidate(&world, true);
    assert_eq!((answer.usable_at(), answer.to_replace()), (None, &[token.id][..]));
    let world = World::new();
    world.enroll(AL, &Setup::totp("al"), None).unwrap();
    assert_eq!(invalidate(&world, true), Invalidation::default());
}

/// The time in the answer is what users are told, so it must be neither too early nor later than necessary.
#[test]
fn the_time_in_the_answer_is_exact() {
    for period in [30, 60, 45] {
        for drift in [0i64, 4, -4, 130, -130] {
            for strict in [true, false] {
                let uri = KeyUri::totp("Other", "al", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
                let uri = uri.with_period(Period::new(period).unwrap()).unwrap();
                let (world, mut phone, _) = World::enrolled_with(Policy::default(), &Setup::import(&uri).unwrap());
                world.edit(|record| {
                    (record["active"][0]["drift"], record["active"][0]["anchor"]) = (drift.into(), drift.into());
                });
                phone.ahead = drift * i64::from(period);
                // Not at the beginning of a step.
                world.at(T + DAY + 7);
                let begun = world.now();
                let usable_at = invalidate(&world, strict).usable_at().unwrap();
                for (time, good) in [(begun, false), (usable_at - 1, false), (usable_at, true)] {
                    world.at(time);
                    let answer = world.verify(&phone.code(time));
                    assert_eq!(answer.is_ok(), good, "{period} {drift} {strict}: {answer:?} at {}", time - begun);
                    assert!(good || answer.unwrap_err() == Refusal::Replayed);
                }
                // What the documentation says: the reach of a resynchronization, what can be learned after it, and the
                // window. The milder kind refuses the window.
                let now = (begun / u64::from(period)).cast_signed();
                let first = if strict { now + drift.max(120) + 40 + 1 } else { now + drift + 1 } + 1 - drift;
                assert_eq!(usable_at, first.cast_unsigned() * u64::from(period), "{period} {drift} {strict}");
            }
        }
    }
    // Of several, the last one counts.
    let (world, mut first, _) = World::enrolled();
    let proof = world.prove(&mut first, &Purpose::ADD);
    let uri = KeyUri::totp("Other", "al", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
    let uri = uri.with_period(Period::new(60).unwrap()).unwrap();
    world.add(AL, &Setup::import(&uri).unwrap(), Some(&proof));
    let mut times = Vec::new();
    for kept in [&[0][..], &[1], &[0, 1]] {
        let before = world.bytes(AL).unwrap();
        world.edit(|record| {
            let pending = record["pending"].take();
            record.as_object_mut().unwrap().remove("pending");
            let all = [record["active"][0].clone(), pending["authenticator"].clone()];
            record["active"] = kept.iter().map(|position| all[*position].clone()).collect();
        });
        times.push(invalidate(&world, true).usable_at().unwrap());
        world.put(AL, &before);
    }
    assert!(times[0] < times[1] && times[2] == times[1], "{times:?}");
}

/// All accounts, page by page, as the documentation does it. The program is stopped in the middle of a page, and goes
/// on from the last page that it finished.
#[test]
fn a_sweep_covers_all_accounts() {
    const ACCOUNTS: usize = 330;
    const PAGE: u32 = 50;
    let name = |number: usize| format!("user-{number:03}");
    let odd = name(170);
    let world = World::with(Policy::default());
    let rotated = world.again(Policy::default(), &keyring(&["2026", "2025"]));
    let mut phones = BTreeMap::new();
    for number in 0..ACCOUNTS {
        let user = name(number);
        let setup = if number % 3 == 0 { Setup::hotp("al") } else { Setup::totp("al") };
        let (phone, codes) = world.add(&user, &setup, None);
        phones.insert(user, (phone, codes));
    }
    // One account's secrets are sealed under a key that is no longer there.
    let old = world.again(Policy::default(), &keyring(&["2025", "2026"]));
    assert!(block_on(old.guard.reseal(&odd)).unwrap());
    // One user never had a second factor, and one has an enrollment that waits.
    world.enroll("waits", &Setup::totp("al"), None).unwrap();
    world.at(T + 30 * DAY);
    let now = world.now();
    let used: BTreeMap<_, _> = phones.iter_mut().map(|(user, (phone, _))| (user.clone(), phone.code(now))).collect();
    let backup: BTreeMap<_, _> = phones.keys().map(|user| (user.clone(), world.bytes(user).unwrap())).collect();
    world.heard();

    let operator = &OperatorId::new("restore").unwrap();
    let visited = Arc::new(AtomicUsize::new(0));
    let (guard, visits) = (&world.guard, &visited);
    let sweep = |after: String, stop: usize| async move {
        guard
            .sweep(&after, PAGE, |user| async move {
                if visits.fetch_add(1, SeqCst) == stop {
                    std::future::pending::<()>().await;
                }
                let left = guard.operator_invalidate_codes(&user, operator).await?;
                guard.reseal(&user).await?;
                Ok(left)
            })
            .await
    };
    let (mut last, mut failed, mut pages) = (String::new(), Vec::new(), 0);
    let (mut finished, mut twice) = (BTreeSet::new(), 0);
    loop {
        // The program is killed once, in the middle of its third page. It is run again with the last name that it kept.
        if pages == 2 && visited.load(SeqCst) == 2 * PAGE as usize {
            let stop = visited.load(SeqCst) + 20;
            assert!(given_up(sweep(last.clone(), stop)));
        }
        let page = block_on(sweep(last.clone(), usize::MAX)).unwrap();
        let Some(end) = page.last() else { break };
        last = end.into();
        pages += 1;
        for (user, answer) in page.accounts() {
            assert!(finished.insert(user.clone()), "{user} is on two pages");
            match answer {
                // Those that were through it when the program was killed have no codes left.
                Ok(answer) => twice += usize::from(user != "waits" && answer.recovery_codes_voided() == 0),
                Err(error) => failed.push((user.clone(), error.kind())),
            }
        }
    }
    assert_eq!((finished.len(), pages), (ACCOUNTS + 1, (ACCOUNTS + 1).div_ceil(PAGE as usize)));
    assert_eq!(failed, [(odd.clone(), GuardErrorKind::KeyMissing)]);
    assert_eq!(twice, 20);
    let heard = world.events.lock().unwrap().drain(..).collect::<Vec<_>>();
    let count = |kind: &EventKind| heard.iter().filter(|event| event.kind() == kind).count();
    assert_eq!(count(&EventKind::CodesInvalidated), ACCOUNTS + 1 + 20);
    assert!(heard.iter().filter(|event| *event.kind() == EventKind::CodesInvalidated).all(|e| e.operator().is_some()));

    // Nobody's used code is accepted, and nobody's record is as it was: not even that of the account whose key is
    // missing, so that nothing comes back once somebody finds the key.
    for (user, (_, codes)) in &phones {
        assert_ne!(world.bytes(user).unwrap(), backup[user], "{user}");
        for typed in [&used[user], &codes[0]] {
            assert!(!matches!(world.try_verify(user, typed), Ok(Ok(_))), "{user}");
        }
    }
    assert!(!block_on(world.guard.status("waits")).unwrap().enrollment_pending());
    // With the key in the keyring again, the one account is like the others.
    assert!(block_on(rotated.guard.reseal(&odd)).unwrap());
    assert!(world.try_verify(&odd, &used[&odd]).unwrap().is_err());
    // The control: with their old records, all codes are good.
    for (user, record) in &backup {
        world.put(user, record);
        world.at(now);
        let server = if *user == odd { &old } else { &world };
        assert!(server.try_verify(user, &used[user]).unwrap().is_ok(), "{user}");
    }
}

/// A store that cannot list its accounts ends the sweep with an error, not with fewer accounts.
#[test]
fn a_sweep_that_cannot_list_fails() {
    struct Deaf(MemoryStore);

    impl Store for Deaf {
        type Error = std::io::Error;

        async fn load(&self, user: &str) -> Result<Option<(keyfob::store::Version, Vec<u8>)>, Self::Error> {
            let Ok(loaded) = self.0.load(user).await;
            Ok(loaded)
        }

        async fn swap(
            &self,
            user: &str,
            expected: Option<keyfob::store::Version>,
            record: Option<&[u8]>,
        ) -> Result<keyfob::store::Swap, Self::Error> {
            let Ok(swap) = self.0.swap(user, expected, record).await;
            Ok(swap)
        }
    }

    impl keyfob::store::Accounts for Deaf {
        async fn accounts(&self, _: &str, _: u32) -> Result<Vec<String>, Self::Error> {
            Err(std::io::Error::other("down"))
        }

        async fn insert(&self, _: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
            Err(std::io::Error::other("down"))
        }
    }

    let guard = keyfob::Guard::new(Deaf(MemoryStore::new()), keyring(&["2026"]), "Example");
    let page = block_on(guard.sweep("", 10, |_| async { Ok(()) }));
    assert_eq!(kind(page), GuardErrorKind::Store);
    // No account at all is the last page.
    let world = World::new();
    let page = block_on(world.guard.sweep("", 10, |_| async { Ok(()) })).unwrap();
    assert!(page.accounts().is_empty() && page.last().is_none());
}
