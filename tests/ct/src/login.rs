//! Test cases for the login flow of the guard: the answer to a challenge, devices, and the enrollment with a ticket.
//!
//! As in `guard.rs`, the keys of the keyring, the typed code and everything computed from them are secret. The secret
//! in the token of a device is secret, too. The device, the challenge and the completed logins of the record are
//! public.

use std::hint::black_box;

use keyfob::guard::{Answer, Challenge, Change, Confirmation, Expectation, Login, Randomness, SignInMethod};
use keyfob::store::Swap;

use super::account::{ACCOUNTS, Account, HOTP, OUTCOMES, Outcome, TOTP, secret};
use super::guard::verdict;
use super::{Inputs, Run};

pub fn cases(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    for (kinds, name) in ACCOUNTS {
        // A login from a known device is charged to the reserve, and moves the end of the device if it succeeds.
        // Without one, the record has no completed login yet.
        for (known, device) in [(false, "no device"), (true, "known device")] {
            case(
                &format!("SecondFactor::answer to the swap, {name}, {device}"),
                Box::new(move |inputs| {
                    let mut account = Account::new(inputs, kinds);
                    let device = known.then(|| account.known_device());
                    let challenge = account.challenge(device.as_ref());
                    let outcome = account.any_outcome(inputs);
                    let typed = account.typed(inputs, outcome);
                    let decide = account.decide();
                    Box::new(move || {
                        decide(&mut |factor, context| {
                            let transition = factor.answer(context, &challenge, secret(&typed)).unwrap();
                            assert!(matches!(transition.change(), Change::Write(_)), "no outcome without a write");
                            drop(black_box(transition));
                        });
                    })
                }),
            );
        }
    }
    for kinds in [&[TOTP][..], &[TOTP, HOTP, TOTP]] {
        for (outcome, name) in OUTCOMES {
            case(
                &format!("SecondFactor::answer revealed, {} authenticators, {name}", kinds.len()),
                Box::new(move |inputs| {
                    let mut account = Account::new(inputs, kinds);
                    let device = account.known_device();
                    let challenge = account.challenge(Some(&device));
                    let typed = account.typed(inputs, (outcome, kinds.len() / 2, 0));
                    answers(account, challenge, typed, outcome == Outcome::Hit)
                }),
            );
        }
    }
    for (outcome, name) in [(Outcome::Hit, "hit"), (Outcome::Miss, "miss"), (Outcome::Replay, "used")] {
        case(
            &format!("SecondFactor::answer, recovery code, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, &[TOTP]);
                let typed = account.recovery_code(inputs, outcome);
                let challenge = account.challenge(None);
                answers(account, challenge, typed, outcome == Outcome::Hit)
            }),
        );
    }
    for (imported, name) in [(true, "imported"), (false, "shown")] {
        // The seed chooses a hit, a miss, or a code from a wrong clock.
        case(
            &format!("SecondFactor::confirm_with_ticket to the swap, {name}"),
            Box::new(move |inputs| {
                let mut account = Account::new(inputs, &[]);
                let ticket = account.ticket();
                let (outcome, ..) = account.any_outcome(inputs);
                let typed = account.waiting(inputs, imported, outcome, Some(&ticket));
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        let transition = factor.confirm_with_ticket(context, &ticket, secret(&typed)).unwrap();
                        assert!(matches!(transition.change(), Change::Write(_)), "no outcome without a write");
                        drop(black_box(transition));
                    });
                })
            }),
        );
        for (outcome, verdict) in [(Outcome::Hit, "hit"), (Outcome::Miss, "miss")] {
            case(
                &format!("SecondFactor::confirm_with_ticket revealed, {name}, {verdict}"),
                Box::new(move |inputs| {
                    let mut account = Account::new(inputs, &[]);
                    let ticket = account.ticket();
                    let typed = account.waiting(inputs, imported, outcome, Some(&ticket));
                    let decide = account.decide();
                    Box::new(move || {
                        decide(&mut |factor, context| {
                            let transition = factor.confirm_with_ticket(context, &ticket, secret(&typed)).unwrap();
                            let answer = transition.committed(Swap::Swapped).unwrap().value;
                            let confirmed = matches!(answer, Confirmation::Confirmed(_));
                            assert_eq!(confirmed, outcome == Outcome::Hit, "the case does not do what its name says");
                        });
                    })
                }),
            );
        }
    }
    for (trusted, begin) in [(true, "DeviceToken in begin_login"), (false, "SecondFactor::begin_login, known device")] {
        // The methods that compare traces leave out the names that begin with `SecondFactor`. The cases with a trusted
        // device are short enough for them, as are those of `Challenge` and `Proof`.
        for (genuine, name) in [(true, "genuine"), (false, "forged")] {
            case(
                &format!("{begin}, {name}"),
                Box::new(move |inputs| {
                    let account = Account::new(inputs, &[TOTP]);
                    let token = account.device(inputs, trusted, genuine);
                    let decide = account.decide();
                    Box::new(move || {
                        decide(&mut |factor, context| {
                            let random = Randomness::new(|bytes| {
                                bytes.fill(9);
                                Ok::<(), ()>(())
                            });
                            let expected = Expectation::Enrolled;
                            let login = factor.begin_login(context, &random, expected, Some(&token)).unwrap();
                            match login.committed(Swap::Swapped).unwrap().value {
                                Login::Complete(sign_in) => {
                                    assert!(trusted && genuine && sign_in.method() == SignInMethod::TrustedDevice);
                                }
                                Login::Challenge(challenge) => {
                                    assert!(!(trusted && genuine), "the case does not do what its name says");
                                    drop(black_box(challenge.token()));
                                }
                                Login::MustEnroll(_) => panic!("the account has an authenticator"),
                            }
                        });
                    })
                }),
            );
        }
    }
    for (genuine, name) in [(true, "genuine"), (false, "forged")] {
        case(
            &format!("Challenge, {name}"),
            Box::new(move |inputs| {
                let account = Account::new(inputs, &[TOTP]);
                let challenge = account.challenge(None);
                let mut token = challenge.token();
                if !genuine {
                    // Change a symbol of the MAC, but not its last symbol, which has unused bits.
                    let end = token.len() - 7;
                    let other = if token.as_bytes()[end] == b'A' { "B" } else { "A" };
                    token.replace_range(end..=end, other);
                }
                let challenge = Challenge::from_token(&token).unwrap();
                let decide = account.decide();
                Box::new(move || {
                    decide(&mut |factor, context| {
                        // Text that has no form of a code, so only the challenge is checked.
                        assert_eq!(factor.answer(context, &challenge, "").is_ok(), genuine);
                    });
                })
            }),
        );
    }
    controls(case);
}

/// Answers a challenge and reveals the verdict.
fn answers(account: Account, challenge: Challenge, typed: Vec<u8>, hit: bool) -> Run {
    let decide = account.decide();
    Box::new(move || {
        decide(&mut |factor, context| {
            let transition = factor.answer(context, &challenge, secret(&typed)).unwrap();
            let answer = transition.committed(Swap::Swapped).unwrap().value;
            assert_eq!(matches!(answer, Answer::Accepted(_)), hit, "the case does not do what its name says");
        });
    })
}

/// Controls: straightforward implementations that reveal the verdict before the swap, or a part of a device's token.
fn controls(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    case(
        "control of the guard, completed login stored in a branch",
        Box::new(|inputs| {
            let (accepted, mut slots) = (verdict(inputs), [(0u64, 0u64); 16]);
            Box::new(move || {
                if black_box(accepted) != 0 {
                    black_box(&mut slots)[3] = (17, 30_000_300);
                }
                black_box(&slots);
            })
        }),
    );
    case(
        "control of the guard, completed logins in a list that grows",
        Box::new(|inputs| {
            let (accepted, logins) = (verdict(inputs), vec![(17u64, 30_000_300u64)]);
            Box::new(move || {
                let more = (black_box(accepted) & 1) as usize;
                drop(black_box(black_box(&logins).repeat(1 + more)));
            })
        }),
    );
    case(
        "control of the guard, slot of a completed login chosen by the verdict",
        Box::new(|inputs| {
            let (accepted, mut slots) = (verdict(inputs), [0u64; 2]);
            Box::new(move || {
                // One slot is real, and the other is for the logins that are not completed.
                black_box(&mut slots)[(black_box(accepted) & 1) as usize] = 17;
                black_box(&slots);
            })
        }),
    );
    case(
        "control of the guard, end of a known device moved in a branch",
        Box::new(|inputs| {
            let (accepted, mut ends) = (verdict(inputs), [30_000_000u64; 3]);
            Box::new(move || {
                for end in black_box(&mut ends).iter_mut().filter(|_| black_box(accepted) != 0) {
                    *end = black_box(45_000_000);
                }
                black_box(&ends);
            })
        }),
    );
    case(
        "control of the guard, device tokens compared by ==",
        Box::new(|inputs| {
            let (hash, stored) = (inputs.bytes::<32>(), [7u8, 8, 9].map(|byte| (byte, [byte; 32])));
            Box::new(move || {
                let hash: &[u8] = black_box(&hash);
                let device = black_box(&stored).iter().find(|(_, stored)| stored.as_slice() == hash);
                black_box(device.map(|(id, _)| *id));
            })
        }),
    );
}
