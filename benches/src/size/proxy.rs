//! Counts the round trips and the bytes between a client and a server.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fs, thread};

use keyfob_benches::servers::Kind;

/// Listens on a socket of its own and forwards everything to the socket of the server.
pub struct Proxy {
    counts: Arc<Counts>,
    folder: PathBuf,
}

#[derive(Default)]
struct Counts {
    trips: AtomicU64,
    pings: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

pub struct Traffic {
    /// Without pings.
    pub trips: f64,
    /// The pool tests each connection after it was used. No request waits for this.
    pub pings: f64,
    pub sent: f64,
    pub received: f64,
}

impl Traffic {
    pub fn each(&self, count: usize) -> Self {
        let numbers = [self.trips, self.pings, self.sent, self.received];
        let [trips, pings, sent, received] = numbers.map(|number| number / count as f64);
        Self { trips, pings, sent, received }
    }
}

impl Proxy {
    /// Returns the URL of the proxy for the URL of the server, too.
    pub fn start(kind: Kind, url: &str) -> (Self, String) {
        let (server, name) = match kind {
            Kind::Redis => (url.trim_start_matches("unix://").split_once("/socket").expect("a socket").0, "socket"),
            Kind::MariaDb => (url.split_once("socket=").expect("a socket").1.trim_end_matches("/socket"), "socket"),
            _ => (url.split_once("host=").expect("a socket").1, ".s.PGSQL.5432"),
        };
        let folder = std::env::temp_dir().join(format!("keyfob-proxy-{kind:?}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join(name)).expect("a socket");
        let (counts, socket) = (Arc::new(Counts::default()), Path::new(server).join(name));
        let shared = counts.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&socket)) else { return };
                forward(&client, &server, &shared);
            }
        });
        let url = url.replace(server, folder.to_str().expect("UTF-8"));
        (Self { counts, folder }, url)
    }

    /// What was counted since the last call.
    pub fn take(&self) -> Traffic {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst) as f64;
        let Counts { trips, pings, sent, received } = &*self.counts;
        Traffic { trips: take(trips), pings: take(pings), sent: take(sent), received: take(received) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A round trip begins when the client sends something, and the server has sent something since the client last did.
fn forward(client: &UnixStream, server: &UnixStream, counts: &Arc<Counts>) {
    let waits = Arc::new(AtomicBool::new(false));
    let clone = |stream: &UnixStream| stream.try_clone().expect("a socket");
    let (shared, asked) = (counts.clone(), waits.clone());
    pump(clone(client), clone(server), move |bytes| {
        if !asked.swap(true, Ordering::SeqCst) {
            let count = if bytes <= PING { &shared.pings } else { &shared.trips };
            count.fetch_add(1, Ordering::SeqCst);
        }
        shared.sent.fetch_add(bytes, Ordering::SeqCst);
    });
    let shared = counts.clone();
    pump(clone(server), clone(client), move |bytes| {
        waits.store(false, Ordering::SeqCst);
        shared.received.fetch_add(bytes, Ordering::SeqCst);
    });
}

/// The length of `Sync` in PostgreSQL and of `COM_PING` in MySQL. No other request of a store is so short.
const PING: u64 = 5;

fn pump(mut from: UnixStream, mut to: UnixStream, count: impl Fn(u64) + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            // Counted before it is forwarded, so that the answer cannot be counted first.
            count(length as u64);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
