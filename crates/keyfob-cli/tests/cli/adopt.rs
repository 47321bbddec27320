//! Adoption from CSV and JSON lines.

use keyfob::{KeyUri, Secret};

use crate::world::{World, block_on};

const SECRETS: [&str; 4] = [
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U",
    "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU",
];

fn world(name: &str) -> World {
    let world = World::new(name);
    SECRETS.iter().for_each(|secret| world.is_secret(secret));
    world
}

fn csv() -> String {
    let [a, b, c, d] = SECRETS;
    format!(
        "user,uri,secret,type,algorithm,digits,period,counter,last_used,name\n\
         al,otpauth://totp/Old:al?secret={a}&issuer=Old,,,,,,,,old phone\n\
         \"tenant:17\",,{b},totp,SHA256,8,60,,12345,\n\
         bob,,{c},hotp,,,,7,,\n\
         bob,,{d},,,,,,,second\n\
         ,,{a},,,,,,,\n\
         both,otpauth://totp/x?secret={a},{a},,,,,,,\n\
         typo,,{a},totq,,,,,,\n\
         seconds,,{a},,,,,,99999999999,\n\
         zoe,,{a}!,,,,,,,\n\
         steam,otpauth://steam/Steam:al?secret={a},,,,,,,,\n\
         short,,{a}\n\
         bob,,{d},,,,,,,twice\n"
    )
}

#[test]
fn a_csv_file_is_adopted() {
    let world = world("csv");
    world.write("users.csv", csv());
    let rehearsed = world.run("adopt users.csv --keys-file keys --dry-run --json").exits(1).json();
    assert!(world.run("list").exits(1).out.is_empty(), "a rehearsal stores nothing");

    let outcome = world.run("adopt users.csv --keys-file keys --rejects rejects.csv --log log --json").exits(1);
    let summary = outcome.json().pop().unwrap();
    let expected = serde_json::json!({"command": "adopt", "dry_run": false, "interrupted": false, "rows": 12,
        "adopted": 4, "kept": 0, "rejected": 8, "weak": 0});
    assert_eq!(summary, expected);
    // The rehearsal said the same of each row.
    let outcomes = |lines: &[serde_json::Value]| -> Vec<_> {
        lines[..12].iter().map(|line| (line["line"].clone(), line["outcome"].clone(), line["reason"].clone())).collect()
    };
    assert_eq!(outcomes(&rehearsed), outcomes(&outcome.json()));

    let rejects = world.read("rejects.csv");
    let reason = |line: &str, text: &str| {
        assert!(rejects.lines().any(|row| row.starts_with(line) && row.contains(text)), "{line} {text}: {rejects}");
    };
    reason("6,,", "name of an account");
    reason("7,both,", "both a URI and a secret");
    reason("8,typo,", "neither totp nor hotp");
    reason("9,seconds,", "not a time in seconds");
    reason("10,zoe,", "position 33");
    reason("11,steam,", "kind steam");
    reason("12,,", "as many fields");
    reason("13,bob,", "already has an authenticator with this secret");
    assert!(SECRETS.iter().all(|secret| !rejects.contains(secret)));

    let log = world.read("log");
    assert_eq!(log.matches(" Adopted {").count(), 4);
    assert!(SECRETS.iter().all(|secret| !log.contains(secret)));

    block_on(async {
        let guard = world.application().await;
        let status = guard.status("tenant:17").await.unwrap();
        let app = &status.authenticators()[0];
        assert_eq!((app.digits().get(), app.algorithm()), (8, keyfob::Algorithm::Sha256));
        assert_eq!(guard.status("al").await.unwrap().authenticators()[0].name(), "old phone");
        assert_eq!(guard.status("bob").await.unwrap().authenticators().len(), 2);
        let secret = Secret::from_base32(SECRETS[2]).unwrap();
        let token = KeyUri::hotp("", "bob", &secret, 7).unwrap().to_hotp().unwrap();
        let verdict = guard.verify("bob", &token.code(7).to_string()).await.unwrap();
        assert!(matches!(verdict, keyfob::Verdict::Accepted(_)));
    });

    // Once more, after a removal: everybody is kept.
    world.run("remove al --yes").exits(0);
    world.run("adopt users.csv --keys-file keys").exits(1).says("0 adopted, 5 kept, 7 rejected");
    world.run("adopt users.csv --keys-file keys --dry-run").exits(1).says("0 would be adopted, 5 kept, 7 rejected");
    world.run("status al").exits(0).says("no second factor");
}

#[test]
fn json_lines_are_adopted() {
    let world = world("json");
    let [a, b, c, _] = SECRETS;
    let lines = format!(
        "{{\"user\": 17, \"secret\": \"{a}\", \"digits\": 8, \"last_used\": 5}}\n\n\
         {{\"user\": \"al\", \"uri\": \"otpauth://totp/al?secret={b}\"}}\n\
         {{\"user\": \"x\", \"secret\": \"{c}\", \"last_used\": \"{c}\"}}\n\
         {{\"user\": \"y\", \"{c}\": 1}}\n\
         {c}\n"
    );
    let outcome = world.run_with("adopt - --keys-file keys", &lines).exits(1);
    assert!(outcome.out.contains("5 rows: 2 adopted, 0 kept, 3 rejected"), "{}", outcome.out);
    assert!(outcome.out.contains("line 4: a field has an unknown name or the wrong type"));
    assert!(outcome.out.contains("line 6: the line is not one JSON object"));
    assert_eq!(world.run("list").out, "17\nal\n");
}

#[test]
fn secrets_in_other_encodings_are_adopted() {
    let world = world("encodings");
    let hex = "3132333435363738393031323334353637383930";
    world.write("hex.csv", format!("user,secret\nal,{hex}\nbad,+{}\n", &hex[1..]));
    world
        .run("adopt hex.csv --keys-file keys --secret-encoding hex")
        .exits(1)
        .says("not hexadecimal")
        .says("1 adopted");
    world.write("text.csv", "user,secret,counter,type\nbob,12345678901234567890,0,hotp\n");
    world.run("adopt text.csv --keys-file keys --secret-encoding text").exits(0);
    block_on(async {
        let guard = world.application().await;
        // RFC 4226, appendix D.
        assert!(matches!(guard.verify("bob", "755224").await.unwrap(), keyfob::Verdict::Accepted(_)));
    });
}

#[test]
fn a_file_that_is_not_understood_is_refused_without_quoting_it() {
    let world = world("damaged");
    let [a, b, ..] = SECRETS;
    for (text, says) in [
        (format!("al,{a}\nbob,{b}\n"), "column 1 of the first line has no name"),
        (format!("user,secret,secret\nal,{a},{b}\n"), "twice"),
        ("user,secret\n".into(), "no user in the file"),
        (format!("[{{\"user\": \"al\", \"secret\": \"{a}\"}}]"), "JSON array"),
        (String::new(), "no user"),
    ] {
        world.write("users.csv", text);
        world.run("adopt users.csv --keys-file keys").exits(1).says(says);
    }
    world.run("adopt missing.csv --keys-file keys").exits(3).says("missing.csv");
}

#[test]
fn many_users_with_several_authenticators_each() {
    let world = world("many");
    let mut csv = String::from("secret,user\n");
    // The rows of a user are far from each other in the file.
    for number in 0..2_600 {
        csv.push_str(&format!("{},user-{}\n", *Secret::generate().expose_base32(), number % 1_300));
    }
    world.write("users.csv", csv);
    world.run("adopt users.csv --keys-file keys --log log").exits(0).says("2600 adopted");
    block_on(async {
        let guard = world.application().await;
        for user in ["user-0", "user-999", "user-1299"] {
            assert_eq!(guard.status(user).await.unwrap().authenticators().len(), 2);
        }
    });
}
