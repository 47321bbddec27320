//! One code.

use std::hint::black_box;

use criterion::Criterion;
use keyfob::{Algorithm, Hotp, Key, Totp};
use keyfob_benches::by_hand::{self, Mac};
use keyfob_benches::harness::{Group, criterion, time};
use keyfob_benches::{AT, CODE, SECRET, STEP, VALUE};
use libreauth::oath::HOTPBuilder;

fn main() {
    let mut criterion = criterion();
    kept(&mut criterion);
    fresh(&mut criterion);
    wider(&mut criterion);
    criterion.final_summary();
}

fn key() -> Key<'static> {
    Key::new(black_box(SECRET)).expect("valid")
}

fn kept(criterion: &mut Criterion) {
    fn mac<M: Mac>(group: &mut Group, name: &str) {
        let mac = M::new(SECRET);
        time(group, name, || by_hand::code(&mac, black_box(STEP)), |code| code, VALUE);
    }

    let mut group = criterion.benchmark_group("code, key kept");
    let totp = Totp::new(key());
    time(&mut group, "keyfob", || totp.code_at(black_box(AT)), |code| code.to_string(), CODE.into());
    let hotp = Hotp::new(key());
    time(&mut group, "keyfob, HOTP", || hotp.code(black_box(STEP)), |code| code.to_string(), CODE.into());
    let hotp = HOTPBuilder::new().key(SECRET).counter(STEP).finalize().expect("valid");
    time(&mut group, "libreauth, HOTP", || black_box(&hotp).generate(), |code| code, CODE.into());
    mac::<ring::hmac::Key>(&mut group, "by hand on ring");
    mac::<aws_lc_rs::hmac::Key>(&mut group, "by hand on aws-lc-rs");
    group.finish();
}

fn fresh(criterion: &mut Criterion) {
    fn mac<M: Mac>(group: &mut Group, name: &str) {
        time(group, name, || by_hand::code(&M::new(black_box(SECRET)), black_box(STEP)), |code| code, VALUE);
    }

    let mut group = criterion.benchmark_group("code, key fresh");
    time(&mut group, "keyfob", || Totp::new(key()).code_at(black_box(AT)), |code| code.to_string(), CODE.into());
    let lite = || totp_lite::totp_custom::<totp_lite::Sha1>(30, 6, black_box(SECRET), black_box(AT));
    time(&mut group, "totp-lite", lite, |code| code, CODE.into());
    let libreauth = || {
        let hotp = HOTPBuilder::new().key(black_box(SECRET)).counter(black_box(STEP)).finalize();
        hotp.expect("valid").generate()
    };
    time(&mut group, "libreauth, HOTP", libreauth, |code| code, CODE.into());
    mac::<ring::hmac::Key>(&mut group, "by hand on ring");
    mac::<aws_lc_rs::hmac::Key>(&mut group, "by hand on aws-lc-rs");
    #[cfg(liboath)]
    {
        use keyfob_benches::liboath;

        let code = |code: [u8; 6]| String::from_utf8_lossy(&code).into_owned();
        time(&mut group, "liboath", || liboath::totp(black_box(SECRET), black_box(AT)), code, CODE.into());
        time(&mut group, "liboath, HOTP", || liboath::hotp(black_box(SECRET), black_box(STEP)), code, CODE.into());
    }
    #[cfg(not(liboath))]
    println!("liboath is not installed: not timed");
    group.finish();
}

fn wider(criterion: &mut Criterion) {
    let secret = SECRET.repeat(4);
    for (name, algorithm, length, expected) in
        [("code, SHA-256", Algorithm::Sha256, 32, "084774"), ("code, SHA-512", Algorithm::Sha512, 64, "091201")]
    {
        let mut group = criterion.benchmark_group(name);
        let totp = || Totp::with_algorithm(Key::new(black_box(&secret[..length])).expect("valid"), algorithm);
        let kept = totp();
        time(&mut group, "keyfob", || kept.code_at(black_box(AT)), |code| code.to_string(), expected.into());
        let fresh = || totp().code_at(black_box(AT));
        time(&mut group, "keyfob, key fresh", fresh, |code| code.to_string(), expected.into());
        group.finish();
    }
}
