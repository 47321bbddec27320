//! The stateful second factor. It provides single-use codes, guess budgets, recovery codes and sealed secrets, and
//! keeps its state in a store.
//!
//! An application calls [`Guard`]. Internally, [`SecondFactor`] makes the decisions without I/O and without a clock,
//! and a [`Store`] keeps one record per user.
//!
//! ```
//! use keyfob::guard::{Confirmation, Enrollment, GuardError, Setup};
//! use keyfob::store::Store;
//! use keyfob::{Guard, Verdict};
//!
//! /// Call this on the security page. Show the QR code and the secret, and ask for the first code.
//! async fn begin(guard: &Guard<impl Store>, user: &str) -> Result<Enrollment, GuardError> {
//!     let setup = Setup::totp("alice@example.com"); // the label that the app shows
//!     guard.enroll(user, &setup).await
//! }
//!
//! /// Call this with the first code, as typed. The recovery codes can be shown only now.
//! async fn confirm(
//!     guard: &Guard<impl Store>,
//!     user: &str,
//!     typed: &str,
//! ) -> Result<&'static str, GuardError> {
//!     Ok(match guard.confirm(user, typed).await? {
//!         Confirmation::Confirmed(confirmed) => match confirmed.recovery_codes() {
//!             Some(codes) => {
//!                 codes.iter().for_each(|code| println!("{code}"));
//!                 "Print the recovery codes."
//!             }
//!             None => "The app works.", // the user has recovery codes already
//!         },
//!         Confirmation::Refused { .. } => "That code did not work. Try the next one.",
//!     })
//! }
//!
//! /// Call this at each login, after the password was checked. Use one message for every refusal.
//! async fn log_in(
//!     guard: &Guard<impl Store>,
//!     user: &str,
//!     typed: &str,
//! ) -> Result<&'static str, GuardError> {
//!     Ok(match guard.verify(user, typed).await? {
//!         Verdict::Accepted(_) => "Welcome.",
//!         Verdict::Refused(_) => "That code did not work.",
//!     })
//! }
//! # use keyfob::{Keyring, guard::Refusal, store::MemoryStore};
//! # use std::sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}};
//! # futures_lite::future::block_on(async {
//! # let now = Arc::new(AtomicU64::new(1_900_000_000));
//! # let clock = now.clone();
//! # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc")
//! #     .with_clock(move || Some(clock.load(SeqCst)));
//! # let totp = begin(&guard, "user-17").await?.uri().to_totp().unwrap();
//! # let phone = || totp.code_at(now.load(SeqCst)).to_string();
//! # assert_eq!(confirm(&guard, "user-17", &phone()).await?, "Print the recovery codes.");
//! # assert_eq!(guard.status("user-17").await?.recovery_codes_left(), 10);
//! # now.fetch_add(30, SeqCst);
//! # assert_eq!(log_in(&guard, "user-17", &phone()).await?, "Welcome.");
//! # assert_eq!(log_in(&guard, "user-17", &phone()).await?, "That code did not work.");
//! # assert!(matches!(guard.verify("user-17", &phone()).await?, Verdict::Refused(Refusal::Replayed)));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Concurrent requests
//!
//! Each attempt loads the record, decides, and swaps in the new record if no other request has changed the old one in
//! the meantime. The verdict can be read only after the swap. If another request changed the record first, the attempt
//! decides again, based on the record that the other request stored. So a code is accepted only once across all
//! servers. An attacker who sends a thousand guesses at once learns the results of only as many as the guess budget
//! still allows.
//!
//! # Dropped requests
//!
//! A web server drops a request's future when the client disconnects, and a timeout drops it too. A change that the
//! request sent to the store may still take effect. For example, a guess may have been counted, a code used, or the
//! recovery codes replaced by new ones that nobody has seen. The guard reports a dropped request as
//! [`EventKind::Dropped`]. To let each request finish, run it in a separate task, which continues even if the handler
//! is dropped:
//!
//! ```
//! use std::sync::Arc;
//! use keyfob::guard::GuardError;
//! use keyfob::store::MemoryStore;
//! use keyfob::{Guard, Verdict};
//!
//! async fn log_in(
//!     guard: Arc<Guard<MemoryStore>>,
//!     user: String,
//!     typed: String,
//! ) -> Result<Verdict, GuardError> {
//!     let request = tokio::spawn(async move { guard.verify(&user, &typed).await });
//!     request.await.expect("the guard does not panic")
//! }
//! ```
//!
//! A panic in your event listener does not drop the request: the guard catches the panic, sends the remaining events
//! and returns the answer. With `panic = "abort"`, such a panic ends the process, like any other panic.
//!
//! # Without a `Store`
//!
//! An application that keeps the record in its own table can make the same decisions itself with [`SecondFactor`]. [The
//! guide](crate::guide::database) has a program that does this for every flow, and [`Change`] has an example without a
//! database. Follow three rules:
//!
//! * **Never reuse a version for the same user, even after the row has been removed.** Take the version from a
//!   sequence, or keep the row and continue counting. If a version were reused, a user who enrolls again could get a
//!   version from before the removal, and a decision based on the removed record could still be stored.
//! * **If you loaded no row, use an insert that does nothing if a row exists by then.** An upsert would overwrite what
//!   another request has stored in the meantime.
//! * **Commit the change before you use the verdict, whatever the verdict is.** A refusal can change the record too,
//!   because it counts a failure. If the change is part of a transaction that a failed login rolls back, no guess is
//!   counted. Other products have had this vulnerability.

mod answer;
mod context;
mod decide;
mod error;
mod flows;
mod generation;
mod id;
mod keyring;
mod policy;
mod randomness;
mod record;
mod report;
mod setup;
mod token;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::sync::{PoisonError, RwLock};

pub use answer::adoption::{Adoptee, Adoption};
pub use answer::enrollment::{Confirmation, Confirmed, Diagnosis, Enrollment};
pub use answer::event::{Event, EventKind, Flow};
pub use answer::invalidation::Invalidation;
pub use answer::login::{Answer, Expectation, Login, SignIn, SignInMethod};
pub use answer::notice::{Notice, NoticeKind};
pub use answer::status::{AuthenticatorStatus, DeviceStatus, Status};
pub use answer::transition::{Change, Committed, Transition};
pub use answer::verdict::{Accepted, Method, Refusal, Resynchronization, Verdict};
pub use context::Context;
pub use error::{GuardError, GuardErrorKind};
pub use flows::sweep::Page;
pub use generation::Generation;
pub use id::{AuthenticatorId, DeviceId, KeyId, OperatorId};
pub use keyring::Keyring;
pub use policy::{Policy, Waits};
pub use randomness::Randomness;
pub use record::SecondFactor;
pub use record::recovery::RecoveryCodes;
pub use setup::Setup;
pub use token::device::DeviceToken;
pub use token::enrollment::EnrollmentHandle;
pub use token::login::{Challenge, EnrollmentTicket, Voucher};
pub use token::proof::{Proof, Purpose};

use crate::guard::report::{Clock, Listener, Report, tell};
use crate::guard::token::login::LoginToken;
use crate::store::{Store, Swap};

/// Manages the second factors of an application's users. It holds the store, the keys and the limits.
///
/// The application identifies each user by a string that never changes, such as the primary key of its user table. All
/// methods may be called for the same user at the same time, from any number of processes.
///
/// ```
/// use std::time::Duration;
/// use keyfob::guard::{AuthenticatorId, Enrollment, Generation, GuardError, Proof};
/// use keyfob::guard::{Purpose, Setup};
/// use keyfob::store::{MemoryStore, Store};
/// use keyfob::{Guard, Keyring, Policy, Verdict};
///
/// fn guard(keyring: Keyring) -> Result<Guard<MemoryStore>, keyfob::Error> {
///     let policy = Policy::default().with_proof_lifetime(Duration::from_secs(120))?;
///     Ok(Guard::new(MemoryStore::new(), keyring, "Example Inc")
///         .with_policy(policy)
///         .with_events(|event| println!("{event}")))
/// }
///
/// /// Returns the list for the security page.
/// async fn list(guard: &Guard<impl Store>, user: &str) -> Result<Vec<String>, GuardError> {
///     let status = guard.status(user).await?;
///     let names = status.authenticators().iter().map(|authenticator| authenticator.name());
///     let recovery_codes = format!("{} recovery codes", status.recovery_codes_left());
///     Ok(names.map(String::from).chain([recovery_codes]).collect())
/// }
///
/// /// Verifies a code and makes a proof for one purpose. Each change below requires a proof.
/// async fn prove(
///     guard: &Guard<impl Store>,
///     user: &str,
///     typed: &str,
///     purpose: Purpose,
/// ) -> Result<Option<Proof>, GuardError> {
///     Ok(match guard.verify(user, typed).await? {
///         Verdict::Accepted(accepted) => Some(guard.prove(&accepted, &purpose)),
///         Verdict::Refused(_) => None, // ask for another code
///     })
/// }
///
/// /// Takes a proof for `Purpose::ADD`. Then confirm the new app with `Guard::confirm`.
/// async fn add(
///     guard: &Guard<impl Store>,
///     user: &str,
///     proof: &Proof,
/// ) -> Result<Enrollment, GuardError> {
///     let setup = Setup::totp("alice@example.com").with_name("new phone")?;
///     guard.enroll_another(user, &setup, proof).await
/// }
///
/// /// Takes a proof for `Purpose::REVOKE`. Take `id` from the status. Store the returned
/// /// generation with the session.
/// async fn remove(
///     guard: &Guard<impl Store>,
///     user: &str,
///     id: &str,
///     proof: &Proof,
/// ) -> Result<Generation, GuardError> {
///     guard.revoke(user, &AuthenticatorId::new(id)?, proof).await
/// }
///
/// /// Takes a proof for `Purpose::DISABLE`.
/// async fn disable(
///     guard: &Guard<impl Store>,
///     user: &str,
///     proof: &Proof,
/// ) -> Result<Generation, GuardError> {
///     guard.disable(user, proof).await
/// }
/// # use keyfob::guard::Confirmation;
/// # use std::sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}};
/// # futures_lite::future::block_on(async {
/// # let clock = Arc::new(AtomicU64::new(1_900_000_000));
/// # let time = clock.clone();
/// # let code = |enrollment: &Enrollment| {
/// #     enrollment.uri().to_totp().unwrap().code_at(clock.fetch_add(60, SeqCst) + 60).to_string()
/// # };
/// # let guard = guard(Keyring::parse(&Keyring::generate("2026")?)?)?.with_clock(move || Some(time.load(SeqCst)));
/// # let (user, guard) = ("user-17", &guard);
/// # let old = guard.enroll(user, &Setup::totp("alice@example.com").with_name("old phone")?).await?;
/// # let Confirmation::Confirmed(_) = guard.confirm(user, &code(&old)).await? else { panic!() };
/// # assert!(prove(guard, user, "000000", Purpose::ADD).await?.is_none());
/// # let proof = prove(guard, user, &code(&old), Purpose::ADD).await?.unwrap();
/// # let new = add(guard, user, &proof).await?;
/// # let Confirmation::Confirmed(_) = guard.confirm(user, &code(&new)).await? else { panic!() };
/// # assert_eq!(list(guard, user).await?, ["old phone", "new phone", "10 recovery codes"]);
/// # let proof = prove(guard, user, &code(&new), Purpose::REVOKE).await?.unwrap();
/// # remove(guard, user, old.authenticator().as_str(), &proof).await?;
/// # assert_eq!(list(guard, user).await?, ["new phone", "10 recovery codes"]);
/// # let proof = prove(guard, user, &code(&new), Purpose::DISABLE).await?.unwrap();
/// # disable(guard, user, &proof).await?;
/// # assert!(!guard.status(user).await?.is_active());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
///
/// The guard fails closed: a request that ends in an error never completes a login. Every method can return the
/// following errors. Each method's documentation lists only the additional ones:
///
/// * [`GuardErrorKind::User`] if the user's name is empty, is longer than 255 bytes, or contains control characters.
/// * [`GuardErrorKind::Clock`] if the clock cannot be read or is set to a time before 1970.
/// * [`GuardErrorKind::Store`] if the store failed. It is then unknown whether a change took effect.
/// * [`GuardErrorKind::Contended`] if other requests changed the record first, eight times in a row.
/// * [`GuardErrorKind::RecordInvalid`] if the stored record is not valid.
/// * [`GuardErrorKind::RecordNewer`] if a newer version of keyfob wrote the record.
/// * [`GuardErrorKind::Randomness`] if the source of randomness failed. A method that generates no secret or token and
///   seals no secret uses randomness only if another request changed the record first and a [sleep
///   function](Self::with_sleep) is set.
///
/// Every error is also sent as an [`EventKind::Failed`] event, with two exceptions: the errors of
/// [`status`](Self::status) and [`is_current`](Self::is_current), and the refusal of a challenge, a ticket, a voucher
/// or a handle that keyfob did not make.
pub struct Guard<S> {
    store: S,
    /// Replaced as a whole, so that a running request keeps the keyring that it started with.
    keyring: RwLock<Arc<Keyring>>,
    issuer: String,
    policy: Policy,
    clock: Box<Clock>,
    randomness: Randomness,
    events: Box<Listener>,
    sleep: Option<Box<Sleep>>,
}

type Sleep = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl<S: Store> Guard<S> {
    /// Makes a guard with the default policy, the system's clock and random number generator, and no event listener.
    ///
    /// `issuer` is the name of your service, as authenticator apps will show it. [`enroll`](Self::enroll) fails if a
    /// URI cannot contain this name.
    #[must_use]
    pub fn new(store: S, keyring: Keyring, issuer: &str) -> Self {
        Self {
            store,
            keyring: RwLock::new(Arc::new(keyring)),
            issuer: issuer.into(),
            policy: Policy::default(),
            clock: Box::new(crate::totp::now),
            randomness: Randomness::default(),
            events: Box::new(|_| {}),
            sleep: None,
        }
    }

    /// Replaces the default limits. All servers should use the same policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Replaces the system's clock. The function returns Unix seconds, or `None` if the time cannot be read.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Replaces the operating system's random number generator. [`Randomness`] has an example.
    #[must_use]
    pub fn with_randomness(mut self, randomness: Randomness) -> Self {
        self.randomness = randomness;
        self
    }

    /// Sets the listener that the guard calls with each event. [`Event`] has an example.
    ///
    /// An event about a change is sent only after the change has been stored. The request waits for the listener, so
    /// the listener must not block for long.
    #[must_use]
    pub fn with_events(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events = Box::new(listener);
        self
    }

    /// Sets the function that waits between attempts to change a record, such as `tokio::time::sleep`.
    ///
    /// When several requests try to change one user's record at once, one of them succeeds and the others try again.
    /// Each request makes up to eight attempts. With this function, a request waits for a random time before each new
    /// attempt, to avoid another collision. The wait is at most 2 ms after the first failed attempt. The limit doubles
    /// with each further failed attempt, up to 131 ms before the eighth attempt. The guard has no timer, so without
    /// this function requests try again immediately.
    ///
    /// ```
    /// # let with_sleep = |guard: keyfob::Guard<keyfob::store::MemoryStore>| {
    /// let guard = guard.with_sleep(tokio::time::sleep);
    /// # };
    /// ```
    #[must_use]
    pub fn with_sleep<F>(mut self, sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.sleep = Some(Box::new(move |duration| Box::pin(sleep(duration))));
        self
    }

    /// Returns the store that was passed to [`new`](Self::new).
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Replaces the keyring while the guard is running, for example after you have rotated the keys. Requests that are
    /// already running keep the old keyring.
    ///
    /// The guard never calls a key service itself. Your application decrypts the keyring when it starts, with a call to
    /// its key service that may be asynchronous, and passes the result to [`new`](Self::new) and later to this method:
    ///
    /// ```
    /// use keyfob::store::{MemoryStore, Store};
    /// use keyfob::{Guard, Keyring};
    ///
    /// # struct KeyService;
    /// # impl KeyService {
    /// # async fn decrypt(&self, wrapped: &[u8]) -> Result<String, keyfob::Error> {
    /// # Ok(String::from_utf8_lossy(wrapped).into_owned()) } }
    /// async fn refresh(
    ///     guard: &Guard<impl Store>,
    ///     service: &KeyService,
    ///     wrapped: &[u8],
    /// ) -> Result<(), keyfob::Error> {
    ///     guard.replace_keyring(Keyring::parse(&service.decrypt(wrapped).await?)?);
    ///     Ok(())
    /// }
    /// # futures_lite::future::block_on(async {
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc");
    /// # refresh(&guard, &KeyService, Keyring::generate("2027")?.as_bytes()).await?;
    /// # assert!(format!("{guard:?}").contains("2027"));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn replace_keyring(&self, keyring: Keyring) {
        // A panic cannot leave the lock's content half changed, so a poisoned lock is still good.
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }

    /// Loads the record, decides, swaps in the new record and returns the answer. Starts again if another request has
    /// changed the record in the meantime. If `flow` is given, an error or a dropped request is reported as an event.
    async fn transact<T>(
        &self,
        flow: impl Into<Option<Flow>>,
        user: &str,
        decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        self.transact_by(None, flow, user, decide).await
    }

    /// Like `transact`, but for a change by an operator, whom the events name.
    async fn transact_by<T>(
        &self,
        operator: Option<&OperatorId>,
        flow: impl Into<Option<Flow>>,
        user: &str,
        decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let mut report = Report::new(&*self.clock, &*self.events, user, flow.into());
        report.by(operator);
        let outcome = self.rounds(&mut report, decide).await;
        report.ended(outcome.as_ref().err().map(GuardError::kind));
        outcome
    }

    /// Refuses a token that keyfob did not make, before the record is loaded and without an event. Anybody can send
    /// such a token, for any user, without knowing a password.
    fn check_origin(&self, token: &LoginToken) -> Result<(), GuardError> {
        if token.is_genuine(&self.keyring()) { Ok(()) } else { Err(GuardErrorKind::LoginRejected.into()) }
    }

    async fn rounds<T>(
        &self,
        report: &mut Report<'_>,
        mut decide: impl FnMut(&SecondFactor, &Context<'_>) -> Result<Transition<T>, GuardError>,
    ) -> Result<T, GuardError> {
        let user = report.user();
        let now = (self.clock)().ok_or(GuardErrorKind::Clock)?;
        // All rounds use the first round's time. If each round read the clock, failed swaps could delay the decision
        // until a code for a later time would be accepted.
        let keyring = self.keyring();
        let context = Context::new(user, now, &self.policy, &keyring)?;
        let failed = |error: S::Error| GuardError::with_source(GuardErrorKind::Store, error);
        for round in 0..ATTEMPTS {
            if round > 0 {
                self.pause(round).await?;
            }
            let loaded = self.store.load(user).await.map_err(failed)?;
            let (version, record) = loaded.unzip();
            let factor = SecondFactor::read(record.as_deref())?;
            let transition = decide(&factor, &context)?;
            report.begins(!matches!(transition.change(), Change::None), transition.exhausts());
            let swap = match transition.change() {
                Change::None => Swap::Swapped,
                change => self.store.swap(user, version, change.record()).await.map_err(failed)?,
            };
            report.begins(false, false);
            if let Ok(Committed { value, events }) = transition.committed(swap) {
                events.iter().for_each(|event| tell(&*self.events, event));
                if report.reminds() {
                    factor.overdue(now).for_each(|kind| tell(&*self.events, &Event::new(user, now, kind)));
                }
                return Ok(value);
            }
        }
        Err(GuardErrorKind::Contended.into())
    }

    /// If a sleep function is set, waits for a random time. The limit is 2 ms in round 1 and doubles with each round.
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

impl<S> Guard<S> {
    fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: fmt::Debug> fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("store", &self.store)
            .field("keyring", &self.keyring())
            .field("issuer", &self.issuer)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The number of times that a request tries to swap the record before it fails. An attacker cannot keep making the
/// owner's swaps fail: after the first few wrong codes the account is throttled, and a refusal during that time
/// normally writes nothing.
const ATTEMPTS: u32 = 8;
