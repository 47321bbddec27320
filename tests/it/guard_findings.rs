//! What an adversary's reading of the guard and the stores has found, one test each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use futures_lite::future::block_on;
use keyfob::guard::{Confirmation, Enrolment, GuardErrorKind};
use keyfob::store::MemoryStore;
use keyfob::{Guard, Keyring, Totp};

const ACCOUNT: &str = "user-17";

/// Servers that share a store and a clock.
struct World {
    store: Arc<MemoryStore>,
    now: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::default(), now: Arc::new(AtomicU64::new(1_900_000_000)) }
    }

    fn server(&self, keys: &str) -> Guard<Arc<MemoryStore>> {
        let now = self.now.clone();
        let guard = Guard::new(self.store.clone(), Keyring::parse(keys).unwrap(), "Example Inc");
        guard.with_clock(move || Some(now.load(SeqCst)))
    }

    fn now(&self) -> u64 {
        self.now.load(SeqCst)
    }
}

fn key(id: &str) -> String {
    Keyring::generate_entry(id, &mut rand::rngs::SysRng).unwrap().to_string()
}

fn phone(enrolment: &Enrolment) -> Totp {
    enrolment.uri().to_totp().unwrap()
}

#[test]
fn a_clock_set_back_does_not_keep_an_enrolment_waiting() {
    let world = World::new();
    let guard = world.server(&key("a"));
    let real = world.now();
    world.now.store(real + 365 * 86_400, SeqCst);
    let phone = phone(&block_on(guard.enroll(ACCOUNT, "alice")).unwrap());
    world.now.store(real + 300 * 86_400, SeqCst);
    let code = phone.code_at(world.now()).to_string();
    let refused = block_on(guard.confirm(ACCOUNT, &code)).unwrap_err();
    assert_eq!(refused.kind(), GuardErrorKind::NoEnrolment);
    // Servers a little apart are no reason.
    world.now.store(real + 365 * 86_400 - 60, SeqCst);
    let code = phone.code_at(world.now()).to_string();
    assert!(matches!(block_on(guard.confirm(ACCOUNT, &code)).unwrap(), Confirmation::Confirmed(_)));
}
