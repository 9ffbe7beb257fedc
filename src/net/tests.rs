//! What a mirror can do wrong (rows F056 to F067 of the fault list), and what then happens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::testing::{Reply, Server, settings};
use super::*;

const TEXT: &[u8] = b"the bytes that were locked, a little more than a few of them";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn net(mirrors: &[Url]) -> Net {
    Net::new(settings(mirrors), Arc::new(Silence))
}

/// Fetches [`TEXT`] from these mirrors.
fn get(mirrors: &[Url]) -> Result<Vec<u8>, NetError> {
    get_with(&net(mirrors))
}

fn get_with(net: &Net) -> Result<Vec<u8>, NetError> {
    let hash = sha256(TEXT);
    net.bytes(&Wanted::exact("debian", "pool/x", TEXT.len() as u64, &hash))
}

fn closed_port() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!(
        "http://127.0.0.1:{}/",
        listener.local_addr().unwrap().port()
    )
    .parse()
    .unwrap()
}

#[test]
fn a_file_comes_from_the_first_mirror_that_has_it() {
    let empty = Server::start(|_, _| Reply::status(404));
    let good = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    assert_eq!(get(&[empty.url("/"), good.url("/debian")]).unwrap(), TEXT);
    assert_eq!(good.heard()[0].path, "/debian/pool/x");
    assert_eq!(good.heard()[0].headers["accept-encoding"], "identity");
}

#[test]
fn a_file_url_is_a_mirror_and_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("pool")).unwrap();
    std::fs::write(folder.path().join("pool/x"), TEXT).unwrap();
    let mut settings = settings(&[Url::from_directory_path(folder.path()).unwrap()]);
    settings.offline = true;
    assert_eq!(
        get_with(&Net::new(settings, Arc::new(Silence))).unwrap(),
        TEXT
    );
}

#[test]
fn offline_makes_no_socket() {
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let mut settings = settings(&[server.url("/")]);
    settings.offline = true;
    let error = get_with(&Net::new(settings, Arc::new(Silence))).unwrap_err();
    assert!(matches!(error, NetError::Offline { .. }), "{error}");
    assert!(server.heard().is_empty());
}

#[test]
fn no_mirror_says_which_setting_to_make() {
    let error = get(&[]).unwrap_err();
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(
        help.contains("--debian-mirror URL") && help.contains("RECIPE_DEBIAN_MIRROR"),
        "{help}"
    );
}

#[test]
fn f056_a_mirror_that_refuses_is_named_and_the_next_one_serves() {
    struct Lines(Mutex<Vec<String>>);
    impl Watch for Lines {
        fn note(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }
    let lines = Arc::new(Lines(Mutex::default()));
    let good = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let net = Net::new(
        settings(&[closed_port(), good.url("/")]),
        Arc::clone(&lines) as Arc<dyn Watch>,
    );
    for _ in 0..3 {
        assert_eq!(get_with(&net).unwrap(), TEXT);
    }
    assert_eq!(
        lines.0.lock().unwrap().len(),
        1,
        "one line for one dead mirror"
    );

    let error = get(&[closed_port()]).unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }));
    assert!(
        error.to_string().contains("http://127.0.0.1:") && error.to_string().contains("refused"),
        "{error}"
    );
}

#[test]
fn f056_a_server_that_speaks_no_tls_is_a_tls_error_and_not_tried_again() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("https://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let error = get(&[url]).unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn f057_silence_ends_and_the_download_goes_on() {
    let server = Server::start(|number, heard| {
        let reply = Reply::ranged(heard, TEXT);
        if number == 0 {
            reply.silent_after(7)
        } else {
            reply
        }
    });
    assert_eq!(get(&[server.url("/")]).unwrap(), TEXT);
    assert_eq!(server.heard()[1].start(), 7);
    assert_eq!(server.heard()[1].headers["if-range"], "\"one\"");

    let mute = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(600));
        Reply::ok("")
    });
    assert!(
        get(&[mute.url("/")])
            .unwrap_err()
            .to_string()
            .contains("no answer for")
    );
}

#[test]
fn f057_a_trickle_is_not_waited_for() {
    let server = Server::start(|_, _| Reply::ok(TEXT).drip(Duration::from_millis(60)));
    let error = get(&[server.url("/")]).unwrap_err().to_string();
    assert!(error.contains("only"), "{error}");
}

#[test]
fn f058_a_short_answer_is_continued() {
    let cut = Server::start(|number, heard| {
        let reply = Reply::ranged(heard, TEXT);
        if number < 3 {
            reply.cut_after(4)
        } else {
            reply
        }
    });
    assert_eq!(get(&[cut.url("/")]).unwrap(), TEXT);
    assert_eq!(
        cut.heard()
            .iter()
            .map(super::testing::Heard::start)
            .collect::<Vec<_>>(),
        [0, 4, 8, 12]
    );

    let too_small = Server::start(|_, heard| {
        let reply = Reply::ranged(heard, TEXT);
        if heard.start() == 0 {
            reply.header("Content-Length", "10")
        } else {
            reply
        }
    });
    assert_eq!(get(&[too_small.url("/")]).unwrap(), TEXT);
}

#[test]
fn f058_a_long_answer_is_read_to_the_known_size_and_no_further() {
    let long = Server::start(|_, _| Reply::ok([TEXT, &[b'!'; 100_000]].concat()));
    assert_eq!(get(&[long.url("/")]).unwrap(), TEXT);
    let no_length = Server::start(|_, _| Reply::ok(TEXT).without("Content-Length"));
    assert_eq!(get(&[no_length.url("/")]).unwrap(), TEXT);
}

#[test]
fn f058_an_unknown_size_is_bounded() {
    for reply in [
        Reply::ok(vec![b'x'; 100_000]),
        Reply::ok(vec![b'x'; 100_000]).without("Content-Length"),
    ] {
        let server = Server::start(move |_, _| reply.clone());
        let net = net(&[server.url("/")]);
        let error = net
            .bytes(&Wanted::unknown("debian", "x", 50_000))
            .unwrap_err()
            .to_string();
        assert!(error.contains("longer than the 50000 bytes"), "{error}");
    }
}

#[test]
fn f059_a_range_that_is_not_the_continuation_means_start_again() {
    let other: Vec<u8> = TEXT.iter().rev().copied().collect();
    type Second = fn(&[u8]) -> Reply;
    let seconds: [Second; 4] = [
        |text| Reply::ok(text),
        |text| {
            Reply::status(206).header(
                "Content-Range",
                &format!("bytes 0-{}/{}", text.len() - 1, text.len()),
            )
        },
        |text| Reply::ranged(&heard_from(4), text).header("ETag", "\"two\""),
        |_| Reply::status(416),
    ];
    for second in seconds {
        let other = other.clone();
        let server = Server::start(move |number, heard| match number {
            0 => Reply::ranged(heard, &other).cut_after(4),
            1 => second(TEXT),
            _ => Reply::ranged(heard, TEXT),
        });
        // The first four bytes were another file's: only a start from zero can give the right one.
        assert_eq!(get(&[server.url("/")]).unwrap(), TEXT);
        assert_eq!(server.heard().last().unwrap().start(), 0);
    }
}

fn heard_from(start: usize) -> super::testing::Heard {
    super::testing::Heard {
        path: "/".into(),
        headers: [("range".to_owned(), format!("bytes={start}-"))].into(),
    }
}

#[test]
fn f059_two_files_joined_by_a_lying_server_are_fetched_again_from_zero() {
    let server = Server::start(move |number, heard| match number {
        0 => Reply::ranged(heard, &vec![b'?'; TEXT.len()]).cut_after(4),
        _ => Reply::ranged(heard, TEXT),
    });
    assert_eq!(get(&[server.url("/")]).unwrap(), TEXT);
}

#[test]
fn f060_a_busy_server_is_asked_again_and_not_for_ever() {
    for (status, after) in [
        (429, "2"),
        (503, "1000000000"),
        (503, "Sat, 12 Sep 2020 07:55:51 GMT"),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (503, "-1"),
        (500, "soon"),
        (502, ""),
    ] {
        let server = Server::start(move |number, heard| match number {
            0 | 1 => Reply::status(status).header("Retry-After", after),
            _ => Reply::ranged(heard, TEXT),
        });
        assert_eq!(get(&[server.url("/")]).unwrap(), TEXT, "{status} {after}");
    }
    let broken = Server::start(|_, _| Reply::status(500));
    let error = get(&[broken.url("/")]).unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }));
    assert!(error.to_string().contains("HTTP status 500"), "{error}");
    assert_eq!(broken.heard().len(), 3);
}

#[test]
fn f061_gone_forbidden_and_down_are_told_apart() {
    let [missing, removed, secret, down] =
        [404, 410, 403, 500].map(|status| Server::start(move |_, _| Reply::status(status)));
    assert!(
        get(&[missing.url("/"), removed.url("/")])
            .unwrap_err()
            .is_gone()
    );
    assert!(
        !get(&[missing.url("/"), down.url("/")])
            .unwrap_err()
            .is_gone(),
        "the one that is down may have it"
    );
    assert!(matches!(
        get(&[missing.url("/"), secret.url("/")]).unwrap_err(),
        NetError::Forbidden { .. }
    ));
    assert_eq!(secret.heard().len(), 1, "not asked again");
}

#[test]
fn f062_f066_other_bytes_are_refused_with_all_that_is_known() {
    let login =
        Server::start(|_, _| Reply::ok("<html>log in</html>").header("Content-Type", "text/html"));
    let error = get(&[login.url("/")]).unwrap_err();
    assert!(matches!(error, NetError::Corrupt { .. }));
    let text = error.to_string();
    for part in [
        &sha256(TEXT),
        &sha256(b"<html>log in</html>"),
        "text/html",
        "19 bytes",
        "http://127.0.0.1",
        "60 bytes",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let changed = Server::start(|_, _| Reply::ok(vec![b'x'; TEXT.len()]));
    let good = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    assert_eq!(
        get(&[changed.url("/"), good.url("/")]).unwrap(),
        TEXT,
        "another mirror may have the right file"
    );
}

#[test]
fn f063_redirects_are_bounded_and_carry_no_credentials_away() {
    let loops = Server::start(|_, _| Reply::redirect("/again"));
    assert!(
        get(&[loops.url("/")])
            .unwrap_err()
            .to_string()
            .contains("more than 10")
    );
    assert_eq!(loops.heard().len(), 11);

    let good = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let target = good.url("/elsewhere").to_string();
    let first = Server::start(move |_, _| Reply::redirect(&target));
    let mut with_user = first.url("/");
    with_user.set_username("me").unwrap();
    with_user.set_password(Some("secret")).unwrap();
    assert_eq!(get(&[with_user.clone()]).unwrap(), TEXT);
    assert!(first.heard()[0].headers.contains_key("authorization"));
    assert!(!good.heard()[0].headers.contains_key("authorization"));

    let denied = Server::start(|_, _| Reply::status(401));
    with_user.set_port(denied.url("/").port()).unwrap();
    let error = get(&[with_user]).unwrap_err().to_string();
    assert!(
        !error.contains("secret") && !error.contains("me@"),
        "{error}"
    );
}

#[test]
fn f064_a_coded_answer_is_raw_bytes_when_hashed_and_refused_when_not() {
    let server = Server::start(|_, _| Reply::ok(TEXT).header("Content-Encoding", "gzip"));
    assert_eq!(get(&[server.url("/")]).unwrap(), TEXT);
    let net = net(&[server.url("/")]);
    let error = net
        .bytes(&Wanted::unknown("debian", "x", 1000))
        .unwrap_err()
        .to_string();
    assert!(error.contains("gzip"), "{error}");
}

#[test]
fn f067_a_dead_proxy_is_named_by_its_variable_and_no_proxy_goes_past_it() {
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let mut settings = settings(&[server.url("/")]);
    settings.proxies = Proxies {
        http: Some(closed_port().to_string()),
        variables: vec!["http_proxy".into()],
        ..Proxies::default()
    };
    let error = get_with(&Net::new(settings.clone(), Arc::new(Silence))).unwrap_err();
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(help.contains("http_proxy"), "{help}");
    settings.proxies.none = Some("localhost, 127.0.0.0/8".into());
    assert_eq!(
        get_with(&Net::new(settings, Arc::new(Silence))).unwrap(),
        TEXT
    );
}

#[test]
fn f067_407_names_the_proxy_variable() {
    let proxy = Server::start(|_, _| Reply::status(407));
    let mut settings = settings(&["http://mirror.test/".parse().unwrap()]);
    settings.proxies = Proxies {
        http: Some(proxy.url("/").to_string()),
        variables: vec!["http_proxy".into()],
        ..Proxies::default()
    };
    let error = get_with(&Net::new(settings, Arc::new(Silence))).unwrap_err();
    assert!(matches!(error, NetError::Forbidden { .. }));
    assert!(
        miette::Diagnostic::help(&error)
            .unwrap()
            .to_string()
            .contains("http_proxy")
    );
}

#[test]
fn downloads_run_side_by_side() {
    let most = Arc::new(AtomicUsize::new(0));
    let (running, seen) = (AtomicUsize::new(0), Arc::clone(&most));
    let server = Server::start(move |_, heard| {
        seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        running.fetch_sub(1, Ordering::SeqCst);
        Reply::ranged(heard, TEXT)
    });
    let net = net(&[server.url("/")]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(get_with(&net).unwrap(), TEXT));
        }
    });
    assert!(most.load(Ordering::SeqCst) > 1);
}

fn store() -> (tempfile::TempDir, recipe_store::Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = camino::Utf8PathBuf::from_path_buf(folder.path().join("store")).unwrap();
    let store = recipe_store::Store::open(&path).unwrap();
    (folder, store)
}

#[test]
fn a_file_that_was_fetched_and_remembered_is_not_asked_for_again() {
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let (_folder, store) = store();
    let hash = sha256(TEXT);
    let wanted = Wanted::exact("debian", "pool/x", TEXT.len() as u64, &hash);
    let session = store.session().unwrap();
    let blob = net(&[server.url("/")]).fetch(&wanted, &session).unwrap();
    assert_eq!(session.read_blob(&blob).unwrap(), TEXT);
    session.commit().unwrap();
    remember(&store, &hash, &blob).unwrap();

    let mut settings = settings(&[server.url("/")]);
    settings.offline = true;
    let offline = Net::new(settings, Arc::new(Silence));
    assert_eq!(
        offline.fetch(&wanted, &store.session().unwrap()).unwrap(),
        blob
    );
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn f066_nothing_of_a_wrong_file_reaches_the_store() {
    let wrong = vec![b'x'; 3_000_000];
    let served = wrong.clone();
    let server = Server::start(move |_, _| Reply::ok(served.clone()));
    let (_folder, store) = store();
    let session = store.session().unwrap();
    let hash = sha256(TEXT);
    let wanted = Wanted::exact("debian", "pool/x", wrong.len() as u64, &hash);
    let error = net(&[server.url("/")])
        .fetch(&wanted, &session)
        .unwrap_err();
    assert!(matches!(error, NetError::Corrupt { .. }), "{error}");
    let blob = recipe_store::ObjectId::Blob(BlobId::of(&wrong));
    assert!(!session.has(&blob).unwrap());
}

mod proxy;

/// A web server behind TLS, by openssl: its own authority, and a certificate for `name`.
struct Tls {
    folder: tempfile::TempDir,
    child: std::process::Child,
    url: Url,
}

impl Tls {
    fn start(name: &str) -> Option<Tls> {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pool")).unwrap();
        std::fs::write(folder.path().join("pool/x"), TEXT).unwrap();
        std::fs::write(
            folder.path().join("names"),
            format!("subjectAltName={name}\n"),
        )
        .unwrap();
        let openssl = |words: &str| {
            let mut command = Command::new("openssl");
            command.args(words.split(' ')).current_dir(folder.path());
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        let steps = [
            format!("req -x509 {key} -subj /CN=authority -days 2 -keyout ca.key -out ca.pem"),
            format!("req -new {key} -subj /CN=server -keyout key.pem -out request.pem"),
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem".into(),
        ];
        for step in steps {
            match openssl(&step).status() {
                Ok(status) => assert!(status.success(), "{step}"),
                Err(_) => {
                    eprintln!("skipped: openssl is not installed");
                    return None;
                }
            }
        }
        let port = closed_port().port().unwrap();
        let child = openssl(&format!(
            "s_server -accept 127.0.0.1:{port} -cert cert.pem -key key.pem -HTTP -quiet"
        ))
        .spawn()
        .unwrap();
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
        Some(Tls { folder, child, url })
    }

    fn get(&self, trusted: bool) -> Result<Vec<u8>, NetError> {
        let mut settings = settings(std::slice::from_ref(&self.url));
        settings.timing.idle = Duration::from_secs(5);
        if trusted {
            settings.authorities = self.authority();
        }
        get_with(&Net::new(settings, Arc::new(Silence)))
    }

    fn authority(&self) -> Option<camino::Utf8PathBuf> {
        camino::Utf8PathBuf::from_path_buf(self.folder.path().join("ca.pem")).ok()
    }

    /// `-HTTP` sends the file as it is, so the content itself has to be an answer with headers.
    fn serves_text(&self) {
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", TEXT.len());
        let answer = [head.as_bytes(), TEXT].concat();
        std::fs::write(self.folder.path().join("pool/x"), answer).unwrap();
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn f056_a_certificate_counts_when_its_authority_and_its_name_do() {
    let Some(server) = Tls::start("IP:127.0.0.1") else {
        return;
    };
    server.serves_text();
    assert_eq!(server.get(true).unwrap(), TEXT);
    let unknown = server.get(false).unwrap_err().to_string();
    assert!(unknown.contains("TLS: "), "{unknown}");
    let Some(other) = Tls::start("DNS:other.test") else {
        return;
    };
    let name = other.get(true).unwrap_err().to_string();
    assert!(name.contains("TLS: ") && name.contains("name"), "{name}");
}
