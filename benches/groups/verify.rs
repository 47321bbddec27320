//! A wrong code, one step accepted on either side.

use std::hint::black_box;

use criterion::Criterion;
use keyfob::{Code, Key, Totp, Window};
use keyfob_benches::by_hand::{self, Mac};
use keyfob_benches::harness::{Group, criterion, time};
use keyfob_benches::{AT, CODE, MISS, SECRET, STEP};
use libreauth::oath::{TOTP, TOTPBuilder};

fn main() {
    let mut criterion = criterion();
    kept(&mut criterion);
    fresh(&mut criterion);
    criterion.final_summary();
}

fn totp() -> Totp {
    Totp::new(Key::new(black_box(SECRET)).expect("valid"))
}

/// From a text, as in the other libraries.
fn verify(totp: &Totp, typed: &str) -> Option<u64> {
    let code = Code::parse(black_box(typed)).ok()?;
    totp.verify(&code, black_box(AT), black_box(Window::default())).map(|step| step.get())
}

/// It reads the clock, so the time is set relative to now.
fn libreauth() -> TOTP {
    TOTPBuilder::new().key(black_box(SECRET)).timestamp(AT.cast_signed()).tolerance(1).finalize().expect("valid")
}

fn kept(criterion: &mut Criterion) {
    fn mac<M: Mac>(group: &mut Group, name: &str) {
        let mac = M::new(SECRET);
        assert_eq!(by_hand::find(&mac, CODE, STEP - 2..=STEP), Some(STEP));
        let find = || by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1..=black_box(STEP) + 1);
        time(group, name, find, |step| step, None);
    }

    let mut group = criterion.benchmark_group("verify, key kept");
    let kept = totp();
    assert_eq!(verify(&kept, CODE), Some(STEP));
    time(&mut group, "keyfob", || verify(&kept, MISS), |step| step, None);
    let code = Code::parse(MISS).expect("valid");
    let parsed = || kept.verify(black_box(&code), black_box(AT), black_box(Window::default()));
    time(&mut group, "keyfob, code parsed before", parsed, |step| step, None);
    let totp = libreauth();
    assert!(totp.is_valid(CODE));
    time(&mut group, "libreauth", || totp.is_valid(black_box(MISS)), |valid| valid, false);
    mac::<ring::hmac::Key>(&mut group, "by hand on ring");
    mac::<aws_lc_rs::hmac::Key>(&mut group, "by hand on aws-lc-rs");
    group.finish();
}

fn fresh(criterion: &mut Criterion) {
    fn mac<M: Mac>(group: &mut Group, name: &str) {
        let find = || {
            let mac = M::new(black_box(SECRET));
            by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1..=black_box(STEP) + 1)
        };
        time(group, name, find, |step| step, None);
    }

    let mut group = criterion.benchmark_group("verify, key fresh");
    time(&mut group, "keyfob", || verify(&totp(), MISS), |step| step, None);
    time(&mut group, "libreauth", || libreauth().is_valid(black_box(MISS)), |valid| valid, false);
    mac::<ring::hmac::Key>(&mut group, "by hand on ring");
    mac::<aws_lc_rs::hmac::Key>(&mut group, "by hand on aws-lc-rs");
    #[cfg(liboath)]
    {
        use keyfob_benches::liboath;

        assert!(liboath::verify(SECRET, c"081804", AT + 30, 1));
        let verify = || liboath::verify(black_box(SECRET), black_box(c"000000"), black_box(AT), 1);
        time(&mut group, "liboath", verify, |valid| valid, false);
    }
    #[cfg(not(liboath))]
    println!("liboath is not installed: not timed");
    group.finish();
}
