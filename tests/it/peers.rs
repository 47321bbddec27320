//! The codes of other programs. Each is optional on a developer's machine and mandatory where `CI` is set.

use std::io::Write;
use std::process::{Command, Stdio};

use keyfob::{Algorithm, Digits, Hotp, Key, Period, Totp};

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

#[test]
fn oathtool_computes_the_same_codes() {
    let Some(oathtool) = program("oathtool", &["--version"]) else { return };
    for case in cases(2000) {
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
    let cases = cases(2000);
    let lines: String = cases
        .iter()
        .map(|case| {
            let period = case.period.map_or("None".to_owned(), |period| period.to_string());
            format!("{} {} {} {period} {}\n", to_hex(&case.key), case.algorithm, case.digits.get(), case.moment)
        })
        .collect();
    let mut child = Command::new(python)
        .env("TZ", "UTC")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let codes = String::from_utf8(output.stdout).unwrap();
    assert_eq!(codes.lines().count(), cases.len());
    for (code, case) in codes.lines().zip(&cases) {
        assert_eq!(code, case.code(), "{case:?}");
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
fn cases(count: usize) -> Vec<Case> {
    let mut random = Random(3);
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
