//! Attacks on the edges of the flow: made-up tokens, cookies of a sibling domain, sessions that ended in the meantime,
//! and routes that a layer could miss. Also words that would mislead a user.

use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::routing::get;
use base64ct::{Base64UrlUnpadded, Encoding};
use keyfob_axum::{English, German, Text, Texts};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::app;
use crate::site::{Browser, Site, form, to};

/// Asks a router that has only routes of the application.
async fn status(router: Router, path: &str) -> StatusCode {
    let request = Request::builder().uri(path).header("host", "example.com").body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_fallback_is_protected_like_the_routes() {
    let pages = Site::new().pages;
    let files = || Router::new().route("/known", get(async || "known")).fallback(async || "a file");
    for router in [pages.protect(files()), pages.step_up("files", files()).unwrap()] {
        // With merged routes, and below a prefix.
        for router in [router.clone(), Router::new().merge(router.clone()), Router::new().nest("/below", router)] {
            for path in ["/known", "/secret.pdf", "/below/known", "/below/secret.pdf", "/"] {
                assert_ne!(status(router.clone(), path).await, StatusCode::OK, "{path}");
            }
        }
    }
    // A fallback of a router below a prefix.
    let nested = || Router::new().route("/known", get(async || "known")).nest("/files", files());
    for router in [pages.protect(nested()), pages.step_up("files", nested()).unwrap()] {
        for path in ["/known", "/files/known", "/files/secret.pdf", "/files", "/files/"] {
            assert_ne!(status(router.clone(), path).await, StatusCode::OK, "{path}");
        }
        assert_eq!(status(router, "/nothing").await, StatusCode::NOT_FOUND);
    }
    // A router without a fallback leaves the paths of others alone, whichever of them is merged into the other one.
    let routes = || Router::new().route("/known", get(async || "known"));
    for protected in [pages.protect(routes()), pages.step_up("files", routes()).unwrap()] {
        let other = || Router::new().route("/open", get(async || "open"));
        for router in [protected.clone().merge(other()), other().merge(protected)] {
            assert_eq!(status(router.clone(), "/open").await, StatusCode::OK);
            assert_eq!(status(router.clone(), "/nothing").await, StatusCode::NOT_FOUND);
            assert_eq!(status(router, "/known").await, StatusCode::SEE_OTHER);
        }
        // The control: the fallback of the application itself stays open.
        let router = Router::new().fallback(async || "not found");
        assert_eq!(status(router, "/nothing").await, StatusCode::OK);
    }
}

#[test]
fn a_router_without_routes_does_not_panic() {
    let pages = Site::new().pages;
    drop(pages.protect(Router::<()>::new()));
    drop(pages.step_up("payment", Router::<()>::new()).unwrap());
}

#[tokio::test]
async fn a_made_up_ticket_does_not_tell_who_has_an_account() {
    let site = Site::new();
    site.browser().enroll("bob").await;
    let mut answers = Vec::new();
    // A user without a second factor, one with, and nobody.
    for user in ["alice", "bob", "nobody"] {
        let (name, mac) = (Base64UrlUnpadded::encode_string(user.as_bytes()), "A".repeat(52));
        let ticket = format!("enroll~{name}~0.0~1~9999999999~1~~1~{mac}");
        let hash = Sha256::new().chain_update(b"keyfob-axum 1 form\0").chain_update(&ticket).finalize();
        let token: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut browser = site.browser();
        browser.cookies.insert("__Host-keyfob-ticket".into(), ticket);
        browser.cookies.insert("__Host-keyfob-enrollment".into(), format!("{name}~abcdefghijklmnop~1~{mac}"));
        let long = "a".repeat(1000);
        let fields = |name| [("token", token.as_str()), ("code", "000000"), ("name", name)];
        let fields = |name| fields(name).map(|(name, value)| (name.into(), value.into()));
        let shown = browser.page("/enroll").await;
        shown.shows("action=\"/account/two-factor/enroll\""); // The token was parsed.
        let started = browser.post(&to("/enroll"), &fields("phone")).await;
        let refused = browser.post(&to("/enroll"), &fields(&long)).await;
        let confirmed = browser.post(&to("/confirm"), &fields("")).await;
        let shown = shown.body.replace(&token, "");
        answers.push((shown, [started, refused, confirmed].map(|reply| (reply.status, reply.body))));
    }
    assert_eq!(answers[0].1[0].0, StatusCode::FORBIDDEN);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(answers[0], answers[1]);
}

/// Sends a request with these bytes in front of the cookies.
async fn with_cookie(browser: &mut Browser, method: Method, path: &str, before: &[u8]) -> StatusCode {
    let mut request = browser.request(method, path).body(Body::empty()).unwrap();
    let cookies = [before, b"; ", request.headers()["cookie"].as_bytes()].concat();
    request.headers_mut().insert("cookie", HeaderValue::from_bytes(&cookies).unwrap());
    browser.send(request).await.status
}

#[tokio::test]
async fn a_cookie_that_is_not_ascii_does_not_hide_the_others() {
    let site = Site::new();
    site.browser().enroll("alice").await;
    let mut browser = site.browser();
    browser.challenge("alice").await;
    // A page on a sibling domain can set such a cookie for this one, and lock the user out for years.
    for before in ["theme=hell".as_bytes(), "theme=grün".as_bytes(), b"theme=\xff"] {
        assert_eq!(with_cookie(&mut browser, Method::GET, &to("/challenge"), before).await, StatusCode::OK);
    }
    // The same for a name that only looks like ours to a server that trims more than spaces. A browser lets every
    // sibling domain set it.
    let mut stranger = site.browser();
    let planted = browser.cookies["__Host-keyfob-login"].clone();
    for space in ["\u{2000}", "\u{a0}", "\u{85}", "\u{3000}"] {
        let before = format!("x=y; {space}__Host-keyfob-login={planted}");
        let status = with_cookie(&mut stranger, Method::GET, &to("/challenge"), before.as_bytes()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{space:?}");
    }
}

#[tokio::test]
async fn a_planted_id_is_noticed_even_if_nobody_was_logged_in() {
    let site = Site::new();
    site.users.fixed.store(true, SeqCst);
    let mut browser = site.browser();
    browser.cookies.insert("session".into(), "planted-by-an-attacker".into());
    assert_eq!(browser.password("alice").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(site.users.sessions.lock().unwrap().is_empty() && !browser.is_logged_in().await);
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_renewed() {
    let site = Site::new();
    let mut thief = site.browser();
    thief.password("alice").await;
    let (parts, ()) = thief.request(Method::POST, "/").body(()).unwrap().into_parts();
    let session = site.pages.session(&parts).await.unwrap().unwrap();
    // The thief's request has passed the check of the session. Meanwhile, the owner resets the password.
    site.guard.forget_devices("alice").await.unwrap();
    site.pages.password_changed(&session).await.unwrap();
    assert!(!thief.is_logged_in().await);
    // The control: a session that is current goes on.
    let mut owner = site.browser();
    owner.password("alice").await;
    let (parts, ()) = owner.request(Method::POST, "/").body(()).unwrap().into_parts();
    let session = site.pages.session(&parts).await.unwrap().unwrap();
    site.pages.password_changed(&session).await.unwrap();
    assert!(owner.is_logged_in().await);
}

#[tokio::test]
async fn after_an_interrupted_action_the_user_returns_to_the_page_with_the_form() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.enroll("alice").await;
    for (referer, expected) in [
        ("https://example.com/cart?item=1", "next=/cart%3Fitem%3D1"),
        ("https://evil.example/cart", "next=/payment"),
        ("https://example.com.evil.example/cart", "next=/payment"),
        ("https://example.com", "next=/payment"),
        ("https://example.com//evil.example", "next=/payment"),
        ("https://example.com@evil.example/", "next=/payment"),
        ("", "next=/payment"),
    ] {
        let request = browser.request(Method::POST, "/payment").header("sec-fetch-site", "same-origin");
        let reply = browser.send(form(request.header("referer", referer), &[])).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        reply.shows(&format!("/check?purpose=payment&amp;{expected}\""));
    }
    // The same for a login that has ended.
    let request = site.browser().request(Method::POST, "/private").header("referer", "https://example.com/cart");
    assert_eq!(site.browser().send(form(request, &[])).await.location(), "/login?next=/cart");
}

#[tokio::test]
async fn words_about_recovery_codes_do_not_speak_of_the_app() {
    let site = Site::new();
    let (_, codes) = site.browser().enroll("alice").await;
    site.browser().log_in("alice", &codes[0]).await;
    let (_, others) = site.browser().enroll("bob").await;
    // Used already, and of somebody else.
    for code in [&codes[0], &others[0]] {
        let mut browser = site.browser();
        browser.challenge("alice").await;
        let page = browser.page("/challenge?with=recovery").await;
        let reply = browser.submit(&page, &to("/challenge"), &[("code", code)]).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        let error = reply.body.split("id=\"code-error\"").nth(1).unwrap().split('<').next().unwrap().to_owned();
        assert!(!error.contains("app") && error.contains("recovery code"), "{error}");
    }
}

#[test]
fn one_day_is_not_one_days() {
    let words = |texts: &dyn Texts, days| texts.text(&Text::Trust { days }).into_owned();
    assert!(words(&English, 1).ends_with("for one day") && words(&English, 30).ends_with("for 30 days"));
    assert!(words(&German, 1).contains("einen Tag lang") && words(&German, 30).contains("30 Tage lang"));
}

#[test]
fn the_example_hashes_for_an_unknown_address_as_for_a_known_one() {
    // A hash that cannot be read, or a cheaper one, would tell by the time which addresses have an account.
    let hash = PasswordHash::new(app::NOBODY).unwrap();
    assert_eq!(hash.algorithm.as_str(), "argon2id");
    let parameters = argon2::Params::try_from(&hash).unwrap();
    let default = argon2::Params::default();
    let cost = |params: &argon2::Params| (params.m_cost(), params.t_cost(), params.p_cost());
    assert_eq!(cost(&parameters), cost(&default));
    assert!(Argon2::default().verify_password(b"", &hash).is_err());
}

#[tokio::test]
async fn a_new_recovery_code_is_shown_even_if_the_application_fails() {
    let site = Site::new();
    let (_, codes) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    site.users.broken.store(true, SeqCst);
    let reply = browser.submit(&page, &to("/challenge"), &[("code", &codes[0])]).await;
    site.users.broken.store(false, SeqCst);
    assert!(!browser.is_logged_in().await && browser.cookie("proof").is_none());
    let new = reply.recovery_codes();
    assert_eq!(new.len(), 1, "{}", reply.body);
    site.browser().log_in("alice", &new[0]).await.shows("You have used a recovery code");
}

#[tokio::test]
async fn a_session_that_ends_during_the_request_is_not_renewed() {
    // The owner resets the password between the check of the thief's session and the change.
    for readings in 1..=2 {
        let site = Site::new();
        let mut thief = site.browser();
        thief.enroll("alice").await;
        let page = thief.page("").await;
        let guard = site.guard.clone();
        let reset = move || {
            // The store is in memory, so this is ready at once.
            let reset = std::pin::pin!(guard.forget_devices("alice"));
            assert!(reset.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        };
        *site.meanwhile.lock().unwrap() = Some((readings, Box::new(reset)));
        thief.submit(&page, &to("/devices/forget-all"), &[]).await;
        assert!(site.meanwhile.lock().unwrap().is_none(), "the reset has happened during the request");
        assert!(!thief.is_logged_in().await, "{readings}");
    }
}

#[tokio::test]
async fn a_websocket_from_a_sibling_domain_does_not_reach_a_route_with_a_proof() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let page = browser.page("/check?purpose=payment").await;
    let code = site.code(&app);
    browser.submit(&page, &to("/check"), &[("code", &code)]).await;
    for (from, status) in [("same-site", 403), ("cross-site", 403), ("same-origin", 200)] {
        let request = browser.request(Method::GET, "/payment").header("sec-fetch-site", from);
        let request = request.header("connection", "Upgrade").header("upgrade", "WebSocket");
        assert_eq!(browser.send(request.body(Body::empty()).unwrap()).await.status.as_u16(), status, "{from}");
        // The control: a link from there.
        let request = browser.request(Method::GET, "/payment").header("sec-fetch-site", from);
        assert_eq!(browser.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    }
}

/// The example, with an empty database.
async fn example() -> (Router, std::path::PathBuf) {
    let file = std::env::temp_dir().join(format!("keyfob-axum-example-{}.db", std::process::id()));
    let database = app::open(&file).await.unwrap();
    let keys = keyfob::Keyring::parse(&keyfob::Keyring::generate("test").unwrap()).unwrap();
    let guard = app::guard(&database, keys).await.unwrap();
    (app::router(database, guard).unwrap(), file)
}

#[tokio::test]
async fn the_example_refuses_foreign_forms_and_a_new_password_without_the_old_one() {
    let (router, file) = example().await;
    let send = async |path: &str, cookie: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let request = Request::builder().method(Method::POST).uri(path).header("host", "example.com");
        let request = request.header("cookie", cookie);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let reply = router.clone().oneshot(form(request, &fields)).await.unwrap();
        let cookie = reply.headers().get("set-cookie").map_or("", |cookie| cookie.to_str().unwrap());
        (reply.status(), cookie.split(';').next().unwrap().to_owned())
    };
    let own = [("origin", "https://example.com")];
    let fields = [("email", "alice@example.com"), ("password", app::PASSWORD)];
    // Another site logs its visitor into an account of its own.
    let from: [&[(&str, &str)]; 5] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ];
    for headers in from {
        assert_eq!(send("/login", "", headers, &fields).await.0, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let (_, cookie) = send("/login", "", &own, &fields).await;
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    for (current, password, status) in [
        ("", "a password that is new", StatusCode::UNPROCESSABLE_ENTITY),
        ("wrong", "a password that is new", StatusCode::UNPROCESSABLE_ENTITY),
        (app::PASSWORD, "short", StatusCode::UNPROCESSABLE_ENTITY),
        (app::PASSWORD, "a password that is new", StatusCode::SEE_OTHER),
    ] {
        let fields = [("current", current), ("password", password)];
        assert_eq!(send("/password", &cookie, &own, &fields).await.0, status, "{current} {password}");
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}
