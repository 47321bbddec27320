use std::time::Instant;

use keyfob::import::{self, App};
use keyfob::pskc::{self, Unlock};
use keyfob::{Algorithm, Error, ErrorKind, KeyUri, Period};
use proptest::prelude::*;

use crate::{Random, data, hex, rows, text};

const SECRET: &[u8] = b"12345678901234567890";
/// Of the figures 6 and 7 of RFC 6030.
const KEY: &str = "12345678901234567890123456789012";
const PASSWORD: &str = "qwerty";

/// The file in a figure of RFC 6030.
fn figure(number: &str) -> String {
    text(&data("rfc6030_pskc")["figures"][number], "xml").to_owned()
}

#[track_caller]
fn plain(file: &str) -> Vec<Result<KeyUri, Error>> {
    pskc::parse(file.as_bytes(), Unlock::None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_common_door_reads_key_files_too() {
    let open = figure("2");
    let import = import::parse(open.as_bytes()).unwrap();
    assert_eq!((import.app(), import.into_entries()), (App::Pskc, plain(&open)));
    assert_eq!(import::parse(figure("6").as_bytes()).unwrap_err().kind(), ErrorKind::Encrypted);
}

/// A file with one token.
fn file(algorithm: &str, rest: &str) -> String {
    format!(
        r#"<KeyContainer Version="1.0"><KeyPackage><DeviceInfo><SerialNo>7</SerialNo></DeviceInfo>
           <Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:{algorithm}">{rest}</Key></KeyPackage></KeyContainer>"#
    )
}

const DATA: &str = "<Data><Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret></Data>";

#[track_caller]
fn token(algorithm: &str, rest: &str) -> Result<KeyUri, Error> {
    let mut tokens = plain(&file(algorithm, rest));
    assert_eq!(tokens.len(), 1);
    tokens.remove(0)
}

#[test]
fn figures_in_the_open() {
    let short = plain(&figure("2")).remove(0).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Secret); // four bytes

    let tokens = plain(&figure("3"));
    let token = tokens[0].as_ref().unwrap();
    assert_eq!((token.issuer(), token.account()), (Some("Issuer"), "987654321"));
    assert_eq!((token.digits().get(), token.counter()), (8, Some(0)));
    assert_eq!(token.secret().expose_bytes(), SECRET);

    let elsewhere = plain(&figure("4")).remove(0).unwrap_err();
    assert_eq!(elsewhere.to_string(), "the file has no secret for this token, or two");

    let tokens = plain(&figure("5"));
    assert_eq!(tokens[0].as_ref().unwrap().secret().expose_bytes(), SECRET);
    assert_eq!(tokens[1].as_ref().unwrap_err().to_string(), "accounts of the kind PIN are not supported");

    let signed = plain(&figure("9"));
    assert_eq!(signed[0].as_ref().unwrap().account(), "0755225266");
    assert_eq!(signed[0].as_ref().unwrap().secret().expose_bytes(), SECRET);

    let bulk = plain(&figure("10"));
    let serials: Vec<_> = bulk.iter().map(|token| token.as_ref().unwrap().account()).collect();
    assert_eq!(serials, ["654321", "123456", "9999999", "9999999"]);
    assert!(bulk.iter().all(|token| token.as_ref().unwrap().secret().expose_bytes() == SECRET));
}

#[test]
fn figures_that_are_encrypted() {
    let key = hex(KEY);
    for (number, unlock, counter) in [("6", Unlock::Key(&key), Some(0)), ("7", Unlock::Password(PASSWORD), Some(0))] {
        let tokens = pskc::parse(figure(number).as_bytes(), unlock).unwrap();
        let token = tokens[0].as_ref().unwrap();
        assert_eq!((token.account(), token.digits().get(), token.counter()), ("987654321", 8, counter), "{number}");
        assert_eq!(token.secret().expose_bytes(), SECRET, "{number}");
    }
    // The derived key opens the file as well, and all names of the derivation are taken.
    let derived = hex("651e63cd57008476af1ff6422cd02e41");
    assert!(pskc::parse(figure("7").as_bytes(), Unlock::Key(&derived)).unwrap()[0].is_ok());
    for name in
        ["http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5#pbkdf2", "http://www.w3.org/2009/xmlenc11#pbkdf2"]
    {
        let file = figure("7").replace("http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2", name);
        assert!(pskc::parse(file.as_bytes(), Unlock::Password(PASSWORD)).unwrap()[0].is_ok(), "{name}");
    }
    // RSA to a certificate.
    let error = plain(&figure("8")).remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pskc);
}

#[test]
fn what_does_not_open() {
    let key = hex(KEY);
    for (number, unlock, says) in [
        ("6", Unlock::None, "give keyfob::pskc the pre-shared key"),
        ("6", Unlock::Password(PASSWORD), "give keyfob::pskc the pre-shared key"),
        ("6", Unlock::Key(&key[1..]), "not the one of this file"),
        ("6", Unlock::Key(&[0; 16]), "not the one of this file"),
        ("6", Unlock::Key(&[]), "not the one of this file"),
        ("7", Unlock::None, "give keyfob::pskc the password"),
        ("7", Unlock::Password("qwertz"), "not the one of this file"),
        ("7", Unlock::Password(""), "not the one of this file"),
    ] {
        let error = pskc::parse(figure(number).as_bytes(), unlock).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encrypted, "{number}");
        assert!(error.to_string().contains(says), "{number}: {error}");
    }

    // Every symbol of the value, of the key of the MAC and of the MAC.
    let unlock = Unlock::Password(PASSWORD);
    for part in ["oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f", "LP6xMvjtypbfT9PdkJhBZ+D6O4w"] {
        for at in 0..part.len() {
            let mut changed = part.as_bytes().to_vec();
            // The last symbol of the MAC has bits that belong to no byte.
            changed[at] = if changed[at] == b'Q' { b'A' } else { b'Q' };
            let file = figure("7").replace(part, str::from_utf8(&changed).unwrap());
            assert!(file != figure("7"));
            let error = pskc::parse(file.as_bytes(), unlock).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encrypted, "{at}");
        }
    }
    let mac_key = figure("7").replace("2GTTnLwM", "2GTTnLwN");
    assert_eq!(pskc::parse(mac_key.as_bytes(), unlock).unwrap_err().kind(), ErrorKind::Encrypted);
    // Without a MAC, nothing: CBC alone can be changed on the way.
    for (from, to) in [
        ("<pskc:ValueMAC>LP6xMvjtypbfT9PdkJhBZ+D6O4w=\n                    </pskc:ValueMAC>", ""),
        ("xmldsig#hmac-sha1", "xmldsig#hmac-md5"),
        ("LP6xMvjtypbfT9PdkJhBZ+D6O4w=", ""),
    ] {
        let file = figure("7").replace(from, to);
        assert!(file != figure("7"), "{from}");
        match pskc::parse(file.as_bytes(), unlock) {
            Ok(tokens) => assert_eq!(tokens[0].as_ref().unwrap_err().kind(), ErrorKind::Pskc, "{from}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Encrypted, "{from}"),
        }
    }
}

#[test]
fn one_tampered_value_does_not_lose_the_others() {
    let two = figure("6");
    let package = &two[two.find("<KeyPackage>").unwrap()..two.find("</KeyContainer>").unwrap()];
    let changed = package.replace("AAECAwQF", "AAECAwQG");
    let two = two.replace("</KeyContainer>", &format!("{changed}</KeyContainer>"));
    let tokens = pskc::parse(two.as_bytes(), Unlock::Key(&hex(KEY))).unwrap();
    assert!(tokens[0].is_ok());
    assert_eq!(tokens[1].as_ref().unwrap_err().kind(), ErrorKind::Encrypted);
}

#[test]
fn one_damaged_token_does_not_lose_the_others() {
    let good = file("hotp", DATA);
    let two = |bad: &str| good.replace("<KeyContainer Version=\"1.0\">", bad.trim_end_matches("</KeyContainer>"));
    let long = "A".repeat(65_537);
    for (from, to) in [
        ("</Secret>", "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>"),
        ("</Secret>", "<ValueMAC>A</ValueMAC><ValueMAC>A</ValueMAC></Secret>"),
        ("</Data>", "<Counter><PlainValue>1</PlainValue><PlainValue>1</PlainValue></Counter></Data>"),
        ("MTIz", &long),
        ("MTIz", &" ".repeat(65_537)),
        ("MTIz", &"&amp;".repeat(65_537)),
        ("<Data>", &format!("<Issuer>{long}</Issuer><Data>")),
        ("<SerialNo>", &format!("<SerialNo>{long}")),
    ] {
        let bad = good.replace(from, to);
        assert_eq!(plain(&bad)[0].as_ref().unwrap_err().kind(), ErrorKind::Pskc);
        let tokens = plain(&two(&bad));
        assert_eq!(tokens.len(), 2);
        assert!(tokens[0].as_ref().unwrap_err().to_string().starts_with("the token is damaged"));
        assert_eq!(
            (tokens[1].as_ref().unwrap().account(), tokens[1].as_ref().unwrap().secret().expose_bytes()),
            ("7", SECRET)
        );
    }
    // What belongs to all of them is not one token's.
    let salt = figure("7").replace("Ej7/PEpyEpw=", &long);
    assert_eq!(pskc::parse(salt.as_bytes(), Unlock::Password(PASSWORD)).unwrap_err().kind(), ErrorKind::Pskc);
}

/// An encrypted value and its MAC, with the padding of XML Encryption: everything but its length is left to chance.
fn encrypted(name: &str, key: &[u8], mac: &str, value: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    use cbc::cipher::block_padding::NoPadding;
    use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
    use hmac::{Hmac, KeyInit, Mac};

    fn tag<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
        <M as KeyInit>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
    }

    let mut data = value.to_vec();
    data.resize(value.len() / 16 * 16 + 16, 0xa5);
    let (length, iv) = (data.len(), [9; 16]);
    data[length - 1] = u8::try_from(length - value.len()).unwrap();
    match key.len() {
        16 => cbc::Encryptor::<aes::Aes128>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_padded::<NoPadding>(&mut data, length),
        24 => cbc::Encryptor::<aes::Aes192>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_padded::<NoPadding>(&mut data, length),
        _ => cbc::Encryptor::<aes::Aes256>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_padded::<NoPadding>(&mut data, length),
    }
    .unwrap();
    let data = [&iv[..], &data].concat();
    let mac = match mac {
        "hmac-sha1" => tag::<Hmac<sha1::Sha1>>(key, &data),
        "hmac-sha256" => tag::<Hmac<sha2::Sha256>>(key, &data),
        _ => tag::<Hmac<sha2::Sha512>>(key, &data),
    };
    format!(
        r#"<{name}><EncryptedValue><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes{}-cbc"/>
           <CipherData><CipherValue>{}</CipherValue></CipherData></EncryptedValue><ValueMAC>{}</ValueMAC></{name}>"#,
        key.len() * 8,
        Base64::encode_string(&data),
        Base64::encode_string(&mac),
    )
}

#[test]
fn keys_of_all_lengths_and_encrypted_numbers() {
    let key: Vec<u8> = (0..32).collect();
    for (length, mac) in [(16, "hmac-sha1"), (24, "hmac-sha256"), (32, "hmac-sha512")] {
        let key = &key[..length];
        let token = |counter: &[u8]| {
            let secret = encrypted("Secret", key, mac, SECRET);
            let counter = encrypted("Counter", key, mac, counter);
            let file = file("hotp", &format!("<Data>{secret}{counter}</Data>"));
            let method =
                format!(r#"<MACMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#{mac}"/><KeyPackage>"#);
            pskc::parse(file.replace("<KeyPackage>", &method).as_bytes(), Unlock::Key(key)).unwrap().remove(0)
        };
        for (counter, expected) in [(&[0, 0, 1, 2][..], 0x102), (&[255; 8], u64::MAX)] {
            let token = token(counter).unwrap();
            assert_eq!((token.counter(), token.secret().expose_bytes()), (Some(expected), SECRET), "{mac}");
        }
        for counter in [&[0; 9][..], &[]] {
            assert_eq!(token(counter).unwrap_err().kind(), ErrorKind::Uri);
        }
    }
}

#[test]
fn derivations_are_bounded() {
    let unlock = Unlock::Password(PASSWORD);
    for (from, to) in [
        ("<IterationCount>1000<", "<IterationCount>0<"),
        ("<IterationCount>1000<", "<IterationCount>2000001<"),
        ("<IterationCount>1000<", "<IterationCount>99999999999999999999<"),
        ("<IterationCount>1000<", "<IterationCount>-1<"),
        ("<KeyLength>16<", "<KeyLength>4294967295<"),
        ("<KeyLength>16<", "<KeyLength><"),
        ("<Specified>Ej7/PEpyEpw=<", "<Specified><"),
        ("<Specified>Ej7/PEpyEpw=<", "<Specified>!<"),
        ("<PRF/>", "<PRF Algorithm=\"x#hmac-md5\"/>"),
        ("#pbkdf2", "#scrypt"),
    ] {
        let file = figure("7").replace(from, to);
        let start = Instant::now();
        assert_eq!(pskc::parse(file.as_bytes(), unlock).unwrap_err().kind(), ErrorKind::Pskc, "{to}");
        assert!(start.elapsed().as_secs() < 2, "{to}");
    }
}

#[test]
fn tokens() {
    let totp = token(
        "totp",
        &format!(
            r#"<Issuer>A &amp; B</Issuer><AlgorithmParameters><Suite>HMAC-SHA256</Suite>
           <ResponseFormat Encoding="DECIMAL" Length="8"/></AlgorithmParameters>{}"#,
            DATA.replace("</Data>", "<TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data>")
        ),
    )
    .unwrap();
    assert_eq!((totp.issuer(), totp.account()), (Some("A & B"), "7"));
    assert_eq!((totp.algorithm(), totp.period()), (Algorithm::Sha256, Some(Period::new(60).unwrap())));
    // A program for people, rather than a manufacturer.
    let named = token("totp", &format!("<Issuer>ACME</Issuer><FriendlyName>ACME:al</FriendlyName>{DATA}")).unwrap();
    assert_eq!(named.account(), "al");
    let model = token("hotp", &format!("<Issuer>ACME</Issuer><FriendlyName>Model 3</FriendlyName>{DATA}")).unwrap();
    assert_eq!(model.account(), "7");
    let cdata = DATA.replace("MTIz", "<![CDATA[MT]]>&#x49;<!-- -->&#122;");
    assert_eq!(token("hotp", &cdata).unwrap().secret().expose_bytes(), SECRET);

    let counter =
        |text: &str| DATA.replace("</Data>", &format!("<Counter><PlainValue>{text}</PlainValue></Counter></Data>"));
    assert_eq!(token("hotp", &counter(" 18446744073709551615 ")).unwrap().counter(), Some(u64::MAX));
    let format =
        |attributes: &str| format!("<AlgorithmParameters><ResponseFormat {attributes}/></AlgorithmParameters>{DATA}");
    for (algorithm, rest, kind) in [
        ("hotp", counter("-1"), ErrorKind::Uri),
        ("hotp", format(r#"Length="9""#), ErrorKind::Digits),
        ("hotp", format(r#"Length="x""#), ErrorKind::Digits),
        ("hotp", format(r#"Encoding="HEXADECIMAL""#), ErrorKind::Pskc),
        ("hotp", format(r#"CheckDigits="true""#), ErrorKind::Pskc),
        ("totp", format!("<AlgorithmParameters><Suite>MD5</Suite></AlgorithmParameters>{DATA}"), ErrorKind::Uri),
        ("", DATA.to_owned(), ErrorKind::Import),
        ("ocra", DATA.to_owned(), ErrorKind::Import),
        ("hotp", String::new(), ErrorKind::Pskc),
        ("hotp", DATA.replace("MTIz", "MTI!"), ErrorKind::Pskc),
    ] {
        assert_eq!(token(algorithm, &rest).unwrap_err().kind(), kind, "{rest}");
    }
}

/// Each key of the data says one thing in one way: it is read as it is meant, or refused.
#[test]
fn what_is_elsewhere_or_written_otherwise() {
    let data = data("pskc");
    for row in rows(&data, "keys") {
        let name = text(row, "name");
        let found = token(text(row, "algorithm"), text(row, "key"));
        if let Some(expected) = row["error"].as_str() {
            let error = found.expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
            continue;
        }
        let uri = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(uri.secret().expose_bytes(), SECRET, "{name}");
        assert_eq!(uri.account(), row["account"].as_str().unwrap_or("7"), "{name}");
        assert_eq!(uri.algorithm().to_string(), row["digest"].as_str().unwrap_or("SHA1"), "{name}");
        assert_eq!(u64::from(uri.digits().get()), row["digits"].as_u64().unwrap_or(6), "{name}");
        let period = uri.period().map(|period| u64::from(period.seconds()));
        assert!(period.is_none() || period == row["period"].as_u64().or(Some(30)), "{name}");
        assert!(uri.counter().is_none() || uri.counter() == row["counter"].as_u64().or(Some(0)), "{name}");
    }
    for row in rows(&data, "files") {
        let (name, file) = (text(row, "name"), text(row, "file"));
        let error = pskc::parse(file.as_bytes(), Unlock::None).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Pskc, "{name}");
        assert!(error.to_string().contains(text(row, "error")), "{name}: {error}");
    }
    // A key that is as it should be is not lost for one that is not.
    let good = file("hotp", DATA);
    let both = good.replace("</KeyContainer>", &good.replace("KeyPackage", "Device")[28..]);
    let found: Vec<_> = plain(&both).iter().map(Result::is_ok).collect();
    assert_eq!(found, [true, false]);
}

/// An encrypted number is never another one: what can be read in two ways is refused.
#[test]
fn encrypted_numbers() {
    let key = [7; 16];
    let token = |algorithm: &str, name: &str, bytes: &[u8]| {
        let secret = encrypted("Secret", &key, "hmac-sha1", SECRET);
        let number = encrypted(name, &key, "hmac-sha1", bytes);
        let method = r#"<MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/><KeyPackage>"#;
        let file = file(algorithm, &format!("<Data>{secret}{number}</Data>")).replace("<KeyPackage>", method);
        pskc::parse(file.as_bytes(), Unlock::Key(&key)).unwrap().remove(0)
    };
    let both_ways = "can be read as text and as a number of bytes";
    let counter = "the counter is not";
    for (bytes, expected) in [
        (&[5][..], Ok(5)),
        (&[0, 0, 0, 5], Ok(5)),
        (&[0, 0, 0, 0, 0, 0, 0, 5], Ok(5)),
        (&[0, 0, 0, b'5'], Ok(53)),
        (&[0, 0, 0, 0, 0, 0, b'5', b'5'], Ok(0x3535)),
        (b"A", Ok(65)),
        (&[b'5', 1], Ok(0x3501)),
        (b"5", Err(both_ways)),
        (b"55", Err(both_ways)),
        (b"555", Err(both_ways)),
        (b"5\n", Err(both_ways)),
        (b"+5", Err(both_ways)),
        (b"-1", Err(both_ways)),
        (b"5555", Ok(5555)),
        (b"00000005", Ok(5)),
        (b" 5555\r\n", Ok(5555)),
        (b"18446744073709551615", Ok(u64::MAX)),
        (b"18446744073709551616", Err(counter)),
        (b"0x05", Err(counter)),
        (b"0000000A", Err(counter)),
        (b"-123", Err(counter)),
        (b"", Err(counter)),
    ] {
        let found = token("hotp", "Counter", bytes).map(|uri| uri.counter().unwrap());
        match (&found, expected) {
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{bytes:?}: {error}"),
            _ => assert_eq!(found.ok(), expected.ok(), "{bytes:?}"),
        }
    }
    for (bytes, expected) in [(&[60][..], Some(60)), (&[0, 0, 0, 60], Some(60)), (b"60", None), (b"0060", Some(60))] {
        let period = token("totp", "TimeInterval", bytes).ok().and_then(|uri| uri.period());
        assert_eq!(period.map(Period::seconds), expected, "{bytes:?}");
    }
}

#[test]
fn key_files_in_other_encodings() {
    let file = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n{}",
        file("hotp", &format!("<Issuer>Ä</Issuer>{DATA}"))
    );
    let expected = plain(&file);
    assert_eq!(expected[0].as_ref().unwrap().issuer(), Some("Ä"));
    for bytes in crate::encodings(&file) {
        assert!(pskc::parse(&bytes, Unlock::None).unwrap() == expected);
    }
    let latin: Vec<u8> = file.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let error = pskc::parse(&latin, Unlock::None).unwrap_err();
    assert!(error.to_string().contains("save it as UTF-8"), "{error}");
}

#[test]
fn what_is_no_key_file() {
    let good = file("hotp", DATA);
    assert!(plain(&good)[0].is_ok());
    assert!(plain(&format!("\u{feff}<?xml version=\"1.0\"?><!-- a -->\n{good}\n"))[0].is_ok());
    let deep = format!("<KeyContainer>{}", "<a>".repeat(1_000_000));
    let laughs = format!("<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>{good}");
    let outside = format!("<!DOCTYPE a SYSTEM \"file:///etc/passwd\">{good}");
    let entity = good.replace("MTIz", "&a;");
    let attributes = good.replace("Id=\"1\"", &"Ib=\"1\" ".repeat(1_000_000));
    for (file, kind) in [
        ("", ErrorKind::Pskc),
        ("<KeyContainer>", ErrorKind::Pskc),
        ("<KeyContainer></KeyPackage>", ErrorKind::Pskc),
        ("<a/>", ErrorKind::Pskc),
        ("<KeyContainer/><KeyContainer/>", ErrorKind::Pskc),
        ("KeyContainer", ErrorKind::Pskc),
        (&deep, ErrorKind::Pskc),
        (&laughs, ErrorKind::Pskc),
        (&outside, ErrorKind::Pskc),
        (&entity, ErrorKind::Pskc),
        (&good[..good.len() - 1], ErrorKind::Pskc),
        (&"x".repeat(17 * 1024 * 1024), ErrorKind::Import),
        (
            &format!("<KeyContainer>{}</KeyContainer>", "<KeyPackage><Key/></KeyPackage>".repeat(65_537)),
            ErrorKind::Import,
        ),
    ] {
        let start = Instant::now();
        let error = pskc::parse(file.as_bytes(), Unlock::None).unwrap_err();
        assert_eq!(error.kind(), kind, "{}", &file[..file.len().min(80)]);
        assert!(start.elapsed().as_secs() < 5, "{}", &file[..file.len().min(80)]);
    }
    assert!(plain(&attributes)[0].is_ok());
    let start = Instant::now();
    let empty = plain(&format!("<KeyContainer>{}</KeyContainer>", "<KeyPackage><Key/></KeyPackage>".repeat(65_536)));
    assert!(empty.len() == 65_536 && empty.iter().all(Result::is_err));
    assert!(start.elapsed().as_secs() < 5);
    assert_eq!(pskc::parse(b"<KeyContainer>\xff", Unlock::None).unwrap_err().kind(), ErrorKind::Pskc);
    assert_eq!(format!("{:?} {:?}", Unlock::Password("hidden"), Unlock::Key(b"hidden")), "Password(..) Key(..)");
}

proptest! {
    #[test]
    fn damaged_key_files_do_not_panic_and_tell_nothing(number in 2usize..=10, seed in any::<u64>()) {
        let mut random = Random(seed);
        let mut file = figure(&number.to_string()).into_bytes();
        for _ in 0..=random.below(3) {
            crate::damage(&mut file, &mut random);
        }
        let key = hex(KEY);
        let unlock = [Unlock::None, Unlock::Key(&key), Unlock::Password(PASSWORD)][usize::try_from(random.below(3)).unwrap()];
        let printed = match pskc::parse(&file, unlock) {
            Ok(tokens) => tokens.iter().filter_map(|token| token.as_ref().err()).map(|e| format!("{e} {e:?}")).collect(),
            Err(error) => format!("{error} {error:?}"),
        };
        for secret in ["MTIz", "1234", "qwerty"] {
            prop_assert!(!printed.contains(secret));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = pskc::parse(&bytes, Unlock::None);
        let _ = pskc::parse(&[b"<KeyContainer>", &bytes[..]].concat(), Unlock::None);
    }
}
