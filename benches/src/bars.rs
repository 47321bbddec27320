//! The limits that keyfob sets itself, and whether they are met.

use keyfob_benches::site::{PAGES, Size, WITH_PAGES, WITHOUT_PAGES};
use keyfob_benches::{ADOPTED, APPLICATIONS_POOL};

use crate::results::Results;

pub struct Bar {
    pub what: String,
    pub bar: String,
    pub measured: String,
    met: Option<bool>,
}

impl Bar {
    pub fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None if self.measured == "-" => "not measured",
            None => "no bar",
        }
    }
}

/// The crates that compare in constant time.
pub const CT_PEERS: [&str; 5] = ["constant_time_eq", "subtle", "ctutils", "ring", "aws-lc-rs"];

/// The name of each store, and its groups alone and 32 at once.
pub const STORES: [(&str, &str, &str); 4] = [
    ("SQLite", "store, SQLite", "store, SQLite, 32 at once"),
    ("PostgreSQL", "store, PostgreSQL", "store, PostgreSQL, 32 at once"),
    ("MariaDB", "store, MariaDB", "store, MariaDB, 32 at once"),
    ("Redis", "store, Redis", "store, Redis, 32 at once"),
];

/// Two measurements of the same code differ by this much.
const NOISE: f64 = 1.03;

pub fn bars(results: &Results, largest_page: &Size) -> Vec<Bar> {
    let keyfob = |group| results.get(group, "keyfob");
    let kept = "verify, key kept";
    let check = results.get(kept, "totp-rs");
    let mut bars = vec![
        ratio(
            "one code, key kept",
            "`generate` of totp-rs",
            keyfob("code, key kept"),
            results.get("code, key kept", "totp-rs"),
            0.55,
        ),
        ratio(
            "one code, key kept",
            "two bare SHA-1 compressions",
            keyfob("code, key kept"),
            results.get("code, key kept", "two bare compressions"),
            1.40,
        ),
        ratio("one verification, key kept", "`check` of totp-rs on a miss", keyfob(kept), check, 0.50),
        ratio("one verification, key fresh", "`check` of totp-rs on a miss", keyfob("verify, key fresh"), check, 0.65),
    ];
    bars.push(match search_bar() {
        Some((vectors, at_most)) => Bar {
            bar: format!("<= {at_most:.2} times `check` of totp-rs with `skew = 1440` ({vectors})"),
            ..ratio("search of 2881 steps", "", keyfob("search"), results.get("search", "totp-rs"), at_most)
        },
        None => Bar {
            what: "search of 2881 steps".into(),
            bar: "none on a machine without AVX2".into(),
            measured: "-".into(),
            met: None,
        },
    });
    for (what, group, name) in [
        ("one verification by the guard, without its store", "guard, decision", "keyfob, wrong code"),
        ("`begin_login` without its store, challenge", "guard, login", "keyfob, begin_login, challenge"),
        ("`begin_login` without its store, trusted device", "guard, login", "keyfob, begin_login, trusted device"),
        ("`answer` without its store, right code", "guard, login", "keyfob, answer, right code"),
        ("`answer` without its store, wrong code", "guard, login", "keyfob, answer, wrong code"),
    ] {
        let time = results.get(group, name);
        bars.push(Bar {
            what: what.into(),
            bar: "<= 10 µs".into(),
            measured: time.map_or("-".into(), |time| format!("{:.1} µs", time / 1e3)),
            met: time.map(|time| time <= 10e3),
        });
    }
    for (group, what) in PAGES {
        let time = beyond(results, group);
        bars.push(Bar {
            what: format!("{what}, beyond guard and store"),
            bar: "<= 50 µs".into(),
            measured: time.map_or("-".into(), |time| format!("{:.1} µs", time / 1e3)),
            met: time.map(|time| time <= 50e3),
        });
    }
    bars.push(Bar {
        what: format!("the largest page, {}, without a QR code", largest_page.page),
        bar: "<= 20 kB".into(),
        measured: format!("{:.1} kB", largest_page.bytes as f64 / 1e3),
        met: Some(largest_page.bytes <= 20_000),
    });
    for (store, (name, alone, at_once)) in STORES.into_iter().enumerate() {
        let at_least = [Some(0.90), Some(0.85), Some(0.85), None][store];
        let base_name = if at_least.is_some() { "a bare select and update" } else { "`GET` and the bare script" };
        for (row, pool) in [("keyfob", ""), (APPLICATIONS_POOL, ", in the application's pool")] {
            for (how, group, base) in
                [("", alone, "bare select and update"), (", 32 at once", at_once, "bare selects and updates")]
            {
                let Some(own) = results.get(group, row) else { continue };
                let what = format!("one verification on {name}{pool}{how}");
                bars.push(share(what, base_name, Some(own), results.get(group, base), at_least));
            }
        }
    }
    for (what, group) in
        [("users adopted, on SQLite", "adoption, SQLite"), ("users adopted, on PostgreSQL", "adoption, PostgreSQL")]
    {
        let adopted = keyfob(group).map(|time| ADOPTED as f64 / (time / 1e9));
        bars.push(Bar {
            what: what.into(),
            bar: ">= 5000 a second".into(),
            measured: adopted.map_or("-".into(), |users| format!("{users:.0} a second")),
            met: adopted.map(|users| users >= 5000.0),
        });
    }
    for (what, group, base_name) in [
        ("one URI, written", "URI, write", "`to_url` of totp-rs"),
        ("one URI, read", "URI, read", "`from_url` of totp-rs"),
    ] {
        bars.push(ratio(what, base_name, keyfob(group), results.get(group, "totp-rs"), 2.00));
    }
    bars.extend(comparison(results));
    bars
}

/// The time that a request to the pages takes beyond that of guard and store.
pub fn beyond(results: &Results, group: &str) -> Option<f64> {
    Some(results.get(group, WITH_PAGES)? - results.get(group, WITHOUT_PAGES)?)
}

/// How fast keyfob is compared with the bare statements, as a part of their speed.
fn share(what: String, base_name: &str, own: Option<f64>, base: Option<f64>, at_least: Option<f64>) -> Bar {
    let share = own.zip(base).map(|(own, base)| base / own);
    Bar {
        what,
        bar: match at_least {
            Some(at_least) => format!(">= {at_least:.2} of the speed of {base_name}"),
            None => format!("none; the part of the speed of {base_name}"),
        },
        measured: share.map_or("-".into(), |share| format!("{share:.2}")),
        met: share.zip(at_least).map(|(share, at_least)| share >= at_least),
    }
}

fn ratio(what: &str, base_name: &str, own: Option<f64>, base: Option<f64>, at_most: f64) -> Bar {
    let ratio = own.zip(base).map(|(own, base)| own / base);
    Bar {
        what: what.into(),
        bar: format!("<= {at_most:.2} times {base_name}"),
        measured: ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        met: ratio.map(|ratio| ratio <= at_most),
    }
}

#[cfg(target_arch = "x86_64")]
fn search_bar() -> Option<(&'static str, f64)> {
    if is_x86_feature_detected!("avx512f") {
        Some(("AVX-512", 0.20))
    } else if is_x86_feature_detected!("avx2") {
        Some(("AVX2", 0.35))
    } else {
        None
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn search_bar() -> Option<(&'static str, f64)> {
    None
}

fn comparison(results: &Results) -> [Bar; 2] {
    let own = results.over_length("ct::eq", "keyfob");
    let bar = |what: &str, bar, ratios: Vec<(usize, f64)>, at_most: f64| {
        let worst = ratios.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let over = ratios.iter().filter(|ratio| ratio.1 > at_most).count();
        let lengths = ratios.len();
        Bar {
            what: what.into(),
            bar,
            measured: worst.map_or("-".into(), |(length, ratio)| {
                format!("at most {ratio:.2}, at {length} bytes; more than {at_most:.2} at {over} of {lengths} lengths")
            }),
            met: worst.map(|worst| worst.1 <= at_most),
        }
    };
    let to_peers = own.iter().filter_map(|&(length, own)| Some((length, own / fastest_peer(results, length)?.1)));
    let equals = results.over_length("ct::eq", "==");
    let to_equals =
        own.iter().zip(&equals).filter(|(own, _)| own.0 <= 32).map(|(own, equals)| (own.0, own.1 / equals.1));
    [
        bar(
            "`ct::eq`, every length",
            "no slower than the fastest of five crates; 3 % are allowed for noise".into(),
            to_peers.collect(),
            NOISE,
        ),
        bar("`ct::eq`, up to 32 bytes", "<= 1.20 times `==`".into(), to_equals.collect(), 1.20),
    ]
}

pub fn fastest_peer(results: &Results, length: usize) -> Option<(&'static str, f64)> {
    let at_length = |name| results.over_length("ct::eq", name).into_iter().find(|row| row.0 == length);
    let peers = CT_PEERS.iter().filter_map(|&name| Some((name, at_length(name)?.1)));
    peers.min_by(|a, b| a.1.total_cmp(&b.1))
}
