//! docs/conformance.md says which test shows what: each of them is there, each row has one or says that it has none, and
//! each deviation is declared. What the pages for auditors and operators name of the interface is there as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/conformance.md");

#[test]
fn every_test_that_is_named_exists() {
    let named: Vec<_> = quoted(PAGE).filter(|name| is_test(name)).collect();
    assert!(named.len() > 50);
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    // The control: a test of this name does not exist, nor does one in a module that does not.
    for name in ["guard::verify::learn", "guard::nobody::steps_only_go_forward", "guard::verify::steps_only_go_forwar"]
    {
        assert!(is_test(name) && !exists(name), "{name}");
    }
}

#[test]
fn every_row_says_what_shows_it() {
    let mut rows = 0;
    for row in PAGE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| clause") && !line.starts_with("| item"))
    {
        rows += 1;
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [clause, asks, keyfob, application, shown] = cells[..] else { panic!("five columns: {row}") };
        assert!(!clause.is_empty() && !asks.is_empty() && !keyfob.is_empty(), "{row}");
        match shown {
            // Then it says what the application has to do, or which deviation it is, or that there is nothing.
            "application" => assert!(!application.is_empty(), "{row}"),
            "not shown by a test" => {}
            tests => {
                let names: Vec<_> = quoted(tests).collect();
                assert!(!names.is_empty(), "{row}");
                let program = |name: &str| root().join(name).join("Cargo.toml").is_file();
                names.iter().for_each(|name| assert!(is_test(name) || program(name), "{name}: {row}"));
                assert_eq!(tests.matches('`').count(), 2 * names.len());
            }
        }
        if keyfob.starts_with("not met") {
            assert!(!deviations(keyfob).is_empty(), "a requirement that is not met is a deviation: {row}");
        }
    }
    assert!(rows > 70, "{rows}");
}

#[test]
fn every_deviation_is_declared_once_and_referred_to() {
    let (rows, declared) = PAGE.split_once("## Deviations").unwrap();
    let titles =
        declared.lines().filter_map(|line| line.strip_prefix("* **D")?.split('.').next()?.parse::<usize>().ok());
    let titles: Vec<_> = titles.collect();
    assert_eq!(titles, (1..=titles.len()).collect::<Vec<_>>());
    // But for the sentence that says how many there are.
    let (introduction, tables) = rows.split_once("\n## ").unwrap();
    assert_eq!(deviations(tables), titles.iter().copied().collect());
    assert_eq!(deviations(introduction), [1, titles.len()].into());
}

/// Names of types, methods and variants, which change more often than the pages do.
#[test]
fn what_the_pages_name_of_the_interface_exists() {
    let mut source = String::new();
    read(&root().join("src"), &mut source);
    let words: BTreeSet<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let pages = [PAGE, include_str!("../../SECURITY.md"), include_str!("../../docs/record.md")];
    let mut count = 0;
    for name in pages.iter().flat_map(|page| quoted(page)) {
        let path = name.contains("::") && name.starts_with(|c: char| c.is_ascii_uppercase());
        if path && !is_test(name) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) {
            count += 1;
            assert!(name.split("::").all(|part| words.contains(part)), "{name}");
        }
    }
    assert!(count > 30, "{count}");
    assert!(!words.contains("operator_fence"), "control: a method of a former version");
}

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `module::test`.
fn is_test(name: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    name.contains("::") && name.split("::").all(word) && name != "store::conformance"
}

/// The numbers of `D1` and the like.
fn deviations(text: &str) -> BTreeSet<usize> {
    text.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.strip_prefix('D')?.parse().ok()).collect()
}

fn exists(name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    let source = std::fs::read_to_string(root().join(format!("tests/it/{}.rs", module.replace("::", "/"))));
    let source = source.unwrap_or_default();
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let starts = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {test}("));
    // Just behind an attribute, or within `proptest!`, whose tests have one as well.
    lines.windows(2).any(|pair| starts(pair[1]) && pair[0].contains("test"))
}

fn read(folder: &Path, source: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read(&path, source),
            false => source.push_str(&std::fs::read_to_string(path).unwrap()),
        }
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
