//! Attackers who know the password guess codes for a year. Their success is compared with
//! [`Policy::guess_probability`].
//!
//! The guard makes every decision of one account's year, so the number of guesses and their times are exact. [`codes`]
//! then compares guesses at these times with the codes of real secrets, as many as `KEYFOB_ATTACKERS` says for each
//! kind. Only [`drawn`] is a simulation: it draws whether a guess is one of the valid codes. Guesses that the guard did
//! not answer never count.

mod devices;

use std::ops::ControlFlow;
use std::time::Duration;

use keyfob::guard::{Change, Confirmation, Context, Randomness, Refusal, Resynchronization, SecondFactor, Setup};
use keyfob::search::{self, Candidate};
use keyfob::store::Swap;
use keyfob::{Code, Key, KeyUri, Keyring, Policy, Secret, Totp, Verdict, Window};
use serde_json::{Value, json};

use crate::Random;

/// How an attacker chooses the time of a guess.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// As soon as the guard permits, forty requests at once.
    Parallel,
    /// As soon as the guard permits.
    Patient,
    /// Right after each login of the owner, until the guard stops answering.
    Waiting,
}

#[test]
fn guesses_in_a_year_are_counted_exactly() {
    for (policy, capacity, forgiven) in [
        (Policy::default(), 100, 4),
        (Policy::default().with_long_term(100, 1).unwrap(), 100, 1),
        (Policy::default().with_long_term(30, 2).unwrap().with_waits(crate::guarded::waits(10, 1, 60)).unwrap(), 30, 2),
    ] {
        for kind in [Kind::Parallel, Kind::Patient, Kind::Waiting] {
            let (moments, logins) = Life::new(&policy, false).year(kind);
            let bound = capacity + 365 * forgiven;
            println!("{kind:?}, {capacity} and {forgiven}: {} guesses of {bound}, {logins} logins", moments.len());
            assert!(moments.len() <= bound, "{kind:?}: {} guesses", moments.len());
            // The attacker nearly reaches the bound, so the bound is not too generous.
            assert!(moments.len() * 100 >= bound * 98, "{kind:?}: {} guesses of {bound}", moments.len());
            // The attacker uses every permitted guess, so the owner competes for the forgiven ones. With four a day the
            // owner logs in daily, with one a day every other day. Otherwise a recovery code is needed.
            assert!(logins >= if forgiven == 1 { 182 } else { 364 }, "{kind:?}: {logins}");
        }
    }
}

#[test]
fn the_odds_are_what_the_policy_says() {
    let policy = Policy::default();
    let stated = policy.guess_probability(Duration::from_secs(YEAR));
    let (moments, _) = Life::new(&policy, false).year(Kind::Patient);
    let rate = drawn(moments.len(), DRAWN) as f64 / DRAWN as f64;
    println!("{DRAWN} attackers: {:.3} % of stated {:.3} %", rate * 100.0, stated * 100.0);
    assert!((0.8..=1.2).contains(&(rate / stated)), "{rate} where {stated} is stated");
    // The control: a budget that each login of the owner refills, as a consecutive count alone would be.
    let (moments, _) = Life::new(&policy, true).year(Kind::Patient);
    let rate = drawn(moments.len(), 5_000) as f64 / 5_000.0;
    println!("refilled by the owner: {} guesses, {:.3} %", moments.len(), rate * 100.0);
    assert!(rate > 1.2 * stated, "{rate} is not above {stated}");
}

/// The same with the codes of real secrets. A few attackers have few hits, so the tolerance is four standard
/// deviations.
#[test]
fn the_odds_hold_for_real_codes() {
    let policy = Policy::default();
    let year = |refilled, kind, attackers| {
        let (moments, _) = Life::new(&policy, refilled).year(kind);
        let stated = policy.guess_probability(Duration::from_secs(YEAR)) * attackers as f64;
        let found = codes(&moments, attackers) as f64;
        println!("{kind:?}: {found} of {attackers} found a code, {stated:.1} stated");
        let few = found >= f64::min(0.8 * stated, stated - 4.0 * stated.sqrt());
        (few, found <= f64::max(1.2 * stated, stated + 4.0 * stated.sqrt()))
    };
    for kind in [Kind::Parallel, Kind::Patient, Kind::Waiting] {
        assert_eq!(year(false, kind, attackers()), (true, true), "{kind:?}");
    }
    // The control, as above. With few attackers the difference would not be visible.
    if attackers() >= 1_000 {
        assert_eq!(year(true, Kind::Patient, attackers().min(5_000)), (true, false));
    }
}

/// The attacker alternates between all flows that compare a code with a secret the attacker has not seen: login, the
/// confirmation of an imported secret (with a new enrollment each time), and resynchronization.
#[test]
fn all_paths_together_are_counted() {
    let policy = Policy::default();
    let bound = 100 + 365 * 4;
    for charged in [true, false] {
        let mut life = Life::new(&policy, false);
        let login = life.phone.code_at(START - 1800).to_string();
        let context = Context::new("al", START - 1800, &policy, &life.keyring).unwrap();
        let verified = SecondFactor::read(Some(&life.record)).unwrap().verify(&context, &login).unwrap();
        life.record = written(verified.change()).unwrap();
        assert!(matches!(verified.committed(Swap::Swapped).unwrap().value, Verdict::Accepted(_)));

        let keyring = life.keyring.clone();
        let old = Secret::from_bytes(&[9; 20]).unwrap();
        let setup = Setup::import(&KeyUri::totp("Old", "al", &old).unwrap()).unwrap();
        let (mut answered, mut now, mut record) = (0, START, life.record.clone());
        for turn in 0.. {
            let (policy, random) = (Policy::default(), Randomness::default());
            let context = Context::new("al", now, &policy, &keyring).unwrap();
            let guess = format!("{:06}", life.random.below(1_000_000));
            let mut store = |change: &Change| record = written(change).unwrap_or_else(|| record.clone());
            let refusal = match turn % 3 {
                0 => {
                    let factor = SecondFactor::read(Some(&life.record)).unwrap();
                    let transition = factor.verify(&context, &guess).unwrap();
                    store(transition.change());
                    match transition.committed(Swap::Swapped).unwrap().value {
                        Verdict::Accepted(_) => break,
                        Verdict::Refused(refused) => refused,
                    }
                }
                1 => {
                    // An account with an authenticator requires a proof for this, so the active list is emptied here.
                    let mut only: Value = serde_json::from_slice(&life.record).unwrap();
                    only["active"] = json!([]);
                    let factor = SecondFactor::read(Some(&serde_json::to_vec(&only).unwrap())).unwrap();
                    let begun = factor.enroll(&context, &random, "Old", &setup, None).unwrap();
                    let factor = SecondFactor::read(written(begun.change()).as_deref()).unwrap();
                    let transition = factor.confirm(&context, &guess).unwrap();
                    if let Some(written) = written(transition.change()) {
                        let written: Value = serde_json::from_slice(&written).unwrap();
                        let mut next: Value = serde_json::from_slice(&life.record).unwrap();
                        if charged {
                            next["budget"] = written["budget"].clone();
                        }
                        store(&Change::Write(serde_json::to_vec(&next).unwrap()));
                    }
                    match transition.committed(Swap::Swapped).unwrap().value {
                        Confirmation::Confirmed(_) => break,
                        Confirmation::Refused { refusal, .. } => refusal,
                    }
                }
                _ => {
                    let factor = SecondFactor::read(Some(&life.record)).unwrap();
                    let transition = factor.resync(&context, &guess, &guess).unwrap();
                    store(transition.change());
                    match transition.committed(Swap::Swapped).unwrap().value {
                        Resynchronization::Done { .. } => break,
                        Resynchronization::Refused(refused) => refused,
                    }
                }
            };
            life.record = record.clone();
            now = match refusal {
                Refusal::Throttled { retry_at } | Refusal::Exhausted { retry_at: Some(retry_at) } => retry_at,
                Refusal::Exhausted { retry_at: None } => {
                    // As after a login of the owner: the consecutive count is reset.
                    let mut value: Value = serde_json::from_slice(&life.record).unwrap();
                    value["budget"]["failures"] = json!(0);
                    life.record = serde_json::to_vec(&value).unwrap();
                    now
                }
                _ => {
                    answered += 1;
                    now
                }
            };
            if now >= START + YEAR || answered > 2 * bound {
                break;
            }
        }
        println!("charged on all paths: {charged}; {answered} guesses of {bound}");
        assert_eq!(answered <= bound, charged, "{answered} guesses; the control does not charge one of the paths");
    }
}

fn attackers() -> usize {
    std::env::var("KEYFOB_ATTACKERS").map_or(20, |number| number.parse().unwrap())
}

/// How many of the attackers guess one of three codes in a million, with this number of guesses each.
fn drawn(guesses: usize, attackers: usize) -> usize {
    let mut random = Random(0);
    (0..attackers).filter(|_| (0..guesses).any(|_| random.below(1_000_000) < 3)).count()
}

/// How many of the accounts have, at one of these times, a code that equals the guess made then.
fn codes(moments: &[u64], attackers: usize) -> usize {
    let mut random = Random(12);
    let secret = |random: &mut Random| Totp::new(Key::new(&random.bytes(20)).unwrap());
    let mut standing: Vec<Totp> = (0..attackers).map(|_| secret(&mut random)).collect();
    for &at in moments {
        let guess = Code::parse(&format!("{:06}", random.below(1_000_000))).unwrap();
        // Removes the last account with this code, and searches the remaining ones again.
        while let Some(index) = {
            let candidates = standing.iter().map(|totp| Candidate::totp(totp, at, Window::default()));
            search::authenticators(candidates, [&guess], |_| ControlFlow::Continue(())).unwrap().last()
        } {
            standing.swap_remove(usize::try_from(index).unwrap());
        }
    }
    attackers - standing.len()
}

/// One account, an owner who logs in once a day, and an attacker.
struct Life {
    policy: Policy,
    keyring: Keyring,
    record: Vec<u8>,
    phone: Totp,
    random: Random,
    /// The control: a success refills the whole budget.
    refilled: bool,
}

impl Life {
    fn new(policy: &Policy, refilled: bool) -> Self {
        let keyring = Keyring::parse(&format!("k:{}", *keyfob::base32::encode(&[7; 32]))).unwrap();
        // A secret of which no guess of these lives is the code. With a random one, one run in twenty would guess it.
        let randomness = crate::guard::randomness(5);
        let context = Context::new("al", START - 3600, policy, &keyring).unwrap();
        let factor = SecondFactor::read(None).unwrap();
        let begun = factor.enroll(&context, &randomness, "Example", &Setup::totp("al@example.com"), None).unwrap();
        let record = written(begun.change()).unwrap();
        let phone = begun.committed(Swap::Swapped).unwrap().value.uri().to_totp().unwrap();
        let factor = SecondFactor::read(Some(&record)).unwrap();
        let typed = phone.code_at(START - 3600).to_string();
        let confirmed = factor.confirm(&context, &typed).unwrap();
        let record = written(confirmed.change()).unwrap();
        assert!(matches!(confirmed.committed(Swap::Swapped).unwrap().value, Confirmation::Confirmed(_)));
        Self { policy: policy.clone(), keyring, record, phone, random: Random(3), refilled }
    }

    /// The times of all guesses that were answered, and the number of the owner's logins.
    fn year(mut self, kind: Kind) -> (Vec<u64>, u32) {
        let (mut moments, mut logins) = (Vec::new(), 0);
        let (mut now, mut due) = (START, START);
        while now < START + YEAR {
            if now >= due {
                let typed = self.phone.code_at(now).to_string();
                let (answer, _) = self.attempts(now, &typed, 1);
                if answer.is_none() {
                    logins += 1;
                    due = START + ((now - START) / DAY + 1) * DAY + self.random.below(3600);
                    if self.refilled {
                        let mut value: Value = serde_json::from_slice(&self.record).unwrap();
                        value["budget"]["level"] = json!(0);
                        self.record = serde_json::to_vec(&value).unwrap();
                    }
                }
            }
            let guess = format!("{:06}", self.random.below(1_000_000));
            let (answer, answered) = self.attempts(now, &guess, if kind == Kind::Parallel { 40 } else { 1 });
            moments.extend(std::iter::repeat_n(now, answered));
            now = match answer {
                Some(Refusal::Throttled { retry_at }) if kind == Kind::Waiting => due.max(retry_at),
                Some(Refusal::Throttled { retry_at } | Refusal::Exhausted { retry_at: Some(retry_at) })
                    if now < due =>
                {
                    retry_at.min(due)
                }
                Some(Refusal::Throttled { retry_at } | Refusal::Exhausted { retry_at: Some(retry_at) }) => retry_at,
                Some(Refusal::Exhausted { retry_at: None }) => break,
                _ => now,
            };
        }
        (moments, logins)
    }

    /// Runs `at_once` requests, which are decided on the same record until one of them is stored. Returns the refusal
    /// of the last one and how many were answered after a comparison.
    fn attempts(&mut self, now: u64, typed: &str, at_once: usize) -> (Option<Refusal>, usize) {
        let context = Context::new("al", now, &self.policy, &self.keyring).unwrap();
        let (mut last, mut answered) = (None, 0);
        let mut waiting = at_once;
        while waiting > 0 {
            let factor = SecondFactor::read(Some(&self.record)).unwrap();
            // All have compared the code; the first swap succeeds.
            let raced = waiting.min(3);
            let mut transitions: Vec<_> = (0..raced).map(|_| factor.verify(&context, typed).unwrap()).collect();
            let winner = transitions.swap_remove(0);
            let written = written(winner.change());
            let stored = written.is_some();
            self.record = written.unwrap_or_else(|| self.record.clone());
            last = match winner.committed(Swap::Swapped).unwrap().value {
                Verdict::Accepted(_) => None,
                Verdict::Refused(refused) => Some(refused),
            };
            answered += usize::from(matches!(last, None | Some(Refusal::WrongCode | Refusal::Replayed)));
            if stored {
                assert!(transitions.into_iter().all(|loser| loser.committed(Swap::Conflict).is_err()));
                waiting -= 1;
            } else {
                // The guard compared nothing, for none of them.
                waiting = 0;
            }
        }
        (last, answered)
    }
}

fn written(change: &Change) -> Option<Vec<u8>> {
    match change {
        Change::Write(record) => Some(record.clone()),
        _ => None,
    }
}

/// About 470 of them succeed, so 20 % is four standard deviations.
const DRAWN: usize = 100_000;
const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
const START: u64 = 1_900_022_400;
