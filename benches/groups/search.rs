//! A wrong code, searched for in one day on either side: 2881 steps.

use std::hint::black_box;
use std::ops::ControlFlow;

use keyfob::{Code, Key, Totp, search};
use keyfob_benches::by_hand::{self, Mac};
use keyfob_benches::harness::{Group, criterion, time};
use keyfob_benches::{AT, CODE, MISS, SECRET, STEP};
use libreauth::oath::TOTPBuilder;

const WITHIN: u32 = 1440;

fn main() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("search");

    let totp = Totp::new(Key::new(SECRET).expect("valid"));
    let (right, wrong) = (Code::parse(CODE).expect("valid"), Code::parse(MISS).expect("valid"));
    let far =
        search::steps(&totp, [&right], AT + 1440 * 30, WITHIN, |_| ControlFlow::Continue(())).expect("not stopped");
    assert_eq!(far.last(), Some(STEP));
    let miss =
        || search::steps(black_box(&totp), [black_box(&wrong)], black_box(AT), WITHIN, |_| ControlFlow::Continue(()));
    time(&mut group, "keyfob", miss, |found| found.expect("not stopped").count(), 0);

    // It reads the clock, so the time is set relative to now.
    let libreauth = |at: u64| {
        let totp = TOTPBuilder::new().key(SECRET).timestamp(at.cast_signed()).tolerance(WITHIN.into()).finalize();
        totp.expect("valid")
    };
    assert!(libreauth(AT + 1439 * 30).is_valid(CODE));
    let totp = libreauth(AT);
    time(&mut group, "libreauth", || totp.is_valid(black_box(MISS)), |valid| valid, false);
    mac::<ring::hmac::Key>(&mut group, "by hand on ring");
    mac::<aws_lc_rs::hmac::Key>(&mut group, "by hand on aws-lc-rs");
    #[cfg(liboath)]
    {
        use keyfob_benches::liboath;

        assert!(liboath::verify(SECRET, c"081804", AT + 1440 * 30, 1440));
        let verify = || liboath::verify(black_box(SECRET), black_box(c"000000"), black_box(AT), 1440);
        time(&mut group, "liboath", verify, |valid| valid, false);
    }
    #[cfg(not(liboath))]
    println!("liboath is not installed: not timed");
    group.finish();
    criterion.final_summary();
}

fn mac<M: Mac>(group: &mut Group, name: &str) {
    let mac = M::new(SECRET);
    let find = || by_hand::find(&mac, black_box(MISS), black_box(STEP) - 1440..=black_box(STEP) + 1440);
    time(group, name, find, |step| step, None);
}
