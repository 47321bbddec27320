//! Enrollment of an authenticator app: the QR code, and the form for the first code.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use keyfob::guard::{Confirmation, Confirmed, Enrollment, EnrollmentHandle, GuardErrorKind, Setup};
use keyfob::store::Store;
use maud::{Markup, PreEscaped, html};

use crate::application::{Application, Session};
use crate::cookies;
use crate::failure::Failure;
use crate::forms::{Fields, Unverified, escaped};
use crate::routes::code::{self, Kind};
use crate::routes::notice::{Notice, noticed};
use crate::routes::{challenge, recovery};
use crate::texts::Text;
use crate::visit::{Visit, redirect, with_headers};

/// Who enrolls: a user who is logged in, or one whose login waits for the enrollment.
enum Who<'a> {
    LoggedIn(Session),
    LoggingIn(keyfob::guard::EnrollmentTicket, &'a str),
}

impl Who<'_> {
    /// The ticket comes first, because it belongs to the login that the user has just begun. In a browser in which
    /// another user is still logged in, the form says which of them has sent it.
    async fn find<'a, A: Application, S: Store + 'static>(
        visit: &'a Visit<A, S>,
        form: Option<&Unverified>,
    ) -> Result<Who<'a>, Failure> {
        match visit.ticket().filter(|(_, token)| form.is_none_or(|form| form.is_for(token))) {
            Some((ticket, token)) => Ok(Who::LoggingIn(ticket, token)),
            None => visit.session().await.map(Who::LoggedIn),
        }
    }

    fn user(&self) -> &str {
        match self {
            Self::LoggedIn(session) => session.user(),
            Self::LoggingIn(ticket, _) => ticket.user(),
        }
    }

    /// What the forms' tokens are bound to.
    fn secret(&self) -> &str {
        match self {
            Self::LoggedIn(session) => session.id(),
            Self::LoggingIn(_, token) => token,
        }
    }
}

/// Shows the enrollment that waits for its first code, or a button that starts one. Nothing changes.
pub(crate) async fn show<A: Application, S: Store + 'static>(visit: Visit<A, S>) -> Result<Response, Failure> {
    let who = Who::find(&visit, None).await?;
    let next = visit.query("next");
    if let Some(enrollment) = reopened(&visit, who.user()).await? {
        return Ok(page(&visit, &who, &enrollment, &next, None));
    }
    match &who {
        Who::LoggedIn(_) => Ok(redirect(&visit.link("/"))),
        Who::LoggingIn(..) => {
            let content = html! {
                p { (visit.text(&Text::Required)) }
                p { (visit.text(&Text::Introduction)) }
                (start_form(&visit, who.secret(), &next))
            };
            Ok(visit.page(StatusCode::OK, &Text::SetUpTitle, &content))
        }
    }
}

/// The form that starts the enrollment of a first authenticator.
pub(crate) fn start_form<A: Application, S: Store + 'static>(visit: &Visit<A, S>, secret: &str, next: &str) -> Markup {
    html! {
        form method="post" action=(visit.link("/enroll")) {
            (code::hidden_token(secret))
            input type="hidden" name="next" value=(next);
            (name_field(visit, "", None))
            div class="actions" { button type="submit" { (visit.text(&Text::SetUp)) } }
        }
    }
}

/// The field for the name of an authenticator.
pub(crate) fn name_field<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    value: &str,
    error: Option<&str>,
) -> Markup {
    html! {
        div class="field" {
            label for="name" { (visit.text(&Text::NameLabel)) }
            p id="name-hint" class="hint" { (visit.text(&Text::NameHint)) }
            @if let Some(error) = error { p id="name-error" class="error" { (error) } }
            input #name name="name" type="text" value=(value) maxlength="60" autocomplete="off"
                autofocus[error.is_some()] aria-invalid=[error.map(|_| "true")]
                aria-describedby=(if error.is_some() { "name-error name-hint" } else { "name-hint" });
        }
    }
}

/// The settings for a new authenticator.
pub(crate) fn setup<A: Application, S: Store + 'static>(visit: &Visit<A, S>, label: &str, name: &str) -> Option<Setup> {
    Setup::totp(label).with_name(&self::name(visit, name)).ok()
}

/// The name that the user has typed, or the default.
pub(crate) fn name<A: Application, S: Store + 'static>(visit: &Visit<A, S>, typed: &str) -> String {
    match typed.trim() {
        "" => visit.text(&Text::DefaultName),
        name => name.into(),
    }
}

/// Starts the enrollment of a first authenticator. The guard refuses it for a user who has one.
pub(crate) async fn start<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let who = Who::find(&visit, Some(&form)).await?;
    let fields = form.verified(who.secret())?;
    let (label, failure) = match visit.account(who.user()).await {
        Ok(account) => (account.label, None),
        // Anybody can make up a ticket for any user. The answer must not tell that nobody has this name, so the guard
        // checks the ticket first.
        Err(failure) if matches!(who, Who::LoggingIn(..)) => ("x".into(), Some(failure)),
        Err(failure) => return Err(failure),
    };
    let setup = setup(&visit, &label, fields.get("name")).ok_or(Failure::Refused(StatusCode::BAD_REQUEST))?;
    let guard = visit.pages.guard();
    let enrollment = match &who {
        Who::LoggedIn(session) => guard.enroll(session.user(), &setup).await?,
        Who::LoggingIn(ticket, _) => guard.enroll_with_ticket(ticket, &setup).await?,
    };
    failure.map_or_else(|| Ok(started(&visit, &enrollment, fields.get("next"))), Err)
}

/// Leads to the page with the QR code. Only this browser can open it.
pub(crate) fn started<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    enrollment: &Enrollment,
    next: &str,
) -> Response {
    let mut headers = HeaderMap::new();
    let seconds = enrollment.expires_at().saturating_sub(code::now());
    cookies::set(&mut headers, cookies::ENROLLMENT, &enrollment.handle().token(), seconds);
    with_headers(redirect(&format!("{}?next={}", visit.link("/enroll"), escaped(next))), headers)
}

/// The enrollment that this browser has started for this user, if it still waits for its first code.
pub(crate) async fn reopened<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    user: &str,
) -> Result<Option<Enrollment>, Failure> {
    let handle = visit.cookie(cookies::ENROLLMENT).and_then(|token| EnrollmentHandle::from_token(token).ok());
    let Some(handle) = handle.filter(|handle| handle.user() == user) else { return Ok(None) };
    let guard = visit.pages.guard();
    // Anybody can make up a ticket and a handle for any user. If the application was asked first, its answer would tell
    // who has an account. So the guard checks the handle before, with any label.
    if guard.reopen_enrollment(&handle, "x").await.is_err_and(|error| error.kind() == GuardErrorKind::NoEnrollment) {
        return Ok(None);
    }
    let label = visit.account(user).await?.label;
    match guard.reopen_enrollment(&handle, &label).await {
        Ok(enrollment) => Ok(Some(enrollment)),
        Err(error) if error.kind() == GuardErrorKind::NoEnrollment => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn page<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    who: &Who<'_>,
    enrollment: &Enrollment,
    next: &str,
    error: Option<&str>,
) -> Response {
    let uri = enrollment.uri();
    let label = visit.text(&Text::QrLabel);
    let Ok(qr) = enrollment.qr() else { return axum::response::IntoResponse::into_response(Failure::Unavailable) };
    let svg = qr.svg().with_module_size(4).with_label(&label).to_string();
    let content = html! {
        ol class="steps" {
            li {
                p { (visit.text(&Text::StepScan)) }
                div class="qr" { (PreEscaped(svg)) }
                p { a href=(uri.to_uri().as_str()) { (visit.text(&Text::OpenApp)) } }
                details {
                    summary { (visit.text(&Text::NoCamera)) }
                    p { (visit.text(&Text::TypeKey)) }
                    dl {
                        dt { (visit.text(&Text::KeyLabel)) }
                        dd { code #key class="key" dir="ltr" translate="no" { (enrollment.manual_entry().as_str()) } }
                        dt { (visit.text(&Text::AccountLabel)) }
                        dd { bdi { (uri.issuer().unwrap_or_default()) } ", " bdi { (uri.account()) } }
                    }
                }
            }
            li {
                form method="post" action=(visit.link("/confirm")) {
                    (code::hidden_token(who.secret()))
                    input type="hidden" name="next" value=(next);
                    (code::field(visit, Kind::First, error, error.is_some()))
                    div class="actions" { button type="submit" { (visit.text(&Text::TurnOn)) } }
                }
            }
        }
        @if let Who::LoggedIn(session) = who {
            form method="post" action=(visit.link("/cancel")) class="aside" {
                (code::hidden_token(session.id()))
                button type="submit" class="link" { (visit.text(&Text::Cancel)) }
            }
        }
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    visit.page(status, &Text::SetUpTitle, &content)
}

/// Activates the authenticator once it has shown a right code.
pub(crate) async fn confirm<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let who = Who::find(&visit, Some(&form)).await?;
    let fields = form.verified(who.secret())?;
    // The user confirms what this browser has shown, not what somebody else has started meanwhile.
    let Some(enrollment) = reopened(&visit, who.user()).await? else { return Err(Failure::OutOfDate) };
    let (guard, code) = (visit.pages.guard(), fields.get("code"));
    let confirmation = match &who {
        Who::LoggedIn(session) => guard.confirm(session.user(), code).await?,
        Who::LoggingIn(ticket, _) => guard.confirm_with_ticket(ticket, code).await?,
    };
    match confirmation {
        Confirmation::Confirmed(confirmed) => confirmed_page(&visit, who, confirmed, &fields).await,
        Confirmation::Refused { refusal, diagnosis } => {
            let message = code::diagnosis(&visit, refusal, diagnosis);
            Ok(page(&visit, &who, &enrollment, fields.get("next"), Some(&message)))
        }
    }
}

async fn confirmed_page<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    who: Who<'_>,
    confirmed: Confirmed,
    fields: &Fields,
) -> Result<Response, Failure> {
    let user = String::from(who.user());
    if let Err(error) = visit.pages.application().set_enrolled(&user, true).await {
        // The recovery codes must be shown all the same. The next login stores this again.
        tracing::error!(%error, "the application has not stored that the user has a second factor");
    }
    let mut headers = HeaderMap::new();
    for cookie in [cookies::ENROLLMENT, &cookies::proof("add"), &cookies::device(&user)] {
        cookies::clear(&mut headers, cookie);
    }
    let codes = confirmed.recovery_codes().map(recovery::strings);
    let (session, next) = match who {
        Who::LoggedIn(mut session) => {
            let kept = visit.keep(&mut session, confirmed.generation()).await;
            (kept.map(|()| session), visit.link("/"))
        }
        Who::LoggingIn(..) => {
            let sign_in = confirmed.into_sign_in().ok_or(Failure::Unavailable)?;
            let session = challenge::start_session(visit, sign_in, &mut headers).await;
            (session, visit.next(fields.get("next")))
        }
    };
    // If the application has failed, the user is not logged in but must see the recovery codes even so.
    let session = match session {
        Err(failure) if codes.is_none() => return Err(failure),
        session => session.ok(),
    };
    let response = match codes {
        Some(codes) => recovery::page(visit, &codes, session.as_ref().map(Session::id), &next),
        None => noticed(visit, Notice::Added),
    };
    Ok(with_headers(response, headers))
}

/// Cancels the enrollment that waits for its first code.
pub(crate) async fn cancel<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let session = visit.session().await?;
    form.verified(session.id())?;
    match visit.pages.guard().cancel_enrollment(session.user()).await {
        Err(error) if error.kind() != GuardErrorKind::NoEnrollment => return Err(error.into()),
        _ => {}
    }
    let mut headers = HeaderMap::new();
    cookies::clear(&mut headers, cookies::ENROLLMENT);
    Ok(with_headers(noticed(&visit, Notice::Canceled), headers))
}
