//! `keyfob qr`: draws a QR code.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use keyfob::{KeyUri, Qr};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::input::{self, SecretSource};
use crate::output::{Output, check_screen, create_private};

/// Draw a QR code, on the terminal, as SVG or as PNG
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob qr app.uri --show-secrets           # on the terminal
  keyfob qr app.uri --output app.png
  keyfob qr app.uri --format svg > app.svg

The code contains the secret, so a terminal shows it only with --show-secrets. A new file can be read only by you, \
and an existing file is not replaced. If NO_COLOR is set or the output is not a terminal, the drawing has no colors; \
it is then made for light text on a dark background, unless --on-light is given.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SecretSource,

    /// The format [default: by the extension of the output file, otherwise terminal]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write to this new file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The width of a module of SVG and PNG in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    module_size: u8,

    /// Draw without colors, for dark text on a light background
    #[arg(long)]
    on_light: bool,

    /// Also draw on a terminal
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Block characters
    Terminal,
    /// An SVG element
    Svg,
    /// A PNG file
    Png,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let format = arguments.format.unwrap_or_else(|| by_name(arguments.output.as_deref()));
    if arguments.output.is_none() {
        if format == Format::Png && io::stdout().is_terminal() {
            return Err(Failure::usage("a terminal cannot show PNG; add --output FILE"));
        }
        check_screen(arguments.show_secrets)?;
    }
    let text = arguments.source.read()?;
    if !input::is_uri(&text) {
        return Err(Failure::refused("this is not a URI; `keyfob uri build` makes one from a secret"));
    }
    // A transfer between apps is drawn as it is. The spelling of an account's URI is repaired first.
    let qr = match KeyUri::parse_lenient(&text) {
        Ok((uri, _)) => uri.qr()?,
        Err(_) if text.trim().starts_with("otpauth-migration://") => Qr::new(text.trim())?,
        Err(error) => return Err(error.into()),
    };
    let drawn = match format {
        Format::Png => qr.png(arguments.module_size)?,
        Format::Svg => line(&qr.svg().with_module_size(arguments.module_size.into())),
        Format::Terminal => {
            let colors = arguments.output.is_none()
                && io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            line(&match (arguments.on_light, colors) {
                (true, _) => qr.terminal().plain_on_light(),
                (false, true) => qr.terminal(),
                (false, false) => qr.terminal().plain_on_dark(),
            })
        }
    };
    match &arguments.output {
        Some(path) => {
            create_private(path)?.write_all(&drawn).map_err(|error| Failure::file(path, &error))?;
            output.note(&format!("The QR code is in {}. It contains the secret.", path.display()));
        }
        None => output.bytes(&drawn)?,
    }
    Ok(Exit::Done)
}

fn by_name(path: Option<&Path>) -> Format {
    match path.and_then(Path::extension).and_then(|extension| extension.to_str()) {
        Some("png") => Format::Png,
        Some("svg") => Format::Svg,
        _ => Format::Terminal,
    }
}

fn line(drawn: &impl ToString) -> Zeroizing<Vec<u8>> {
    let mut drawn = drawn.to_string();
    if !drawn.ends_with('\n') {
        drawn.push('\n');
    }
    Zeroizing::new(drawn.into_bytes())
}
