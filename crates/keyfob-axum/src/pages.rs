//! The pages as a whole: what they share, and the sessions of their users.

mod mount;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use keyfob::Guard;
use keyfob::store::Store;

use crate::application::{Application, BoxError, Session};
use crate::failure::Failure;

/// The pages for the second factor, for one application. Cloning it is cheap.
///
/// [The crate's documentation](crate) has a program.
pub struct Pages<A, S> {
    application: Arc<A>,
    guard: Arc<Guard<S>>,
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    path: String,
    login: String,
    home: String,
    trust: Option<Duration>,
}

impl<A: Application, S: Store + 'static> Pages<A, S> {
    /// Makes the pages for an application. They are at `/second-factor`, the login is at `/login`, and a user who has
    /// logged in continues at `/`.
    #[must_use]
    pub fn new(application: A, guard: Arc<Guard<S>>) -> Self {
        let [path, login, home] = ["/second-factor", "/login", "/"].map(String::from);
        let settings = Arc::new(Settings { path, login, home, trust: None });
        Self { application: Arc::new(application), guard, settings }
    }

    /// Sets the public path of the pages, such as `/account/two-factor`.
    ///
    /// # Errors
    ///
    /// If the path is not a slash followed by letters, digits, hyphens and further single slashes between them.
    pub fn with_path(mut self, path: &str) -> Result<Self, BoxError> {
        let segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !path.strip_prefix('/').is_some_and(|segments| segments.split('/').all(segment)) {
            return Err("the path of the pages consists of segments of letters, digits and hyphens".into());
        }
        Arc::make_mut(&mut self.settings).path = path.into();
        Ok(self)
    }

    /// Sets the path of the application's login. The pages lead to it with a parameter `next`, the path to continue at
    /// after the login. Pass it on to [`begin_login`](Self::begin_login), which checks it.
    #[must_use]
    pub fn with_login(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.settings).login = path.into();
        self
    }

    /// Sets the path at which a user continues if no other path is known, for example after a login without `next`.
    #[must_use]
    pub fn with_home(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.settings).home = path.into();
        self
    }

    /// Lets users trust a device: a login on it needs no code for this long. The guard's policy has to allow it with
    /// [`Policy::with_trusted_devices`](keyfob::Policy::with_trusted_devices), which describes the risk.
    #[must_use]
    pub fn with_trusted_devices(mut self, lifetime: Duration) -> Self {
        Arc::make_mut(&mut self.settings).trust = Some(lifetime);
        self
    }

    /// Returns the session that a request belongs to, or `None` if nobody is logged in.
    ///
    /// A session that is not current anymore is ended. See [`Guard::is_current`].
    ///
    /// # Errors
    ///
    /// If the application or the store failed. It is then unknown whether somebody is logged in.
    pub async fn session(&self, request: &Parts) -> Result<Option<Session>, BoxError> {
        let Some(session) = self.application.session(request).await? else { return Ok(None) };
        if self.guard.is_current(session.user(), session.generation()).await? {
            return Ok(Some(session));
        }
        self.application.end_session(&session).await?;
        Ok(None)
    }

    /// Ends all other sessions, pending logins and trusted devices of the user, who has just changed the password in
    /// this session. Call this after every change of a password.
    ///
    /// If this session has ended while the request was running, for example because the owner of the account has reset
    /// the password, this session is not renewed. After a reset, there is no session: call
    /// [`Guard::forget_devices`](keyfob::Guard::forget_devices), and then [`begin_login`](Self::begin_login).
    ///
    /// # Errors
    ///
    /// If the application or the store failed. Other sessions may then continue, so tell the user to try again.
    pub async fn password_changed(&self, session: &Session) -> Result<(), BoxError> {
        match self.guard.forget_devices_in_session(session.user(), session.generation()).await? {
            Some(generation) => self.application.keep_session(session, generation).await,
            // With a new generation, a thief's session would outlive the reset that was meant to end it.
            None => {
                self.guard.forget_devices(session.user()).await?;
                self.application.end_session(session).await
            }
        }
    }

    pub(crate) async fn find_session(&self, request: &Parts) -> Result<Option<Session>, Failure> {
        Ok(self.session(request).await?)
    }
}

impl<A, S> Pages<A, S> {
    pub(crate) fn application(&self) -> &A {
        &self.application
    }

    pub(crate) fn guard(&self) -> &Guard<S> {
        &self.guard
    }

    pub(crate) fn path(&self) -> &str {
        &self.settings.path
    }

    pub(crate) fn login(&self) -> &str {
        &self.settings.login
    }

    pub(crate) fn home(&self) -> &str {
        &self.settings.home
    }

    pub(crate) fn trust(&self) -> Option<Duration> {
        self.settings.trust
    }
}

impl<A, S> Clone for Pages<A, S> {
    fn clone(&self) -> Self {
        let (application, guard) = (Arc::clone(&self.application), Arc::clone(&self.guard));
        Self { application, guard, settings: Arc::clone(&self.settings) }
    }
}

impl<A, S> fmt::Debug for Pages<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("settings", &self.settings).finish_non_exhaustive()
    }
}
