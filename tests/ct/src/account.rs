//! Accounts for the cases of the guard. Nothing is marked as secret while an account is set up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use keyfob::guard::{
    Accepted, Answer, Challenge, Confirmation, Context, DeviceToken, EnrollmentTicket, Expectation, Login, Proof,
    Purpose, Randomness, Refusal, SecondFactor, Setup,
};
use keyfob::store::{MemoryStore, Store, Swap};
use keyfob::{Guard, Hotp, KeyUri, Keyring, Policy, Secret, Verdict};

use super::Inputs;
use crate::valgrind::poison;

pub const TOTP: bool = true;
pub const HOTP: bool = false;
pub const ACCOUNTS: [(&[bool], &str); 6] = [
    (&[TOTP], "1 TOTP"),
    (&[TOTP; 3], "3 TOTP"),
    (&[TOTP; 8], "8 TOTP"),
    (&[HOTP], "1 HOTP"),
    (&[HOTP; 3], "3 HOTP"),
    (&[HOTP; 8], "8 HOTP"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Hit,
    Miss,
    /// A used code, which is charged to the guess budget.
    Replay,
    /// The first repetition of the last accepted code, which is not charged.
    Repetition,
}

/// The outcomes of a code of an authenticator, with their names.
pub const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Hit, "hit"),
    (Outcome::Miss, "miss"),
    (Outcome::Replay, "replay"),
    (Outcome::Repetition, "free repetition"),
];

/// An account whose authenticators were all used one step ago. Nothing is marked as secret while the account is set up.
pub struct Account {
    guard: Guard<MemoryStore>,
    keyring: String,
    clock: Arc<AtomicU64>,
    tokens: Vec<Token>,
    recovery_codes: Vec<String>,
    /// The last accepted code.
    accepted: Option<Accepted>,
}

struct Token {
    hotp: Hotp,
    totp: bool,
    /// The next counter of an HOTP token.
    next: u64,
}

impl Account {
    pub fn new(inputs: &mut Inputs, kinds: &[bool]) -> Self {
        let keyring = format!("1:{}", *keyfob::base32::encode(&public::<32>(inputs)));
        let clock = Arc::new(AtomicU64::new(30_000_000));
        let (now, ids, seed) = (clock.clone(), AtomicU64::new(0), AtomicU64::new(inputs.next()));
        let guard = Guard::new(MemoryStore::new(), Keyring::parse(&keyring).unwrap(), "Example Inc")
            .with_policy(policy())
            .with_clock(move || Some(now.load(Ordering::Relaxed)))
            .with_randomness(Randomness::new(move |bytes| fill(bytes, &ids, &seed)));
        let mut account =
            Self { guard, keyring, clock, tokens: Vec::new(), recovery_codes: Vec::new(), accepted: None };
        for totp in kinds {
            account.add(inputs, *totp);
        }
        account.pass();
        for position in 0..kinds.len() {
            let typed = account.next_code(position);
            account.accept(&typed);
        }
        account.pass();
        account
    }

    /// Completes a login with each authenticator, one step later, and remembers the device of the last login.
    pub fn known_device(&mut self) -> DeviceToken {
        let mut device = None;
        for position in 0..self.tokens.len() {
            let (challenge, typed) = (self.challenge(None), self.next_code(position));
            let Answer::Accepted(sign_in) = now(self.guard.answer(&challenge, &typed)).unwrap() else {
                panic!("the code was refused")
            };
            if position + 1 == self.tokens.len() {
                device = Some(now(self.guard.remember_device(sign_in.accepted().unwrap(), "laptop")).unwrap());
            }
        }
        self.pass();
        device.unwrap()
    }

    /// Adds a device. Returns its token, or a forged one for the same device. The secret in it is marked as secret.
    pub fn device(&self, inputs: &mut Inputs, trusted: bool, genuine: bool) -> DeviceToken {
        let (stored, other) = (public::<32>(inputs), public::<32>(inputs));
        let (version, record) = now(self.guard.store().load(ACCOUNT)).unwrap().unwrap();
        let factor = SecondFactor::read(Some(&record)).unwrap();
        let (keyring, policy) = (Keyring::parse(&self.keyring).unwrap(), policy());
        let context = Context::new(ACCOUNT, self.clock.load(Ordering::Relaxed), &policy, &keyring).unwrap();
        let add = |secret: [u8; 32], mark: bool| {
            let random = Randomness::new(move |bytes| {
                match <&mut [u8; 32]>::try_from(&mut *bytes) {
                    Ok(bytes) => {
                        *bytes = secret;
                        if mark {
                            poison(bytes);
                        }
                    }
                    Err(_) => bytes.fill(7),
                }
                Ok::<(), ()>(())
            });
            let accepted = self.accepted.as_ref().unwrap();
            match trusted {
                true => factor.trust_device(&context, &random, accepted, "laptop", MONTH).unwrap(),
                false => factor.remember_device(&context, &random, accepted, "laptop").unwrap(),
            }
        };
        let change = add(stored, false);
        let swap = now(self.guard.store().swap(ACCOUNT, Some(version), change.change().record())).unwrap();
        assert_eq!(swap, Swap::Swapped);
        // The same token once more, but marked as secret from the start.
        add(if genuine { stored } else { other }, true).committed(Swap::Swapped).unwrap().value
    }

    /// Begins a login for which a code is due.
    pub fn challenge(&self, device: Option<&DeviceToken>) -> Challenge {
        match now(self.guard.begin_login(ACCOUNT, Expectation::Enrolled, device)).unwrap() {
            Login::Challenge(challenge) => challenge,
            login => panic!("{login:?}"),
        }
    }

    /// Begins a login in which the first authenticator has to be enrolled.
    pub fn ticket(&self) -> EnrollmentTicket {
        match now(self.guard.begin_login(ACCOUNT, Expectation::RequiredFrom(0), None)).unwrap() {
            Login::MustEnroll(ticket) => ticket,
            login => panic!("{login:?}"),
        }
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

    /// Begins an enrollment, with a ticket or a proof, and returns a code for it. By the outcome, the code is valid,
    /// wrong, or from a phone whose clock is ten minutes ahead or behind.
    pub fn waiting(
        &mut self,
        inputs: &mut Inputs,
        imported: bool,
        outcome: Outcome,
        ticket: Option<&EnrollmentTicket>,
    ) -> Vec<u8> {
        let secret = Secret::from_bytes(&public::<20>(inputs)).unwrap();
        let uri = KeyUri::totp("Example Inc", "alice", &secret).unwrap();
        let setup = if imported { Setup::import(&uri).unwrap() } else { Setup::totp("al@example.com") };
        let enrollment = match ticket {
            Some(ticket) => now(self.guard.enroll_with_ticket(ticket, &setup)).unwrap(),
            None => {
                let proof = self.proof(&Purpose::ADD);
                now(self.guard.enroll_another(ACCOUNT, &setup, &proof)).unwrap()
            }
        };
        let other = Hotp::new(&Secret::from_bytes(&public::<20>(inputs)).unwrap());
        let token = Hotp::new(enrollment.uri().secret());
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let codes = [token.code(step), other.code(step), token.code(step + 20), token.code(step - 20)];
        hidden(codes[outcome as usize].to_string())
    }

    /// Logs in with the first authenticator and returns a proof for `purpose`.
    pub fn proof(&mut self, purpose: &Purpose) -> Proof {
        self.pass();
        let typed = self.next_code(0);
        self.accept(&typed);
        self.guard.prove(self.accepted.as_ref().unwrap(), purpose)
    }

    fn accept(&mut self, typed: &str) {
        let Verdict::Accepted(accepted) = now(self.guard.verify(ACCOUNT, typed)).unwrap() else {
            panic!("the code was refused")
        };
        self.accepted = Some(accepted);
    }

    /// Moves the clock to the next step.
    fn pass(&self) {
        self.clock.fetch_add(30, Ordering::Relaxed);
    }

    fn next_code(&mut self, position: usize) -> String {
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let token = &mut self.tokens[position];
        let counter = if token.totp { step } else { token.next };
        token.next += 1;
        token.hotp.code(counter).to_string()
    }

    /// Chooses an outcome, an authenticator, and how many steps the code is ahead.
    pub fn any_outcome(&self, inputs: &mut Inputs) -> (Outcome, usize, u64) {
        // Four consecutive seeds cover all four outcomes.
        let (outcome, _) = OUTCOMES[(inputs.0 % 4) as usize];
        let position = inputs.next() as usize % self.tokens.len().max(1);
        (outcome, position, inputs.next() & 1)
    }

    /// Returns the text of a code with this outcome, marked as secret.
    pub fn typed(&mut self, inputs: &mut Inputs, (outcome, position, ahead): (Outcome, usize, u64)) -> Vec<u8> {
        let step = self.clock.load(Ordering::Relaxed) / 30;
        let token = &self.tokens[position];
        let expected = if token.totp { step } else { token.next };
        // Compute all codes, so that the heap does not depend on the outcome.
        let other = Hotp::new(&Secret::from_bytes(&public::<20>(inputs)).unwrap());
        let used = token.hotp.code(expected - 1);
        let codes = [token.hotp.code(expected + ahead), other.code(1 + ahead), used.clone(), used.clone()];
        if outcome == Outcome::Replay {
            // Only the first repetition is free.
            let verdict = now(self.guard.verify(ACCOUNT, &used.to_string())).unwrap();
            assert!(matches!(verdict, Verdict::Refused(Refusal::Replayed)));
        }
        hidden(codes[outcome as usize].to_string())
    }

    pub fn recovery_code(&mut self, inputs: &mut Inputs, outcome: Outcome) -> Vec<u8> {
        let code = match outcome {
            Outcome::Miss => Self::new(inputs, &[TOTP]).recovery_codes.swap_remove(3),
            _ => self.recovery_codes[3].clone(),
        };
        if outcome == Outcome::Replay {
            self.accept(&code);
        }
        hidden(code)
    }

    /// Loads the record of the account and marks the keys as secret. The returned function runs a test on the record.
    pub fn decide(self) -> impl Fn(Look<'_>) {
        let (_, record) = now(self.guard.store().load(ACCOUNT)).unwrap().unwrap();
        let factor = SecondFactor::read(Some(&record)).unwrap();
        let (id, key) = self.keyring.split_at(2);
        let text = [id.as_bytes(), &hidden(key.to_owned())].concat();
        let keyring = Keyring::parse(secret(&text)).unwrap();
        let (policy, now) = (policy(), self.clock.load(Ordering::Relaxed));
        move |run| run(&factor, &Context::new(ACCOUNT, now, &policy, &keyring).unwrap())
    }
}

const ACCOUNT: &str = "user-17";
const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn policy() -> Policy {
    // With notices, one more part of the record depends on the verdict.
    Policy::default().with_trusted_devices(MONTH).unwrap().with_notices()
}

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

pub fn secret(bytes: &[u8]) -> &str {
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
