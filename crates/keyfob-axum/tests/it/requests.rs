//! The edges of HTTP: headers, methods, bodies, redirects, and what must never be in them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::body::Body;
use axum::http::{Method, StatusCode};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::bypasses::PAGES;
use crate::site::{Site, to};

#[tokio::test]
async fn the_next_page_is_on_this_site() {
    let site = Site::new();
    let own = ["/private", "/a/b?c=d%2F&e", "/x:y@z"];
    let foreign = [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "",
        "evil.example",
        "/%09/evil.example\t",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\\b",
        "/ä",
        " //evil.example",
    ];
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for (next, expected) in own.map(|next| (next, next)).into_iter().chain(foreign.map(|next| (next, "/home"))) {
        let mut browser = site.browser();
        let reply = browser.post(&format!("/password?user=alice&next={}", escape(next)), &[]).await;
        assert_eq!(reply.location(), expected, "{next:?}");
    }
    let (app, _) = site.browser().enroll("alice").await;
    for (next, expected) in [("/private", "/private"), ("//evil.example", "/home"), ("/\\evil.example", "/home")] {
        // In the URL of the form, in the form itself, and in the one for actions.
        let mut browser = site.browser();
        browser.password("alice").await;
        let page = browser.page(&format!("/challenge?next={}", escape(next))).await;
        assert!(!page.body.contains("evil"), "{}", page.body);
        let code = site.code(&app);
        let reply = browser.submit(&page, &to("/challenge"), &[("code", &code), ("next", next)]).await;
        assert_eq!(reply.location(), expected);
        let page = browser.page(&format!("/check?purpose=payment&next={}", escape(next))).await;
        assert!(!page.body.contains("evil"));
        let code = site.code(&app);
        let reply = browser.submit(&page, &to("/check"), &[("code", &code), ("next", next)]).await;
        assert_eq!(reply.location(), expected);
    }
}

#[tokio::test]
async fn every_response_forbids_caching_and_foreign_content() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.enroll("alice").await;
    let mut replies =
        vec![browser.page("/nothing").await, browser.get("/payment").await, browser.password("bob").await];
    for (path, reads, _) in PAGES {
        for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD] {
            let request = browser.request(method.clone(), &to(path)).body(Body::empty()).unwrap();
            let reply = site.browser().send(request).await;
            if path.contains('.') && reads && matches!(method, Method::GET | Method::HEAD) {
                assert_eq!(reply.header("cache-control"), "public, max-age=3600", "{path}");
                assert_eq!(reply.header("x-content-type-options"), "nosniff");
            } else {
                replies.push(reply);
            }
        }
    }
    for reply in replies {
        assert_eq!(reply.header("cache-control"), "no-store", "{} {}", reply.status, reply.body);
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(reply.header("referrer-policy"), "same-origin");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        // The policy would block them.
        assert!(!reply.body.contains(" style=") && !reply.body.contains("<style") && !reply.body.contains(" onclick"));
        assert!(!reply.body.contains("<script>"));
    }
}

#[tokio::test]
async fn cookies_are_for_this_host_only_and_no_script_reads_them() {
    let site = Site::new();
    let mut cookies = Vec::new();
    let mut browser = site.browser();
    browser.password("alice").await;
    let page = browser.page("").await;
    let reply = browser.submit(&page, &to("/enroll"), &[]).await;
    cookies.append(&mut browser.set);
    let page = browser.get(reply.location()).await;
    let app = page.scan();
    let code = site.code(&app);
    let codes = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await.recovery_codes();
    cookies.append(&mut browser.set);
    let page = browser.challenge("alice").await;
    browser.password("alice").await;
    cookies.append(&mut browser.set);
    browser.submit(&page, &to("/challenge"), &[("code", &codes[0])]).await;
    cookies.append(&mut browser.set);
    let page = browser.page("/check?purpose=payment").await;
    let code = site.code(&app);
    browser.submit(&page, &to("/check"), &[("code", &code)]).await;
    cookies.append(&mut browser.set);
    site.expect("bob", keyfob::guard::Expectation::RequiredFrom(0));
    browser.password("bob").await;
    cookies.append(&mut browser.set);
    let ours: Vec<_> = cookies.iter().filter(|cookie| !cookie.starts_with("session=")).collect();
    for kind in ["login", "ticket", "enrollment", "device-", "proof-add", "proof-app-payment"] {
        assert!(ours.iter().any(|cookie| cookie.starts_with(&format!("__Host-keyfob-{kind}"))), "{kind}: {ours:?}");
    }
    for cookie in ours {
        assert!(cookie.starts_with("__Host-keyfob-"), "{cookie}");
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(&attribute), "{cookie}");
        }
        assert!(cookie.contains("Max-Age=") && !cookie.contains("Domain"), "{cookie}");
        // No policy makes a proof valid for longer, and the guard knows when it ends.
        let lifetime = cookie.rsplit_once("Max-Age=").map(|(_, seconds)| seconds);
        assert!(!cookie.contains("-proof-") || matches!(lifetime, Some("0" | "3600")), "{cookie}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_reading_changes_nothing() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.enroll("alice").await;
    browser.challenge("alice").await;
    let before = format!("{:?}", site.guard.status("alice").await.unwrap());
    let events = site.events.lock().unwrap().len();
    for (path, reads, writes) in PAGES {
        let path = to(path);
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST", "GET", "HEAD"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = browser.request(method.clone(), &path).header("sec-fetch-site", "same-origin");
            let reply = browser.clone().send(request.body(Body::empty()).unwrap()).await;
            let known = match method {
                Method::GET | Method::HEAD => reads,
                Method::POST => writes,
                _ => false,
            };
            assert_eq!(reply.status == StatusCode::METHOD_NOT_ALLOWED, !known, "{method} {path}: {}", reply.status);
            assert!(method != Method::HEAD || reply.body.is_empty() || !known);
        }
    }
    assert_eq!(format!("{:?}", site.guard.status("alice").await.unwrap()), before);
    assert_eq!(site.events.lock().unwrap().len(), events, "no handler has asked the guard for a change");
}

#[tokio::test]
async fn bodies_that_no_form_sends_are_refused() {
    let site = Site::new();
    site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    let token = page.form(&to("/challenge"))[0].1.clone();
    let many = (0..10_000).map(|index| format!("{index}=")).collect::<Vec<_>>().join("&");
    let some = (0..100).map(|index| format!("{index}=")).collect::<Vec<_>>().join("&");
    let bodies: [(Vec<u8>, u16); 8] = [
        (format!("token={token}&code={}", "1".repeat(10_000_000)).into_bytes(), 413),
        (format!("token={token}&{many}").into_bytes(), 413),
        (format!("token={token}&{some}").into_bytes(), 400),
        (format!("token={token}&code=1&code=2").into_bytes(), 400),
        ([format!("token={token}&code=").as_bytes(), b"\xff\xfe"].concat(), 400),
        (format!("token={token}&code=%FF").into_bytes(), 400),
        (b"token".to_vec(), 403),
        (b"".to_vec(), 403),
    ];
    for (body, status) in bodies {
        let request = browser.request(Method::POST, &to("/challenge")).header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (length, reply) = (body.len(), browser.send(request.body(Body::from(body)).unwrap()).await);
        assert_eq!(reply.status.as_u16(), status, "{length} bytes");
    }
    for kind in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
        let request = browser.request(Method::POST, &to("/challenge")).header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", kind).body(Body::from(format!("token={token}&code=000000")));
        assert_eq!(browser.send(request.unwrap()).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    // Whatever is typed comes back escaped.
    let nasty = "<script>alert(1)</script>\"'\0\u{202e}";
    let reply = browser.submit(&page, &to("/challenge"), &[("code", nasty), ("next", nasty)]).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!reply.body.contains("<script>alert"));
}

/// Keeps everything that is logged.
struct Log;

static LOG: Mutex<String> = Mutex::new(String::new());
static LOGGED: AtomicUsize = AtomicUsize::new(0);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        LOG.lock().unwrap().push_str(&format!("{span:?}\n"));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        LOG.lock().unwrap().push_str(&format!("{values:?}\n"));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        LOGGED.fetch_add(1, SeqCst);
        LOG.lock().unwrap().push_str(&format!("{event:?}\n"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_secret_is_in_a_url_or_in_the_log() {
    let _ = tracing::subscriber::set_global_default(Log);
    let site = Site::new();
    let mut browser = site.browser();
    let mut urls = vec![browser.password("alice").await.location().to_owned()];
    let page = browser.page("").await;
    urls.push(browser.submit(&page, &to("/enroll"), &[]).await.location().into());
    let page = browser.get(&urls[1]).await;
    let app = page.scan();
    let key = page.body.split("id=\"key\"").nth(1).unwrap().split(['>', '<']).nth(1).unwrap().to_owned();
    let first = site.code(&app);
    // One failure of the application, so that something is logged.
    site.users.broken.store(true, SeqCst);
    let page = browser.submit(&page, &to("/confirm"), &[("code", &first)]).await;
    site.users.broken.store(false, SeqCst);
    let mut secrets = page.recovery_codes();
    secrets.extend([first, key.clone(), key.replace(' ', "")]);
    for link in page.body.split("href=\"").skip(1).chain(page.body.split("action=\"").skip(1)) {
        urls.push(link.split('"').next().unwrap().to_owned());
    }
    urls.push(browser.password("alice").await.location().into());
    let page = browser.get(&urls[urls.len() - 1]).await;
    secrets.push(browser.cookies["__Host-keyfob-login"].clone());
    secrets.push(page.form(&to("/challenge"))[0].1.clone());
    let second = site.code(&app);
    urls.push(browser.submit(&page, &to("/challenge"), &[("code", &second), ("trust", "yes")]).await.location().into());
    secrets.push(second);
    urls.push(browser.get("/payment").await.location().into());
    let page = browser.get(&urls[urls.len() - 1]).await;
    let third = site.code(&app);
    urls.push(browser.submit(&page, &to("/check"), &[("code", &third)]).await.location().into());
    secrets.push(third);
    for name in ["device", "proof"] {
        let name = browser.cookie(name).unwrap();
        secrets.push(browser.cookies[&name].clone());
    }
    let log = LOG.lock().unwrap().clone() + &site.events.lock().unwrap().join("\n");
    assert!(LOGGED.load(SeqCst) > 0 && log.contains("the database is down"), "{log}");
    assert!(secrets.len() > 15 && urls.len() > 8);
    for secret in secrets {
        assert!(!urls.iter().any(|url| url.contains(&secret)), "{secret} in {urls:?}");
        assert!(!log.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn pages_are_small() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.enroll("alice").await;
    let mut largest = 0;
    for (path, reads, _) in PAGES {
        if reads && !path.contains('.') {
            largest = largest.max(browser.page(path).await.body.len());
        }
    }
    let [style, script] = [browser.page("/style.css").await, browser.page("/script.js").await];
    let all = largest + style.body.len() + script.body.len();
    assert!(
        all <= 20_000,
        "{largest} bytes, with a style sheet of {} and a script of {}",
        style.body.len(),
        script.body.len()
    );
}

#[tokio::test]
async fn a_change_is_finished_if_the_client_hangs_up() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let page = browser.page("/recovery-codes").await;
    let code = site.code(&app);
    let before = site.guard.status("alice").await.unwrap().generation();
    let mut client = browser.clone();
    let (path, typed) = (to("/recovery-codes"), [("code", code.as_str())]);
    let mut request = Box::pin(client.submit(&page, &path, &typed));
    // The client sends the request, and does not wait for the answer.
    std::future::poll_fn(|context| {
        let _ = request.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    drop(request);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_ne!(site.guard.status("alice").await.unwrap().generation(), before);
    assert!(browser.is_logged_in().await, "the new generation is stored with the session");
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let pages = Site::new().pages;
    for path in ["", "/", "a", "/a/", "//a", "/a//b", "/{id}", "/*a", "/ä", "/a b", "/a?b", "/a\n"] {
        assert!(pages.clone().with_path(path).is_err(), "{path:?}");
    }
    assert!(pages.clone().with_path("/account/two-factor2").is_ok());
    for purpose in ["", "Payment", "a b", "a;b", "payment\n", &"a".repeat(33)] {
        assert!(pages.step_up(purpose, axum::Router::<()>::new()).is_err(), "{purpose:?}");
    }
    // Nothing secret is in the output for the log.
    let session = keyfob_axum::Session::new("alice", "session-1", keyfob::guard::Generation::default());
    assert!(!format!("{session:?} {pages:?}").contains("session-1"));
}
