//! Users with several authenticators: all rows of a user that are in one call are adopted together.

use std::collections::BTreeSet;

use futures_lite::future::block_on;
use keyfob::guard::{Adoptee, Adoption, AuthenticatorId, EventKind, Flow, GuardErrorKind, SecondFactor, Setup};
use keyfob::store::{Accounts, MemoryStore, Store, Swap, Version};
use keyfob::{KeyUri, Policy, Secret};

use super::{Answer, NOW, STEP, Site, adopted, adoptee, button, code, operator, secret};
use crate::Random;
use crate::guarded::keyring;

/// The answers by row, as text.
fn told(site: &Site, all: &[Adoptee]) -> Vec<String> {
    let text = |answer: &Result<Adoption, keyfob::guard::GuardError>| match answer {
        Ok(Adoption::Adopted(_)) => "adopted".into(),
        Ok(Adoption::Kept) => "kept".into(),
        Err(error) => format!("{:?}", error.kind()),
    };
    site.adopt_batch(all).iter().map(text).collect()
}

fn active(site: &Site, user: &str) -> Vec<AuthenticatorId> {
    let status = block_on(site.guard.status(user)).unwrap();
    status.authenticators().iter().map(|one| one.id().clone()).collect()
}

#[test]
fn all_rows_of_a_user_are_adopted_together() {
    for copies in 2..=8u8 {
        let site = Site::new();
        let mut all: Vec<_> = (0..copies).map(|copy| adoptee("al", 1 + copy, Some(0))).collect();
        for (number, one) in all.iter_mut().enumerate() {
            one.name = format!("phone {number}");
        }
        // Wherever the rows are: the answers have the order of the rows.
        all.insert(1, adoptee("bo", 99, Some(0)));
        all.push(button("zoe", 98, 0, None));
        let answers = site.adopt_batch(&all);
        let ids: Vec<_> = answers
            .iter()
            .map(|answer| match answer {
                Ok(Adoption::Adopted(id)) => id.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), usize::from(copies) + 2);
        let mut of_al = ids.clone();
        of_al.remove(1);
        of_al.pop();
        assert_eq!(active(&site, "al"), of_al);
        assert_eq!(
            (active(&site, "bo"), active(&site, "zoe")),
            (vec![ids[1].clone()], vec![ids[ids.len() - 1].clone()])
        );
        let status = block_on(site.guard.status("al")).unwrap();
        for (number, one) in status.authenticators().iter().enumerate() {
            assert_eq!((one.name(), one.created_at(), one.bound_at()), (&*format!("phone {number}"), NOW, NOW));
        }
        // Each of them logs the user in, once.
        for copy in 0..copies {
            assert_eq!(site.verify("al", &code(1 + copy, STEP)), Answer::Accepted);
            assert_ne!(site.verify("al", &code(1 + copy, STEP)), Answer::Accepted);
        }
        // Again, nothing is changed.
        let before = site.stored("al");
        assert!(site.adopt_batch(&all).iter().all(|answer| matches!(answer, Ok(Adoption::Kept))));
        assert_eq!(site.stored("al"), before);
    }
}

/// The control: in two calls, the second finds that the user has a second factor.
#[test]
fn rows_in_a_later_call_are_too_late() {
    let site = Site::new();
    let all = [adoptee("al", 1, Some(0)), adoptee("al", 2, Some(0))];
    assert_eq!(told(&site, &all[..1]), ["adopted"]);
    assert_eq!(told(&site, &all[1..]), ["kept"]);
    assert_ne!(site.verify("al", &code(2, STEP)), Answer::Accepted);
    assert_eq!(site.verify("al", &code(1, STEP)), Answer::Accepted);
}

#[test]
fn the_ninth_the_duplicate_and_the_reject_say_why() {
    let site = Site::new();
    let steam = Adoptee { uri: KeyUri::steam("Steam", "al", &secret(50)).unwrap(), ..adoptee("al", 50, None) };
    let named = Adoptee { name: "a\nb".into(), ..adoptee("al", 51, None) };
    // The same HMAC key, padded with zeros.
    let padded = Secret::from_bytes(&[&[1; 20][..], &[0; 4]].concat()).unwrap();
    let padded = Adoptee { uri: KeyUri::totp("Old", "al", &padded).unwrap(), ..adoptee("al", 1, None) };
    let all = [
        steam.clone(),
        adoptee("al", 1, None),
        adoptee("al", 1, Some(0)),
        padded,
        adoptee("bo", 1, None),
        named,
        adoptee("al", 2, Some(NOW)),
        button("al", 1, 5, None),
        button("al", 2, 5, None),
        adoptee("al", 3, None),
        adoptee("al", 4, None),
        adoptee("al", 5, None),
        adoptee("al", 6, None),
        adoptee("al", 7, None),
        adoptee("al", 8, None),
        adoptee("al", 9, None),
        adoptee("al", 1, None),
    ];
    let expected = [
        "Invalid",
        "adopted",
        "SecretInUse",
        "SecretInUse",
        "adopted", // another user may have the same secret
        "Invalid",
        "Invalid",
        "SecretInUse",
        "adopted",
        "adopted",
        "adopted",
        "adopted",
        "adopted",
        "adopted",
        "adopted",
        "TooManyAuthenticators",
        "TooManyAuthenticators",
    ];
    assert_eq!(told(&site, &all), expected);
    assert_eq!(active(&site, "al").len(), 8);
    // Each row has one event, and each reject is listed.
    let heard = site.heard();
    let mut told_by_events: Vec<_> = heard
        .iter()
        .filter(|event| event.user() == "al")
        .map(|event| match event.kind() {
            EventKind::Adopted { .. } => "adopted".to_owned(),
            EventKind::Failed { flow: Flow::Adopt, kind } => format!("{kind:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    told_by_events.insert(4, "adopted".into());
    assert_eq!(told_by_events, expected);
    assert!(heard.iter().all(|event| event.operator() == Some(&operator())));

    // A second run repeats no reject of a user who has been adopted.
    assert!(told(&site, &all).iter().all(|answer| answer == "kept"));
    // A user of whom nothing can be adopted has no record, and the same reject each time.
    let none = [Adoptee { user: "di".into(), ..steam.clone() }, Adoptee { user: "di".into(), ..steam }];
    for _ in 0..2 {
        assert_eq!(told(&site, &none), ["Invalid", "Invalid"]);
        assert!(site.stored("di").is_none());
    }
}

/// An account that has a record, but no second factor, is adopted with all of its rows as well.
#[test]
fn several_are_adopted_over_a_record_that_is_there() {
    let site = Site::new();
    block_on(site.guard.enroll("al", &Setup::totp("al"))).unwrap();
    let _ = block_on(site.guard.forget_devices("bo")).unwrap();
    site.heard();
    let all = [
        adoptee("al", 1, Some(0)),
        adoptee("bo", 2, Some(0)),
        adoptee("bo", 2, None),
        adoptee("al", 3, Some(0)),
        adoptee("bo", 4, Some(0)),
    ];
    assert_eq!(told(&site, &all), ["adopted", "adopted", "SecretInUse", "adopted", "adopted"]);
    assert_eq!(site.heard().iter().filter(|event| matches!(event.kind(), EventKind::Adopted { .. })).count(), 4);
    for (user, seed) in [("al", 1), ("al", 3), ("bo", 2), ("bo", 4)] {
        assert_eq!(site.verify(user, &code(seed, STEP)), Answer::Accepted, "{user}");
    }
}

/// Whatever the order of the rows, each user gets the same.
#[test]
fn the_order_of_the_rows_does_not_matter() {
    let mut random = Random(5);
    for _ in 0..20 {
        let site = Site::new();
        let mut all: Vec<_> = (0..40u8).map(|row| adoptee(&format!("user-{}", row % 7), 1 + row, Some(0))).collect();
        for last in (1..all.len()).rev() {
            all.swap(last, usize::try_from(random.below(last as u64 + 1)).unwrap());
        }
        assert!(site.adopt_batch(&all).iter().all(adopted));
        for user in 0..7u8 {
            let name = format!("user-{user}");
            let of_user: Vec<u8> = (0..40).filter(|row| row % 7 == user).collect();
            assert_eq!(active(&site, &name).len(), of_user.len());
            for row in of_user {
                assert_eq!(site.verify(&name, &code(1 + row, STEP)), Answer::Accepted, "{name}");
            }
        }
    }
}

/// Without a guard, the application passes the rows of one user. A row of another user is refused.
#[test]
fn a_row_of_another_user_is_refused() {
    let (policy, ring) = (Policy::default(), keyring());
    let context = keyfob::guard::Context::new("al", NOW, &policy, &ring).unwrap();
    let rows = [adoptee("al", 1, None), adoptee("bo", 2, None), adoptee("al", 3, None)];
    let random = keyfob::guard::Randomness::default();
    let transition = SecondFactor::default().adopt(&context, &random, &rows.each_ref(), &operator()).unwrap();
    let answers = transition.committed(Swap::Swapped).unwrap().value;
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, Some(GuardErrorKind::User), None]);
}

/// A user who has a second factor is kept, even if none of the rows could be adopted.
#[test]
fn rows_of_a_user_who_is_kept_are_not_judged() {
    let site = Site::new();
    assert_eq!(told(&site, &[adoptee("al", 1, None)]), ["adopted"]);
    let late = Some(u64::MAX);
    assert_eq!(told(&site, &[adoptee("al", 2, late), adoptee("al", 3, late)]), ["kept", "kept"]);
    assert_eq!(told(&site, &[adoptee("bo", 2, late), adoptee("cy", 3, late)]), ["Invalid", "Invalid"]);
}

/// A batch that fails or is dropped while it is stored is reported for each of its users.
#[test]
fn a_batch_without_an_answer_is_reported_for_each_user() {
    /// Fails, or never answers.
    struct Silent {
        inner: MemoryStore,
        fails: bool,
    }

    impl Store for Silent {
        type Error = std::io::Error;

        async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
            let Ok(loaded) = self.inner.load(user).await;
            Ok(loaded)
        }

        async fn swap(&self, _: &str, _: Option<Version>, _: Option<&[u8]>) -> Result<Swap, Self::Error> {
            Err(std::io::Error::other("down"))
        }
    }

    impl Accounts for Silent {
        async fn accounts(&self, _: &str, _: u32) -> Result<Vec<String>, Self::Error> {
            Err(std::io::Error::other("down"))
        }

        async fn insert(&self, _: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
            match self.fails {
                true => Err(std::io::Error::other("down")),
                false => std::future::pending().await,
            }
        }
    }

    let all =
        [adoptee("al", 1, None), adoptee("bo", 2, None), adoptee("al", 3, None), adoptee("cy", 4, Some(u64::MAX))];
    for fails in [true, false] {
        let site = Site::over(Silent { inner: MemoryStore::new(), fails });
        let operator = operator();
        let mut batch = Box::pin(site.guard.adopt_batch(&all, &operator));
        let answer = block_on(futures_lite::future::poll_once(&mut batch));
        assert_eq!(answer.map(|answer| answer.unwrap_err().kind()), fails.then_some(GuardErrorKind::Store));
        drop(batch);
        let heard = site.heard();
        let users: Vec<_> = heard.iter().map(|event| event.user()).collect();
        assert_eq!(users, ["al", "bo", "cy"]);
        for event in &heard {
            let may_have_changed = event.user() != "cy";
            let expected = match fails {
                true => EventKind::Failed { flow: Flow::Adopt, kind: GuardErrorKind::Store },
                false => EventKind::Dropped { flow: Flow::Adopt, may_have_changed },
            };
            assert_eq!((event.kind(), event.operator()), (&expected, Some(&operator)));
        }
    }
}

/// A store that fails fails all rows of the user with the same kind, and the event names the operator.
#[test]
fn an_error_of_a_user_is_the_answer_for_all_rows() {
    /// Loses the race for each record, and then fails to load it.
    struct Failing(MemoryStore);

    impl Store for Failing {
        type Error = std::io::Error;

        async fn load(&self, _: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
            Err(std::io::Error::other("down"))
        }

        async fn swap(&self, _: &str, _: Option<Version>, _: Option<&[u8]>) -> Result<Swap, Self::Error> {
            Err(std::io::Error::other("down"))
        }
    }

    impl Accounts for Failing {
        async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
            let Ok(accounts) = self.0.accounts(after, limit).await;
            Ok(accounts)
        }

        async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
            Ok(records.iter().map(|(user, _)| *user != "al").collect())
        }
    }

    let site = Site::over(Failing(MemoryStore::new()));
    let all = [adoptee("al", 1, None), adoptee("bo", 2, None), adoptee("al", 3, None)];
    let answers = site.adopt_batch(&all);
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [Some(GuardErrorKind::Store), None, Some(GuardErrorKind::Store)]);
    let failed: Vec<_> = site.heard().into_iter().filter(|event| event.user() == "al").collect();
    let [failed] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(*failed.kind(), EventKind::Failed { flow: Flow::Adopt, kind: GuardErrorKind::Store });
    assert_eq!(failed.operator(), Some(&operator()));
    assert!(site.adopt_batch(&[]).is_empty());
}
