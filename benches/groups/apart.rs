//! The libraries that share `sha1`, `sha2` and `hmac` with keyfob, in a build without keyfob.

use std::hint::black_box;

use criterion::Criterion;
use hmac::Hmac;
use keyfob_benches::by_hand::{self, Mac};
use keyfob_benches::harness::{criterion, time};
use keyfob_benches::{AT, CODE, MISS, SECRET, STEP, VALUE};
use sha1::Sha1;
use sha1::block_api::compress;
use totp_rs::{Algorithm, Builder, Secret, Totp};

fn main() {
    // keyfob enables features of its dependencies that would slow the other libraries down.
    if cfg!(feature = "keyfob") {
        println!("not timed in a build with keyfob: add --no-default-features");
        return;
    }
    let mut criterion = criterion();
    code(&mut criterion);
    wider(&mut criterion);
    verify(&mut criterion);
    search(&mut criterion);
    criterion.final_summary();
}

fn builder() -> Builder {
    Builder::new().with_secret(Secret::new_stack(*black_box(SECRET))).with_account_name("alice@example.com")
}

fn totp(skew: u16) -> Totp {
    builder().with_skew(skew).build().expect("valid")
}

fn code(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("code, key kept");
    // The message of FIPS 180-2, appendix A.2, and its padding: two blocks.
    let mut blocks = [[0; 64]; 2];
    blocks[0][..56].copy_from_slice(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    blocks[0][56] = 0x80;
    blocks[1][62..].copy_from_slice(&448_u16.to_be_bytes());
    let twice = || {
        let mut state = black_box([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]);
        let [first, second] = black_box(&blocks);
        compress(&mut state, std::slice::from_ref(first));
        compress(&mut state, std::slice::from_ref(second));
        state
    };
    let digest = [0x8498_3e44, 0x1c3b_d26e, 0xbaae_4aa1, 0xf951_29e5, 0xe546_70f1];
    time(&mut group, "two bare compressions", twice, |state| state, digest);

    let kept = totp(1);
    time(&mut group, "totp-rs", || kept.generate(black_box(AT)), |code| code.to_string(), CODE.into());
    let mac = <Hmac<Sha1> as Mac>::new(SECRET);
    time(&mut group, "by hand on hmac", || by_hand::code(&mac, black_box(STEP)), |code| code, VALUE);
    group.finish();

    let mut group = criterion.benchmark_group("code, key fresh");
    let fresh = || totp(1).generate(black_box(AT));
    time(&mut group, "totp-rs", fresh, |code| code.to_string(), CODE.into());
    let fresh = || by_hand::code(&<Hmac<Sha1> as Mac>::new(black_box(SECRET)), black_box(STEP));
    time(&mut group, "by hand on hmac", fresh, |code| code, VALUE);
    group.finish();
}

fn wider(criterion: &mut Criterion) {
    let secret = SECRET.repeat(4);
    for (name, algorithm, length, expected) in
        [("code, SHA-256", Algorithm::SHA256, 32, "084774"), ("code, SHA-512", Algorithm::SHA512, 64, "091201")]
    {
        let mut group = criterion.benchmark_group(name);
        let totp = builder().with_secret(&secret[..length]).with_algorithm(algorithm).build().expect("valid");
        time(&mut group, "totp-rs", || totp.generate(black_box(AT)), |code| code.to_string(), expected.into());
        group.finish();
    }
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify, key kept");
    let kept = totp(1);
    assert_eq!(kept.check(CODE, AT + 30), Some(STEP));
    time(&mut group, "totp-rs", || kept.check(black_box(MISS), black_box(AT)), |step| step, None);
    let mac = <Hmac<Sha1> as Mac>::new(SECRET);
    assert_eq!(by_hand::find(&mac, CODE, STEP - 2..=STEP), Some(STEP));
    let find = || by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1..=black_box(STEP) + 1);
    time(&mut group, "by hand on hmac", find, |step| step, None);
    group.finish();

    let mut group = criterion.benchmark_group("verify, key fresh");
    time(&mut group, "totp-rs", || totp(1).check(black_box(MISS), black_box(AT)), |step| step, None);
    let find = || {
        let mac = <Hmac<Sha1> as Mac>::new(black_box(SECRET));
        by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1..=black_box(STEP) + 1)
    };
    time(&mut group, "by hand on hmac", find, |step| step, None);
    group.finish();
}

fn search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    let kept = totp(1440);
    assert_eq!(kept.check(CODE, AT + 1440 * 30), Some(STEP));
    time(&mut group, "totp-rs", || kept.check(black_box(MISS), black_box(AT)), |step| step, None);
    let mac = <Hmac<Sha1> as Mac>::new(SECRET);
    let find = || by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1440..=black_box(STEP) + 1440);
    time(&mut group, "by hand on hmac", find, |step| step, None);
    group.finish();
}
