//! Pictures of accounts of all kinds, read by two other programs and by keyfob.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use keyfob::{KeyUri, Qr, Transfer};

use super::{Limits, accounts, converse, program};
use crate::qr::{blocks, colors, pgm};
use crate::qr_read::{self, encodings};

/// URIs of all kinds, some with a parameter that keyfob does not know, and codes of transfers.
fn texts() -> Vec<String> {
    let accounts: Vec<KeyUri> = accounts(500, &Limits::default()).into_iter().map(|(uri, _)| uri).collect();
    let told: Vec<_> =
        accounts.iter().filter(|uri| Transfer::export(&[(*uri).clone()], 0).is_ok()).take(100).cloned().collect();
    assert_eq!(told.len(), 100);
    let codes = Transfer::export(&told, -1).unwrap();
    let uris = accounts.into_iter().enumerate().map(|(number, uri)| match number % 8 {
        0 => KeyUri::steam(uri.issuer().unwrap_or_default(), uri.account(), uri.secret()).unwrap().to_uri(),
        1 => uri.with_parameter("image", "https://example.com/ä.png?a=1&b=2").unwrap().to_uri(),
        _ => uri.to_uri(),
    });
    codes.iter().cloned().chain(uris).map(|text| text.to_string()).collect()
}

/// Each form of each URI: a file and the text that it shows. The texts are ASCII, so no reader has a character set to
/// guess.
fn draw(folder: &Path, rsvg: &str) -> Vec<(PathBuf, String)> {
    let folder = folder.join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let (mut pictures, mut markups) = (Vec::new(), Vec::new());
    for (number, text) in texts().into_iter().enumerate() {
        let qr = Qr::new(&text).unwrap();
        assert!(text.is_ascii());
        let scale = u8::try_from(2 + number % 3).unwrap();
        let path = |form: &str| folder.join(format!("{number}-{form}"));

        std::fs::write(path("terminal.pgm"), pgm(&colors(&qr), scale.into())).unwrap();
        pictures.push((path("terminal.pgm"), text.clone()));
        // As terminals of both kinds show it: light blocks on dark, and dark blocks on light.
        let plain = match number % 2 {
            0 => blocks(&qr.terminal().plain_on_dark().to_string(), false),
            _ => blocks(&qr.terminal().plain_on_light().to_string(), true),
        };
        std::fs::write(path("plain.pgm"), pgm(&plain, scale.into())).unwrap();
        pictures.push((path("plain.pgm"), text.clone()));
        std::fs::write(path("png.png"), qr.png(scale).unwrap()).unwrap();
        pictures.push((path("png.png"), text.clone()));
        std::fs::write(path("markup.svg"), qr.svg().with_module_size(scale.into()).with_label("<&>").to_string())
            .unwrap();
        markups.push((path("markup.svg"), path("markup.png")));
        pictures.push((path("markup.png"), text));
    }
    let markups = Mutex::new(markups);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((svg, png)) = { markups.lock().unwrap().pop() } {
                    assert!(Command::new(rsvg).arg(svg).arg("-o").arg(png).status().unwrap().success());
                }
            });
        }
    });
    pictures
}

#[test]
fn every_form_is_read() {
    let Some(rsvg) = program("rsvg-convert", &["--version"]) else { return };
    let zbarimg = program("zbarimg", &["--version"]);
    let python = program("python3", &["-c", "import zxingcpp, PIL"]);
    let pictures = draw(Path::new(env!("CARGO_TARGET_TMPDIR")), &rsvg);
    std::thread::scope(|scope| {
        scope.spawn(|| zbarimg.inspect(|zbarimg| zbarimg_reads(zbarimg, &pictures)));
        scope.spawn(|| python.inspect(|python| zxing_reads(python, &pictures)));
    });
    for (path, text) in pictures.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "png")) {
        let read = Qr::read_png(&std::fs::read(path).unwrap()).unwrap();
        assert!(read.len() == 1 && *read[0] == *text, "keyfob reads {}", path.display());
    }
}

/// Codes that keyfob does not draw: in colors that are hard to tell apart, and in encodings that they declare, or do not.
#[test]
fn what_others_draw_is_read_alike() {
    let Some(python) = program("python3", &["-c", "import zxingcpp, PIL"]) else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("others");
    std::fs::create_dir_all(&folder).unwrap();
    let in_colors = qr_read::colors::in_brightness().into_iter().enumerate().map(|(number, colors)| {
        let text = format!("otpauth://totp/Example:al?secret=GEZDGNBVGY3TQOJQ&issuer=Example&number={number}");
        (qr_read::page(&Qr::new(&text).unwrap(), 40, colors), text)
    });
    let declared = encodings::rows()
        .into_iter()
        .map(|(eci, text, bytes)| (encodings::picture(&encodings::declared(eci, &bytes)), text));
    let undeclared = ["Müller", "coração"].map(|text| {
        let bytes: Vec<u8> = text.chars().map(|character| u32::from(character) as u8).collect();
        (encodings::picture(&encodings::plain(&bytes)), text.to_owned())
    });
    let drawn = in_colors.chain(declared).chain(undeclared).enumerate().map(|(number, (file, text))| {
        let path = folder.join(format!("{number}.png"));
        std::fs::write(&path, file).unwrap();
        (path, text)
    });
    let pictures: Vec<_> = drawn.collect();
    zxing_reads(&python, &pictures);
    for (path, text) in pictures {
        let read = Qr::read_png(&std::fs::read(&path).unwrap()).unwrap();
        assert!(read.len() == 1 && *read[0] == text, "keyfob reads {}", path.display());
    }
}

fn zbarimg_reads(zbarimg: &str, pictures: &[(PathBuf, String)]) {
    // As XML each text stands beside the name of its picture.
    let options = ["--quiet", "--xml", "--nodbus", "-Sdisable", "-Sqrcode.enable"];
    let output = Command::new(zbarimg).args(options).args(pictures.iter().map(|(path, _)| path)).output().unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    let read: HashMap<&str, &str> = answer
        .split("<source href='")
        .skip(1)
        .map(|source| {
            let (path, rest) = source.split_once('\'').unwrap();
            let text = rest.split_once("<![CDATA[").and_then(|(_, rest)| rest.split_once("]]>")).map(|(text, _)| text);
            (path, text.unwrap_or("nothing"))
        })
        .collect();
    for (path, text) in pictures {
        let path = path.to_str().unwrap();
        assert_eq!(read.get(path), Some(&text.as_str()), "zbarimg reads {path}");
    }
}

fn zxing_reads(python: &str, pictures: &[(PathBuf, String)]) {
    let paths = pictures.iter().map(|(path, _)| path.display().to_string());
    let answers = converse(python, &["tests/peers/pictures_zxing.py"], paths);
    assert_eq!(answers.len(), pictures.len());
    for (answer, (path, text)) in answers.iter().zip(pictures) {
        assert_eq!(
            serde_json::from_str::<Vec<String>>(answer).unwrap(),
            [text.as_str()],
            "zxing reads {}",
            path.display()
        );
    }
}
