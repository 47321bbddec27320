//! What `fuzz/` runs with a fuzzer, run on its seeds and on every input that ever broke a law; and on the corpora in the
//! folder `KEYFOB_CORPUS`, if it is set: what a campaign reached counts as tested.

mod base32;
mod code;
mod differential;
mod import;
mod migration;
mod pskc;
mod qr;
mod record;
mod token;
mod uri;

use std::path::Path;

pub use code::is_separator;

type Target = (&'static str, fn(&[u8]));

#[test]
fn seeds_and_crashes() {
    let targets: [Target; 11] = [
        ("base32", base32::run),
        ("code", code::run),
        ("differential", differential::run),
        ("guard", crate::model::replay),
        ("import", import::run),
        ("migration", migration::run),
        ("pskc", pskc::run),
        ("qr", qr::run),
        ("record", record::run),
        ("token", token::run),
        ("uri", uri::run),
    ];
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        println!("skipped: a package has no inputs");
        return;
    }
    for (name, run) in targets {
        let mut folders = vec![fuzz.join("seeds").join(name), fuzz.join("crashes").join(name)];
        folders.extend(std::env::var_os("KEYFOB_CORPUS").map(|corpora| Path::new(&corpora).join(name)));
        let files =
            folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().map(|file| file.unwrap().path());
        let mut count = 0;
        for file in files {
            println!("{}", file.display());
            run(&std::fs::read(file).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}

#[test]
#[should_panic(expected = "assertion")]
fn a_law_that_is_broken_panics() {
    code::planted(b"123456789");
}

#[test]
#[should_panic(expected = "assertion")]
fn a_copy_for_each_entry_panics() {
    import::planted(&[&[b'a'; 2000][..], &[b'\n'; 400]].concat());
}
