//! The reserve for known devices: an attacker with the password cannot keep the owner out on a known device, and has
//! no more guesses than without the reserve, with or without a stolen token.

use futures_lite::future::block_on;
use keyfob::Policy;
use keyfob::guard::{Answer, DeviceToken, Expectation, Login, Refusal};
use keyfob::store::{MemoryStore, Store, Swap};
use serde_json::{Value, json};

use super::{DAY, START, YEAR};
use crate::Random;
use crate::guarded::{ACCOUNT, Guarded, code};

const SEED: u8 = 5;

/// One account with a known device.
struct Account {
    server: Guarded<MemoryStore>,
    device: DeviceToken,
    random: Random,
}

impl Account {
    fn new() -> Self {
        let server = Guarded::new(MemoryStore::new(), Policy::default());
        block_on(server.enroll(SEED));
        server.set(START);
        let device = remember(&server, None).unwrap();
        Self { server, device, random: Random(8) }
    }

    /// A login with this code. Returns the refusal, or `None` for a success.
    fn log_in(&self, typed: &str, device: Option<&DeviceToken>) -> Option<Refusal> {
        log_in(&self.server, typed, device).err()
    }

    /// A guess at random, which is never right: this counts guesses, and says nothing of luck.
    fn guess(&mut self, device: Option<&DeviceToken>) -> Option<Refusal> {
        let now = self.server.now();
        let right = [now - 30, now, now + 30].map(|now| code(SEED, now));
        let typed = loop {
            let typed = format!("{:06}", self.random.below(1_000_000));
            if !right.contains(&typed) {
                break typed;
            }
        };
        self.log_in(&typed, device)
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let store = self.server.guard.store();
        let (version, record) = block_on(store.load(ACCOUNT)).unwrap().unwrap();
        let mut record: Value = serde_json::from_slice(&record).unwrap();
        change(&mut record);
        let record = serde_json::to_vec(&record).unwrap();
        assert_eq!(block_on(store.swap(ACCOUNT, Some(version), Some(&record))).unwrap(), Swap::Swapped);
    }
}

fn log_in(
    server: &Guarded<MemoryStore>,
    typed: &str,
    device: Option<&DeviceToken>,
) -> Result<keyfob::guard::SignIn, Refusal> {
    let login = block_on(server.guard.begin_login(ACCOUNT, Expectation::Enrolled, device)).unwrap();
    let Login::Challenge(challenge) = login else { panic!() };
    match block_on(server.guard.answer(&challenge, typed)).unwrap() {
        Answer::Accepted(sign_in) => Ok(sign_in),
        Answer::Refused(refusal) => Err(refusal),
    }
}

fn remember(server: &Guarded<MemoryStore>, device: Option<&DeviceToken>) -> Option<DeviceToken> {
    let sign_in = log_in(server, &code(SEED, server.now()), device).ok()?;
    block_on(server.guard.remember_device(sign_in.accepted().unwrap(), "x")).ok()
}

/// For twenty days, the attacker tries a code each minute. The owner mistypes the code once and then logs in, once a
/// day.
#[test]
fn an_attacker_cannot_keep_the_owner_out_on_a_known_device() {
    for known in [true, false] {
        let mut account = Account::new();
        let device = account.device.clone();
        let device = known.then_some(&device);
        let mut days = 0;
        for day in 0..20 {
            let due = account.random.below(1440);
            for minute in 0..1440 {
                account.server.set(START + (day * 1440 + minute + 1) * 60);
                if minute == due {
                    let typo = account.guess(device);
                    let entered = account.log_in(&code(SEED, account.server.now()), device).is_none();
                    days += u64::from(entered);
                    assert!(!known || typo == Some(Refusal::WrongCode), "{typo:?}");
                }
                account.guess(None);
            }
        }
        println!("known device: {known}; the owner logged in on {days} of 20 days");
        if known {
            assert_eq!(days, 20);
        } else {
            assert!(days < 4, "the control: {days} of 20 days without a known device");
        }
    }
}

/// The attacker makes every guess that is answered, for a year: with a stolen token of a known device, without one, or
/// in both ways. Now and then the owner forgets the device and remembers it again.
#[test]
fn the_reserve_is_part_of_the_budget() {
    let bound = 100 + 365 * 4;
    for (stolen, both, added) in [(false, false, false), (true, false, false), (true, true, false), (true, true, true)]
    {
        let mut account = Account::new();
        let (mut guesses, mut now, mut due, mut changes) = (0, START, START, 0);
        while now < START + YEAR {
            account.server.set(now);
            if now >= due {
                let device = account.device.clone();
                if account.log_in(&code(SEED, now), Some(&device)).is_none() {
                    due = now + DAY;
                    changes += 1;
                    if changes % 30 == 0 {
                        block_on(account.server.guard.forget_device(ACCOUNT, device.device())).unwrap();
                        account.server.set(now + 30);
                        // Without a known device, the owner may have to wait like everybody else.
                        if let Some(device) = remember(&account.server, None) {
                            account.device = device;
                        }
                    }
                }
            }
            let device = account.device.clone();
            let tokens = [stolen.then_some(&device), None];
            let mut next = u64::MAX;
            for token in tokens.into_iter().take(if both { 2 } else { 1 }) {
                match account.guess(token) {
                    Some(Refusal::WrongCode) => {
                        guesses += 1;
                        next = now;
                        if added && token.is_some() {
                            // The control: guesses from known devices do not count in the whole.
                            account.edit(|record| {
                                let level = record["budget"]["level"].as_u64().unwrap();
                                record["budget"]["level"] = json!(level.saturating_sub(DAY));
                            });
                        }
                    }
                    Some(Refusal::Throttled { retry_at } | Refusal::Exhausted { retry_at: Some(retry_at) }) => {
                        next = next.min(retry_at);
                    }
                    _ => {}
                }
            }
            // If only a success of the owner helps, the attacker waits for it.
            now = next.min(due.max(now + 60)).max(now);
        }
        println!("stolen token: {stolen}, both ways: {both}, reserve added: {added}; {guesses} guesses of {bound}");
        assert_eq!(guesses > bound, added, "{guesses} guesses of {bound}");
    }
}
