//! Files of other apps, by the number of accounts.

use std::fmt::Write;
use std::hint::black_box;

use criterion::BenchmarkId;
use keyfob::{KeyUri, Secret, Transfer, TransferCode, import};
use keyfob_benches::harness::brief_criterion;
use keyfob_benches::{FILES, SECRET};

type Read = fn(&str) -> usize;

fn main() {
    let mut criterion = brief_criterion();
    let mut group = criterion.benchmark_group("files");
    for count in [10, 100, 1_000, 10_000] {
        let secret = Secret::from_bytes(SECRET).expect("valid");
        let accounts: Vec<_> =
            (0..count).map(|n| KeyUri::totp("Example Inc", &format!("user{n}"), &secret).expect("valid")).collect();
        let files: [(String, Read); 5] = [
            (transfers(&accounts), transfer),
            (large_transfers(&accounts), transfer),
            (uris(&accounts), file),
            (aegis(&accounts), file),
            (table(&accounts), file),
        ];
        for (name, (text, read)) in FILES.into_iter().zip(files) {
            assert_eq!(read(&text), count, "{name}");
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| read(black_box(&text)));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

fn transfer(text: &str) -> usize {
    let parts = text.lines().map(|code| TransferCode::parse(code).expect("valid"));
    parts.flat_map(TransferCode::into_entries).filter(Result::is_ok).count()
}

fn file(text: &str) -> usize {
    import::parse(text.as_bytes()).expect("valid").entries().iter().filter(|entry| entry.is_ok()).count()
}

fn transfers(accounts: &[KeyUri]) -> String {
    // A transfer has at most 1000 codes.
    let codes = accounts.chunks(5000).flat_map(|accounts| Transfer::export(accounts, 1).expect("valid"));
    codes.map(|code| format!("{}\n", *code)).collect()
}

/// A payload of nearly the largest size that is read. Programs that draw QR codes never write one that large.
fn large_transfers(accounts: &[KeyUri]) -> String {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128).expect("short");
        [&[number << 3 | 2, length][..], bytes].concat()
    };
    let account = |account: &KeyUri| {
        let [name, issuer] = [account.account(), "Example Inc"].map(str::as_bytes);
        field(1, &[field(1, SECRET), field(2, name), field(3, issuer)].concat())
    };
    let code = |accounts: &[KeyUri]| {
        let payload: Vec<u8> = accounts.iter().flat_map(account).collect();
        format!("otpauth-migration://offline?data={}\n", data_encoding::BASE64.encode(&payload))
    };
    accounts.chunks(1000).map(code).collect()
}

fn uris(accounts: &[KeyUri]) -> String {
    accounts.iter().map(|account| format!("{}\n", *account.to_uri())).collect()
}

fn aegis(accounts: &[KeyUri]) -> String {
    let mut text = String::from(r#"{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":["#);
    for (index, account) in accounts.iter().enumerate() {
        // Writing to a `String` does not fail.
        let _ = write!(
            text,
            r#"{}{{"type":"totp","name":"{}","issuer":"Example Inc","info":{{"secret":"{}","algo":"SHA1","digits":6,"period":30}}}}"#,
            if index > 0 { "," } else { "" },
            account.account(),
            *account.secret().expose_base32()
        );
    }
    text + "]}}"
}

fn table(accounts: &[KeyUri]) -> String {
    let rows =
        accounts.iter().map(|account| format!(",login,Example Inc,{},{}\n", account.account(), *account.to_uri()));
    String::from("folder,type,name,login_username,login_totp\n") + &rows.collect::<String>()
}
