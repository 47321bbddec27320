//! Test cases for the state transitions of the guard, from the parsed record to the record that will be written.
//!
//! The keys of the keyring are secret, and so is everything that they decrypt and every MAC computed with them. The
//! typed code is also secret, and so is the result of every comparison with it.

use std::hint::black_box;

use keyfob::Verdict;
use keyfob::guard::{Change, Proof, Purpose, Resynchronization};
use keyfob::store::Swap;

use super::account::{ACCOUNTS, Account, HOTP, OUTCOMES, Outcome, TOTP, secret};
use super::{Inputs, Run};
use crate::valgrind::poison;

pub fn cases(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    for (kinds, name) in ACCOUNTS {
        // The seed chooses the outcome (hit, miss, replay or free repetition), the authenticator, and the step in the
        // window. None of these may be observable before the swap.
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
        for (outcome, name) in OUTCOMES {
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
                let (outcome, position, _) = account.any_outcome(inputs);
                let ahead = 3 + inputs.next() % 60;
                let typed = [0, 1].map(|more| account.typed(inputs, (outcome, position, ahead + more)));
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
                let (outcome, ..) = account.any_outcome(inputs);
                let typed = account.waiting(inputs, imported, outcome, None);
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
                let mut token = account.proof(&Purpose::DISABLE).token(SESSION);
                if !genuine {
                    // Change a symbol of the MAC, but not its last symbol, which has unused bits.
                    let end = token.len() - 7;
                    let other = if token.as_bytes()[end] == b'A' { "B" } else { "A" };
                    token.replace_range(end..=end, other);
                }
                let proof = Proof::from_token(&token).unwrap().in_session(SESSION);
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

/// Returns a secret mask: the verdict of a control.
pub fn verdict(inputs: &mut Inputs) -> u64 {
    let mut mask = (inputs.next() & 1).wrapping_neg();
    poison(&mut mask);
    mask
}

/// The session of the proofs.
const SESSION: &str = "8812";
