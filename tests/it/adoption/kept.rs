//! What is left as it is: a second run, and accounts that have a record.

use futures_lite::future::block_on;
use keyfob::guard::{
    Accepted, Adoptee, Adoption, Confirmation, Event, EventKind, GuardError, GuardErrorKind, Purpose, Setup,
};
use keyfob::store::{Accounts, MemoryStore, Store, Swap, Version};
use keyfob::{KeyUri, Verdict};

use super::{Answer, NOW, REPLAYED, STEP, Site, adopted, adoptee, button, code, operator, secret};

#[test]
fn a_second_run_changes_nothing() {
    let all: Vec<Adoptee> = (0..60)
        .map(|number| match number % 3 {
            0 => adoptee(&format!("user-{number}"), 1, Some(STEP)),
            1 => adoptee(&format!("user-{number}"), 1, None),
            _ => button(&format!("user-{number}"), 1, 7, None),
        })
        .collect();
    let site = Site::new();
    assert!(site.adopt_batch(&all[..40]).iter().all(adopted));
    // Some have logged in since.
    site.set(NOW + 60);
    assert_eq!(site.verify("user-0", &code(1, STEP + 2)), Answer::Accepted);
    assert_eq!(site.verify("user-2", &code(1, 7)), Answer::Accepted);
    site.heard();

    let before: Vec<_> = all.iter().map(|adoptee| site.stored(&adoptee.user)).collect();
    let answers = site.adopt_batch(&all);
    assert!(answers[..40].iter().all(|answer| matches!(answer, Ok(Adoption::Kept))));
    assert!(answers[40..].iter().all(adopted));
    assert_eq!(site.heard().len(), 20);
    let after: Vec<_> = all.iter().map(|adoptee| site.stored(&adoptee.user)).collect();
    assert_eq!(after[..40], before[..40], "records and versions");
    assert!(before[40..].iter().all(Option::is_none) && after[40..].iter().all(Option::is_some));
    assert_ne!(site.verify("user-0", &code(1, STEP + 2)), Answer::Accepted, "the code was used");
}

/// How an account came to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    None,
    Enrolled,
    Disabled,
    Removed,
    Revoked,
    SuspendedWithFactor,
    // The account never had a second factor in these.
    Pending,
    Suspended,
    Forgotten,
    Erased,
}

/// Enrolls an authenticator with another secret, and uses one code of it.
fn enroll(site: &Site) -> Accepted {
    let setup = Setup::import(&KeyUri::totp("Old", "al", &secret(100)).unwrap()).unwrap();
    block_on(site.guard.enroll("al", &setup)).unwrap();
    let confirmation = block_on(site.guard.confirm("al", &code(100, STEP - 1))).unwrap();
    assert!(matches!(confirmation, Confirmation::Confirmed(_)));
    match block_on(site.guard.verify("al", &code(100, STEP))).unwrap() {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn with(past: Past) -> Site {
    let site = Site::new();
    let guard = &site.guard;
    match past {
        Past::None => {}
        Past::Enrolled => drop(enroll(&site)),
        Past::Disabled => {
            let proof = guard.prove(&enroll(&site), &Purpose::DISABLE);
            let _ = block_on(guard.disable("al", &proof)).unwrap();
        }
        Past::Removed => {
            enroll(&site);
            block_on(guard.operator_remove("al", &operator())).unwrap();
        }
        Past::Revoked => {
            let id = enroll(&site).authenticator().unwrap().clone();
            block_on(guard.operator_revoke("al", &id, &operator())).unwrap();
        }
        Past::SuspendedWithFactor => {
            enroll(&site);
            block_on(guard.operator_suspend("al", &operator())).unwrap();
        }
        Past::Pending => drop(block_on(guard.enroll("al", &Setup::totp("al"))).unwrap()),
        Past::Suspended => block_on(guard.operator_suspend("al", &operator())).unwrap(),
        Past::Forgotten => drop(block_on(guard.forget_devices("al")).unwrap()),
        Past::Erased => {
            enroll(&site);
            block_on(guard.erase("al")).unwrap();
        }
    }
    site.heard();
    site
}

/// Adopts the user alone, and in a batch with other users. The test gets the record from before as well.
fn both(past: Past, test: impl Fn(&Site, Option<(Version, Vec<u8>)>, &Result<Adoption, GuardError>)) {
    let al = adoptee("al", 1, Some(STEP));
    let site = with(past);
    let before = site.stored("al");
    test(&site, before, &site.adopt(&al));
    let site = with(past);
    let before = site.stored("al");
    let answers = site.adopt_batch(&[adoptee("a", 2, None), al, adoptee("z", 2, None)]);
    assert!(adopted(&answers[0]) && adopted(&answers[2]));
    site.events.lock().unwrap().retain(|event| event.user() == "al");
    test(&site, before, &answers[1]);
}

#[test]
fn an_account_that_has_or_had_a_second_factor_is_kept() {
    for past in [Past::Enrolled, Past::Disabled, Past::Removed, Past::Revoked, Past::SuspendedWithFactor] {
        both(past, |site, before, answer| {
            assert!(matches!(answer, Ok(Adoption::Kept)), "{past:?}");
            assert!(before.is_some());
            assert_eq!(site.stored("al"), before, "{past:?}: the record and its version");
            assert!(site.heard().is_empty(), "{past:?}");
            let status = block_on(site.guard.status("al")).unwrap();
            assert_eq!(status.is_active(), !matches!(past, Past::Disabled | Past::Removed), "{past:?}");
            site.set(NOW + 30);
            let verdict = block_on(site.guard.verify("al", &code(1, STEP + 1)));
            assert!(!matches!(verdict, Ok(Verdict::Accepted(_))), "{past:?}: a code of the old app");
        });
    }
}

#[test]
fn an_account_that_never_had_one_is_adopted() {
    for past in [Past::None, Past::Pending, Past::Suspended, Past::Forgotten, Past::Erased] {
        let epoch = |stored: Option<(Version, Vec<u8>)>| -> u64 {
            let Some((_, record)) = stored else { return 0 };
            serde_json::from_slice::<serde_json::Value>(&record).unwrap()["epoch"].as_u64().unwrap()
        };
        both(past, |site, before, answer| {
            assert!(adopted(answer), "{past:?}: {answer:?}");
            let before = epoch(before);
            assert_eq!(before != 0, matches!(past, Past::Suspended | Past::Forgotten), "{past:?}");
            assert_eq!(epoch(site.stored("al")), before, "{past:?}: earlier logins stay void");
            let canceled = |event: &Event| matches!(event.kind(), EventKind::EnrollmentCanceled { .. });
            assert_eq!(site.heard().iter().filter(|event| canceled(event)).count(), usize::from(past == Past::Pending));
            let status = block_on(site.guard.status("al")).unwrap();
            assert!(status.is_active() && !status.enrollment_pending(), "{past:?}");

            site.set(NOW + 30);
            assert_eq!(status.is_suspended(), past == Past::Suspended, "{past:?}");
            if past == Past::Suspended {
                let refused = block_on(site.guard.verify("al", &code(1, STEP + 1))).unwrap_err();
                assert_eq!(refused.kind(), GuardErrorKind::Suspended);
                block_on(site.guard.operator_resume("al", &operator())).unwrap();
            }
            assert_eq!(site.verify("al", &code(1, STEP)), REPLAYED, "{past:?}");
            assert_eq!(site.verify("al", &code(1, STEP + 1)), Answer::Accepted, "{past:?}");
        });
    }
}

/// A user who enrolls while the program runs is not overwritten.
#[test]
fn an_enrollment_in_the_middle_of_a_batch_is_kept() {
    /// Enrolls the user just before the records are added.
    struct Meanwhile(MemoryStore, Vec<u8>);

    impl Store for Meanwhile {
        type Error = std::convert::Infallible;

        async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
            self.0.load(user).await
        }

        async fn swap(
            &self,
            user: &str,
            expected: Option<Version>,
            record: Option<&[u8]>,
        ) -> Result<Swap, Self::Error> {
            self.0.swap(user, expected, record).await
        }
    }

    impl Accounts for Meanwhile {
        async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
            self.0.accounts(after, limit).await
        }

        async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
            let _ = self.0.swap("al", None, Some(&self.1)).await?;
            self.0.insert(records).await
        }
    }

    let (_, record) = with(Past::Enrolled).stored("al").unwrap();
    let site = Site::over(Meanwhile(MemoryStore::new(), record.clone()));
    let answers = site.adopt_batch(&[adoptee("a", 1, None), adoptee("al", 1, None), adoptee("z", 1, None)]);
    assert!(matches!(answers[1], Ok(Adoption::Kept)) && adopted(&answers[0]) && adopted(&answers[2]));
    assert_eq!(site.stored("al").unwrap().1, record);
}
