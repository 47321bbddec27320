//! Key files: in the open, with a key and with a password. Memory is a multiple of the file.

use keyfob::pskc::{self, Unlock};

pub fn run(data: &[u8]) {
    let linear = |unlock| super::import::linear(data.len(), || pskc::parse(data, unlock));
    let open = linear(Unlock::None);
    let keyed = linear(Unlock::Key(b"\x124Vx\x90\x124Vx\x90\x124Vx\x90\x12"));
    // Half a second of iterations is no bug. Their number has at most four digits here.
    let slow = data.windows(5).any(|run| run.iter().all(u8::is_ascii_digit)) && contains(data, b"pbkdf2");
    let locked = if slow { open.clone() } else { linear(Unlock::Password("qwerty")) };
    for tokens in [&open, &keyed, &locked].into_iter().flatten() {
        tokens.iter().flatten().for_each(super::uri::law);
    }
    // What is in the open needs nothing, and nothing changes it.
    if let Ok(open) = &open {
        assert!([&keyed, &locked].iter().all(|other| other.as_ref() == Ok(open)));
    }
}

fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|window| window == part)
}
