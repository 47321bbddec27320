//! A small application with keyfob-axum's pages, and a browser for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Extension, Form, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use keyfob::guard::{Adoptee, Adoption, Expectation, Generation, OperatorId, SecondFactor, SignIn};
use keyfob::store::{MemoryStore, Store};
use keyfob::{KeyUri, Secret};
use keyfob_axum::{Account, Application, BoxError, Pages, Session};
use tower::ServiceExt;

use crate::SECRET;
use crate::phone::{MONTH, Phone, account};

/// The groups that measure the pages, and what a request is.
pub const PAGES: [(&str, &str); 4] = [
    ("pages, challenge", "the page for the code"),
    ("pages, login", "a login with a right code"),
    ("pages, security", "the security page"),
    ("pages, protect", "a route below `protect`"),
];
/// The names of the two benchmarks in each of these groups.
pub const WITH_PAGES: &str = "keyfob, with the pages";
pub const WITHOUT_PAGES: &str = "guard and store";

/// The password of every user. It is stored as it is, because a slow hash would hide the time of everything else.
pub const PASSWORD: &str = "correct horse battery staple";

/// The application's own tables: its users and its sessions.
pub trait Tables: Clone + Send + Sync + 'static {
    /// Returns the password of a user, and whether the user has a second factor.
    fn user(&self, user: &str) -> impl Future<Output = Result<(String, bool), BoxError>> + Send;

    fn set_enrolled(&self, user: &str, enrolled: bool) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Adds a session. The generation is empty in a session that was started with the password only.
    fn start(&self, id: &str, user: &str, generation: &str) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Returns the user and the generation of a session.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<(String, String)>, BoxError>> + Send;

    /// Stores a new generation with a session, and removes the other sessions of its user.
    fn keep(&self, id: &str, user: &str, generation: &str) -> impl Future<Output = Result<(), BoxError>> + Send;

    fn end(&self, id: &str) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// The tables in memory. All users exist.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    enrolled: HashMap<String, bool>,
    sessions: HashMap<String, (String, String)>,
}

impl Memory {
    fn with<T>(&self, run: impl FnOnce(&mut Contents) -> T) -> Result<T, BoxError> {
        Ok(run(&mut *self.0.lock().map_err(|_| "a thread has panicked")?))
    }
}

impl Tables for Memory {
    async fn user(&self, user: &str) -> Result<(String, bool), BoxError> {
        self.with(|contents| (PASSWORD.into(), contents.enrolled.get(user).is_some_and(|enrolled| *enrolled)))
    }

    async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
        self.with(|contents| contents.enrolled.insert(user.into(), enrolled)).map(|_| ())
    }

    async fn start(&self, id: &str, user: &str, generation: &str) -> Result<(), BoxError> {
        self.with(|contents| drop(contents.sessions.insert(id.into(), (user.into(), generation.into()))))
    }

    async fn find(&self, id: &str) -> Result<Option<(String, String)>, BoxError> {
        self.with(|contents| contents.sessions.get(id).cloned())
    }

    async fn keep(&self, id: &str, user: &str, generation: &str) -> Result<(), BoxError> {
        self.with(|contents| {
            contents.sessions.retain(|_, (other, _)| other != user);
            contents.sessions.insert(id.into(), (user.into(), generation.into()));
        })
    }

    async fn end(&self, id: &str) -> Result<(), BoxError> {
        self.with(|contents| drop(contents.sessions.remove(id)))
    }
}

/// What the pages ask the application.
struct Ours<T>(T);

impl<T: Tables> Application for Ours<T> {
    async fn session(&self, request: &Parts) -> Result<Option<Session>, BoxError> {
        let Some(id) = session_id(&request.headers) else { return Ok(None) };
        let Some((user, generation)) = self.0.find(id).await? else { return Ok(None) };
        Ok(Some(Session::new(user, id, generation.parse()?)))
    }

    async fn account(&self, user: &str) -> Result<Account, BoxError> {
        let (_, enrolled) = self.0.user(user).await?;
        let expectation = if enrolled { Expectation::Enrolled } else { Expectation::Optional };
        Ok(Account::new(user, expectation))
    }

    async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
        self.0.set_enrolled(user, enrolled).await
    }

    async fn start_session(&self, sign_in: SignIn, _: &Parts, cookies: &mut HeaderMap) -> Result<Session, BoxError> {
        let (user, generation) = (sign_in.user(), sign_in.generation());
        let id = new_session(&self.0, user, &generation.to_string(), cookies).await?;
        Ok(Session::new(user, id, generation))
    }

    async fn keep_session(&self, session: &Session, generation: Generation) -> Result<(), BoxError> {
        self.0.keep(session.id(), session.user(), &generation.to_string()).await
    }

    async fn end_session(&self, session: &Session) -> Result<(), BoxError> {
        self.0.end(session.id()).await
    }
}

/// What the handlers have.
struct App<T, S> {
    tables: T,
    pages: Pages<Ours<T>, S>,
}

impl<T: Clone, S> Clone for App<T, S> {
    fn clone(&self) -> Self {
        Self { tables: self.tables.clone(), pages: self.pages.clone() }
    }
}

/// The application with the pages. Below `/plain` are the same handlers without a second factor.
pub fn router<T: Tables, S: Store + 'static>(tables: T, phone: &Phone<S>) -> Router {
    let pages = Pages::new(Ours(tables.clone()), phone.guard.clone()).with_trusted_devices(MONTH);
    let notes = pages.protect(Router::new().route("/notes", get(notes)));
    Router::new()
        .route("/login", post(login))
        .route("/plain/login", post(plain_login))
        .route("/plain/notes", get(plain_notes))
        .with_state(App { tables, pages: pages.clone() })
        .merge(notes)
        .merge(pages.router())
}

type Fields = Form<HashMap<String, String>>;

async fn login<T: Tables, S: Store + 'static>(
    State(app): State<App<T, S>>,
    request: Parts,
    Form(form): Fields,
) -> Result<axum::response::Response, Failed> {
    let Some(user) = app.user(&form).await? else { return Ok(StatusCode::UNAUTHORIZED.into_response()) };
    Ok(app.pages.begin_login(&request, user, "/notes").await)
}

async fn notes(Extension(session): Extension<Session>) -> String {
    format!("notes of {}", session.user())
}

async fn plain_login<T: Tables, S: Store + 'static>(
    State(app): State<App<T, S>>,
    Form(form): Fields,
) -> Result<axum::response::Response, Failed> {
    let Some(user) = app.user(&form).await? else { return Ok(StatusCode::UNAUTHORIZED.into_response()) };
    let mut cookies = HeaderMap::new();
    new_session(&app.tables, user, "", &mut cookies).await?;
    Ok((cookies, Redirect::to("/plain/notes")).into_response())
}

async fn plain_notes<T: Tables, S: Store + 'static>(
    State(app): State<App<T, S>>,
    headers: HeaderMap,
) -> Result<axum::response::Response, Failed> {
    let Some(id) = session_id(&headers) else { return Ok(StatusCode::UNAUTHORIZED.into_response()) };
    let session = app.tables.find(id).await?;
    Ok(session.map_or(StatusCode::UNAUTHORIZED.into_response(), |(user, _)| format!("notes of {user}").into_response()))
}

impl<T: Tables, S> App<T, S> {
    /// The user who has typed the right password.
    async fn user<'a>(&self, form: &'a HashMap<String, String>) -> Result<Option<&'a str>, Failed> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let (password, _) = self.tables.user(field("user")).await?;
        Ok((password == field("password")).then_some(field("user")))
    }
}

async fn new_session<T: Tables>(
    tables: &T,
    user: &str,
    generation: &str,
    cookies: &mut HeaderMap,
) -> Result<String, BoxError> {
    let id = Secret::generate().expose_base32().to_string();
    tables.start(&id, user, generation).await?;
    cookies.append(SET_COOKIE, format!("{SESSION}={id}; Path=/; Secure; HttpOnly; SameSite=Lax").parse()?);
    Ok(id)
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    let mut cookies = headers.get(COOKIE)?.to_str().ok()?.split("; ");
    cookies.find_map(|cookie| cookie.strip_prefix(SESSION)?.strip_prefix('='))
}

const SESSION: &str = "__Host-session";

/// An error ends the request. A browser of the benchmarks expects none.
struct Failed(BoxError);

impl<E: Into<BoxError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.0.to_string()).into_response()
    }
}

/// How a browser reaches the application.
#[allow(async_fn_in_trait)]
pub trait Connection {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes>;
}

/// Without a network.
impl Connection for Router {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (head, body) = self.clone().oneshot(request).await.expect("infallible").into_parts();
        Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
    }
}

/// A browser that keeps its cookies.
pub struct Browser<C> {
    pub connection: C,
    pub cookies: HashMap<String, String>,
    pub requests: u64,
}

impl<C: Connection> Browser<C> {
    pub fn new(connection: C) -> Self {
        Self { connection, cookies: HashMap::new(), requests: 0 }
    }

    /// A request with a form's fields, if there are any.
    ///
    /// # Panics
    ///
    /// If the path is not valid.
    pub fn request(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // None of the values has a character that has to be escaped, except for spaces.
        let form: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookies.join("; "))
            .body(Full::from(form.join("&")))
            .expect("valid")
    }

    /// # Panics
    ///
    /// If the path is not valid, or if the connection fails.
    pub async fn send(&mut self, method: Method, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let request = self.request(method, path, fields);
        self.requests += 1;
        let response = self.connection.send(request).await;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().expect("ASCII").split_once('=').expect("a cookie");
            match rest.split(';').next() {
                // The clock of the guard is behind that of this machine, so `Max-Age` means nothing here.
                None | Some("") => drop(self.cookies.remove(name)),
                Some(value) => drop(self.cookies.insert(name.into(), value.into())),
            }
        }
        response
    }

    pub async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.send(Method::GET, path, &[]).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        self.send(Method::POST, path, fields).await
    }

    /// Sends the password, and opens the form for the code. Returns its token.
    ///
    /// # Panics
    ///
    /// If the application does not ask for a code.
    pub async fn begin(&mut self, user: &str) -> String {
        let response = self.post("/login", &[("user", user), ("password", PASSWORD)]).await;
        let path = leads(&response, CHALLENGE).to_owned();
        token(&self.get(&path).await)
    }

    /// Sends a code to the form with this token.
    pub async fn answer(&mut self, token: &str, code: &str) -> Response<Bytes> {
        self.post(CHALLENGE, &answer(token, code)).await
    }

    /// The cookie whose name contains this part.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn cookie(&self, part: &str) -> &str {
        self.cookies.iter().find(|(name, _)| name.contains(part)).expect("a cookie").1
    }
}

/// The fields of the form for the code.
#[must_use]
pub const fn answer<'a>(token: &'a str, code: &'a str) -> [(&'a str, &'a str); 4] {
    [("token", token), ("next", "/notes"), ("with", "app"), ("code", code)]
}

/// The path of the form for the code.
pub const CHALLENGE: &str = "/second-factor/challenge";

/// Where a response leads to.
///
/// # Panics
///
/// If it does not lead to a path that starts like this.
#[track_caller]
pub fn leads<'a>(response: &'a Response<Bytes>, start: &str) -> &'a str {
    let location = response.headers().get(LOCATION).and_then(|path| path.to_str().ok()).unwrap_or_default();
    let leads = response.status() == StatusCode::SEE_OTHER && location.starts_with(start);
    assert!(leads, "expected a redirect to {start}, but got {}", described(response));
    location
}

/// The body of a response with this status.
///
/// # Panics
///
/// If the response has another status, or if its body does not contain this text.
#[track_caller]
pub fn shows<'a>(response: &'a Response<Bytes>, status: StatusCode, text: &str) -> &'a str {
    let body = std::str::from_utf8(response.body()).expect("UTF-8");
    assert!(response.status() == status && body.contains(text), "expected \"{text}\", but got {}", described(response));
    body
}

fn described(response: &Response<Bytes>) -> String {
    let body = String::from_utf8_lossy(response.body());
    format!("{} with {:?}: {body}", response.status(), response.headers().get(LOCATION))
}

/// The token of the first form on a page.
fn token(response: &Response<Bytes>) -> String {
    let body = shows(response, StatusCode::OK, TOKEN);
    body.split_once(TOKEN).and_then(|(_, rest)| rest.split('"').next()).expect("a token").to_owned()
}

const TOKEN: &str = "name=\"token\" value=\"";

/// A page without its QR code.
pub struct Size {
    pub page: &'static str,
    pub bytes: usize,
}

/// The largest page of a user who has as many apps and devices as an account can have.
///
/// # Panics
///
/// If one of the pages is not there.
#[must_use]
pub fn largest_page() -> Size {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sizes = runtime.block_on(sizes());
    sizes.into_iter().max_by_key(|size| size.bytes).expect("pages")
}

async fn sizes() -> Vec<Size> {
    let (tables, phone) = (Memory::default(), Phone::new(MemoryStore::new()));
    let user = &account(0);
    let mut browser = Browser::new(router(tables, &phone));
    let mut sizes = Vec::new();
    let mut add = |page, response: &Response<Bytes>| {
        let html = shows(response, StatusCode::OK, "<h1>");
        let (before, rest) = html.split_once("<svg").unwrap_or((html, ""));
        let after = rest.split_once("</svg>").map_or("", |(_, after)| after);
        sizes.push(Size { page, bytes: before.len() + after.len() });
    };

    // The first app.
    leads(&browser.post("/login", &[("user", user), ("password", PASSWORD)]).await, "/notes");
    let page = browser.get("/second-factor").await;
    add("the security page without an app", &page);
    let fields = [("token", &*token(&page)), ("next", ""), ("name", "phone")];
    leads(&browser.post("/second-factor/enroll", &fields).await, "/second-factor/enroll");
    let page = browser.get("/second-factor/enroll").await;
    add("the page with the QR code", &page);
    let html = shows(&page, StatusCode::OK, "href=\"otpauth:");
    let uri = html.split('"').find(|text| text.starts_with("otpauth:")).expect("a link").replace("&amp;", "&");
    let uri = KeyUri::parse(&uri).expect("valid");
    phone.wait();
    let code = uri.to_totp().expect("valid").code_at(phone.now()).to_string();
    let fields = [("token", &*token(&page)), ("next", ""), ("code", &*code)];
    add("the recovery codes", &browser.post("/second-factor/confirm", &fields).await);

    // A user with as many apps and devices as an account can have, and with names as long as the form allows.
    let user = &account(1);
    let app = |number: usize| {
        let secret = match number {
            0 => Secret::from_bytes(SECRET),
            _ => Secret::from_bytes(&[number as u8; 20]),
        };
        let uri = KeyUri::totp("Example Inc", user, &secret.expect("valid")).expect("valid");
        Adoptee { user: user.into(), uri, last_used: None, name: "phone ".repeat(10) }
    };
    let apps: Vec<_> = (0..SecondFactor::MAX_AUTHENTICATORS).map(app).collect();
    let answers =
        phone.guard.adopt_batch(&apps, &OperatorId::new("benchmark").expect("valid")).await.expect("answered");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Adoption::Adopted(_)))));
    // A code counts as used at the time of the adoption, and for one step before and after it.
    phone.wait();
    for _ in 0..DEVICES {
        browser.cookies.clear();
        phone.wait();
        let token = browser.begin(user).await;
        leads(&browser.answer(&token, &phone.code()).await, "/notes");
    }
    let page = browser.get("/second-factor").await;
    let items = shows(&page, StatusCode::OK, "<li>").matches("<li>").count();
    assert_eq!(items, apps.len() + DEVICES, "the apps and devices on the security page");
    let id = shows(&page, StatusCode::OK, "/authenticators/").split_once("/authenticators/").expect("a link").1;
    let id = id.split('/').next().expect("an id").to_owned();
    add("the security page", &page);
    add("adding an app", &browser.get("/second-factor/add").await);
    add("renaming an app", &browser.get(&format!("/second-factor/authenticators/{id}/rename")).await);
    add("replacing an app", &browser.get(&format!("/second-factor/authenticators/{id}/replace")).await);
    add("removing an app", &browser.get(&format!("/second-factor/authenticators/{id}/remove")).await);
    add("new recovery codes", &browser.get("/second-factor/recovery-codes").await);
    add("turning off", &browser.get("/second-factor/turn-off").await);
    add("the page for a fresh code", &browser.get("/second-factor/check?purpose=payment").await);
    browser.begin(user).await;
    add("the page for the code", &browser.get(CHALLENGE).await);
    add("the page for a recovery code", &browser.get(&format!("{CHALLENGE}?with=recovery")).await);
    sizes
}

/// An account has at most this many devices. A further one takes the place of the oldest.
const DEVICES: usize = 16;
