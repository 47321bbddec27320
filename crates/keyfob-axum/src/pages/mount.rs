//! What an application mounts: the routes of the pages, and the layers for its own routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use keyfob::guard::{GuardErrorKind, Proof, Purpose};
use keyfob::store::Store;

use crate::application::{Application, Session};
use crate::failure::Failure;
use crate::forms::{escaped, host, is_same_origin, local};
use crate::pages::Pages;
use crate::visit::{Visit, redirect};
use crate::{cookies, routes};

impl<A: Application, S: Store + 'static> Pages<A, S> {
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

/// The longest form has a few hundred bytes, and one field into which users may paste anything.
const LONGEST_BODY: usize = 16 * 1024;
