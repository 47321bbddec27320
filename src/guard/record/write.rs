//! Writes the record as JSON.

use alloc::vec::Vec;

use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::Authenticator;
use crate::guard::record::budget::Budget;
use crate::guard::record::devices::Device;
use crate::guard::record::fixed_json::{Json, hex};
use crate::guard::record::recovery::RecoverySet;

impl SecondFactor {
    /// Writes the record as JSON.
    ///
    /// Every number that depends on the verdict is written with a fixed width and without branches, because neither the
    /// time taken nor the length of the record may reveal the verdict before the swap.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut json = Json(Vec::with_capacity(2048 + 512 * self.active.len() + 256 * self.devices.len()));
        json.raw("{\"v\":1,\"generation\":");
        json.plain(self.generation);
        json.raw(",\"epoch\":");
        json.plain(self.epoch);
        json.raw(",\"removed\":");
        json.plain(self.removed);
        json.raw(",\"revoked\":");
        json.plain(self.revoked);
        json.raw(if self.suspended { ",\"suspended\":true" } else { ",\"suspended\":false" });
        if self.voucher != 0 {
            json.raw(",\"voucher\":");
            json.plain(self.voucher);
        }
        json.raw(",\"active\":[");
        for (index, authenticator) in self.active.iter().enumerate() {
            json.raw(if index > 0 { "," } else { "" });
            authenticator.write(&mut json);
        }
        json.raw("]");
        if let Some(pending) = &self.pending {
            json.raw(",\"pending\":{\"authenticator\":");
            pending.authenticator.write(&mut json);
            json.raw(",\"since\":");
            json.plain(pending.since);
            json.raw(",\"imported\":");
            json.raw(if pending.imported { "true" } else { "false" });
            if pending.ticket != 0 {
                json.raw(",\"ticket\":");
                json.plain(pending.ticket);
            }
            json.raw(",\"tries\":");
            json.fixed(pending.tries, 0);
            json.raw(",\"confirmed\":");
            json.fixed(pending.confirmed, 0);
            if let Some(id) = &pending.replaces {
                json.raw(",\"replaces\":");
                json.text(&id.0);
            }
            if pending.replaces_all {
                json.raw(",\"replaces_all\":true");
            }
            if pending.vouched {
                json.raw(",\"vouched\":true");
            }
            json.raw("}");
        }
        if let Some(recovery) = &self.recovery {
            recovery.write(&mut json);
        }
        if !self.devices.is_empty() {
            json.raw(",\"devices\":[");
            for (index, device) in self.devices.iter().enumerate() {
                json.raw(if index > 0 { "," } else { "" });
                device.write(&mut json);
            }
            json.raw("]");
        }
        if let Some(logins) = &self.logins {
            json.raw(",\"logins\":\"");
            for pair in logins.0.as_chunks::<2>().0 {
                let mut bytes = [0; 32];
                let numbers = pair.iter().flat_map(|slot| [slot.id, slot.expires]);
                bytes
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .zip(numbers)
                    .for_each(|(bytes, number)| *bytes = number.to_be_bytes());
                json.0.extend_from_slice(&hex(&bytes));
            }
            json.raw("\"");
        }
        if let Some(notices) = &self.notices {
            json.raw(",\"notices\":[");
            for (index, at) in notices.0.iter().enumerate() {
                json.raw(if index > 0 { "," } else { "" });
                json.fixed(*at, 0);
            }
            json.raw("]");
        }
        let Budget { failures, failed_at, level, level_at, until, reported_at, .. } = self.budget;
        let Budget { succeeded_at, known_failures, known_failed_at, known_level, .. } = self.budget;
        for (name, number) in [
            (",\"budget\":{\"failures\":", failures),
            (",\"failed_at\":", failed_at),
            (",\"level\":", level),
            (",\"level_at\":", level_at),
            (",\"until\":", until),
            (",\"reported_at\":", reported_at),
            (",\"succeeded_at\":", succeeded_at),
            (",\"known_failures\":", known_failures),
            (",\"known_failed_at\":", known_failed_at),
            (",\"known_level\":", known_level),
        ] {
            json.raw(name);
            json.fixed(number, 0);
        }
        json.raw("}}");
        json.0
    }
}

impl Authenticator {
    fn write(&self, json: &mut Json) {
        json.raw("{\"id\":");
        json.text(&self.id.0);
        json.raw(",\"name\":");
        json.text(&self.name);
        if let Some(period) = self.period {
            json.raw(",\"period\":");
            json.plain(period.seconds().into());
        }
        json.raw(",\"algorithm\":\"");
        json.raw(self.algorithm.name());
        json.raw("\",\"digits\":");
        json.plain(self.digits.get().into());
        json.raw(",\"created\":");
        json.plain(self.created);
        json.raw(",\"bound\":");
        json.fixed(self.bound, 0);
        json.raw(",\"next\":");
        json.fixed(self.next, 0);
        json.raw(",\"disclosed\":");
        json.fixed(self.disclosed, 0);
        json.raw(",\"repeated\":");
        json.fixed(self.repeated, 0);
        json.raw(",\"drift\":");
        json.signed(self.drift);
        json.raw(",\"lean\":");
        json.signed(self.lean);
        json.raw(",\"anchor\":");
        json.signed(self.anchor);
        json.raw(",\"used\":");
        json.fixed(self.used, 0);
        json.raw(",\"secret\":");
        json.sealed(&self.secret);
        json.raw("}");
    }
}

impl Device {
    fn write(&self, json: &mut Json) {
        json.raw("{\"id\":");
        json.text(&self.id.0);
        json.raw(",\"name\":");
        json.text(&self.name);
        json.raw(",\"hash\":\"");
        json.0.extend_from_slice(&hex(&self.hash));
        json.raw(if self.trusted { "\",\"trusted\":true" } else { "\",\"trusted\":false" });
        json.raw(",\"created\":");
        json.plain(self.created);
        json.raw(",\"ends\":");
        json.fixed(self.ends, 0);
        json.raw("}");
    }
}

impl RecoverySet {
    fn write(&self, json: &mut Json) {
        json.raw(",\"recovery\":{\"id\":");
        json.text(&self.id.0);
        json.raw(",\"created\":");
        json.plain(self.created);
        json.raw(",\"key\":");
        json.sealed(&self.key);
        json.raw(",\"codes\":[");
        for (index, (hash, used)) in self.codes.iter().enumerate() {
            json.raw(if index > 0 { ",[\"" } else { "[\"" });
            json.0.extend_from_slice(&hex(hash));
            json.raw("\",");
            // These times may be public before the swap; `verify_recovery_code` explains why.
            json.plain(*used);
            json.raw("]");
        }
        json.raw("]}");
    }
}
