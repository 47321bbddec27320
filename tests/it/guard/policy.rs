use std::time::Duration;

use keyfob::guard::{Purpose, Setup};
use keyfob::{Algorithm, Digits, ErrorKind, LookAhead, Policy, Window};

use super::{AL, DAY, World, YEAR};

fn near(probability: f64, expected: f64) {
    assert!((probability - expected).abs() < 1e-9, "{probability} for {expected}");
}

#[test]
fn the_odds_are_the_guesses_times_the_codes_that_are_right() {
    let year = Duration::from_secs(YEAR);
    let default = Policy::default;
    // Capacity and drain a day, steps of the window, days, and capacity + drain * days guesses times steps in a million.
    let rows = [
        (100, 4, 1, 1, 365, 0.00468),
        (100, 1, 1, 1, 365, 0.001_395),
        (100, 4, 0, 0, 365, 0.00156),
        (100, 4, 1, 1, 0, 0.0003),
        (5, 1, 1, 1, 365, 0.00111),
        (100, 24, 10, 10, 3650, 1.0),
        (100, 24, 10, 10, 365, 0.18606),
    ];
    for (capacity, drain, behind, ahead, days, expected) in rows {
        let policy = default().with_window(Window::new(behind, ahead).unwrap());
        let policy = policy.with_long_term(capacity, drain).unwrap();
        near(policy.guess_probability(Duration::from_secs(days * DAY)), expected);
    }
    // A guess is a whole one.
    near(default().guess_probability(Duration::from_secs(DAY / 4 - 1)), 0.0003);
    near(default().guess_probability(Duration::from_secs(DAY / 4)), 0.000_303);
    near(default().guess_probability(Duration::MAX), 1.0);

    // Of an account: all its authenticators together.
    let (world, mut first, _) = World::enrolled();
    near(world.status().guess_probability(year), 0.00468);
    let more = [
        (Setup::totp("al@example.com"), 3e-6),
        (Setup::hotp("al@example.com"), 6e-6),
        (Setup::totp("al@example.com").with_digits(Digits::Eight), 3e-8),
        (Setup::hotp("al@example.com").with_digits(Digits::Seven), 6e-7),
    ];
    let mut share = 3e-6;
    for (setup, codes) in more {
        let proof = world.prove(&mut first, &Purpose::ADD);
        world.add(AL, &setup, Some(&proof));
        share += codes;
        near(world.status().guess_probability(year), 1560.0 * share);
    }
}

#[test]
fn no_setting_turns_a_limit_off() {
    let policy = Policy::default;
    type Made = Result<Policy, keyfob::Error>;
    let good: [Made; 18] = [
        policy().with_waits(crate::guarded::waits(1, 1, 1)),
        policy().with_waits(crate::guarded::waits(10, 86_400, 86_400)),
        policy().with_consecutive_failures(5),
        policy().with_consecutive_failures(100),
        policy().with_long_term(5, 1),
        policy().with_long_term(100, 24),
        policy().with_enrollment_lifetime(Duration::from_secs(60)),
        policy().with_enrollment_lifetime(Duration::from_secs(86_400)),
        policy().with_proof_lifetime(Duration::from_secs(10)),
        policy().with_proof_lifetime(Duration::from_secs(3600)),
        policy().with_resync_within(1),
        policy().with_resync_within(3000),
        Ok(policy().with_window(Window::new(10, 10).unwrap())),
        Ok(policy().with_look_ahead(LookAhead::new(10).unwrap())),
        Ok(policy().with_algorithm(Algorithm::Sha512)),
        Ok(policy().with_notices()),
        Ok(Policy::strict()),
        Policy::strict().with_algorithm(Algorithm::Sha256).with_notices().with_long_term(50, 1),
    ];
    for policy in good.map(Result::unwrap) {
        // Settings are read as they are written, by way of the same checks.
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy, "{text}");
        assert_eq!(postcard::from_bytes::<Policy>(&postcard::to_allocvec(&policy).unwrap()).unwrap(), policy);
    }
    let bad: [Made; 19] = [
        policy().with_waits(crate::guarded::waits(0, 30, 3600)),
        policy().with_waits(crate::guarded::waits(11, 30, 3600)),
        policy().with_waits(crate::guarded::waits(5, 0, 3600)),
        policy().with_waits(crate::guarded::waits(5, 31, 30)),
        policy().with_waits(crate::guarded::waits(5, 30, 86_401)),
        policy().with_consecutive_failures(4),
        policy().with_consecutive_failures(101),
        policy().with_long_term(4, 4),
        policy().with_long_term(101, 4),
        policy().with_long_term(100, 0),
        policy().with_long_term(100, 25),
        policy().with_enrollment_lifetime(Duration::from_secs(59)),
        policy().with_enrollment_lifetime(Duration::from_secs(86_401)),
        policy().with_proof_lifetime(Duration::from_secs(9)),
        policy().with_proof_lifetime(Duration::from_secs(3601)),
        policy().with_resync_within(0),
        policy().with_resync_within(3001),
        Policy::strict().with_trusted_devices(Duration::from_secs(DAY)),
        Policy::strict().with_consecutive_failures(101),
    ];
    for made in bad {
        assert_eq!(made.unwrap_err().kind(), ErrorKind::Policy);
    }
}

#[test]
fn what_a_setter_refuses_is_not_read() {
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    let read: Policy = serde_json::from_str(r#"{"forgiven_per_day":1}"#).unwrap();
    assert_eq!(read, Policy::default().with_long_term(100, 1).unwrap());
    let bad = [
        r#"{"failures_before_wait":0}"#,
        r#"{"failures_before_wait":11}"#,
        r#"{"first_wait":0}"#,
        r#"{"first_wait":3601}"#,
        r#"{"longest_wait":86401}"#,
        r#"{"longest_wait":4294967296}"#,
        r#"{"consecutive_failures":4}"#,
        r#"{"consecutive_failures":101}"#,
        r#"{"consecutive_failures":255}"#,
        r#"{"long_term_failures":4}"#,
        r#"{"long_term_failures":101}"#,
        r#"{"forgiven_per_day":0}"#,
        r#"{"forgiven_per_day":25}"#,
        r#"{"enrollment_lifetime":0}"#,
        r#"{"enrollment_lifetime":86401}"#,
        r#"{"proof_lifetime":0}"#,
        r#"{"proof_lifetime":3601}"#,
        r#"{"resync_within":0}"#,
        r#"{"resync_within":3001}"#,
        r#"{"look_ahead":11}"#,
        r#"{"strict":true,"trusted_device_lifetime":86400}"#,
        r#"{"algorithm":"MD5"}"#,
        r#"{"strict":1}"#,
        r#"{"notices":"yes"}"#,
        r#"{"window":{"behind":11,"ahead":0}}"#,
        r#"{"longterm_failures":50}"#,
        "null",
    ];
    for text in bad {
        assert!(serde_json::from_str::<Policy>(text).is_err(), "{text}");
    }
}
