//! `Debug`, `Display` and serde of everything public, searched for what must not be there.

use std::fmt::{Debug, Display};

use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};
use futures_lite::future::block_on;
use keyfob::guard::{
    Accepted, Adoptee, Challenge, Change, Confirmation, Context, DeviceToken, Enrollment, EnrollmentHandle,
    EnrollmentTicket, Event, Generation, GuardError, GuardErrorKind, Invalidation, Method, Notice, OperatorId, Page,
    Proof, Purpose, Randomness, RecoveryCodes, SecondFactor, Setup, SignIn, Status, Transition, Voucher,
};
use keyfob::store::{MemoryStore, Swap, Version};
use keyfob::{Code, Guard, Keyring, Policy, Verdict};

use super::{AL, Phone, T, World, YEAR, entry, keyring, randomness};
use crate::to_hex;

/// What must not be in any text, in the spellings that a program gives it by accident.
struct Hidden(Vec<String>);

impl Hidden {
    fn bytes(&mut self, bytes: &[u8]) {
        // A part gives it away as well.
        let part = &bytes[..12];
        let hex = to_hex(part);
        let list = format!("{part:?}");
        self.0.extend([list[1..list.len() - 1].to_owned(), hex.to_uppercase(), hex]);
        self.0.push(format!("{part:02x?}").trim_matches(['[', ']']).to_owned());
        self.0.push(keyfob::base32::encode(part)[..19].to_owned());
        self.0.extend([Base64::encode_string(part), Base64UrlUnpadded::encode_string(part)]);
        // As `{:#?}` prints a list.
        self.0.push(part.iter().map(|byte| format!("{byte},")).collect::<Vec<_>>().join("\n"));
    }

    fn text(&mut self, text: &str) {
        self.0.extend([text.to_owned(), text.replace('-', ""), text.to_lowercase()]);
    }

    fn find(&self, printed: &str) -> Option<&str> {
        let flat: String = printed.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        self.0.iter().map(String::as_str).find(|hidden| printed.contains(hidden) || flat.contains(hidden))
    }
}

/// An account, everything that the guard has to say about it, and what none of it may hold.
#[test]
fn nothing_printed_holds_a_secret_a_code_or_a_key() {
    let mut lines = Vec::new();
    let mut hidden = Hidden(vec!["otpauth".into(), "secret=".into(), "GEZD".into()]);
    hidden.bytes(b"2026\0\0\0\0\0\0\0\0");
    hidden.text(&entry("2026")[5..30]);

    let world = World::new();
    let enrollment = world.enroll(AL, &Setup::totp("al@example.com").with_name("phone").unwrap(), None).unwrap();
    let mut phone = Phone::of(&enrollment);
    hidden.bytes(phone.uri.secret().expose_bytes());
    let mut show = |value: &dyn Debug| {
        assert_ne!(format!("{value:?}"), "");
        lines.push(format!("{value:?}\n{value:#?}"));
    };
    show(&enrollment);
    show(&enrollment.uri());
    show(&enrollment.qr());
    show(&enrollment.manual_entry());
    show(&Setup::import(enrollment.uri()).unwrap());
    let mut codes = vec![phone.wrong(T), phone.code(T)];
    show(&block_on(world.guard.confirm(AL, &codes[0])));
    let confirmed = block_on(world.guard.confirm(AL, &codes[1])).unwrap();
    show(&confirmed);
    let Confirmation::Confirmed(confirmed) = confirmed else { panic!() };
    let recovery: Vec<String> = confirmed.recovery_codes().unwrap().iter().map(Into::into).collect();
    show(&confirmed.recovery_codes());
    recovery.iter().for_each(|code| hidden.text(code));
    for hash in world.record()["recovery"]["codes"].as_array().unwrap() {
        hidden.0.push(hash[0].as_str().unwrap()[..20].to_owned());
    }

    // Verdicts of every kind, transitions before the swap, and errors.
    world.pass(60);
    codes.extend([phone.code(world.now()), phone.wrong(world.now())]);
    let record = world.bytes(AL).unwrap();
    let factor = SecondFactor::read(Some(&record)).unwrap();
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    let context = Context::new(AL, world.now(), &policy, &ring).unwrap();
    let before: Vec<String> = [&codes[2], &codes[3]]
        .map(|typed| {
            let transition = factor.verify(&context, typed).unwrap();
            show(&transition);
            show(transition.change());
            let text = format!("{transition:?} {:?}", transition.change());
            show(&transition.committed(Swap::Swapped).unwrap());
            text
        })
        .into();
    assert_eq!(before[0], before[1], "a transition tells the verdict");
    assert!(format!("{factor:?}").contains("Sealed"));
    show(&factor);
    show(&context);
    show(&ring);
    show(&world.guard);
    show(&Guard::new(MemoryStore::new(), ring.clone(), "Example"));
    show(&factor.verify(&context, &codes[2]).unwrap().committed(Swap::Conflict));
    for typed in
        [&codes[2], &codes[2], &codes[3], &recovery[0], &recovery[0], &"no code".into(), &recovery[1][1..].into()]
    {
        show(&block_on(world.guard.verify(AL, typed)));
    }
    show(&block_on(world.guard.resync(AL, &codes[2], &codes[3])));
    show(&block_on(world.guard.resync(AL, "1", &codes[3])));
    world.fail(&phone, 6);
    show(&block_on(world.guard.verify(AL, &codes[2])));
    world.pass(YEAR);
    codes.push(phone.code(world.now()));
    let Verdict::Accepted(accepted) = block_on(world.guard.verify(AL, &codes[4])).unwrap() else { panic!() };
    let proof = world.guard.prove(&accepted, &Purpose::REGENERATE);
    let token = proof.token("session");
    hidden.0.push(token.rsplit('~').next().unwrap()[..20].to_owned());
    let others: [&dyn Debug; 6] = [&accepted, &world.status(), &Purpose::ADD, &phone.id, &Method::Totp, &randomness(1)];
    others.into_iter().for_each(&mut show);
    show(&proof);
    show(&Proof::from_token(&format!("{token}A")));
    let new = block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
    new.iter().for_each(|code| hidden.text(code));
    show(&new);
    // The tokens of the flows around: a handle, a voucher and what it brings, and a new recovery code.
    let Verdict::Accepted(accepted) = block_on(world.guard.verify(AL, new.iter().next().unwrap())).unwrap() else {
        panic!()
    };
    let replaced = block_on(world.guard.replace_recovery_code(&accepted)).unwrap().unwrap();
    replaced.iter().for_each(|code| hidden.text(code));
    let device = block_on(world.guard.remember_device(&accepted, "phone")).unwrap();
    hidden.0.push(device.token().rsplit('.').next().unwrap()[..20].to_owned());
    show(&device);
    let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
    let vouched = block_on(world.guard.redeem(&voucher)).unwrap();
    let again = world.enroll(AL, &Setup::totp("al@example.com"), Some(&vouched)).unwrap();
    hidden.bytes(again.uri().secret().expose_bytes());
    let handle = again.handle().token();
    for token in [&handle, &voucher.token(), &vouched.token("session")] {
        hidden.0.push(token.rsplit('~').next().unwrap()[..20].to_owned());
    }
    let others: [&dyn Debug; 6] = [&accepted, &replaced, &voucher, &vouched, &again, again.handle()];
    others.into_iter().for_each(&mut show);
    show(&block_on(world.guard.reopen_enrollment(again.handle(), "al@example.com")).unwrap());
    show(&Voucher::from_token(&handle));
    show(&EnrollmentHandle::from_token(&voucher.token()));
    show(&Keyring::parse(&format!("{},{}", entry("2026"), entry("2026"))).unwrap_err());
    show(&Keyring::parse(&entry("2026")[5..]).unwrap_err());
    show(&Keyring::parse(&format!("{}1", entry("2026"))).unwrap_err());
    show(&Keyring::parse(&entry("2026")[..40]).unwrap_err());
    let others: [&dyn Debug; 5] =
        [&Version::new(1), &Swap::Swapped, &MemoryStore::new(), &Change::None, &Change::Remove];
    others.into_iter().for_each(&mut show);
    show(&Code::parse(&codes[2]));
    for event in world.events.lock().unwrap().iter() {
        assert_eq!(event.user(), AL);
        assert!((T..=world.now()).contains(&event.at()), "{event}");
    }
    lines.push(world.heard_as_text());
    lines.push(serde_json::to_string(&Policy::default()).unwrap());
    lines.push(String::from_utf8(record).unwrap());
    lines.push(String::from_utf8(world.bytes(AL).unwrap()).unwrap());

    // The hashes are in the record, and nowhere else.
    let stored = lines.split_off(lines.len() - 2);
    for line in &lines {
        assert_eq!(hidden.find(line), None, "in {line}");
        assert_eq!(codes.iter().find(|code| line.contains(*code)), None, "in {line}");
    }
    let hashes = |text: &&String| text.len() == 20 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let secrets = Hidden(hidden.0.iter().filter(|text| !hashes(text)).cloned().collect());
    stored.iter().for_each(|line| assert_eq!(secrets.find(line), None, "in the record"));

    // The control: each exit is seen.
    let secret = phone.uri.secret().expose_bytes();
    let doors: [String; 11] = [
        phone.uri.to_uri().to_string(),
        phone.uri.secret().expose_base32().to_string(),
        format!("{secret:?}"),
        format!("{secret:#?}"),
        format!("{secret:02x?}"),
        to_hex(secret),
        Base64Unpadded::encode_string(secret),
        recovery[9].replace('-', ""),
        token,
        handle,
        entry("2026"),
    ];
    doors.iter().for_each(|door| assert!(hidden.find(door).is_some(), "not seen: {door}"));
}

#[test]
fn every_error_says_what_to_do() {
    use GuardErrorKind::*;
    let advice = [
        (User, "; use another"),
        (Clock, "; set it"),
        (Contended, "; try again"),
        (Invalid, "; use another"),
        (KeyMissing, "; add it back"),
        (LoginRejected, "; begin again"),
        (LastAuthenticator, "; disable the second factor instead"),
        (NoEnrollment, "; start one"),
        (NotEnrolled, "; enroll first"),
        (ProofRejected, "; verify again"),
        (ProofRequired, "; verify first"),
        (Randomness, "; try again"),
        (RecordMissing, "; restore it from a backup"),
        (Removed, "; find out which"),
        (Suspended, "; an operator can resume it"),
        (TooManyDevices, "; forget one"),
        (TrustRefused, "; ask for a code"),
        (UnlockRefused, ": an exhausted authenticator can only be replaced"),
        (UnknownDevice, "; its status lists the ids"),
        // After a restored backup, used codes are accepted again until an operator invalidates them.
        (RecordInvalid, "then call operator_invalidate_codes"),
        (RecordNewer, "; update this server"),
        (SealBroken, "; restore the key or the record"),
        (SecretInUse, "; revoke it first"),
        (Store, "; load the account again before you tell the user"),
        (TooManyAuthenticators, "; revoke one"),
        (UnknownAuthenticator, "; its status lists the ids"),
    ];
    fn plain(text: &impl Display) -> String {
        let text = text.to_string();
        assert!(text.len() > 20 && text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
        text
    }
    for (kind, advice) in advice {
        assert!(plain(&kind).contains(advice), "{kind}");
    }
    // An error whose message is the one of its source does not report the source again.
    let error = block_on(World::new().guard.enroll(AL, &Setup::totp(""))).unwrap_err();
    assert_eq!((error.kind(), plain(&error)), (Invalid, "the account name is empty".into()));
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn everything_crosses_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    fn travels<T: Send + 'static>() {}
    crosses::<(Guard<MemoryStore>, Keyring, Policy, SecondFactor, Enrollment, Confirmation, RecoveryCodes)>();
    crosses::<(SignIn, Challenge, EnrollmentTicket, DeviceToken, Generation, OperatorId, Adoptee)>();
    crosses::<(EnrollmentHandle, Voucher, Invalidation, Notice, Page<()>)>();
    crosses::<(Proof, Purpose, Verdict, Accepted, Status, Event, GuardError, Setup, Randomness)>();
    travels::<Transition<Verdict>>();
}
