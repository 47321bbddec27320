//! The QR codes of one transfer, put together.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{MAX_CODES, Migration};
use crate::error::{Error, ErrorKind};
use crate::uri::KeyUri;

/// A transfer of which the QR codes come one by one, in any order, and some twice.
///
/// ```
/// use keyfob::{KeyUri, Migration, Secret, Transfer};
///
/// # let accounts: Vec<KeyUri> = (1..=12)
/// #     .map(|n| KeyUri::totp("Example", &format!("user{n}"), &Secret::generate()))
/// #     .collect::<Result<_, _>>()?;
/// let codes = Migration::export(&accounts, 77)?;
///
/// let mut transfer = Transfer::new();
/// transfer.add(Migration::parse(&codes[2])?)?;
/// transfer.add(Migration::parse(&codes[0])?)?;
/// assert!(transfer.missing().eq([1])); // "scan the second of three"
/// transfer.add(Migration::parse(&codes[1])?)?;
///
/// let entries = transfer.finish().expect("nothing is missing");
/// assert!(entries.into_iter().collect::<Result<Vec<_>, _>>()? == accounts);
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// By the index in the batch.
    parts: BTreeMap<u32, Migration>,
}

impl Transfer {
    /// A transfer of which nothing has come yet. The first code says how many there are.
    #[must_use]
    pub const fn new() -> Self {
        Self { parts: BTreeMap::new() }
    }

    /// Adds a code. One that is there already changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) for a code of another transfer, and for one that contradicts
    /// those before it or itself: another number of codes, other accounts in the same place, a place that is not among
    /// them, more than 1000 codes. What was collected stays.
    pub fn add(&mut self, part: Migration) -> Result<(), Error> {
        self.check(&part)?;
        self.parts.insert(part.batch_index(), part);
        Ok(())
    }

    /// Whether [`add`](Self::add) takes the code.
    pub(crate) fn check(&self, part: &Migration) -> Result<(), Error> {
        let (size, index) = (part.batch_size(), part.batch_index());
        if let Some(first) = self.first() {
            if first.batch_id() != part.batch_id() {
                return Err(OTHER);
            }
            if first.batch_size() != size {
                return Err(CONTRADICTION);
            }
        }
        if index >= size || size > MAX_CODES || self.parts.get(&index).is_some_and(|known| known != part) {
            return Err(CONTRADICTION);
        }
        Ok(())
    }

    /// Which codes have not come, by [`Migration::batch_index`], so counted from 0. None before the first code.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let size = self.first().map_or(0, Migration::batch_size);
        (0..size).filter(|index| !self.parts.contains_key(index))
    }

    /// Whether all codes have come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first().is_some() && self.missing().next().is_none()
    }

    /// The accounts of all codes, in the order in which they were exported.
    ///
    /// # Errors
    ///
    /// The transfer itself, to go on with, if a code is missing.
    pub fn finish(self) -> Result<Vec<Result<KeyUri, Error>>, Self> {
        if !self.is_complete() {
            return Err(self);
        }
        Ok(self.parts.into_values().flat_map(Migration::into_entries).collect())
    }

    /// The accounts of the codes that have come, and an error in place of those that are missing between two of them. One
    /// error for each would let a code of fifty bytes make a thousand.
    #[cfg(feature = "import")]
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Result<KeyUri, Error>> {
        let of = self.first().map_or(0, Migration::batch_size);
        let missing = move |first: u32, end: u32| {
            let error = if first + 1 == end { MISSING } else { MISSING_RANGE.number(u64::from(first) + 1) };
            (first < end).then(|| Err(error.number(end.into()).number(of.into())))
        };
        let end = self.parts.last_key_value().map_or(0, |(index, _)| index + 1);
        let mut next = 0;
        let found = self.parts.into_iter().flat_map(move |(index, part)| {
            let gap = missing(next, index);
            next = index + 1;
            gap.into_iter().chain(part.into_entries())
        });
        found.chain(missing(end, of))
    }

    fn first(&self) -> Option<&Migration> {
        self.parts.values().next()
    }
}

const CONTRADICTION: Error = Error::new(ErrorKind::Migration, "the QR codes of the transfer contradict each other");
const OTHER: Error = Error::new(ErrorKind::Migration, "the QR code belongs to another transfer");
#[cfg(feature = "import")]
const MISSING: Error = Error::new(ErrorKind::Migration, "code {} of the {} codes of the transfer is missing");
#[cfg(feature = "import")]
const MISSING_RANGE: Error =
    Error::new(ErrorKind::Migration, "codes {} to {} of the {} codes of the transfer are missing");
