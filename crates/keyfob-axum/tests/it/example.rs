//! The example.

#[test]
fn at_most_60_lines_of_the_example_deal_with_the_second_factor() {
    let example = include_str!("../../examples/app.rs");
    let (mut within, mut marked, mut blocks) = (false, 0, 0);
    for line in example.lines().map(str::trim) {
        if line.starts_with("//!") {
            continue;
        }
        if let Some((_, comment)) = line.split_once("// second factor: ") {
            blocks += 1;
            within = !comment.ends_with("end");
            marked += usize::from(!within);
        } else if line == "// end" {
            within = false;
        } else if within && !line.is_empty() && !line.starts_with("//") {
            marked += 1;
        } else if !within {
            // Imports aside, nothing outside the marks is about it.
            let about = ["Pages", "pages.", "Guard", "SignIn", "Account", "Expectation"];
            let import = line.starts_with("use ");
            let listed = ["database: SqlitePool", "let app = App {", "Ok(routes.layer("];
            let known = listed.iter().any(|known| line.starts_with(known)) || line.contains("guard(&database");
            let session = line.contains("app.pages.session("); // every application looks up its session
            let router = line.contains("fn router(") || line.starts_with("Ok(axum::serve");
            assert!(import || known || session || router || !about.iter().any(|name| line.contains(name)), "{line}");
        }
    }
    assert!(blocks >= 6 && (40..=60).contains(&marked), "{marked} lines in {blocks} blocks");
}
