//! Tests of a store that lists its accounts and adds many at once.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Violation, current, failed, names, require};
use crate::store::{Accounts, Swap, Version};

/// Adds records, some of which already exist.
pub(super) async fn insertion<S: Accounts>(store: &S) -> Result<(), Violation> {
    let names = names();
    let [first, second, third, ..] = &names;
    let none = store.insert(&[]).await.map_err(failed)?;
    require(none.is_empty(), ANSWERS)?;

    let mut seen: Vec<Version> = Vec::new();
    // A record that is added after a removal must not repeat a version from before the removal.
    for life in 0..3u8 {
        let [old, new, twice] = ["old", "new", "twice"].map(|name| format!("{name}, life {life}").into_bytes());
        let swapped = store.swap(second, None, Some(&old)).await.map_err(failed)?;
        require(swapped == Swap::Swapped, "a record could not be created")?;
        let before = current(store, second, &old).await?;

        let records: [(&str, &[u8]); 5] =
            [(first, &new), (second, &new), (third, &new), (first, &twice), (third, &new)];
        let added = store.insert(&records).await.map_err(failed)?;
        require(added.len() == records.len(), ANSWERS)?;
        let kept = store.load(second).await.map_err(failed)? == Some((before, old.clone()));
        require(kept, "an existing record was replaced by an insertion")?;
        let versions = [current(store, first, &new).await?, before, current(store, third, &new).await?];
        require(added == [true, false, true, false, false], "the store reports wrongly which records it added")?;
        require(!versions.iter().any(|version| seen.contains(version)), REPEATED)?;

        let again = store.insert(&records).await.map_err(failed)?;
        require(again == [false; 5], "a record was added to an account that has one")?;
        let pairs = [(first, &new), (second, &old), (third, &new)];
        for ((name, record), version) in pairs.into_iter().zip(versions) {
            require(current(store, name, record).await? == version, "a refused insertion changed the version")?;
            let removed = store.swap(name, Some(version), None).await.map_err(failed)?;
            require(removed == Swap::Swapped, "an added record could not be removed under its version")?;
        }
        seen.extend(versions);
    }
    // The same without another change in between, which could have moved a counter.
    for life in 0..2u8 {
        let added = store.insert(&[(first, &[life])]).await.map_err(failed)?;
        require(added == [true], "a record could not be added")?;
        let version = current(store, first, &[life]).await?;
        require(!seen.contains(&version), REPEATED)?;
        let removed = store.swap(first, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "an added record could not be removed under its version")?;
        seen.push(version);
    }

    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let added = store.insert(&records).await.map_err(failed)?;
    require(added == vec![true; records.len()], "the store treats two different account names as the same")?;
    for name in &names {
        let version = current(store, name, name.as_bytes()).await?;
        let removed = store.swap(name, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "an account could not be removed")?;
    }
    Ok(())
}

/// Lists the accounts in pages of several sizes.
pub(super) async fn pages<S: Accounts>(store: &S) -> Result<(), Violation> {
    let names = names();
    let own: Vec<String> = (0..10).map(|number| format!("keyfob-conformance-{number}")).chain(names).collect();
    let records: Vec<(&str, &[u8])> = own.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let added = store.insert(&records).await.map_err(failed)?;
    require(added == vec![true; own.len()], "records could not be added")?;

    let mut versions = Vec::new();
    for name in &own {
        versions.push(current(store, name, name.as_bytes()).await?);
    }
    for limit in [1, 7, 100] {
        let listed = list(store, limit).await?;
        let is_own = |name: &&String| name.starts_with("keyfob-conformance");
        require(own.iter().all(|name| listed.contains(name)), "an account that has a record was not listed")?;
        require(listed.iter().filter(is_own).count() == own.len(), "an account was listed that was never stored")?;
    }
    require(store.accounts("", 0).await.map_err(failed)?.is_empty(), TOO_MANY)?;

    for (name, version) in own.iter().zip(versions) {
        let removed = store.swap(name, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "an account could not be removed")?;
    }
    let left = list(store, 100).await?;
    require(!left.iter().any(|name| own.contains(name)), "an account was listed after its record was removed")
}

/// Lists all accounts. Each page must contain only new accounts, so the loop ends even if the store ignores the
/// starting point.
async fn list<S: Accounts>(store: &S, limit: u32) -> Result<Vec<String>, Violation> {
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map_or("", String::as_str);
        let page = store.accounts(after, limit).await.map_err(failed)?;
        if page.is_empty() {
            return Ok(listed);
        }
        require(page.len() as u64 <= limit.into(), TOO_MANY)?;
        for name in page {
            require(!listed.contains(&name), "an account was listed twice")?;
            listed.push(name);
        }
    }
}

pub(super) const ANSWERS: &str = "an insertion does not answer for each account";
const REPEATED: &str = "a version was used again after a removal";
const TOO_MANY: &str = "a page has more accounts than were asked for";
