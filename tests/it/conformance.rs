//! docs/conformance.md says which test shows what: each of them is there.

#[test]
fn every_test_that_is_named_exists() {
    let named: Vec<_> = include_str!("../../docs/conformance.md")
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("::") && code.starts_with(|c: char| c.is_ascii_lowercase()) && !code.contains(' '))
        .collect();
    assert!(named.len() > 50);
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn exists(name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    let file = format!("{}/tests/it/{}.rs", env!("CARGO_MANIFEST_DIR"), module.replace("::", "/"));
    let source = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let starts = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {test}("));
    // Just behind an attribute, or within `proptest!`, whose tests have one as well.
    lines.windows(2).any(|pair| starts(pair[1]) && pair[0].contains("test"))
}
