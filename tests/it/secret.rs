use std::convert::Infallible;

use keyfob::{Algorithm, ErrorKind, Key, Secret, Strength};
use rand::{TryCryptoRng, TryRng};

#[test]
fn generated_secrets_have_the_length_of_the_hash() {
    for (algorithm, length) in [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)] {
        let secret = Secret::generate_for(algorithm);
        assert_eq!(secret.expose_bytes().len(), length);
        assert_eq!(secret.strength(), Strength::Strong);
        // A byte that is never filled would show: 40 times one value has a chance of 256^-39.
        let drawn: Vec<_> = (0..40).map(|_| Secret::generate_for(algorithm)).collect();
        for position in 0..length {
            assert!(drawn.iter().any(|other| other.expose_bytes()[position] != drawn[0].expose_bytes()[position]));
        }
    }
    assert_eq!(Secret::generate().expose_bytes().len(), 20);
}

#[test]
fn secrets_come_from_the_generator_given() {
    let secret = Secret::generate_with(Algorithm::Sha1, &mut Counting(0)).unwrap_or_else(|never| match never {});
    assert_eq!(secret.expose_bytes(), (0..20).collect::<Vec<u8>>());
    assert_eq!(Secret::generate_with(Algorithm::Sha1, &mut Broken).unwrap_err().to_string(), "no randomness");
}

#[test]
fn strength_by_length() {
    let strength = |length| Secret::from_bytes(&vec![1; length]).map(|secret| secret.strength());
    for length in 0..10 {
        assert_eq!(strength(length).unwrap_err().kind(), ErrorKind::Secret);
    }
    for (length, expected) in [
        (10, Strength::Weak),
        (13, Strength::Weak),
        (14, Strength::Acceptable),
        (15, Strength::Acceptable),
        (16, Strength::Strong),
        (1024, Strength::Strong),
    ] {
        assert_eq!(strength(length).unwrap(), expected, "{length}");
        assert_eq!(Key::new(&vec![1; length]).unwrap().strength(), expected);
    }
    for length in [1025, 10_000_000] {
        assert_eq!(strength(length).unwrap_err().kind(), ErrorKind::Secret);
    }
    assert!(Strength::Weak < Strength::Acceptable && Strength::Acceptable < Strength::Strong);
}

#[test]
fn pasted_secrets() {
    let secret = Secret::from_base32(" gezd-gnbv gy3t qojq GEZD GNBV GY3T QOJQ==== \n").unwrap();
    assert_eq!(secret.expose_bytes(), b"12345678901234567890");
    assert_eq!(*secret.expose_base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    for (text, position) in [("", None), ("MZXW6", None), ("GEZDGNBVGY3TQOJ0", Some(16)), ("GEZDGNBVGY3TQOJQA", None)] {
        let error = Secret::from_base32(text).unwrap_err();
        assert_eq!((error.kind(), error.position()), (ErrorKind::Secret, position), "{text}");
    }
    assert_eq!(Secret::from_base32(&"A".repeat(10_000_000)).unwrap_err().kind(), ErrorKind::Secret);
}

#[test]
fn equality() {
    let secret = Secret::generate();
    assert!(secret == secret.clone());
    assert!(secret != Secret::generate());
}

/// 0, 1, 2, ...
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

struct Broken;

impl TryRng for Broken {
    type Error = std::io::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::io::Error::other("no randomness"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::io::Error::other("no randomness"))
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        Err(std::io::Error::other("no randomness"))
    }
}

impl TryCryptoRng for Broken {}

#[test]
fn parsed_from_base32() {
    let secret: Secret = "gezd gnbv-gy3t qojq".parse().unwrap();
    assert_eq!(secret, Secret::from_base32("GEZDGNBVGY3TQOJQ").unwrap());
    for text in ["", "GEZDGNBVGY3TQ0JQ", "GEZDGNBVGY3TQOJ", "GEZDGNBV"] {
        let error = text.parse::<Secret>().unwrap_err();
        assert_eq!(Err(error.clone()), Secret::from_base32(text));
        assert_eq!(error.kind(), ErrorKind::Secret);
    }
    assert_eq!("GEZDGNBVGY3TQ0JQ".parse::<Secret>().unwrap_err().position(), Some(14));
}
