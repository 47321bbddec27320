//! The keyring is replaced while the guard is running.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
use keyfob::guard::{GuardError, GuardErrorKind, Purpose, Setup};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob::{Guard, Verdict};

use super::login::{answer, challenge, ticket};
use super::{AL, World, keyring, kind};

/// Under which key the secrets of this account are sealed.
fn keys(world: &World, user: &str) -> Vec<String> {
    block_on(world.guard.status(user)).unwrap().keys().iter().map(ToString::to_string).collect()
}

#[test]
fn old_tokens_are_good_as_long_as_the_old_key_is_there() {
    let (world, mut phone, _) = World::enrolled();
    let purpose = super::proof::transfer();
    let proof = world.prove(&mut phone, &purpose).token("s");
    let proof = || keyfob::guard::Proof::from_token(&proof).unwrap().in_session("s");
    let pending: Vec<_> = (0..2).map(|_| challenge(&world)).collect();
    let voucher = super::vouch::vouch(&world);
    let ticket = ticket(&world, "bo");
    let enrollment = world.enroll("cy", &Setup::totp("al"), None).unwrap();
    // Whether each of them is good now. A pending login is used up, and so is the voucher.
    let good = |login: usize, phone: &mut super::Phone| {
        [
            block_on(world.guard.check(AL, &proof(), &purpose)).is_ok(),
            answer(&world, &pending[login], &phone.code(world.now())).is_ok(),
            block_on(world.guard.enroll_with_ticket(&ticket, &Setup::totp("al"))).is_ok(),
            block_on(world.guard.reopen_enrollment(enrollment.handle(), "al")).is_ok(),
            super::vouch::redeem(&world, &voucher).is_ok(),
        ]
    };
    world.guard.replace_keyring(keyring(&["2027", "2026"]));
    world.pass(30);
    assert_eq!(good(0, &mut phone), [true; 5]);
    // What is made now is made under the new key, and what is stored is left as it is.
    assert!(challenge(&world).token().contains("~2027~"));
    let sealed = world.enroll("di", &Setup::totp("al"), None).unwrap();
    assert_eq!((keys(&world, AL), keys(&world, "di")), (vec!["2026".into()], vec!["2027".into()]));
    assert!(block_on(world.guard.reseal(AL)).unwrap());
    assert_eq!(keys(&world, AL), ["2027"]);
    // Without the old key, the stored secrets can be opened, and no old token is good.
    world.guard.replace_keyring(keyring(&["2027"]));
    world.pass(30);
    assert_eq!(good(1, &mut phone), [false; 5]);
    assert!(answer(&world, &challenge(&world), &phone.code(world.now())).is_ok());
    assert!(block_on(world.guard.reopen_enrollment(sealed.handle(), "al")).is_ok());
    // Who needs the old key is told so.
    assert_eq!(kind(block_on(world.guard.confirm("cy", "000000"))), GuardErrorKind::KeyMissing);
    assert_eq!(format!("{:?}", world.guard).matches("2026").count(), 0);
}

/// A store that answers once the gate is open.
struct Gate {
    inner: Arc<MemoryStore>,
    open: AtomicBool,
}

impl Store for Gate {
    type Error = std::convert::Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        poll_fn(|_| if self.open.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.inner.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        self.inner.swap(account, expected, record).await
    }
}

#[test]
fn a_request_keeps_the_keyring_that_it_began_with() {
    let (world, mut phone, _) = World::enrolled();
    let (now, typed) = (world.now(), phone.code(world.now()));
    let store = Gate { inner: world.store.clone(), open: AtomicBool::new(false) };
    let guard = Guard::new(store, keyring(&["2026"]), "Example").with_clock(move || Some(now));
    let mut context = Context::from_waker(Waker::noop());
    let mut running = pin!(guard.verify(AL, &typed));
    assert!(running.as_mut().poll(&mut context).is_pending());
    guard.replace_keyring(keyring(&["2027"]));
    guard.store().open.store(true, SeqCst);
    // The control: a request that begins now has only the new key.
    assert_eq!(kind(block_on(guard.verify(AL, &typed))), GuardErrorKind::KeyMissing);
    let Poll::Ready(Ok(Verdict::Accepted(_))) = running.as_mut().poll(&mut context) else {
        panic!("a running request lost its key")
    };
}

/// Users log in on several threads while the keys are rotated again and again, and secrets are sealed anew.
#[test]
fn nobody_is_refused_while_keys_are_replaced() {
    let world = World::new();
    let phones = (0..4).map(|user| (user.to_string(), world.add(&user.to_string(), &Setup::hotp("al"), None).0));
    let mut phones = phones.collect::<Vec<_>>();
    let rings = [["2027", "2026"], ["2026", "2027"]].map(|ids| keyring(&ids));
    let replaced = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let logins = phones.iter_mut().map(|(user, phone)| {
            let (world, replaced) = (&world, &replaced);
            scope.spawn(move || {
                let round = |phone: &mut super::Phone| -> Result<bool, GuardError> {
                    let verdict = block_on(world.guard.verify(user, &phone.code(0)))?;
                    let Verdict::Accepted(accepted) = verdict else { return Ok(false) };
                    let proof = world.guard.prove(&accepted, &Purpose::RENAME);
                    block_on(world.guard.rename(user, &phone.id, &phone.counter.to_string(), &proof))?;
                    block_on(world.guard.reseal(user))?;
                    Ok(true)
                };
                // Until the keys were replaced a hundred times, and for a while in any case.
                for _ in (0..).take_while(|round| *round < 20 || replaced.load(SeqCst) < 100) {
                    assert!(round(phone).unwrap(), "{user}");
                }
            })
        });
        let logins: Vec<_> = logins.collect();
        while logins.iter().any(|login| !login.is_finished()) {
            world.guard.replace_keyring(rings[replaced.fetch_add(1, SeqCst) % 2].clone());
            std::thread::yield_now();
        }
    });
}
