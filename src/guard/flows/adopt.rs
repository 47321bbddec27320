//! Adoption: migrates users and their authenticators from another system.

use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::answer::adoption::{Adoptee, Adoption};
use crate::guard::answer::event::{Event, EventKind, Flow};
#[cfg(doc)]
use crate::guard::answer::status::Status;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::OperatorId;
use crate::guard::record::SecondFactor;
use crate::guard::report::tell;
use crate::store::{Accounts, Store, Swap};
use crate::uri::KeyUri;

impl<S: Store> Guard<S> {
    /// Adopts a user's authenticator from another system. It is active at once: the user does not have to do
    /// anything, and logs in with the same app as before.
    ///
    /// `last_used` is the last TOTP step or HOTP counter whose code the other system accepted. Codes up to it are
    /// refused. A step is the Unix time divided by the period. Without `last_used`, the codes in the current window
    /// count as used, so the user has to wait for at most a minute. For HOTP, the counter in the URI is the next one to
    /// accept.
    ///
    /// An account that has a second factor, or whose second factor was removed with keyfob, is left as it is, so the
    /// call can be repeated. A pending enrollment is canceled. No recovery codes are made, because nobody would see
    /// them: [`Status::has_recovery_codes`] is `false`, and the user can get them at the next visit with
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes).
    ///
    /// **Remove the old secret in the same step** in which you switch the user over to keyfob. Suppose the old column
    /// still has the secret, and your code still looks there for users without a second factor in keyfob. Then a second
    /// factor comes back after its user has disabled it.
    ///
    /// Events: [`EventKind::Adopted`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`] for a Steam URI, and if `last_used` is too far in the future to be a step.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn adopt(
        &self,
        user: &str,
        uri: &KeyUri,
        last_used: Option<u64>,
        operator: &OperatorId,
    ) -> Result<Adoption, GuardError> {
        self.transact_by(Some(operator), Flow::Adopt, user, |factor, context| {
            factor.adopt(context, &self.randomness, uri, last_used, operator)
        })
        .await
    }
}

impl<S: Accounts> Guard<S> {
    /// Adopts many users, and adds their records in one call to the store. In all other respects, this works like
    /// [`adopt`](Self::adopt).
    ///
    /// Returns an answer for each user, in the same order. A user who cannot be adopted does not affect the others:
    /// the answer is an error that says why. If a user is listed more than once, only the first entry is adopted,
    /// and the answer for the others is [`Adoption::Kept`]. Pass up to about a thousand users at a time. If the program
    /// stops in the middle, run it again: users who have already been adopted are kept.
    ///
    /// ```
    /// use keyfob::guard::{Adoptee, Adoption, GuardError, OperatorId};
    /// use keyfob::store::Accounts;
    /// use keyfob::{Guard, KeyUri, Secret};
    ///
    /// /// A row of the old table: user, secret in base32, last used step.
    /// type Row = (String, String, Option<u64>);
    ///
    /// /// Adopts all rows. Returns the users who could not be adopted, and why.
    /// async fn take_over(
    ///     guard: &Guard<impl Accounts>,
    ///     rows: Vec<Row>,
    ///     operator: &OperatorId,
    /// ) -> Result<Vec<(String, String)>, GuardError> {
    ///     let (mut rejected, mut done) = (Vec::new(), 0);
    ///     for page in rows.chunks(1000) {
    ///         let mut adoptees = Vec::new();
    ///         for (user, secret, last_used) in page {
    ///             let uri = Secret::from_base32(secret)
    ///                 .and_then(|secret| KeyUri::totp("Example Inc", user, &secret));
    ///             match uri {
    ///                 Ok(uri) => adoptees.push(Adoptee {
    ///                     user: user.clone(),
    ///                     uri,
    ///                     last_used: *last_used,
    ///                 }),
    ///                 Err(error) => rejected.push((user.clone(), error.to_string())),
    ///             }
    ///         }
    ///         let answers = guard.adopt_batch(&adoptees, operator).await?;
    ///         for (adoptee, answer) in adoptees.iter().zip(answers) {
    ///             match answer {
    ///                 Ok(Adoption::Adopted(_) | Adoption::Kept) => {} // empty the old column
    ///                 Err(error) => rejected.push((adoptee.user.clone(), error.to_string())),
    ///             }
    ///         }
    ///         done += page.len();
    ///         println!("{done} of {}", rows.len());
    ///     }
    ///     Ok(rejected)
    /// }
    /// # use keyfob::{Keyring, store::MemoryStore};
    /// # futures_lite::future::block_on(async {
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc");
    /// # let operator = OperatorId::new("migration")?;
    /// # let row = |user: &str, secret: &str| (String::from(user), String::from(secret), None);
    /// # let rows = vec![row("1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), row("2", "?"), row("1", "MFRGGZDFMZTWQ2LK")];
    /// # let rejected = take_over(&guard, rows, &operator).await?;
    /// # assert_eq!((rejected.len(), rejected[0].0.as_str()), (1, "2"));
    /// # assert!(guard.status("1").await?.is_active());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Store`] if the store failed. Some users may have been adopted; run it again.
    /// * [`GuardErrorKind::Clock`] if the clock cannot be read or is set before 1970.
    pub async fn adopt_batch(
        &self,
        adoptees: &[Adoptee],
        operator: &OperatorId,
    ) -> Result<Vec<Result<Adoption, GuardError>>, GuardError> {
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        let fresh = SecondFactor::default();
        let decisions: Vec<_> = adoptees
            .iter()
            .map(|Adoptee { user, uri, last_used }| {
                let context = Context::new(user, now, &self.policy, &self.keyring)?;
                fresh.adopt(&context, &self.randomness, uri, *last_used, operator)
            })
            .collect();
        let records: Vec<(&str, &[u8])> = adoptees
            .iter()
            .zip(&decisions)
            .filter_map(|(adoptee, decision)| Some((&*adoptee.user, decision.as_ref().ok()?.change().record()?)))
            .collect();
        let inserted = self.store.insert(&records).await;
        let inserted = inserted.map_err(|error| GuardError::with_source(GuardErrorKind::Store, error))?;
        let mut inserted = inserted.into_iter();
        let mut answers = Vec::with_capacity(adoptees.len());
        for (adoptee, decision) in adoptees.iter().zip(decisions) {
            let transition = match decision {
                Ok(transition) => transition,
                Err(error) => {
                    let kind = EventKind::Failed { flow: Flow::Adopt, kind: error.kind() };
                    tell(&*self.events, &Event::new(&adoptee.user, now, kind).by(operator));
                    answers.push(Err(error));
                    continue;
                }
            };
            if inserted.next() == Some(true) {
                let committed = transition.committed(Swap::Swapped);
                answers.push(committed.map(|committed| {
                    committed.events.iter().for_each(|event| tell(&*self.events, event));
                    committed.value
                }));
            } else {
                // The account has a record, but it may have no second factor.
                answers.push(self.adopt(&adoptee.user, &adoptee.uri, adoptee.last_used, operator).await);
            }
        }
        Ok(answers)
    }
}
