//! Secrets as text.

use std::hint::black_box;

use criterion::Criterion;
use data_encoding::BASE32_NOPAD;
use keyfob::{KeyUri, Secret};
use keyfob_benches::SECRET;
use keyfob_benches::harness::{criterion, time};

const TEXT: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn main() {
    let mut criterion = criterion();
    decode(&mut criterion);
    encode(&mut criterion);
    uri(&mut criterion);
    criterion.final_summary();
}

fn decode(criterion: &mut Criterion) {
    const RFC4648: base32::Alphabet = base32::Alphabet::Rfc4648 { padding: false };

    let mut group = criterion.benchmark_group("base32, decode");
    let expected = Some(SECRET.to_vec());
    let keyfob = || keyfob::base32::decode(black_box(TEXT));
    time(&mut group, "keyfob", keyfob, |bytes| bytes.ok().map(|bytes| bytes.to_vec()), expected.clone());
    let data_encoding = || BASE32_NOPAD.decode(black_box(TEXT).as_bytes());
    time(&mut group, "data-encoding", data_encoding, Result::ok, expected.clone());
    time(&mut group, "base32", || base32::decode(RFC4648, black_box(TEXT)), |bytes| bytes, expected);
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    const RFC4648: base32::Alphabet = base32::Alphabet::Rfc4648 { padding: false };

    let mut group = criterion.benchmark_group("base32, encode");
    let expected = TEXT.to_owned();
    let keyfob = || keyfob::base32::encode(black_box(SECRET));
    time(&mut group, "keyfob", keyfob, |text| text.to_string(), expected.clone());
    time(&mut group, "data-encoding", || BASE32_NOPAD.encode(black_box(SECRET)), |text| text, expected.clone());
    time(&mut group, "base32", || base32::encode(RFC4648, black_box(SECRET)), |text| text, expected);
    group.finish();
}

fn uri(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("URI, write");
    let expected = format!("otpauth://totp/Example%20Inc:alice@example.com?secret={TEXT}&issuer=Example%20Inc");
    let secret = Secret::from_base32(TEXT).expect("valid");
    let uri = KeyUri::totp("Example Inc", "alice@example.com", &secret).expect("valid");
    time(&mut group, "keyfob", || black_box(&uri).to_uri(), |uri| uri.to_string(), expected.clone());
    let totp = totp_rs::Builder::new()
        .with_secret(&SECRET[..])
        .with_account_name("alice@example.com")
        .with_issuer(Some("Example Inc"))
        .build()
        .expect("valid");
    time(&mut group, "totp-rs", || black_box(&totp).to_url().expect("valid"), |uri| uri, expected.replace('@', "%40"));
    group.finish();

    let mut group = criterion.benchmark_group("URI, read");
    let text = expected.as_str();
    let read = || KeyUri::parse(black_box(text));
    time(
        &mut group,
        "keyfob",
        read,
        |uri| uri.map(|uri| uri.account().to_owned()).ok(),
        Some("alice@example.com".into()),
    );
    let read = || totp_rs::Totp::from_url(black_box(text));
    let account = |totp: Result<totp_rs::Totp, _>| totp.ok().map(|totp| totp.account_name().to_owned());
    time(&mut group, "totp-rs", read, account, Some("alice@example.com".into()));
    group.finish();
}
