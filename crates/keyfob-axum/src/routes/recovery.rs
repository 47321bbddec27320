//! Recovery codes on a page, and as a file.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use keyfob::guard::RecoveryCodes;
use keyfob::store::Store;
use maud::{Markup, html};

use crate::application::Application;
use crate::failure::Failure;
use crate::forms::Unverified;
use crate::routes::code;
use crate::texts::Text;
use crate::visit::Visit;

/// The codes as strings, for the page that shows them.
pub(crate) fn strings(codes: &RecoveryCodes) -> Vec<String> {
    codes.iter().map(String::from).collect()
}

/// New recovery codes, with the ways to keep them. They are shown once.
///
/// Without script, the user can write the codes down, print the page or download them. The script adds buttons that
/// copy and print. The download sends the codes back to the server, because only this page has them. Without a session,
/// there is no download.
pub(crate) fn list<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    codes: &[String],
    session: Option<&str>,
) -> Markup {
    html! {
        ol #recovery-codes class="codes" translate="no" {
            @for code in codes { li { code dir="ltr" { (code) } } }
        }
        form method="post" action=(visit.link("/recovery-codes/download")) class="actions" {
            @if let Some(session) = session {
                (code::hidden_token(session))
                input type="hidden" name="codes" value=(codes.join("\n"));
                button type="submit" class="quiet" { (visit.text(&Text::Download)) }
            }
            button type="button" class="quiet" hidden data-copy="recovery-codes" data-done=(visit.text(&Text::Copied)) {
                (visit.text(&Text::Copy))
            }
            button type="button" class="quiet" hidden data-print { (visit.text(&Text::Print)) }
            span class="visually-hidden" role="status" {}
        }
    }
}

/// The page with the codes, and a link to continue.
pub(crate) fn page<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    codes: &[String],
    session: Option<&str>,
    next: &str,
) -> Response {
    let content = html! {
        p { (visit.text(&Text::RecoveryCodesIntroduction)) }
        (list(visit, codes, session))
        div class="actions" { a class="button" href=(next) { (visit.text(&Text::CodesSaved)) } }
    };
    visit.page(StatusCode::OK, &Text::RecoveryCodesTitle, &content)
}

/// Sends the codes of the form back as a file.
pub(crate) async fn download<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let session = visit.session().await?;
    let fields = form.verified(session.id())?;
    // The file contains nothing but codes, whatever the form says.
    let codes: Vec<&str> = fields.get("codes").lines().filter(|line| is_recovery_code(line)).collect();
    if codes.is_empty() {
        return Err(Failure::OutOfDate);
    }
    let text = format!("{}\r\n\r\n{}\r\n", visit.text(&Text::RecoveryCodesFile), codes.join("\r\n"));
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"recovery-codes.txt\""),
    ];
    Ok((headers, text).into_response())
}

fn is_recovery_code(line: &str) -> bool {
    let group = |group: &str| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    line.split('-').count() == 6 && line.split('-').all(group)
}
