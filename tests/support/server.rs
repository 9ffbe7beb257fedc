//! A mirror on loopback: a folder served over HTTP, with faults that a test can switch on.
//!
//! `/simple/NAME/` is an index page of the wheels of that project (PEP 503), made on the fly.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};

/// What the mirror does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// These files are gone: any path that ends so is answered with 404.
    Gone(BTreeSet<String>),
    /// Files that end so have their first byte changed.
    Changed(String),
    /// After so many answers every connection is dropped.
    DeadAfter(usize),
}

/// A running server; it ends with the process.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    folder: Utf8PathBuf,
    faults: Mutex<Vec<Fault>>,
    answered: AtomicUsize,
}

impl Server {
    /// Serves `folder` on a free port of loopback.
    pub fn of(folder: &Utf8Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            faults: Mutex::default(),
            answered: AtomicUsize::new(0),
        });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = served.clone();
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Server { port, shared }
    }

    /// The URL of a folder of the mirror.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Switches a fault on.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.lock().expect("not poisoned").push(fault);
    }

    /// Everything is well again.
    pub fn heal(&self) {
        self.shared.faults.lock().expect("not poisoned").clear();
        self.shared.answered.store(0, Ordering::SeqCst);
    }

    /// How many requests were answered since the last [`Server::heal`].
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            line.clear();
        }
        let path = request
            .split(' ')
            .nth(1)
            .unwrap_or("/")
            .trim_start_matches('/')
            .to_owned();
        if answer(stream, shared, &path).is_none() {
            return;
        }
    }
}

/// `None`: the connection is to be dropped.
fn answer(mut stream: &TcpStream, shared: &Shared, path: &str) -> Option<()> {
    let faults = shared.faults.lock().expect("not poisoned").clone();
    let count = shared.answered.fetch_add(1, Ordering::SeqCst);
    if faults
        .iter()
        .any(|fault| matches!(fault, Fault::DeadAfter(n) if count >= *n))
    {
        return None;
    }
    let gone = faults.iter().any(|fault| match fault {
        Fault::Gone(names) => names.iter().any(|name| path.ends_with(name)),
        _ => false,
    });
    let body = if gone {
        None
    } else {
        content(&shared.folder, path)
    };
    let Some(mut body) = body else {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(answer.as_bytes()).ok();
    };
    if faults
        .iter()
        .any(|fault| matches!(fault, Fault::Changed(end) if path.ends_with(end)))
    {
        body[0] ^= 1;
    }
    let kind = if path.starts_with("simple/") && path.ends_with('/') {
        "text/html"
    } else {
        "application/octet-stream"
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn content(folder: &Utf8Path, path: &str) -> Option<Vec<u8>> {
    let path = path
        .replace("%2B", "+")
        .replace("%2b", "+")
        .replace("%3a", ":")
        .replace("%7E", "~");
    assert!(!path.contains(".."), "no test asks for this");
    match path
        .strip_prefix("simple/")
        .and_then(|rest| rest.strip_suffix('/'))
    {
        Some(project) => page(&folder.join("wheels"), project),
        None => fs::read(folder.join(path)).ok(),
    }
}

fn page(wheels: &Utf8Path, project: &str) -> Option<Vec<u8>> {
    let mut text = String::from("<!DOCTYPE html><html><body>\n");
    let mut found = false;
    for entry in wheels.read_dir_utf8().ok()?.flatten() {
        let name = entry.file_name();
        let owner = name
            .split('-')
            .next()
            .unwrap_or_default()
            .to_lowercase()
            .replace(['_', '.'], "-");
        if owner == project {
            found = true;
            text.push_str(&format!("<a href=\"../../wheels/{name}\">{name}</a><br>\n"));
        }
    }
    text.push_str("</body></html>\n");
    found.then(|| text.into_bytes())
}
