//! Ways around a second factor that other products had. Each test is named after what the flow must do.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use keyfob::guard::{Expectation, Setup};

use crate::site::{Browser, DAY, Reply, Site, form, to};

/// Every page, and whether it takes a form. A test below compares this list with the source of the routes.
pub const PAGES: [(&str, bool, bool); 17] = [
    ("", true, false),
    ("/challenge", true, true),
    ("/enroll", true, true),
    ("/confirm", false, true),
    ("/cancel", false, true),
    ("/add", true, true),
    ("/authenticators/abcdefghijklmnop/rename", true, true),
    ("/authenticators/abcdefghijklmnop/replace", true, true),
    ("/authenticators/abcdefghijklmnop/remove", true, true),
    ("/recovery-codes", true, true),
    ("/recovery-codes/download", false, true),
    ("/turn-off", true, true),
    ("/devices/forget", false, true),
    ("/devices/forget-all", false, true),
    ("/check", true, true),
    ("/style.css", true, false),
    ("/script.js", true, false),
];

/// The fields that a form could have. Their values would be right if the token was.
fn fields(token: &str, code: &str) -> Vec<(String, String)> {
    let fields = [("token", token), ("code", code), ("name", "x"), ("purpose", "payment"), ("with", "app")];
    fields.map(|(name, value)| (name.into(), value.into())).into()
}

/// Sends each request that there is, and returns those that were not refused.
async fn opened(browser: &Browser, token: &str, code: &str) -> Vec<String> {
    let mut opened = Vec::new();
    for (path, reads, writes) in PAGES.iter().filter(|(path, ..)| !path.contains('.')) {
        for method in [Method::GET, Method::POST] {
            // Each request starts with the same cookies.
            let (mut browser, path) = (browser.clone(), to(path));
            let reply = match method {
                Method::GET if *reads => browser.get(&path).await,
                Method::POST if *writes => browser.post(&path, &fields(token, code)).await,
                _ => continue,
            };
            if !reply.is_refused() {
                opened.push(format!("{method} {}", &path[to("").len()..]));
            }
        }
    }
    opened
}

#[test]
fn every_route_is_in_the_list() {
    let routes = include_str!("../../src/routes.rs");
    let routes: Vec<_> = routes.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")).collect();
    assert_eq!(routes.len(), PAGES.len());
    for (route, (path, reads, writes)) in routes.iter().zip(PAGES) {
        let (listed, handlers) = route.split_once('"').unwrap();
        assert_eq!(listed.trim_end_matches('/'), path.replace("abcdefghijklmnop", "{id}"));
        assert_eq!(handlers.contains("get("), reads, "{route}");
        assert_eq!(handlers.contains("post("), writes, "{route}");
    }
}

#[tokio::test]
async fn a_pending_login_opens_the_challenge_and_nothing_else() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut pending = site.browser();
    let page = pending.challenge("alice").await;
    let token = page.form(&to("/challenge"))[0].1.clone();
    assert_eq!(opened(&pending, &token, "000000").await, ["GET /challenge"]);
    assert_eq!(pending.get("/private").await.location(), "/login?next=/private");
    assert!(pending.get("/payment").await.is_refused() && pending.post("/payment", &[]).await.is_refused());
    // The control: the right code opens the challenge, and with a session everything is open.
    let code = site.code(&app);
    assert_eq!(opened(&pending, &token, &code).await, ["GET /challenge", "POST /challenge"]);
    let mut complete = site.browser();
    complete.log_in("alice", &site.code(&app)).await;
    assert!(opened(&complete, "", "").await.len() >= 5);
}

#[tokio::test]
async fn a_ticket_opens_the_enrollment_and_nothing_else() {
    let site = Site::new();
    site.expect("alice", Expectation::RequiredFrom(0));
    let mut pending = site.browser();
    let location = pending.password("alice").await.location().to_owned();
    let page = pending.get(&location).await;
    let token = page.form(&to("/enroll"))[0].1.clone();
    assert_eq!(opened(&pending, &token, "000000").await, ["GET /enroll", "POST /enroll"]);
    assert!(!pending.is_logged_in().await);
}

#[tokio::test]
async fn a_pending_login_cannot_enroll_a_factor_of_its_own() {
    let site = Site::new();
    site.browser().enroll("alice").await;
    let mut pending = site.browser();
    let page = pending.challenge("alice").await;
    let token = page.form(&to("/challenge"))[0].1.clone();
    // Its cookie, under the name of the other one.
    let challenge = pending.cookies["__Host-keyfob-login"].clone();
    pending.cookies.insert("__Host-keyfob-ticket".into(), challenge);
    assert!(pending.page("/enroll").await.is_refused());
    assert!(pending.post(&to("/enroll"), &fields(&token, "")).await.is_refused());
    assert!(!site.guard.status("alice").await.unwrap().enrollment_pending());
}

#[tokio::test]
async fn a_ticket_from_before_the_enrollment_is_void() {
    let site = Site::new();
    site.expect("alice", Expectation::RequiredFrom(0));
    let mut thief = site.browser();
    let location = thief.password("alice").await.location().to_owned();
    let page = thief.get(&location).await;
    site.expect("alice", Expectation::Optional);
    site.browser().enroll("alice").await;
    assert!(thief.submit(&page, &to("/enroll"), &[]).await.is_refused());
    assert!(!thief.is_logged_in().await);
}

#[tokio::test]
async fn an_active_secret_is_never_shown_again() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.set_up("alice").await;
    let before = browser.cookies.clone();
    let key = page.body.split("id=\"key\"").nth(1).unwrap().split(['>', '<']).nth(1).unwrap().to_owned();
    let code = site.code(&page.scan());
    browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    browser.cookies.extend(before);
    for (path, reads, _) in PAGES {
        if reads {
            assert!(!browser.page(path).await.body.contains(&key), "{path}");
        }
    }
    // Nor is a new one made without a code.
    let page = browser.page("/add").await;
    let token = page.form(&to("/add"))[0].1.clone();
    assert_eq!(browser.post(&to("/enroll"), &fields(&token, "")).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn every_way_in_goes_through_the_same_challenge() {
    let site = Site::new();
    site.browser().enroll("alice").await;
    let mut browser = site.browser();
    // A reset link and single sign-on call the same function, which is the only one that starts a session.
    for way in ["/password?user=alice", "/password?user=alice&next=/from-a-link"] {
        let reply = browser.post(way, &[]).await;
        assert!(reply.location().starts_with(&to("/challenge")));
        assert!(!browser.set.iter().any(|cookie| cookie.starts_with("session=")), "{:?}", browser.set);
    }
    assert!(site.users.sessions.lock().unwrap().len() == 1 && !browser.is_logged_in().await);
}

#[tokio::test]
async fn a_device_is_remembered_only_after_the_code() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    browser.submit(&page, &to("/challenge"), &[("code", "000000"), ("trust", "yes")]).await;
    assert!(browser.cookie("device").is_none() && site.guard.status("alice").await.unwrap().devices().is_empty());
    let code = site.code(&app);
    browser.submit(&page, &to("/challenge"), &[("code", &code), ("trust", "yes")]).await;
    assert!(browser.cookie("device").is_some());
}

#[tokio::test]
async fn only_a_session_opens_the_routes_of_the_application() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    let code = site.code(&app);
    browser.submit(&page, &to("/challenge"), &[("code", &code), ("trust", "yes")]).await;
    browser.get("/payment").await;
    assert!(browser.is_logged_in().await);
    browser.cookies.remove("session");
    // The cookies of the pages are worth nothing without it. No script was needed to find out.
    assert!(!browser.cookies.is_empty());
    for path in ["/private", "/payment", "/secrets"] {
        assert!(browser.get(path).await.is_refused() && browser.post(path, &[]).await.is_refused());
    }
}

#[tokio::test]
async fn a_code_without_the_password_logs_nobody_in() {
    let site = Site::new();
    let (app, codes) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let code = site.code(&app);
    for cookie in ["", "x", "login~YWxpY2U~1.0~0~9999999999~1~~1~AAAA"] {
        browser.cookies.insert("__Host-keyfob-login".into(), cookie.into());
        for code in [&code, &codes[0]] {
            let reply = browser.post(&to("/challenge"), &fields("", code)).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN);
        }
    }
    assert!(!browser.is_logged_in().await);
}

#[tokio::test]
async fn a_pending_login_is_bound_to_one_account() {
    let site = Site::new();
    let (bobs_app, _) = site.browser().enroll("bob").await;
    site.browser().enroll("alice").await;
    let mut attacker = site.browser();
    let page = attacker.challenge("alice").await;
    let code = site.code(&bobs_app);
    // The attacker's own code, with the names of the victim in every field that could choose the account.
    for name in ["user", "username", "account", "id", "email"] {
        let reply = attacker.submit(&page, &to("/challenge"), &[("code", &code), (name, "bob")]).await;
        assert!(reply.status == StatusCode::UNPROCESSABLE_ENTITY && !attacker.is_logged_in().await);
    }
}

#[tokio::test]
async fn the_token_of_another_account_is_refused() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let (bobs_app, _) = site.browser().enroll("bob").await;
    let (mut alice, mut bob) = (site.browser(), site.browser());
    alice.log_in("alice", &site.code(&app)).await;
    bob.log_in("bob", &site.code(&bobs_app)).await;
    let page = bob.page("/turn-off").await;
    let code = site.code(&app);
    let reply = alice.submit(&page, &to("/turn-off"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    // Neither does the form of a pending login fit another one.
    let (mut first, mut second) = (site.browser(), site.browser());
    let page = first.challenge("bob").await;
    second.challenge("alice").await;
    let reply = second.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    // The control: the code was not used, and works in a form of this account.
    let page = alice.page("/turn-off").await;
    assert_eq!(alice.submit(&page, &to("/turn-off"), &[("code", &code)]).await.location(), to(""));
}

#[tokio::test]
async fn a_pending_login_ends_after_minutes() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    assert!(browser.set.is_empty());
    site.later(300);
    let code = site.code(&app);
    let reply = browser.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    reply.shows("Please log in again").shows("href=\"/login\"");
    assert!(!browser.is_logged_in().await);
}

#[tokio::test]
async fn a_pending_login_is_good_for_one_login() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    let (mut again, code) = (browser.clone(), site.code(&app));
    browser.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert!(browser.is_logged_in().await && browser.cookie("login").is_none());
    let code = site.code(&app);
    let reply = again.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(!again.is_logged_in().await);
    // A browser that has sent the form twice is logged in, and continues.
    browser.cookies.extend(again.cookies.clone());
    let reply = browser.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert_eq!(reply.location(), "/private");
}

#[tokio::test]
async fn the_session_gets_a_new_id() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    browser.cookies.insert("session".into(), "planted".into());
    browser.log_in("alice", &site.code(&app)).await;
    assert_ne!(browser.cookies["session"], "planted");
    // A login while a session exists gets a new one, too. An application that keeps the id logs nobody in.
    let old = browser.cookies["session"].clone();
    site.users.fixed.store(true, std::sync::atomic::Ordering::SeqCst);
    let reply = browser.log_in("alice", &site.code(&app)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!site.users.sessions.lock().unwrap().contains_key(&old));
}

#[tokio::test]
async fn a_change_of_the_factors_ends_older_sessions() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let mut older = site.browser();
    older.log_in("alice", &site.code(&app)).await;
    let copy = site.users.sessions.lock().unwrap().clone();
    let page = browser.page("/turn-off").await;
    let code = site.code(&app);
    browser.submit(&page, &to("/turn-off"), &[("code", &code)]).await;
    // The application has ended it, and even if it had not, it is not current anymore.
    let old = older.cookies["session"].clone();
    assert!(!site.users.sessions.lock().unwrap().contains_key(&old));
    site.users.sessions.lock().unwrap().insert(old.clone(), copy[&old].clone());
    assert!(!older.is_logged_in().await && browser.is_logged_in().await);
    assert!(!site.users.sessions.lock().unwrap().contains_key(&old), "it was ended");
}

#[tokio::test]
async fn a_new_password_ends_older_sessions_pending_logins_and_devices() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let (mut older, mut pending) = (site.browser(), site.browser());
    let page = older.challenge("alice").await;
    let code = site.code(&app);
    older.submit(&page, &to("/challenge"), &[("code", &code), ("trust", "yes")]).await;
    let page = pending.challenge("alice").await;
    let (parts, ()) = browser.request(Method::POST, "/").body(()).unwrap().into_parts();
    let session = site.pages.session(&parts).await.unwrap().unwrap();
    site.pages.password_changed(&session).await.unwrap();
    assert!(browser.is_logged_in().await && !older.is_logged_in().await);
    assert!(older.password("alice").await.location().starts_with(&to("/challenge")), "the device is forgotten");
    let code = site.code(&app);
    assert!(pending.submit(&page, &to("/challenge"), &[("code", &code)]).await.is_refused());
}

#[tokio::test]
async fn a_change_needs_a_fresh_code() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let used = app.code_at(site.now()).to_string();
    let before = format!("{:?}", site.guard.status("alice").await.unwrap().generation());
    let id = site.guard.status("alice").await.unwrap().authenticators()[0].id().to_string();
    let [rename, replace] = ["rename", "replace"].map(|action| format!("/authenticators/{id}/{action}"));
    for path in ["/turn-off", "/recovery-codes", "/add", &rename, &replace] {
        for code in ["", "000000", &used] {
            let page = browser.page(path).await;
            let reply = browser.submit(&page, &to(path), &[("code", code)]).await;
            assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        }
        site.later(3600); // The waits are not what this is about.
    }
    assert_eq!(format!("{:?}", site.guard.status("alice").await.unwrap().generation()), before);
    assert!(!site.guard.status("alice").await.unwrap().enrollment_pending());
}

#[tokio::test]
async fn a_lost_record_fails_closed() {
    let site = Site::new();
    site.browser().enroll("alice").await;
    site.guard.erase("alice").await.unwrap();
    let mut browser = site.browser();
    let reply = browser.password("alice").await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    reply.shows("Please contact our support.");
    assert!(browser.set.is_empty() && !browser.is_logged_in().await);
    // Nor does a user of whom the application has lost the row get in.
    let reply = browser.password("carol").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.set.is_empty());
}

#[tokio::test]
async fn grace_ends_at_its_deadline_whatever_was_enrolled_in_between() {
    let site = Site::new();
    let deadline = site.now() + 14 * DAY;
    site.expect("alice", Expectation::RequiredFrom(deadline));
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let page = browser.page("/turn-off").await;
    let code = site.code(&app);
    browser.submit(&page, &to("/turn-off"), &[("code", &code)]).await;
    site.expect("alice", Expectation::RequiredFrom(deadline));
    assert_eq!(site.browser().password("alice").await.status, StatusCode::OK);
    site.later(14 * DAY);
    let mut late = site.browser();
    assert!(late.password("alice").await.location().starts_with(&to("/enroll")));
    assert!(!late.is_logged_in().await);
}

#[tokio::test]
async fn a_trusted_device_is_bound_to_its_account_and_ends() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let (bobs_app, codes) = site.browser().enroll("bob").await;
    let mut browser = site.browser();
    for (user, app) in [("alice", &app), ("bob", &bobs_app)] {
        let page = browser.challenge(user).await;
        let code = site.code(app);
        browser.submit(&page, &to("/challenge"), &[("code", &code), ("trust", "yes")]).await;
    }
    // Two users of one browser do not overwrite each other's cookie.
    let devices: Vec<_> = browser.cookies.keys().filter(|name| name.contains("device")).cloned().collect();
    assert_eq!(devices.len(), 2);
    for user in ["alice", "bob"] {
        assert_eq!(browser.clone().password(user).await.location(), "/private");
    }
    let mut swapped = browser.clone();
    let [first, second] = [0, 1].map(|index| browser.cookies[&devices[index]].clone());
    swapped.cookies.insert(devices[0].clone(), second);
    swapped.cookies.insert(devices[1].clone(), first);
    for user in ["alice", "bob"] {
        assert!(swapped.clone().password(user).await.location().starts_with(&to("/challenge")));
    }
    // It ends with a recovery code, and in any case after its time, whether it was used or not.
    site.browser().log_in("bob", &codes[0]).await.shows("recovery code");
    assert!(browser.clone().password("bob").await.location().starts_with(&to("/challenge")));
    site.later(29 * DAY);
    assert_eq!(browser.clone().password("alice").await.location(), "/private");
    site.later(2 * DAY);
    assert!(browser.password("alice").await.location().starts_with(&to("/challenge")));
}

#[tokio::test]
async fn a_suspended_account_gets_nothing() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, codes) = browser.enroll("alice").await;
    let mut pending = site.browser();
    let page = pending.challenge("alice").await;
    let operator = keyfob::guard::OperatorId::new("support").unwrap();
    site.guard.operator_suspend("alice", &operator).await.unwrap();
    assert!(!browser.is_logged_in().await);
    assert_eq!(site.browser().password("alice").await.status, StatusCode::FORBIDDEN);
    for code in [&site.code(&app), &codes[0]] {
        let reply = pending.submit(&page, &to("/challenge"), &[("code", code)]).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn an_enrollment_that_somebody_else_has_started_is_not_confirmed() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.set_up("alice").await;
    // Somebody with the session starts another enrollment, and its code reaches the form of the owner.
    let theirs = site.guard.enroll("alice", &Setup::totp("x")).await.unwrap().uri().to_totp().unwrap();
    let code = site.code(&theirs);
    let reply = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(!site.guard.status("alice").await.unwrap().is_active());
}

#[tokio::test]
async fn forms_from_other_sites_are_refused() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let page = browser.page("/turn-off").await;
    // The worst case: the attacker knows the token and a code.
    let mut fields = page.form(&to("/turn-off"));
    fields.retain(|(name, _)| name != "code");
    fields.push(("code".into(), site.code(&app)));
    let from: [&[(&str, &str)]; 9] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://example.com")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://example.com.evil.example")],
        &[("origin", "null")],
        &[("origin", "http://example.com")],
    ];
    for headers in from {
        let path = to("/turn-off");
        let request = headers
            .iter()
            .fold(browser.request(Method::POST, &path), |request, (name, value)| request.header(*name, *value));
        let reply = browser.send(form(request, &fields)).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(site.guard.status("alice").await.unwrap().is_active());
        let request = headers
            .iter()
            .fold(browser.request(Method::POST, "/payment"), |request, (name, value)| request.header(*name, *value));
        let reply = browser.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        reply.shows("sent from another page");
    }
    // No token, half a token.
    for token in ["", &fields[0].1[..16], "0"] {
        let mut fields = fields.clone();
        fields[0].1 = token.into();
        assert_eq!(browser.post(&to("/turn-off"), &fields).await.status, StatusCode::FORBIDDEN);
    }
    // The control: the same form from this site, as an older browser sends it.
    let request = browser.request(Method::POST, &to("/turn-off")).header("origin", "https://example.com");
    let reply: Reply = browser.send(form(request, &fields)).await;
    assert_eq!(reply.location(), to(""));
    assert!(!site.guard.status("alice").await.unwrap().is_active());
}

#[tokio::test]
async fn another_user_of_the_browser_does_not_see_the_secret() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.password("alice").await;
    let page = browser.page("").await;
    let location = browser.submit(&page, &to("/enroll"), &[]).await.location().to_owned();
    browser.get(&location).await.shows("<svg");
    browser.password("bob").await;
    assert_eq!(browser.get(&location).await.location(), to(""));
    assert!(!browser.page("").await.body.contains("is waiting for its first code"));
}

#[tokio::test]
async fn the_proof_of_a_recovery_code_is_only_for_adding_an_app() {
    let site = Site::new();
    let (_, codes) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    browser.log_in("alice", &codes[0]).await;
    let id = site.guard.status("alice").await.unwrap().authenticators()[0].id().to_string();
    for path in ["/turn-off", "/recovery-codes", &format!("/authenticators/{id}/rename")] {
        let page = browser.page(path).await;
        page.shows("id=\"code\"");
        let reply = browser.submit(&page, &to(path), &[("code", "")]).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // In another session, the cookie is worth nothing, and five minutes later neither.
    let mut thief = site.browser();
    thief.log_in("alice", &codes[1]).await;
    let proof = browser.cookies["__Host-keyfob-proof-add"].clone();
    thief.cookies.insert("__Host-keyfob-proof-add".into(), proof);
    thief.page("/add").await.shows("id=\"code\"");
    let mut owner = site.browser();
    owner.log_in("alice", &codes[2]).await;
    assert!(!owner.page("/add").await.body.contains("id=\"code\""));
    site.later(301);
    owner.page("/add").await.shows("id=\"code\"");
}

#[tokio::test]
async fn a_ticket_of_another_login_does_not_take_over_the_forms_of_a_session() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.password("alice").await;
    let page = browser.page("").await;
    site.expect("bob", Expectation::RequiredFrom(0));
    let location = browser.password("bob").await.location().to_owned();
    // Both users have a page open. Each form belongs to the user who has opened it.
    let bobs = browser.get(&location).await;
    bobs.shows("Please set it up to log in.");
    browser.submit(&page, &to("/enroll"), &[]).await;
    assert!(site.guard.status("alice").await.unwrap().enrollment_pending());
    assert!(!site.guard.status("bob").await.unwrap().enrollment_pending());
    browser.submit(&bobs, &to("/enroll"), &[]).await;
    assert!(site.guard.status("bob").await.unwrap().enrollment_pending());
}
