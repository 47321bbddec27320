use keyfob::{Algorithm, Code, Digits, ErrorKind, Hotp, Key, LookAhead};
use proptest::prelude::*;

use crate::{data, hex, number, oracle, rows, text};

const KEY: &[u8; 20] = b"12345678901234567890";

fn hotp() -> Hotp {
    Hotp::new(Key::new(KEY).unwrap())
}

#[test]
fn rfc4226_appendix_d() {
    let file = data("rfc4226_hotp");
    let key = hex(text(&file, "secret_hex"));
    for row in rows(&file, "vectors") {
        for (digits, name) in [(Digits::Six, "otp6"), (Digits::Seven, "otp7"), (Digits::Eight, "otp8")] {
            let hotp = Hotp::new(Key::new(&key).unwrap()).with_digits(digits);
            assert_eq!(hotp.code(number(row, "counter")).to_string(), text(row, name));
        }
    }
}

#[test]
fn the_matched_counter_is_returned_forward_only() {
    let hotp = hotp();
    let look_ahead = LookAhead::new(3).unwrap();
    for counter in 0..40 {
        let expected = (20..=23).contains(&counter).then_some(counter);
        assert_eq!(hotp.verify(&hotp.code(counter), 20, look_ahead), expected, "{counter}");
    }
    assert_eq!(hotp.verify(&hotp.code(20), 20, LookAhead::NONE), Some(20));
    assert_eq!(hotp.verify(&hotp.code(21), 20, LookAhead::NONE), None);
}

#[test]
fn the_last_counters() {
    let hotp = hotp();
    assert_eq!(hotp.code(u64::MAX).to_string(), "094451");
    for counter in u64::MAX - 20..=u64::MAX {
        let from = counter.saturating_sub(2);
        assert_eq!(hotp.verify(&hotp.code(counter), from, LookAhead::new(10).unwrap()), Some(counter));
        assert_eq!(hotp.verify(&hotp.code(counter), u64::MAX, LookAhead::NONE).is_some(), counter == u64::MAX);
    }
    assert_eq!(hotp.verify(&hotp.code(0), u64::MAX, LookAhead::default()), None);
    let last = (hotp.code(u64::MAX - 1), hotp.code(u64::MAX));
    assert_eq!(hotp.resync(&last.0, &last.1, u64::MAX - 5, u16::MAX), Some(u64::MAX));
    assert_eq!(hotp.resync(&last.1, &hotp.code(0), u64::MAX - 5, u16::MAX), None);
}

/// With the key of RFC 4226 these two counters have one code of six digits. The earlier must not be the answer, or the
/// code would be good a second time.
#[test]
fn of_two_counters_with_one_code_the_later_is_returned() {
    let hotp = hotp();
    let [earlier, later] = COLLISION;
    assert_eq!(hotp.code(earlier).to_string(), hotp.code(later).to_string());
    let matched = hotp.verify(&hotp.code(earlier), earlier, LookAhead::new(10).unwrap());
    assert_eq!(matched, Some(later));
    assert_eq!(hotp.verify(&hotp.code(earlier), later + 1, LookAhead::new(10).unwrap()), None);
    let alone = LookAhead::new((later - earlier - 1) as u8).unwrap();
    assert_eq!(hotp.verify(&hotp.code(earlier), earlier, alone), Some(earlier));
}

#[test]
fn codes_of_another_length_are_refused() {
    let hotp = hotp();
    let seven = hotp.clone().with_digits(Digits::Seven);
    assert_eq!(hotp.verify(&seven.code(0), 0, LookAhead::default()), None);
    assert_eq!(hotp.resync(&hotp.code(0), &seven.code(1), 0, 10), None);
    assert_eq!(hotp.resync(&seven.code(0), &hotp.code(1), 0, 10), None);
}

#[test]
fn resynchronization_needs_two_consecutive_codes_in_order() {
    let hotp = hotp();
    let code = |counter| hotp.code(counter);
    assert_eq!(hotp.resync(&code(999), &code(1000), 0, 1000), Some(1000));
    assert_eq!(hotp.resync(&code(0), &code(1), 0, 1), Some(1));
    assert_eq!(hotp.resync(&code(0), &code(1), 0, 0), None, "one counter");
    assert_eq!(hotp.resync(&code(1000), &code(1001), 0, 1000), None, "beyond the range");
    assert_eq!(hotp.resync(&code(9), &code(10), 10, 1000), None, "before the range");
    assert_eq!(hotp.resync(&code(500), &code(502), 0, 1000), None, "not consecutive");
    assert_eq!(hotp.resync(&code(501), &code(500), 0, 1000), None, "wrong order");
    assert_eq!(hotp.resync(&code(500), &code(500), 0, 1000), None, "one code twice");
}

#[test]
fn look_ahead() {
    for counters in 0..=u8::MAX {
        match LookAhead::new(counters) {
            Ok(valid) => assert!(counters <= 10 && valid.get() == counters),
            Err(error) => assert!(counters > 10 && error.kind() == ErrorKind::LookAhead),
        }
    }
    assert_eq!(LookAhead::default().get(), 5);
}

proptest! {
    /// Against the definition: the last counter of the range whose code, as the oracle computes it, is the typed one.
    #[test]
    fn verify_is_its_definition(
        key in prop::collection::vec(any::<u8>(), 10..80),
        from in prop_oneof![any::<u64>(), 0u64..100, u64::MAX - 100..=u64::MAX],
        offset in 0u64..14,
        look_ahead in 0u8..=10,
    ) {
        let hotp = Hotp::with_algorithm(Key::new(&key).unwrap(), Algorithm::Sha256);
        let typed = oracle::code(Algorithm::Sha256, &key, from.wrapping_add(offset), 6);
        let expected = (from..=from.saturating_add(look_ahead.into()))
            .rfind(|counter| oracle::code(Algorithm::Sha256, &key, *counter, 6) == typed);
        let typed = Code::parse(&typed).unwrap();
        prop_assert_eq!(hotp.verify(&typed, from, LookAhead::new(look_ahead).unwrap()), expected);
    }
}

/// Found by computing the first three million codes.
pub const COLLISION: [u64; 2] = [2386, 2394];
