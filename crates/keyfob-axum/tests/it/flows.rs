//! What users do: log in, add apps, lose them, change the settings.

use axum::http::StatusCode;
use keyfob::guard::Expectation;

use crate::site::{DAY, Site, to};

#[tokio::test]
async fn a_user_sets_up_an_app_and_logs_in_with_it() {
    let site = Site::new();
    let mut browser = site.browser();
    assert_eq!(browser.password("alice").await.location(), "/private");
    let page = browser.page("").await;
    page.shows("Two-factor authentication is off.").shows("Set up an authenticator app");
    let reply = browser.submit(&page, &to("/enroll"), &[("name", "my phone")]).await;
    let page = browser.get(reply.location()).await;
    page.shows("<svg").shows("Open the authenticator app on this device").shows("alice@example.com");
    let app = page.scan();

    let wrong = browser.submit(&page, &to("/confirm"), &[("code", "12")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.shows("That is not a code.").shows("aria-invalid=\"true\"").shows("<svg");
    assert!(!site.guard.status("alice").await.unwrap().is_active());

    let code = site.code(&app);
    let page = browser.submit(&wrong, &to("/confirm"), &[("code", &code)]).await;
    assert_eq!((page.status, page.recovery_codes().len()), (StatusCode::OK, 10));
    assert_eq!(site.users.expectations.lock().unwrap()["alice"], Expectation::Enrolled);
    assert!(browser.is_logged_in().await, "the session has the new generation");
    let page = browser.page("").await;
    page.shows("is on")
        .shows("my phone")
        .shows("You have 10 recovery codes left.")
        .shows("add an app on a second device");

    let mut other = site.browser();
    let page = other.challenge("alice").await;
    page.shows("autocomplete=\"one-time-code\"").shows("inputmode=\"numeric\"");
    assert!(!other.is_logged_in().await);
    let code = site.code(&app);
    let reply = other.submit(&page, &to("/challenge"), &[("code", &code)]).await;
    assert_eq!(reply.location(), "/private");
    assert!(other.is_logged_in().await && browser.is_logged_in().await);
}

#[tokio::test]
async fn the_page_with_the_qr_code_can_be_opened_again_until_it_is_canceled() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.password("alice").await;
    let page = browser.page("").await;
    let location = browser.submit(&page, &to("/enroll"), &[]).await.location().to_owned();
    let (first, again) = (browser.get(&location).await.scan(), browser.get(&location).await.scan());
    assert_eq!(first.code_at(0).to_string(), again.code_at(0).to_string());
    let mut elsewhere = browser.clone();
    elsewhere.cookies.retain(|name, _| name == "session");
    assert_eq!(elsewhere.get(&location).await.location(), to(""), "another browser with the session sees no secret");
    let page = browser.page("").await;
    page.shows("is waiting for its first code").shows(&to("/enroll"));
    let reply = browser.submit(&page, &to("/cancel"), &[]).await;
    browser.get(reply.location()).await.shows("The setup was canceled.");
    assert_eq!(browser.get(&location).await.location(), to(""));
}

#[tokio::test]
async fn a_required_factor_is_enrolled_before_the_login_is_complete() {
    let site = Site::new();
    site.expect("alice", Expectation::RequiredFrom(0));
    let mut browser = site.browser();
    let location = browser.password("alice").await.location().to_owned();
    assert!(!browser.is_logged_in().await);
    let page = browser.get(&location).await;
    page.shows("Please set it up to log in.");
    let reply = browser.submit(&page, &to("/enroll"), &[("name", "phone")]).await;
    let page = browser.get(reply.location()).await;
    let code = site.code(&page.scan());
    let page = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    assert_eq!(page.recovery_codes().len(), 10);
    page.shows("href=\"/private\"");
    assert!(browser.is_logged_in().await);
    assert!(browser.cookie("ticket").is_none() && browser.cookie("enrollment").is_none());
}

#[tokio::test]
async fn during_the_time_of_grace_a_login_says_when_it_ends() {
    let site = Site::new();
    let until = site.now() + 14 * DAY;
    site.expect("alice", Expectation::RequiredFrom(until));
    let mut browser = site.browser();
    let page = browser.password("alice").await;
    page.shows("From ").shows("Set it up now").shows("href=\"/private\"");
    assert!(browser.is_logged_in().await);
}

#[tokio::test]
async fn recovery_codes_are_downloaded_as_a_file_with_nothing_else_in_it() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.set_up("alice").await;
    let code = site.code(&page.scan());
    let page = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    let file = browser.submit(&page, &to("/recovery-codes/download"), &[]).await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"recovery-codes.txt\"");
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    let lines: Vec<_> = file.body.lines().skip(2).collect();
    assert_eq!(lines, page.recovery_codes());
    let forged =
        browser.submit(&page, &to("/recovery-codes/download"), &[("codes", "<script>alert(1)</script>")]).await;
    assert_eq!(forged.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_recovery_code_logs_in_once_is_replaced_and_lets_the_lost_app_be_replaced() {
    let site = Site::new();
    let mut browser = site.browser();
    let (_, codes) = browser.enroll("alice").await;
    let mut other = site.browser();
    let page = other.challenge("alice").await;
    page.shows("Use a recovery code instead");
    let page = other.page("/challenge?with=recovery&next=/private").await;
    page.shows("inputmode=\"text\"");
    let page = other.submit(&page, &to("/challenge"), &[("code", &codes[3].to_lowercase())]).await;
    page.shows("You have used a recovery code").shows("href=\"/private\"").shows("Have you lost your app?");
    let new = page.recovery_codes();
    assert!(new.len() == 1 && !codes.contains(&new[0]));
    assert_eq!(site.guard.status("alice").await.unwrap().recovery_codes_left(), 10);
    assert!(other.is_logged_in().await && !browser.is_logged_in().await, "a recovery code ends the other sessions");

    // Within five minutes, the lost app is replaced without another code.
    let id = site.guard.status("alice").await.unwrap().authenticators()[0].id().to_string();
    let path = to(&format!("/authenticators/{id}/replace"));
    let page = other.get(&path).await;
    assert!(!page.body.contains("id=\"code\""), "{}", page.body);
    let reply = other.submit(&page, &path, &[("name", "new phone")]).await;
    let page = other.get(reply.location()).await;
    let app = page.scan();
    let code = site.code(&app);
    let reply = other.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    other.get(reply.location()).await.shows("new phone").shows("has been added");
    assert_eq!(site.guard.status("alice").await.unwrap().authenticators().len(), 1);
    // The proof is not good for anything else, and not in another session.
    assert!(other.cookie("proof").is_none());
    let mut third = site.browser();
    assert_eq!(third.log_in("alice", &codes[3]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    third.log_in("alice", &new[0]).await.shows("You have used a recovery code");
}

#[tokio::test]
async fn apps_are_added_renamed_and_removed_with_a_fresh_code_each_time() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;

    let page = browser.page("/add").await;
    let code = site.code(&app);
    let reply = browser.submit(&page, &to("/add"), &[("code", &code), ("name", "tablet")]).await;
    let page = browser.get(reply.location()).await;
    let second = page.scan();
    let first_code = site.code(&second);
    let reply = browser.submit(&page, &to("/confirm"), &[("code", &first_code)]).await;
    browser.get(reply.location()).await.shows("tablet").shows("phone");

    let status = site.guard.status("alice").await.unwrap();
    let tablet = status.authenticators()[1].id();
    let path = to(&format!("/authenticators/{tablet}/rename"));
    let page = browser.get(&path).await;
    page.shows("value=\"tablet\"");
    let page = browser.submit(&page, &path, &[("code", &first_code), ("name", "old tablet")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.shows("used already").shows("value=\"old tablet\"");
    let code = site.code(&second);
    let reply = browser.submit(&page, &path, &[("code", &code)]).await;
    browser.get(reply.location()).await.shows("old tablet").shows("has a new name");

    let path = to(&format!("/authenticators/{tablet}/remove"));
    let page = browser.get(&path).await;
    let code = site.code(&second);
    let reply = browser.submit(&page, &path, &[("code", &code)]).await;
    let page = browser.get(reply.location()).await;
    page.shows("has been removed");
    assert!(!page.body.contains("tablet") && !page.body.contains("/remove"), "the last one cannot be removed");
    assert!(browser.is_logged_in().await);
}

#[tokio::test]
async fn new_recovery_codes_and_turning_off_need_a_code() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, old) = browser.enroll("alice").await;
    let page = browser.page("/recovery-codes").await;
    let code = site.code(&app);
    let page = browser.submit(&page, &to("/recovery-codes"), &[("code", &code)]).await;
    assert!(page.recovery_codes().len() == 10 && page.recovery_codes() != old);

    let page = browser.page("/turn-off").await;
    let wrong = browser.submit(&page, &to("/turn-off"), &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let code = site.code(&app);
    let reply = browser.submit(&page, &to("/turn-off"), &[("code", &code)]).await;
    browser.get(reply.location()).await.shows("has been turned off").shows("is off.");
    assert_eq!(site.users.expectations.lock().unwrap()["alice"], Expectation::Optional);
    assert!(browser.is_logged_in().await);
    assert_eq!(site.browser().password("alice").await.location(), "/private");
}

#[tokio::test]
async fn a_required_factor_cannot_be_turned_off() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let page = browser.page("/turn-off").await;
    site.users.required.store(true, std::sync::atomic::Ordering::SeqCst);
    let code = site.code(&app);
    let reply = browser.submit(&page, &to("/turn-off"), &[("code", &code)]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.page("/turn-off").await.status, StatusCode::FORBIDDEN);
    assert!(!browser.page("").await.body.contains("Turn off"));
    assert!(site.guard.status("alice").await.unwrap().is_active());
}

#[tokio::test]
async fn an_action_asks_for_a_fresh_code_once_in_five_minutes() {
    let site = Site::new();
    let mut browser = site.browser();
    browser.password("alice").await;
    let location = browser.get("/payment").await.location().to_owned();
    let page = browser.get(&location).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.shows("Please set it up first.");

    let (app, _) = browser.enroll("alice").await;
    let location = browser.get("/payment?to=carol").await.location().to_owned();
    assert_eq!(location, to("/check?purpose=payment&next=/payment%3Fto%3Dcarol"));
    let posted = browser.post("/payment", &[]).await;
    assert_eq!(posted.status, StatusCode::FORBIDDEN);
    posted.shows("Nothing has been done yet").shows(&to("/check?purpose=payment&amp;next=/payment"));
    for purpose in ["", "Payment", "%22%3E", "a%3Bb"] {
        assert_eq!(browser.page(&format!("/check?purpose={purpose}")).await.status, StatusCode::NOT_FOUND);
    }
    let page = browser.get(&location).await;
    browser.submit(&page, &to("/check"), &[("code", "000000")]).await.shows("did not work");
    let code = site.code(&app);
    let reply = browser.submit(&page, &to("/check"), &[("code", &code)]).await;
    assert_eq!(reply.location(), "/payment?to=carol");
    assert_eq!(browser.get("/payment").await.body, "payment form");
    assert_eq!(browser.post("/payment", &[]).await.body, "paid");
    assert!(browser.get("/secrets").await.location().contains("purpose=secrets"), "each purpose needs its own code");
    // The cookie is worth nothing in another session.
    let mut thief = site.browser();
    thief.log_in("alice", &site.code(&app)).await;
    thief.cookies.extend(browser.cookies.clone().into_iter().filter(|(name, _)| name.contains("proof")));
    assert!(thief.get("/payment").await.location().contains("/check"));
    site.later(301);
    assert!(browser.get("/payment").await.location().contains("/check"));
}

#[tokio::test]
async fn a_trusted_device_needs_no_code_until_it_is_forgotten() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut browser = site.browser();
    let page = browser.challenge("alice").await;
    page.shows("for 30 days");
    let code = site.code(&app);
    browser.submit(&page, &to("/challenge"), &[("code", &code), ("trust", "yes")]).await;
    browser.cookies.remove("session");
    assert_eq!(browser.password("alice").await.location(), "/private");
    let page = browser.page("").await;
    page.shows("Firefox, Linux").shows("This device").shows("Needs no code until");
    let reply = browser.submit(&page, &to("/devices/forget"), &[]).await;
    browser.get(reply.location()).await.shows("The device has been forgotten.");
    browser.cookies.remove("session");
    assert!(browser.password("alice").await.location().starts_with(&to("/challenge")));
}

#[tokio::test]
async fn forgetting_all_devices_ends_the_other_sessions() {
    let site = Site::new();
    let mut browser = site.browser();
    let (app, _) = browser.enroll("alice").await;
    let mut other = site.browser();
    other.log_in("alice", &site.code(&app)).await;
    let page = browser.page("").await;
    let reply = browser.submit(&page, &to("/devices/forget-all"), &[]).await;
    browser.get(reply.location()).await.shows("All devices have been forgotten").shows("There are none.");
    assert!(browser.is_logged_in().await && !other.is_logged_in().await);
}

#[tokio::test]
async fn a_login_tells_about_wrong_codes_since_the_last_one() {
    let site = Site::new();
    let (app, _) = site.browser().enroll("alice").await;
    let mut attacker = site.browser();
    let page = attacker.challenge("alice").await;
    for _ in 0..5 {
        let reply = attacker.submit(&page, &to("/challenge"), &[("code", "000000")]).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let reply = attacker.submit(&page, &to("/challenge"), &[("code", "000000")]).await;
    reply.shows("Too many wrong codes. Try again in ").shows(", or use a recovery code.");
    site.later(60);
    let mut owner = site.browser();
    let page = owner.log_in("alice", &site.code(&app)).await;
    page.shows("Somebody typed 5 wrong codes since your last login.").shows("href=\"/private\"");
    assert!(owner.is_logged_in().await);
}

#[tokio::test]
async fn the_first_code_is_diagnosed_in_words() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.set_up("alice").await;
    let code = page.scan().code_at(site.now() - 240).to_string();
    let reply = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    reply.shows("The clock of your phone is 4 minutes slow.").shows("automatic date and time");
    browser.language = "de";
    let reply = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    reply.shows("Die Uhr Ihres Telefons geht 4 Minuten nach.");
}

#[tokio::test]
async fn recovery_codes_are_shown_even_if_the_application_fails() {
    let site = Site::new();
    let mut browser = site.browser();
    let page = browser.set_up("alice").await;
    let app = page.scan();
    let code = site.code(&app);
    site.users.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let page = browser.submit(&page, &to("/confirm"), &[("code", &code)]).await;
    assert_eq!(page.recovery_codes().len(), 10);
    assert!(!browser.is_logged_in().await);
    assert_eq!(site.users.expectations.lock().unwrap()["alice"], Expectation::Optional);
    // Nobody is logged in while the application cannot store the session.
    assert_eq!(browser.password("alice").await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.users.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    // The next login stores what the application has missed.
    browser.log_in("alice", &site.code(&app)).await;
    assert!(browser.is_logged_in().await);
    assert_eq!(site.users.expectations.lock().unwrap()["alice"], Expectation::Enrolled);
}
