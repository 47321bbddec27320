//! The words on the pages.

use std::borrow::Cow;
use std::path::Path;

use keyfob_axum::{English, German, Text, Texts};

use crate::site::Site;

/// English, from right to left.
pub struct RightToLeft;

impl Texts for RightToLeft {
    fn lang(&self) -> &str {
        "ar"
    }

    fn is_rtl(&self) -> bool {
        true
    }

    fn text(&self, text: &Text<'_>) -> Cow<'static, str> {
        English.text(text)
    }
}

/// The names of all texts, from the source.
fn names() -> Vec<&'static str> {
    let source = include_str!("../../src/texts.rs").split("pub enum Text<'a> {").nth(1).unwrap();
    let lines = source.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names.map(|line| line.trim_end_matches([',', ' ', '{'])).collect()
}

#[test]
fn each_language_has_each_text() {
    let names = names();
    assert!(names.len() > 100, "{}", names.len());
    let languages = [include_str!("../../src/texts/english.rs"), include_str!("../../src/texts/german.rs")];
    for language in languages {
        // No arm for "all others", which would hide a text that is missing.
        assert!(!language.contains(" _ =>") || language.matches(" _ =>").count() == 1);
        for name in &names {
            assert!(language.contains(&format!("Text::{name} ")), "{name}");
        }
    }
    for text in [Text::ChallengeTitle, Text::CodeWrong, Text::RecoveryCodesLeft { count: 3 }] {
        assert_ne!(English.text(&text), German.text(&text));
    }
}

#[test]
fn each_text_is_used() {
    let mut source = String::new();
    for folder in ["src", "src/routes"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("texts.rs") {
                source += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    for name in names() {
        assert!(source.contains(&format!("Text::{name}")), "{name}");
    }
}

#[test]
fn numbers_and_days_are_in_words() {
    let english = |text: Text<'_>| English.text(&text).into_owned();
    let german = |text: Text<'_>| German.text(&text).into_owned();
    for (seconds, expected) in
        [(-240, "4 minutes slow"), (300, "5 minutes fast"), (-3600, "60 minutes slow"), (86_400, "24 hours fast")]
    {
        assert!(english(Text::ClockOff { seconds }).starts_with(&format!("The clock of your phone is {expected}.")));
    }
    assert!(
        english(Text::Wait { seconds: 1 }).contains(" 1 second,")
            && english(Text::Wait { seconds: 30 }).contains(" 30 seconds,")
    );
    assert!(german(Text::Wait { seconds: 3700 }).contains(" 62 Minuten "));
    assert_eq!(english(Text::RecoveryCodesLeft { count: 1 }), "You have one recovery code left.");
    assert!(english(Text::FailuresBefore { failures: 1 }).starts_with("Somebody typed a wrong code "));
}

#[tokio::test]
async fn pages_are_in_the_language_and_the_direction_of_the_user() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.enroll("alice").await;
    for (language, start) in [
        ("en", "<html lang=\"en\" dir=\"ltr\">"),
        ("de", "<html lang=\"de\" dir=\"ltr\">"),
        ("ar", "<html lang=\"ar\" dir=\"rtl\">"),
    ] {
        browser.language = language;
        browser.page("").await.shows(start);
        browser.page("/nothing").await.shows(start);
    }
    browser.language = "de";
    browser.page("").await.shows("Sie haben noch 10 Wiederherstellungscodes.").shows("Hinzugefügt am ");
    // The style sheet does not name left or right, so it works in both directions.
    let style = browser.page("/style.css").await.body;
    let physical = ["left", "right", "width:", "height:", "top:", "bottom:"];
    let physical = |line: &&str| physical.iter().any(|name| line.split([' ', ';', '{']).any(|part| part == *name));
    let lines: Vec<_> = style.lines().filter(physical).collect();
    assert!(lines.is_empty(), "{lines:?}");
}
