//! Settings that all stores have in common.

use alloc::format;
use alloc::string::String;

use crate::error::{Error, ErrorKind};

/// Settings of a store: the name of its table, and which of the server's settings it accepts.
///
/// ```
/// use keyfob::store::StoreOptions;
///
/// let options = StoreOptions::new().with_table("auth.second_factor")?;
/// assert!(StoreOptions::new().with_table("users; DROP TABLE users").is_err());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    schema: Option<String>,
    table: String,
    accepts_loss: bool,
    trusts_unreadable: bool,
}

impl StoreOptions {
    /// The default settings: the table `keyfob_second_factor`, on a server that keeps every acknowledged change.
    #[must_use]
    pub fn new() -> Self {
        Self { schema: None, table: "keyfob_second_factor".into(), accepts_loss: false, trusts_unreadable: false }
    }

    /// Chooses the name of the table, as `table` or `schema.table`. In Redis, it is the first part of each key.
    ///
    /// The name is quoted in each statement, so upper case and lower case differ if they do so in the database. The
    /// store creates the table if it is missing, but not the schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Table`] unless each part has 1 to 63 ASCII letters, digits and underscores, and does not start with
    /// a digit.
    pub fn with_table(mut self, name: &str) -> Result<Self, Error> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        if ![schema, Some(table)].into_iter().flatten().all(is_identifier) {
            return Err(INVALID_TABLE);
        }
        (self.schema, self.table) = (schema.map(Into::into), table.into());
        Ok(self)
    }

    /// Accepts a server that may lose acknowledged changes, such as a test database without disk syncs.
    ///
    /// The store then does not check whether the server keeps acknowledged changes. It still refuses a replica and a
    /// read-only server. After a crash or a power failure, used codes may be accepted again, and wrong guesses may no
    /// longer be counted.
    #[must_use]
    pub fn allow_lost_changes(mut self) -> Self {
        self.accepts_loss = true;
        self
    }

    /// Trusts that settings which the server hides are as they should be.
    ///
    /// Managed Redis services often forbid the command `CONFIG`. The store then cannot see whether the server syncs
    /// changes to disk, and refuses to open. Call this method if the service promises that acknowledged changes survive
    /// a crash. Settings that the server shows are still checked.
    #[must_use]
    pub fn trust_unreadable_settings(mut self) -> Self {
        self.trusts_unreadable = true;
        self
    }

    /// Whether acknowledged changes may be lost.
    pub(super) fn accepts_loss(&self) -> bool {
        self.accepts_loss
    }

    /// Whether settings that cannot be read count as durable.
    #[cfg(feature = "redis")]
    pub(super) fn trusts_unreadable(&self) -> bool {
        self.trusts_unreadable
    }

    /// The name of the table, with each part between two `quote` characters.
    pub(super) fn quoted(&self, quote: &str) -> String {
        let table = format!("{quote}{}{quote}", self.table);
        match &self.schema {
            Some(schema) => format!("{quote}{schema}{quote}.{table}"),
            None => table,
        }
    }

    /// The names of the schema, if there is one, and of the table.
    #[cfg(feature = "mysql")]
    pub(super) fn names(&self) -> (Option<&str>, &str) {
        (self.schema.as_deref(), &self.table)
    }

    /// Replaces the name of the table in a documented statement.
    #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
    pub(super) fn rename(&self, statement: &str, quote: &str) -> String {
        statement.trim_end().trim_end_matches(';').replace("keyfob_second_factor", &self.quoted(quote))
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Identifiers of this form need no escaping between quotes.
fn is_identifier(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    matches!(part.len(), 1..=63) && part.bytes().all(allowed) && !part.starts_with(|first: char| first.is_ascii_digit())
}

const INVALID_TABLE: Error = Error::new(
    ErrorKind::Table,
    "the name of a table has 1 to 63 ASCII letters, digits and underscores, does not start with a digit, and may \
     follow the name of a schema and a dot; use another",
);
