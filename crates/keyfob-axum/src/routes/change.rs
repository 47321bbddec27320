//! Changes to the second factor. Each of them needs a fresh code, which is sent with the form of the change.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use keyfob::guard::{AuthenticatorId, Generation, Method, Proof, Purpose, Verdict};
use keyfob::store::Store;
use maud::html;

use crate::application::{Application, Session};
use crate::cookies;
use crate::failure::Failure;
use crate::forms::Unverified;
use crate::routes::code::{self, Kind};
use crate::routes::notice::{Notice, noticed};
use crate::routes::{enroll, recovery, security};
use crate::texts::Text;
use crate::visit::{Visit, with_headers};

/// A change that needs a fresh code.
#[derive(Clone)]
enum Change {
    Add,
    Rename(AuthenticatorId),
    Replace(AuthenticatorId),
    Remove(AuthenticatorId),
    Regenerate,
    TurnOff,
}

impl Change {
    fn path(&self) -> String {
        match self {
            Self::Add => "/add".into(),
            Self::Rename(id) => format!("/authenticators/{id}/rename"),
            Self::Replace(id) => format!("/authenticators/{id}/replace"),
            Self::Remove(id) => format!("/authenticators/{id}/remove"),
            Self::Regenerate => "/recovery-codes".into(),
            Self::TurnOff => "/turn-off".into(),
        }
    }

    const fn purpose(&self) -> Purpose {
        match self {
            Self::Add | Self::Replace(_) => Purpose::ADD,
            Self::Rename(_) => Purpose::RENAME,
            Self::Remove(_) => Purpose::REVOKE,
            Self::Regenerate => Purpose::REGENERATE,
            Self::TurnOff => Purpose::DISABLE,
        }
    }

    /// The title, what the user should know before, and the text of the button.
    const fn texts(&self) -> (Text<'static>, Text<'static>, Text<'static>) {
        match self {
            Self::Add => (Text::AddTitle, Text::AddHint, Text::Continue),
            Self::Rename(_) => (Text::RenameTitle, Text::RenameHint, Text::Rename),
            Self::Replace(_) => (Text::ReplaceTitle, Text::ReplaceHint, Text::Continue),
            Self::Remove(_) => (Text::RemoveTitle, Text::RemoveHint, Text::Remove),
            Self::Regenerate => (Text::RegenerateTitle, Text::RegenerateHint, Text::NewRecoveryCodes),
            Self::TurnOff => (Text::TurnOffTitle, Text::TurnOffHint, Text::TurnOff),
        }
    }

    const fn authenticator(&self) -> Option<&AuthenticatorId> {
        match self {
            Self::Rename(id) | Self::Replace(id) | Self::Remove(id) => Some(id),
            Self::Add | Self::Regenerate | Self::TurnOff => None,
        }
    }

    const fn has_name(&self) -> bool {
        matches!(self, Self::Add | Self::Rename(_) | Self::Replace(_))
    }
}

/// Defines the two handlers of a change.
macro_rules! change {
    ($form:ident, $post:ident, $change:expr) => {
        pub(crate) async fn $form<A: Application, S: Store + 'static>(visit: Visit<A, S>) -> Result<Response, Failure> {
            ask(&visit, &$change).await
        }

        pub(crate) async fn $post<A: Application, S: Store + 'static>(
            visit: Visit<A, S>,
            form: Unverified,
        ) -> Result<Response, Failure> {
            apply(&visit, &$change, form).await
        }
    };
    ($form:ident, $post:ident, of $change:expr) => {
        pub(crate) async fn $form<A: Application, S: Store + 'static>(
            visit: Visit<A, S>,
            Path(id): Path<String>,
        ) -> Result<Response, Failure> {
            ask(&visit, &$change(parse(&id)?)).await
        }

        pub(crate) async fn $post<A: Application, S: Store + 'static>(
            visit: Visit<A, S>,
            Path(id): Path<String>,
            form: Unverified,
        ) -> Result<Response, Failure> {
            apply(&visit, &$change(parse(&id)?), form).await
        }
    };
}

change!(add_form, add, Change::Add);
change!(rename_form, rename, of Change::Rename);
change!(replace_form, replace, of Change::Replace);
change!(remove_form, remove, of Change::Remove);
change!(regenerate_form, regenerate, Change::Regenerate);
change!(turn_off_form, turn_off, Change::TurnOff);

fn parse(id: &str) -> Result<AuthenticatorId, Failure> {
    AuthenticatorId::new(id).map_err(|_| Failure::Refused(StatusCode::NOT_FOUND))
}

/// What the form contains after a refusal.
#[derive(Default)]
struct Typed<'a> {
    name: Option<&'a str>,
    name_error: Option<String>,
    code_error: Option<String>,
}

async fn ask<A: Application, S: Store + 'static>(visit: &Visit<A, S>, change: &Change) -> Result<Response, Failure> {
    let session = visit.session().await?;
    form(visit, &session, change, Kind::of(&visit.query("with")), Typed::default()).await
}

async fn form<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &Session,
    change: &Change,
    kind: Kind,
    typed: Typed<'_>,
) -> Result<Response, Failure> {
    allowed(visit, session, change).await?;
    let status = visit.pages.guard().status(session.user()).await?;
    if !status.is_active() {
        return Err(Failure::OutOfDate);
    }
    let authenticator = match change.authenticator() {
        Some(id) => {
            let found = status.authenticators().iter().find(|authenticator| authenticator.id() == id);
            Some(found.ok_or(Failure::OutOfDate)?)
        }
        None => None,
    };
    let (title, hint, button) = change.texts();
    let proven = change.purpose() == Purpose::ADD && kept_proof(visit, session).await.is_some();
    let path = visit.link(&change.path());
    let failed = typed.name_error.is_some() || typed.code_error.is_some();
    let name = typed.name.unwrap_or(match (change, authenticator) {
        (Change::Rename(_) | Change::Replace(_), Some(authenticator)) => authenticator.name(),
        _ => "",
    });
    let content = html! {
        @if let Some(authenticator) = authenticator { p { strong { bdi { (security::name(authenticator)) } } } }
        p { (visit.text(&hint)) }
        form method="post" action=(path) {
            (code::hidden_token(session.id()))
            @if change.has_name() { (enroll::name_field(visit, name, typed.name_error.as_deref())) }
            @if !proven { (code::field(visit, kind, typed.code_error.as_deref(), typed.code_error.is_some())) }
            div class="actions" {
                button type="submit" class=[matches!(change, Change::TurnOff | Change::Remove(_)).then_some("danger")] {
                    (visit.text(&button))
                }
                a class="button quiet" href=(visit.link("/")) { (visit.text(&Text::Cancel)) }
            }
        }
        @if !proven { p class="aside" { (code::other_kind(visit, kind, &path)) } }
    };
    let status = if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(visit.page(status, &title, &content))
}

/// Checks the code and makes the change, in one request. The proof never leaves the server.
async fn apply<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    change: &Change,
    form: Unverified,
) -> Result<Response, Failure> {
    let mut session = visit.session().await?;
    let fields = form.verified(session.id())?;
    allowed(visit, &session, change).await?;
    let (kind, name) = (Kind::of(fields.get("with")), fields.get("name"));
    let account = visit.account(session.user()).await?;
    let Some(setup) = enroll::setup(visit, &account.label, name) else {
        let typed = Typed { name: Some(name), name_error: Some(visit.text(&Text::NameRefused)), code_error: None };
        return self::form(visit, &session, change, kind, typed).await;
    };
    let mut headers = HeaderMap::new();
    let proof = match kept_proof(visit, &session).await.filter(|_| change.purpose() == Purpose::ADD) {
        Some(proof) => proof,
        None => match verify(visit, &mut session, kind, fields.get("code"), &change.purpose(), &mut headers).await? {
            Ok(proof) => proof,
            Err(message) => {
                let typed = Typed { name: Some(name), name_error: None, code_error: Some(message) };
                return self::form(visit, &session, change, kind, typed).await;
            }
        },
    };
    let (guard, user) = (visit.pages.guard(), String::from(session.user()));
    let response = match change {
        Change::Add => enroll::started(visit, &guard.enroll_another(&user, &setup, &proof).await?, ""),
        Change::Replace(id) => {
            let setup = setup.replacing(id.clone());
            enroll::started(visit, &guard.enroll_another(&user, &setup, &proof).await?, "")
        }
        Change::Rename(id) => {
            guard.rename(&user, id, &enroll::name(visit, name), &proof).await?;
            noticed(visit, Notice::Renamed)
        }
        Change::Remove(id) => {
            let generation = guard.revoke(&user, id, &proof).await?;
            changed(visit, &mut session, generation, &mut headers).await?;
            noticed(visit, Notice::Removed)
        }
        Change::Regenerate => {
            let codes = guard.regenerate_recovery_codes(&user, &proof).await?;
            // The codes must be shown even if the application fails. This session then ends.
            let kept = changed(visit, &mut session, codes.generation(), &mut headers).await;
            let token = kept.is_ok().then_some(session.id());
            recovery::page(visit, &recovery::strings(&codes), token, &visit.link("/"))
        }
        Change::TurnOff => {
            let generation = guard.disable(&user, &proof).await?;
            visit.pages.application().set_enrolled(&user, false).await?;
            changed(visit, &mut session, generation, &mut headers).await?;
            noticed(visit, Notice::TurnedOff)
        }
    };
    Ok(with_headers(response, headers))
}

/// Refuses to turn off a second factor that the application requires.
async fn allowed<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &Session,
    change: &Change,
) -> Result<(), Failure> {
    if matches!(change, Change::TurnOff) && !visit.account(session.user()).await?.may_turn_off {
        return Err(Failure::Forbidden(&Text::MayNotTurnOff));
    }
    Ok(())
}

/// Checks a code of the user who is logged in, and makes a proof for one purpose. Returns a message if the code was
/// refused.
pub(crate) async fn verify<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &mut Session,
    kind: Kind,
    typed: &str,
    purpose: &Purpose,
    headers: &mut HeaderMap,
) -> Result<Result<Proof, String>, Failure> {
    let device = visit.device(session.user());
    let guard = visit.pages.guard();
    let accepted = match guard.verify_on_device(session.user(), typed, device.as_ref()).await? {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Refused(refusal) => return Ok(Err(code::message(visit, kind, refusal))),
    };
    if accepted.method() == Method::RecoveryCode {
        // It has ended all sessions, except for the one in which it was used.
        changed(visit, session, accepted.generation(), headers).await?;
    }
    Ok(Ok(guard.prove(&accepted, purpose)))
}

/// Keeps this session after a change. All devices were forgotten with the change.
async fn changed<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &mut Session,
    generation: Generation,
    headers: &mut HeaderMap,
) -> Result<(), Failure> {
    cookies::clear(headers, &cookies::device(session.user()));
    visit.keep(session, generation).await
}

/// The proof of a login with a recovery code, which is good for adding an app instead of the lost one.
async fn kept_proof<A: Application, S: Store + 'static>(visit: &Visit<A, S>, session: &Session) -> Option<Proof> {
    let proof = Proof::from_token(visit.cookie(&cookies::proof("add"))?).ok()?.in_session(session.id());
    // If the store fails, the change that follows fails as well.
    visit.pages.guard().check(session.user(), &proof, &Purpose::ADD).await.is_ok().then_some(proof)
}
