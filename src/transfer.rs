//! Transfers: what Google Authenticator shows as "Transfer accounts", QR codes of `otpauth-migration` URIs with some
//! accounts in each.

mod code;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::uri::KeyUri;

pub use code::TransferCode;

/// A transfer of which the QR codes come one by one, in any order, and some twice.
///
/// ```
/// use keyfob::{KeyUri, Secret, Transfer, TransferCode};
///
/// # let accounts: Vec<KeyUri> = (1..=12)
/// #     .map(|n| KeyUri::totp("Example", &format!("user{n}"), &Secret::generate()))
/// #     .collect::<Result<_, _>>()?;
/// let codes = Transfer::export(&accounts, 77)?;
/// assert_eq!(codes.len(), 3); // so few accounts in each that a camera reads it
///
/// let mut transfer = Transfer::new();
/// transfer.add(TransferCode::parse(&codes[2])?)?;
/// transfer.add(TransferCode::parse(&codes[0])?)?;
/// assert!(transfer.missing().eq([1])); // "scan the second of three"
/// transfer.add(TransferCode::parse(&codes[1])?)?;
///
/// let entries = transfer.finish().expect("nothing is missing");
/// assert!(entries.into_iter().collect::<Result<Vec<_>, _>>()? == accounts);
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// By the index in the batch.
    codes: BTreeMap<u32, TransferCode>,
}

impl Transfer {
    /// A transfer of which nothing has come yet. The first code says how many there are.
    #[must_use]
    pub const fn new() -> Self {
        Self { codes: BTreeMap::new() }
    }

    /// Writes accounts as the texts of QR codes that a camera still reads: at most five accounts to a code, and fewer if
    /// their names or secrets are long. [`Qr::new`](crate::Qr::new) draws all of them, at version 25 or below unless one
    /// account alone needs more.
    ///
    /// `batch_id` is a random number that tells transfers apart. The texts contain the secrets. What the format has no
    /// place for stays behind: the prefix of a label that is not the issuer, and parameters that keyfob does not know.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Migration`](crate::ErrorKind::Migration) for what the format cannot say, and an app would show wrong
    ///   codes for: a period other than 30, seven digits, Steam, a counter above 2^63 - 1. And for more than 1000 codes.
    /// * [`ErrorKind::Qr`](crate::ErrorKind::Qr) if one account alone is too long for a QR code.
    pub fn export(accounts: &[KeyUri], batch_id: i32) -> Result<Vec<Zeroizing<String>>, Error> {
        let mut batches = Vec::new();
        let mut rest = accounts;
        while !rest.is_empty() {
            let index = batches.len() as u64;
            if index == u64::from(MAX_CODES) {
                return Err(TOO_MANY);
            }
            let mut count = rest.len().min(ACCOUNTS_PER_CODE);
            let (batch, others) = loop {
                let (batch, others) = rest.split_at(count);
                if count == 1 || code::write(batch, MAX_CODES.into(), index, batch_id)?.len() <= MAX_TEXT {
                    break (batch, others);
                }
                count -= 1;
            };
            batches.push(batch);
            rest = others;
        }
        let size = batches.len() as u64;
        (0..).zip(batches).map(|(index, batch)| code::write(batch, size, index, batch_id)).collect()
    }

    /// Adds a code. One that is there already changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) for a code of another transfer, and for one that contradicts
    /// those before it or itself: another number of codes, other accounts in the same place, a place that is not among
    /// them, more than 1000 codes. What was collected stays.
    pub fn add(&mut self, code: TransferCode) -> Result<(), Error> {
        self.check(&code)?;
        self.codes.insert(code.batch_index(), code);
        Ok(())
    }

    /// Whether [`add`](Self::add) takes the code.
    pub(crate) fn check(&self, code: &TransferCode) -> Result<(), Error> {
        let (size, index) = (code.batch_size(), code.batch_index());
        if let Some(first) = self.first() {
            if first.batch_id() != code.batch_id() {
                return Err(OTHER);
            }
            if first.batch_size() != size {
                return Err(CONTRADICTION);
            }
        }
        if index >= size || size > MAX_CODES || self.codes.get(&index).is_some_and(|known| known != code) {
            return Err(CONTRADICTION);
        }
        Ok(())
    }

    /// Which codes have not come, by [`TransferCode::batch_index`], so counted from 0. None before the first code.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let size = self.first().map_or(0, TransferCode::batch_size);
        (0..size).filter(|index| !self.codes.contains_key(index))
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
        Ok(self.codes.into_values().flat_map(TransferCode::into_entries).collect())
    }

    /// The accounts of the codes that have come, and an error in place of those that are missing between two of them. One
    /// error for each would let a code of fifty bytes make a thousand.
    #[cfg(feature = "import")]
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Result<KeyUri, Error>> {
        let of = self.first().map_or(0, TransferCode::batch_size);
        let missing = move |first: u32, end: u32| {
            let error = if first + 1 == end { MISSING } else { MISSING_RANGE.number(u64::from(first) + 1) };
            (first < end).then(|| Err(error.number(end.into()).number(of.into())))
        };
        let end = self.codes.last_key_value().map_or(0, |(index, _)| index + 1);
        let mut next = 0;
        let found = self.codes.into_iter().flat_map(move |(index, code)| {
            let gap = missing(next, index);
            next = index + 1;
            gap.into_iter().chain(code.into_entries())
        });
        found.chain(missing(end, of))
    }

    fn first(&self) -> Option<&TransferCode> {
        self.codes.values().next()
    }
}

/// Ten, which Google Authenticator writes, make a code that many cameras fail on.
const ACCOUNTS_PER_CODE: usize = 5;

/// The 997 bytes of a code of version 25, less what the number of codes may add, which is known only at the end: it and
/// all behind it take at most 24 symbols, of which each may turn into one that is escaped, of two characters more.
const MAX_TEXT: usize = 997 - 48;

/// Some thousands of accounts. A damaged or hostile number must not make a list of four billion missing codes.
const MAX_CODES: u32 = 1000;

const CONTRADICTION: Error = Error::new(ErrorKind::Migration, "the QR codes of the transfer contradict each other");
const OTHER: Error = Error::new(ErrorKind::Migration, "the QR code belongs to another transfer");
#[cfg(feature = "import")]
const MISSING: Error = Error::new(ErrorKind::Migration, "code {} of the {} codes of the transfer is missing");
#[cfg(feature = "import")]
const MISSING_RANGE: Error =
    Error::new(ErrorKind::Migration, "codes {} to {} of the {} codes of the transfer are missing");
const TOO_MANY: Error =
    Error::new(ErrorKind::Migration, "a transfer has at most {} QR codes; export fewer accounts at a time")
        .number(MAX_CODES as u64);
