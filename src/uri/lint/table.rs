//! The table that `lint` uses. Each problem has a condition, an effect, and a list of affected apps, each with a source
//! and a date.
//!
//! Apps change without notice. Each entry gives its source and, if known, the year and month of the source, so that
//! outdated entries can be found and checked again. The table contains only known problems.
//!
//! One known problem is left out on purpose: Apple Passwords and a browser extension read leftover bits in the last
//! character of a secret as part of the secret. `KeyUri` never writes such bits.

use super::{Effect, Factor, KeyUri, divides_a_minute};
use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::key::Strength;

pub(super) struct Rule {
    pub(super) applies: fn(&KeyUri) -> bool,
    pub(super) effect: Effect,
    pub(super) apps: &'static [(&'static str, Source)],
    pub(super) reason: &'static str,
}

/// The evidence for a problem: a repository or a public report, and its year and month, or `undated`.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) read: &'static str,
}

pub(super) static TABLE: [Rule; 47] = [
    Rule {
        applies: |uri| uri.algorithm != Algorithm::Sha1,
        effect: Effect::WrongCode,
        apps: &[
            ("Authy", TESTS_2019),
            ("Duo Mobile", TESTS_2019),
            ("Google Authenticator for Android before 2024", GOOGLE_2020),
            ("Microsoft Authenticator", MICROSOFT_2024),
        ],
        reason: "computes with SHA-1 whatever the URI says",
    },
    Rule {
        applies: |uri| uri.algorithm != Algorithm::Sha1,
        effect: Effect::WrongCode,
        apps: &[("Okta Verify for Android", TESTS_2023)],
        reason: "shows wrong codes for some of the hash functions",
    },
    Rule {
        applies: |uri| uri.algorithm == Algorithm::Sha512,
        effect: Effect::Refused,
        apps: &[("Nitrokey 3", NITROKEY), ("YubiKey 4 FIPS", YUBIKEY), ("YubiKey with firmware before 4.3.1", YUBIKEY)],
        reason: "does not know SHA-512",
    },
    Rule {
        applies: |uri| uri.digits != Digits::Six,
        effect: Effect::WrongCode,
        apps: &[
            ("Google Authenticator for Android before 2024", GOOGLE_2020),
            ("Microsoft Authenticator", MICROSOFT_2024),
        ],
        reason: "shows six digits whatever the URI says",
    },
    Rule {
        applies: |uri| uri.digits != Digits::Six,
        effect: Effect::WrongCode,
        apps: &[("Okta Verify for Android", TESTS_2023)],
        reason: "shows wrong codes for some of the lengths",
    },
    Rule {
        applies: |uri| uri.digits != Digits::Six,
        effect: Effect::Refused,
        apps: &[("Duo Mobile", TESTS_2019)],
        reason: "takes codes of six digits only",
    },
    Rule {
        applies: |uri| uri.other_period().is_some(),
        effect: Effect::WrongCode,
        apps: &[
            ("Authy", TESTS_2019),
            ("Duo Mobile", TESTS_2019),
            ("Google Authenticator for Android before 2024", TESTS_2023),
            ("Microsoft Authenticator", MICROSOFT_2023),
        ],
        reason: "counts in 30 seconds whatever the URI says",
    },
    Rule {
        applies: |uri| uri.other_period().is_some_and(|period| !(5..=300).contains(&period.seconds())),
        effect: Effect::WrongCode,
        apps: &[("Apple Passwords", APPLE)],
        reason: "counts in 30 seconds where the period is not 5 to 300",
    },
    Rule {
        applies: |uri| uri.period().is_some_and(|period| !divides_a_minute(period)),
        effect: Effect::WrongCode,
        apps: &[("Authenticator, the browser extension", EXTENSION)],
        reason: "counts wrongly where the period does not divide 60 seconds",
    },
    Rule {
        applies: |uri| uri.period().is_some_and(|period| period.seconds() > 900),
        effect: Effect::WrongCode,
        apps: &[("KeePassDX", KEEPASS_DX)],
        reason: "counts wrongly where the period is above 900 seconds",
    },
    Rule {
        applies: |uri| uri.period().is_some_and(|period| ![10, 30, 60, 90].contains(&period.seconds())),
        effect: Effect::Refused,
        apps: &[("2FAS for Android", TWOFAS_ANDROID), ("2FAS for iOS", TWOFAS_IOS)],
        reason: "takes periods of 10, 30, 60 and 90 seconds",
    },
    Rule {
        applies: |uri| uri.period().is_some_and(|period| period.seconds() < 5),
        effect: Effect::Refused,
        apps: &[("FreeOTP for Android", FREEOTP_ANDROID), ("FreeOTP for iOS", FREEOTP_IOS)],
        reason: "takes periods of 5 seconds and more",
    },
    Rule {
        applies: KeyUri::has_other_settings,
        effect: Effect::Refused,
        apps: &[("Symantec VIP", TESTS_2019)],
        reason: "takes SHA-1, six digits and 30 seconds only",
    },
    Rule {
        applies: KeyUri::has_other_settings,
        effect: Effect::WrongCode,
        apps: &[("FortiToken", TESTS_2023)],
        reason: "shows wrong codes for some settings other than SHA-1, six digits and 30 seconds",
    },
    Rule {
        applies: |uri| uri.counts(),
        effect: Effect::WrongCode,
        apps: &[("Bitwarden", BITWARDEN)],
        reason: "reads HOTP as TOTP where the URI is pasted",
    },
    Rule {
        applies: |uri| uri.counts(),
        effect: Effect::WrongCode,
        apps: &[("KeePassXC", KEEPASS_XC), ("Microsoft Authenticator", MICROSOFT_2017)],
        reason: "reads HOTP as TOTP",
    },
    Rule {
        applies: |uri| uri.counter() > Some(0),
        effect: Effect::WrongCode,
        apps: &[("Authenticator, the browser extension", EXTENSION)],
        reason: "counts from 0 whatever the URI says",
    },
    Rule {
        applies: |uri| uri.counts() && uri.digits != Digits::Six,
        effect: Effect::WrongCode,
        apps: &[("Ente Auth on the web", ENTE_WEB)],
        reason: "shows six digits for HOTP",
    },
    Rule {
        applies: |uri| uri.counts(),
        effect: Effect::Refused,
        apps: &[
            ("Apple Passwords", APPLE),
            ("Bitwarden for Android", BITWARDEN_ANDROID),
            ("Bitwarden for iOS", BITWARDEN_IOS),
            ("KeePassium", KEEPASSIUM),
            ("Proton Authenticator", PROTON),
            ("Proton Pass", PROTON),
        ],
        reason: "takes TOTP only",
    },
    Rule {
        applies: KeyUri::names_steam,
        effect: Effect::WrongCode,
        apps: &[("Bitwarden", BITWARDEN)],
        reason: "reads Steam as TOTP, unless it is a pasted steam:// link",
    },
    Rule {
        applies: KeyUri::names_steam,
        effect: Effect::WrongCode,
        apps: &[
            ("Authenticator, the browser extension", EXTENSION),
            ("KeePassDX", KEEPASS_DX),
            ("KeePassXC", KEEPASS_XC),
        ],
        reason: "reads the type steam as TOTP",
    },
    Rule {
        applies: KeyUri::names_steam,
        effect: Effect::Refused,
        apps: &[("Bitwarden for Android", BITWARDEN_ANDROID), ("Bitwarden for iOS", BITWARDEN_IOS)],
        reason: "does not take the type steam where the URI is scanned",
    },
    Rule {
        applies: |uri| uri.factor == Factor::Steam,
        effect: Effect::Refused,
        apps: &[
            ("Apple Passwords", APPLE),
            ("Dashlane for iOS", DASHLANE),
            ("FreeOTP for Android", FREEOTP_ANDROID),
            ("FreeOTP for iOS", FREEOTP_IOS),
            ("FreeOTP+", FREEOTP_PLUS),
            ("Google Authenticator for Android", GOOGLE_2020),
            ("KeePassium", KEEPASSIUM),
            ("Proton Pass", PROTON),
            ("Stratum", STRATUM),
            ("YubiKey", YUBIKEY),
        ],
        reason: "does not know Steam codes by a type of their own",
    },
    Rule {
        applies: |uri| uri.prefix() == Some("Steam") && uri.factor != Factor::Steam,
        effect: Effect::WrongCode,
        apps: &[("FreeOTP for Android", FREEOTP_ANDROID), ("Stratum", STRATUM)],
        reason: "makes Steam codes where the label begins with Steam",
    },
    Rule {
        applies: |uri| uri.issuers().any(|issuer| issuer == "Steam") && uri.factor != Factor::Steam,
        effect: Effect::WrongCode,
        apps: &[("FreeOTP+", FREEOTP_PLUS), ("KeePassium", KEEPASSIUM), ("privacyIDEA Authenticator", PRIVACYIDEA)],
        reason: "makes Steam codes for the issuer Steam",
    },
    Rule {
        applies: |uri| {
            uri.issuer().is_some_and(|issuer| issuer.eq_ignore_ascii_case("steam")) && uri.factor != Factor::Steam
        },
        effect: Effect::WrongCode,
        apps: &[("Ente Auth", ENTE)],
        reason: "makes Steam codes for the issuer Steam in any case",
    },
    Rule {
        applies: |uri| uri.secret.strength() < Strength::Strong,
        effect: Effect::Refused,
        apps: &[("FreeOTP for Android", FREEOTP_ANDROID)],
        reason: "asks before it takes a secret below 128 bits",
    },
    Rule {
        applies: |uri| uri.counter() > Some(i32::MAX as u64),
        effect: Effect::Refused,
        apps: &[("Google Authenticator for Android before 2024", GOOGLE_2020), ("Stratum", STRATUM)],
        reason: "keeps the counter in 31 bits",
    },
    Rule {
        applies: |uri| uri.counter() > Some(i32::MAX as u64),
        effect: Effect::WrongCode,
        apps: &[("2FAS for Android", TWOFAS_ANDROID)],
        reason: "counts from 1 where the counter does not fit into 31 bits",
    },
    Rule {
        applies: |uri| uri.counter() > Some(u64::from(u32::MAX)),
        effect: Effect::Refused,
        apps: &[("YubiKey", YUBIKEY)],
        reason: "keeps the counter in 32 bits",
    },
    Rule {
        applies: |uri| uri.counter() > Some(1 << 53),
        effect: Effect::WrongCode,
        apps: &[("apps written in JavaScript", JAVASCRIPT)],
        reason: "keep the counter in a number that is exact up to 2^53",
    },
    Rule {
        applies: |uri| uri.stored_name_bytes() > 64,
        effect: Effect::Refused,
        apps: &[("YubiKey", YUBIKEY)],
        reason: "stores names of at most 64 bytes",
    },
    Rule {
        applies: KeyUri::begins_like_a_period,
        effect: Effect::WrongCode,
        apps: &[("YubiKey", YUBIKEY)],
        reason: "reads digits and a slash at the beginning of a name as the period",
    },
    Rule {
        applies: |uri| uri.issuers().any(|issuer| issuer.chars().count() > 30) || uri.account.chars().count() > 50,
        effect: Effect::Mislabeled,
        apps: &[("2FAS for Android", TWOFAS_ANDROID)],
        reason: "cuts an issuer at 30 characters and an account at 50",
    },
    Rule {
        applies: |uri| uri.issuers().any(|issuer| issuer.chars().count() > 32) || uri.account.chars().count() > 40,
        effect: Effect::Mislabeled,
        apps: &[("Stratum", STRATUM)],
        reason: "cuts an issuer at 32 characters and an account at 40",
    },
    Rule {
        applies: |uri| uri.names_contain(&['?']),
        effect: Effect::Refused,
        apps: &[("2FAS for Android", TWOFAS_ANDROID)],
        reason: "loses the secret where a name contains a ?",
    },
    Rule {
        applies: |uri| uri.names_contain(&['#', '%']) || uri.issuers_contain(&['&', '+']),
        effect: Effect::Mislabeled,
        apps: &[("2FAS for Android", TWOFAS_ANDROID)],
        reason: "decodes the URI before it splits it, so that # and %, or & and + in the issuer, change a name",
    },
    Rule {
        applies: |uri| uri.names_contain(&['%']) || uri.issuers_contain(&['+']),
        effect: Effect::Mislabeled,
        apps: &[("2FAS for iOS", TWOFAS_IOS)],
        reason: "decodes a name twice, so that %, or + in the issuer, changes it",
    },
    Rule {
        applies: |uri| uri.issuers_contain(&['+']),
        effect: Effect::Mislabeled,
        apps: &[("Authenticator, the browser extension", EXTENSION)],
        reason: "reads + in the issuer as a space",
    },
    Rule {
        applies: |uri| uri.names_contain(&['?']),
        effect: Effect::Mislabeled,
        apps: &[("Stratum", STRATUM)],
        reason: "cuts a name at a ?",
    },
    Rule {
        applies: |uri| uri.names_contain(&['&', '?', '/']),
        effect: Effect::Mislabeled,
        apps: &[("Dashlane for iOS", DASHLANE)],
        reason: "changes a name that contains & ? or /",
    },
    Rule {
        applies: |uri| uri.names_contain(&[':']),
        effect: Effect::Refused,
        apps: &[("FreeOTP for Android", FREEOTP_ANDROID)],
        reason: "takes one colon only",
    },
    Rule {
        applies: |uri| uri.names_contain(&[':']),
        effect: Effect::Mislabeled,
        apps: &[
            ("2FAS for Android", TWOFAS_ANDROID),
            ("2FAS for iOS", TWOFAS_IOS),
            ("Aegis", AEGIS),
            ("Apple Passwords", APPLE),
            ("Authenticator, the browser extension", EXTENSION),
            ("Bitwarden for Android", BITWARDEN_ANDROID),
            ("FreeOTP for iOS", FREEOTP_IOS),
            ("KeePassDX", KEEPASS_DX),
            ("privacyIDEA Authenticator", PRIVACYIDEA),
        ],
        reason: "loses a part of a name with a colon",
    },
    Rule {
        applies: |uri| uri.label_issuer.is_some(),
        effect: Effect::Mislabeled,
        apps: &[
            ("Aegis", AEGIS),
            ("FreeOTP for Android", FREEOTP_ANDROID),
            ("FreeOTP for iOS", FREEOTP_IOS),
            ("Microsoft Authenticator", MICROSOFT_2020),
            ("Stratum", STRATUM),
        ],
        reason: "shows the prefix of the label instead of the issuer",
    },
    Rule {
        applies: |uri| uri.label_issuer.is_some(),
        effect: Effect::Mislabeled,
        apps: &[
            ("Bitwarden for iOS", BITWARDEN_IOS),
            ("Proton Authenticator", PROTON),
            ("Proton Pass", PROTON),
            ("privacyIDEA Authenticator", PRIVACYIDEA),
        ],
        reason: "shows another account where the prefix of the label is not the issuer",
    },
    Rule {
        applies: |uri| uri.issuer.is_none() && uri.account.contains('@'),
        effect: Effect::Mislabeled,
        apps: &[("Microsoft Authenticator", MICROSOFT_2022)],
        reason: "shows the domain of the email address where there is no issuer",
    },
    Rule {
        applies: |uri| uri.issuer.is_none(),
        effect: Effect::Mislabeled,
        apps: &[
            ("2FAS for Android", TWOFAS_ANDROID),
            ("Apple Passwords", APPLE),
            ("FreeOTP for iOS", FREEOTP_IOS),
            ("Stratum", STRATUM),
        ],
        reason: "shows another issuer, or the account as one, where there is none",
    },
];

const TWOFAS_ANDROID: Source = source("twofas/2fas-android", "2026-03");
const TWOFAS_IOS: Source = source("twofas/2fas-ios", "2026-04");
const AEGIS: Source = source("beemdevelopment/Aegis", "2026-02");
const APPLE: Source = source("iOS 26.1, a published decompilation", "undated");
const BITWARDEN: Source = source("bitwarden/sdk-internal", "2026-08");
const BITWARDEN_ANDROID: Source = source("bitwarden/android", "2026-08");
const BITWARDEN_IOS: Source = source("bitwarden/ios", "undated");
const DASHLANE: Source = source("Dashlane/apple-apps", "2025-09");
const ENTE: Source = source("ente-io/ente, mobile", "2026-07");
const ENTE_WEB: Source = source("ente-io/ente, web", "2026-07");
const EXTENSION: Source = source("Authenticator-Extension/Authenticator 8.0.2", "2024-10");
const FREEOTP_ANDROID: Source = source("freeotp/freeotp-android", "2026-02");
const FREEOTP_IOS: Source = source("freeotp/freeotp-ios", "2026-03");
const FREEOTP_PLUS: Source = source("helloworld1/FreeOTPPlus", "2025-02");
const GOOGLE_2020: Source = source("google/google-authenticator-android", "2020-06");
const JAVASCRIPT: Source = source("ECMAScript, Number.MAX_SAFE_INTEGER", "2026-11");
const KEEPASS_DX: Source = source("Kunzisoft/KeePassDX", "2026-06");
const KEEPASS_XC: Source = source("keepassxreboot/keepassxc", "2024-10");
const KEEPASSIUM: Source = source("keepassium/KeePassium", "2026-05");
const MICROSOFT_2017: Source = source("privacyidea/privacyidea, issue 709", "2017-05");
const MICROSOFT_2020: Source = source("RobThree/TwoFactorAuth.Net, issue 17", "2020-10");
const MICROSOFT_2022: Source = source("RobThree/TwoFactorAuth, issue 92", "2022-04");
const MICROSOFT_2023: Source = source("privacyidea/privacyidea, issue 3634", "2023-05");
const MICROSOFT_2024: Source = source("keycloak/keycloak, pull request 27351", "2024-02");
const NITROKEY: Source = source("trussed-dev/trussed-secrets-app", "2025-07");
const PRIVACYIDEA: Source = source("privacyidea/pi-authenticator", "2026-08");
const PROTON: Source = source("protonpass/proton-pass-common", "2026-07");
const STRATUM: Source = source("stratumauth/app", "2026-05");
const TESTS_2019: Source = source("labanskoller.se, tests on devices", "2019-07");
const TESTS_2023: Source = source("labanskoller.se, tests on devices", "2023-03");
const YUBIKEY: Source = source("Yubico/yubikey-manager", "2026-05");

const fn source(name: &'static str, read: &'static str) -> Source {
    Source { name, read }
}
