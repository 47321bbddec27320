//! One request to the pages: its cookies, its session, its language, and the response to it.

use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use keyfob::guard::{Challenge, DeviceToken, EnrollmentTicket, Generation};
use keyfob::store::Store;
use maud::{Markup, html};

use crate::application::{Account, Application, Session};
use crate::failure::Failure;
use crate::layout::Page;
use crate::pages::Pages;
use crate::texts::{Text, Texts};
use crate::{cookies, forms};

/// A request. Handlers read cookies only through this type.
pub(crate) struct Visit<A, S> {
    pub(crate) pages: Pages<A, S>,
    pub(crate) parts: Parts,
}

impl<A: Application, S: Store + 'static> FromRequestParts<Pages<A, S>> for Visit<A, S> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages<A, S>) -> Result<Self, Failure> {
        Ok(Self { pages: pages.clone(), parts: parts.clone() })
    }
}

impl<A: Application, S: Store + 'static> Visit<A, S> {
    /// The session of the user who is logged in. It is current.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        let session = self.pages.find_session(&self.parts).await?;
        session.ok_or_else(|| Failure::LogIn { next: self.link("/") })
    }

    /// The login that waits for a code, and the value of its cookie.
    pub(crate) fn challenge(&self) -> Option<(Challenge, &str)> {
        let token = self.cookie(cookies::LOGIN)?;
        Some((Challenge::from_token(token).ok()?, token))
    }

    /// The login that waits for an enrollment, and the value of its cookie.
    pub(crate) fn ticket(&self) -> Option<(EnrollmentTicket, &str)> {
        let token = self.cookie(cookies::TICKET)?;
        Some((EnrollmentTicket::from_token(token).ok()?, token))
    }

    pub(crate) fn device(&self, user: &str) -> Option<DeviceToken> {
        DeviceToken::from_token(self.cookie(&cookies::device(user))?).ok()
    }

    pub(crate) async fn account(&self, user: &str) -> Result<Account, Failure> {
        Ok(self.pages.application().account(user).await?)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        cookies::get(&self.parts.headers, name)
    }

    /// A parameter of the URL, or an empty string.
    pub(crate) fn query(&self, name: &str) -> String {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&self.parts.uri);
        let mut fields = query.map(|query| query.0).unwrap_or_default().into_iter();
        fields.find(|(found, _)| found == name).map_or_else(String::new, |(_, value)| value)
    }

    /// The path to continue at after a login.
    pub(crate) fn next(&self, wanted: &str) -> String {
        forms::local(wanted, self.pages.home()).into()
    }

    /// The public path of one of the pages.
    pub(crate) fn link(&self, path: &str) -> String {
        // The security page is at the path itself.
        format!("{}{}", self.pages.path(), if path == "/" { "" } else { path })
    }

    /// Stores a new generation with this session, and ends the user's other sessions.
    pub(crate) async fn keep(&self, session: &mut Session, generation: Generation) -> Result<(), Failure> {
        self.pages.application().keep_session(session, generation).await?;
        session.generation = generation;
        Ok(())
    }

    pub(crate) fn texts(&self) -> &dyn Texts {
        self.pages.application().texts(&self.parts)
    }

    pub(crate) fn text(&self, text: &Text<'_>) -> String {
        self.texts().text(text).into_owned()
    }

    /// A page in the application's layout.
    pub(crate) fn page(&self, status: StatusCode, title: &Text<'_>, content: &Markup) -> Response {
        let (texts, title) = (self.texts(), self.text(title));
        let body = html! {
            div class="keyfob" {
                h1 { (title) }
                (content)
            }
        };
        let head = html! {
            link rel="stylesheet" href=(self.link("/style.css"));
            script src=(self.link("/script.js")) defer {}
        };
        let page = Page {
            lang: texts.lang(),
            rtl: texts.is_rtl(),
            title: html! { (title) }.into_string(),
            head: head.into_string(),
            body: body.into_string(),
        };
        (status, Html(self.pages.application().layout(&page))).into_response()
    }

    /// Puts a page in the place of a failure, and adds the headers that each response has.
    pub(crate) fn finish(&self, mut response: Response) -> Response {
        if let Some(failure) = response.extensions_mut().remove::<Failure>() {
            response = self.failed(&failure);
        }
        harden(response)
    }

    fn failed(&self, failure: &Failure) -> Response {
        if let Failure::LogIn { next } = failure {
            return redirect(&format!("{}?next={}", self.pages.login(), forms::escaped(next)));
        }
        let (title, message, link) = match failure {
            Failure::LoginEnded => (Text::LoginEndedTitle, Text::LoginEnded, Some((self.pages.login(), Text::LogIn))),
            Failure::Forged => (Text::OutOfDateTitle, Text::Forged, Some((self.pages.home(), Text::Back))),
            Failure::OutOfDate => (Text::OutOfDateTitle, Text::OutOfDate, None),
            Failure::Forbidden(reason) => (Text::ForbiddenTitle, **reason, None),
            Failure::Support => (Text::UnavailableTitle, Text::Support, Some((self.pages.login(), Text::LogIn))),
            Failure::Suspended => (Text::SuspendedTitle, Text::Suspended, None),
            Failure::Refused(status) if *status == StatusCode::NOT_FOUND => (Text::NotFoundTitle, Text::NotFound, None),
            Failure::Refused(_) => (Text::RefusedTitle, Text::Refused, None),
            Failure::LogIn { .. } | Failure::Unavailable => (Text::UnavailableTitle, Text::Unavailable, None),
        };
        let security = self.link("/");
        let (target, label) = link.unwrap_or((&security, Text::BackToSecurity));
        let content = html! {
            p { (self.text(&message)) }
            p { a href=(target) { (self.text(&label)) } }
        };
        self.page(failure.status(), &title, &content)
    }
}

/// The headers of each response.
pub(crate) fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // The style sheet and the script set their own value. Everything else may contain a secret.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'; script-src 'self'",
    ),
    // With `no-referrer`, browsers send `Origin: null` with our own forms, which then look forged to browsers without
    // `Sec-Fetch-Site`. Other sites get no referrer either way.
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// Leads the browser to a path with a GET request.
pub(crate) fn redirect(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(path) => (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response(),
        Err(_) => Failure::Unavailable.into_response(),
    }
}

/// Adds headers, such as cookies, to a response.
pub(crate) fn with_headers(mut response: Response, headers: HeaderMap) -> Response {
    // `extend` would replace cookies that are already there.
    let mut last = None;
    for (name, value) in headers {
        last = name.or(last);
        if let Some(name) = &last {
            response.headers_mut().append(name.clone(), value);
        }
    }
    response
}
