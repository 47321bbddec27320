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
//! use keyfob::guard::{Confirmation, Refusal};
//! use keyfob::store::MemoryStore;
//! use keyfob::{Guard, Keyring, Totp, Verdict};
//! # futures_lite::future::block_on(async {
//!
//! # let now = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1_900_000_000));
//! # let clock = now.clone();
//! let keyring = Keyring::parse(&Keyring::generate_entry("2026", &mut rand::rngs::SysRng)?)?;
//! let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc");
//! # let guard = guard.with_clock(move || Some(clock.load(std::sync::atomic::Ordering::SeqCst)));
//!
//! let enrolment = guard.enroll("user-17", "alice@example.com").await?;
//! # let phone = enrolment.uri().to_totp().unwrap();
//! # let phone = || phone.code_at(now.load(std::sync::atomic::Ordering::SeqCst)).to_string();
//! let Confirmation::Confirmed(confirmed) = guard.confirm("user-17", &phone()).await? else { panic!() };
//! assert_eq!(confirmed.recovery_codes().unwrap().iter().len(), 10);
//!
//! # now.fetch_add(30, std::sync::atomic::Ordering::SeqCst);
//! let typed = phone();
//! assert!(matches!(guard.verify("user-17", &typed).await?, Verdict::Accepted(_)));
//! let Verdict::Refused(refused) = guard.verify("user-17", &typed).await? else { panic!() };
//! assert_eq!(refused.reason(), Refusal::Replayed);
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
//! # let keyring = Keyring::parse(&Keyring::generate_entry("2026", &mut rand::rngs::SysRng)?)?;
//! # let (mut database, policy, random, t) = (Database::default(), Policy::default(), Randomness::default(), 1_900_000_000);
//! # let context = Context::new("user-17", t, &policy, &keyring)?;
//! # let enrolment = transact(&mut database, |factor| factor.enroll(&context, &random, &Setup::totp(), ("a", "b"), None))?;
//! # let phone = |at| enrolment.uri().to_totp().unwrap().code_at(at).to_string();
//! # let confirmation = transact(&mut database, |factor| factor.confirm(&context, &random, &phone(t)))?;
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

mod budget;
mod change;
mod enrolment;
mod error;
mod event;
mod policy;
mod proof;
mod randomness;
mod record;
mod recovery;
mod seal;
mod transition;
mod verify;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use change::{AuthenticatorStatus, Status};
pub use enrolment::{Confirmation, Confirmed, Diagnosis, Enrolment, Setup};
pub use error::{GuardError, GuardErrorKind};
pub use event::{Event, EventKind};
pub use policy::Policy;
pub use proof::{Proof, Purpose};
pub use randomness::Randomness;
pub use record::{AuthenticatorId, SecondFactor};
pub use recovery::RecoveryCodes;
pub use seal::{KeyId, Keyring};
pub use transition::{Change, Committed, Transition};
pub use verify::{Accepted, Method, Refusal, Refused, Resynchronisation, Verdict};

use crate::store::{Store, Swap};

/// The second factor of an application: a store, the keys, and the limits.
///
/// Every method names the account by a text of the application's choice that never changes, such as the number of the
/// user, and may be called from any number of processes at once.
///
/// The factors of one account, from the first app to none; `shown` is the code that an app shows, as its user types it:
///
/// ```
/// use keyfob::guard::{Confirmation, Purpose, Setup};
/// use keyfob::store::MemoryStore;
/// use keyfob::{Guard, Keyring, Policy, Verdict};
/// # use std::sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}};
/// # let clock = Arc::new(AtomicU64::new(1_900_000_000));
/// # let time = clock.clone();
/// # let shown = |enrolment: &keyfob::guard::Enrolment| {
/// #     enrolment.uri().to_totp().unwrap().code_at(clock.fetch_add(60, SeqCst) + 60).to_string()
/// # };
/// # futures_lite::future::block_on(async {
/// let keyring = Keyring::parse(&Keyring::generate_entry("2026", &mut rand::rngs::SysRng)?)?;
/// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc")
///     .with_policy(Policy::default().with_proof_lifetime(120)?)
///     .with_events(|event| println!("{event}"));
/// # let guard = guard.with_clock(move || Some(time.load(SeqCst)));
///
/// let first = guard.enroll("user-17", "alice@example.com").await?;
/// let Confirmation::Confirmed(_) = guard.confirm("user-17", &shown(&first)).await? else { panic!() };
///
/// // A second app. Each change takes a proof, made from a verification of its own.
/// let Verdict::Accepted(accepted) = guard.verify("user-17", &shown(&first)).await? else { panic!() };
/// let proof = guard.prove(&accepted, &Purpose::ADD);
/// let setup = Setup::totp().with_name("new phone")?;
/// let second = guard.enroll_with("user-17", "alice@example.com", &setup, Some(&proof)).await?;
/// let Confirmation::Confirmed(_) = guard.confirm("user-17", &shown(&second)).await? else { panic!() };
///
/// // The security page.
/// guard.rename("user-17", first.authenticator(), "old phone").await?;
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
/// All methods: [`GuardErrorKind::Account`] for a name that is not one, [`GuardErrorKind::Clock`] for a clock before 1970,
/// [`GuardErrorKind::Store`] if the store failed, [`GuardErrorKind::Contended`] if eight swaps in a row were lost,
/// [`GuardErrorKind::RecordInvalid`] and [`GuardErrorKind::RecordNewer`] for a record that cannot be used. An error
/// lets nobody in. Of an attempt (`verify`, `confirm`, `resync`) it is an event as well, [`EventKind::Failed`].
pub struct Guard<S> {
    store: S,
    keyring: Keyring,
    issuer: String,
    policy: Policy,
    clock: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    randomness: Randomness,
    events: Box<dyn Fn(&Event) + Send + Sync>,
}

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

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Begins the enrolment of the account's first authenticator, an app: [`SecondFactor::enroll`]. `account_name` is
    /// what the app shows beside the issuer, often the mail address.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRequired`] if the account has a second factor, [`GuardErrorKind::Invalid`] for a name that
    /// no URI can carry, and as for every method.
    pub async fn enroll(&self, account: &str, account_name: &str) -> Result<Enrolment, GuardError> {
        self.enroll_with(account, account_name, &Setup::totp(), None).await
    }

    /// Begins the enrolment of any authenticator: [`SecondFactor::enroll`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn enroll_with(
        &self,
        account: &str,
        account_name: &str,
        setup: &Setup,
        proof: Option<&Proof>,
    ) -> Result<Enrolment, GuardError> {
        self.transact(account, |factor, context| {
            factor.enroll(context, &self.randomness, setup, (&self.issuer, account_name), proof)
        })
        .await
    }

    /// Activates the authenticator that is waiting: [`SecondFactor::confirm`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn confirm(&self, account: &str, typed: &str) -> Result<Confirmation, GuardError> {
        self.attempt(account, |factor, context| factor.confirm(context, &self.randomness, typed)).await
    }

    /// Decides on what the user typed, a code or a recovery code: [`SecondFactor::verify`].
    ///
    /// After an acceptance, what is sealed under an old key is sealed again.
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn verify(&self, account: &str, typed: &str) -> Result<Verdict, GuardError> {
        let mut old_key = false;
        let verdict = self
            .attempt(account, |factor, context| {
                old_key = factor.needs_resealing(context.keyring);
                factor.verify(context, typed)
            })
            .await?;
        if old_key
            && matches!(verdict, Verdict::Accepted(_))
            // The user is in, and the next acceptance tries again.
            && let Err(error) = self.reseal(account).await
        {
            self.tell(account, EventKind::ResealFailed { kind: error.kind() });
        }
        Ok(verdict)
    }

    /// Shows, for one purpose and some minutes, that a verification just succeeded: [`Accepted::prove`], with an example
    /// at [`Proof`].
    #[must_use]
    pub fn prove(&self, accepted: &Accepted, purpose: &Purpose) -> Proof {
        let (account, now) = (accepted.account(), accepted.at);
        accepted.prove(&Context { account, now, policy: &self.policy, keyring: &self.keyring }, purpose)
    }

    /// Whether a proof is good now, for a purpose of the application: [`SecondFactor::check`], with an example at
    /// [`Proof`]. It stays good.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if it is not, and as for every method.
    pub async fn check(&self, account: &str, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        self.transact(account, |factor, context| {
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
    pub async fn status(&self, account: &str) -> Result<Status, GuardError> {
        self.transact(account, |factor, context| Ok(Transition::of(factor.status(context), Vec::new()))).await
    }

    /// Finds an authenticator that ran off, by two codes in a row: [`SecondFactor::resync`], with an example at
    /// [`Policy::with_resync_within`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn resync(&self, account: &str, first: &str, second: &str) -> Result<Resynchronisation, GuardError> {
        self.attempt(account, |factor, context| factor.resync(context, first, second)).await
    }

    /// Gives an authenticator another name: [`SecondFactor::rename`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn rename(&self, account: &str, authenticator: &AuthenticatorId, name: &str) -> Result<(), GuardError> {
        self.transact(account, |factor, context| factor.rename(context, authenticator, name)).await
    }

    /// Removes an authenticator: [`SecondFactor::revoke`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn revoke(
        &self,
        account: &str,
        authenticator: &AuthenticatorId,
        proof: &Proof,
    ) -> Result<(), GuardError> {
        self.transact(account, |factor, context| factor.revoke(context, authenticator, proof)).await
    }

    /// Replaces the recovery codes, by a proof as for [`revoke`](Self::revoke):
    /// [`SecondFactor::regenerate_recovery_codes`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn regenerate_recovery_codes(&self, account: &str, proof: &Proof) -> Result<RecoveryCodes, GuardError> {
        self.transact(account, |factor, context| factor.regenerate_recovery_codes(context, &self.randomness, proof))
            .await
    }

    /// Switches the second factor off: [`SecondFactor::disable`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn disable(&self, account: &str, proof: &Proof) -> Result<(), GuardError> {
        self.transact(account, |factor, context| factor.disable(context, proof)).await
    }

    /// Removes the second factor without a proof: [`SecondFactor::operator_remove`]. The example of the operator's
    /// methods is at [`SecondFactor::operator_lift`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_remove(&self, account: &str) -> Result<(), GuardError> {
        self.transact(account, SecondFactor::operator_remove).await
    }

    /// Ends the waits, and an exhausted guess budget: [`SecondFactor::operator_lift`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_lift(&self, account: &str) -> Result<(), GuardError> {
        self.transact(account, SecondFactor::operator_lift).await
    }

    /// Refuses all codes up to now, after a backup was restored: [`SecondFactor::operator_fence`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn operator_fence(&self, account: &str) -> Result<(), GuardError> {
        self.transact(account, SecondFactor::operator_fence).await
    }

    /// Seals everything of the account under the primary key: [`SecondFactor::reseal`].
    ///
    /// # Errors
    ///
    /// As there, and as for every method.
    pub async fn reseal(&self, account: &str) -> Result<bool, GuardError> {
        self.transact(account, |factor, context| factor.reseal(context, &self.randomness)).await
    }

    /// One that is logged whatever comes of it.
    async fn attempt<T>(
        &self,
        account: &str,
        decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let outcome = self.transact(account, decide).await;
        if let Err(error) = &outcome {
            self.tell(account, EventKind::Failed { kind: error.kind() });
        }
        outcome
    }

    fn tell(&self, account: &str, kind: EventKind) {
        (self.events)(&Event::new(account, (self.clock)().unwrap_or(0), kind));
    }

    /// Load, decide, swap; again if somebody else was faster, against what they left.
    async fn transact<T>(
        &self,
        account: &str,
        mut decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        // One moment for all rounds: waiting for a swap is no way into a later window.
        let context = Context::new(account, now, &self.policy, &self.keyring)?;
        let failed = |error: S::Error| GuardError::with_source(GuardErrorKind::Store, error);
        for _ in 0..ATTEMPTS {
            let loaded = self.store.load(account).await.map_err(failed)?;
            let (version, record) = loaded.unzip();
            let transition = decide(&SecondFactor::read(record.as_deref())?, &context)?;
            let swap = match (transition.change(), version) {
                (Change::None, _) => Swap::Swapped,
                (Change::Write(record), _) => self.store.swap(account, version, record).await.map_err(failed)?,
                (Change::Remove, Some(version)) => self.store.remove(account, version).await.map_err(failed)?,
                (Change::Remove, None) => Swap::Swapped,
            };
            if let Ok(Committed { value, events }) = transition.committed(swap) {
                events.iter().for_each(|event| (self.events)(event));
                return Ok(value);
            }
        }
        Err(GuardErrorKind::Contended.into())
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

/// What a decision of [`SecondFactor`] depends on besides the record. The example of [`Change`] makes one for each.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    account: &'a str,
    now: u64,
    policy: &'a Policy,
    keyring: &'a Keyring,
}

impl<'a> Context<'a> {
    /// For an account, at a time in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Account`] unless the name of the account has 1 to 255 bytes and no control characters.
    pub fn new(account: &'a str, now: u64, policy: &'a Policy, keyring: &'a Keyring) -> Result<Self, GuardError> {
        if !matches!(account.len(), 1..=255) || account.contains(char::is_control) {
            return Err(GuardErrorKind::Account.into());
        }
        Ok(Self { account, now, policy, keyring })
    }

    fn events(&self, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
        kinds.into_iter().map(|kind| Event::new(self.account, self.now, kind)).collect()
    }
}

/// How many swaps may be lost. After the free failures every refusal is free of writes, so an attacker cannot keep this
/// up.
const ATTEMPTS: u32 = 8;
