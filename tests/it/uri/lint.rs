//! The table of apps, row by row, and the page that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use keyfob::{Algorithm, Digits, Effect, Finding, KeyUri, Period, Secret};

use crate::{data, rows, text};

/// A row of the table: the setting in the words of the page, a part of the reason, a URI that has it, and the nearest one
/// that does not.
struct Row {
    setting: &'static str,
    reason: &'static str,
    has: KeyUri,
    has_not: KeyUri,
}

fn secret() -> Secret {
    Secret::from_bytes(&[1; 64]).unwrap()
}

fn totp(issuer: &str, account: &str) -> KeyUri {
    KeyUri::totp(issuer, account, &secret()).unwrap()
}

fn plain() -> KeyUri {
    totp("Example", "alice@example.com")
}

fn period(seconds: u32) -> KeyUri {
    plain().with_period(Period::new(seconds).unwrap()).unwrap()
}

fn hotp(counter: u64) -> KeyUri {
    KeyUri::hotp("Example", "alice@example.com", &secret(), counter).unwrap()
}

fn steam() -> KeyUri {
    KeyUri::steam("Example", "alice@example.com", &secret()).unwrap()
}

fn link() -> KeyUri {
    KeyUri::parse_lenient(&format!("steam://{}", *secret().expose_base32())).unwrap().0
}

fn prefixed(prefix: &str) -> KeyUri {
    plain().with_label_issuer(prefix).unwrap()
}

fn colon() -> KeyUri {
    let text = format!("otpauth://totp/a:b:c?secret={}&issuer=a", *secret().expose_base32());
    KeyUri::parse_lenient(&text).unwrap().0
}

fn table() -> Vec<Row> {
    let mut table = Vec::new();
    let mut row = |setting, reason, has: KeyUri, has_not: KeyUri| table.push(Row { setting, reason, has, has_not });
    let sha256 = || plain().with_algorithm(Algorithm::Sha256);
    let sha512 = || plain().with_algorithm(Algorithm::Sha512);
    let eight = || plain().with_digits(Digits::Eight);
    let long = |issuer: usize, account: usize| totp(&"E".repeat(issuer), &"a".repeat(account));

    let setting = "SHA-256 or SHA-512";
    row(setting, "computes with SHA-1", sha256(), plain());
    row(setting, "some of the hash functions", sha512(), plain());
    row("SHA-512", "does not know SHA-512", sha512(), sha256());
    let setting = "seven or eight digits";
    row(setting, "shows six digits whatever", eight(), plain());
    row(setting, "some of the lengths", plain().with_digits(Digits::Seven), plain());
    row(setting, "takes codes of six digits only", eight(), plain());
    row("a period other than 30 s", "counts in 30 seconds whatever", period(31), period(30));
    row("a period below 5 or above 300 s", "where the period is not 5 to 300", period(301), period(300));
    row("a period that does not divide 60 s", "does not divide 60 seconds", period(45), period(20));
    row("a period above 900 s", "above 900 seconds", period(901), period(900));
    row("a period other than 10, 30, 60 and 90 s", "10, 30, 60 and 90", period(20), period(90));
    row("a period below 5 s", "5 seconds and more", period(4), period(5));
    let setting = "anything but SHA-1, six digits and 30 s";
    row(setting, "takes SHA-1, six digits and 30 seconds only", period(60), plain());
    row(setting, "some settings other than", eight(), plain());
    row("HOTP", "HOTP as TOTP where the URI is pasted", hotp(0), plain());
    row("HOTP", "=reads HOTP as TOTP", hotp(0), plain());
    row("HOTP from a counter above 0", "counts from 0", hotp(1), hotp(0));
    row("HOTP of seven or eight digits", "shows six digits for HOTP", hotp(0).with_digits(Digits::Eight), hotp(0));
    row("HOTP", "takes TOTP only", hotp(0), plain());
    row("Steam", "reads Steam as TOTP", steam(), link());
    row("Steam", "reads the type steam as TOTP", steam(), link());
    row("Steam", "where the URI is scanned", steam(), link());
    row("Steam", "does not know Steam codes", link(), plain());
    let setting = "an issuer named Steam";
    row(setting, "where the label begins with Steam", prefixed("Steam"), totp("steam", "a"));
    row(setting, "=makes Steam codes for the issuer Steam", totp("Steam", "a"), totp("steam", "a"));
    row(setting, "Steam in any case", totp("steam", "a"), totp("Steamer", "a"));
    let weak = |bytes: usize| KeyUri::totp("E", "a", &Secret::from_bytes(&vec![1; bytes]).unwrap()).unwrap();
    row("a secret below 128 bits", "below 128 bits", weak(15), weak(16));
    let setting = "a counter above 2^31 - 1";
    row(setting, "keeps the counter in 31 bits", hotp(1 << 31), hotp((1 << 31) - 1));
    row(setting, "counts from 1", hotp(1 << 31), hotp((1 << 31) - 1));
    row("a counter above 2^32 - 1", "in 32 bits", hotp(1 << 32), hotp((1 << 32) - 1));
    row("a counter above 2^53", "2^53", hotp((1 << 53) + 1), hotp(1 << 53));
    row("issuer and account of more than 63 bytes together", "at most 64 bytes", long(1, 63), long(1, 62));
    row("a name that begins with digits and a slash", "as the period", totp("24/7 Shop", "a"), totp("24 7/Shop", "a"));
    let setting = "an issuer above 30 characters, or an account above 50";
    row(setting, "30 characters and an account at 50", long(31, 1), long(30, 50));
    let setting = "an issuer above 32 characters, or an account above 40";
    row(setting, "32 characters and an account at 40", long(1, 41), long(32, 40));
    row("a name with ?", "loses the secret", totp("Who?", "a"), totp("Who", "a"));
    row(
        "a name with # or %, an issuer with & or +",
        "before it splits it",
        totp("AT&T", "a"),
        totp("Example", "a&+?b"),
    );
    row("a name with %, an issuer with +", "decodes a name twice", totp("Example", "50%"), totp("Example", "a+b"));
    row("an issuer with +", "reads + in the issuer", totp("C++", "a"), totp("Example", "a+b"));
    row("a name with ?", "cuts a name at a ?", totp("Example", "a?"), totp("AT&T", "a#/%"));
    row("a name with &, ? or /", "contains & ? or /", totp("Example", "a/b"), totp("Example", "a=b\"#%+"));
    row("a name with a colon", "takes one colon only", colon(), plain());
    row("a name with a colon", "loses a part of a name with a colon", colon(), plain());
    let setting = "a prefix of the label that is not the issuer";
    row(setting, "instead of the issuer", prefixed("Other"), prefixed("Example"));
    row(setting, "shows another account", prefixed("Other"), prefixed("Example"));
    row("no issuer, and an email address", "email address", totp("", "a@example.com"), totp("", "a"));
    row("no issuer", "where there is none", totp("", "a"), totp("E", "a"));
    table
}

impl Row {
    fn of(&self, uri: &KeyUri) -> Vec<Finding> {
        let is_own = |reason: &str| match self.reason.strip_prefix('=') {
            Some(whole) => reason == whole,
            None => reason.contains(self.reason),
        };
        uri.lint().into_iter().filter(|finding| is_own(finding.reason())).collect()
    }
}

#[test]
fn each_row_has_a_uri_and_a_neighbor() {
    let mut reasons = BTreeSet::new();
    for row in table() {
        let found = row.of(&row.has);
        let own: BTreeSet<_> = found.iter().map(Finding::reason).collect();
        assert_eq!(own.len(), 1, "{}: {own:?}", row.reason);
        assert!(row.of(&row.has_not).is_empty(), "{}", row.reason);
        reasons.extend(own);
    }
    let rows = include_str!("../../../src/uri/lint/table.rs").split_once("static TABLE: [Rule; ").unwrap().1;
    let rows: usize = rows.split_once(']').unwrap().0.parse().unwrap();
    assert_eq!(reasons.len(), rows, "a row of the table has no case");
}

#[test]
fn the_defaults_and_a_plain_name_are_right_everywhere() {
    for uri in [plain(), plain().with_defaults_written(), totp("Example Inc.", "al"), totp("Müller=\"x\"", "a-b_c~d")]
    {
        assert_eq!(uri.lint().iter().map(Finding::app).collect::<Vec<_>>(), [""; 0], "{}", *uri.to_uri());
    }
}

#[test]
fn apps_and_effects() {
    let finds = |uri: &KeyUri, app: &str, effect: Effect| {
        uri.lint().iter().any(|finding| (finding.app(), finding.effect()) == (app, effect))
    };
    let (wrong, refused, renamed) = (Effect::WrongCode, Effect::Refused, Effect::Mislabeled);
    for (uri, app, effect) in [
        (plain().with_algorithm(Algorithm::Sha256), "Authy", wrong),
        (plain().with_algorithm(Algorithm::Sha256), "Okta Verify for Android", wrong),
        (plain().with_algorithm(Algorithm::Sha512), "YubiKey 4 FIPS", refused),
        (plain().with_algorithm(Algorithm::Sha512), "Nitrokey 3", refused),
        (plain().with_digits(Digits::Eight), "Duo Mobile", refused),
        (period(60), "Authy", wrong),
        (period(60), "Google Authenticator for Android before 2024", wrong),
        (period(60), "Symantec VIP", refused),
        (period(60), "FortiToken", wrong),
        (period(45), "2FAS for iOS", refused),
        (period(90), "Authenticator, the browser extension", wrong),
        (period(901), "KeePassDX", wrong),
        (period(4), "FreeOTP for iOS", refused),
        (hotp(0), "Bitwarden", wrong),
        (hotp(0), "Bitwarden for Android", refused),
        (hotp(0), "Microsoft Authenticator", wrong),
        (hotp(0), "KeePassXC", wrong),
        (hotp(0), "KeePassium", refused),
        (hotp(0), "Proton Authenticator", refused),
        (hotp(0).with_digits(Digits::Seven), "Ente Auth on the web", wrong),
        (hotp(1 << 31), "2FAS for Android", wrong),
        (hotp(1 << 32), "YubiKey", refused),
        (steam(), "KeePassDX", wrong),
        (steam(), "FreeOTP for Android", refused),
        (steam(), "Stratum", refused),
        (steam(), "Dashlane for iOS", refused),
        (steam(), "Google Authenticator for Android", refused),
        (link(), "YubiKey", refused),
        (totp("STEAM", "a"), "Ente Auth", wrong),
        (totp("Steam", "a"), "FreeOTP+", wrong),
        (totp("Steam", "a"), "KeePassium", wrong),
        (totp("24/7 Shop", "a"), "YubiKey", wrong),
        (totp("", "2/a"), "YubiKey", wrong),
        (prefixed("AT&T"), "2FAS for Android", renamed),
        (totp("Who?", "a"), "2FAS for Android", refused),
        (totp("a+b", "a"), "2FAS for iOS", renamed),
        (totp("", "a"), "Stratum", renamed),
        (totp("", "a@b"), "Microsoft Authenticator", renamed),
        (prefixed("Other"), "Proton Pass", renamed),
    ] {
        assert!(finds(&uri, app, effect), "{app} {effect:?}: {:?}", uri.lint());
        assert!(uri.lint().iter().map(Finding::effect).is_sorted());
    }
    for (uri, app, effect) in [
        (period(60), "Google Authenticator for iOS", wrong),
        (plain().with_digits(Digits::Seven), "Authy", wrong),
        (steam(), "FreeOTP for Android", wrong),
        (totp("Steam", "a"), "FreeOTP for iOS", wrong),
        (hotp(1 << 40), "2FAS for iOS", wrong),
        (link(), "Bitwarden", wrong),
        (totp("24/7 Shop", "a").with_period(Period::new(60).unwrap()).unwrap(), "YubiKey", wrong),
        (totp("Shop", "24/7"), "YubiKey", wrong),
        (totp("/7", "a"), "YubiKey", wrong),
        (totp("a=b", "\"c\"/d"), "Stratum", renamed),
        (totp("", "a"), "Microsoft Authenticator", renamed),
        (prefixed("Other").with_label_issuer("Example").unwrap(), "Aegis", renamed),
    ] {
        assert!(!finds(&uri, app, effect), "{app} {effect:?}: {:?}", uri.lint());
    }
    // The name that a key stores has the period in front where it is another.
    let stored = |account: usize, seconds: u32| {
        let uri = totp("E", &"a".repeat(account)).with_period(Period::new(seconds).unwrap()).unwrap();
        finds(&uri, "YubiKey", refused)
    };
    assert!(!stored(62, 30) && stored(63, 30) && !stored(59, 60) && stored(60, 60));
}

#[test]
fn each_finding_has_a_source_and_its_age() {
    for finding in table().iter().flat_map(|row| row.of(&row.has)) {
        assert!(!finding.app().is_empty() && finding.source().len() > 5, "{finding:?}");
        let month = finding.read().split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2);
        assert!(finding.read() == "undated" || month.is_some(), "{finding:?}");
    }
}

/// `docs/apps.md` is what the table says. `KEYFOB_DRAW=1` writes it anew.
#[test]
fn the_page_is_current() {
    let path = format!("{}/docs/apps.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).unwrap();
    let mut current = page.clone();
    for (name, part) in [("matrix", matrix()), ("table", conditions())] {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let (before, rest) = current.split_once(&start).unwrap();
        let after = rest.split_once(&end).unwrap().1;
        current = format!("{before}{start}{part}{end}{after}");
    }
    if std::env::var_os("KEYFOB_DRAW").is_some() {
        std::fs::write(&path, &current).unwrap();
        return;
    }
    assert!(page == current, "{path} is out of date: KEYFOB_DRAW=1 cargo test --all-features --test it uri::lint");
}

/// Apps and settings: what the table says is wrong or refused, what `tests/data/apps.json` says is right, and `?`.
fn matrix() -> String {
    let columns = [
        ("SHA-256", plain().with_algorithm(Algorithm::Sha256)),
        ("SHA-512", plain().with_algorithm(Algorithm::Sha512)),
        ("7 digits", plain().with_digits(Digits::Seven)),
        ("8 digits", plain().with_digits(Digits::Eight)),
        ("60 s", period(60)),
        ("HOTP", hotp(1)),
        ("Steam", steam()),
    ];
    let file = data("apps");
    let mut cells: BTreeMap<&str, [&str; 7]> = BTreeMap::new();
    for app in rows(&file, "apps") {
        let right = rows(app, "right");
        assert!(right.iter().all(|name| columns.iter().any(|(column, _)| name == column)), "{app}");
        let cell = |(column, _): &(&str, _)| if right.iter().any(|name| name == column) { "R" } else { "?" };
        cells.insert(text(app, "app"), columns.each_ref().map(cell));
    }
    for (column, (_, uri)) in columns.iter().enumerate() {
        // The worst first.
        for finding in uri.lint().iter().rev() {
            let cell = &mut cells.entry(finding.app()).or_insert(["?"; 7])[column];
            assert_ne!(*cell, "R", "the table and the data disagree on {}", finding.app());
            match finding.effect() {
                Effect::WrongCode if finding.reason().contains(" some ") => *cell = "W*",
                Effect::WrongCode => *cell = "W",
                Effect::Refused => *cell = "X",
                _ => {}
            }
        }
    }
    let mut page = String::from("| app |");
    columns.iter().for_each(|(column, _)| write!(page, " {column} |").unwrap());
    page += "\n|---|---|---|---|---|---|---|---|\n";
    for (app, cells) in cells {
        write!(page, "| {app} |").unwrap();
        cells.iter().for_each(|cell| write!(page, " {cell} |").unwrap());
        page += "\n";
    }
    page
}

fn conditions() -> String {
    let mut page = String::from("| setting | app | effect | reason | source, read |\n|---|---|---|---|---|\n");
    for row in table() {
        for finding in row.of(&row.has) {
            let effect = match finding.effect() {
                Effect::WrongCode => "wrong code",
                Effect::Refused => "refused",
                Effect::Mislabeled => "other name",
                _ => unreachable!(),
            };
            let (app, reason) = (finding.app(), finding.reason());
            let (source, read) = (finding.source(), finding.read());
            writeln!(page, "| {} | {app} | {effect} | {reason} | {source}, {read} |", row.setting).unwrap();
        }
    }
    page
}
