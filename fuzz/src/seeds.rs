//! Writes the seed inputs of each target. They are made from the test vectors.

use std::fs;
use std::path::Path;

use keyfob::Qr;
use keyfob_fuzz::Random;
use keyfob_fuzz::record::genuine;
use serde_json::Value;

pub fn write(home: &Path) {
    let tests = home.join("../tests/data");
    let data = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(tests.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    let texts = |value: &Value, list: &str, field: &str| -> Vec<Vec<u8>> {
        value[list].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().into()).collect()
    };
    let put = |target: &str, inputs: Vec<Vec<u8>>| {
        let folder = home.join("seeds").join(target);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (index, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("{index:02}")), input).unwrap();
        }
    };

    let codes = ["755224", "1234 5678", "012-345", "１２３　４５６", "2D2V8", "2d2v8", "12345"];
    put("code", codes.map(Into::into).into());
    let base32 = data("rfc4648_base32");
    let mut symbols = texts(&base32, "lenient_forms_of_one_20_byte_secret", "input");
    symbols.extend(texts(&base32, "invalid", "input"));
    symbols.extend(texts(&base32, "non_canonical", "input"));
    put("base32", symbols);
    let mut uris = texts(&data("uri_parse"), "cases", "uri");
    uris.push(b"steam://GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_vec());
    put("uri", uris);
    let migration = data("otpauth_migration");
    let mut transfers = texts(&migration, "cases", "uri");
    for row in migration["cases"].as_array().unwrap() {
        let hex = row["payload_hex"].as_str().unwrap_or_default();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        transfers.push([b'!'].into_iter().chain(bytes).collect());
    }
    put("migration", transfers);

    let figures = data("rfc6030_pskc");
    let figures = figures["figures"].as_object().unwrap().values();
    let files: Vec<Vec<u8>> = figures.map(|figure| figure["xml"].as_str().unwrap().into()).collect();
    // Write a long value that applies to many short entries.
    let long = "a".repeat(2000);
    let keys = format!(
        "<KeyContainer><KeyPackage><DeviceInfo><SerialNo>{long}</SerialNo></DeviceInfo>{}</KeyPackage></KeyContainer>",
        "<Key/>".repeat(400)
    );
    put("pskc", files.iter().cloned().chain([keys.clone().into()]).collect());
    let mut backups: Vec<_> = tests.join("backups").read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    backups.sort();
    backups.retain(|path| !path.ends_with("expected.json"));
    let many = [
        keys,
        format!("login_totp,{long}\n{}", "x\n".repeat(400)),
        format!(r#"{{"name":"{long}","items":[{}]}}"#, ["0"; 400].join(",")),
        "otpauth-migration://offline?data=GOgHIOcHKAE=".into(),
    ];
    let backups = backups.iter().map(|path| fs::read(path).unwrap()).chain(files.into_iter().take(2));
    put("import", backups.chain(many.map(String::into_bytes)).collect());

    let picture = Qr::new("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ").unwrap();
    let pixels: Vec<u8> = (0..picture.side() * picture.side())
        .map(|index| u8::from(picture.is_dark(index / picture.side(), index % picture.side())))
        .collect();
    let bits = pixels.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
    put(
        "qr",
        vec![
            b"otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ".to_vec(),
            vec![b'9'; 300],
            [vec![0], picture.png(1).unwrap().to_vec()].concat(),
            [1, picture.side() as u8 - 1].into_iter().chain(bits).collect(),
            vec![2, 40, 3, 7, 1, 90, 2],
            b"\x03\x00\x22\xffotpauth://totp/a?secret=GEZDGNBVGY3TQOJQ".to_vec(),
        ],
    );

    let genuine = genuine();
    let text = String::from_utf8(genuine.record.clone()).unwrap();
    let edits = [
        ("\"failures\":", "\"failures\":9"),
        ("SHA1", "SHA256"),
        ("\"v\":1", "\"v\":2"),
        ("\"digits\":6", "\"digits\":8"),
        ("\"trusted\":true", "\"trusted\":false"),
        ("\"suspended\":false", "\"suspended\":true"),
        ("\"epoch\":0", "\"epoch\":1900000000"),
    ];
    let edited = edits.iter().map(|(from, to)| text.replacen(from, to, 1).into_bytes());
    // An account whose second factor was removed, and one that has known devices and many wrong codes.
    let mut removed: Value = serde_json::from_str(&text).unwrap();
    removed["active"] = serde_json::json!([]);
    removed["removed"] = 1_899_999_000.into();
    for name in ["recovery", "devices", "logins"] {
        removed.as_object_mut().unwrap().remove(name);
    }
    let mut guessed: Value = serde_json::from_str(&text).unwrap();
    for (name, number) in [("failures", 80), ("level", 90 * 86_400), ("known_failures", 20), ("known_level", 86_400)] {
        guessed["budget"][name] = number.into();
    }
    // A confirmed enrollment that began with a voucher, and one that replaces all.
    let mut confirmed: Value = serde_json::from_str(&text).unwrap();
    confirmed["pending"]["confirmed"] = 1.into();
    let mut replacing = confirmed.clone();
    confirmed["pending"]["vouched"] = true.into();
    replacing["pending"]["replaces_all"] = true.into();
    let more = [removed, guessed, confirmed, replacing].map(|record| serde_json::to_vec(&record).unwrap());
    put("record", [genuine.record.clone()].into_iter().chain(edited).chain(more).collect());
    let ring = format!("2026:{}", *keyfob::base32::encode(&[1; 32]));
    let tokens = [
        genuine.proof.token("session"),
        genuine.codes[0].clone(),
        genuine.codes[9].to_lowercase(),
        ring.clone(),
        format!("{ring}, {}", ring.replace('6', "7")),
        genuine.challenge.token(),
        genuine.ticket.token(),
        genuine.voucher.token(),
        genuine.handle.token(),
        genuine.trusted.token().to_string(),
        genuine.known.token().to_lowercase(),
        genuine.generation.clone(),
    ];
    put("token", tokens.map(String::into_bytes).into());

    put("differential", (0..4).map(|seed| Random(seed).bytes(64 + 60 * seed as usize)).collect());
    put("guard", (0..6).map(|seed| Random(seed).bytes(400)).collect());
}
