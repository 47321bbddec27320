use keyfob::{Algorithm, Digits, ErrorKind, Hotp, Key};

use crate::{Random, data, hex, number, oracle, rows, text, to_hex};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
const DIGITS: [Digits; 3] = [Digits::Six, Digits::Seven, Digits::Eight];

/// RFC 2202 and RFC 4231 prove the oracle; the oracle proves the crate, whose messages are counters, over the same keys.
#[test]
fn hmac_vectors() {
    let file = data("hmac_rfc2202_rfc4231");
    let mut compared = 0;
    let mut check = |algorithm, case: &_, name: &str| {
        let key = hex(text(case, "key_hex"));
        let mac = to_hex(&oracle::hmac(algorithm, &key, &hex(text(case, "data_hex"))));
        assert!(mac.starts_with(text(case, name)) && text(case, name).len() >= 32, "{algorithm} {case}");
        let Ok(key) = Key::new(&key) else { return };
        compared += 1;
        for counter in [0, 1, u64::from_be_bytes(*b"Hi There"), u64::MAX] {
            let code = Hotp::with_algorithm(key, algorithm).with_digits(Digits::Eight).code(counter);
            let bytes = hex(text(case, "key_hex"));
            assert_eq!(code.to_string(), oracle::code(algorithm, &bytes, counter, 8), "{algorithm} {case}");
        }
    };
    for case in rows(&file, "rfc2202_hmac_sha1") {
        check(Algorithm::Sha1, case, "hmac_sha1");
    }
    for case in rows(&file, "rfc4231") {
        check(Algorithm::Sha256, case, "hmac_sha256");
        check(Algorithm::Sha512, case, "hmac_sha512");
    }
    // All keys but the four bytes of "Jefe", once for each of the three algorithms.
    assert_eq!(compared, 6 + 2 * 6);
}

#[test]
fn keys_around_the_block_size() {
    let mut random = Random(1);
    for algorithm in ALGORITHMS {
        for length in (10..=260).chain([1023, 1024]) {
            let key = random.bytes(length);
            let code = Hotp::with_algorithm(Key::new(&key).unwrap(), algorithm).code(length as u64);
            assert_eq!(code.to_string(), oracle::code(algorithm, &key, length as u64, 6), "{algorithm} {length}");
        }
    }
}

#[test]
fn codes_are_those_of_the_oracle() {
    let mut random = Random(2);
    for case in 0..crate::cases(100_000) {
        let algorithm = ALGORITHMS[random.below(3) as usize];
        let digits = DIGITS[random.below(3) as usize];
        let length = 10 + random.below(70) as usize;
        let key = random.bytes(length);
        let shift = random.below(64);
        let counter = random.next() >> shift;
        let code = Hotp::with_algorithm(Key::new(&key).unwrap(), algorithm).with_digits(digits).code(counter);
        let expected = oracle::code(algorithm, &key, counter, digits.get().into());
        assert_eq!(code.to_string(), expected, "case {case}: {algorithm}, counter {counter}, key {}", to_hex(&key));
    }
}

#[test]
fn rfc4226_intermediate_values() {
    let file = data("rfc4226_hotp");
    let key = hex(text(&file, "secret_hex"));
    for row in rows(&file, "vectors") {
        let counter = number(row, "counter");
        let mac = oracle::hmac(Algorithm::Sha1, &key, &counter.to_be_bytes());
        assert_eq!(to_hex(&mac), text(row, "hmac_sha1_hex"));
        assert_eq!(u64::from(oracle::truncate(&mac)), number(row, "truncated_decimal"));
    }
    let example = &file["dynamic_truncation_example"];
    let truncated = oracle::truncate(&hex(text(example, "hmac_hex")));
    assert_eq!(format!("{truncated:08x}"), text(example, "dbc1"));
}

#[test]
fn names_and_lengths() {
    let facts = ALGORITHMS.map(|algorithm| (algorithm.to_string(), algorithm.secret_bytes()));
    assert_eq!(facts, [("SHA1".into(), 20), ("SHA256".into(), 32), ("SHA512".into(), 64)]);
}

#[test]
fn read_by_their_names() {
    for algorithm in ALGORITHMS {
        let name = algorithm.to_string();
        assert_eq!(name.parse(), Ok(algorithm));
        assert_eq!(name.to_lowercase().parse(), Ok(algorithm));
    }
    assert_eq!("sHa256".parse(), Ok(Algorithm::Sha256));
    for other in ["", "MD5", "SHA", "SHA-1", "SHA224", "SHA2561", " SHA1", "SHA1 ", "HmacSHA1", "1", "ſHA1", "SHA１"]
    {
        let error = other.parse::<Algorithm>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Uri, "{other}");
        assert_eq!(error.to_string(), "the algorithm is not SHA1, SHA256 or SHA512");
    }
}
