//! The texts in German.

use std::borrow::Cow;

use crate::texts::{Day, Text, Texts};

/// The pages in German.
#[derive(Clone, Copy, Debug)]
pub struct German;

impl Texts for German {
    fn lang(&self) -> &str {
        "de"
    }

    fn text(&self, text: &Text<'_>) -> Cow<'static, str> {
        match text {
            Text::AccountLabel => "Konto".into(),
            Text::Add => "Authenticator-App hinzufügen".into(),
            Text::AddHint => {
                "Fügen Sie eine App auf einem zweiten Gerät hinzu. Dann können Sie sich auch anmelden, wenn Sie \
                 das erste verlieren. Geben Sie zuerst einen Code aus einer App ein, die Sie schon hinzugefügt \
                 haben."
                    .into()
            }
            Text::AddSecond => {
                "Tipp: Fügen Sie eine App auf einem zweiten Gerät hinzu. Dann können Sie sich auch anmelden, wenn \
                 Sie das erste verlieren."
                    .into()
            }
            Text::AddTitle => "Authenticator-App hinzufügen".into(),
            Text::Added => {
                "Die Authenticator-App wurde hinzugefügt. Auf allen anderen Geräten sind Sie abgemeldet.".into()
            }
            Text::AddedOn { day } => format!("Hinzugefügt am {}", date(*day)).into(),
            Text::AppUnsuitable => {
                "Diese App zeigt Codes einer anderen Art, als wir sie verwenden. Bitte versuchen Sie es mit einer \
                 anderen Authenticator-App."
                    .into()
            }
            Text::AuthenticatorsTitle => "Authenticator-Apps".into(),
            Text::Back => "Zurück".into(),
            Text::BackToSecurity => "Zur Zwei-Faktor-Authentisierung".into(),
            Text::Cancel => "Abbrechen".into(),
            Text::Canceled => "Die Einrichtung wurde abgebrochen.".into(),
            Text::ChallengeTitle => "Code aus Ihrer App eingeben".into(),
            Text::CheckHint => {
                "Für diese Aktion ist ein neuer Code nötig. So stellen wir sicher, dass wirklich Sie es sind.".into()
            }
            Text::CheckNeedsFactor => {
                "Diese Aktion ist durch Zwei-Faktor-Authentisierung geschützt. Bitte richten Sie diese zuerst \
                 ein."
                    .into()
            }
            Text::CheckTitle => "Bestätigen Sie, dass Sie es sind".into(),
            Text::ClockOff { seconds } => format!(
                "Die Uhr Ihres Telefons geht {}. Schalten Sie in den Einstellungen des Telefons Datum und Uhrzeit \
                 auf automatisch, und geben Sie dann den neuen Code ein.",
                clock(*seconds)
            )
            .into(),
            Text::CodeHint => {
                "Öffnen Sie Ihre Authenticator-App und geben Sie den Code ein, den sie jetzt zeigt.".into()
            }
            Text::CodeLabel => "Code".into(),
            Text::CodeMalformed => "Das ist kein Code. Geben Sie die Ziffern ein, die die App zeigt, oder einen Ihrer \
                 Wiederherstellungscodes."
                .into(),
            Text::CodeUsed => "Dieser Code wurde schon verwendet. Warten Sie, bis die App den nächsten zeigt.".into(),
            Text::CodeWrong => "Dieser Code stimmt nicht. Geben Sie den Code ein, den die App jetzt zeigt.".into(),
            Text::CodesSaved => "Ich habe die Codes aufbewahrt".into(),
            Text::Continue => "Weiter".into(),
            Text::ContinueSetUp => "Weiter".into(),
            Text::Copied => "Kopiert".into(),
            Text::Copy => "Kopieren".into(),
            Text::DefaultName => "Meine Authenticator-App".into(),
            Text::DeviceForgotten => "Das Gerät wurde vergessen.".into(),
            Text::DevicesForgotten => "Alle Geräte wurden vergessen, und Sie sind überall sonst abgemeldet.".into(),
            Text::DevicesHint => "Browser, in denen Sie einen Code eingegeben haben.".into(),
            Text::DevicesTitle => "Geräte".into(),
            Text::Download => "Herunterladen".into(),
            Text::Exhausted => {
                "Zu viele falsche Codes. Verwenden Sie einen Wiederherstellungscode, oder wenden Sie sich an \
                 unseren Support."
                    .into()
            }
            Text::FailuresBefore { failures: 1 } => {
                "Seit Ihrer letzten Anmeldung wurde ein falscher Code eingegeben. Wenn Sie das nicht waren, ändern Sie \
                 Ihr Passwort: Jemand anderes kennt es."
                    .into()
            }
            Text::FailuresBefore { failures } => format!(
                "Seit Ihrer letzten Anmeldung wurden {failures} falsche Codes eingegeben. Wenn Sie das nicht waren, \
                 ändern Sie Ihr Passwort: Jemand anderes kennt es."
            )
            .into(),
            Text::FirstCodeHint => "Geben Sie den Code ein, den die App jetzt für dieses Konto zeigt.".into(),
            Text::FirstCodeLabel => "Code aus der App".into(),
            Text::ForItem { action, name } => format!("{action}: {name}").into(),
            Text::ForbiddenTitle => "Das ist nicht möglich".into(),
            Text::Forged => {
                "Dieses Formular ist veraltet oder kam von einer anderen Seite. Es wurde nichts geändert. Gehen \
                 Sie zurück, laden Sie die Seite neu und wiederholen Sie die Eingabe."
                    .into()
            }
            Text::Forget => "Vergessen".into(),
            Text::ForgetAll => "Alle Geräte vergessen".into(),
            Text::ForgetAllHint => "Wenn Sie alle Geräte vergessen, werden Sie auch überall sonst abgemeldet.".into(),
            Text::Grace { until } => format!(
                "Ab dem {} braucht Ihr Konto Zwei-Faktor-Authentisierung. Die Einrichtung dauert zwei Minuten.",
                date(*until)
            )
            .into(),
            Text::GraceTitle => "Bitte richten Sie die Zwei-Faktor-Authentisierung ein".into(),
            Text::Interrupted => {
                "Es ist noch nichts geschehen, weil für diese Aktion ein neuer Code nötig ist. Geben Sie den Code \
                 ein und wiederholen Sie die Aktion."
                    .into()
            }
            Text::Introduction => {
                "Mit Zwei-Faktor-Authentisierung kann sich niemand anmelden, der nur Ihr Passwort kennt. Nach dem \
                 Passwort geben Sie einen Code ein, den eine App auf Ihrem Telefon zeigt. Jede Authenticator-App \
                 ist geeignet."
                    .into()
            }
            Text::KeyLabel => "Schlüssel".into(),
            Text::KindApp => "Authenticator-App".into(),
            Text::KindToken => "Hardware-Token".into(),
            Text::KnownUntil { day } => format!("Fragt nach einem Code. Bekannt bis {}", date(*day)).into(),
            Text::LastUsed { day } => format!("Zuletzt verwendet am {}", date(*day)).into(),
            Text::Later => "Später".into(),
            Text::LogIn => "Anmelden".into(),
            Text::LogInAgain => "Als jemand anderes anmelden".into(),
            Text::LoginEnded => {
                "Ihre Anmeldung hat zu lange gedauert oder ist schon abgeschlossen. Bitte melden Sie sich neu an."
                    .into()
            }
            Text::LoginEndedTitle => "Bitte neu anmelden".into(),
            Text::LostApp => {
                "Wenn Sie Ihr Telefon oder Ihre Authenticator-App verloren haben, ersetzen Sie sie jetzt. Wenn \
                 das Telefon gestohlen wurde, ändern Sie auch Ihr Passwort."
                    .into()
            }
            Text::LostAppTitle => "Haben Sie Ihre App verloren?".into(),
            Text::MayNotTurnOff => {
                "Ihr Konto braucht Zwei-Faktor-Authentisierung. Deshalb können Sie sie nicht ausschalten.".into()
            }
            Text::NameHint => "Damit Sie sie später wiedererkennen, zum Beispiel: mein Telefon.".into(),
            Text::NameLabel => "Name der App".into(),
            Text::NameRefused => "Bitte wählen Sie einen kürzeren Namen.".into(),
            Text::NeverUsed => "Noch nicht verwendet".into(),
            Text::NewRecoveryCodes => "Neue Wiederherstellungscodes".into(),
            Text::NoCamera => "Keine Kamera?".into(),
            Text::NoDevices => "Es gibt keine.".into(),
            Text::NotFound => "Diese Seite gibt es nicht.".into(),
            Text::NotFoundTitle => "Seite nicht gefunden".into(),
            Text::NoteTitle => "Bitte beachten".into(),
            Text::OpenApp => "Authenticator-App auf diesem Gerät öffnen".into(),
            Text::OutOfDate => {
                "Seit Sie die Seite geöffnet haben, hat sich etwas geändert. Bitte sehen Sie sie noch einmal an.".into()
            }
            Text::OutOfDateTitle => "Diese Seite ist veraltet".into(),
            Text::Pending => "Eine Authenticator-App wartet auf ihren ersten Code.".into(),
            Text::Print => "Drucken".into(),
            Text::QrLabel => "QR-Code für Ihre Authenticator-App".into(),
            Text::RecoveredTitle => "Sie haben einen Wiederherstellungscode verwendet".into(),
            Text::RecoveryChallengeTitle => "Wiederherstellungscode eingeben".into(),
            Text::RecoveryCodeHint => {
                "Geben Sie einen der Codes ein, die Sie beim Einrichten der App aufbewahrt haben. Jeder gilt \
                 einmal."
                    .into()
            }
            Text::RecoveryCodeLabel => "Wiederherstellungscode".into(),
            Text::RecoveryCodeMalformed => {
                "In diesem Wiederherstellungscode ist ein Tippfehler. Vergleichen Sie ihn mit Ihrer Liste.".into()
            }
            Text::RecoveryCodeReplaced => {
                "Streichen Sie den verwendeten Code von Ihrer Liste, und schreiben Sie diesen neuen dazu. Er wird \
                 nur jetzt gezeigt."
                    .into()
            }
            Text::RecoveryCodeUsed => {
                "Dieser Wiederherstellungscode wurde schon verwendet. Geben Sie einen anderen aus Ihrer Liste ein."
                    .into()
            }
            Text::RecoveryCodeWrong => {
                "Das ist keiner Ihrer Wiederherstellungscodes. Verwenden Sie die neueste Liste, die Sie aufbewahrt \
                 haben."
                    .into()
            }
            Text::RecoveryCodesFile => "Wiederherstellungscodes. Jeder gilt einmal.".into(),
            Text::RecoveryCodesIntroduction => {
                "Wenn Sie Ihr Telefon verlieren, können Sie sich mit einem dieser Codes anmelden. Jeder gilt \
                 einmal. Drucken Sie sie aus oder bewahren Sie sie in einem Passwort-Manager auf, aber nicht nur \
                 auf dem Telefon. Sie werden nur jetzt gezeigt."
                    .into()
            }
            Text::RecoveryCodesLeft { count: 0 } => "Sie haben keine Wiederherstellungscodes mehr.".into(),
            Text::RecoveryCodesLeft { count: 1 } => "Sie haben noch einen Wiederherstellungscode.".into(),
            Text::RecoveryCodesLeft { count } => format!("Sie haben noch {count} Wiederherstellungscodes.").into(),
            Text::RecoveryCodesSection => "Wiederherstellungscodes".into(),
            Text::RecoveryCodesTitle => "Wiederherstellungscodes aufbewahren".into(),
            Text::Refused => "Wir konnten diese Anfrage nicht verstehen.".into(),
            Text::RefusedTitle => "Das hat nicht funktioniert".into(),
            Text::RegenerateHint => {
                "Sie bekommen zehn neue Codes, und die alten gelten nicht mehr. Auf allen anderen Geräten werden \
                 Sie abgemeldet."
                    .into()
            }
            Text::RegenerateTitle => "Neue Wiederherstellungscodes".into(),
            Text::Remove => "Entfernen".into(),
            Text::RemoveHint => {
                "Codes aus dieser App gelten dann nicht mehr. Auf allen anderen Geräten werden Sie abgemeldet.".into()
            }
            Text::RemoveTitle => "Authenticator-App entfernen".into(),
            Text::Removed => {
                "Die Authenticator-App wurde entfernt. Auf allen anderen Geräten sind Sie abgemeldet.".into()
            }
            Text::Rename => "Umbenennen".into(),
            Text::RenameHint => "Wählen Sie einen neuen Namen und bestätigen Sie ihn mit einem Code.".into(),
            Text::RenameTitle => "Authenticator-App umbenennen".into(),
            Text::Renamed => "Die Authenticator-App hat einen neuen Namen.".into(),
            Text::Replace => "Ersetzen".into(),
            Text::ReplaceHint => {
                "Richten Sie eine andere App an Stelle dieser ein. Diese funktioniert weiter, bis die neue \
                 eingerichtet ist."
                    .into()
            }
            Text::ReplaceTitle => "Authenticator-App ersetzen".into(),
            Text::Required => {
                "Ihr Konto braucht Zwei-Faktor-Authentisierung. Bitte richten Sie sie ein, um sich anzumelden.".into()
            }
            Text::SecurityTitle => "Zwei-Faktor-Authentisierung".into(),
            Text::SetUp => "Authenticator-App einrichten".into(),
            Text::SetUpNow => "Jetzt einrichten".into(),
            Text::SetUpTitle => "Authenticator-App einrichten".into(),
            Text::StateOff => "Die Zwei-Faktor-Authentisierung ist aus.".into(),
            Text::StateOn => "Die Zwei-Faktor-Authentisierung ist an.".into(),
            Text::StepScan => "Öffnen Sie Ihre Authenticator-App und scannen Sie diesen QR-Code.".into(),
            Text::Support => {
                "Wir können Sie im Moment nicht anmelden. Bitte wenden Sie sich an unseren Support.".into()
            }
            Text::Suspended => "Ihr Konto ist gesperrt. Bitte wenden Sie sich an unseren Support.".into(),
            Text::SuspendedTitle => "Ihr Konto ist gesperrt".into(),
            Text::ThisDevice => "Dieses Gerät".into(),
            Text::Trust { days: 1 } => "Auf diesem Gerät einen Tag lang nicht nach einem Code fragen".into(),
            Text::Trust { days } => format!("Auf diesem Gerät {days} Tage lang nicht nach einem Code fragen").into(),
            Text::TrustHint => "Wählen Sie das nur auf einem Gerät, das niemand sonst benutzt.".into(),
            Text::TrustedUntil { day } => format!("Fragt bis {} nicht nach einem Code", date(*day)).into(),
            Text::TurnOff => "Ausschalten".into(),
            Text::TurnOffHint => "Ohne Zwei-Faktor-Authentisierung genügt Ihr Passwort zum Anmelden. Ihre Apps und \
                 Wiederherstellungscodes werden entfernt."
                .into(),
            Text::TurnOffTitle => "Zwei-Faktor-Authentisierung ausschalten".into(),
            Text::TurnOn => "Einschalten".into(),
            Text::TurnedOff => {
                "Die Zwei-Faktor-Authentisierung wurde ausgeschaltet. Auf allen anderen Geräten sind Sie \
                 abgemeldet."
                    .into()
            }
            Text::TypeKey => "Geben Sie diesen Schlüssel in die App ein. Er ist zeitbasiert.".into(),
            Text::Unavailable => "Bei uns ist etwas schiefgegangen. Bitte versuchen Sie es später noch einmal.".into(),
            Text::UnavailableTitle => "Bitte versuchen Sie es später noch einmal".into(),
            Text::UseApp => "Stattdessen die Authenticator-App verwenden".into(),
            Text::UseRecoveryCode => "Stattdessen einen Wiederherstellungscode verwenden".into(),
            Text::Wait { seconds } => format!(
                "Zu viele falsche Codes. Versuchen Sie es in {} noch einmal, oder verwenden Sie einen \
                 Wiederherstellungscode.",
                duration(*seconds)
            )
            .into(),
        }
    }
}

fn date(day: Day) -> String {
    format!("{}. {}. {}", day.day, day.month, day.year)
}

/// A duration in the largest unit in which it is at least two, rounded up, in the dative.
fn duration(seconds: u64) -> String {
    match seconds {
        1 => "1 Sekunde".into(),
        0..=119 => format!("{seconds} Sekunden"),
        120..=7199 => format!("{} Minuten", seconds.div_ceil(60)),
        _ => format!("{} Stunden", seconds.div_ceil(3600)),
    }
}

fn clock(seconds: i64) -> String {
    format!("{} {}", duration(seconds.unsigned_abs()), if seconds < 0 { "nach" } else { "vor" })
}
