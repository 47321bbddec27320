//! A store that fails on demand, and broken stores for the controls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_lite::future::block_on;
use keyfob::store::{Accounts, MemoryStore, Store, StoreError, Swap, Version};
use serde_json::{Value, json};

/// Happens once, to the next call that it applies to.
#[derive(Default)]
pub enum Fault {
    /// Another request is faster this many times.
    Conflict(u8),
    /// The caller gives up after the change was stored, or before.
    DroppedAfter,
    DroppedBefore,
    ErrorAfter,
    ErrorBefore,
    ErrorOfLoad,
    /// Another request does this between load and swap.
    Meanwhile(Box<dyn FnOnce() + Send>),
    #[default]
    None,
    /// Lets one swap pass, and then fails the next one.
    Then(Box<Fault>),
}

/// How a store, or another part of the setup, is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Broken {
    /// The store ignores the version.
    Blind,
    /// The application does not say that it expects a second factor.
    Careless,
    /// Trusted devices last as long as the policy allows.
    ExtendsTrust,
    /// The epoch is lost.
    ForgetsEpoch,
    /// The consecutive count is lost.
    ForgetsFailures,
    /// The completed logins are lost.
    ForgetsLogins,
    /// The notices are lost.
    ForgetsNotices,
    /// The suspension is lost.
    ForgetsSuspension,
    /// The long-term count is lost.
    ForgetsTotal,
    /// Used recovery codes become unused.
    ForgetsUse,
    /// Direct writes to the database have no effect, so a damaged record opens.
    Heals,
    /// Waits are longer than the checker expects.
    Impatient,
    /// Enrollments stay when they were canceled.
    KeepsEnrollments,
    /// Redeemed vouchers come back.
    KeepsVouchers,
    /// The policy is not strict, although the checker expects it.
    Lenient,
    /// Some writes are lost.
    Lost,
    /// Counters and steps go back a little.
    Rewinds,
    /// A stale replica: revoked authenticators reappear.
    Stale,
    /// Some successful writes are reported as conflicts.
    Unsure,
}

pub struct Faulty {
    pub inner: MemoryStore,
    pub fault: Mutex<Fault>,
    /// The number of changes that took effect.
    pub applied: Mutex<u32>,
    pub broken: Option<Broken>,
    /// Earlier records, for the stale replica.
    past: Mutex<Vec<(String, Vec<u8>)>>,
    /// The latest enrollment or voucher of each account, for a store that keeps them.
    kept: Mutex<HashMap<String, Value>>,
    rounds: Mutex<u32>,
}

impl Faulty {
    pub fn new(broken: Option<Broken>) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            fault: Mutex::default(),
            applied: Mutex::default(),
            broken,
            past: Mutex::default(),
            kept: Mutex::default(),
            rounds: Mutex::default(),
        })
    }

    pub fn bytes(&self, account: &str) -> Option<Vec<u8>> {
        block_on(self.inner.load(account)).unwrap().map(|(_, record)| record)
    }

    /// Writes without the guard, as an attacker or a restored backup does.
    pub fn put(&self, account: &str, record: Option<&[u8]>) {
        if self.broken == Some(Broken::Heals) {
            return;
        }
        let version = block_on(self.inner.load(account)).unwrap().map(|(version, _)| version);
        let swap = block_on(self.inner.swap(account, version, record));
        assert_eq!(swap.unwrap(), Swap::Swapped);
    }

    fn take(&self, fits: impl Fn(&Fault) -> bool) -> Fault {
        let mut fault = lock(&self.fault);
        if fits(&fault) { std::mem::take(&mut *fault) } else { Fault::None }
    }

    async fn change(
        &self,
        account: &str,
        expected: Option<Version>,
        record: Option<&[u8]>,
    ) -> Result<Swap, StoreError> {
        let fault = self.take(|fault| !matches!(fault, Fault::ErrorOfLoad));
        let (unheard, dropped) = (matches!(fault, Fault::ErrorAfter), matches!(fault, Fault::DroppedAfter));
        match fault {
            Fault::ErrorBefore => return Err("not written".into()),
            Fault::DroppedBefore => std::future::pending().await,
            Fault::Conflict(times) => {
                if times > 1 {
                    *lock(&self.fault) = Fault::Conflict(times - 1);
                }
                return Ok(Swap::Conflict);
            }
            Fault::Meanwhile(action) => action(),
            Fault::Then(ref next) => {
                *lock(&self.fault) = match **next {
                    Fault::ErrorAfter => Fault::ErrorAfter,
                    _ => Fault::ErrorBefore,
                };
            }
            _ => {}
        }
        if self.broken == Some(Broken::Lost) && self.now_and_then() {
            return Ok(Swap::Swapped);
        }
        if self.broken == Some(Broken::Stale)
            && let Some(old) = self.bytes(account)
            && fewer(record, &old)
        {
            lock(&self.past).push((account.into(), old));
        }
        if let (Some(name), Some(record)) = (self.keeps(), record) {
            let value: Value = serde_json::from_slice(record).unwrap();
            if !value[name].is_null() && value[name]["confirmed"] != 1 {
                lock(&self.kept).insert(account.into(), value[name].clone());
            }
        }
        let expected = match self.broken {
            Some(Broken::Blind) => block_on(self.inner.load(account))?.map(|(version, _)| version),
            _ => expected,
        };
        let swap = block_on(self.inner.swap(account, expected, record))?;
        *lock(&self.applied) += u32::from(swap == Swap::Swapped);
        if dropped {
            std::future::pending::<()>().await;
        }
        match (unheard, self.broken) {
            (true, _) => Err("written, but the answer was lost".into()),
            (_, Some(Broken::Unsure)) if self.now_and_then() => Ok(Swap::Conflict),
            _ => Ok(swap),
        }
    }

    /// Which field of a record stays.
    fn keeps(&self) -> Option<&'static str> {
        match self.broken {
            Some(Broken::KeepsEnrollments) => Some("pending"),
            Some(Broken::KeepsVouchers) => Some("voucher"),
            _ => None,
        }
    }

    fn now_and_then(&self) -> bool {
        *lock(&self.rounds) += 1;
        lock(&self.rounds).is_multiple_of(7)
    }

    fn distorted(&self, account: &str, record: Vec<u8>) -> Vec<u8> {
        let edit = |change: fn(&mut Value)| {
            let mut value = serde_json::from_slice(&record).unwrap();
            change(&mut value);
            serde_json::to_vec(&value).unwrap()
        };
        match self.broken {
            Some(Broken::ForgetsFailures) => edit(|value| value["budget"]["failures"] = json!(0)),
            Some(Broken::ForgetsTotal) => edit(|value| value["budget"]["level"] = json!(0)),
            Some(Broken::ForgetsEpoch) => edit(|value| value["epoch"] = json!(0)),
            Some(Broken::ForgetsLogins) => edit(|value| drop(value.as_object_mut().unwrap().remove("logins"))),
            Some(Broken::ForgetsNotices) => edit(|value| drop(value.as_object_mut().unwrap().remove("notices"))),
            Some(Broken::KeepsEnrollments | Broken::KeepsVouchers) => {
                let mut value: Value = serde_json::from_slice(&record).unwrap();
                let name = self.keeps().unwrap();
                let kept = lock(&self.kept).get(account).cloned().unwrap_or_default();
                let active = value["active"].as_array().unwrap();
                let confirmed = active.iter().any(|active| active["id"] == kept["authenticator"]["id"]);
                if value[name].is_null() && !kept.is_null() && !confirmed {
                    value[name] = kept;
                }
                serde_json::to_vec(&value).unwrap()
            }
            Some(Broken::ForgetsSuspension) => edit(|value| value["suspended"] = json!(false)),
            Some(Broken::ExtendsTrust) => edit(|value| {
                let devices = value.get_mut("devices").and_then(Value::as_array_mut);
                for device in devices.into_iter().flatten() {
                    device["ends"] = json!(u64::MAX);
                }
            }),
            Some(Broken::ForgetsUse) => edit(|value| {
                let codes = value.pointer_mut("/recovery/codes").and_then(Value::as_array_mut);
                for code in codes.into_iter().flatten() {
                    code[1] = json!(0);
                }
            }),
            Some(Broken::Rewinds) => edit(|value| {
                for authenticator in value["active"].as_array_mut().into_iter().flatten() {
                    authenticator["next"] = json!(authenticator["next"].as_u64().unwrap().saturating_sub(2));
                }
            }),
            Some(Broken::Stale) => {
                let mut past = lock(&self.past);
                let index = past.iter().position(|(owner, _)| owner == account);
                index.map_or(record, |index| past.remove(index).1)
            }
            _ => record,
        }
    }
}

/// Whether the number of authenticators decreased.
fn fewer(record: Option<&[u8]>, old: &[u8]) -> bool {
    let count = |record: &[u8]| {
        let value: Value = serde_json::from_slice(record).unwrap();
        value["active"].as_array().unwrap().len()
    };
    record.is_some_and(|record| count(record) < count(old))
}

impl Store for Faulty {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        if let Fault::ErrorOfLoad = self.take(|fault| matches!(fault, Fault::ErrorOfLoad)) {
            return Err("not read".into());
        }
        let loaded = self.inner.load(account).await?;
        Ok(loaded.map(|(version, record)| (version, self.distorted(account, record))))
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        self.change(account, expected, record).await
    }
}

impl Accounts for Faulty {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(self.inner.accounts(after, limit).await?)
    }

    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, StoreError> {
        let fits = |fault: &Fault| {
            use Fault::{DroppedAfter, DroppedBefore, ErrorAfter, ErrorBefore};
            matches!(fault, DroppedAfter | DroppedBefore | ErrorAfter | ErrorBefore)
        };
        let fault = self.take(fits);
        match fault {
            Fault::ErrorBefore => return Err("not written".into()),
            Fault::DroppedBefore => std::future::pending().await,
            _ => {}
        }
        let inserted = self.inner.insert(records).await?;
        *lock(&self.applied) += inserted.iter().map(|inserted| u32::from(*inserted)).sum::<u32>();
        match fault {
            Fault::ErrorAfter => Err("written, but the answer was lost".into()),
            Fault::DroppedAfter => std::future::pending().await,
            _ => Ok(inserted),
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
