//! The pages as a whole: their settings, their routes, and the layers for the application's own routes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use keyfob::Guard;
use keyfob::guard::{GuardErrorKind, Proof, Purpose};
use keyfob::store::Store;

use crate::application::{Application, BoxError, Session};
use crate::failure::Failure;
use crate::forms::{escaped, host, is_same_origin, local};
use crate::visit::{Visit, redirect};
use crate::{cookies, routes};

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

    /// Sets where a user continues who did not want to go to a certain page.
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

    /// Returns the routes of the pages, at their path. Merge them into the application's router.
    pub fn router(&self) -> Router {
        let routes = routes::routes(self)
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .layer(middleware::from_fn_with_state(self.clone(), frame))
            .with_state(self.clone());
        Router::new().nest(self.path(), routes)
    }

    /// Continues a login after the application has checked the password or another first factor. Every way to log in
    /// calls this method: the password form, a login link, single sign-on.
    ///
    /// `next` is where the user wants to go. A path on another site is replaced by the application's home. The response
    /// leads to the next page, and contains the session's cookie if no code is required.
    pub async fn begin_login(&self, request: &Parts, user: &str, next: &str) -> Response {
        let visit = Visit { pages: self.clone(), parts: request.clone() };
        let (user, next) = (String::from(user), visit.next(next));
        // The task continues if the client disconnects.
        finished(async move {
            let response = routes::challenge::begin(&visit, &user, &next).await.unwrap_or_else(Failure::into_response);
            visit.finish(response)
        })
        .await
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

    /// Lets only users who are logged in reach these routes, and the fallback of this router if it has one. Others are
    /// led to the login.
    ///
    /// Each request is checked: a session is ended if the second factor, the password or the account's state has
    /// changed in the meantime. A handler gets the session with `Extension<Session>`.
    pub fn protect<R: Clone + Send + Sync + 'static>(&self, routes: Router<R>) -> Router<R> {
        covered(routes.layer(middleware::from_fn_with_state(self.clone(), protected)))
    }

    /// Asks for a fresh code before these routes, such as a payment. It also does what [`protect`](Self::protect) does.
    ///
    /// `purpose` names the action, in 1 to 32 lowercase letters, digits and hyphens. After a code was accepted, the
    /// session can use the routes of this purpose for five minutes
    /// ([`Policy::with_proof_lifetime`](keyfob::Policy::with_proof_lifetime)). A user without a second factor has to
    /// set one up first. Requests that change something are refused if they come from another site.
    ///
    /// # Errors
    ///
    /// [`keyfob::ErrorKind::Name`] if the purpose has other characters.
    pub fn step_up<R: Clone + Send + Sync + 'static>(
        &self,
        purpose: &str,
        routes: Router<R>,
    ) -> Result<Router<R>, keyfob::Error> {
        let state = (self.clone(), Arc::<str>::from(purpose), Purpose::application(purpose)?);
        Ok(self.protect(routes.layer(middleware::from_fn_with_state(state, stepped_up))))
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

/// Surrounds each of the pages.
async fn frame<A: Application, S: Store + 'static>(
    State(pages): State<Pages<A, S>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let visit = Visit { pages, parts: parts.clone() };
    let response = match is_safe(&parts) || is_same_origin(&parts) {
        true => finished(next.run(Request::from_parts(parts, body))).await,
        false => Failure::Forged.into_response(),
    };
    visit.finish(response)
}

async fn protected<A: Application, S: Store + 'static>(
    State(pages): State<Pages<A, S>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let failure = match pages.find_session(&parts).await {
        Ok(Some(session)) => {
            parts.extensions.insert(session);
            return next.run(Request::from_parts(parts, body)).await;
        }
        Ok(None) => Failure::LogIn { next: back(&parts) },
        Err(failure) => failure,
    };
    Visit { pages, parts }.finish(failure.into_response())
}

async fn stepped_up<A: Application, S: Store + 'static>(
    State((pages, name, purpose)): State<(Pages<A, S>, Arc<str>, Purpose)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let visit = Visit { pages, parts: parts.clone() };
    if !is_safe(&parts) && !is_same_origin(&parts) {
        return visit.finish(Failure::Forged.into_response());
    }
    // `protect` surrounds this, so there is a session.
    let Some(session) = parts.extensions.get::<Session>() else {
        return visit.finish(Failure::LogIn { next: back(&parts) }.into_response());
    };
    let proof = visit.cookie(&cookies::proof(&format!("app-{name}"))).and_then(|token| Proof::from_token(token).ok());
    if let Some(proof) = proof {
        match visit.pages.guard().check(session.user(), &proof.in_session(session.id()), &purpose).await {
            Ok(()) => return next.run(Request::from_parts(parts, body)).await,
            Err(error) if error.kind() == GuardErrorKind::ProofRejected => {}
            Err(error) => return visit.finish(Failure::from(error).into_response()),
        }
    }
    let ask = format!("{}?purpose={name}&next={}", visit.link("/check"), escaped(&back(&parts)));
    let response = match is_safe(&parts) {
        true => redirect(&ask),
        // A request that changes something cannot be repeated after the code. The user is told that nothing happened.
        false => routes::check::interrupted(&visit, &ask),
    };
    visit.finish(response)
}

/// The path to come back to. After a request that changes something, this is the page with the form, because the
/// request's own path may have no page.
fn back(parts: &Parts) -> String {
    let form = if is_safe(parts) { None } else { came_from(parts) };
    form.unwrap_or_else(|| wanted(parts))
}

/// The path of this request.
fn wanted(parts: &Parts) -> String {
    let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    uri.path_and_query().map_or("/", |path| path.as_str()).into()
}

/// The path of the page that has sent this request, if the browser names one of this host.
fn came_from(parts: &Parts) -> Option<String> {
    let referer = parts.headers.get("referer")?.to_str().ok()?;
    let (_, rest) = referer.split_once("://")?;
    let (from, _) = rest.split_once('/')?;
    let path = local(&rest[from.len()..], "");
    (Some(from) == host(parts) && !path.is_empty()).then(|| path.into())
}

/// Limits a layer to what the application has put into a router.
///
/// `Router::route_layer` would leave out the fallback, such as a service that serves private files, and panic without
/// routes. `Router::layer` also covers the answer for unknown paths, which then leads to the login when routers are
/// merged. Merging an empty router puts the plain answer back, unless there is a fallback.
fn covered<R: Clone + Send + Sync + 'static>(layered: Router<R>) -> Router<R> {
    layered.merge(Router::new())
}

fn is_safe(parts: &Parts) -> bool {
    // A page of a sibling domain may open a WebSocket with the user's cookies, and then send anything.
    let socket = parts.headers.get("upgrade").is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    (parts.method == Method::GET || parts.method == Method::HEAD) && !socket
}

/// Runs a request in a task of its own, which continues if the client disconnects. If it were dropped halfway, a code
/// could be used up without a login, or recovery codes could be stored that nobody has seen.
async fn finished(request: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(request).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a request ended without a response");
        Failure::Unavailable.into_response()
    })
}

/// The longest form has a few hundred bytes, and one field for which users may paste anything.
const LONGEST_BODY: usize = 16 * 1024;
