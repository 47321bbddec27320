//! Settings to and from files and databases, through the constructors that check them.
//!
//! A secret has no `Serialize`: it would end up in a log, a cache or a dump by way of the struct around it. Where it is
//! meant to be written, the field says so.

use alloc::string::String;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::code::Digits;
use crate::hotp::LookAhead;
use crate::totp::{Period, Step, Window};

/// A type that is a number to the outside.
macro_rules! number {
    ($name:ty, $number:ty, $get:ident, $new:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.$get().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$number>::deserialize(deserializer).and_then(|number| $new(number).map_err(D::Error::custom))
            }
        }
    };
}

number!(Digits, u8, get, Digits::new);
number!(LookAhead, u8, get, LookAhead::new);
number!(Period, u32, seconds, Period::new);
number!(Step, u64, get, |step| Ok::<_, crate::Error>(Step::new(step)));

/// The two numbers, `behind` and `ahead`.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Window", deny_unknown_fields)]
struct Sides {
    behind: u8,
    ahead: u8,
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sides { behind: self.behind(), ahead: self.ahead() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Sides { behind, ahead } = Sides::deserialize(deserializer)?;
        Self::new(behind, ahead).map_err(D::Error::custom)
    }
}

/// The format's own error quotes what stands there instead of text: a secret may be all digits.
fn text<'de, D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new).map_err(|_| D::Error::custom(expected))
}

/// `#[serde(with = "keyfob::serde::secret")]`, for a field that is to hold a [`Secret`](crate::Secret) in the open, in
/// base32.
///
/// ```
/// use keyfob::Secret;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Backup {
///     #[serde(with = "keyfob::serde::secret")]
///     secret: Secret,
/// }
///
/// let text = r#"{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}"#;
/// let backup: Backup = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&backup)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub mod secret {
    use super::{Deserializer, Error, Serialize, Serializer, text};
    use crate::secret::Secret;

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by what serde derives")]
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        secret.expose_base32().as_str().serialize(serializer)
    }

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by what serde derives")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = text(deserializer, "a secret is text: base32, in quotes where the format has them")?;
        Secret::from_base32(&text).map_err(D::Error::custom)
    }
}

/// `#[serde(with = "keyfob::serde::uri")]`, for a field that is to hold a [`KeyUri`](crate::KeyUri) in the open, as its
/// URI. Every `KeyUri` is read back as it was written; anything else is read strictly.
///
/// ```
/// use keyfob::KeyUri;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Backup {
///     #[serde(with = "keyfob::serde::uri")]
///     account: KeyUri,
/// }
///
/// let text = r#"{"account":"otpauth://totp/ACME:al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME"}"#;
/// let backup: Backup = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&backup)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[cfg(feature = "uri")]
pub mod uri {
    use super::{Deserializer, Error, Serialize, Serializer, text};
    use crate::uri::KeyUri;

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by what serde derives")]
    pub fn serialize<S: Serializer>(uri: &KeyUri, serializer: S) -> Result<S::Ok, S::Error> {
        uri.to_uri().as_str().serialize(serializer)
    }

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by what serde derives")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyUri, D::Error> {
        let text = text(deserializer, "a URI is text")?;
        KeyUri::parse_written(&text).map_err(D::Error::custom)
    }
}
