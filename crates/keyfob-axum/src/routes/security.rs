//! The security page: what the user's second factor consists of.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use keyfob::guard::{AuthenticatorStatus, DeviceId, DeviceStatus, Method, Status};
use keyfob::store::Store;
use maud::{Markup, html};

use crate::application::{Application, Session};
use crate::cookies;
use crate::failure::Failure;
use crate::forms::Unverified;
use crate::routes::notice::{Notice, noticed};
use crate::routes::{code, enroll};
use crate::texts::{Day, Text};
use crate::visit::{Visit, with_headers};

pub(crate) async fn show<A: Application, S: Store + 'static>(visit: Visit<A, S>) -> Result<Response, Failure> {
    let session = visit.session().await?;
    let status = visit.pages.guard().status(session.user()).await?;
    let account = visit.account(session.user()).await?;
    let pending = enroll::reopened(&visit, session.user()).await?.is_some();
    let notice = Notice::of(&visit);
    let content = html! {
        @if let Some(notice) = notice { p class="notice" role="status" { (visit.text(&notice.text())) } }
        @if pending {
            div class="warning" {
                p { (visit.text(&Text::Pending)) }
                div class="actions" {
                    a class="button" href=(visit.link("/enroll")) { (visit.text(&Text::ContinueSetUp)) }
                    (button(&visit, &session, "/cancel", None, &Text::Cancel, ""))
                }
            }
        }
        @if status.is_active() {
            p class="state on" { (visit.text(&Text::StateOn)) }
            (authenticators(&visit, &status))
            (recovery_codes(&visit, &status))
            (devices(&visit, &session, &status))
            @if account.may_turn_off {
                section {
                    h2 { (visit.text(&Text::TurnOffTitle)) }
                    p { (visit.text(&Text::TurnOffHint)) }
                    p { a class="button danger" href=(visit.link("/turn-off")) { (visit.text(&Text::TurnOff)) } }
                }
            }
        } @else {
            p class="state off" { (visit.text(&Text::StateOff)) }
            p { (visit.text(&Text::Introduction)) }
            @if !pending { (enroll::start_form(&visit, session.id(), "")) }
        }
    };
    let mut headers = HeaderMap::new();
    if notice.is_some() {
        cookies::clear(&mut headers, cookies::NOTICE);
    }
    Ok(with_headers(visit.page(StatusCode::OK, &Text::SecurityTitle, &content), headers))
}

fn authenticators<A: Application, S: Store + 'static>(visit: &Visit<A, S>, status: &Status) -> Markup {
    let authenticators = status.authenticators();
    let link = |authenticator: &AuthenticatorStatus, action: &str, text: &Text<'_>| {
        let path = visit.link(&format!("/authenticators/{}/{action}", authenticator.id()));
        // Several links on the page have the same text, so their names say which authenticator they are for.
        let described = visit.text(&Text::ForItem { action: &visit.text(text), name: name(authenticator) });
        html! { a href=(path) aria-label=(described) { (visit.text(text)) } }
    };
    html! {
        section {
            h2 { (visit.text(&Text::AuthenticatorsTitle)) }
            ul class="items" {
                @for authenticator in authenticators {
                    li {
                        div {
                            strong { bdi { (name(authenticator)) } }
                            p class="hint" {
                                (visit.text(match authenticator.method() {
                                    Method::Hotp => &Text::KindToken,
                                    _ => &Text::KindApp,
                                }))
                                " · " (visit.text(&Text::AddedOn { day: Day::of(authenticator.bound_at()) }))
                                " · "
                                @match authenticator.used_at() {
                                    Some(time) => (visit.text(&Text::LastUsed { day: Day::of(time) })),
                                    None => (visit.text(&Text::NeverUsed)),
                                }
                            }
                        }
                        div class="links" {
                            (link(authenticator, "rename", &Text::Rename))
                            (link(authenticator, "replace", &Text::Replace))
                            @if authenticators.len() > 1 { (link(authenticator, "remove", &Text::Remove)) }
                        }
                    }
                }
            }
            @if authenticators.len() == 1 { p class="hint" { (visit.text(&Text::AddSecond)) } }
            p { a class="button quiet" href=(visit.link("/add")) { (visit.text(&Text::Add)) } }
        }
    }
}

fn recovery_codes<A: Application, S: Store + 'static>(visit: &Visit<A, S>, status: &Status) -> Markup {
    let left = status.recovery_codes_left();
    html! {
        section {
            h2 { (visit.text(&Text::RecoveryCodesSection)) }
            p class=[(left <= FEW_CODES).then_some("warning")] {
                (visit.text(&Text::RecoveryCodesLeft { count: left.into() }))
            }
            p { a class="button quiet" href=(visit.link("/recovery-codes")) { (visit.text(&Text::NewRecoveryCodes)) } }
        }
    }
}

fn devices<A: Application, S: Store + 'static>(visit: &Visit<A, S>, session: &Session, status: &Status) -> Markup {
    let this = visit.device(session.user());
    let is_this = |device: &DeviceStatus| this.as_ref().is_some_and(|this| this.device() == device.id());
    html! {
        section {
            h2 { (visit.text(&Text::DevicesTitle)) }
            p class="hint" { (visit.text(&Text::DevicesHint)) }
            @if status.devices().is_empty() {
                p { (visit.text(&Text::NoDevices)) }
            } @else {
                ul class="items" {
                    @for device in status.devices() {
                        li {
                            div {
                                strong { bdi { (device.name()) } }
                                @if is_this(device) { " " span class="tag" { (visit.text(&Text::ThisDevice)) } }
                                p class="hint" {
                                    @let until = Day::of(device.expires_at());
                                    @match device.is_trusted() {
                                        true => (visit.text(&Text::TrustedUntil { day: until })),
                                        false => (visit.text(&Text::KnownUntil { day: until })),
                                    }
                                }
                            }
                            @let id = Some(device.id().as_str());
                            (button(visit, session, "/devices/forget", id, &Text::Forget, device.name()))
                        }
                    }
                }
            }
            p class="hint" { (visit.text(&Text::ForgetAllHint)) }
            (button(visit, session, "/devices/forget-all", None, &Text::ForgetAll, ""))
        }
    }
}

/// A form with one button. `item` says what it is for, to users who do not see the list.
fn button<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    session: &Session,
    path: &str,
    id: Option<&str>,
    text: &Text<'_>,
    item: &str,
) -> Markup {
    let action = visit.text(text);
    let described = visit.text(&Text::ForItem { action: &action, name: item });
    html! {
        form method="post" action=(visit.link(path)) {
            (code::hidden_token(session.id()))
            @if let Some(id) = id { input type="hidden" name="id" value=(id); }
            button type="submit" class="quiet" aria-label=[(!item.is_empty()).then_some(described)] { (action) }
        }
    }
}

/// Forgets one device. This takes no code, because it only removes a right.
pub(crate) async fn forget_device<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let session = visit.session().await?;
    let fields = form.verified(session.id())?;
    let id = DeviceId::new(fields.get("id")).map_err(|_| Failure::OutOfDate)?;
    visit.pages.guard().forget_device(session.user(), &id).await?;
    Ok(noticed(&visit, Notice::DeviceForgotten))
}

/// Forgets all devices and ends all other sessions. This takes no code, for the same reason.
pub(crate) async fn forget_devices<A: Application, S: Store + 'static>(
    visit: Visit<A, S>,
    form: Unverified,
) -> Result<Response, Failure> {
    let mut session = visit.session().await?;
    form.verified(session.id())?;
    let kept = visit.pages.guard().forget_devices_in_session(session.user(), session.generation()).await?;
    // The session has ended since it was checked.
    let Some(generation) = kept else { return Err(Failure::LogIn { next: visit.link("/") }) };
    visit.keep(&mut session, generation).await?;
    let mut headers = HeaderMap::new();
    cookies::clear(&mut headers, &cookies::device(session.user()));
    Ok(with_headers(noticed(&visit, Notice::DevicesForgotten), headers))
}

/// The name of an authenticator in a list.
pub(crate) fn name(authenticator: &AuthenticatorStatus) -> &str {
    if authenticator.name().is_empty() { authenticator.id().as_str() } else { authenticator.name() }
}

const FEW_CODES: u8 = 3;
