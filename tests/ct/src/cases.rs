//! The functions under test, and the controls. A control leaks a secret on purpose, and every method must report it.

mod account;
mod guard;
mod login;

use std::hint::black_box;
use std::ops::ControlFlow;

use keyfob::search::{self, Candidate};
use keyfob::{Algorithm, Code, Digits, Hotp, Key, LookAhead, Secret, Steam, SteamCode, Totp, Window, base32, ct};

use crate::valgrind::{declassify, poison};

pub struct Case {
    /// If the name begins with `control`, the function leaks. A method that does not report it proves nothing.
    pub name: String,
    prepare: Box<dyn Fn(&mut Inputs) -> Run>,
}

pub type Run = Box<dyn FnMut()>;

impl Case {
    /// Creates the inputs for this seed and returns the function under test.
    pub fn prepare(&self, seed: u64) -> Run {
        (self.prepare)(&mut Inputs(seed))
    }
}

/// Generates secret inputs from the seed. In one test case, all seeds lead to the same lengths and the same verdict.
pub struct Inputs(u64);

impl Inputs {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.iter_mut().for_each(|byte| *byte = self.next().to_le_bytes()[0]);
        poison(&mut bytes);
        bytes
    }

    /// Returns a secret number below `bound`, which must be a power of two.
    fn below(&mut self, bound: u64) -> u64 {
        let mut number = self.next() & (bound - 1);
        poison(&mut number);
        number
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, prepare: Box<dyn Fn(&mut Inputs) -> Run>| {
        cases.push(Case { name: name.to_owned(), prepare });
    };

    // Use lengths around the boundaries between the unrolled code and the block loops.
    eq::<1>(&mut case);
    eq::<3>(&mut case);
    eq::<6>(&mut case);
    eq::<16>(&mut case);
    eq::<20>(&mut case);
    eq::<32>(&mut case);
    eq::<64>(&mut case);
    eq::<100>(&mut case);
    eq::<200>(&mut case);
    eq::<1100>(&mut case);

    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
        for digits in [Digits::Six, Digits::Seven, Digits::Eight] {
            let hotp = move |key: &[u8]| Hotp::with_algorithm(Key::new(key).unwrap(), algorithm).with_digits(digits);
            let totp = move |key: &[u8]| Totp::with_algorithm(Key::new(key).unwrap(), algorithm).with_digits(digits);
            let name = |what: &str| format!("{what} {algorithm} {}", digits.get());
            case(
                &name("Hotp::new, code"),
                Box::new(move |inputs| {
                    let (key, counter) = (inputs.bytes::<20>(), inputs.below(1 << 40));
                    Box::new(move || drop(black_box(hotp(&key).code(counter))))
                }),
            );
            case(
                &name("Totp::verify hit"),
                Box::new(move |inputs| {
                    let (key, offset) = (inputs.bytes::<20>(), inputs.below(2));
                    let code = hotp(&key).code(1_000_000 + offset);
                    let totp = totp(&key);
                    Box::new(move || verdict(totp.verify(&code, 30_000_000, Window::default()), true))
                }),
            );
            case(
                &name("Totp::verify miss"),
                Box::new(move |inputs| {
                    let (key, other) = (inputs.bytes::<20>(), inputs.bytes::<20>());
                    let code = hotp(&other).code(7);
                    let totp = totp(&key);
                    Box::new(move || verdict(totp.verify(&code, 30_000_000, Window::default()), false))
                }),
            );
        }
        let hotp = move |key: &[u8]| Hotp::with_algorithm(Key::new(key).unwrap(), algorithm);
        case(
            &format!("Hotp::verify hit {algorithm}"),
            Box::new(move |inputs| {
                let (key, offset) = (inputs.bytes::<20>(), inputs.below(4));
                let hotp = hotp(&key);
                let code = hotp.code(50 + offset);
                Box::new(move || verdict(hotp.verify(&code, 50, LookAhead::default()), true))
            }),
        );
        case(
            &format!("Hotp::resync hit {algorithm}"),
            Box::new(move |inputs| {
                let (key, offset) = (inputs.bytes::<20>(), inputs.below(8));
                let hotp = hotp(&key);
                let codes = (hotp.code(50 + offset), hotp.code(51 + offset));
                Box::new(move || verdict(hotp.resync(&codes.0, &codes.1, 50, 8), true))
            }),
        );
        case(
            &format!("Totp::resync hit {algorithm}"),
            Box::new(move |inputs| {
                let (key, offset) = (inputs.bytes::<20>(), inputs.below(8));
                let hotp = hotp(&key);
                let codes = (hotp.code(1_000_000 + offset), hotp.code(1_000_001 + offset));
                let totp = Totp::with_algorithm(Key::new(&key).unwrap(), algorithm);
                Box::new(move || verdict(totp.resync(&codes.0, &codes.1, 30_000_000, 8), true))
            }),
        );
        case(
            &format!("Hotp::new, long secret {algorithm}"),
            Box::new(move |inputs| {
                let (key, other) = (inputs.bytes::<200>(), inputs.bytes::<20>());
                let code = hotp(&other).code(7);
                Box::new(move || verdict(hotp(&key).verify(&code, 50, LookAhead::NONE), false))
            }),
        );
    }

    case(
        "search::counters hit",
        Box::new(|inputs| {
            let (key, offset) = (inputs.bytes::<20>(), inputs.below(32));
            let hotp = Hotp::new(Key::new(&key).unwrap());
            let code = hotp.code(50 + offset);
            Box::new(move || {
                let found = search::counters(&hotp, [&code], 50..=90, |_| ControlFlow::Continue(())).unwrap();
                verdict(found.last(), true);
            })
        }),
    );
    case(
        "search::steps hit",
        Box::new(|inputs| {
            let (key, offset) = (inputs.bytes::<20>(), inputs.below(16));
            let code = Hotp::new(Key::new(&key).unwrap()).code(1_000_000 + offset);
            let totp = Totp::new(Key::new(&key).unwrap());
            Box::new(move || {
                let go_on = |_| ControlFlow::Continue(());
                verdict(search::steps(&totp, [&code], 30_000_000, 20, go_on).unwrap().last(), true);
            })
        }),
    );
    case(
        "search::authenticators hit",
        Box::new(|inputs| {
            let keys: Vec<Hotp> = (0..20).map(|_| Hotp::new(Key::new(&inputs.bytes::<20>()).unwrap())).collect();
            // Select one of sixteen keys without using a secret as an index.
            let chosen = inputs.below(16);
            let mut key = inputs.bytes::<20>();
            let mut keys = keys;
            for (position, slot) in (0u64..16).zip(&mut keys) {
                let own = inputs.bytes::<20>();
                let equal = ((position ^ chosen).wrapping_sub(1) >> 63).wrapping_neg() as u8;
                key.iter_mut().zip(own).for_each(|(key, own)| *key ^= (*key ^ own) & equal);
                *slot = Hotp::new(Key::new(&own).unwrap());
            }
            let code = Hotp::new(Key::new(&key).unwrap()).code(3);
            Box::new(move || {
                let candidates = keys.iter().map(|hotp| Candidate::hotp(hotp, 3, LookAhead::NONE));
                let found = search::authenticators(candidates, [&code], |_| ControlFlow::Continue(())).unwrap();
                verdict(found.last(), true);
            })
        }),
    );

    case(
        "Steam::code_at",
        Box::new(|inputs| {
            let steam = Steam::new(Key::new(&inputs.bytes::<20>()).unwrap());
            Box::new(move || drop(black_box(steam.code_at(30_000_000))))
        }),
    );
    case(
        "Steam::verify hit",
        Box::new(|inputs| {
            let (key, offset) = (inputs.bytes::<20>(), inputs.below(2));
            let steam = Steam::new(Key::new(&key).unwrap());
            // Select a code by the secret `offset` instead of adding it to the time: the time is divided into steps,
            // and the operands of a division must not be secret.
            let codes = [steam.code_at(30_000_000), steam.code_at(30_000_030)].map(|code| code.to_string());
            let mut text: Vec<u8> = codes[0]
                .bytes()
                .zip(codes[1].bytes())
                .map(|(a, b)| a ^ ((a ^ b) & (offset as u8).wrapping_neg()))
                .collect();
            declassify(&mut text[..]);
            let code = SteamCode::parse(str::from_utf8(&text).unwrap()).unwrap();
            Box::new(move || verdict(steam.verify(&code, 30_000_000, Window::default()), true))
        }),
    );
    case(
        "Steam::verify miss",
        Box::new(|inputs| {
            let (key, other) = (inputs.bytes::<20>(), inputs.bytes::<20>());
            let code = Steam::new(Key::new(&other).unwrap()).code_at(7);
            let steam = Steam::new(Key::new(&key).unwrap());
            Box::new(move || verdict(steam.verify(&code, 30_000_000, Window::default()), false))
        }),
    );
    case(
        "SteamCode::parse",
        Box::new(|inputs| {
            let text = text(inputs, 5, |n| b"23456789BCDFGHJKMNPQRTVWXY"[n % 26]);
            Box::new(move || drop(black_box(SteamCode::parse(&text)).unwrap()))
        }),
    );
    case(
        "Code::parse",
        Box::new(|inputs| {
            let text = text(inputs, 6, |n| b'0' + (n % 10) as u8);
            Box::new(move || drop(black_box(Code::parse(&text)).unwrap()))
        }),
    );
    case(
        "Code::parse, digits of other scripts",
        Box::new(|inputs| {
            // Use full-width, Arabic and mathematical digits. The script of a digit is public.
            let text = wide_text(inputs, ['\u{ff10}', '\u{660}', '\u{1d7d8}']);
            Box::new(move || drop(black_box(Code::parse(&text)).unwrap()))
        }),
    );

    case(
        "base32::encode",
        Box::new(|inputs| {
            let bytes = inputs.bytes::<33>();
            Box::new(move || drop(black_box(base32::encode(&bytes))))
        }),
    );
    case(
        "base32::decode",
        Box::new(|inputs| {
            let text = text(inputs, 36, base32_symbol);
            Box::new(move || drop(black_box(base32::decode(&text)).unwrap()))
        }),
    );
    case(
        "Secret::from_base32, ==",
        Box::new(|inputs| {
            let text = text(inputs, 32, base32_symbol);
            let bytes = inputs.bytes::<20>();
            Box::new(move || {
                let secret = Secret::from_base32(&text).unwrap();
                verdict((secret == Secret::from_bytes(&bytes).unwrap()).then_some(()), false);
            })
        }),
    );

    guard::cases(&mut case);
    login::cases(&mut case);
    controls(&mut case);
    cases
}

fn eq<const N: usize>(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    case(
        &format!("ct::eq {N} equal"),
        Box::new(|inputs| {
            let a = inputs.bytes::<N>();
            Box::new(move || verdict(ct::eq(black_box(&a), black_box(&{ a })).then_some(()), true))
        }),
    );
    case(
        &format!("ct::eq {N} different"),
        Box::new(|inputs| {
            let (a, b) = differing::<N>(inputs);
            Box::new(move || verdict(ct::eq(black_box(&a), black_box(&b)).then_some(()), false))
        }),
    );
}

fn controls(case: &mut impl FnMut(&str, Box<dyn Fn(&mut Inputs) -> Run>)) {
    case(
        "control slice ==",
        Box::new(|inputs| {
            let (a, b) = differing::<32>(inputs);
            Box::new(move || {
                let (a, b): (&[u8], &[u8]) = (black_box(&a), black_box(&b));
                verdict((a == b).then_some(()), false);
            })
        }),
    );
    case(
        "control long slice ==",
        Box::new(|inputs| {
            let (a, b) = differing::<1000>(inputs);
            Box::new(move || {
                let (a, b): (&[u8], &[u8]) = (black_box(&a), black_box(&b));
                verdict((a == b).then_some(()), false);
            })
        }),
    );
    case(
        "control early exit",
        Box::new(|inputs| {
            let (a, b) = differing::<32>(inputs);
            Box::new(move || {
                let different = black_box(&a).iter().zip(black_box(&b)).any(|(a, b)| black_box(*a) != black_box(*b));
                verdict((!different).then_some(()), false);
            })
        }),
    );
    case(
        "control indexed truncation",
        Box::new(|inputs| {
            let mac = inputs.bytes::<20>();
            Box::new(move || {
                let offset = usize::from(black_box(mac)[19] & 15);
                drop(black_box(black_box(&mac)[offset..offset + 4].to_vec()));
            })
        }),
    );
    case(
        "control table base32",
        Box::new(|inputs| {
            let bytes = inputs.bytes::<33>();
            Box::new(move || {
                let table = black_box(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
                black_box(bytes.map(|byte| table[usize::from(byte & 31)]));
            })
        }),
    );
    case(
        "control printed with format!",
        Box::new(|inputs| {
            let value = inputs.below(1 << 19);
            Box::new(move || drop(black_box(format!("{:06}", black_box(value)))))
        }),
    );
}

/// Returns two arrays that differ in one byte. The seed chooses the byte, without a branch and without an index.
fn differing<const N: usize>(inputs: &mut Inputs) -> ([u8; N], [u8; N]) {
    let a = inputs.bytes::<N>();
    let position = inputs.below((N as u64).next_power_of_two().max(2) / 2);
    let mut b = a;
    for (at, byte) in (0u64..).zip(&mut b) {
        *byte ^= black_box((at ^ position).wrapping_sub(1) >> 63) as u8;
    }
    (a, b)
}

/// Returns text of secret symbols with public separators: a space follows every fifth symbol.
fn text(inputs: &mut Inputs, length: usize, symbol: fn(usize) -> u8) -> String {
    let mut text = Vec::new();
    for position in 1..=length {
        // Choose the symbol before marking it as secret, because choosing it uses an index.
        text.push(symbol(inputs.next() as usize));
        let last = text.len() - 1;
        poison(&mut text[last..]);
        if position % 5 == 0 {
            text.push(b' ');
        }
    }
    // SAFETY: the text is ASCII. A check would branch on bytes that are already marked as secret.
    unsafe { String::from_utf8_unchecked(text) }
}

/// Returns two digits of each script, which is given by its zero. Only the last byte of a digit is secret, because only
/// that byte depends on which digit it is.
fn wide_text(inputs: &mut Inputs, zeros: [char; 3]) -> String {
    let mut text = Vec::new();
    for zero in zeros.into_iter().chain(zeros) {
        let digit = char::from_u32(u32::from(zero) + (inputs.next() % 10) as u32).unwrap();
        text.extend(digit.encode_utf8(&mut [0; 4]).bytes());
        let last = text.len() - 1;
        poison(&mut text[last..]);
    }
    // SAFETY: the text consists of whole characters. A check would branch on bytes that are already marked as secret.
    unsafe { String::from_utf8_unchecked(text) }
}

fn base32_symbol(number: usize) -> u8 {
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[number % 32]
}

/// Checks the verdict. The verdict is public, and so is the step or counter that was found, because the caller stores
/// it.
fn verdict<T>(mut found: Option<T>, expected: bool) {
    declassify(&mut found);
    assert_eq!(found.is_some(), expected, "the case does not do what its name says");
}
