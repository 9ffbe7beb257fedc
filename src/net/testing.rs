//! A scripted server on loopback: a closure turns what was heard into a reply, right or wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use reqwest::Url;

use super::{Settings, Timing};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The request target: path and query.
    pub(crate) path: String,
    /// Header names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What goes back, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

/// How the reply ends.
#[derive(Debug, Clone)]
enum Ending {
    Whole,
    CutAfter(usize),
    SilentAfter(usize),
    Drip(Duration),
}

impl Reply {
    /// 200 with these bytes.
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
        let body = body.into();
        Reply {
            status: 200,
            headers: vec![("Content-Length".into(), body.len().to_string())],
            body,
            ending: Ending::Whole,
        }
    }

    /// An empty answer with this status.
    pub(crate) fn status(status: u16) -> Reply {
        Reply {
            status,
            ..Reply::ok("")
        }
    }

    /// A redirect.
    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::status(302).header("Location", to)
    }

    /// A server that knows ranges answers a request for `body`.
    pub(crate) fn ranged(heard: &Heard, body: &[u8]) -> Reply {
        let start = heard.start();
        if start == 0 {
            return Reply::ok(body).header("ETag", "\"one\"");
        }
        let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
        Reply {
            status: 206,
            ..Reply::ok(&body[start..])
        }
        .header("Content-Range", &range)
        .header("ETag", "\"one\"")
    }

    /// Sets a header, in place of one that was set before.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Leaves a header out.
    pub(crate) fn without(mut self, name: &str) -> Reply {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Reply {
        self.ending = Ending::CutAfter(bytes);
        self
    }

    /// Says no more after so many bytes of the body, and keeps the connection.
    pub(crate) fn silent_after(mut self, bytes: usize) -> Reply {
        self.ending = Ending::SilentAfter(bytes);
        self
    }

    /// One byte at a time, so long apart.
    pub(crate) fn drip(mut self, every: Duration) -> Reply {
        self.ending = Ending::Drip(every);
        self
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        match &self.ending {
            Ending::Whole => stream.write_all(&self.body),
            Ending::CutAfter(bytes) => stream.write_all(&self.body[..*bytes]),
            Ending::SilentAfter(bytes) => {
                stream.write_all(&self.body[..*bytes])?;
                // Until the client gives up and closes its side.
                stream.read(&mut [0]).map(|_| ())
            }
            Ending::Drip(every) => self.body.chunks(1).try_for_each(|byte| {
                thread::sleep(*every);
                stream.write_all(byte)
            }),
        }
    }
}

impl Heard {
    /// The first byte that was asked for.
    pub(crate) fn start(&self) -> usize {
        let range = self
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes="));
        range
            .and_then(|range| range.trim_end_matches('-').parse().ok())
            .unwrap_or(0)
    }

    fn read(stream: &TcpStream) -> Option<Heard> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        let mut headers = BTreeMap::new();
        for line in lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
        {
            let (name, value) = line.split_once(':')?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Some(Heard { path, headers })
    }
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    port: u16,
    log: Arc<Mutex<Vec<Heard>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server; `script` is called for each request, with the number of requests before it.
    pub(crate) fn start(script: impl Fn(usize, &Heard) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, ended) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let server = Server {
            port,
            log: Arc::clone(&log),
            ended: Arc::clone(&ended),
        };
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                thread::spawn(move || answer(stream, &log, &*script));
            }
        });
        server
    }

    /// Serves the files of a map of paths (no leading slash), with ranges; 404 for others.
    pub(crate) fn files(files: BTreeMap<String, Vec<u8>>) -> Server {
        Server::start(
            move |_, heard| match files.get(heard.path.trim_start_matches('/')) {
                Some(bytes) => Reply::ranged(heard, bytes),
                None => Reply::status(404),
            },
        )
    }

    /// Its base URL with `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port)
            .parse()
            .unwrap()
    }

    /// Every request so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn answer(
    mut stream: TcpStream,
    log: &Mutex<Vec<Heard>>,
    script: &(dyn Fn(usize, &Heard) -> Reply + Send + Sync),
) {
    let Some(heard) = Heard::read(&stream) else {
        return;
    };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(heard.clone());
        log.len() - 1
    };
    // The client may be gone: that is what some tests are about.
    let _ = script(before, &heard).send(&mut stream);
    let _ = stream.shutdown(Shutdown::Both);
}

/// Settings with these Debian mirrors and times that suit a test.
pub(crate) fn settings(debian: &[Url]) -> Settings {
    let timing = Timing {
        connect: Duration::from_millis(500),
        idle: Duration::from_millis(200),
        rate_window: Duration::from_millis(200),
        rate_bytes: 100,
        tries: 3,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
    };
    Settings {
        debian: debian.to_vec(),
        timing,
        ..Settings::default()
    }
}
