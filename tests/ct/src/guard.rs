//! Test cases for the state transitions of the guard, from the parsed record to the record that will be written.
//!
//! The keys of the keyring are secret, and so is everything that they decrypt and every MAC computed with them. The
//! typed code is also secret, and so is the result of every comparison with it.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use keyfob::guard::{
    Change, Confirmation, Context, Proof, Purpose, Randomness, Resynchronization, SecondFactor, Setup,
};
use keyfob::store::{MemoryStore, Store, Swap};
use keyfob::{Guard, Hotp, KeyUri, Keyring, Policy, Secret, Verdict};

use super::{Inputs, Run};
use crate::valgrind::poison;

pub fn cases(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    for (kinds, name) in ACCOUNTS {
        // The seed chooses the outcome (hit, miss or replay), the authenticator, and the step in the window. None of
        // these may be observable before the swap.
        case(
            &format!("SecondFactor::verify to the swap, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, kinds);
                let outcome = account.any_outcome(inputs);
                let typed = account.typed(inputs, outcome);
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        let transition = factor.verify(context, secret(&typed)).unwrap();
                        assert!(matches!(transition.change(), Change::Write(_)), "no outcome without a write");
                        drop(black_box(transition));
                    });
                })
            }),
        );
    }
    for kinds in [&[TOTP][..], &[TOTP, HOTP, TOTP]] {
        for (outcome, name) in [(Outcome::Hit, "hit"), (Outcome::Miss, "miss"), (Outcome::Replay, "replay")] {
            case(
                &format!("SecondFactor::verify revealed, {} authenticators, {name}", kinds.len()),
                Box::new(move |inputs| {
                    let mut account = Account::new(inputs, kinds);
                    let typed = account.typed(inputs, (outcome, kinds.len() / 2, 0));
                    let decide = account.decide();
                    Box::new(move || {
                        decide(&mut |factor, context| {
                            let transition = factor.verify(context, secret(&typed)).unwrap();
                            let verdict = transition.committed(Swap::Swapped).unwrap().value;
                            let accepted = matches!(verdict, Verdict::Accepted(_));
                            assert_eq!(accepted, outcome == Outcome::Hit, "the case does not do what its name says");
                        });
                    })
                }),
            );
        }
        case(
            &format!("SecondFactor::resync to the swap, {} authenticators", kinds.len()),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, kinds);
                let (outcome, place, _) = account.any_outcome(inputs);
                let ahead = 3 + inputs.next() % 60;
                let typed = [0, 1].map(|more| account.typed(inputs, (outcome, place, ahead + more)));
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        let [first, second] = typed.each_ref().map(|typed| secret(typed));
                        drop(black_box(factor.resync(context, first, second).unwrap()));
                    });
                })
            }),
        );
    }
    case(
        "SecondFactor::resync revealed",
        Box::new(|inputs| {
            let mut account = Account::new(inputs, &[TOTP]);
            let typed = [20, 21].map(|ahead| account.typed(inputs, (Outcome::Hit, 0, ahead)));
            let decide = account.decide();
            Box::new(move || {
                decide(&mut |factor, context| {
                    let transition = factor.resync(context, secret(&typed[0]), secret(&typed[1])).unwrap();
                    let answer = transition.committed(Swap::Swapped).unwrap().value;
                    assert!(matches!(answer, Resynchronization::Done { .. }));
                });
            })
        }),
    );
    for (imported, name) in [(true, "imported"), (false, "shown")] {
        // The seed chooses a hit, a miss, or a code from a wrong clock. The choice must not be observable before the
        // swap.
        case(
            &format!("SecondFactor::confirm to the swap, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, &[TOTP]);
                let typed = account.waiting(inputs, imported);
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        let transition = factor.confirm(context, secret(&typed)).unwrap();
                        assert!(matches!(transition.change(), Change::Write(_)), "no outcome without a write");
                        drop(black_box(transition));
                    });
                })
            }),
        );
    }
    for (outcome, name) in [(Outcome::Hit, "hit"), (Outcome::Miss, "miss"), (Outcome::Replay, "used")] {
        case(
            &format!("SecondFactor::verify, recovery code, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, &[TOTP]);
                let typed = account.recovery_code(inputs, outcome);
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        let transition = factor.verify(context, secret(&typed)).unwrap();
                        let verdict = transition.committed(Swap::Swapped).unwrap().value;
                        let accepted = matches!(verdict, Verdict::Accepted(_));
                        assert_eq!(accepted, outcome == Outcome::Hit, "the case does not do what its name says");
                    });
                })
            }),
        );
    }
    for (genuine, name) in [(true, "genuine"), (false, "forged")] {
        case(
            &format!("Proof, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, &[TOTP]);
                let mut token = account.proof(&Purpose::DISABLE).token();
                if !genuine {
                    // Change a symbol of the MAC, but not its last symbol, which has unused bits.
                    let end = token.len() - 7;
                    let other = if token.as_bytes()[end] == b'A' { "B" } else { "A" };
                    token.replace_range(end..=end, other);
                }
                let proof = Proof::from_token(&token).unwrap();
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        assert_eq!(factor.disable(context, &proof).is_ok(), genuine);
                    });
                })
            }),
        );
    }
    controls(case);
}

/// Controls: straightforward implementations that reveal the verdict before the swap.
fn controls(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    fn verdict(inputs: &mut Inputs) -> u64 {
        let mut mask = (inputs.next() & 1).wrapping_neg();
        poison(&mut mask);
        mask
    }
    case(
        "control of the guard, budget charged in a branch",
        Box::new(|inputs| {
            let (accepted, mut failures) = (verdict(inputs), 3u64);
            Box::new(move || {
                if black_box(accepted) != 0 {
                    failures = black_box(0);
                } else {
                    failures = black_box(failures) + 1;
                }
                black_box(failures);
            })
        }),
    );
    case(
        "control of the guard, record in as many digits as it takes",
        Box::new(|inputs| {
            let step = 9_999_999 + (verdict(inputs) & 1);
            Box::new(move || drop(black_box(format!("{{\"next\":{}}}", black_box(step)))))
        }),
    );
    case(
        "control of the guard, record written for misses only",
        Box::new(|inputs| {
            let (accepted, record) = (verdict(inputs), vec![7u8; 900]);
            Box::new(move || drop(black_box((black_box(accepted) == 0).then(|| black_box(&record).clone()))))
        }),
    );
    case(
        "control of the guard, recovery codes compared by ==",
        Box::new(|inputs| {
            let (hash, stored) = (inputs.bytes::<32>(), [7u8, 8, 9].map(|byte| [byte; 32]));
            Box::new(move || {
                let hash: &[u8] = black_box(&hash);
                black_box(black_box(&stored).iter().position(|stored| stored.as_slice() == hash));
            })
        }),
    );
    case(
        "control of the guard, authenticators until one matches",
        Box::new(|inputs| {
            let own = [verdict(inputs), verdict(inputs), verdict(inputs)];
            Box::new(move || {
                black_box(own.iter().position(|mask| *black_box(mask) != 0));
            })
        }),
    );
}

const TOTP: bool = true;
const HOTP: bool = false;
const ACCOUNTS: [(&[bool], &str); 6] = [
    (&[TOTP], "1 TOTP"),
    (&[TOTP; 3], "3 TOTP"),
    (&[TOTP; 8], "8 TOTP"),
    (&[HOTP], "1 HOTP"),
    (&[HOTP; 3], "3 HOTP"),
    (&[HOTP; 8], "8 HOTP"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Hit,
    Miss,
    Replay,
}

/// An account whose authenticators were all used one step ago. Nothing is marked as secret while the account is set up.
struct Account {
    guard: Guard<MemoryStore>,
    keyring: String,
    clock: Arc<AtomicU64>,
    tokens: Vec<Token>,
    recovery_codes: Vec<String>,
}

struct Token {
    hotp: Hotp,
    totp: bool,
    /// The next counter of an HOTP token.
    next: u64,
}

impl Account {
    fn new(inputs: &mut Inputs, kinds: &[bool]) -> Self {
        let keyring = format!("1:{}", *keyfob::base32::encode(&public::<32>(inputs)));
        let clock = Arc::new(AtomicU64::new(30_000_000));
        let (now, ids, seed) = (clock.clone(), AtomicU64::new(0), AtomicU64::new(inputs.next()));
        let guard = Guard::new(MemoryStore::new(), Keyring::parse(&keyring).unwrap(), "Example Inc")
            .with_clock(move || Some(now.load(Ordering::Relaxed)))
            .with_randomness(Randomness::new(move |bytes| fill(bytes, &ids, &seed)));
        let mut account = Self { guard, keyring, clock, tokens: Vec::new(), recovery_codes: Vec::new() };
        for totp in kinds {
            account.add(inputs, *totp);
        }
        account.pass();
        for place in 0..kinds.len() {
            let typed = account.next_code(place);
            account.accepted(&typed);
        }
        account.pass();
        account
    }

    fn add(&mut self, inputs: &mut Inputs, totp: bool) {
        let secret = Secret::from_bytes(&public::<20>(inputs)).unwrap();
        let uri = if totp {
            KeyUri::totp("Example Inc", "alice", &secret).unwrap()
        } else {
            KeyUri::hotp("Example Inc", "alice", &secret, 0).unwrap()
        };
        let setup = Setup::import(&uri).unwrap();
        if self.tokens.is_empty() {
            now(self.guard.enroll(ACCOUNT, &setup)).unwrap();
        } else {
            let proof = self.proof(&Purpose::ADD);
            now(self.guard.enroll_another(ACCOUNT, &setup, &proof)).unwrap();
        }
        self.tokens.push(Token { hotp: Hotp::new(&secret), totp, next: 0 });
        let typed = self.next_code(self.tokens.len() - 1);
        let Confirmation::Confirmed(confirmed) = now(self.guard.confirm(ACCOUNT, &typed)).unwrap() else {
            panic!("the enrollment was not confirmed")
        };
        if let Some(codes) = confirmed.recovery_codes() {
            self.recovery_codes = codes.iter().map(str::to_owned).collect();
        }
    }

    /// Begins another enrollment and returns a code for it. The seed chooses whether the code is valid, wrong, or from
    /// a phone whose clock is ten minutes ahead.
    fn waiting(&mut self, inputs: &mut Inputs, imported: bool) -> Vec<u8> {
        let secret = Secret::from_bytes(&public::<20>(inputs)).unwrap();
        let uri = KeyUri::totp("Example Inc", "alice", &secret).unwrap();
        let setup = if imported { Setup::import(&uri).unwrap() } else { Setup::totp("al@example.com") };
        let proof = self.proof(&Purpose::ADD);
        let enrollment = now(self.guard.enroll_another(ACCOUNT, &setup, &proof)).unwrap();
        let (outcome, ..) = self.any_outcome(inputs);
        let other = Hotp::new(&Secret::from_bytes(&public::<20>(inputs)).unwrap());
        let token = Hotp::new(enrollment.uri().secret());
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let codes = [token.code(step), other.code(step), token.code(step + 20)];
        hidden(codes[outcome as usize].to_string())
    }

    /// Logs in with the first authenticator and returns a proof for `purpose`.
    fn proof(&mut self, purpose: &Purpose) -> Proof {
        self.pass();
        let typed = self.next_code(0);
        let Verdict::Accepted(accepted) = now(self.guard.verify(ACCOUNT, &typed)).unwrap() else {
            panic!("the code was refused")
        };
        self.guard.prove(&accepted, purpose)
    }

    fn accepted(&self, typed: &str) {
        assert!(matches!(now(self.guard.verify(ACCOUNT, typed)).unwrap(), Verdict::Accepted(_)));
    }

    /// Moves the clock to the next step.
    fn pass(&self) {
        self.clock.fetch_add(30, Ordering::Relaxed);
    }

    fn next_code(&mut self, place: usize) -> String {
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let token = &mut self.tokens[place];
        let counter = if token.totp { step } else { token.next };
        token.next += 1;
        token.hotp.code(counter).to_string()
    }

    /// Chooses an outcome, an authenticator, and how many steps the code is ahead.
    fn any_outcome(&self, inputs: &mut Inputs) -> (Outcome, usize, u64) {
        // Three consecutive seeds cover all three outcomes.
        let outcome = match inputs.0 % 3 {
            0 => Outcome::Hit,
            1 => Outcome::Miss,
            _ => Outcome::Replay,
        };
        let place = inputs.next() as usize % self.tokens.len();
        (outcome, place, inputs.next() & 1)
    }

    /// Returns the text of a code with this outcome, marked as secret.
    fn typed(&mut self, inputs: &mut Inputs, (outcome, place, ahead): (Outcome, usize, u64)) -> Vec<u8> {
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let token = &self.tokens[place];
        let expected = if token.totp { step } else { token.next };
        // Compute all codes, so that the heap does not depend on the outcome.
        let other = Hotp::new(&Secret::from_bytes(&public::<20>(inputs)).unwrap());
        let codes = [token.hotp.code(expected + ahead), other.code(1 + ahead), token.hotp.code(expected - 1)];
        hidden(codes[outcome as usize].to_string())
    }

    fn recovery_code(&mut self, inputs: &mut Inputs, outcome: Outcome) -> Vec<u8> {
        let code = match outcome {
            Outcome::Miss => Self::new(inputs, &[TOTP]).recovery_codes.swap_remove(3),
            _ => self.recovery_codes[3].clone(),
        };
        if outcome == Outcome::Replay {
            self.accepted(&code);
        }
        hidden(code)
    }

    /// Loads the record of the account and marks the keys as secret. The returned function runs a test on the record.
    fn decide(self) -> impl Fn(Look<'_>) {
        let (_, record) = now(self.guard.store().load(ACCOUNT)).unwrap().unwrap();
        let factor = SecondFactor::read(Some(&record)).unwrap();
        let (id, key) = self.keyring.split_at(2);
        let text = [id.as_bytes(), &hidden(key.to_owned())].concat();
        let keyring = Keyring::parse(secret(&text)).unwrap();
        let (policy, now) = (Policy::default(), self.clock.load(Ordering::Relaxed));
        move |run| run(&factor, &Context::new(ACCOUNT, now, &policy, &keyring).unwrap())
    }
}

const ACCOUNT: &str = "user-17";

/// Replaces the random generator. Generations and ids are public and have a fixed length; all other bytes depend on the
/// seed.
fn fill(bytes: &mut [u8], ids: &AtomicU64, seed: &AtomicU64) -> Result<(), ()> {
    if matches!(bytes.len(), 8 | 16) {
        bytes.fill(ids.fetch_add(1, Ordering::Relaxed) as u8);
        return Ok(());
    }
    let mut inputs = Inputs(seed.fetch_add(0xd134_2543_de82_ef95, Ordering::Relaxed));
    bytes.iter_mut().for_each(|byte| *byte = inputs.next().to_le_bytes()[0]);
    Ok(())
}

fn public<const N: usize>(inputs: &mut Inputs) -> [u8; N] {
    std::array::from_fn(|_| inputs.next().to_le_bytes()[0])
}

/// Marks all bytes as secret except the separators, whose positions are public.
fn hidden(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.iter_mut().filter(|byte| **byte != b'-').for_each(poison);
    bytes
}

fn secret(bytes: &[u8]) -> &str {
    // SAFETY: the text is ASCII. A check would branch on bytes that are already marked as secret.
    unsafe { str::from_utf8_unchecked(bytes) }
}

/// Runs a future that is ready at once, because the in-memory store never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store waits"),
    }
}

/// A test that calls the guard's functions on a parsed record.
type Look<'a> = &'a mut dyn FnMut(&SecondFactor, &Context<'_>);
