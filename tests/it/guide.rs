//! The pictures of `docs/provisioning.md` are what keyfob draws.

use std::collections::BTreeMap;
use std::fmt::Write;

use keyfob::{KeyUri, Secret};

#[test]
fn pictures_are_current() {
    let folder = format!("{}/docs", env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(format!("{folder}/provisioning.md")).unwrap();
    let pictures = pictures();
    assert_eq!(guide.matches("](pictures/").count(), pictures.len());
    for (name, picture) in pictures {
        assert!(guide.contains(&format!("](pictures/{name})")), "the guide does not show {name}");
        let path = format!("{folder}/pictures/{name}");
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
fn same(one: &[u8], other: &[u8]) -> bool {
    let pixels = |file: &[u8]| {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file.to_vec())).read_info().ok()?;
        let mut pixels = vec![0; reader.output_buffer_size()?];
        let frame = reader.next_frame(&mut pixels).ok()?;
        Some((frame, pixels))
    };
    one == other || pixels(one).is_some_and(|one| pixels(other) == Some(one))
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

/// What a terminal of these colors, background and text, makes of it: a character is 5 wide and 10 high.
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
