//! Iterates over all accounts, to reseal their secrets or to make another change to each of them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::store::Accounts;

/// The accounts of one page of a [sweep](Guard::sweep), and what came of each.
#[derive(Debug)]
pub struct Page<T> {
    accounts: Vec<(String, Result<T, GuardError>)>,
}

impl<T> Page<T> {
    /// Each account's name and the answer for it, in the order of the names.
    pub fn accounts(&self) -> &[(String, Result<T, GuardError>)] {
        &self.accounts
    }

    /// The last account of the page. Pass it to [`Guard::sweep`] for the next page. `None` means that there are no more
    /// accounts.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.accounts.last().map(|(user, _)| user.as_str())
    }
}

impl<S: Accounts> Guard<S> {
    /// Calls `visit` for each of the next `limit` accounts that have a record, starting after the account `after`.
    ///
    /// Start with an empty string, and continue with [`Page::last`] until it is `None`. To stop and continue later,
    /// keep the last name. An account that fails does not stop the sweep. Its answer is the error. Accounts are
    /// processed one after another. To go faster, run several sweeps that start at different names.
    ///
    /// This program seals all secrets under the primary key, after which old keys can be removed from the keyring:
    ///
    /// ```
    /// use keyfob::guard::GuardError;
    /// use keyfob::store::Accounts;
    /// use keyfob::{Guard, Keyring, store::MemoryStore};
    ///
    /// async fn reseal_all(guard: &Guard<impl Accounts>) -> Result<(), GuardError> {
    ///     let (mut last, mut done) = (String::new(), 0);
    ///     loop {
    ///         let reseal = |user: String| async move { guard.reseal(&user).await };
    ///         let page = guard.sweep(&last, 1000, reseal).await?;
    ///         let Some(end) = page.last() else { return Ok(()) };
    ///         last = end.into();
    ///         done += page.accounts().len();
    ///         for (user, answer) in page.accounts() {
    ///             if let Err(error) = answer {
    ///                 println!("{user}: {error}");
    ///             }
    ///         }
    ///         println!("{done} accounts");
    ///     }
    /// }
    /// # use keyfob::guard::Setup;
    /// # futures_lite::future::block_on(async {
    /// # let old = Keyring::generate("2026")?;
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&old)?, "Example Inc");
    /// # guard.enroll("user-17", &Setup::totp("alice")).await?;
    /// # guard.replace_keyring(Keyring::parse(&format!("{},{}", *Keyring::generate("2027")?, *old))?);
    /// # reseal_all(&guard).await?;
    /// # assert_eq!(guard.status("user-17").await?.keys()[0].as_str(), "2027");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Store`] if the store could not list the accounts.
    pub async fn sweep<T, F>(
        &self,
        after: &str,
        limit: u32,
        visit: impl Fn(String) -> F + Send + Sync,
    ) -> Result<Page<T>, GuardError>
    where
        T: Send,
        F: Future<Output = Result<T, GuardError>> + Send,
    {
        let names = self.store().accounts(after, limit).await;
        let names = names.map_err(|error| GuardError::with_source(GuardErrorKind::Store, error))?;
        let mut accounts = Vec::with_capacity(names.len());
        for user in names {
            let answer = visit(user.clone()).await;
            accounts.push((user, answer));
        }
        Ok(Page { accounts })
    }
}
