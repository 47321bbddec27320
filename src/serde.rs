//! Serializes settings for files and databases. Deserialization calls the constructors, which validate the values.
//!
//! [`Secret`](crate::Secret) does not implement `Serialize`, because a struct that contains a secret could then leak it
//! into logs, caches or dumps. To serialize a secret intentionally, name the module `secret` or `uri` in the field's
//! `serde(with)` attribute.

use alloc::string::String;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::code::Digits;
use crate::hotp::LookAhead;
use crate::totp::{Period, Step, Window};

/// Implements `Serialize` and `Deserialize` for a type that is serialized as a number.
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

/// The serialized form of a [`Window`].
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

/// Deserializes a string. If a secret consists only of digits, the format may read it as a number. The format's error
/// message could then quote the secret, so the message is replaced with `expected`.
fn text<'de, D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new).map_err(|_| D::Error::custom(expected))
}

/// Serializes a [`Secret`](crate::Secret) in plaintext, as base32: `#[serde(with = "keyfob::serde::secret")]`.
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

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by the code that serde derives")]
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        secret.expose_base32().as_str().serialize(serializer)
    }

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by the code that serde derives")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = text(deserializer, "a secret must be a string of base32, in quotes if the format uses them")?;
        Secret::from_base32(&text).map_err(D::Error::custom)
    }
}

/// Serializes a [`KeyUri`](crate::KeyUri) in plaintext, as its URI: `#[serde(with = "keyfob::serde::uri")]`.
///
/// A serialized `KeyUri` always deserializes to the same value. All other URIs are parsed strictly.
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
/// let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// let text = format!(r#"{{"account":"otpauth://totp/al?secret={secret}"}}"#);
/// let backup: Backup = serde_json::from_str(&text)?;
/// assert_eq!(serde_json::to_string(&backup)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[cfg(feature = "uri")]
pub mod uri {
    use super::{Deserializer, Error, Serialize, Serializer, text};
    use crate::uri::KeyUri;

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by the code that serde derives")]
    pub fn serialize<S: Serializer>(uri: &KeyUri, serializer: S) -> Result<S::Ok, S::Error> {
        uri.to_uri().as_str().serialize(serializer)
    }

    #[allow(missing_docs, clippy::missing_errors_doc, reason = "called by the code that serde derives")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyUri, D::Error> {
        let text = text(deserializer, "a URI must be a string")?;
        KeyUri::parse_written(&text).map_err(D::Error::custom)
    }
}
