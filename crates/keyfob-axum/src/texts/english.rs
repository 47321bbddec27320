//! The texts in English.

use std::borrow::Cow;

use crate::texts::{Day, Text, Texts};

/// The pages in English.
#[derive(Clone, Copy, Debug)]
pub struct English;

impl Texts for English {
    fn lang(&self) -> &str {
        "en"
    }

    fn text(&self, text: &Text<'_>) -> Cow<'static, str> {
        match text {
            Text::AccountLabel => "Account".into(),
            Text::Add => "Add an authenticator app".into(),
            Text::AddHint => {
                "Add an app on a second device. Then you can still log in if you lose the first one. To begin, \
                 type a code from an app that you have already added."
                    .into()
            }
            Text::AddSecond => {
                "Tip: add an app on a second device. Then you can still log in if you lose the first one.".into()
            }
            Text::AddTitle => "Add an authenticator app".into(),
            Text::Added => "The authenticator app has been added. You are logged out on all other devices.".into(),
            Text::AddedOn { day } => format!("Added on {}", date(*day)).into(),
            Text::AppUnsuitable => {
                "This app shows a different kind of code than we use. Please try another authenticator app.".into()
            }
            Text::AuthenticatorsTitle => "Authenticator apps".into(),
            Text::Back => "Go back".into(),
            Text::BackToSecurity => "Go to two-factor authentication".into(),
            Text::Cancel => "Cancel".into(),
            Text::Canceled => "The setup was canceled.".into(),
            Text::ChallengeTitle => "Type the code from your app".into(),
            Text::CheckHint => "This action needs a fresh code, to make sure that it is really you.".into(),
            Text::CheckNeedsFactor => {
                "This action is protected by two-factor authentication. Please set it up first.".into()
            }
            Text::CheckTitle => "Confirm that it is you".into(),
            Text::ClockOff { seconds } => format!(
                "The clock of your phone is {}. Turn on automatic date and time in the settings of the phone, and \
                 then type the new code.",
                clock(*seconds)
            )
            .into(),
            Text::CodeHint => "Open your authenticator app and type the code that it shows now.".into(),
            Text::CodeLabel => "Code".into(),
            Text::CodeMalformed => {
                "That is not a code. Type the digits that the app shows, or one of your recovery codes.".into()
            }
            Text::CodeUsed => "This code was used already. Wait until the app shows the next one.".into(),
            Text::CodeWrong => "That code did not work. Type the code that the app shows now.".into(),
            Text::CodesSaved => "I have saved the codes".into(),
            Text::Continue => "Continue".into(),
            Text::ContinueSetUp => "Continue".into(),
            Text::Copied => "Copied".into(),
            Text::Copy => "Copy".into(),
            Text::DefaultName => "My authenticator app".into(),
            Text::DeviceForgotten => "The device has been forgotten.".into(),
            Text::DevicesForgotten => "All devices have been forgotten, and you are logged out everywhere else.".into(),
            Text::DevicesHint => "Browsers in which you have typed a code.".into(),
            Text::DevicesTitle => "Devices".into(),
            Text::Download => "Download".into(),
            Text::Exhausted => "Too many wrong codes. Use a recovery code, or ask our support for help.".into(),
            Text::FailuresBefore { failures: 1 } => {
                "Somebody typed a wrong code since your last login. If that was not you, change your password: \
                 somebody else knows it."
                    .into()
            }
            Text::FailuresBefore { failures } => format!(
                "Somebody typed {failures} wrong codes since your last login. If that was not you, change your \
                 password: somebody else knows it."
            )
            .into(),
            Text::FirstCodeHint => "Type the code that the app now shows for this account.".into(),
            Text::FirstCodeLabel => "Code from the app".into(),
            Text::ForItem { action, name } => format!("{action}: {name}").into(),
            Text::ForbiddenTitle => "This is not possible".into(),
            Text::Forged => {
                "This form is out of date, or was sent from another page. Nothing has been changed. Go back, load \
                 the page again and repeat what you did."
                    .into()
            }
            Text::Forget => "Forget".into(),
            Text::ForgetAll => "Forget all devices".into(),
            Text::ForgetAllHint => "If you forget all devices, you are also logged out everywhere else.".into(),
            Text::Grace { until } => format!(
                "From {} on, your account needs two-factor authentication. It takes two minutes to set up.",
                date(*until)
            )
            .into(),
            Text::GraceTitle => "Please set up two-factor authentication".into(),
            Text::Interrupted => {
                "Nothing has been done yet, because this action needs a fresh code. Type the code and then repeat \
                 what you did."
                    .into()
            }
            Text::Introduction => {
                "With two-factor authentication, somebody who knows your password still cannot log in. After the \
                 password, you type a code that an app on your phone shows. Any authenticator app will do."
                    .into()
            }
            Text::KeyLabel => "Key".into(),
            Text::KindApp => "Authenticator app".into(),
            Text::KindToken => "Hardware token".into(),
            Text::KnownUntil { day } => format!("Needs a code. Known until {}", date(*day)).into(),
            Text::LastUsed { day } => format!("Last used on {}", date(*day)).into(),
            Text::Later => "Later".into(),
            Text::LogIn => "Log in".into(),
            Text::LogInAgain => "Log in as somebody else".into(),
            Text::LoginEnded => "Your login took too long, or was already completed. Please log in again.".into(),
            Text::LoginEndedTitle => "Please log in again".into(),
            Text::LostApp => {
                "If you have lost your phone or your authenticator app, replace it now. If the phone was stolen, \
                 change your password too."
                    .into()
            }
            Text::LostAppTitle => "Have you lost your app?".into(),
            Text::MayNotTurnOff => "Your account needs two-factor authentication, so you cannot turn it off.".into(),
            Text::NameHint => "So that you recognize it later, for example: my phone.".into(),
            Text::NameLabel => "Name of the app".into(),
            Text::NameRefused => "Please choose a shorter name.".into(),
            Text::NeverUsed => "Not used yet".into(),
            Text::NewRecoveryCodes => "Get new recovery codes".into(),
            Text::NoCamera => "No camera?".into(),
            Text::NoDevices => "There are none.".into(),
            Text::NotFound => "This page does not exist.".into(),
            Text::NotFoundTitle => "Page not found".into(),
            Text::NoteTitle => "Please note".into(),
            Text::OpenApp => "Open the authenticator app on this device".into(),
            Text::OutOfDate => "Something has changed since you opened the page. Please look at it again.".into(),
            Text::OutOfDateTitle => "This page is out of date".into(),
            Text::Pending => "An authenticator app is waiting for its first code.".into(),
            Text::Print => "Print".into(),
            Text::QrLabel => "QR code for your authenticator app".into(),
            Text::RecoveredTitle => "You have used a recovery code".into(),
            Text::RecoveryChallengeTitle => "Type a recovery code".into(),
            Text::RecoveryCodeHint => {
                "Type one of the codes that you saved when you set up the app. Each of them works once.".into()
            }
            Text::RecoveryCodeLabel => "Recovery code".into(),
            Text::RecoveryCodeMalformed => {
                "There is a typing mistake in this recovery code. Compare it with your list.".into()
            }
            Text::RecoveryCodeReplaced => {
                "Cross the code that you used off your list, and write down this new one. It is shown only now.".into()
            }
            Text::RecoveryCodeUsed => "This recovery code was used already. Type another one from your list.".into(),
            Text::RecoveryCodeWrong => {
                "This is not one of your recovery codes. Use the newest list that you have saved.".into()
            }
            Text::RecoveryCodesFile => "Recovery codes. Each of them works once.".into(),
            Text::RecoveryCodesIntroduction => {
                "If you lose your phone, you can log in with one of these codes. Each of them works once. Print \
                 them, or save them in a password manager, but not only on the phone. They are shown only now."
                    .into()
            }
            Text::RecoveryCodesLeft { count: 0 } => "You have no recovery codes left.".into(),
            Text::RecoveryCodesLeft { count: 1 } => "You have one recovery code left.".into(),
            Text::RecoveryCodesLeft { count } => format!("You have {count} recovery codes left.").into(),
            Text::RecoveryCodesSection => "Recovery codes".into(),
            Text::RecoveryCodesTitle => "Save your recovery codes".into(),
            Text::Refused => "We could not understand this request.".into(),
            Text::RefusedTitle => "This did not work".into(),
            Text::RegenerateHint => {
                "You get ten new codes, and the old ones stop working. You are logged out on all other devices.".into()
            }
            Text::RegenerateTitle => "Get new recovery codes".into(),
            Text::Remove => "Remove".into(),
            Text::RemoveHint => {
                "Codes from this app will not work anymore. You are logged out on all other devices.".into()
            }
            Text::RemoveTitle => "Remove an authenticator app".into(),
            Text::Removed => "The authenticator app has been removed. You are logged out on all other devices.".into(),
            Text::Rename => "Rename".into(),
            Text::RenameHint => "Choose a new name, and type a code to confirm it.".into(),
            Text::RenameTitle => "Rename an authenticator app".into(),
            Text::Renamed => "The authenticator app has a new name.".into(),
            Text::Replace => "Replace".into(),
            Text::ReplaceHint => {
                "Set up another app in place of this one. This one keeps working until the new one is set up.".into()
            }
            Text::ReplaceTitle => "Replace an authenticator app".into(),
            Text::Required => "Your account needs two-factor authentication. Please set it up to log in.".into(),
            Text::SecurityTitle => "Two-factor authentication".into(),
            Text::SetUp => "Set up an authenticator app".into(),
            Text::SetUpNow => "Set it up now".into(),
            Text::SetUpTitle => "Set up your authenticator app".into(),
            Text::StateOff => "Two-factor authentication is off.".into(),
            Text::StateOn => "Two-factor authentication is on.".into(),
            Text::StepScan => "Open your authenticator app and scan this QR code.".into(),
            Text::Support => "We cannot log you in right now. Please contact our support.".into(),
            Text::Suspended => "Your account is suspended. Please contact our support.".into(),
            Text::SuspendedTitle => "Your account is suspended".into(),
            Text::ThisDevice => "This device".into(),
            Text::Trust { days: 1 } => "Do not ask for a code on this device for one day".into(),
            Text::Trust { days } => format!("Do not ask for a code on this device for {days} days").into(),
            Text::TrustHint => "Only choose this on a device that nobody else uses.".into(),
            Text::TrustedUntil { day } => format!("Needs no code until {}", date(*day)).into(),
            Text::TurnOff => "Turn off".into(),
            Text::TurnOffHint => {
                "Without two-factor authentication, your password is enough to log in. Your apps and recovery \
                 codes are removed."
                    .into()
            }
            Text::TurnOffTitle => "Turn off two-factor authentication".into(),
            Text::TurnOn => "Turn on".into(),
            Text::TurnedOff => {
                "Two-factor authentication has been turned off. You are logged out on all other devices.".into()
            }
            Text::TypeKey => "Type this key into the app. It is a time-based key.".into(),
            Text::Unavailable => "Something went wrong on our side. Please try again later.".into(),
            Text::UnavailableTitle => "Please try again later".into(),
            Text::UseApp => "Use the authenticator app instead".into(),
            Text::UseRecoveryCode => "Use a recovery code instead".into(),
            Text::Wait { seconds } => {
                format!("Too many wrong codes. Try again in {}, or use a recovery code.", duration(*seconds)).into()
            }
        }
    }
}

fn date(day: Day) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let month = MONTHS.get(usize::from(day.month).wrapping_sub(1)).unwrap_or(&"");
    format!("{month} {}, {}", day.day, day.year)
}

/// A duration in the largest unit in which it is at least two, rounded up.
fn duration(seconds: u64) -> String {
    match seconds {
        1 => "1 second".into(),
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

fn clock(seconds: i64) -> String {
    format!("{} {}", duration(seconds.unsigned_abs()), if seconds < 0 { "slow" } else { "fast" })
}
