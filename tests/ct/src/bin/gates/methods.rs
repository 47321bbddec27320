//! The test methods. Each run of a method includes controls, and the method fails if it does not report them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use crate::Row;
use crate::subject::{self, ALL, RELEASE, SIZE, SMALLEST, SOFT, Subject, folder, here, in_pairs, output};

// These values must be the same as in `trace.rs` of the subject.
const MARK_STORES: u32 = 16;
const MARK_DISTANCE: u64 = 4000;

/// Marks secrets as undefined memory, so that memcheck reports each branch and each address that depends on a secret.
/// Only one function may branch on a secret; it is named in `declassify.supp`.
pub fn poison(rows: &mut Vec<Row>) {
    let suppressions = format!("--suppressions={}", here().join("declassify.supp").display());
    let printed = in_pairs(&ALL, |level| {
        let subject = Subject::build(*level);
        output(&mut subject.under(&["--error-limit=no", "--undef-value-errors=yes", &suppressions], &["poison"]))
    });
    for (level, printed) in ALL.iter().zip(printed) {
        let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
        for line in printed.lines() {
            let (name, count) = line.split_once('\t').expect("name and count");
            *errors.entry(name).or_default() += count.parse::<u64>().expect("a number");
        }
        let verdicts = errors.iter().map(|(name, count)| (*name, *count > 0));
        rows.push(row("secrets as undefined memory (memcheck)", level.name, verdicts, &[], ""));
    }
}

/// Checks that the trace of all instructions and all data addresses is the same for every secret.
pub fn trace(rows: &mut Vec<Row>) {
    const SEEDS: usize = 16;
    let subject = Subject::build(RELEASE);
    let logs = folder("traces");
    let _ = fs::remove_dir_all(&logs);
    fs::create_dir_all(&logs).expect("a folder for the traces");
    let cases: Vec<_> = subject.cases().filter(|(_, name)| !of_the_guard(name)).collect();
    let different = in_pairs(&cases, |(number, name)| {
        let log = format!("--log-file={}/{number}.%p", logs.display());
        let (number, seeds) = (number.to_string(), SEEDS.to_string());
        output(&mut subject.under(&["--tool=lackey", "--trace-mem=yes", &log], &["trace", &number, &seeds]));
        let mut traces: Vec<u64> = Vec::new();
        for entry in fs::read_dir(&logs).expect("the traces") {
            let entry = entry.expect("a trace");
            if entry.file_name().to_string_lossy().starts_with(&format!("{number}.")) {
                traces.extend(between_marks(&entry.path()));
                fs::remove_file(entry.path()).expect("the trace can go");
            }
        }
        assert_eq!(traces.len(), SEEDS, "{name}: a trace for each seed");
        traces.sort_unstable();
        traces.dedup();
        (*name, traces.len() > 1)
    });
    rows.push(row(
        "equal traces of instructions and addresses (lackey)",
        RELEASE.name,
        different.into_iter(),
        &[],
        ", 16 secrets",
    ));
}

/// Whether a case tests the guard. These cases take a hundred times as many instructions as the others, and the
/// enrollment before them takes even more, so tracing them would take an hour. Memcheck covers them at every
/// optimization level.
fn of_the_guard(name: &str) -> bool {
    name.starts_with("SecondFactor") || name.starts_with("control of the guard")
}

/// Returns a hash of the lines between the two marks, or `None` if there are no marks.
fn between_marks(log: &Path) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    let mut marks = 0;
    let (mut last, mut before, mut alternated) = (None, None, 0);
    for line in BufReader::new(File::open(log).expect("the trace")).lines().map_while(Result::ok) {
        if line.starts_with("==") {
            continue;
        }
        if let Some(store) = line.strip_prefix(" S ") {
            let byte = store.strip_suffix(",1").and_then(|address| u64::from_str_radix(address, 16).ok());
            let apart = |(a, b): (u64, u64)| a.abs_diff(b) == MARK_DISTANCE;
            alternated = match byte.zip(last).is_some_and(apart) {
                true if byte == before => alternated + 1,
                true => 2,
                false => 0,
            };
            (last, before) = (byte, last);
            if alternated == MARK_STORES {
                marks += 1;
            }
        }
        if marks == 1 {
            hash.write(line.as_bytes());
        }
    }
    // The parent process writes no marks.
    assert!(marks == 0 || marks == 2, "{}: {marks} marks", log.display());
    (marks == 2).then(|| hash.finish())
}

/// Single-steps the real processor. No other method sees SHA and AVX-512 instructions.
pub fn step(rows: &mut Vec<Row>) {
    const SEEDS: &str = "16";
    for level in [RELEASE, SOFT] {
        let subject = Subject::build(level);
        let soft = level.name == SOFT.name;
        // SHA-512 takes the most steps and uses no instructions that valgrind lacks, so a single case is enough for it.
        // In the build without SHA instructions, only the hash functions differ.
        let chosen: Vec<_> = subject
            .cases()
            .filter(|(_, name)| !of_the_guard(name))
            .filter(|(_, name)| !name.contains("SHA512") || name.starts_with("Totp") && name.ends_with('6'))
            .filter(|(_, name)| {
                !soft || name.ends_with("SHA1 6") || name.ends_with("SHA256 6") || name.starts_with("control")
            })
            .collect();
        let different = in_pairs(&chosen, |(number, name)| {
            let printed = output(Command::new(&subject.path).args(["step", &number.to_string(), SEEDS]));
            let traces: u64 = printed.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
            (*name, traces > 1)
        });
        // This method sees neither data addresses nor differences within a vector.
        rows.push(row(
            "equal traces of the processor (single step)",
            level.name,
            different.into_iter(),
            &["control slice ==", "control indexed truncation", "control table base32"],
            ", 16 secrets",
        ));
    }
}

/// Summarizes the verdicts of a method. The method must find a leak in every control, except in the controls whose
/// leaks it cannot see, and must find no leak in any other case.
fn row<'a>(
    how: &'static str,
    level: &str,
    verdicts: impl Iterator<Item = (&'a str, bool)>,
    unseen: &[&str],
    note: &str,
) -> Row {
    let (mut cases, mut leaks, mut caught, mut missed) = (0, Vec::new(), 0, Vec::new());
    for (name, leaky) in verdicts {
        match (name.starts_with("control"), leaky) {
            (true, true) => caught += 1,
            (true, false) if unseen.contains(&name) => {}
            (true, false) => missed.push(name),
            (false, true) => leaks.push(name),
            (false, false) => cases += 1,
        }
    }
    let result = if !leaks.is_empty() {
        Err(format!("leaks: {}", leaks.join("; ")))
    } else if caught == 0 || !missed.is_empty() {
        Err(format!("{caught} controls were caught, and not {}", missed.join("; ")))
    } else {
        Ok(format!("no trace of a secret; {caught} leaky controls caught"))
    };
    Row { what: format!("{cases} cases{note}"), how, level: level.to_owned(), result }
}

/// Checks every instruction of the functions of fixed size.
pub fn code(rows: &mut Vec<Row>) {
    for level in [RELEASE, SIZE, SMALLEST] {
        let subject = Subject::build(level);
        let listing = output(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(&subject.path));
        let mut forbidden: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut function = "";
        for line in listing.lines() {
            if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
                function = name.1;
                if function.starts_with("fixed_") || function.starts_with("control_") {
                    forbidden.insert(function, Vec::new());
                }
            } else if let (Some(found), Some(mnemonic)) = (forbidden.get_mut(function), mnemonic(line))
                && ["j", "call", "div", "idiv", "loop"].iter().any(|bad| mnemonic.starts_with(bad))
            {
                found.push(mnemonic);
            }
        }
        assert_eq!(forbidden.len(), 8, "the functions are in the program: {forbidden:?}");
        let verdicts = forbidden.iter().map(|(name, found)| (*name, !found.is_empty()));
        rows.push(row("no jump, call or division (objdump)", level.name, verdicts, &[], ""));
    }
}

/// Compiles the same functions for other processors with LLVM and checks every instruction, if `llc` is installed.
pub fn targets(rows: &mut Vec<Row>) {
    // The name of each processor, and the prefixes of its conditional jumps and divisions. Everything else is the same
    // for all processors.
    const TARGETS: [(&str, &[&str]); 9] = [
        ("aarch64", &["b.", "cbz", "cbnz", "tbz", "tbnz", "udiv", "sdiv"]),
        ("armv7", ARM),
        ("i686", &["ja", "jb", "jc", "je", "jg", "jl", "jn", "jo", "jp", "js", "div", "idiv"]),
        ("powerpc64le", &["beq", "bne", "blt", "bgt", "ble", "bge", "bc", "bdnz", "div"]),
        ("riscv32", &["beq", "bne", "blt", "bge", "bgt", "ble", "div", "rem"]),
        ("riscv64", &["beq", "bne", "blt", "bge", "bgt", "ble", "div", "rem"]),
        (
            "s390x",
            &[
                "je", "jn", "jl", "jh", "jo", "jg", "crj", "clrj", "cgrj", "clgrj", "cij", "clij", "cgij", "clgij",
                "brct", "dl", "dr", "dsg", "divr",
            ],
        ),
        ("thumbv6m", ARM),
        ("thumbv7m", ARM),
    ];
    const ARM: &[&str] = &[
        "beq", "bne", "bhs", "blo", "bcs", "bcc", "bmi", "bpl", "bvs", "bvc", "bhi", "bls", "bge", "blt", "bgt", "ble",
        "cbz", "cbnz", "udiv", "sdiv",
    ];
    // The library functions that replace a division if the processor has no division instruction.
    const LIBRARY: [&str; 7] = ["__udiv", "__umod", "__div", "__mod", "__aeabi_uidiv", "__aeabi_idiv", "__aeabi_uldiv"];
    let Some(llc) = ["llc-22", "llc"].into_iter().find(|llc| {
        let version = Command::new(llc).arg("--version").output();
        version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("LLVM version 22"))
    }) else {
        eprintln!("  skipped: llc of LLVM 22 is not installed, so other processors are not looked at");
        assert!(std::env::var_os("CI").is_none(), "llc of LLVM 22 is mandatory here");
        return;
    };
    let folder = folder("targets");
    fs::create_dir_all(&folder).expect("a folder");
    let ir = folder.join("fixed.ll");
    output(
        Command::new("rustc")
            .args(["--edition", "2024", "-O", "--crate-type", "lib", "--emit=llvm-ir", "-C", "codegen-units=1", "-o"])
            .arg(&ir)
            .arg(here().join("src/lib.rs")),
    );
    // Remove the attributes that are specific to the processor of this machine.
    let text = fs::read_to_string(&ir).expect("what rustc wrote");
    let neutral: String = text
        .lines()
        .filter(|line| !line.starts_with("target "))
        .map(|line| line.replace(r#""target-cpu"="x86-64""#, "") + "\n")
        .collect();
    fs::write(&ir, neutral).expect("a file");
    for (target, bad) in TARGETS {
        // Enable the extension for multiplication. Without it, a multiplication is also a call to a library function.
        let extensions = if target.starts_with("riscv") { "-mattr=+m" } else { "-mattr=" };
        let triple = format!("-mtriple={target}-unknown-linux-gnu");
        let listing = output(Command::new(llc).args(["-O3", "-o", "-", extensions, &triple]).arg(&ir));
        let mut found: BTreeMap<&str, bool> = BTreeMap::new();
        let mut function = "";
        for line in listing.lines() {
            if let Some(name) =
                line.split(':').next().filter(|name| line.len() > name.len() && !name.contains([' ', '\t', '.']))
            {
                function = name;
                if function.starts_with("fixed_") || ["control_early_exit", "control_division"].contains(&function) {
                    found.insert(function, false);
                }
            } else if let (Some(flag), Some(mnemonic)) = (found.get_mut(function), line.split_whitespace().next()) {
                *flag |= line.starts_with('\t') && bad.iter().any(|bad| mnemonic.starts_with(bad));
                *flag |= LIBRARY.iter().any(|division| line.contains(division));
            }
        }
        assert_eq!(found.len(), 7, "{target}: the functions are there: {found:?}");
        rows.push(row("no conditional jump or division (LLVM)", target, found.into_iter(), &[], ""));
    }
}

fn mnemonic(line: &str) -> Option<&str> {
    line.split_once(":\t")?.1.split_whitespace().next()
}

/// Applies Welch's t-test to timings. The limits allow for a machine that is not idle.
pub fn dudect(rows: &mut Vec<Row>) {
    let program = subject::build("dudect", RELEASE);
    let mut smallest: BTreeMap<String, f64> = BTreeMap::new();
    let mut control: f64 = 0.0;
    // Other load can disturb a timing, but it cannot hide a leak three times. Therefore the smallest of three results
    // counts, or the largest for the control.
    for _ in 0..3 {
        for line in output(&mut Command::new(&program)).lines() {
            let Some((name, t)) = line.strip_prefix("bench ").and_then(|line| line.split_once(" ... ")) else {
                continue;
            };
            let Some((_, t)) = t.split_once("max t = ") else { continue };
            let t: f64 = t.split(',').next().and_then(|t| t.trim().parse().ok()).expect("a number");
            if name.starts_with("control") {
                control = control.max(t.abs());
            } else {
                let quietest = smallest.entry(name.to_owned()).or_insert(f64::MAX);
                *quietest = quietest.min(t.abs());
            }
        }
    }
    assert_eq!(smallest.len(), 3, "three functions were timed");
    for (name, t) in smallest {
        let result = if control <= 50.0 {
            Err(format!("the control has only t = {control:.0}"))
        } else if t >= 5.0 {
            Err(format!("t = {t:.1} in the quietest of three runs"))
        } else {
            Ok(format!("t = {t:.1}; leaky control {control:.0}"))
        };
        rows.push(Row { what: name, how: "timing, 100 000 samples (dudect)", level: RELEASE.name.to_owned(), result });
    }
}
