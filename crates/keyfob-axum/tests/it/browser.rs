//! The example in a real browser, driven by `tests/browser/run.js`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use keyfob::guard::Randomness;
use keyfob::{Keyring, Qr};

use crate::app;

/// Returns whether a program runs. It is optional on a developer's machine, and mandatory where `CI` is set.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.env("NODE_PATH", modules()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return true;
    }
    let missing = format!("{program} {} does not run", arguments.join(" "));
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    // Around the capture of the test harness: a check that did not happen must be seen.
    let _ = writeln!(std::io::stderr(), "skipped: {missing}");
    false
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where npm has installed the programs of `tests/browser/package.json`.
fn modules() -> std::ffi::OsString {
    std::env::var_os("NODE_PATH").unwrap_or_else(|| root().join("target/web-js/node_modules").into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_works_in_a_browser() {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let packages = "require('axe-core/package.json'), require('playwright-core')";
    if !runs("node", &["-e", packages]) || !runs(&chromium, &["--version"]) {
        return;
    }
    let zxing = runs("python3", &["-c", "import zxingcpp, PIL"]);

    let folder = std::env::temp_dir().join(format!("keyfob-axum-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let time = Arc::new(AtomicU64::new(now / 30 * 30));
    let clock = time.clone();
    let database = app::open(&folder.join("users.db")).await.unwrap();
    let keyring = Keyring::parse(&Keyring::generate("test").unwrap()).unwrap();
    let guard = app::guard(&database, keyring).await.unwrap();
    // The same secrets in each run, so that the pictures are the same.
    let guard = guard.with_clock(move || Some(clock.load(SeqCst))).with_randomness(repeated());
    let application = serve(app::router(database, guard).unwrap()).await;
    let control = Router::new()
        .route("/advance", post(async move || (time.fetch_add(30, SeqCst) + 30).to_string()))
        .route("/qr", post(read_qr));
    let control = serve(control).await;

    let pictures = root().join("target/pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let output = tokio::process::Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run.js"))
        .env("NODE_PATH", modules())
        .env("APP", application)
        .env("CONTROL", control)
        .env("CHROMIUM", find(&chromium))
        .env("PICTURES", &pictures)
        .env("RECORDED", root().join("docs/pictures"))
        .env("ZXING", if zxing { "yes" } else { "" })
        .output()
        .await
        .unwrap();
    let _ = std::fs::remove_dir_all(folder);
    let [said, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    println!("{said}");
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("pages checked with axe-core"), "{said}");
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    // On `localhost`, the browser treats the connection as secure, and keeps cookies for TLS.
    format!("http://localhost:{port}")
}

/// Reads the QR code in a screenshot.
async fn read_qr(picture: Bytes) -> (StatusCode, String) {
    match Qr::read_png(&picture) {
        Ok(codes) if codes.len() == 1 => (StatusCode::OK, codes[0].to_string()),
        Ok(codes) => (StatusCode::NOT_FOUND, format!("{} QR codes", codes.len())),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()),
    }
}

fn repeated() -> Randomness {
    let state = AtomicU64::new(0);
    Randomness::new(move |bytes: &mut [u8]| {
        for byte in bytes {
            let mut mixed = state.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
        Ok::<(), std::io::Error>(())
    })
}

/// The path of a program, which Playwright wants to have.
fn find(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(program)).filter(|path| path.is_file());
    found.next().unwrap_or_else(|| program.into())
}
