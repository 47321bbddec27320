//! A small application in memory, and a browser that keeps its cookies and sends its forms.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use keyfob::guard::{Expectation, Generation, SignIn};
use keyfob::store::MemoryStore;
use keyfob::{Guard, Keyring, Policy, Totp};
use keyfob_axum::{Account, Application, BoxError, English, German, Pages, Session, Texts};
use tower::ServiceExt;

pub const DAY: u64 = 86_400;
/// The path of the pages in these tests.
pub const PATH: &str = "/account/two-factor";

/// The users and sessions of the application.
#[derive(Default)]
pub struct Users {
    /// What the row of each user says.
    pub expectations: Mutex<HashMap<String, Expectation>>,
    /// User and generation of each session.
    pub sessions: Mutex<HashMap<String, (String, Generation)>>,
    pub required: AtomicBool,
    /// Starts each session with the id that the browser has sent, which is wrong.
    pub fixed: AtomicBool,
    /// Every method that writes fails.
    pub broken: AtomicBool,
    count: AtomicU64,
}

pub struct App(Arc<Users>);

impl App {
    fn works(&self) -> Result<(), BoxError> {
        if self.0.broken.load(SeqCst) { Err("the database is down".into()) } else { Ok(()) }
    }
}

impl Application for App {
    async fn session(&self, request: &Parts) -> Result<Option<Session>, BoxError> {
        let id = cookie_of(&request.headers, "session").unwrap_or_default();
        let sessions = self.0.sessions.lock().unwrap();
        Ok(sessions.get(&id).map(|(user, generation)| Session::new(user, id.clone(), *generation)))
    }

    async fn account(&self, user: &str) -> Result<Account, BoxError> {
        let expectation = self.0.expectations.lock().unwrap().get(user).copied().ok_or("no such user")?;
        let account = Account::new(&format!("{user}@example.com"), expectation);
        Ok(if self.0.required.load(SeqCst) { account.without_turning_off() } else { account })
    }

    async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
        self.works()?;
        let expectation = if enrolled { Expectation::Enrolled } else { Expectation::Optional };
        self.0.expectations.lock().unwrap().insert(user.into(), expectation);
        Ok(())
    }

    async fn start_session(
        &self,
        sign_in: SignIn,
        request: &Parts,
        response: &mut HeaderMap,
    ) -> Result<Session, BoxError> {
        self.works()?;
        let fixed = self.0.fixed.load(SeqCst).then(|| cookie_of(&request.headers, "session")).flatten();
        let id = fixed.unwrap_or_else(|| format!("session-{}", self.0.count.fetch_add(1, SeqCst)));
        let session = Session::new(sign_in.user(), id.clone(), sign_in.generation());
        self.0.sessions.lock().unwrap().insert(id.clone(), (sign_in.user().into(), sign_in.generation()));
        response.append("set-cookie", format!("session={id}; Path=/; HttpOnly; Secure").parse()?);
        Ok(session)
    }

    async fn keep_session(&self, session: &Session, generation: Generation) -> Result<(), BoxError> {
        // As a database would, so that a client can hang up in the meantime.
        tokio::task::yield_now().await;
        self.works()?;
        let mut sessions = self.0.sessions.lock().unwrap();
        sessions.retain(|id, (user, _)| user != session.user() || id == session.id());
        if let Some(kept) = sessions.get_mut(session.id()) {
            kept.1 = generation;
        }
        Ok(())
    }

    async fn end_session(&self, session: &Session) -> Result<(), BoxError> {
        self.0.sessions.lock().unwrap().remove(session.id());
        Ok(())
    }

    fn texts(&self, request: &Parts) -> &dyn Texts {
        match request.headers.get("accept-language").and_then(|language| language.to_str().ok()) {
            Some("de") => &German,
            Some("ar") => &crate::words::RightToLeft,
            _ => &English,
        }
    }
}

/// Something that happens in the middle of a request: when the guard reads its clock for the nth time.
type Meanwhile = Arc<Mutex<Option<(u32, Box<dyn FnOnce() + Send>)>>>;

/// The application as a whole, with a clock that the test sets.
#[derive(Clone)]
pub struct Site {
    router: Router,
    pub users: Arc<Users>,
    pub guard: Arc<Guard<MemoryStore>>,
    pub pages: Pages<App, MemoryStore>,
    pub time: Arc<AtomicU64>,
    pub events: Arc<Mutex<Vec<String>>>,
    pub meanwhile: Meanwhile,
}

impl Site {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = Arc::new(AtomicU64::new(now / 30 * 30));
        let (clock, events) = (time.clone(), Arc::new(Mutex::new(Vec::new())));
        let listener = events.clone();
        let meanwhile = Meanwhile::default();
        let hook = meanwhile.clone();
        let guard =
            Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("1").unwrap()).unwrap(), "Example")
                .with_policy(Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap())
                .with_clock(move || {
                    let mut hook = hook.lock().unwrap();
                    if let Some((readings, _)) = &mut *hook {
                        *readings -= 1;
                    }
                    let due = hook.take_if(|(readings, _)| *readings == 0);
                    drop(hook);
                    if let Some((_, happen)) = due {
                        happen();
                    }
                    Some(clock.load(SeqCst))
                })
                .with_events(move |event| listener.lock().unwrap().push(event.to_string()));
        let (guard, users) = (Arc::new(guard), Arc::new(Users::default()));
        for user in ["alice", "bob"] {
            users.expectations.lock().unwrap().insert(user.into(), Expectation::Optional);
        }
        let pages = Pages::new(App(users.clone()), guard.clone())
            .with_path(PATH)
            .unwrap()
            .with_home("/home")
            .with_trusted_devices(Duration::from_secs(30 * DAY));
        let private = Router::new().route("/private", get(async || "private").post(async || "private"));
        let payment = Router::new().route("/payment", get(async || "payment form").post(async || "paid"));
        let secrets = Router::new().route("/secrets", get(async || "secrets"));
        let router = Router::new()
            .route("/password", post(password))
            .with_state(pages.clone())
            .merge(pages.protect(private))
            .merge(pages.step_up("payment", payment).unwrap())
            .merge(pages.step_up("secrets", secrets).unwrap())
            .merge(pages.router());
        Self { router, users, guard, pages, time, events, meanwhile }
    }

    pub fn browser(&self) -> Browser {
        Browser { site: self.clone(), cookies: HashMap::new(), language: "en", set: Vec::new() }
    }

    pub fn now(&self) -> u64 {
        self.time.load(SeqCst)
    }

    pub fn later(&self, seconds: u64) {
        self.time.fetch_add(seconds, SeqCst);
    }

    pub fn expect(&self, user: &str, expectation: Expectation) {
        self.users.expectations.lock().unwrap().insert(user.into(), expectation);
    }

    /// Another code of the app, which was not used yet.
    pub fn code(&self, app: &Totp) -> String {
        self.later(30);
        app.code_at(self.now()).to_string()
    }
}

/// The password was right. Each way to log in ends in this call.
async fn password(
    State(pages): State<Pages<App, MemoryStore>>,
    Query(query): Query<HashMap<String, String>>,
    request: Parts,
) -> Response {
    let next = query.get("next").map_or("", String::as_str);
    pages.begin_login(&request, &query["user"], next).await
}

/// A response whose body was read.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.header("location")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "{} without \"{text}\": {}", self.status, self.body);
        self
    }

    pub fn is_refused(&self) -> bool {
        let to_login = self.status == StatusCode::SEE_OTHER && self.header("location").starts_with("/login");
        to_login || self.status.is_client_error()
    }

    /// The fields of the form with this action, and their values.
    #[track_caller]
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let start = format!("action=\"{action}\"");
        let form = self.body.split("<form").find(|form| form.contains(&start));
        let form = form.unwrap_or_else(|| panic!("{} without a form for {action}: {}", self.status, self.body));
        let form = form.split("</form>").next().unwrap();
        let inputs = form.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
        let inputs = inputs.filter(|input| !input.contains("type=\"checkbox\""));
        inputs.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect()
    }

    /// The recovery codes on the page.
    pub fn recovery_codes(&self) -> Vec<String> {
        let list = self.body.split("id=\"recovery-codes\"").nth(1).unwrap_or_default().split("</ol>").next().unwrap();
        list.split("<code").skip(1).map(|rest| rest.split(['>', '<']).nth(1).unwrap().to_owned()).collect()
    }

    /// The app on the user's phone, after it has scanned the QR code of this page.
    #[track_caller]
    pub fn scan(&self) -> Totp {
        let uri = self.body.split("href=\"otpauth:").nth(1).unwrap_or_else(|| panic!("no link in {}", self.body));
        let uri = format!("otpauth:{}", uri.split('"').next().unwrap().replace("&amp;", "&"));
        keyfob::KeyUri::parse(&uri).unwrap().to_totp().unwrap()
    }
}

fn attribute(tag: &str, name: &str) -> String {
    let value = tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A browser of one user.
#[derive(Clone)]
pub struct Browser {
    pub site: Site,
    pub cookies: HashMap<String, String>,
    pub language: &'static str,
    /// The cookies of the last response, with their attributes.
    pub set: Vec<String>,
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form as a page of this site does.
    pub async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Reply {
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.send(form(request, fields)).await
    }

    /// Sends the form for this path that the page contains, after the user has filled in some fields.
    #[track_caller]
    pub fn submit(&mut self, page: &Reply, path: &str, typed: &[(&str, &str)]) -> impl Future<Output = Reply> {
        let mut fields = page.form(path);
        for (name, value) in typed {
            fields.retain(|(found, _)| found != name);
            fields.push(((*name).into(), (*value).into()));
        }
        let path = path.to_owned();
        async move { self.post(&path, &fields).await }
    }

    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "example.com")
            .header("accept-language", self.language)
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
            .header("cookie", cookies.join("; "))
    }

    pub async fn send(&mut self, request: Request<Body>) -> Reply {
        let response = self.site.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let cookies = parts.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned());
        self.set = cookies.collect();
        for cookie in &self.set {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match cookie.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.into(), value.into())),
            }
        }
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Types the password, and returns what comes after it.
    pub async fn password(&mut self, user: &str) -> Reply {
        self.post(&format!("/password?user={user}&next=/private"), &[]).await
    }

    pub async fn page(&mut self, path: &str) -> Reply {
        self.get(&format!("{PATH}{path}")).await
    }

    pub async fn is_logged_in(&mut self) -> bool {
        self.get("/private").await.body == "private"
    }

    pub fn cookie(&self, part: &str) -> Option<String> {
        self.cookies.keys().find(|name| name.contains(part)).cloned()
    }

    /// Logs in without a second factor, and opens the page with the QR code of a first app.
    pub async fn set_up(&mut self, user: &str) -> Reply {
        self.password(user).await;
        let page = self.page("").await;
        let reply = self.submit(&page, &to("/enroll"), &[]).await;
        self.get(reply.location()).await
    }

    /// Logs in without a second factor, and adds the first app. Returns the app and the recovery codes.
    pub async fn enroll(&mut self, user: &str) -> (Totp, Vec<String>) {
        self.password(user).await;
        let page = self.page("").await;
        let location = self.submit(&page, &to("/enroll"), &[("name", "phone")]).await.location().to_owned();
        let page = self.get(&location).await;
        let app = page.scan();
        let typed = self.site.code(&app);
        let page = self.submit(&page, &to("/confirm"), &[("code", &typed)]).await;
        (app, page.recovery_codes())
    }

    /// The password, and then the form for the code.
    pub async fn challenge(&mut self, user: &str) -> Reply {
        let location = self.password(user).await.location().to_owned();
        assert!(location.starts_with(&to("/challenge")), "{location}");
        self.get(&location).await
    }

    /// A complete login with this code.
    pub async fn log_in(&mut self, user: &str, code: &str) -> Reply {
        let page = self.challenge(user).await;
        self.submit(&page, &to("/challenge"), &[("code", code)]).await
    }
}

pub fn form(request: axum::http::request::Builder, fields: &[(String, String)]) -> Request<Body> {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let body: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body.join("&"))).unwrap()
}

/// The path of one of the pages.
pub fn to(path: &str) -> String {
    format!("{PATH}{path}")
}

pub fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix(&format!("{name}="))).map(String::from)
}
