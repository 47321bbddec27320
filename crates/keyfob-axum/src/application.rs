//! What the pages need from the application: its users, its sessions and its layout.

use std::error::Error;
use std::fmt;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use keyfob::guard::{Expectation, Generation, SignIn};

use crate::layout::{Page, document};
use crate::texts::{English, Texts};

/// An error of the application. The pages log it, and show a page that asks the user to try again later.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What an application does for the pages. It keeps its users, its passwords and its sessions.
///
/// The program in [the crate's documentation](crate) implements this trait. In an implementation, each method can be
/// written as an `async fn`. A method that returns an error stops the request: nobody is logged in, and the user sees a
/// page that asks to try again later.
///
/// # Security
///
/// [`start_session`](Self::start_session) must be the only function of the application that starts a session. It takes
/// a [`SignIn`] by value, which only a complete login creates.
pub trait Application: Send + Sync + 'static {
    /// Returns the session that this request belongs to, or `None` if nobody is logged in.
    ///
    /// The pages check that the session is current, so this method does not have to. It reads the session from a
    /// cookie, or from the extensions that another layer has put into the request.
    fn session(&self, request: &Parts) -> impl Future<Output = Result<Option<Session>, BoxError>> + Send;

    /// Returns what the application's own record says about a user. A user without a record is an error.
    fn account(&self, user: &str) -> impl Future<Output = Result<Account, BoxError>> + Send;

    /// Stores in the application's own record whether the user has a second factor. From then on,
    /// [`account`](Self::account) returns [`Expectation::Enrolled`] for a user who has one.
    fn set_enrolled(&self, user: &str, enrolled: bool) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Starts a session for the user who has just logged in, and returns it. `response` takes the session's cookie.
    ///
    /// The session must get a new id, because an attacker may have planted the old one in the user's browser. Store
    /// [`SignIn::generation`] with the session.
    ///
    /// If [`SignIn::method`] is [`Grace`](keyfob::guard::SignInMethod::Grace), end the session at its deadline at the
    /// latest. The deadline itself ends no session, so the user could otherwise go on without a second factor.
    fn start_session(
        &self,
        sign_in: SignIn,
        request: &Parts,
        response: &mut HeaderMap,
    ) -> impl Future<Output = Result<Session, BoxError>> + Send;

    /// Stores a new generation with this session, and ends all other sessions of this user. The user has just changed
    /// the second factor or the password in this session. If this session has ended in the meantime, it must not come
    /// back.
    fn keep_session(
        &self,
        session: &Session,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Ends a session that is not current anymore.
    fn end_session(&self, session: &Session) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Puts a page into the application's layout, and returns the whole HTML document.
    ///
    /// Without this method, pages get a plain document of their own. The content security policy of the pages allows
    /// style sheets, scripts and pictures from the same origin, and no inline ones.
    fn layout(&self, page: &Page<'_>) -> String {
        document(page)
    }

    /// Returns the language of the pages for this request. The default is English.
    fn texts(&self, request: &Parts) -> &dyn Texts {
        let _ = request;
        &English
    }
}

/// A session of a user who is logged in.
#[derive(Clone)]
pub struct Session {
    user: String,
    id: String,
    pub(crate) generation: Generation,
}

impl Session {
    /// Describes a session by its user, its id, and the [`Generation`] that is stored with it.
    ///
    /// `id` must be a value that is different for each session and that only the server and this session's browser can
    /// know, such as the session's cookie or a hash of it. The tokens in the forms are derived from it. A row number
    /// is not enough.
    #[must_use]
    pub fn new(user: impl Into<String>, id: impl Into<String>, generation: Generation) -> Self {
        Self { user: user.into(), id: id.into(), generation }
    }

    /// The user who is logged in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The session's id, as the application has given it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The generation that is stored with the session.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }
}

/// Prints the user but not the id, which may be a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// What the application's own record says about a user.
///
/// ```
/// use keyfob::guard::Expectation;
/// use keyfob_axum::Account;
///
/// /// The columns of a table of users.
/// struct User {
///     email: String,
///     has_second_factor: bool,
///     required_from: Option<u64>,
/// }
///
/// fn account(user: &User) -> Account {
///     let expectation = match (user.has_second_factor, user.required_from) {
///         (true, _) => Expectation::Enrolled,
///         (false, Some(time)) => Expectation::RequiredFrom(time),
///         (false, None) => Expectation::Optional,
///     };
///     let account = Account::new(&user.email, expectation);
///     if user.required_from.is_some() { account.without_turning_off() } else { account }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) label: String,
    pub(crate) expectation: Expectation,
    pub(crate) may_turn_off: bool,
}

impl Account {
    /// Describes a user by the label that the authenticator app shows, such as the email address, and by what the
    /// application knows about the second factor.
    #[must_use]
    pub fn new(label: &str, expectation: Expectation) -> Self {
        Self { label: label.into(), expectation, may_turn_off: true }
    }

    /// Prevents the user from turning off the second factor. The security page does not offer this, and such a request
    /// is refused.
    #[must_use]
    pub fn without_turning_off(mut self) -> Self {
        self.may_turn_off = false;
        self
    }
}
