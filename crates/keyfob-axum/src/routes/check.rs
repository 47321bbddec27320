//! The form for a fresh code before an action of the application.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use keyfob::guard::Purpose;
use keyfob::store::Store;
use maud::html;

use crate::application::{Application, Session};
use crate::cookies;
use crate::failure::Failure;
use crate::forms::{Unverified, escaped};
use crate::routes::challenge::PROOF_SECONDS;
use crate::routes::code::{self, Kind};
use crate::routes::{change, enroll};
use crate::texts::Text;
use crate::visit::{Visit, redirect, with_headers};

pub(crate) async fn show<A: Application, S: Store + 'static>(visit: Visit<A, S>) -> Result<Response, Failure> {
    let session = visit.session().await?;
    let (purpose, next) = (visit.query("purpose"), visit.next(&visit.query("next")));
    form(&visit, &session, &purpose, &next, Kind::of(&visit.query("with")), None).await
}

pub(crate) async fn answer<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let mut session = visit.session().await?;
    let fields = form.verified(session.id())?;
    let (name, next, kind) = (fields.get("purpose"), visit.next(fields.get("next")), Kind::of(fields.get("with")));
    let purpose = purpose(name)?;
    let mut headers = HeaderMap::new();
    match change::verify(&visit, &mut session, kind, fields.get("code"), &purpose, &mut headers).await? {
        Ok(proof) => {
            let cookie = cookies::proof(&format!("app-{name}"));
            cookies::set(&mut headers, &cookie, &proof.token(session.id()), PROOF_SECONDS);
            Ok(with_headers(redirect(&next), headers))
        }
        Err(message) => self::form(&visit, &session, name, &next, kind, Some(&message)).await,
    }
}

async fn form<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &Session,
    name: &str,
    next: &str,
    kind: Kind,
    error: Option<&str>,
) -> Result<Response, Failure> {
    purpose(name)?;
    if !visit.pages.guard().status(session.user()).await?.is_active() {
        let content = html! {
            p { (visit.text(&Text::CheckNeedsFactor)) }
            (enroll::start_form(visit, session.id(), ""))
        };
        return Ok(visit.page(StatusCode::FORBIDDEN, &Text::SetUpTitle, &content));
    }
    let path = visit.link("/check");
    let again = format!("{path}?purpose={name}&next={}", escaped(next));
    let content = html! {
        p { (visit.text(&Text::CheckHint)) }
        form method="post" action=(path) {
            (code::hidden_token(session.id()))
            input type="hidden" name="purpose" value=(name);
            input type="hidden" name="next" value=(next);
            (code::field(visit, kind, error, true))
            div class="actions" {
                button type="submit" { (visit.text(&Text::Continue)) }
                a class="button quiet" href=(visit.pages.home()) { (visit.text(&Text::Cancel)) }
            }
        }
        p class="aside" { (code::other_kind(visit, kind, &again)) }
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(visit.page(status, &Text::CheckTitle, &content))
}

fn purpose(name: &str) -> Result<Purpose, Failure> {
    Purpose::application(name).map_err(|_| Failure::Refused(StatusCode::NOT_FOUND))
}

/// The page for a request that would have changed something, and has not, because it needs a code first.
pub(crate) fn interrupted<A: Application, S: Store + 'static>(visit: &Visit<A, S>, ask: &str) -> Response {
    let content = html! {
        p { (visit.text(&Text::Interrupted)) }
        p { a class="button" href=(ask) { (visit.text(&Text::Continue)) } }
    };
    visit.page(StatusCode::FORBIDDEN, &Text::CheckTitle, &content)
}
