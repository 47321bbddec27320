//! The stateful second factor: single use, guess budgets, recovery and sealed secrets, over a store.
//!
//! [`Guard`] is what an application talks to. Below it, [`SecondFactor`] decides without I/O and without a clock, and a
//! [`Store`] keeps one record per account.
//!
//! One attempt is: load the record, decide, swap the record if nobody changed it in between, and only then read the
//! verdict. A lost swap means to decide again against the record of the winner. So a code is accepted once by all
//! processes together, and of a thousand guesses sent at once as many are answered as the budget has left.
//!
//! ```
//! use keyfob::guard::{Confirmation, Refusal, Setup};
//! use keyfob::store::MemoryStore;
//! use keyfob::{Guard, Keyring, Totp, Verdict};
//! # futures_lite::future::block_on(async {
//!
//! # let now = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1_900_000_000));
//! # let clock = now.clone();
//! let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
//! let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc");
//! # let guard = guard.with_clock(move || Some(clock.load(std::sync::atomic::Ordering::SeqCst)));
//!
//! let setup = Setup::totp("alice@example.com"); // the label that the app shows
//! let enrollment = guard.enroll("user-17", &setup).await?;
//! # let phone = enrollment.uri().to_totp().unwrap();
//! # let phone = || phone.code_at(now.load(std::sync::atomic::Ordering::SeqCst)).to_string();
//! let Confirmation::Confirmed(confirmed) = guard.confirm("user-17", &phone()).await? else { panic!() };
//! assert_eq!(confirmed.recovery_codes().unwrap().iter().len(), 10);
//!
//! # now.fetch_add(30, std::sync::atomic::Ordering::SeqCst);
//! let typed = phone();
//! assert!(matches!(guard.verify("user-17", &typed).await?, Verdict::Accepted(_)));
//! let Verdict::Refused(refused) = guard.verify("user-17", &typed).await? else { panic!() };
//! assert_eq!(refused, Refusal::Replayed);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Without a `Store`
//!
//! An application that keeps the record in a column of its own runs the same decisions itself. One function serves every
//! flow:
//!
//! ```
//! use keyfob::guard::{Change, Context, GuardError, Proof, SecondFactor, Transition};
//! use keyfob::store::Swap;
//! use keyfob::{Keyring, Policy, Verdict};
//! # use std::error::Error;
//! # #[derive(Default)]
//! # struct Database { row: Option<(u64, Vec<u8>)>, last: u64 }
//! # impl Database {
//! #     fn select(&self) -> Option<(u64, Vec<u8>)> { self.row.clone() }
//! #     fn change(&mut self, expected: Option<u64>, record: Option<&[u8]>) -> u64 {
//! #         if self.row.as_ref().map(|(version, _)| *version) != expected { return 0 }
//! #         self.last += 1;
//! #         self.row = record.map(|record| (self.last, record.to_vec()));
//! #         1
//! #     }
//! #     fn insert(&mut self, record: &[u8]) -> u64 { self.change(None, Some(record)) }
//! #     fn update(&mut self, record: &[u8], version: u64) -> u64 { self.change(Some(version), Some(record)) }
//! #     fn delete(&mut self, version: u64) -> u64 { self.change(Some(version), None) }
//! # }
//!
//! fn transact<T>(
//!     database: &mut Database, mut decide: impl FnMut(&SecondFactor) -> Result<Transition<T>, GuardError>,
//! ) -> Result<T, Box<dyn Error>> {
//!     for _ in 0..8 {
//!         let row = database.select(); // SELECT version, record FROM second_factor WHERE account = ?
//!         let version = row.as_ref().map(|(version, _)| *version);
//!         let transition = decide(&SecondFactor::read(row.as_ref().map(|(_, record)| record.as_slice()))?)?;
//!         let rows = match (transition.change(), version) {
//!             (Change::None, _) | (Change::Remove, None) => 1,
//!             (Change::Write(record), None) => database.insert(record), // INSERT ... ON CONFLICT DO NOTHING
//!             (Change::Write(record), Some(version)) => database.update(record, version), // ... AND version = ?
//!             (Change::Remove, Some(version)) => database.delete(version), // ... AND version = ?
//!         };
//!         // database.commit()?; only then:
//!         let swap = if rows == 1 { Swap::Swapped } else { Swap::Conflict };
//!         if let Ok(committed) = transition.committed(swap) {
//!             committed.events.iter().for_each(|event| println!("{event}"));
//!             return Ok(committed.value);
//!         }
//!     }
//!     Err("too many at once".into())
//! }
//!
//! fn verify(database: &mut Database, context: &Context<'_>, typed: &str) -> Result<Verdict, Box<dyn Error>> {
//!     transact(database, |factor| factor.verify(context, typed))
//! }
//!
//! fn disable(database: &mut Database, context: &Context<'_>, proof: &Proof) -> Result<(), Box<dyn Error>> {
//!     transact(database, |factor| factor.disable(context, proof))
//! }
//! # use keyfob::guard::{Confirmation, Purpose, Randomness, Setup};
//! # let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
//! # let (mut database, policy, random, t) = (Database::default(), Policy::default(), Randomness::default(), 1_900_000_000);
//! # let context = Context::new("user-17", t, &policy, &keyring)?;
//! # let enrollment = transact(&mut database, |factor| factor.enroll(&context, &random, "Example", &Setup::totp("al"), None))?;
//! # let phone = |at| enrollment.uri().to_totp().unwrap().code_at(at).to_string();
//! # let confirmation = transact(&mut database, |factor| factor.confirm(&context, &phone(t)))?;
//! # let Confirmation::Confirmed(_) = confirmation else { panic!() };
//! # let context = Context::new("user-17", t + 30, &policy, &keyring)?;
//! # let Verdict::Accepted(accepted) = verify(&mut database, &context, &phone(t + 30))? else { panic!() };
//! # let Verdict::Refused(_) = verify(&mut database, &context, &phone(t + 30))? else { panic!() };
//! # // A stale version is a conflict, before and after a removal.
//! # let (stale, record) = database.select().unwrap();
//! # assert_eq!((database.insert(&record), database.update(&record, stale - 1)), (0, 0));
//! # disable(&mut database, &context, &accepted.prove(&context, &Purpose::DISABLE));
//! # assert_eq!((database.select(), database.update(&record, stale)), (None, 0));
//! # assert_eq!(database.insert(&record), 1);
//! # assert!(database.select().unwrap().0 > stale);
//! # Ok::<(), Box<dyn Error>>(())
//! ```
//!
//! **A version is never given out twice**, not even after the row was removed: take it from a sequence or from a counter of
//! all accounts, or keep the row and count on. An account that is enrolled anew must not meet the version of its former
//! life, or a decision made then would be stored now. And **where there was no row, an insert that finds one has to change
//! nothing**: one that replaces it (an upsert) overwrites what somebody else stored meanwhile.
//!
//! **The change must be committed in a transaction of its own, before the verdict is used, whatever the verdict is.** A
//! refusal is a change, too: it counts a failure. Inside a transaction that a failed login rolls back, every guess is
//! free; that has been a vulnerability of its own in more than one product.

//! # Callers that give up
//!
//! A web server drops the future of a request when the client hangs up, and so does a timeout. A dropped request may have
//! been stored all the same: a guess was counted, a code is used, recovery codes were replaced by ones that nobody has seen.
//! The guard reports it as [`EventKind::Dropped`]. Whoever wants each request to come to its end runs it in a task of its
//! own, which lives on when the handler is dropped:
//!
//! ```
//! use std::sync::Arc;
//! use keyfob::guard::GuardError;
//! use keyfob::store::MemoryStore;
//! use keyfob::{Guard, Verdict};
//!
//! async fn login(
//!     guard: Arc<Guard<MemoryStore>>,
//!     user: String,
//!     typed: String,
//! ) -> Result<Verdict, GuardError> {
//!     let request = tokio::spawn(async move { guard.verify(&user, &typed).await });
//!     request.await.expect("the guard does not panic")
//! }
//! ```
//!
//! A listener that panics takes no answer with it: the panic ends at the guard, and the other events are sent.

mod answer;
mod context;
mod decide;
mod error;
mod id;
mod keyring;
mod policy;
mod proof;
mod randomness;
mod record;
mod report;
mod setup;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use core::time::Duration;

pub use answer::enrollment::{Confirmation, Confirmed, Diagnosis, Enrollment};
use answer::event::events;
pub use answer::event::{Event, EventKind, Flow};
pub use answer::status::{AuthenticatorStatus, Status};
pub use answer::transition::{Change, Committed, Transition};
pub use answer::verdict::{Accepted, Method, Refusal, Resynchronization, Verdict};
pub use context::Context;
pub use error::{GuardError, GuardErrorKind};
pub use id::{AuthenticatorId, KeyId};
pub use keyring::Keyring;
pub use policy::{Policy, Waits};
pub use proof::{Proof, Purpose};
pub use randomness::Randomness;
pub use record::SecondFactor;
pub use record::recovery::RecoveryCodes;
pub use setup::Setup;

use crate::guard::report::{Clock, Listener, Report, tell};
use crate::store::{Store, Swap};

/// The second factor of an application: a store, the keys, and the limits.
///
/// Every method names the account by a text of the application's choice that never changes, such as the number of the
/// user, and may be called from any number of processes at once.
///
/// The factors of one user, from the first app to none; `shown` is the code that an app shows, as its user types it:
///
/// ```
/// use keyfob::guard::{Confirmation, Purpose, Setup};
/// use keyfob::store::MemoryStore;
/// use keyfob::{Guard, Keyring, Policy, Verdict};
/// use std::time::Duration;
/// # use std::sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}};
/// # let clock = Arc::new(AtomicU64::new(1_900_000_000));
/// # let time = clock.clone();
/// # let shown = |enrollment: &keyfob::guard::Enrollment| {
/// #     enrollment.uri().to_totp().unwrap().code_at(clock.fetch_add(60, SeqCst) + 60).to_string()
/// # };
/// # futures_lite::future::block_on(async {
/// let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
/// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc")
///     .with_policy(Policy::default().with_proof_lifetime(Duration::from_secs(120))?)
///     .with_events(|event| println!("{event}"));
/// # let guard = guard.with_clock(move || Some(time.load(SeqCst)));
///
/// let first = guard.enroll("user-17", &Setup::totp("alice@example.com")).await?;
/// let Confirmation::Confirmed(_) = guard.confirm("user-17", &shown(&first)).await? else { panic!() };
///
/// // A second app. Each change takes a proof, made from a verification of its own.
/// let Verdict::Accepted(accepted) = guard.verify("user-17", &shown(&first)).await? else { panic!() };
/// let proof = guard.prove(&accepted, &Purpose::ADD);
/// let setup = Setup::totp("alice@example.com").with_name("new phone")?;
/// let second = guard.enroll_another("user-17", &setup, &proof).await?;
/// let Confirmation::Confirmed(_) = guard.confirm("user-17", &shown(&second)).await? else { panic!() };
///
/// // The security page.
/// let Verdict::Accepted(accepted) = guard.verify("user-17", &shown(&first)).await? else { panic!() };
/// let proof = guard.prove(&accepted, &Purpose::RENAME);
/// guard.rename("user-17", first.authenticator(), "old phone", &proof).await?;
/// let status = guard.status("user-17").await?;
/// let names: Vec<_> = status.authenticators().iter().map(|one| one.name()).collect();
/// assert_eq!((names, status.recovery_codes_left()), (vec!["old phone", "new phone"], 10));
///
/// // The old phone goes, and in the end the second factor.
/// let Verdict::Accepted(accepted) = guard.verify("user-17", &shown(&second)).await? else { panic!() };
/// guard.revoke("user-17", first.authenticator(), &guard.prove(&accepted, &Purpose::REVOKE)).await?;
/// let Verdict::Accepted(accepted) = guard.verify("user-17", &shown(&second)).await? else { panic!() };
/// guard.disable("user-17", &guard.prove(&accepted, &Purpose::DISABLE)).await?;
/// assert!(!guard.status("user-17").await?.is_active());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
///
/// All methods: [`GuardErrorKind::User`] for a name that is not one, [`GuardErrorKind::Clock`] for a clock before 1970,
/// [`GuardErrorKind::Store`] if the store failed, [`GuardErrorKind::Contended`] if eight swaps in a row were lost,
/// [`GuardErrorKind::RecordInvalid`] and [`GuardErrorKind::RecordNewer`] for a record that cannot be used. An error
/// lets nobody in. Of an attempt (`verify`, `confirm`, `resync`) it is an event as well, [`EventKind::Failed`].
pub struct Guard<S> {
    store: S,
    keyring: Keyring,
    issuer: String,
    policy: Policy,
    clock: Box<Clock>,
    randomness: Randomness,
    events: Box<Listener>,
    sleep: Option<Box<Sleep>>,
}

type Sleep = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl<S: Store> Guard<S> {
    /// With the default policy, the system's clock and randomness, and nobody listening to events. `issuer` is the name
    /// of the service, as authenticator apps will show it.
    #[must_use]
    pub fn new(store: S, keyring: Keyring, issuer: &str) -> Self {
        Self {
            store,
            keyring,
            issuer: issuer.into(),
            policy: Policy::default(),
            clock: Box::new(crate::totp::now),
            randomness: Randomness::default(),
            events: Box::new(|_| {}),
            sleep: None,
        }
    }

    /// Other limits.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Another clock: Unix seconds, or `None` if it cannot be read.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Another source of randomness, as in the example of [`Randomness`].
    #[must_use]
    pub fn with_randomness(mut self, randomness: Randomness) -> Self {
        self.randomness = randomness;
        self
    }

    /// Somebody who listens: called with each event, once what it tells of is stored. It must not block for long.
    /// [`Event`] has an example.
    #[must_use]
    pub fn with_events(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events = Box::new(listener);
        self
    }

    /// A way to wait, such as `tokio::time::sleep`: where several requests change one account at the same moment, those that
    /// came too late try again after a random moment, a few milliseconds long, and not all at once. The guard has no timer of
    /// its own, and without one they try again immediately, up to eight times.
    ///
    /// ```
    /// # use keyfob::store::MemoryStore;
    /// # use keyfob::{Guard, Keyring};
    /// # let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
    /// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc");
    /// let guard = guard.with_sleep(tokio::time::sleep);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_sleep<F>(mut self, sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.sleep = Some(Box::new(move |duration| Box::pin(sleep(duration))));
        self
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Begins the enrollment of the account's first authenticator: [`SecondFactor::enroll`].
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRequired`] if the account has a second factor, [`GuardErrorKind::Invalid`] for an issuer or a
    /// label that no URI can carry, [`GuardErrorKind::Randomness`], and as for every method.
    pub async fn enroll(&self, user: &str, setup: &Setup) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, None)
        })
        .await
    }

    /// Begins the enrollment of a further authenticator, by a proof for [`Purpose::ADD`]: [`SecondFactor::enroll`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn enroll_another(&self, user: &str, setup: &Setup, proof: &Proof) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, Some(proof))
        })
        .await
    }

    /// Activates the authenticator that is waiting: [`SecondFactor::confirm`]. The first of an account brings recovery codes.
    ///
    /// If the recovery codes cannot be stored, the authenticator is active without them, and an event says why:
    /// [`Confirmed::recovery_codes`] is `None`, and [`Status::recovery_codes_left`] is 0. Have the user make some then, by
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes).
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn confirm(&self, user: &str, typed: &str) -> Result<Confirmation, GuardError> {
        let mut confirmation =
            self.transact(Flow::Confirm, user, |factor, context| factor.confirm(context, typed)).await?;
        if let Confirmation::Confirmed(confirmed) = &mut confirmation {
            let first = |factor: &SecondFactor, context: &Context<'_>| {
                factor.first_recovery_codes(context, &self.randomness, confirmed)
            };
            // What went wrong is an event. The authenticator is active all the same, and its owner has to hear of that.
            let codes = self.transact(Flow::RecoveryCodes, user, first).await;
            confirmed.recovery_codes = codes.ok().flatten();
        }
        Ok(confirmation)
    }

    /// Decides on what the user typed, a code or a recovery code: [`SecondFactor::verify`].
    ///
    /// What is sealed under an old key is sealed again with it, so that nothing follows on the verdict that could delay it.
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn verify(&self, user: &str, typed: &str) -> Result<Verdict, GuardError> {
        self.transact(Flow::Verify, user, |factor, context| {
            if !factor.needs_resealing(context.keyring) {
                return factor.verify(context, typed);
            }
            let (factor, kind) = match factor.resealed(context, &self.randomness) {
                Ok(resealed) => (&resealed.unwrap_or_else(|| factor.clone()), EventKind::Resealed),
                Err(error) => (factor, EventKind::ResealFailed { kind: error.kind() }),
            };
            let transition = factor.verify(context, typed)?;
            let written = matches!(transition.change(), Change::Write(_));
            let events = events(context, [kind]);
            let failed = matches!(events.first().map(Event::kind), Some(EventKind::ResealFailed { .. }));
            Ok(transition.with_events(move |verdict| {
                let accepted = matches!(verdict, Verdict::Accepted(_));
                if written && (accepted || !failed) { events } else { Vec::new() }
            }))
        })
        .await
    }

    /// Shows, for one purpose and some minutes, that a verification just succeeded: [`Accepted::prove`], with an example
    /// at [`Proof`].
    #[must_use]
    pub fn prove(&self, accepted: &Accepted, purpose: &Purpose) -> Proof {
        let (user, now) = (accepted.user(), accepted.at);
        accepted.prove(&Context { user, now, policy: &self.policy, keyring: &self.keyring }, purpose)
    }

    /// Whether a proof is good now, for a purpose of the application: [`SecondFactor::check`], with an example at
    /// [`Proof`]. It stays good.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if it is not, and as for every method.
    pub async fn check(&self, user: &str, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        self.transact(Flow::Check, user, |factor, context| {
            factor.check(context, proof, purpose)?;
            Ok(Transition::of((), Vec::new()))
        })
        .await
    }

    /// How the second factor of the account stands.
    ///
    /// # Errors
    ///
    /// As for every method.
    pub async fn status(&self, user: &str) -> Result<Status, GuardError> {
        self.transact(None, user, |factor, context| Ok(Transition::of(factor.status(context), Vec::new()))).await
    }

    /// Finds an authenticator that ran off, by two codes in a row: [`SecondFactor::resync`], with an example at
    /// [`Policy::with_resync_within`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn resync(&self, user: &str, first: &str, second: &str) -> Result<Resynchronization, GuardError> {
        self.transact(Flow::Resync, user, |factor, context| factor.resync(context, first, second)).await
    }

    /// Gives an authenticator another name, by a proof as for [`revoke`](Self::revoke): [`SecondFactor::rename`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn rename(
        &self,
        user: &str,
        authenticator: &AuthenticatorId,
        name: &str,
        proof: &Proof,
    ) -> Result<(), GuardError> {
        self.transact(Flow::Rename, user, |factor, context| factor.rename(context, authenticator, name, proof)).await
    }

    /// Removes an authenticator: [`SecondFactor::revoke`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn revoke(&self, user: &str, authenticator: &AuthenticatorId, proof: &Proof) -> Result<(), GuardError> {
        self.transact(Flow::Revoke, user, |factor, context| factor.revoke(context, authenticator, proof)).await
    }

    /// Replaces the recovery codes, by a proof as for [`revoke`](Self::revoke):
    /// [`SecondFactor::regenerate_recovery_codes`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn regenerate_recovery_codes(&self, user: &str, proof: &Proof) -> Result<RecoveryCodes, GuardError> {
        self.transact(Flow::RegenerateRecoveryCodes, user, |factor, context| {
            factor.regenerate_recovery_codes(context, &self.randomness, proof)
        })
        .await
    }

    /// Switches the second factor off: [`SecondFactor::disable`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn disable(&self, user: &str, proof: &Proof) -> Result<(), GuardError> {
        self.transact(Flow::Disable, user, |factor, context| factor.disable(context, proof)).await
    }

    /// Removes the second factor without a proof: [`SecondFactor::operator_remove`]. The example of the operator's
    /// methods is at [`SecondFactor::operator_unlock`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_remove(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorRemove, user, SecondFactor::operator_remove).await
    }

    /// Ends the waits, and an exhausted guess budget: [`SecondFactor::operator_unlock`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_unlock(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorUnlock, user, SecondFactor::operator_unlock).await
    }

    /// Refuses all codes up to now, after a backup was restored: [`SecondFactor::operator_invalidate_codes`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_invalidate_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_codes).await
    }

    /// The same for accounts whose clocks are right, so that nobody is locked out: [`SecondFactor::operator_invalidate_recent_codes`],
    /// which says what that gives up.
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_invalidate_recent_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_recent_codes).await
    }

    /// Seals everything of the account under the primary key: [`SecondFactor::reseal`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn reseal(&self, user: &str) -> Result<bool, GuardError> {
        self.transact(Flow::Reseal, user, |factor, context| factor.reseal(context, &self.randomness)).await
    }

    /// Load, decide, swap; again if somebody else was faster, against what they left. A flow that is given is reported
    /// whatever comes of it.
    async fn transact<T>(
        &self,
        flow: impl Into<Option<Flow>>,
        user: &str,
        decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let mut report = Report::new(&*self.clock, &*self.events, user, flow.into());
        let outcome = self.rounds(&mut report, decide).await;
        report.ended(outcome.as_ref().err().map(GuardError::kind));
        outcome
    }

    async fn rounds<T>(
        &self,
        report: &mut Report<'_>,
        mut decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let user = report.user();
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        // One moment for all rounds: waiting for a swap is no way into a later window.
        let context = Context::new(user, now, &self.policy, &self.keyring)?;
        let failed = |error: S::Error| GuardError::with_source(GuardErrorKind::Store, error);
        for round in 0..ATTEMPTS {
            if round > 0 {
                self.pause(round).await?;
            }
            let loaded = self.store.load(user).await.map_err(failed)?;
            let (version, record) = loaded.unzip();
            let factor = SecondFactor::read(record.as_deref())?;
            let transition = decide(&factor, &context)?;
            let exhausts = report.flow().is_some_and(|flow| factor.exhausted_by(flow, &context));
            report.begins(!matches!(transition.change(), Change::None), exhausts);
            let swap = match transition.change() {
                Change::None => Swap::Swapped,
                change => self.store.swap(user, version, change.record()).await.map_err(failed)?,
            };
            report.begins(false, false);
            if let Ok(Committed { value, events }) = transition.committed(swap) {
                events.iter().for_each(|event| tell(&*self.events, event));
                return Ok(value);
            }
        }
        Err(GuardErrorKind::Contended.into())
    }

    /// A random moment, up to a millisecond that doubles with each round, if there is somebody to wait with.
    async fn pause(&self, round: u32) -> Result<(), GuardError> {
        if let Some(sleep) = &self.sleep {
            let longest = 1u64 << (10 + round.min(ATTEMPTS));
            let mut random = [0; 8];
            self.randomness.fill(&mut random)?;
            sleep(Duration::from_micros(u64::from_le_bytes(random) & (longest - 1))).await;
        }
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("store", &self.store)
            .field("keyring", &self.keyring)
            .field("issuer", &self.issuer)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// How many swaps may be lost. After the free failures every refusal is free of writes, so an attacker cannot keep this
/// up.
const ATTEMPTS: u32 = 8;
