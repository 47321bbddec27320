//! Pages for two-factor authentication in an [axum] application: login with a code, enrollment with a QR code, recovery
//! codes, and a security page. They stand on [`keyfob::Guard`], which makes all decisions.
//!
//! The application keeps its users, passwords and sessions. It implements one trait, [`Application`], and calls
//! [`Pages::begin_login`] after it has checked a password:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use axum::Router;
//! use axum::extract::{Form, State};
//! use axum::http::HeaderMap;
//! use axum::http::request::Parts;
//! use axum::response::{IntoResponse, Redirect, Response};
//! use axum::routing::{get, post};
//! use keyfob::guard::{Expectation, Generation, SignIn};
//! use keyfob::store::MemoryStore;
//! use keyfob::{Guard, Keyring};
//! use keyfob_axum::{Account, Application, BoxError, Pages, Session};
//!
//! /// Your users and sessions. A real application has tables in their place.
//! #[derive(Default)]
//! struct Accounts {
//!     enrolled: Mutex<HashMap<String, bool>>,
//!     sessions: Mutex<HashMap<String, (String, Generation)>>,
//! }
//!
//! impl Application for Accounts {
//!     async fn session(&self, request: &Parts) -> Result<Option<Session>, BoxError> {
//!         // HTTP/2 may send several headers, and other sites of your domain can set cookies with any bytes.
//!         let headers = request.headers.get_all("cookie").iter().map(|header| header.as_bytes());
//!         let mut cookies = headers.flat_map(|header| header.split(|byte| *byte == b';'));
//!         let id = cookies.find_map(|cookie| cookie.trim_ascii().strip_prefix(b"__Host-session="));
//!         let Some(id) = id.and_then(|id| str::from_utf8(id).ok()) else { return Ok(None) };
//!         let sessions = self.sessions.lock().unwrap();
//!         Ok(sessions.get(id).map(|(user, generation)| Session::new(user, id, *generation)))
//!     }
//!
//!     async fn account(&self, user: &str) -> Result<Account, BoxError> {
//!         let expectation = match self.enrolled.lock().unwrap().get(user) {
//!             Some(true) => Expectation::Enrolled,
//!             Some(false) => Expectation::Optional,
//!             None => return Err("no such user".into()),
//!         };
//!         Ok(Account::new(user, expectation))
//!     }
//!
//!     async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
//!         self.enrolled.lock().unwrap().insert(user.into(), enrolled);
//!         Ok(())
//!     }
//!
//!     async fn start_session(
//!         &self,
//!         sign_in: SignIn,
//!         _: &Parts,
//!         response: &mut HeaderMap,
//!     ) -> Result<Session, BoxError> {
//!         let id = keyfob::Secret::generate().expose_base32().to_string(); // 160 random bits
//!         let session = Session::new(sign_in.user(), &id, sign_in.generation());
//!         self.sessions.lock().unwrap().insert(id.clone(), (sign_in.user().into(), sign_in.generation()));
//!         let cookie = format!("__Host-session={id}; Path=/; Secure; HttpOnly; SameSite=Lax");
//!         response.append("set-cookie", cookie.parse()?);
//!         Ok(session)
//!     }
//!
//!     async fn keep_session(&self, session: &Session, generation: Generation) -> Result<(), BoxError> {
//!         let mut sessions = self.sessions.lock().unwrap();
//!         sessions.retain(|id, (user, _)| user != session.user() || id == session.id());
//!         // Not `insert`: a session that has ended in the meantime must not come back.
//!         if let Some(kept) = sessions.get_mut(session.id()) {
//!             kept.1 = generation;
//!         }
//!         Ok(())
//!     }
//!
//!     async fn end_session(&self, session: &Session) -> Result<(), BoxError> {
//!         self.sessions.lock().unwrap().remove(session.id());
//!         Ok(())
//!     }
//! }
//!
//! type Ours = Pages<Accounts, MemoryStore>;
//!
//! fn router(pages: Ours) -> Result<Router, keyfob::Error> {
//!     // Only for users who are logged in.
//!     let personal = pages.protect(Router::new().route("/notes", get(async || "Your notes")));
//!     // Only after a fresh code.
//!     let payment = pages.step_up("payment", Router::new().route("/pay", post(async || "Paid")))?;
//!     let routes = Router::new().route("/login", post(login)).with_state(pages.clone());
//!     Ok(routes.merge(personal).merge(payment).merge(pages.router()))
//! }
//!
//! async fn login(
//!     State(pages): State<Ours>,
//!     request: Parts,
//!     Form(form): Form<HashMap<String, String>>,
//! ) -> Response {
//!     let field = |name: &str| form.get(name).map_or("", String::as_str);
//!     if field("password") != "correct horse battery" {
//!         return Redirect::to("/login").into_response();
//!     }
//!     // It starts the session, or leads to the form for the code.
//!     pages.begin_login(&request, field("user"), field("next")).await
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keyring = Keyring::parse(&Keyring::generate("2026")?)?; // from your secret manager
//! let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc");
//! let pages = Pages::new(Accounts::default(), Arc::new(guard));
//! let app = router(pages)?;
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! `cargo run -p keyfob-axum --example app` runs a complete application with users, passwords, sessions and devices in
//! SQLite. At most 60 of its lines deal with the second factor.
//!
//! # The pages
//!
//! | path | what it is for |
//! |---|---|
//! | `/second-factor` | the security page: apps, recovery codes, devices, turning off |
//! | `/second-factor/challenge` | the code after the password |
//! | `/second-factor/enroll` | the QR code and the first code, in a session or before the first login is complete |
//! | `/second-factor/check` | a fresh code before an action of the application |
//!
//! The other paths are forms that these pages lead to. [`Pages::with_path`] moves all of them. They work without
//! script; the script only adds buttons that copy and print.
//!
//! [`Application::layout`] puts each page into your layout, and [`Application::texts`] chooses the language. The style
//! sheet applies only to the class `keyfob`. To change colors, set its custom properties, such as `--keyfob-accent`,
//! in your own style sheet.
//!
//! # What the application must do
//!
//! * Call [`Pages::begin_login`] in every way to log in, also after a password reset and for single sign-on.
//! * Put each route for users who are logged in below [`Pages::protect`], or call [`Pages::session`].
//! * Call [`Pages::password_changed`] after each change of a password. A reset has no session, so call
//!   [`Guard::forget_devices`](keyfob::Guard::forget_devices) after it, before [`Pages::begin_login`].
//! * Serve over TLS. Browsers do not keep the cookies otherwise. On `http://localhost`, Chromium and Firefox keep them.
//! * Refuse its own forms if they come from another site. [`Pages::step_up`] does that for its routes.
//! * Limit requests per IP address, check the password, and tell users by email about changes to the second factor
//!   ([`Guard::with_events`](keyfob::Guard::with_events)).
//!
//! # What the pages do
//!
//! * A login that waits for a code gives access to the form for the code, and to nothing else. It is stored in a
//!   cookie, bound to one user, and valid for five minutes and one login.
//! * Each change to an active second factor needs a fresh code, except for forgetting devices. All changes except for
//!   renaming an app and forgetting a single device end the user's other sessions.
//! * Forms are refused if they come from another site (`Sec-Fetch-Site` or `Origin`), or if they do not contain the
//!   token of this session or pending login.
//! * The path `next` stays on the site. No secret, code or token is in a URL or in the log.
//! * Cookies have the prefix `__Host-` and the attributes `Secure`, `HttpOnly` and `SameSite=Lax`. Pages are not
//!   cached, and have a strict content security policy.
//! * If the application or the store fails, the request fails, and nobody is logged in. Errors are logged with
//!   `tracing`.
//! * A request finishes even if its client disconnects, so no recovery codes are lost. This needs the tokio runtime.

#![forbid(unsafe_code)]

mod application;
mod cookies;
mod failure;
mod forms;
mod layout;
mod pages;
mod routes;
mod texts;
mod visit;

pub use application::{Account, Application, BoxError, Session};
pub use layout::Page;
pub use pages::Pages;
pub use texts::{Day, English, German, Text, Texts};
