//! What the pages of keyfob-axum cost per request, compared with the calls to the guard that the request makes.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Method, StatusCode};
use criterion::Criterion;
use keyfob::guard::{Answer, Challenge, DeviceToken};
use keyfob::store::MemoryStore;
use keyfob_benches::harness::{TimedRun, criterion, time_parts_in_turn};
use keyfob_benches::phone::{Phone, account};
use keyfob_benches::site::{
    Browser, CHALLENGE, Connection, Memory, PAGES, Tables, WITH_PAGES, WITHOUT_PAGES, answer, leads, router, shows,
};
use tokio::runtime::Runtime;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    let user = &account(0);
    let (tables, phone) = (Memory::default(), Phone::new(MemoryStore::new()));
    let mut browser = Browser::new(router(tables.clone(), &phone));
    runtime.block_on(async {
        phone.enroll(user).await;
        tables.set_enrolled(user, true).await.expect("stored");
        phone.wait();
        let token = browser.begin(user).await;
        leads(&browser.answer(&token, &phone.code()).await, "/notes");
    });
    // This browser is logged in, and its device is known.
    let mut pending = Browser { cookies: browser.cookies.clone(), ..Browser::new(browser.connection.clone()) };
    runtime.block_on(pending.begin(user));

    let compare = |criterion: &mut Criterion, index: usize, with: TimedRun<'_>, without: TimedRun<'_>| {
        let mut group = criterion.benchmark_group(PAGES[index].0);
        time_parts_in_turn(&mut group, vec![(WITH_PAGES, with), (WITHOUT_PAGES, without)], 1);
        group.finish();
    };

    // A page that needs nothing from the store.
    let login = pending.cookie("keyfob-login").to_owned();
    let with = || page(&runtime, &pending, CHALLENGE, "one-time-code");
    let without = || timed(&runtime, async { Challenge::from_token(&login).is_ok() });
    compare(&mut criterion, 0, Box::new(with), Box::new(without));

    // The login is begun and the form is opened before the time is taken.
    let device = DeviceToken::from_token(browser.cookie("keyfob-device")).expect("valid");
    let with = || {
        phone.wait();
        let (token, code) = (runtime.block_on(pending.begin(user)), phone.code());
        let request = pending.request(Method::POST, CHALLENGE, &answer(&token, &code));
        let send = pending.connection.send(request);
        timed(&runtime, async { leads(&send.await, "/notes") == "/notes" })
    };
    let without = || {
        phone.wait();
        let (token, code) = (runtime.block_on(phone.challenge(user, Some(&device))).token(), phone.code());
        timed(&runtime, async {
            let challenge = Challenge::from_token(&token).expect("valid");
            matches!(phone.guard.answer(&challenge, &code).await, Ok(Answer::Accepted(_)))
        })
    };
    compare(&mut criterion, 1, Box::new(with), Box::new(without));

    let (_, generation) = runtime.block_on(tables.find(browser.cookie("session"))).expect("found").expect("a session");
    let generation = generation.parse().expect("valid");
    let is_current = async || matches!(phone.guard.is_current(user, generation).await, Ok(true));
    let with = || page(&runtime, &browser, "/second-factor", "Firefox, Linux");
    let is_active = async || matches!(phone.guard.status(user).await, Ok(status) if status.is_active());
    let without = || timed(&runtime, async { is_current().await && is_active().await });
    compare(&mut criterion, 2, Box::new(with), Box::new(without));

    // The same route without `protect` is below `/plain`. It looks for the session as well.
    let with = || page(&runtime, &browser, "/notes", user);
    let without = || {
        let request = browser.request(Method::GET, "/plain/notes", &[]);
        let mut router = browser.connection.clone();
        timed(&runtime, async { is_current().await && router.send(request).await.status() == StatusCode::OK })
    };
    compare(&mut criterion, 3, Box::new(with), Box::new(without));
    criterion.final_summary();
}

/// Times a page, which must contain this text.
fn page(runtime: &Runtime, browser: &Browser<Router>, path: &str, text: &str) -> (usize, Duration) {
    let request = browser.request(Method::GET, path, &[]);
    let mut router = browser.connection.clone();
    timed(runtime, async { !shows(&router.send(request).await, StatusCode::OK, text).is_empty() })
}

fn timed(runtime: &Runtime, run: impl Future<Output = bool>) -> (usize, Duration) {
    let start = Instant::now();
    let done = runtime.block_on(run);
    (done.into(), start.elapsed())
}
