//! The pages, one file for each part of the security settings.

pub(crate) mod challenge;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod code;
pub(crate) mod enroll;
pub(crate) mod notice;
pub(crate) mod recovery;
pub(crate) mod security;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keyfob::store::Store;

use crate::application::Application;
use crate::failure::Failure;
use crate::pages::Pages;

/// Each handler is one line of a table, so that a test can compare the table with what a request may do.
pub(crate) fn routes<A: Application, S: Store + 'static>(_: &Pages<A, S>) -> Router<Pages<A, S>> {
    Router::new()
        .route("/", get(security::show))
        .route("/challenge", get(challenge::show).post(challenge::answer))
        .route("/enroll", get(enroll::show).post(enroll::start))
        .route("/confirm", post(enroll::confirm))
        .route("/cancel", post(enroll::cancel))
        .route("/add", get(change::add_form).post(change::add))
        .route("/authenticators/{id}/rename", get(change::rename_form).post(change::rename))
        .route("/authenticators/{id}/replace", get(change::replace_form).post(change::replace))
        .route("/authenticators/{id}/remove", get(change::remove_form).post(change::remove))
        .route("/recovery-codes", get(change::regenerate_form).post(change::regenerate))
        .route("/recovery-codes/download", post(recovery::download))
        .route("/turn-off", get(change::turn_off_form).post(change::turn_off))
        .route("/devices/forget", post(security::forget_device))
        .route("/devices/forget-all", post(security::forget_devices))
        .route("/check", get(check::show).post(check::answer))
        .route("/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/script.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .fallback(async || Failure::Refused(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::Refused(StatusCode::METHOD_NOT_ALLOWED))
}

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

fn asset(kind: &'static str, content: &'static str) -> Response {
    // These contain no secret, and are the same for everybody.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=3600")], content).into_response()
}
