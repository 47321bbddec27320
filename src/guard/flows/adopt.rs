//! Adoption: migrates users and their authenticators from another system.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::answer::adoption::{Adoptee, Adoption};
use crate::guard::answer::event::Flow;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::OperatorId;
use crate::guard::record::SecondFactor;
use crate::guard::report::{Report, tell};
#[cfg(doc)]
use crate::guard::{EventKind, Status};
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
    async fn adopt_all(&self, adoptees: &[&Adoptee], operator: &OperatorId) -> Adopted {
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
        // All authenticators of a user are adopted together, in the order in which they are listed.
        let mut users: BTreeMap<&str, Group<'_>> = BTreeMap::new();
        for (row, adoptee) in adoptees.iter().enumerate() {
            let group = users.entry(&adoptee.user).or_insert_with(|| {
                let mut report = Report::new(&*self.clock, &*self.events, &adoptee.user, Some(Flow::Adopt));
                report.by(Some(operator));
                Group { rows: Vec::new(), adoptees: Vec::new(), report }
            });
            group.rows.push(row);
            group.adoptees.push(adoptee);
        }
        let mut groups: Vec<Group<'_>> = users.into_values().collect();
        let inserted = match self.insert(&mut groups, operator).await {
            Ok(inserted) => inserted,
            Err(error) => {
                groups.iter_mut().for_each(|group| group.report.ended(Some(error.kind())));
                return Err(error);
            }
        };
        let mut answers: Vec<_> = adoptees.iter().map(|_| Ok(Adoption::Kept)).collect();
        for (mut group, inserted) in groups.into_iter().zip(inserted) {
            let adopted = match inserted {
                Some(adopted) => adopted,
                // The account has a record, but it may have no second factor. Or none of the rows can be adopted.
                None => {
                    group.report.ended(None);
                    self.adopt_all(&group.adoptees, operator).await
                }
            };
            let mut adopted = match adopted {
                Ok(adopted) => adopted.into_iter(),
                Err(error) => {
                    let kind = error.kind();
                    let others = group.rows.iter().skip(1).map(|_| Err(kind.into()));
                    [Err(error)].into_iter().chain(others).collect::<Vec<_>>().into_iter()
                }
            };
            for row in group.rows {
                if let (Some(slot), Some(answer)) = (answers.get_mut(row), adopted.next()) {
                    *slot = answer;
                }
            }
        }
        Ok(answers)
    }

    /// Adds a record for each user who has none, in one call to the store. Returns `None` for a user whose record was
    /// not added.
    async fn insert(
        &self,
        groups: &mut [Group<'_>],
        operator: &OperatorId,
    ) -> Result<Vec<Option<Adopted>>, GuardError> {
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        let keyring = self.keyring();
        let fresh = SecondFactor::default();
        let decide = |group: &Group<'_>| {
            let context = Context::new(group.report.user(), now, &self.policy, &keyring)?;
            fresh.adopt(&context, &self.randomness, &group.adoptees, operator)
        };
        let decisions: Vec<_> = groups.iter().map(decide).collect();
        let mut records: Vec<(&str, &[u8])> = Vec::with_capacity(groups.len());
        for (group, decision) in groups.iter_mut().zip(&decisions) {
            if let Some(record) = decision.as_ref().ok().and_then(|transition| transition.change().record()) {
                group.report.begins(true, false);
                records.push((group.report.user(), record));
            }
        }
        let inserted = match records.is_empty() {
            true => Ok(Vec::new()),
            false => self.store.insert(&records).await,
        };
        let inserted = inserted.map_err(|error| GuardError::with_source(GuardErrorKind::Store, error))?;
        let mut inserted = inserted.into_iter();
        let mut answers = Vec::with_capacity(groups.len());
        for (group, decision) in groups.iter_mut().zip(decisions) {
            group.report.begins(false, false);
            answers.push(match decision {
                Err(error) => {
                    group.report.ended(Some(error.kind()));
                    Some(Err(error))
                }
                Ok(transition) if transition.change().record().is_some() && inserted.next() == Some(true) => {
                    group.report.ended(None);
                    Some(transition.committed(Swap::Swapped).map(|committed| {
                        committed.events.iter().for_each(|event| tell(&*self.events, event));
                        committed.value
                    }))
                }
                Ok(_) => None,
            });
        }
        Ok(answers)
    }
}

/// The rows of one user in a batch.
struct Group<'a> {
    /// The positions of the rows in the batch.
    rows: Vec<usize>,
    adoptees: Vec<&'a Adoptee>,
    report: Report<'a>,
}

/// The answers for the rows of one user.
type Adopted = Result<Vec<Result<Adoption, GuardError>>, GuardError>;
