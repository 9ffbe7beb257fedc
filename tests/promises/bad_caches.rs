//! A cache is never believed: what it answers badly, damages or loses is built here, or said.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use camino::Utf8Path;

use crate::support::sharing::{RECIPE, builder, closure_of, key_of, only_file, pushed, taker};
use crate::support::{Scratch, sources};

/// A server that gives each request to `answer`, which has the name that is asked for and writes what it likes.
fn scripted(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    scripted_by_head(move |head, stream| answer(name_in(head), stream))
}

/// The name that the head of a request asks for.
fn name_in(head: &str) -> &str {
    let name = head.split(' ').nth(1).unwrap_or_default();
    name.trim_start_matches('/')
}

/// The same with the whole head of the request.
fn scripted_by_head(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut head = [0; 4096];
                let count = stream.read(&mut head).unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                answer(&head, &mut stream);
            });
        }
    });
    format!("http://127.0.0.1:{port}/")
}

/// A server that answers everything in one way.
fn answering(answer: String) -> String {
    scripted(move |_, stream| drop(stream.write_all(answer.as_bytes())))
}

/// What a server makes of one kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoiled {
    /// One bit is another.
    Flipped,
    /// The first third, which is said to be all.
    Cut,
    /// The connection ends before what was said has come.
    Ended,
    /// More than was signed.
    Longer,
    /// Another file of the cache.
    Swapped,
    Gone,
    /// As it should be, in pieces that take their time.
    Late,
    /// Nothing, while the connection stays open.
    Hung,
}

/// Serves `cache`, whose files in `folder` are spoiled; it knows no parts.
fn spoiling(cache: &Utf8Path, folder: &'static str, how: Spoiled) -> String {
    let cache = cache.to_owned();
    scripted(move |name, stream| {
        let Ok(mut bytes) = fs::read(cache.join(name)) else {
            let _ = stream.write_all(GONE.as_bytes());
            return;
        };
        let mut said = bytes.len();
        if name.starts_with(folder) {
            match how {
                Spoiled::Flipped => bytes[said / 2] ^= 1,
                Spoiled::Cut => {
                    said /= 3;
                    bytes.truncate(said);
                }
                Spoiled::Ended => bytes.truncate(said / 3),
                Spoiled::Longer => {
                    bytes.extend([7; 1000]);
                    said = bytes.len();
                }
                Spoiled::Swapped => {
                    let other = if folder == "pack" { "index" } else { "pack" };
                    bytes = fs::read(only_file(&cache.join(other))).expect("read");
                    said = bytes.len();
                }
                Spoiled::Gone => return drop(stream.write_all(GONE.as_bytes())),
                Spoiled::Late => {}
                Spoiled::Hung => return thread::sleep(Duration::from_secs(600)),
            }
        }
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {said}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        for piece in bytes.chunks(bytes.len().div_ceil(8)) {
            if how == Spoiled::Late && name.starts_with(folder) {
                thread::sleep(Duration::from_millis(200));
            }
            // Whoever has read enough has gone.
            let _ = stream.write_all(piece);
        }
    })
}

const GONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[test]
fn a_cache_that_answers_badly_is_said_once_and_stops_no_build() {
    let Some(sources) = sources() else { return };
    let empty = "content-length: 0\r\nconnection: close\r\n\r\n";
    let answers: Vec<(String, &str)> = [
        ("401 Unauthorized", "does not allow it"),
        ("403 Forbidden", "does not allow it"),
        ("500 Internal Server Error", "500"),
        ("503 Service Unavailable\r\nretry-after: 1", "503"),
        ("429 Too Many Requests", "429"),
        (
            "302 Found\r\nlocation: http://169.254.169.254/",
            "169.254.169.254",
        ),
        ("302 Found\r\nlocation: file:///etc/passwd", "file:"),
    ]
    .into_iter()
    .map(|(status, told)| (format!("HTTP/1.1 {status}\r\n{empty}"), told))
    .chain([("nonsense\r\n\r\n".to_owned(), "")])
    .collect();
    let scratch = Scratch::new().warm(sources);
    for (answer, told) in answers {
        let url = answering(answer);
        let store = scratch.path().join("fresh");
        let _ = fs::remove_dir_all(&store);
        // Everything is known here, so only a forgotten trace makes it ask.
        let ran = scratch
            .run(["plan", RECIPE, "--store", store.as_str(), "--cache", &url])
            .ok();
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
        assert_eq!(
            ran.err.matches("not asked any more").count(),
            1,
            "{}",
            ran.err
        );
    }
    for status in ["404 Not Found", "410 Gone"] {
        let answer = format!("HTTP/1.1 {status}\r\n{empty}");
        let url = answering(answer);
        let store = scratch.path().join("fresh");
        let ran = scratch
            .run(["plan", RECIPE, "--store", store.as_str(), "--cache", &url])
            .ok();
        let about = ran.err.contains("127.0.0.1");
        assert!(!about, "nothing is wrong with it: {}", ran.err);
    }
}

#[test]
fn what_comes_otherwise_than_it_was_signed_is_said_and_never_kept() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let taker = taker(&builder);
    for folder in ["pack", "index"] {
        for how in [
            Spoiled::Flipped,
            Spoiled::Cut,
            Spoiled::Ended,
            Spoiled::Longer,
            Spoiled::Swapped,
            Spoiled::Gone,
        ] {
            let url = spoiling(&cache, folder, how);
            let ran = taker.run(["pull", RECIPE, "--cache", &url]).fails_with(4);
            assert!(
                ran.err.contains(&url) && ran.err.contains(folder),
                "{folder} {how:?}: {}",
                ran.err
            );
        }
    }
    taker.store_verifies();
    let url = spoiling(&cache, "pack", Spoiled::Late);
    taker.run(["pull", RECIPE, "--cache", &url]).ok();
    assert_eq!(closure_of(&taker), closure_of(&builder));
    taker.store_verifies();
}

#[test]
fn what_a_cache_has_lost_after_a_hit_is_built_here() {
    let Some(builder) = builder() else { return };
    let sources = sources().expect("there");
    let url = spoiling(&pushed(&builder), "pack", Spoiled::Gone);
    let taker = Scratch::new().local(sources);
    taker.run(["key", "trust", &key_of(&builder)]).ok();
    let ran = taker
        .run(["build", RECIPE, "--locked", "--cache", &url])
        .ok();
    assert!(ran.err.contains("pack/"), "it is said: {}", ran.err);
    assert_eq!(closure_of(&taker), closure_of(&builder));
    taker.store_verifies();
}

#[test]
fn a_push_heals_what_a_cache_has_lost_or_damaged() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    for (folder, is_lost) in [
        ("pack", false),
        ("pack", true),
        ("index", false),
        ("index", true),
    ] {
        let path = only_file(&cache.join(folder));
        if is_lost {
            fs::remove_file(path).expect("removed");
        } else {
            let mut bytes = fs::read(&path).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("written");
        }
        let taker = taker(&builder);
        let pull = ["pull", RECIPE, "--cache", cache.as_str()];
        taker.run(pull).fails_with(4);
        builder
            .run(["push", RECIPE, "--verify", "--to", cache.as_str()])
            .ok();
        taker.run(pull).ok();
    }
}

/// Serves `cache`, each part of a pack a second after the one before it, and no part after the first `most`. Adds the
/// bytes of the parts that it was asked for to `asked`.
fn slow(cache: &Utf8Path, most: u64, asked: &Arc<AtomicU64>) -> String {
    let (cache, asked, parts) = (cache.to_owned(), asked.clone(), AtomicU64::new(0));
    scripted_by_head(move |head, stream| {
        let Ok(bytes) = fs::read(cache.join(name_in(head))) else {
            return drop(stream.write_all(GONE.as_bytes()));
        };
        let lower = head.to_lowercase();
        let range = lower
            .split_once("bytes=")
            .and_then(|(_, rest)| rest.lines().next()?.split_once('-'));
        let end = "connection: close\r\n\r\n";
        let Some((from, to)) = range else {
            let all = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{end}",
                bytes.len()
            );
            let _ = stream.write_all(all.as_bytes());
            return drop(stream.write_all(&bytes));
        };
        let number = |text: &str| text.trim().parse::<usize>().expect("a number");
        let (from, to) = (number(from), number(to));
        let part = &bytes[from..=to];
        asked.fetch_add(part.len() as u64, Ordering::SeqCst);
        let before = parts.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_secs(if before < most {
            before
        } else {
            600
        }));
        let said = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{to}/{}\r\n{end}",
            part.len(),
            bytes.len()
        );
        let _ = stream.write_all(said.as_bytes());
        drop(stream.write_all(part));
    })
}

#[test]
fn a_pull_that_was_killed_is_gone_on_with_from_where_it_was() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let taker = taker(&builder);
    let (first, second) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let url = slow(&cache, 3, &first);
    let mut pull = taker.start(["pull", RECIPE, "--cache", &url]);
    // The third part came after two seconds; the rest never comes.
    thread::sleep(Duration::from_secs(4));
    pull.kill().expect("killed");
    pull.wait().expect("ended");
    taker.store_verifies();
    let url = slow(&cache, 0, &second);
    let mut pull = taker.start(["pull", RECIPE, "--cache", &url]);
    thread::sleep(Duration::from_secs(2));
    pull.kill().expect("killed");
    pull.wait().expect("ended");
    let (first, second) = (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
    assert!(0 < second && second < first, "{first} bytes, then {second}");
    taker.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
    assert_eq!(closure_of(&taker), closure_of(&builder));
    taker.store_verifies();
}

#[test]
#[ignore = "takes long: .ci/long slow"]
fn a_cache_that_hangs_is_left_alone_after_a_while() {
    let Some(builder) = builder() else { return };
    let sources = sources().expect("there");
    let cache = pushed(&builder);
    for folder in ["traces", "pack"] {
        let url = spoiling(&cache, folder, Spoiled::Hung);
        let taker = Scratch::new().local(sources);
        taker.run(["key", "trust", &key_of(&builder)]).ok();
        let ran = taker
            .run(["build", RECIPE, "--locked", "--cache", &url])
            .ok();
        assert!(
            ran.err.contains(&url) && ran.err.contains("not asked any more"),
            "{folder}: {}",
            ran.err
        );
        assert_eq!(closure_of(&taker), closure_of(&builder));
    }
}
