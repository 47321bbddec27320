use futures_lite::future::block_on;
use keyfob::Policy;
use keyfob::guard::{
    Accepted, Answer, Context, EventKind, Flow, GuardErrorKind, Method, Purpose, Randomness, RecoveryCodes, Refusal,
    SecondFactor, Setup,
};

use super::{AL, DAY, World, keyring, randomness};
use crate::Random;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The symbols of a code as numbers.
fn symbols(code: &str) -> Vec<u8> {
    let number = |c: u8| ALPHABET.iter().position(|&symbol| symbol == c).unwrap().try_into().unwrap();
    code.bytes().filter(|&c| c != b'-').map(number).collect()
}

fn text(symbols: &[u8]) -> String {
    symbols.iter().map(|&symbol| char::from(ALPHABET[usize::from(symbol)])).collect()
}

/// The sum of the data symbols times powers of x in GF(2)[x] / (x^5 + x^2 + 1), by long division: the last data symbol
/// times x, the one before times x^2, and so on.
fn check(data: &[u8]) -> u8 {
    let times = |symbol: u8, power: usize| {
        let mut product = u64::from(symbol) << power;
        (5..64).rev().for_each(|bit| product ^= if product >> bit & 1 == 1 { 0b10_0101 << (bit - 5) } else { 0 });
        u8::try_from(product).unwrap()
    };
    data.iter().rev().zip(1..).fold(0, |sum, (&symbol, power)| sum ^ times(symbol, power))
}

#[test]
fn every_single_typing_mistake_is_caught_by_the_check_symbol() {
    let (world, _, codes) = World::enrolled();
    let before = world.stored(AL);
    let mut random = Random(3);
    let others = (0..20).map(|_| {
        let mut code: Vec<u8> = (0..23).map(|_| random.below(32).try_into().unwrap()).collect();
        code.push(check(&code));
        code
    });
    // A code of nobody is told from a typing mistake, which is what makes the rest a test.
    let wrong = |code: &[u8]| world.verify(&text(code)).unwrap_err();
    for code in codes[..4].iter().map(|code| symbols(code)).chain(others) {
        assert_eq!(code[23], check(&code[..23]));
        for position in 0..24 {
            for mistake in 1..32 {
                let mut typed = code.clone();
                typed[position] ^= mistake;
                assert_eq!(wrong(&typed), Refusal::Malformed, "symbol {position} ^ {mistake} of {code:?}");
            }
        }
        for (a, b) in (0..23).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let mut typed = code.clone();
            typed.swap(a, b);
            if typed != code {
                assert_eq!(wrong(&typed), Refusal::Malformed, "{a} and {b} of {code:?}");
            }
        }
        let mut two = code.clone();
        two[0] ^= 1;
        two[23] = check(&two[..23]);
        assert_eq!(wrong(&two), Refusal::WrongCode);
    }
    assert_eq!(world.stored(AL), before, "a miss wrote something");
    assert_eq!(world.status().consecutive_failures(), 0);
}

#[test]
fn a_code_may_be_typed_as_it_is_read() {
    type Spell = fn(&str) -> String;
    let spellings: [Spell; 10] = [
        str::to_owned,
        str::to_lowercase,
        |code| code.replace('-', ""),
        |code| code.replace('-', " "),
        |code| format!("\t{}\r\n", code.replace('-', "\u{a0}-\u{2009}")),
        |code| code.replace('0', "O").replace('1', "I"),
        |code| code.replace('0', "o").replace('1', "l"),
        |code| code.replace('1', "L").to_lowercase(),
        |code| format!("\u{2068}{}\u{2069}", code.replace('-', "\u{2013}\u{200b}")),
        // As long as a text may be.
        |code| format!("{code}{}", "-".repeat(128 - code.len())),
    ];
    let mut seen = String::new();
    for seed in 0..3 {
        let mut world = World::new();
        world.guard = world.guard.with_randomness(randomness(seed));
        let (_, codes) = world.add(AL, &Setup::totp("al@example.com"), None);
        seen.extend(codes.iter().map(String::as_str));
        for (code, spell) in codes.iter().zip(spellings) {
            assert_eq!(world.verify(&spell(code)).unwrap().method(), Method::RecoveryCode, "{}", spell(code));
        }
    }
    // Full-width, and with digits of another script.
    let wide = |code: &str| {
        let wide = |c: char| if c == '-' { '\u{ff0d}' } else { char::from_u32(u32::from(c) + 0xfee0).unwrap() };
        code.chars().map(wide).collect::<String>()
    };
    let arabic = |code: &str| {
        let digit = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(0x0660 + digit)).unwrap_or(c);
        code.chars().map(digit).collect::<String>()
    };
    let (world, _, codes) = World::enrolled();
    for (code, spelled) in codes.iter().zip([wide(&codes[0]), wide(&codes[1].to_lowercase()), arabic(&codes[2])]) {
        assert_eq!(world.verify(&spelled).unwrap().method(), Method::RecoveryCode, "{spelled} for {code}");
    }
    for seed in 3..6 {
        let mut world = World::new();
        world.guard = world.guard.with_randomness(randomness(seed));
        let (_, codes) = world.add(AL, &Setup::totp("al@example.com"), None);
        let code = &codes[9];
        for typed in [
            format!("{code}{}", "-".repeat(129 - code.len())),
            format!("{code}0"),
            code[1..].to_owned(),
            code.replacen(|c: char| c.is_ascii_alphanumeric(), "U", 1),
            code.replace('-', "_"),
            code.replacen('-', "\u{2022}", 1),
            code.replacen('-', "\u{301}", 1),
        ] {
            assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Malformed, "{typed}");
        }
    }
    assert!(seen.contains('0') && seen.contains('1'), "nothing was folded");
}

#[test]
fn each_code_is_accepted_once_in_any_order() {
    let (world, _, mut codes) = World::enrolled();
    let mut random = Random(1);
    for left in (0..10u8).rev() {
        world.pass(DAY);
        let code = codes.remove(usize::try_from(random.below(codes.len() as u64)).unwrap());
        let accepted = world.verify(&code).unwrap();
        assert_eq!((accepted.method(), accepted.authenticator()), (Method::RecoveryCode, None));
        assert!(accepted.recovery_codes_left() == left && world.status().recovery_codes_left() == left);
        assert_eq!(world.heard()[1..], [EventKind::Recovered { left }]);
        let before = world.stored(AL);
        assert_eq!(world.verify(&code).unwrap_err(), Refusal::Replayed);
        assert_eq!(world.heard(), [EventKind::Refused { reason: Refusal::Replayed }]);
        assert_eq!(world.stored(AL), before, "a replay cannot be a guess");
    }
}

#[test]
fn new_codes_end_all_old_ones() {
    let (world, mut phone, old) = World::enrolled();
    assert!(world.verify(&old[0]).is_ok());
    let proof = world.prove(&mut phone, &Purpose::REGENERATE);
    world.heard();
    let new = block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
    assert_eq!(world.heard(), [EventKind::RecoveryCodesRegenerated]);
    assert!(new.iter().all(|code| !old.contains(&code.to_owned())));
    let before = world.stored(AL);
    for code in &old {
        assert_eq!(world.verify(code).unwrap_err(), Refusal::WrongCode);
    }
    assert_eq!(world.stored(AL), before);
    for code in new.iter() {
        assert!(world.verify(code).is_ok());
    }
}

#[test]
fn a_code_ends_waits_and_lifts_a_budget_only_when_it_is_exhausted() {
    let (world, phone, codes) = World::enrolled();
    let level = |world: &World| world.record()["budget"]["level"].as_u64().unwrap();
    world.fail(&phone, 7);
    let before = level(&world);
    assert!(matches!(world.verify(&phone.wrong(world.now())), Err(Refusal::Throttled { .. })));
    assert!(world.verify(&codes[0]).is_ok(), "whoever guesses keeps the owner out of recovery");
    assert!(!world.heard().contains(&EventKind::Unlocked));
    assert_eq!((world.status().consecutive_failures(), level(&world)), (0, before), "guesses were refilled");
}

fn replace(world: &World, accepted: &Accepted) -> Result<Option<RecoveryCodes>, GuardErrorKind> {
    block_on(world.guard.replace_recovery_code(accepted)).map_err(|error| error.kind())
}

/// The one code that a replacement returns.
fn single(codes: &RecoveryCodes) -> String {
    let [code] = codes.iter().collect::<Vec<_>>()[..] else { panic!("{} codes", codes.iter().len()) };
    code.into()
}

#[test]
fn who_replaces_each_used_code_never_runs_out() {
    // The control does not replace them.
    for replaces in [true, false] {
        let (world, _, mut codes) = World::enrolled();
        let mut spent = Vec::new();
        for round in 0..10u8 {
            let code = codes.remove(0);
            let accepted = world.verify(&code).unwrap();
            spent.push(code);
            let left = if replaces { 9 } else { 9 - round };
            assert_eq!((accepted.recovery_codes_left(), world.status().recovery_codes_left()), (left, left));
            if !replaces {
                continue;
            }
            let others = world.record()["recovery"]["codes"].clone();
            world.heard();
            let new = replace(&world, &accepted).unwrap().unwrap();
            assert_eq!(world.heard(), [EventKind::RecoveryCodeReplaced { left: 10 }]);
            assert_eq!(world.status().recovery_codes_left(), 10);
            // The session that the login began is still current, and the other codes are as they were.
            assert_eq!((new.generation(), world.status().generation()), (accepted.generation(), accepted.generation()));
            let now = world.record()["recovery"]["codes"].clone();
            let changed =
                others.as_array().unwrap().iter().zip(now.as_array().unwrap()).filter(|(old, new)| old != new);
            assert_eq!(changed.count(), 1);
            let new = single(&new);
            assert!(!codes.contains(&new) && !spent.contains(&new));
            codes.push(new);
            // Nobody gets two for one.
            let stored = world.stored(AL);
            assert!(replace(&world, &accepted).unwrap().is_none());
            assert!(world.stored(AL) == stored && world.heard().is_empty());
        }
        for code in &spent {
            assert!(world.verify(code).is_err(), "a code that was replaced is accepted");
        }
        assert_eq!(codes.len(), if replaces { 10 } else { 0 });
        // The new ones are as good as the first, and each of them is accepted once.
        for code in &codes {
            assert_eq!(world.verify(code).unwrap().method(), Method::RecoveryCode);
            assert_eq!(world.verify(code).unwrap_err(), Refusal::Replayed);
        }
    }
}

#[test]
fn a_code_is_replaced_shortly_after_it_was_used_and_if_nothing_has_changed() {
    type Change = fn(&World, &[String]);
    let rows: [(&str, bool, Change); 8] = [
        ("nothing", true, |_, _| {}),
        ("the lifetime of a proof, almost", true, |world, _| world.pass(299)),
        ("the lifetime of a proof", false, |world, _| world.pass(300)),
        ("another recovery code", false, |world, codes| assert!(world.verify(&codes[1]).is_ok())),
        ("a new password", false, |world, _| block_on(world.guard.forget_devices(AL)).map(drop).unwrap()),
        ("a restored backup", false, |world, _| {
            block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).map(drop).unwrap();
        }),
        ("a suspension", false, |world, _| {
            block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
            block_on(world.guard.operator_resume(AL, &crate::operator())).unwrap();
        }),
        ("a removal", false, |world, _| {
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
        }),
    ];
    for (name, good, change) in rows {
        let (world, _, codes) = World::enrolled();
        let accepted = world.verify(&codes[0]).unwrap();
        change(&world, &codes);
        world.heard();
        let before = world.stored(AL);
        let kind = GuardErrorKind::ProofRejected;
        match replace(&world, &accepted) {
            Ok(new) => assert!(good && new.is_some(), "{name}"),
            Err(refused) => {
                assert!(!good && refused == kind, "{name}");
                assert_eq!(world.heard(), [EventKind::Failed { flow: Flow::ReplaceRecoveryCode, kind }], "{name}");
                assert_eq!(world.stored(AL), before, "{name}");
            }
        }
    }
    // New codes are a change as well: the used one is not among them.
    let (world, _, codes) = World::enrolled();
    let accepted = world.verify(&codes[0]).unwrap();
    let proof = world.guard.prove(&accepted, &Purpose::REGENERATE);
    block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
    assert_eq!(replace(&world, &accepted).unwrap_err(), GuardErrorKind::ProofRejected);

    let (world, _, codes) = World::enrolled();
    let accepted = world.verify(&codes[0]).unwrap();
    block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
    assert_eq!(replace(&world, &accepted).unwrap_err(), GuardErrorKind::Suspended);
    // Without a guard, the application names the user.
    let (world, _, codes) = World::enrolled();
    let accepted = world.verify(&codes[0]).unwrap();
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
    for (user, good) in [(AL, true), ("bo", false)] {
        let context = Context::new(user, world.now(), &policy, &ring).unwrap();
        assert_eq!(factor.replace_recovery_code(&context, &Randomness::default(), &accepted).is_ok(), good, "{user}");
    }
}

#[test]
fn a_code_of_an_app_brings_no_recovery_code() {
    let (world, mut phone, codes) = World::enrolled();
    let Answer::Accepted(sign_in) = world.log_in(&phone.code(world.now()), None) else { panic!() };
    let stored = world.stored(AL);
    world.heard();
    // Also while a used code is there that could be replaced.
    assert!(replace(&world, sign_in.accepted().unwrap()).unwrap().is_none());
    assert!(world.stored(AL) == stored && world.heard().is_empty());
    assert!(world.verify(&codes[0]).is_ok());
    world.pass(30);
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    assert!(replace(&world, &accepted).unwrap().is_none());
    assert_eq!(world.status().recovery_codes_left(), 9);
    // The control: the sign-in that rests on a recovery code.
    let Answer::Accepted(sign_in) = world.log_in(&codes[1], None) else { panic!() };
    let new = single(&replace(&world, sign_in.accepted().unwrap()).unwrap().unwrap());
    assert_eq!(world.status().recovery_codes_left(), 9);
    assert!(world.verify(&new).is_ok());

    // An account that was adopted has none to replace.
    world.edit(|record| drop(record.as_object_mut().unwrap().remove("recovery")));
    world.pass(30);
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    assert!(replace(&world, &accepted).unwrap().is_none());
}

#[test]
fn codes_are_distinct_and_their_symbols_uniform() {
    const SETS: usize = 300;
    let mut world = World::new();
    world.guard = world.guard.with_randomness(randomness(99));
    let codes: Vec<String> =
        (0..SETS).flat_map(|n| world.add(&n.to_string(), &Setup::totp("al@example.com"), None).1).collect();
    assert!(codes.len() == 10 * SETS && codes.iter().all(|code| code.len() == 29));
    let mut distinct = codes.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), codes.len());

    let all: Vec<u8> = codes.iter().flat_map(|code| symbols(code)).collect();
    // Chi-squared of 31 degrees of freedom: above 73 once in twenty thousand. The source is the same on every run.
    assert!(chi_squared(all.iter().copied()) < 73.0);
    for position in 0..24 {
        assert!(chi_squared(all.iter().skip(position).step_by(24).copied()) < 73.0, "symbol {position}");
    }
    // The bias of a remainder by 31, and of one symbol that is a little rarer.
    let mut random = Random(5);
    assert!(chi_squared(all.iter().map(|_| u8::try_from(random.below(256) % 31).unwrap())) > 73.0);
    assert!(
        chi_squared(all.iter().map(|&symbol| if symbol == 0 { random.below(12).min(1) as u8 } else { symbol })) > 73.0
    );
}

fn chi_squared(symbols: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0.0; 32];
    symbols.for_each(|symbol| counts[usize::from(symbol)] += 1.0);
    let expected = counts.iter().sum::<f64>() / 32.0;
    counts.iter().map(|count| (count - expected) * (count - expected) / expected).sum()
}
