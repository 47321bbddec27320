//! The commands for developers.

use crate::world::World;

/// The secret of RFC 4226 and RFC 6238.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const URI: &str = "otpauth://totp/Example:al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example";

fn world(name: &str) -> World {
    let world = World::new(name);
    world.is_secret(SECRET);
    world.write("app.uri", format!("{URI}\n"));
    world.write("secret", SECRET);
    world
}

fn data(name: &str) -> String {
    format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn code_plays_the_phone() {
    let world = world("code");
    // RFC 6238, appendix B, with the last six digits; RFC 4226, appendix D.
    assert_eq!(world.run("code app.uri --at 59").exits(0).out, "287082\n");
    assert_eq!(world.run("code secret --at 1970-01-01T00:00:59Z --digits 8").exits(0).out, "94287082\n");
    assert_eq!(world.run_with("code --at 59", URI).exits(0).out, "287082\n");
    assert_eq!(world.run("code secret --counter 9").exits(0).out, "520489\n");
    let outcome = world.with_variable("APP", SECRET).run("code --secret-env APP --at 1111111109 --json").exits(0);
    let code = outcome.json().remove(0);
    let expected =
        serde_json::json!({"code": "081804", "type": "totp", "counter": 37037036, "valid_until": 1111111110});
    assert_eq!(code, expected);
}

#[test]
fn code_knows_the_time() {
    let world = world("time");
    let (now, next) = (world.run("code app.uri --json").json().remove(0), world.run("code app.uri --at +30s --json"));
    let steps = next.json()[0]["counter"].as_u64().unwrap() - now["counter"].as_u64().unwrap();
    assert!((1..=2).contains(&steps));
    world.run("code app.uri --at -1m").exits(0);
    for time in ["yesterday", "+", "1969-12-31T00:00:00Z", "-x"] {
        world.run(&format!("code app.uri --at {time}")).exits(2).says("+30s");
    }
    let mut child = world.spawn("code app.uri --watch");
    let line = loop {
        let line = world.read("out");
        if line.ends_with('\n') {
            break line;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("  until 20"), "{line}");
}

#[test]
fn code_refuses_what_does_not_fit() {
    let world = world("misfit");
    world.run("code app.uri --counter 1").exits(2).says("HOTP");
    world.run("code app.uri --digits 8").exits(2).says("its own settings");
    world.run("code secret --digits 9").exits(2);
    world.run("code secret --period 0").exits(2);
    world.run("code secret --counter 1 --period 30").exits(2);
    world.write("hotp.uri", format!("otpauth://hotp/al?secret={SECRET}&counter=2"));
    assert_eq!(world.run("code hotp.uri").exits(0).out, "359152\n");
    world.run("code hotp.uri --at 59").exits(2).says("--counter");
    world.run("code missing").exits(3);
    world.run("code --secret-env MISSING").exits(2).says("MISSING");
    world.run("code").exits(1).says("no URI");
    world.run_with("code", "?!").exits(1).says("position 1");
}

#[test]
fn a_uri_is_built_read_and_linted() {
    let world = world("uri");
    let built = world.run_unchecked("uri build --issuer Example --label al secret", "");
    assert_eq!((built.code, built.out.trim_end()), (0, URI));
    let generated = world.run("uri build --label al --generate --algorithm SHA256 --json").exits(0).says("warning: ");
    let uri = generated.json()[0]["uri"].as_str().unwrap().to_owned();
    assert!(uri.contains("algorithm=SHA256") && uri.len() > 80, "{uri}");
    world.run("uri build --label a:b --generate").exits(2).says("colon");
    world.run("uri build --label al app.uri").exits(1).says("URI already");

    let content = world.run("uri read app.uri --json").exits(0).json().remove(0);
    assert_eq!(
        (&content["issuer"], &content["digits"], &content["strength"]),
        (&"Example".into(), &6.into(), &"strong".into())
    );
    assert_eq!(content["warnings"], serde_json::json!([]));
    let odd = format!("OTPAUTH://totp/al?secret={SECRET}&algorithm=sha1&pin=1234");
    let read = world.run_with("uri read", &odd).exits(0).says("warning    ").says("others     pin");
    assert!(!read.out.contains("1234"));
    world.run_with("uri read", "otpauth://totp/al").exits(1);

    world.run("uri lint app.uri").exits(0).says("no app");
    let findings = world.run_with("uri lint --json", &uri).exits(1).json();
    assert!(findings.iter().any(|finding| finding["app"] == "Authy" && finding["effect"] == "wrong-code"));
}

#[test]
fn a_qr_code_is_drawn_and_read() {
    let world = world("qr");
    world.run("qr app.uri --output app.png").exits(0).says("contains the secret");
    world.run("qr app.uri --output app.png").exits(1).says("exists already");
    world.run("qr app.uri --output app.svg --module-size 3").exits(0);
    assert!(world.read("app.svg").starts_with("<svg "));
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(world.path("app.png")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
    let drawn = world.run("qr app.uri").exits(0).out;
    assert!(drawn.contains('█') && !drawn.contains('\x1b'), "there is no terminal");
    assert_ne!(world.run("qr app.uri --on-light").exits(0).out, drawn);
    world.run("qr secret").exits(1).says("not a URI");

    let account = world.run("import app.png --json").exits(0).json().remove(0);
    assert_eq!((&account["label"], &account["issuer"]), (&"al".into(), &"Example".into()));
    assert!(account["uri"].is_null());
    world.run("import app.png").exits(0).says("  1 Example: al (TOTP SHA1, 6 digits, 30 s)");
    // The search for secrets would find one.
    let shown = world.run_unchecked("import app.png --show-secrets", "");
    assert!(shown.code == 0 && world.secret_in(&shown).is_some());
}

#[test]
fn every_kind_of_file_is_imported() {
    let world = world("import");
    for (file, says) in [
        ("backups/aegis_plain.json", "Aegis: "),
        ("backups/2fas_plain.2fas", "2FAS: "),
        ("backups/bitwarden.csv", "Bitwarden: "),
        ("backups/uri_list.txt", "list of URIs: "),
    ] {
        let outcome = world.run(&format!("import {}", data(file))).says(says);
        assert!(outcome.code <= 1, "{outcome:?}");
        let lines = world.run(&format!("import {} --json", data(file))).json();
        assert!(lines.iter().all(|line| line["uri"].is_null()));
    }
    world.run(&format!("import {}", data("backups/aegis_encrypted.json"))).exits(1).says("encrypted");
    world.run_with("import -", "hello").exits(1).says("not a backup");
    world.run_with("import -", &format!("{URI}\notpauth://totp/bad\n")).exits(1).says("1 account, 1 damaged");
}

#[test]
fn an_encrypted_key_file_is_imported() {
    let world = world("pskc");
    let figures = std::fs::read_to_string(data("rfc6030_pskc.json")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    let figure = |number: &str| figures["figures"][number]["xml"].as_str().unwrap().to_owned();
    world.write("key.pskc", figure("6"));
    world.write("password.pskc", figure("7"));
    world.write("key", "12345678901234567890123456789012\n");
    world.write("password", "qwerty\n");
    world.run("import key.pskc").exits(1).says("encrypted");
    world.run("import key.pskc --key-file key").exits(0).says("encrypted key file (PSKC): 1 account");
    world.run("import password.pskc --password-file password").exits(0).says("1 account");
    world.run("import password.pskc --password-file key").exits(1);
}

#[test]
fn a_key_is_generated() {
    let world = world("keygen");
    let key = world.run("keygen 2027 --json").exits(0).json().remove(0);
    let entry = key["entry"].as_str().unwrap();
    assert!(entry.starts_with("2027:") && keyfob::Keyring::parse(entry).is_ok());
    world.run("keygen 2028 --output new").exits(0);
    assert!(keyfob::Keyring::parse(&world.read("new")).is_ok());
    world.run("keygen 2028 --output new").exits(1).says("exists already");
    world.run("keygen a/b").exits(2);
}
