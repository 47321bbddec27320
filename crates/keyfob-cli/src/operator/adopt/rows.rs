//! The rows of the file: CSV with a header, or JSON lines.

use clap::ValueEnum;
use keyfob::guard::Adoptee;
use keyfob::{Algorithm, Digits, KeyUri, Period, Secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// A row, converted or refused.
pub(super) struct Row {
    /// The line of the file, counted from 1.
    pub(super) line: u64,
    pub(super) user: String,
    content: Content,
}

enum Content {
    Adoptee(Box<Adoptee>),
    Taken,
    Refused(String),
}

impl Row {
    /// Moves the adoptee out of the row.
    pub(super) fn take(&mut self) -> Option<Adoptee> {
        match std::mem::replace(&mut self.content, Content::Taken) {
            Content::Adoptee(adoptee) => Some(*adoptee),
            other => {
                self.content = other;
                None
            }
        }
    }

    /// Why the row cannot be adopted.
    pub(super) fn refused(&self) -> Option<&str> {
        match &self.content {
            Content::Refused(reason) => Some(reason),
            Content::Adoptee(_) | Content::Taken => None,
        }
    }
}

/// How secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Encoding {
    /// RFC 4648 base32, as authenticator apps show it
    Base32,
    /// Hexadecimal, as django-otp stores it
    Hex,
    /// The bytes of the text itself, as better-auth and Keycloak store it
    Text,
}

/// The fields of a row. In CSV, an empty field is one that is not there.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    user: Option<Text>,
    uri: Option<String>,
    secret: Option<String>,
    r#type: Option<String>,
    algorithm: Option<String>,
    digits: Option<u8>,
    period: Option<u32>,
    counter: Option<u64>,
    last_used: Option<u64>,
    name: Option<String>,
}

/// A user, which may be a number in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Number(i64),
}

pub(super) fn read(file: &[u8], encoding: Encoding) -> Result<Vec<Row>, Failure> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    match file.trim_ascii_start().first() {
        Some(b'{') => Ok(json(file, encoding)),
        Some(b'[') => Err(Failure::refused("this is a JSON array; write one object per line instead")),
        _ => csv(file, encoding),
    }
}

fn json(file: &[u8], encoding: Encoding) -> Vec<Row> {
    let lines = (1..).zip(file.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(line, bytes)| match serde_json::from_slice::<Fields>(bytes) {
            Ok(fields) => row(line, fields, encoding),
            // The error of the parser can quote the value, which may be a secret.
            Err(error) => {
                let what = match error.classify() {
                    serde_json::error::Category::Data => "a field has an unknown name or the wrong type",
                    _ => "the line is not one JSON object",
                };
                let reason = format!("{what} (before column {})", error.column());
                Row { line, user: String::new(), content: Content::Refused(reason) }
            }
        })
        .collect()
}

fn csv(file: &[u8], encoding: Encoding) -> Result<Vec<Row>, Failure> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(file);
    let damaged = |line: u64| Failure::refused(format_args!("line {line} of the file is not CSV in UTF-8"));
    let header = reader.headers().map_err(|_| damaged(1))?.clone();
    let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
    for (index, name) in names.iter().enumerate() {
        if !COLUMNS.contains(&name.as_str()) {
            // A file without a header has a user, or even a secret, in this place.
            return Err(Failure::refused(format_args!(
                "column {} of the first line has no name that this command knows; the names are {}",
                index + 1,
                COLUMNS.join(", ")
            )));
        }
        if names[..index].contains(name) {
            return Err(Failure::refused(format_args!("the column {name} is there twice")));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                if !matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. }) {
                    return Err(damaged(line));
                }
                let reason = "the row does not have as many fields as the first line, or is not UTF-8".into();
                rows.push(Row { line, user: String::new(), content: Content::Refused(reason) });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let field = |name: &str| {
            let index = names.iter().position(|column| column == name)?;
            record.get(index).filter(|field| !field.is_empty())
        };
        let user = field("user").unwrap_or_default();
        match fields(field) {
            Ok(fields) => rows.push(row(line, fields, encoding)),
            Err(reason) => rows.push(Row { line, user: user.into(), content: Content::Refused(reason) }),
        }
    }
    Ok(rows)
}

fn fields<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Result<Fields, String> {
    fn number<N: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<N>, String> {
        text.map(|text| text.trim().parse().map_err(|_| format!("{name} is not a number in range"))).transpose()
    }
    let text = |name: &str| field(name).map(String::from);
    Ok(Fields {
        user: text("user").map(Text::Text),
        uri: text("uri"),
        secret: text("secret"),
        r#type: text("type"),
        algorithm: text("algorithm"),
        digits: number("digits", field("digits"))?,
        period: number("period", field("period"))?,
        counter: number("counter", field("counter"))?,
        last_used: number("last_used", field("last_used"))?,
        name: text("name"),
    })
}

fn row(line: u64, mut fields: Fields, encoding: Encoding) -> Row {
    let user = match fields.user.take() {
        Some(Text::Text(user)) => user,
        Some(Text::Number(number)) => number.to_string(),
        None => String::new(),
    };
    let content = match convert(&user, fields, encoding) {
        Ok(adoptee) => Content::Adoptee(Box::new(adoptee)),
        Err(reason) => Content::Refused(reason),
    };
    Row { line, user, content }
}

fn convert(user: &str, fields: Fields, encoding: Encoding) -> Result<Adoptee, String> {
    let says = |error: keyfob::Error| error.to_string();
    let [uri, secret] = [fields.uri, fields.secret].map(|text| text.map(Zeroizing::new));
    let settings = fields.r#type.is_some()
        || fields.algorithm.is_some()
        || fields.digits.is_some()
        || fields.period.is_some()
        || fields.counter.is_some();
    let uri = match (uri, secret) {
        (Some(_), Some(_)) => return Err("the row has both a URI and a secret".into()),
        (None, None) => return Err("the row has neither a URI nor a secret".into()),
        (Some(_), None) if settings => return Err("the URI has its own settings; leave the other columns empty".into()),
        (Some(uri), None) => KeyUri::parse_lenient(&uri).map_err(says)?.0,
        (None, Some(secret)) => {
            let secret = decode(&secret, encoding)?;
            let kind = fields.r#type.as_deref().unwrap_or("totp").to_ascii_lowercase();
            // Neither issuer nor label is stored. A label must not contain a colon, but the name of a user may.
            let mut uri = match (kind.as_str(), fields.counter) {
                ("totp", None) => KeyUri::totp("", "user", &secret).map_err(says)?,
                ("totp", Some(_)) => return Err("a counter belongs to the type hotp".into()),
                ("hotp", Some(counter)) => KeyUri::hotp("", "user", &secret, counter).map_err(says)?,
                ("hotp", None) => return Err("the type hotp needs the counter of the next code".into()),
                _ => return Err("the type is neither totp nor hotp".into()),
            };
            if let Some(algorithm) = &fields.algorithm {
                uri = uri.with_algorithm(algorithm.parse::<Algorithm>().map_err(says)?);
            }
            if let Some(digits) = fields.digits {
                uri = uri.with_digits(Digits::new(digits).map_err(says)?);
            }
            if let Some(period) = fields.period {
                uri = uri.with_period(Period::new(period).map_err(says)?).map_err(says)?;
            }
            uri
        }
    };
    Ok(Adoptee { user: user.into(), uri, last_used: fields.last_used, name: fields.name.unwrap_or_default() })
}

fn decode(text: &str, encoding: Encoding) -> Result<Secret, String> {
    let secret = match encoding {
        Encoding::Base32 => Secret::from_base32(text),
        Encoding::Text => Secret::from_bytes(text.as_bytes()),
        Encoding::Hex => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NOT_HEX.into()) };
            let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(a)? << 4 | digit(b)?)).collect();
            Secret::from_bytes(&Zeroizing::new(bytes.ok_or(NOT_HEX)?))
        }
    };
    secret.map_err(|error| error.to_string())
}

const COLUMNS: [&str; 10] =
    ["user", "uri", "secret", "type", "algorithm", "digits", "period", "counter", "last_used", "name"];

const NOT_HEX: &str = "the secret is not hexadecimal";
