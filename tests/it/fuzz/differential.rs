//! Codes beside the plain `hmac` crate, searches beside loops, and settings.

use std::ops::ControlFlow;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use keyfob::guard::Waits;
use keyfob::{Algorithm, Code, Digits, Hotp, Key, LookAhead, Period, Policy, Totp, Window, ct, search};

use crate::random::Choices;

pub fn run(data: &[u8]) {
    let mut choose = Choices::Tape(data.iter().copied().collect());
    let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][choose.below(3) as usize];
    let digits = Digits::new(6 + choose.below(3) as u8).unwrap();
    let length = 10 + choose.below(200) as usize;
    let number = |choose: &mut Choices| {
        let low = u64::from_le_bytes([(); 8].map(|()| choose.byte()));
        // The ends of the range matter.
        if choose.below(2) == 0 { low } else { low.wrapping_neg() }
    };
    let (counter, at, t0) = (number(&mut choose), number(&mut choose), number(&mut choose));
    let period = Period::new(1 + choose.below(86_400) as u32).unwrap();
    let window = Window::new(choose.below(11) as u8, choose.below(11) as u8).unwrap();
    let ahead = LookAhead::new(choose.below(11) as u8).unwrap();
    let back = choose.below(12);
    let policy: Vec<u8> = (0..8).map(|_| choose.byte()).collect();
    let key: Vec<u8> = (0..length).map(|_| choose.byte()).collect();

    let plain = |counter| plain(algorithm, &key, counter, digits);
    let hotp = Hotp::with_algorithm(Key::new(&key).unwrap(), algorithm).with_digits(digits);
    assert_eq!(hotp.code(counter).to_string(), plain(counter));

    let typed = Code::parse(&plain(counter)).unwrap();
    let from = counter.saturating_sub(back);
    let last = from.saturating_add(ahead.get().into());
    let newest = |first: u64, last: u64| (first..=last).rev().find(|at| plain(*at) == plain(counter));
    assert_eq!(hotp.verify(&typed, from, ahead), newest(from, last));

    let range = from..=from.saturating_add(40);
    let found = search::counters(&hotp, [&typed], range.clone(), |_| ControlFlow::Continue(())).unwrap();
    let hits = range.clone().filter(|at| plain(*at) == plain(counter));
    assert_eq!((found.last(), found.count()), (newest(*range.start(), *range.end()), hits.count() as u64));

    let totp = Totp::with_algorithm(Key::new(&key).unwrap(), algorithm).with_digits(digits).with_period(period);
    let totp = totp.with_t0(t0);
    let step = at.saturating_sub(t0) / u64::from(period.seconds());
    assert_eq!(totp.code_at(at).to_string(), plain(step));
    let shown = totp.code_at(at);
    let (first, last) = (step.saturating_sub(window.behind().into()), step.saturating_add(window.ahead().into()));
    let newest = (first..=last).rev().find(|at| plain(*at) == plain(step)).filter(|_| at >= t0);
    assert_eq!(totp.verify(&shown, at, window).map(|step| step.get()), newest);

    let (a, b) = key.split_at(length / 2);
    assert_eq!(ct::eq(a, b), a == b);
    assert!(ct::eq(&key, &key.clone()));
    let mut other = key.clone();
    other[back as usize % length] ^= 1 << (back % 8);
    assert!(!ct::eq(&key, &other));
    settings(&policy, at);
}

fn settings(bytes: &[u8], at: u64) {
    let text = format!(
        r#"{{"failures_before_wait":{},"first_wait":{},"longest_wait":{},"consecutive_failures":{},"long_term_failures":{},"forgiven_per_day":{}}}"#,
        bytes[0],
        bytes[1],
        u32::from(bytes[2]) * 400,
        bytes[3],
        bytes[4],
        bytes[5]
    );
    let (first, longest) = (Duration::from_secs(bytes[1].into()), Duration::from_secs(u64::from(bytes[2]) * 400));
    let waits = Waits { after_failures: bytes[0], first, longest };
    let built = Policy::default().with_consecutive_failures(100).and_then(|policy| policy.with_waits(waits));
    let built = built.and_then(|policy| policy.with_consecutive_failures(bytes[3]));
    let built = built.and_then(|policy| policy.with_long_term(bytes[4], bytes[5]));
    let read = serde_json::from_str::<Policy>(&text).ok();
    assert_eq!(read, built.ok());
    let Some(policy) = read else { return };
    let odds = |seconds| policy.guess_probability(Duration::from_secs(seconds));
    assert!((0.0..=1.0).contains(&odds(at)) && odds(at) <= odds(at.saturating_mul(2)));
    let again = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&again).unwrap(), policy);
}

fn plain(algorithm: Algorithm, key: &[u8], counter: u64, digits: Digits) -> String {
    fn mac<M: Mac + KeyInit>(key: &[u8], counter: u64) -> Vec<u8> {
        <M as KeyInit>::new_from_slice(key)
            .unwrap()
            .chain_update(counter.to_be_bytes())
            .finalize()
            .into_bytes()
            .to_vec()
    }
    let mac = match algorithm {
        Algorithm::Sha1 => mac::<Hmac<sha1::Sha1>>(key, counter),
        Algorithm::Sha256 => mac::<Hmac<sha2::Sha256>>(key, counter),
        _ => mac::<Hmac<sha2::Sha512>>(key, counter),
    };
    let offset = usize::from(mac[mac.len() - 1] & 15);
    let number = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    let digits = usize::from(digits.get());
    format!("{:0digits$}", number % 10u32.pow(digits as u32))
}
