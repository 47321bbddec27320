//! The words on the pages, in a language that can be replaced.

mod english;
mod german;

use std::borrow::Cow;

use time::OffsetDateTime;

pub use english::English;
pub use german::German;

/// The words on the pages. [`English`] and [`German`] are included.
///
/// To change a few texts, handle these and leave the others to an included language. A new language handles all of
/// them. New texts may be added in any release, so the last arm leaves them to English:
///
/// ```
/// use std::borrow::Cow;
/// use keyfob_axum::{English, Text, Texts};
///
/// struct Ours;
///
/// impl Texts for Ours {
///     fn lang(&self) -> &str {
///         English.lang()
///     }
///
///     fn text(&self, text: &Text<'_>) -> Cow<'static, str> {
///         match text {
///             Text::SecurityTitle => "Two-step login".into(),
///             other => English.text(other),
///         }
///     }
/// }
/// ```
pub trait Texts: Send + Sync {
    /// The language, such as `en`, for the attribute `lang` of the document.
    fn lang(&self) -> &str;

    /// Returns whether the language is written from right to left.
    fn is_rtl(&self) -> bool {
        false
    }

    /// Returns a text as plain text. The pages escape it.
    fn text(&self, text: &Text<'_>) -> Cow<'static, str>;
}

/// A day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Day {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, from 1 to 12.
    pub month: u8,
    /// The day of the month, from 1 to 31.
    pub day: u8,
}

impl Day {
    /// The day of a time in Unix seconds.
    pub(crate) fn of(seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
        Self { year: date.year(), month: date.month().into(), day: date.day() }
    }
}

/// A text on one of the pages. The documentation of each text is the English wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Text<'a> {
    /// "Account"
    AccountLabel,
    /// "Add an authenticator app"
    Add,
    /// "Add an app on a second device. Then you can still log in if you lose the first one. To begin, type a code from
    /// an app that you have already added."
    AddHint,
    /// "Tip: add an app on a second device. Then you can still log in if you lose the first one."
    AddSecond,
    /// "Add an authenticator app"
    AddTitle,
    /// "The authenticator app has been added. You are logged out on all other devices."
    Added,
    /// "Added on {day}"
    AddedOn {
        /// The day.
        day: Day,
    },
    /// "This app shows a different kind of code than we use. Please try another authenticator app."
    AppUnsuitable,
    /// "Authenticator apps"
    AuthenticatorsTitle,
    /// "Go back"
    Back,
    /// "Go to two-factor authentication"
    BackToSecurity,
    /// "Cancel"
    Cancel,
    /// "The setup was canceled."
    Canceled,
    /// "Type the code from your app"
    ChallengeTitle,
    /// "This action needs a fresh code, to make sure that it is really you."
    CheckHint,
    /// "This action is protected by two-factor authentication. Please set it up first."
    CheckNeedsFactor,
    /// "Confirm that it is you"
    CheckTitle,
    /// The first code of a new app shows that the clock of the phone is off: ahead if positive, behind if negative.
    ClockOff {
        /// The number of seconds.
        seconds: i64,
    },
    /// "Open your authenticator app and type the code that it shows now."
    CodeHint,
    /// "Code"
    CodeLabel,
    /// "That is not a code. Type the digits that the app shows, or one of your recovery codes."
    CodeMalformed,
    /// "This code was used already. Wait until the app shows the next one."
    CodeUsed,
    /// "That code did not work. Type the code that the app shows now."
    CodeWrong,
    /// "I have saved the codes"
    CodesSaved,
    /// "Continue"
    Continue,
    /// "Continue"
    ContinueSetUp,
    /// "Copied"
    Copied,
    /// "Copy"
    Copy,
    /// "My authenticator app"
    DefaultName,
    /// "The device has been forgotten."
    DeviceForgotten,
    /// "All devices have been forgotten, and you are logged out everywhere else."
    DevicesForgotten,
    /// "Browsers in which you have typed a code."
    DevicesHint,
    /// "Devices"
    DevicesTitle,
    /// "Download"
    Download,
    /// "Too many wrong codes. Use a recovery code, or ask our support for help."
    Exhausted,
    /// How many wrong codes were typed since the last login.
    FailuresBefore {
        /// The number of wrong codes.
        failures: u64,
    },
    /// "Type the code that the app now shows for this account."
    FirstCodeHint,
    /// "Code from the app"
    FirstCodeLabel,
    /// The name of a button or link of one item in a list, for screen readers.
    ForItem {
        /// The text of the button or link.
        action: &'a str,
        /// The name of the item.
        name: &'a str,
    },
    /// "This is not possible"
    ForbiddenTitle,
    /// "This form is out of date, or was sent from another page. Nothing has been changed. Go back, load the page again
    /// and repeat what you did."
    Forged,
    /// "Forget"
    Forget,
    /// "Forget all devices"
    ForgetAll,
    /// "If you forget all devices, you are also logged out everywhere else."
    ForgetAllHint,
    /// "From {until} on, your account needs two-factor authentication. It takes two minutes to set up."
    Grace {
        /// The day.
        until: Day,
    },
    /// "Please set up two-factor authentication"
    GraceTitle,
    /// "Nothing has been done yet, because this action needs a fresh code. Type the code and then repeat what you did."
    Interrupted,
    /// "With two-factor authentication, somebody who knows your password still cannot log in. After the password, you
    /// type a code that an app on your phone shows. Any authenticator app will do."
    Introduction,
    /// "Key"
    KeyLabel,
    /// "Authenticator app"
    KindApp,
    /// "Hardware token"
    KindToken,
    /// "Needs a code. Known until {day}"
    KnownUntil {
        /// The day.
        day: Day,
    },
    /// "Last used on {day}"
    LastUsed {
        /// The day.
        day: Day,
    },
    /// "Later"
    Later,
    /// "Log in"
    LogIn,
    /// "Log in as somebody else"
    LogInAgain,
    /// "Your login took too long, or was already completed. Please log in again."
    LoginEnded,
    /// "Please log in again"
    LoginEndedTitle,
    /// "If you have lost your phone or your authenticator app, replace it now. If the phone was stolen, change your
    /// password too."
    LostApp,
    /// "Have you lost your app?"
    LostAppTitle,
    /// "Your account needs two-factor authentication, so you cannot turn it off."
    MayNotTurnOff,
    /// "So that you recognize it later, for example: my phone."
    NameHint,
    /// "Name of the app"
    NameLabel,
    /// "Please choose a shorter name."
    NameRefused,
    /// "Not used yet"
    NeverUsed,
    /// "Get new recovery codes"
    NewRecoveryCodes,
    /// "No camera?"
    NoCamera,
    /// "There are none."
    NoDevices,
    /// "This page does not exist."
    NotFound,
    /// "Page not found"
    NotFoundTitle,
    /// "Please note"
    NoteTitle,
    /// "Open the authenticator app on this device"
    OpenApp,
    /// "Something has changed since you opened the page. Please look at it again."
    OutOfDate,
    /// "This page is out of date"
    OutOfDateTitle,
    /// "An authenticator app is waiting for its first code."
    Pending,
    /// "Print"
    Print,
    /// "QR code for your authenticator app"
    QrLabel,
    /// "You have used a recovery code"
    RecoveredTitle,
    /// "Type a recovery code"
    RecoveryChallengeTitle,
    /// "Type one of the codes that you saved when you set up the app. Each of them works once."
    RecoveryCodeHint,
    /// "Recovery code"
    RecoveryCodeLabel,
    /// "There is a typing mistake in this recovery code. Compare it with your list."
    RecoveryCodeMalformed,
    /// "Cross the code that you used off your list, and write down this new one. It is shown only now."
    RecoveryCodeReplaced,
    /// "This recovery code was used already. Type another one from your list."
    RecoveryCodeUsed,
    /// "This is not one of your recovery codes. Use the newest list that you have saved."
    RecoveryCodeWrong,
    /// "Recovery codes. Each of them works once."
    RecoveryCodesFile,
    /// "If you lose your phone, you can log in with one of these codes. Each of them works once. Print them, or save
    /// them in a password manager, but not only on the phone. They are shown only now."
    RecoveryCodesIntroduction,
    /// How many recovery codes are left.
    RecoveryCodesLeft {
        /// The number of codes.
        count: u64,
    },
    /// "Recovery codes"
    RecoveryCodesSection,
    /// "Save your recovery codes"
    RecoveryCodesTitle,
    /// "We could not understand this request."
    Refused,
    /// "This did not work"
    RefusedTitle,
    /// "You get ten new codes, and the old ones stop working. You are logged out on all other devices."
    RegenerateHint,
    /// "Get new recovery codes"
    RegenerateTitle,
    /// "Remove"
    Remove,
    /// "Codes from this app will not work anymore. You are logged out on all other devices."
    RemoveHint,
    /// "Remove an authenticator app"
    RemoveTitle,
    /// "The authenticator app has been removed. You are logged out on all other devices."
    Removed,
    /// "Rename"
    Rename,
    /// "Choose a new name, and type a code to confirm it."
    RenameHint,
    /// "Rename an authenticator app"
    RenameTitle,
    /// "The authenticator app has a new name."
    Renamed,
    /// "Replace"
    Replace,
    /// "Set up another app in place of this one. This one keeps working until the new one is set up."
    ReplaceHint,
    /// "Replace an authenticator app"
    ReplaceTitle,
    /// "Your account needs two-factor authentication. Please set it up to log in."
    Required,
    /// "Two-factor authentication"
    SecurityTitle,
    /// "Set up an authenticator app"
    SetUp,
    /// "Set it up now"
    SetUpNow,
    /// "Set up your authenticator app"
    SetUpTitle,
    /// "Two-factor authentication is off."
    StateOff,
    /// "Two-factor authentication is on."
    StateOn,
    /// "Open your authenticator app and scan this QR code."
    StepScan,
    /// "We cannot log you in right now. Please contact our support."
    Support,
    /// "Your account is suspended. Please contact our support."
    Suspended,
    /// "Your account is suspended"
    SuspendedTitle,
    /// "This device"
    ThisDevice,
    /// "Do not ask for a code on this device for {days} days"
    Trust {
        /// The number of days.
        days: u64,
    },
    /// "Only choose this on a device that nobody else uses."
    TrustHint,
    /// "Needs no code until {day}"
    TrustedUntil {
        /// The day.
        day: Day,
    },
    /// "Turn off"
    TurnOff,
    /// "Without two-factor authentication, your password is enough to log in. Your apps and recovery codes are
    /// removed."
    TurnOffHint,
    /// "Turn off two-factor authentication"
    TurnOffTitle,
    /// "Turn on"
    TurnOn,
    /// "Two-factor authentication has been turned off. You are logged out on all other devices."
    TurnedOff,
    /// "Type this key into the app. It is a time-based key."
    TypeKey,
    /// "Something went wrong on our side. Please try again later."
    Unavailable,
    /// "Please try again later"
    UnavailableTitle,
    /// "Use the authenticator app instead"
    UseApp,
    /// "Use a recovery code instead"
    UseRecoveryCode,
    /// How long the user has to wait after too many wrong codes.
    Wait {
        /// The number of seconds.
        seconds: u64,
    },
}
