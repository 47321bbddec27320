//! Adoption: migrates users and their authenticators from another system.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::answer::adoption::{Adoptee, Adoption};
use crate::guard::answer::event::{Event, EventKind, Flow};
#[cfg(doc)]
use crate::guard::answer::status::Status;
use crate::guard::answer::transition::Change;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::OperatorId;
use crate::guard::record::SecondFactor;
use crate::guard::report::tell;
use crate::store::{Accounts, Store, Swap};

impl<S: Store> Guard<S> {
    /// Adopts a user's authenticator from another system. It is active at once: the user does not have to do
    /// anything, and logs in with the same app as before. [`adopt_batch`](Self::adopt_batch) has an example.
    ///
    /// [`Adoptee::last_used`] is the last TOTP step or HOTP counter whose code the other system accepted. Codes up to
    /// it are refused. A step is the Unix time divided by the period. Without `last_used`, the codes in the current
    /// window count as used, so the user has to wait for at most a minute. For HOTP, the counter in the URI is the next
    /// one to accept.
    ///
    /// An account that has a second factor, or whose second factor was removed with keyfob, is left as it is, so the
    /// call can be repeated. A pending enrollment is canceled. No recovery codes are made, because nobody would see
    /// them: [`Status::has_recovery_codes`] is `false`, and the user can get them at the next visit with
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes). If a user has lost the app and has only a backup
    /// code of the other system, use [`operator_vouch`](Self::operator_vouch).
    ///
    /// **Remove the old secret in the same step** in which you switch the user over to keyfob. Suppose the old column
    /// still has the secret, and your code still looks there for users without a second factor in keyfob. Then a second
    /// factor comes back after its user has disabled it.
    ///
    /// Events: [`EventKind::Adopted`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`] for a Steam URI, if `last_used` is too far in the future to be a step, if the name
    ///   is longer than 256 bytes or contains control characters, and if the policy is [strict](crate::Policy::strict)
    ///   and refuses the secret or the period.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn adopt(&self, adoptee: &Adoptee, operator: &OperatorId) -> Result<Adoption, GuardError> {
        let answers = self.adopt_all(&[adoptee], operator).await?;
        answers.into_iter().next().unwrap_or(Ok(Adoption::Kept))
    }

    /// Adopts all authenticators of one user.
    async fn adopt_all(
        &self,
        adoptees: &[&Adoptee],
        operator: &OperatorId,
    ) -> Result<Vec<Result<Adoption, GuardError>>, GuardError> {
        let Some(first) = adoptees.first() else { return Ok(Vec::new()) };
        self.transact_by(Some(operator), Flow::Adopt, &first.user, |factor, context| {
            factor.adopt(context, &self.randomness, adoptees, operator)
        })
        .await
    }
}

impl<S: Accounts> Guard<S> {
    /// Adopts many users, and adds their records in one call to the store. In all other respects, this works like
    /// [`adopt`](Self::adopt).
    ///
    /// Returns an answer for each adoptee, in the same order. An authenticator that cannot be adopted does not affect
    /// the others: its answer is an error that says why. If a user is listed several times, the user gets all of these
    /// authenticators, up to eight. They must be in the same call: a later call finds that the user has a second
    /// factor, and answers [`Adoption::Kept`]. So read pages of users, and do not split a user's rows between two
    /// pages. Pass up to about a thousand users at a time. If the program stops in the middle, run it again: users who
    /// have already been adopted are kept.
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
    ///                     name: "Moved from the old system".into(),
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
    /// An answer can be one of the errors of [`adopt`](Self::adopt), [`GuardErrorKind::SecretInUse`] if the same user
    /// is listed twice with the same secret, and [`GuardErrorKind::TooManyAuthenticators`] for a ninth authenticator.
    /// The call itself fails with:
    ///
    /// * [`GuardErrorKind::Store`] if the store failed. Some users may have been adopted; run it again.
    /// * [`GuardErrorKind::Clock`] if the clock cannot be read or is set before 1970.
    pub async fn adopt_batch(
        &self,
        adoptees: &[Adoptee],
        operator: &OperatorId,
    ) -> Result<Vec<Result<Adoption, GuardError>>, GuardError> {
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        let keyring = self.keyring();
        // All authenticators of a user are adopted together, in the order in which they are listed.
        let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, adoptee) in adoptees.iter().enumerate() {
            users.entry(&adoptee.user).or_default().push(index);
        }
        let fresh = SecondFactor::default();
        let mut decisions = Vec::with_capacity(users.len());
        for (user, rows) in users {
            let group: Vec<&Adoptee> = rows.iter().filter_map(|row| adoptees.get(*row)).collect();
            let context = Context::new(user, now, &self.policy, &keyring);
            let decision = context.and_then(|context| fresh.adopt(&context, &self.randomness, &group, operator));
            decisions.push((user, rows, group, decision));
        }
        let records: Vec<(&str, &[u8])> = decisions
            .iter()
            .filter_map(|(user, _, _, decision)| Some((*user, decision.as_ref().ok()?.change().record()?)))
            .collect();
        let inserted = self.store.insert(&records).await;
        let inserted = inserted.map_err(|error| GuardError::with_source(GuardErrorKind::Store, error))?;
        let mut inserted = inserted.into_iter();
        let mut answers: Vec<_> = adoptees.iter().map(|_| Ok(Adoption::Kept)).collect();
        for (user, rows, group, decision) in decisions {
            let adopted = match decision {
                Ok(transition) if matches!(transition.change(), Change::None) || inserted.next() == Some(true) => {
                    transition.committed(Swap::Swapped).map(|committed| {
                        committed.events.iter().for_each(|event| tell(&*self.events, event));
                        committed.value
                    })
                }
                // The account has a record, but it may have no second factor.
                Ok(_) => self.adopt_all(&group, operator).await,
                Err(error) => {
                    let kind = EventKind::Failed { flow: Flow::Adopt, kind: error.kind() };
                    tell(&*self.events, &Event::new(user, now, kind).by(operator));
                    Err(error)
                }
            };
            match adopted {
                Ok(group) => {
                    for (row, answer) in rows.into_iter().zip(group) {
                        if let Some(slot) = answers.get_mut(row) {
                            *slot = answer;
                        }
                    }
                }
                Err(error) => {
                    let kind = error.kind();
                    let mut first = Some(error);
                    for row in rows {
                        let error = first.take().unwrap_or_else(|| kind.into());
                        if let Some(slot) = answers.get_mut(row) {
                            *slot = Err(error);
                        }
                    }
                }
            }
        }
        Ok(answers)
    }
}
