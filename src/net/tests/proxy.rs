//! Fetching through a proxy that is none of ours: tinyproxy. Its log tells what went through it.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::net::Machine;
use crate::net::machine::Said;

/// A running tinyproxy.
struct Tinyproxy {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Tinyproxy {
    /// With further lines of its configuration.
    fn start(more: &str) -> Option<Tinyproxy> {
        let folder = tempfile::tempdir().unwrap();
        let port = closed_port().port().unwrap();
        let path = folder.path().join("conf");
        let log = folder.path().join("log");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 30\nLogFile \"{}\"\nLogLevel Info\nMaxClients 20\n{more}\n",
            log.display()
        );
        std::fs::write(&path, text).unwrap();
        let started = Command::new("tinyproxy")
            .args(["-d".as_ref(), "-c".as_ref(), path.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!("skipped: tinyproxy is not installed");
            return None;
        };
        let proxy = Tinyproxy {
            folder,
            child,
            port,
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(proxy);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("tinyproxy does not listen: {}", proxy.log());
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many requests of this kind it was sent.
    fn heard(&self, method: &str) -> usize {
        let request = format!("): {method} ");
        self.log().matches(&request).count()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client for one mirror on a machine whose environment has these variables.
fn client(mirror: &Url, variables: &[(&str, &str)]) -> Net {
    let variables = variables.iter();
    let env: BTreeMap<String, String> = variables
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let machine = Machine::read(env);
    let said = machine.settings(&Said::default(), &Said::default());
    Net::new(
        Settings {
            proxies: said.unwrap().proxies,
            ..settings(std::slice::from_ref(mirror))
        },
        Arc::new(Silence),
    )
}

#[test]
fn f067_a_file_comes_through_the_proxy_that_a_variable_names() {
    let Some(proxy) = Tinyproxy::start("") else {
        return;
    };
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    for (count, name) in names.into_iter().enumerate() {
        let net = client(&server.url("/"), &[(name, &proxy.url())]);
        assert_eq!(get_with(&net).unwrap(), TEXT, "{name}");
        assert_eq!(proxy.heard("GET"), count + 1, "{name}: {}", proxy.log());
    }
    // A proxy for `https:` alone is none for `http:`.
    let net = client(&server.url("/"), &[("https_proxy", &proxy.url())]);
    assert_eq!(get_with(&net).unwrap(), TEXT);
    assert_eq!(proxy.heard("GET"), names.len());
}

#[test]
fn f067_no_proxy_goes_past_a_proxy_by_host_address_network_and_star() {
    let Some(proxy) = Tinyproxy::start("") else {
        return;
    };
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    for (none, past) in [
        ("127.0.0.1", true),
        ("other.test, 127.0.0.0/8", true),
        ("*", true),
        ("other.test", false),
        ("", false),
    ] {
        let before = proxy.heard("GET");
        let variables = [("ALL_PROXY", proxy.url()), ("NO_PROXY", none.to_owned())];
        let variables = variables.each_ref().map(|(name, value)| (*name, &**value));
        let net = client(&server.url("/"), &variables);
        assert_eq!(get_with(&net).unwrap(), TEXT, "{none:?}");
        let went_past = proxy.heard("GET") == before;
        assert_eq!(went_past, past, "{none:?}: {}", proxy.log());
    }
    let mut named = server.url("/");
    named.set_host(Some("localhost")).unwrap();
    let before = proxy.heard("GET");
    let variables = [
        ("http_proxy", &*proxy.url()),
        ("no_proxy", ".localhost,localhost"),
    ];
    assert_eq!(get_with(&client(&named, &variables)).unwrap(), TEXT);
    assert_eq!(proxy.heard("GET"), before);
}

#[test]
fn f067_https_goes_through_a_proxy_by_connect_and_stays_tls_to_the_mirror() {
    let Some(proxy) = Tinyproxy::start("") else {
        return;
    };
    let Some(server) = Tls::start("IP:127.0.0.1") else {
        return;
    };
    server.serves_text();
    let with = |variable: &str, trusted: bool| {
        let mut settings = client(&server.url, &[(variable, &proxy.url())])
            .settings()
            .clone();
        settings.timing.idle = Duration::from_secs(5);
        if trusted {
            settings.authorities = server.authority();
        }
        get_with(&Net::new(settings, Arc::new(Silence)))
    };
    for (count, name) in ["https_proxy", "ALL_PROXY"].into_iter().enumerate() {
        assert_eq!(with(name, true).unwrap(), TEXT, "{name}");
        assert_eq!(proxy.heard("CONNECT"), count + 1, "{}", proxy.log());
    }
    // What a proxy can never do is vouch for the mirror.
    let unknown = with("https_proxy", false).unwrap_err().to_string();
    assert!(unknown.contains("TLS: "), "{unknown}");
    assert_eq!(proxy.heard("GET"), 0);
}

#[test]
fn f067_credentials_in_the_variable_open_a_proxy_that_wants_them() {
    let Some(proxy) = Tinyproxy::start("BasicAuth me secret") else {
        return;
    };
    let server = Server::start(|_, heard| Reply::ranged(heard, TEXT));
    let address = format!("127.0.0.1:{}", proxy.port);
    let with = |url: String| get_with(&client(&server.url("/"), &[("http_proxy", &url)]));
    assert_eq!(with(format!("http://me:secret@{address}")).unwrap(), TEXT);
    // Some write no scheme: the same proxy is meant.
    assert_eq!(with(format!("me:secret@{address}")).unwrap(), TEXT);
    for url in [
        format!("http://{address}"),
        format!("http://me:wrong@{address}"),
    ] {
        let error = with(url).unwrap_err();
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(matches!(error, NetError::Forbidden { .. }), "{error}");
        assert!(help.contains("http_proxy"), "{help}");
        let told = format!("{error}{help}");
        assert!(
            !told.contains("wrong") && !told.contains("secret"),
            "{told}"
        );
    }
}
