//! Login: the form for the code, and what follows it.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use keyfob::guard::{Accepted, Answer, Expectation, GuardErrorKind, Login, Method, Purpose, SignIn, SignInMethod};
use keyfob::store::Store;
use maud::{Markup, html};

use crate::application::{Application, BoxError, Session};
use crate::cookies;
use crate::failure::Failure;
use crate::forms::{Unverified, escaped};
use crate::routes::code::{self, Kind};
use crate::routes::recovery;
use crate::texts::{Day, Text};
use crate::visit::{Visit, redirect, with_headers};

/// Continues a login after the password.
pub(crate) async fn begin<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    user: &str,
    next: &str,
) -> Result<Response, Failure> {
    let account = visit.account(user).await?;
    let device = visit.device(user);
    let mut headers = HeaderMap::new();
    let (page, name, token, expires) =
        match visit.pages.guard().begin_login(user, account.expectation, device.as_ref()).await? {
            Login::Complete(sign_in) => return complete(visit, sign_in, next, false).await,
            Login::Challenge(challenge) => {
                if account.expectation != Expectation::Enrolled {
                    // The last attempt to store this in the user's row failed.
                    visit.pages.application().set_enrolled(user, true).await?;
                }
                ("/challenge", cookies::LOGIN, challenge.token(), challenge.expires_at())
            }
            Login::MustEnroll(ticket) => ("/enroll", cookies::TICKET, ticket.token(), ticket.expires_at()),
        };
    cookies::set(&mut headers, name, &token, expires.saturating_sub(code::now()));
    let page = format!("{}?next={}", visit.link(page), escaped(next));
    Ok(with_headers(redirect(&page), headers))
}

/// The form for the code.
pub(crate) async fn show<A: Application, S: Store + 'static>(visit: Visit<A, S>) -> Result<Response, Failure> {
    let next = visit.next(&visit.query("next"));
    let Some((_, token)) = visit.challenge() else { return nothing_pending(&visit, &next).await };
    Ok(form(&visit, token, Kind::of(&visit.query("with")), &next, None))
}

pub(crate) async fn answer<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    // The user comes from the pending login, never from the form.
    let Some((challenge, token)) = visit.challenge() else { return nothing_pending(&visit, visit.pages.home()).await };
    let fields = form.verified(token)?;
    let (kind, next) = (Kind::of(fields.get("with")), visit.next(fields.get("next")));
    match visit.pages.guard().answer(&challenge, fields.get("code")).await {
        Ok(Answer::Accepted(sign_in)) => complete(&visit, sign_in, &next, fields.get("trust") == "yes").await,
        Ok(Answer::Refused(refusal)) => {
            let message = code::message(&visit, kind, refusal);
            Ok(self::form(&visit, token, kind, &next, Some(&message)))
        }
        // The form was sent twice, and the first time has logged the user in.
        Err(error) if error.kind() == GuardErrorKind::LoginRejected => nothing_pending(&visit, &next).await,
        Err(error) => Err(error.into()),
    }
}

/// Without a pending login, a user who is logged in continues, and anybody else begins again.
async fn nothing_pending<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    next: &str,
) -> Result<Response, Failure> {
    match visit.pages.find_session(&visit.parts).await? {
        Some(_) => Ok(redirect(next)),
        None => Err(Failure::LoginEnded),
    }
}

fn form<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    token: &str,
    kind: Kind,
    next: &str,
    error: Option<&str>,
) -> Response {
    let path = visit.link("/challenge");
    let content = html! {
        form method="post" action=(path) {
            (code::hidden_token(token))
            input type="hidden" name="next" value=(next);
            (code::field(visit, kind, error, true))
            @if let Some(trust) = visit.pages.trust() {
                div class="choice" {
                    input #trust type="checkbox" name="trust" value="yes" aria-describedby="trust-hint";
                    div {
                        label for="trust" { (visit.text(&Text::Trust { days: (trust.as_secs() / DAY).max(1) })) }
                        p id="trust-hint" class="hint" { (visit.text(&Text::TrustHint)) }
                    }
                }
            }
            div class="actions" { button type="submit" { (visit.text(&Text::LogIn)) } }
        }
        p class="aside" { (code::other_kind(visit, kind, &format!("{path}?next={}", escaped(next)))) }
        p class="aside" { a href=(visit.pages.login()) { (visit.text(&Text::LogInAgain)) } }
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let title = if kind == Kind::Recovery { Text::RecoveryChallengeTitle } else { Text::ChallengeTitle };
    visit.page(status, &title, &content)
}

/// Starts the session. Every login ends here.
async fn complete<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    sign_in: SignIn,
    next: &str,
    trust: bool,
) -> Result<Response, Failure> {
    let guard = visit.pages.guard();
    let mut headers = HeaderMap::new();
    let (method, failures) = (sign_in.method(), sign_in.failures_before());
    let left = sign_in.accepted().map_or(0, Accepted::recovery_codes_left);
    let (mut replacement, mut proof) = (None, None);
    if let Some(accepted) = sign_in.accepted() {
        add_device(visit, &sign_in, accepted, trust, &mut headers).await;
        if accepted.method() == Method::RecoveryCode {
            // The new code is shown below. If this fails, the user has one code less, and is still logged in.
            match guard.replace_recovery_code(accepted).await {
                Ok(code) => replacement = code.as_ref().map(recovery::strings),
                Err(error) => tracing::error!(%error, "the used recovery code was not replaced"),
            }
            // The app is probably lost. With this proof, the user can replace it without another recovery code.
            proof = Some(guard.prove(accepted, &Purpose::ADD));
        }
    }
    let session = match (start_session(visit, sign_in, &mut headers).await, &replacement) {
        (Ok(session), _) => session,
        // The user is not logged in, but the list without this code would have one code less.
        (Err(_), Some(codes)) => return Ok(recovery::page(visit, codes, None, visit.pages.login())),
        (Err(failure), None) => return Err(failure),
    };
    if let Some(proof) = proof {
        cookies::set(&mut headers, &cookies::proof("add"), &proof.token(session.id()), PROOF_SECONDS);
    }
    let notes = notes(visit, method, failures, left, replacement.as_deref(), session.id());
    let response = match notes {
        Some((title, notes)) => {
            let content = html! {
                (notes)
                div class="actions" {
                    @match method {
                        SignInMethod::Code(_) => a class="button" href=(next) { (visit.text(&Text::Continue)) },
                        _ => {
                            a class="button" href=(visit.link("/")) { (visit.text(&Text::SetUpNow)) }
                            a class="button quiet" href=(next) { (visit.text(&Text::Later)) }
                        }
                    }
                }
            };
            visit.page(StatusCode::OK, &title, &content)
        }
        None => redirect(next),
    };
    Ok(with_headers(response, headers))
}

/// Starts a session, and checks that it is a new one.
pub(crate) async fn start_session<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    sign_in: SignIn,
    headers: &mut HeaderMap,
) -> Result<Session, Failure> {
    let application = visit.pages.application();
    let before = application.session(&visit.parts).await?;
    let session = application.start_session(sign_in, &visit.parts, headers).await?;
    let same = before.is_some_and(|before| before.id() == session.id());
    if same || cookies::contain(&visit.parts.headers, session.id()) {
        // Somebody may have planted this id in the browser, also before anybody was logged in.
        application.end_session(&session).await?;
        return Err(Failure::from(BoxError::from("start_session has not made a new session id")));
    }
    cookies::clear(headers, cookies::LOGIN);
    cookies::clear(headers, cookies::TICKET);
    Ok(session)
}

/// What to tell the user before going on, if there is something to tell.
fn notes<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    method: SignInMethod,
    failures: u64,
    left: u8,
    replacement: Option<&[String]>,
    session: &str,
) -> Option<(Text<'static>, Markup)> {
    let recovered = method == SignInMethod::Code(Method::RecoveryCode);
    let warned = failures > 0;
    let notes = html! {
        @if warned { p class="warning" { (visit.text(&Text::FailuresBefore { failures })) } }
        @if let SignInMethod::Grace { until } = method {
            p { (visit.text(&Text::Grace { until: Day::of(until) })) }
        }
        @if recovered {
            @if let Some(codes) = replacement {
                p { (visit.text(&Text::RecoveryCodeReplaced)) }
                (recovery::list(visit, codes, Some(session)))
            } @else {
                p { (visit.text(&Text::RecoveryCodesLeft { count: left.into() })) }
            }
            h2 { (visit.text(&Text::LostAppTitle)) }
            p { (visit.text(&Text::LostApp)) }
            p { a href=(visit.link("/")) { (visit.text(&Text::BackToSecurity)) } }
        }
    };
    match method {
        _ if recovered => Some((Text::RecoveredTitle, notes)),
        SignInMethod::Grace { .. } => Some((Text::GraceTitle, notes)),
        _ if warned => Some((Text::NoteTitle, notes)),
        _ => None,
    }
}

/// Remembers the device, or trusts it if the user has asked for it. The login is complete even if this fails.
async fn add_device<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    sign_in: &SignIn,
    accepted: &Accepted,
    trust: bool,
    headers: &mut HeaderMap,
) {
    let (guard, cookie) = (visit.pages.guard(), cookies::device(sign_in.user()));
    let name = device_name(&visit.parts.headers);
    if let Some(lifetime) = visit.pages.trust().filter(|_| trust) {
        match guard.trust_device(accepted, &name, lifetime).await {
            Ok(token) => {
                cookies::set(headers, &cookie, &token.token(), lifetime.as_secs());
                if let Some(known) = sign_in.device() {
                    // The list would have this device twice.
                    drop(guard.forget_device(sign_in.user(), known).await);
                }
                return;
            }
            Err(error) => tracing::error!(%error, "a device is not trusted"),
        }
    }
    let known = sign_in.device().and(visit.cookie(&cookie)).map(String::from);
    let token = match known {
        Some(token) => Some(token),
        None => guard.remember_device(accepted, &name).await.ok().map(|token| token.token().to_string()),
    };
    if let Some(token) = token {
        cookies::set(headers, &cookie, &token, KNOWN_SECONDS);
    }
}

/// A name for the list of devices, such as "Firefox, Linux".
fn device_name(headers: &HeaderMap) -> String {
    let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let find =
        |names: &[(&str, &'static str)]| names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    // The order matters: Edge and Opera also claim to be Chrome, and Chrome claims to be Safari.
    let browser = find(&[
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser}, {system}"),
        (Some(name), None) | (None, Some(name)) => name.into(),
        (None, None) => "?".into(),
    }
}

pub(crate) const DAY: u64 = 86_400;
/// The longest lifetime of a proof that a policy allows. The guard checks the real lifetime, so a cookie that outlives
/// its proof does no harm.
pub(crate) const PROOF_SECONDS: u64 = 3600;
/// keyfob forgets a known device after this time.
const KNOWN_SECONDS: u64 = 180 * DAY;
