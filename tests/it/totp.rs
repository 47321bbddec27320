use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::{Algorithm, Code, Digits, ErrorKind, Key, Period, Step, Totp, Window};
use proptest::prelude::*;

use crate::hotp::COLLISION;
use crate::{data, hex, number, oracle, rows, text, to_hex};

const KEY: &[u8; 20] = b"12345678901234567890";

fn totp() -> Totp {
    Totp::new(Key::new(KEY).unwrap())
}

fn window(behind: u8, ahead: u8) -> Window {
    Window::new(behind, ahead).unwrap()
}

fn algorithm(name: &str) -> Algorithm {
    match name {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        _ => panic!("{name}"),
    }
}

#[test]
fn rfc6238_appendix_b() {
    let file = data("rfc6238_totp");
    let vectors = rows(&file, "vectors");
    assert_eq!(vectors.len(), 18);
    for row in vectors {
        let name = text(row, "algorithm");
        let seed = hex(text(&file["seeds"][name], "hex"));
        let totp = Totp::with_algorithm(Key::new(&seed).unwrap(), algorithm(name)).with_digits(Digits::Eight);
        let time = number(row, "time");
        let mac = oracle::hmac(algorithm(name), &seed, &number(row, "step").to_be_bytes());
        assert_eq!(to_hex(&mac), text(row, "hmac_hex"));
        assert_eq!(totp.code_at(time).to_string(), text(row, "otp8"), "{row}");
        let typed = Code::parse(text(row, "otp8")).unwrap();
        assert_eq!(totp.verify(&typed, time, Window::CURRENT), Some(totp.step(time)));
    }
}

/// The prose of RFC 6238 gives one seed of 20 bytes; with it the other two algorithms give other codes (erratum 2866).
#[test]
fn the_short_seed_gives_other_codes() {
    for (algorithm, code) in [(Algorithm::Sha256, "32247374"), (Algorithm::Sha512, "69342147")] {
        let totp = Totp::with_algorithm(Key::new(KEY).unwrap(), algorithm).with_digits(Digits::Eight);
        assert_eq!(totp.code_at(59).to_string(), code);
    }
}

#[test]
fn windows_are_asymmetric_and_return_the_matched_step() {
    let totp = totp();
    let now = 59_000_000u64 * 30 + 7;
    for (behind, ahead) in [(0, 0), (1, 1), (2, 0), (0, 2), (10, 0), (0, 10), (10, 10), (1, 3)] {
        for offset in -12..=12 {
            let code = totp.code_at(now.saturating_add_signed(offset * 30));
            let inside = -i64::from(behind) <= offset && offset <= i64::from(ahead);
            let expected = inside.then(|| Step::new(59_000_000u64.saturating_add_signed(offset)));
            assert_eq!(totp.verify(&code, now, window(behind, ahead)), expected, "{behind}/{ahead} {offset}");
        }
    }
}

#[test]
fn the_first_and_the_last_steps() {
    let totp = totp();
    assert_eq!(totp.verify(&totp.code_at(0), 0, window(10, 10)), Some(Step::new(0)));
    assert_eq!(totp.verify(&totp.code_at(45), 0, window(10, 1)), Some(Step::new(1)));

    let seconds = totp.with_period(Period::new(1).unwrap());
    for at in u64::MAX - 12..=u64::MAX {
        let code = seconds.code_at(at);
        assert_eq!(seconds.step(at).get(), at);
        assert_eq!(seconds.remaining(at), 1);
        assert_eq!(seconds.verify(&code, u64::MAX - 5, window(10, 10)), Some(Step::new(at)), "{at}");
    }
    assert_eq!(seconds.verify(&seconds.code_at(0), u64::MAX, window(10, 10)), None);

    let days = seconds.with_period(Period::new(86_400).unwrap());
    let last = u64::MAX / 86_400;
    assert_eq!(days.step(u64::MAX).get(), last);
    assert_eq!(days.verify(&days.code_at(u64::MAX), u64::MAX, window(1, 1)), Some(Step::new(last)));
    assert_eq!(u64::from(days.remaining(u64::MAX)), 86_400 - u64::MAX % 86_400);
}

#[test]
fn steps_count_from_t0() {
    let t0 = 1_000_000;
    let totp = totp().with_t0(t0).with_period(Period::new(60).unwrap());
    assert_eq!(totp.step(t0 + 59), Step::new(0));
    assert_eq!(totp.step(t0 + 60), Step::new(1));
    assert_eq!(totp.remaining(t0 + 59), 1);
    assert_eq!(totp.remaining(t0 + 60), 60);
    assert_eq!(totp.code_at(t0 + 60).to_string(), oracle::code(Algorithm::Sha1, KEY, 1, 6));

    // While T0 is to come there is no step, and a code that would be good until then must not be.
    let first = totp.code_at(t0);
    assert_eq!(totp.code_at(0).to_string(), first.to_string());
    for at in [0, 1, t0 - 1] {
        assert_eq!(totp.verify(&first, at, window(10, 10)), None);
        assert_eq!(totp.resync(&first, &totp.code_at(t0 + 60), at, 1000), None);
    }
    assert_eq!(totp.verify(&first, t0, Window::default()), Some(Step::new(0)));
    assert_eq!(totp.with_t0(u64::MAX).verify(&first, u64::MAX, window(10, 10)), Some(Step::new(0)));
}

#[test]
fn of_two_steps_with_one_code_the_newest_is_returned() {
    let totp = totp();
    let [earlier, later] = COLLISION;
    let code = totp.code_at(earlier * 30);
    assert_eq!(totp.verify(&code, earlier * 30, window(0, 10)), Some(Step::new(later)));
    assert_eq!(totp.verify(&code, later * 30, window(10, 0)), Some(Step::new(later)));
    assert_eq!(totp.verify(&code, earlier * 30, window(10, 0)), Some(Step::new(earlier)));
}

#[test]
fn resynchronization_reaches_both_ways() {
    let totp = totp();
    let now = 1_800_000_000u64;
    let current = totp.step(now);
    let resync = |offset: i64| {
        let second = now.saturating_add_signed(offset * 30);
        totp.resync(&totp.code_at(second - 30), &totp.code_at(second), now, 200)
    };
    for offset in [-199, -1, 0, 1, 199, 200] {
        assert_eq!(resync(offset).map(|step| step.offset_from(current)), Some(offset));
    }
    // Both codes must lie within the range.
    for offset in [-200, -201, 201] {
        assert_eq!(resync(offset), None);
    }
    assert_eq!(totp.resync(&totp.code_at(now), &totp.code_at(now + 60), now, 200), None);
}

#[test]
fn offsets_between_steps() {
    let offset = |a, b| Step::new(a).offset_from(Step::new(b));
    assert_eq!([offset(5, 3), offset(3, 5), offset(7, 7)], [2, -2, 0]);
    assert_eq!([offset(u64::MAX, 0), offset(0, u64::MAX)], [i64::MAX, -i64::MAX]);
}

#[test]
fn periods_and_windows() {
    for seconds in [1, 30, 60, 86_400] {
        assert_eq!(Period::new(seconds).unwrap().seconds(), seconds);
    }
    for seconds in [0, 86_401, u32::MAX] {
        assert_eq!(Period::new(seconds).unwrap_err().kind(), ErrorKind::Period);
    }
    for (behind, ahead) in [(11, 0), (0, 11), (255, 255)] {
        assert_eq!(Window::new(behind, ahead).unwrap_err().kind(), ErrorKind::Window);
    }
    assert_eq!((Window::default().behind(), Window::default().ahead()), (1, 1));
}

#[test]
fn the_present() {
    let totp = totp();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // The step or the second may change between two readings of the clock, but not each time.
    assert!((0..3).any(|_| totp.verify_now(&totp.code_at(now()), Window::CURRENT).is_some()));
    assert!((0..3).any(|_| totp.verify(&totp.code_now(), now(), Window::CURRENT).is_some()));
    assert!((0..3).any(|_| totp.remaining_now() == totp.remaining(now())));
    assert_eq!(Step::new(7).to_string(), "7");
}

proptest! {
    #[test]
    fn verify_is_its_definition(
        key in prop::collection::vec(any::<u8>(), 10..70),
        at in prop_oneof![any::<u64>(), 0u64..1000, u64::MAX - 1000..=u64::MAX],
        t0 in prop_oneof![Just(0u64), any::<u64>()],
        period in 1u32..=86_400,
        offset in -12i64..=12,
        behind in 0u8..=10,
        ahead in 0u8..=10,
    ) {
        let totp = Totp::new(Key::new(&key).unwrap()).with_period(Period::new(period).unwrap()).with_t0(t0);
        let current = at.saturating_sub(t0) / u64::from(period);
        let typed = oracle::code(Algorithm::Sha1, &key, current.saturating_add_signed(offset), 6);
        let (first, last) = (current.saturating_sub(behind.into()), current.saturating_add(ahead.into()));
        let expected = (first..=last)
            .rfind(|step| at >= t0 && oracle::code(Algorithm::Sha1, &key, *step, 6) == typed)
            .map(Step::new);
        prop_assert_eq!(totp.verify(&Code::parse(&typed).unwrap(), at, window(behind, ahead)), expected);
        prop_assert!((1..=period).contains(&totp.remaining(at)));
    }
}
