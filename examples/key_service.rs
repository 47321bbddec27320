//! Keys that a key service protects, and a rotation while the server is running: `cargo run --example key_service`.
//!
//! The configuration holds the keyring in wrapped form: encrypted with a key that never leaves the key service. At
//! startup, the application has the service decrypt the keyring. keyfob itself never waits for the service.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use keyfob::guard::{Confirmation, KeyId, Setup};
use keyfob::store::MemoryStore;
use keyfob::{Guard, Keyring, Totp, Verdict};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// Stands in for a key service. A real one keeps its key in hardware and is called over the network.
struct KeyService(XChaCha20Poly1305);

impl KeyService {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut key = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *key)?;
        Ok(Self(XChaCha20Poly1305::new((&*key).into())))
    }

    /// Returns a nonce, the ciphertext and a tag.
    async fn encrypt(&self, plaintext: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        tokio::time::sleep(Duration::from_millis(20)).await; // the network
        let mut nonce = [0; 24];
        SysRng.try_fill_bytes(&mut nonce)?;
        let mut text = plaintext.as_bytes().to_vec();
        let sealed = self.0.encrypt_inout_detached((&nonce).into(), &[], text.as_mut_slice().into());
        let tag = sealed.map_err(|_| "the service could not encrypt")?;
        Ok([&nonce[..], &text, &tag].concat())
    }

    async fn decrypt(&self, wrapped: &[u8]) -> Result<Zeroizing<String>, Box<dyn Error>> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (nonce, rest) = wrapped.split_first_chunk::<24>().ok_or("too short")?;
        let (ciphertext, tag) = rest.split_last_chunk::<16>().ok_or("too short")?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let opened = self.0.decrypt_inout_detached(nonce.into(), &[], text.as_mut_slice().into(), tag.into());
        opened.map_err(|_| "this keyring was not encrypted by this service")?;
        Ok(Zeroizing::new(std::str::from_utf8(&text)?.into()))
    }
}

/// Replaces the wrapped keyring in the configuration, and loads it into the running server.
async fn replace(
    guard: &Guard<MemoryStore>,
    service: &KeyService,
    configuration: &mut Vec<u8>,
    keys: &str,
) -> Result<(), Box<dyn Error>> {
    *configuration = service.encrypt(keys).await?;
    // With several servers, each of them does this part when the configuration has changed.
    guard.replace_keyring(Keyring::parse(&service.decrypt(configuration).await?)?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = KeyService::new()?;

    // Once, on an administrator's computer.
    let old = Keyring::generate("2026")?;
    let mut configuration = service.encrypt(&old).await?;
    println!("The configuration holds {} bytes that only the key service can decrypt.", configuration.len());

    // At startup.
    let keyring = Keyring::parse(&service.decrypt(&configuration).await?)?;
    let guard = &Guard::new(MemoryStore::new(), keyring, "Example Inc");
    let app = enroll(guard, "user-1").await?;
    enroll(guard, "user-2").await?;
    println!("Two users enrolled. Their secrets are sealed under: {}", in_use(guard).await?);

    // The rotation. Every step must be finished on all servers before the next one begins.
    let new = Keyring::generate("2027")?;
    replace(guard, &service, &mut configuration, &Zeroizing::new(format!("{},{}", *old, *new))).await?;
    println!("Step 1: the servers know the new key, but do not use it yet: {}", in_use(guard).await?);

    replace(guard, &service, &mut configuration, &Zeroizing::new(format!("{},{}", *new, *old))).await?;
    enroll(guard, "user-3").await?;
    println!("Step 2: new secrets are sealed under the new key: {}", in_use(guard).await?);

    let mut last = String::new();
    loop {
        let reseal = |user: String| async move { guard.reseal(&user).await };
        let page = guard.sweep(&last, 1000, reseal).await?;
        let Some(end) = page.last() else { break };
        last = end.into();
        for (user, answer) in page.accounts() {
            match answer {
                Ok(resealed) => println!("  {user}: {}", if *resealed { "resealed" } else { "nothing to do" }),
                Err(error) => println!("  {user}: {error}"),
            }
        }
    }
    println!("Step 3: all secrets are sealed under the new key: {}", in_use(guard).await?);

    replace(guard, &service, &mut configuration, &new).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let next = app.code_at(now + 30).to_string(); // the first code was used to confirm the app
    let Verdict::Accepted(_) = guard.verify("user-1", &next).await? else {
        return Err("the code should be accepted".into());
    };
    println!("Step 4: the old key is gone, and user-1 has logged in.");
    Ok(())
}

/// The keys that the accounts need, which is the union of `Status::keys` over all accounts.
async fn in_use(guard: &Guard<MemoryStore>) -> Result<String, Box<dyn Error>> {
    let page = guard.sweep("", 1000, |user| async move { guard.status(&user).await }).await?;
    let statuses = page.accounts().iter().filter_map(|(_, status)| status.as_ref().ok());
    let mut keys: Vec<&str> = statuses.flat_map(|status| status.keys()).map(KeyId::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(keys.join(" and "))
}

/// Enrolls a user, and returns the app.
async fn enroll(guard: &Guard<MemoryStore>, user: &str) -> Result<Totp, Box<dyn Error>> {
    let enrollment = guard.enroll(user, &Setup::totp(user)).await?;
    let app = enrollment.uri().to_totp().ok_or("a TOTP enrollment")?;
    match guard.confirm(user, &app.code_now().to_string()).await? {
        Confirmation::Confirmed(_) => Ok(app),
        Confirmation::Refused { .. } => Err("the code should confirm the app".into()),
    }
}
