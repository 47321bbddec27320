//! What people read: the README, the guide in `docs/guide`, and the pictures in `docs/pictures`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use keyfob::{KeyUri, Secret};

/// The program of the README, with an app whose clock the test sets. `.ci/enroll` runs the rest of it in a terminal.
#[allow(dead_code)]
mod quickstart {
    include!("../../examples/quickstart/program.rs");

    #[test]
    fn the_program_enrolls_and_accepts_each_code_once() {
        futures_lite::future::block_on(async {
            let now = 1_900_000_000;
            let keys = Keyring::generate("2026").unwrap();
            let guard = Guard::new(MemoryStore::new(), Keyring::parse(&keys).unwrap(), "Example Inc");
            let guard = guard.with_clock(move || Some(now));
            let enrollment = guard.enroll("user-17", &Setup::totp("alice@example.com")).await.unwrap();
            let app = enrollment.uri().to_totp().unwrap();
            let code = |at| app.code_at(at).to_string();

            assert!(!confirm(&guard, "").await.unwrap());
            assert!(!log_in(&guard, &code(now)).await.unwrap(), "nothing is active before it is confirmed");
            assert!(confirm(&guard, &code(now)).await.unwrap());
            assert!(guard.status("user-17").await.unwrap().is_active());
            assert!(!log_in(&guard, &code(now)).await.unwrap(), "the code was used to confirm");
            assert!(log_in(&guard, &code(now + 30)).await.unwrap());
            assert!(!log_in(&guard, &code(now + 30)).await.unwrap());
        });
    }
}

/// Each text that is published, by its path in the repository.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chapters = std::fs::read_dir(root.join("docs/guide")).unwrap();
    let chapters = chapters.map(|entry| format!("docs/guide/{}", entry.unwrap().file_name().to_str().unwrap()));
    let names: Vec<String> = ["README.md", "docs/crate.md"].map(String::from).into_iter().chain(chapters).collect();
    assert!(names.len() >= 11, "{names:?}");
    names.into_iter().map(|name| (name.clone(), std::fs::read_to_string(root.join(name)).unwrap())).collect()
}

/// The Rust programs in a text.
fn programs(text: &str) -> Vec<&str> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix("rust\n")).collect()
}

#[test]
fn the_readme_has_one_program_and_it_is_the_example() {
    let readme = include_str!("../../README.md");
    assert_eq!(programs(readme), [include_str!("../../examples/quickstart/program.rs")]);
    // Whatever another kind of block claims to be, it is not compiled by anybody.
    let kinds: Vec<_> = readme.split("```").skip(1).step_by(2).filter_map(|block| block.lines().next()).collect();
    assert!(kinds.iter().all(|kind| ["rust", "sh"].contains(kind)), "{kinds:?}");
}

#[test]
fn the_readme_fits_and_shows_nothing_that_only_a_test_needs() {
    let readme = include_str!("../../README.md");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    for program in programs(readme) {
        assert!(!program.lines().any(|line| line.starts_with("# ") || line == "#"));
    }
    // Links that only rustdoc resolves.
    assert!(!readme.contains("[`"), "a link without a target");
}

#[test]
fn links_of_the_readme_lead_to_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, text) in [("", include_str!("../../README.md")), ("docs/pictures", PICTURES)] {
        let markdown = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let html = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let targets: Vec<_> = markdown.chain(html).collect();
        assert!(targets.len() > 4, "{targets:?}");
        for target in targets.into_iter().filter(|target| !target.starts_with("https://")) {
            assert!(root.join(folder).join(target).is_file(), "{target} does not exist");
        }
    }
}

#[test]
fn programs_fit_90_columns_and_run() {
    for (name, text) in texts() {
        let mut number = 0;
        for program in programs(&text) {
            number += 1;
            let visible = program.lines().filter(|line| !line.starts_with("# "));
            for line in visible {
                assert!(line.chars().count() <= 90, "{name}: {} columns: {line}", line.chars().count());
            }
        }
        // `no_run`, `ignore` and `text` are programs that nobody has seen work.
        for block in text.split("```").skip(1).step_by(2) {
            let (kind, program) = block.split_once('\n').unwrap();
            match kind {
                "rust" | "sh" => {}
                "sql" | "lua" => assert!(is_used_by_a_store(program), "{name}: no store uses this: {program}"),
                _ => panic!("{name}: {kind}"),
            }
        }
        assert!(number > 0, "{name} has no program");
    }
}

/// Whether a store runs this statement or script as it is printed.
fn is_used_by_a_store(program: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut texts = files.filter(|file| file.is_file()).map(|file| std::fs::read_to_string(file).unwrap());
    program.lines().count() > 3 && texts.any(|text| text.contains(program))
}

/// The README and the front page have a table each.
#[test]
fn tables_of_features_are_complete() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, rest) = manifest.split_once("[features]\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    let settings = lines.filter_map(|line| line.split_once(" = "));
    let mut features: Vec<(&str, bool)> = settings.clone().map(|(name, _)| (name, false)).collect();
    features.retain(|(name, _)| *name != "default");
    let (_, defaults) = settings.clone().find(|(name, _)| *name == "default").unwrap();
    features.iter_mut().for_each(|(name, default)| *default = defaults.contains(&format!("\"{name}\"")));
    features.sort_unstable();
    assert!(features.len() > 10 && features.iter().filter(|(_, default)| *default).count() == 3);
    for table in [include_str!("../../README.md"), include_str!("../../docs/crate.md")] {
        let (_, rows) = table.split_once("| feature | default | adds |\n|---|---|---|\n").unwrap();
        let rows = rows.lines().take_while(|row| row.starts_with("| `"));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        let mut listed: Vec<_> =
            cells.map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2] == "yes")).collect();
        listed.sort_unstable();
        assert!(
            listed.iter().map(|(name, default)| (name.as_str(), *default)).eq(features.iter().copied()),
            "{listed:?}"
        );
    }
}

/// Every file of `docs/guide` is a chapter, so that its programs are tested.
#[test]
fn every_chapter_is_compiled() {
    let guide = include_str!("../../src/guide.rs");
    for (name, _) in texts().iter().filter(|(name, _)| name.starts_with("docs/guide/")) {
        assert!(guide.contains(&format!("include_str!(\"../{name}\")")), "src/guide.rs lacks {name}");
    }
    assert!(include_str!("../../src/lib.rs").contains("#![doc = include_str!(\"../docs/crate.md\")]"));
}

/// The page that shows the pictures.
const PICTURES: &str = include_str!("../../docs/pictures/README.md");

#[test]
fn pictures_are_current() {
    let folder = format!("{}/docs/pictures", env!("CARGO_MANIFEST_DIR"));
    let pictures = pictures();
    assert_eq!(PICTURES.matches("](").count(), pictures.len());
    for (name, picture) in pictures {
        assert!(PICTURES.contains(&format!("]({name})")), "the page does not show {name}");
        let path = format!("{folder}/{name}");
        if std::env::var_os("KEYFOB_DRAW").is_some() {
            std::fs::write(&path, &picture).unwrap();
        }
        assert!(
            same(&std::fs::read(&path).unwrap(), &picture),
            "{path} is out of date: KEYFOB_DRAW=1 cargo test --all-features --test it guide"
        );
    }
}

/// Another version of the encoder may compress a PNG differently.
fn same(stored: &[u8], drawn: &[u8]) -> bool {
    let pixels = |file: &[u8]| {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file.to_vec())).read_info().ok()?;
        let mut pixels = vec![0; reader.output_buffer_size()?];
        let frame = reader.next_frame(&mut pixels).ok()?;
        Some((frame, pixels))
    };
    stored == drawn || pixels(stored).is_some_and(|stored| pixels(drawn) == Some(stored))
}

fn pictures() -> [(&'static str, Vec<u8>); 5] {
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    let uri = KeyUri::totp("Example Inc", "alice@example.com", &secret).unwrap();
    let qr = uri.qr().unwrap();
    let drawn = qr.terminal().to_string();
    [
        ("code.svg", qr.svg().to_string().into_bytes()),
        ("code.png", qr.png(5).unwrap().to_vec()),
        ("terminal-dark.svg", terminal(&drawn, ["#1e1e2e", "#cdd6f4"])),
        ("terminal-light.svg", terminal(&drawn, ["#fdf6e3", "#586e75"])),
        ("manual-entry.svg", text(&uri.manual_entry())),
    ]
}

/// The output in a terminal of these colors, background and text. A character is 5 wide and 10 high.
fn terminal(drawn: &str, [background, text]: [&str; 2]) -> Vec<u8> {
    let (mut boxes, mut columns, mut rows) = (BTreeMap::<_, String>::new(), 0, 0);
    for line in drawn.lines() {
        let (mut upper, mut lower, mut column) = (text, background, 0);
        let mut rest = line;
        while let Some(character) = rest.chars().next() {
            if let Some(code) = rest.strip_prefix("\x1b[") {
                let (code, after) = code.split_once('m').unwrap();
                let color = |code| if code == "16" { "#000" } else { "#fff" };
                (upper, lower) = match code.strip_prefix("38;5;").map(|colors| colors.split_once(";48;5;").unwrap()) {
                    Some((foreground, background)) => (color(foreground), color(background)),
                    None => (text, background),
                };
                rest = after;
                continue;
            }
            assert_eq!(character, '▀');
            // A box for each half of a run.
            let run = rest.chars().take_while(|character| *character == '▀').count();
            for (half, color) in [upper, lower].into_iter().enumerate() {
                let (x, y) = (20 + 5 * column, 20 + 10 * rows + 5 * half);
                write!(boxes.entry(color).or_default(), "M{x} {y}h{}v5h-{0}z", 5 * run).unwrap();
            }
            column += run;
            rest = &rest['▀'.len_utf8() * run..];
        }
        columns = columns.max(column);
        rows += 1;
    }
    let (width, height) = (40 + 5 * columns, 40 + 10 * rows);
    let mut content = format!("<path fill=\"{background}\" d=\"M0 0h{width}v{height}H0z\"/>");
    for (color, boxes) in boxes {
        write!(content, "<path fill=\"{color}\" d=\"{boxes}\"/>").unwrap();
    }
    svg(width, height, &content)
}

fn text(text: &str) -> Vec<u8> {
    let style = "font-family=\"monospace\" font-size=\"16\" text-anchor=\"middle\"";
    svg(440, 60, &format!("<path fill=\"#fff\" d=\"M0 0h440v60H0z\"/><text x=\"220\" y=\"36\" {style}>{text}</text>"))
}

fn svg(width: usize, height: usize, content: &str) -> Vec<u8> {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" shape-rendering=\"crispEdges\">{content}</svg>\n"
    )
    .into_bytes()
}
