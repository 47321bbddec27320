//! Reads and writes Google Authenticator transfers ("Transfer accounts"): QR codes with `otpauth-migration` URIs, each
//! containing several accounts.

mod code;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::uri::KeyUri;

pub use code::TransferCode;

/// Collects the QR codes of one transfer. They may be added in any order and more than once.
///
/// ```
/// use keyfob::{KeyUri, Secret, Transfer, TransferCode};
///
/// let accounts: Vec<KeyUri> = (1..=12)
///     .map(|n| KeyUri::totp("Example", &format!("user{n}"), &Secret::generate()))
///     .collect::<Result<_, _>>()?;
/// let codes = Transfer::export(&accounts, 77)?;
/// assert_eq!(codes.len(), 3); // at most five accounts in each, so that cameras can read it
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
    /// The codes added so far, by their index in the transfer.
    codes: BTreeMap<u32, TransferCode>,
}

impl Transfer {
    /// Creates an empty transfer. The first code that is added determines how many codes the transfer has.
    #[must_use]
    pub const fn new() -> Self {
        Self { codes: BTreeMap::new() }
    }

    /// Exports accounts as strings for QR codes. [`Qr::new`](crate::Qr::new) encodes them.
    ///
    /// Each code contains at most five accounts. It contains fewer if their names or secrets are long, because cameras
    /// have difficulty with QR codes above version 25. A QR code is larger than that only if a single account does not
    /// fit in a smaller one. `batch_id` distinguishes transfers; choose it at random. The strings contain the secrets.
    /// A label prefix that differs from the issuer and parameters that keyfob does not interpret are left out, because
    /// the format cannot express them.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Migration`](crate::ErrorKind::Migration) if an account has settings that the format cannot
    ///   express, because an app would show wrong codes for it: a period other than 30 seconds, seven digits, Steam, or
    ///   a counter of 2^63 or more. The same error is returned if more than 1000 codes would be needed.
    /// * [`ErrorKind::Qr`](crate::ErrorKind::Qr) if a single account is too long for a QR code.
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

    /// Adds a code. Adding the same code again has no effect.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) if the code belongs to a different transfer or contradicts
    /// the codes added before: it has a different number of codes, or different accounts at the same index. The same
    /// error is returned if its index is not below the number of codes, or if the transfer has more than 1000 codes.
    /// The codes added before are kept.
    pub fn add(&mut self, code: TransferCode) -> Result<(), Error> {
        self.check(&code)?;
        self.codes.insert(code.batch_index(), code);
        Ok(())
    }

    /// Checks whether [`add`](Self::add) would accept the code.
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

    /// The indices of the codes that have not been added, counted from 0 like [`TransferCode::batch_index`]. Before the
    /// first code is added, there are none, because the number of codes is not known yet.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let size = self.first().map_or(0, TransferCode::batch_size);
        (0..size).filter(|index| !self.codes.contains_key(index))
    }

    /// Whether all codes have been added.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first().is_some() && self.missing().next().is_none()
    }

    /// Returns the accounts of all codes, in the order in which they were exported. For an account that keyfob cannot
    /// import, the result contains an error instead.
    ///
    /// # Errors
    ///
    /// If a code is missing, the transfer itself is returned, so that you can add the code.
    pub fn finish(self) -> Result<Vec<Result<KeyUri, Error>>, Self> {
        if !self.is_complete() {
            return Err(self);
        }
        Ok(self.codes.into_values().flat_map(TransferCode::into_entries).collect())
    }

    /// Returns the accounts of the codes that were added, with one error for each run of consecutive missing codes. If
    /// each missing code had a separate error, a 50-byte code could produce a thousand errors.
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

/// The maximum number of accounts in a code. Google Authenticator puts ten in each code, which results in QR codes that
/// many cameras cannot read.
const ACCOUNTS_PER_CODE: usize = 5;

/// The limit that `export` applies to the text of a code with several accounts. The capacity of a version 25 QR code is
/// 997 bytes. 48 bytes are reserved because the number of codes is known only at the end. The number and everything
/// after it take at most 24 base64 symbols, and escaping can make each symbol two characters longer.
const MAX_TEXT: usize = 997 - 48;

/// The maximum number of codes in a transfer, enough for 5000 accounts. Without a limit, a damaged or hostile code
/// could produce a list of four billion missing codes.
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
