//! Runs the model-based test of `tests/it/model`. The fuzzer's input determines its choices.

#[path = "../../tests/it/model/call.rs"]
mod call;
#[path = "../../tests/it/model/checker.rs"]
mod checker;
#[path = "../../tests/it/model/invariant.rs"]
mod invariant;
#[path = "../../tests/it/model/oracle.rs"]
mod oracle;
#[path = "../../tests/it/model/script.rs"]
#[allow(dead_code, reason = "the tests of keyfob use the rest")]
mod script;
#[path = "../../tests/it/model/store.rs"]
#[allow(dead_code, reason = "the tests of keyfob use the rest")]
mod store;

pub fn run(data: &[u8]) {
    script::Run::replay(data, None);
}

pub fn planted(data: &[u8]) {
    script::Run::replay(data, Some(store::Broken::Blind));
}
