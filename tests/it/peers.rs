//! What other programs say. Each is optional on a developer's machine and mandatory where `CI` is set.

mod pictures;
mod uris;

use std::io::Write;
use std::process::{Command, Stdio};

use keyfob::{Algorithm, Digits, Hotp, Key, KeyUri, Period, Secret, Totp};

use crate::{Random, to_hex};

/// The program, if it answers to these arguments.
pub fn program(name: &str, arguments: &[&str]) -> Option<String> {
    let answer = Command::new(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if answer.is_ok_and(|status| status.success()) {
        return Some(name.to_owned());
    }
    let missing = format!("{name} {} does not run, so nothing is compared with it", arguments.join(" "));
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    // Around the capture of the test harness: a check that did not happen must be seen.
    let _ = writeln!(std::io::stderr(), "skipped: {missing}");
    None
}

/// The program's answer to each line.
fn converse(program: &str, arguments: &[&str], lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut child = Command::new(program)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TZ", "UTC")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = lines.map(|line| line + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?} fails");
    writer.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn oathtool_computes_the_same_codes() {
    let Some(oathtool) = program("oathtool", &["--version"]) else { return };
    for case in cases(3, 2000) {
        let mut command = Command::new(&oathtool);
        match case.period {
            Some(period) => {
                let mode = ["sha1", "sha256", "sha512"][case.algorithm as usize];
                command.arg(format!("--totp={mode}")).args(["-N", &format!("@{}", case.moment)]);
                command.args(["-s", &format!("{period}s")]);
            }
            None => {
                command.arg("--hotp").args(["-c", &case.moment.to_string()]);
            }
        }
        let output = command.args(["-d", &case.digits.get().to_string(), &to_hex(&case.key)]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), case.code(), "{case:?}");
    }
}

#[test]
fn pyotp_computes_the_same_codes() {
    let Some(python) = program("python3", &["-c", "import pyotp"]) else { return };
    const SCRIPT: &str = "
import base64, hashlib, pyotp, sys
for line in sys.stdin:
    key, algorithm, digits, period, moment = line.split()
    key = base64.b32encode(bytes.fromhex(key)).decode()
    settings = {'digits': int(digits), 'digest': getattr(hashlib, algorithm.lower())}
    if period == 'None':
        print(pyotp.HOTP(key, **settings).at(int(moment)))
    else:
        print(pyotp.TOTP(key, interval=int(period), **settings).at(int(moment)))
";
    let mut left = crate::cases(2000);
    for seed in 3.. {
        // At once, as much as memory is well able to hold.
        let cases = cases(seed, left.min(100_000));
        let lines = cases.iter().map(|case| {
            let period = case.period.map_or("None".to_owned(), |period| period.to_string());
            format!("{} {} {} {period} {}", to_hex(&case.key), case.algorithm, case.digits.get(), case.moment)
        });
        let codes = converse(&python, &["-c", SCRIPT], lines);
        assert_eq!(codes.len(), cases.len());
        for (code, case) in codes.iter().zip(&cases) {
            assert_eq!(*code, case.code(), "{case:?}");
        }
        left -= cases.len();
        if left == 0 {
            break;
        }
    }
}

#[derive(Debug)]
struct Case {
    key: Vec<u8>,
    algorithm: Algorithm,
    digits: Digits,
    /// `None` for HOTP.
    period: Option<u32>,
    /// Seconds or a counter.
    moment: u64,
}

impl Case {
    fn code(&self) -> String {
        let key = Key::new(&self.key).unwrap();
        match self.period {
            Some(period) => Totp::with_algorithm(key, self.algorithm)
                .with_digits(self.digits)
                .with_period(Period::new(period).unwrap())
                .code_at(self.moment)
                .to_string(),
            None => Hotp::with_algorithm(key, self.algorithm).with_digits(self.digits).code(self.moment).to_string(),
        }
    }
}

/// Within what both programs take: keys of 14 bytes or more, periods up to two minutes, and SHA-1 for HOTP.
fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut random = Random(seed);
    let mut case = || {
        let period = (random.below(4) > 0).then(|| [30, 60, 15, 120, 1][random.below(5) as usize]);
        let algorithm = match random.below(3) {
            1 if period.is_some() => Algorithm::Sha256,
            2 if period.is_some() => Algorithm::Sha512,
            _ => Algorithm::Sha1,
        };
        let digits = [Digits::Six, Digits::Seven, Digits::Eight][random.below(3) as usize];
        let length = 14 + random.below(60) as usize;
        Case { key: random.bytes(length), algorithm, digits, period, moment: random.below(1 << 34) }
    };
    (0..count).map(|_| case()).collect()
}

/// What a program takes.
struct Limits {
    shortest_secret: u64,
    longest_secret: u64,
    longest_period: u32,
    largest_counter: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { shortest_secret: 10, longest_secret: 80, longest_period: 86_400, largest_counter: u64::MAX }
    }
}

/// Accounts with names that are hard to pass on, and a moment for each.
fn accounts(count: usize, limits: &Limits) -> Vec<(KeyUri, u64)> {
    let mut random = Random(7);
    let mut account = || {
        let length = limits.shortest_secret + random.below(limits.longest_secret - limits.shortest_secret + 1);
        let secret = Secret::from_bytes(&random.bytes(length as usize)).unwrap();
        let issuer = if random.below(8) == 0 { String::new() } else { name(&mut random) };
        let account = name(&mut random);
        let uri = if random.below(4) > 0 {
            let period = [30, 30, 60, 15, 1, 86_400][random.below(6) as usize].min(limits.longest_period);
            let uri = KeyUri::totp(&issuer, &account, &secret).unwrap();
            uri.with_period(Period::new(period).unwrap()).unwrap()
        } else {
            let counter = [0, 1, random.next() >> 40, u64::MAX][random.below(4) as usize].min(limits.largest_counter);
            KeyUri::hotp(&issuer, &account, &secret, counter).unwrap()
        };
        let uri = uri.with_algorithm([Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][random.below(3) as usize]);
        let uri = uri.with_digits([Digits::Six, Digits::Seven, Digits::Eight][random.below(3) as usize]);
        let uri = if random.below(4) == 0 { uri.with_defaults_written() } else { uri };
        (uri, random.below(1 << 34))
    };
    (0..count).map(|_| account()).collect()
}

fn name(random: &mut Random) -> String {
    const NAMES: [&str; 10] = [
        "Example Inc",
        "alice+tag@example.com",
        "AT&T + 100 % = / # ?",
        "%41%",
        "50%",
        "你好世界 😀",
        "مرحبا بالعالم",
        "שלום \u{200f}x",
        "👩‍👩‍👧‍👦 e\u{301} ﬁ",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    const CHARACTERS: &str = "aZ09 -._~@&+%#?=/\\\"'()*!;,|<>[]{}^`$äßé你😀مרﬃİ";
    if random.below(2) == 0 {
        return NAMES[random.below(10) as usize].to_owned();
    }
    let characters: Vec<char> = CHARACTERS.chars().collect();
    let length = 1 + random.below(60);
    let name: String = (0..length).map(|_| characters[random.below(characters.len() as u64) as usize]).collect();
    // Never empty, also without the spaces around it, which no app keeps.
    format!("{}.", name.trim_matches(' '))
}
