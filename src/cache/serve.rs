//! A folder with the layout of a cache → other machines, read-only, over HTTP/1.1. Begin at [`Server::bind`].
//!
//! It knows GET, HEAD and one range (RFC 9110), and no name but those of a cache's files, so there is nothing to find
//! besides. Bodies go from the disk to the network in the kernel. Each connection has a thread; those that say
//! nothing end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;

/// The head of a request may have so many bytes.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// Connections at once; others are told to come again.
const MOST_CONNECTIONS: usize = 256;
/// How long a connection may say, or take, nothing.
const IDLE: Duration = Duration::from_secs(30);

/// Makes what is asked for and is not there, if that is possible.
pub type Fill<'a> = &'a (dyn Fn(&str) + Sync);

/// Serves a folder.
pub struct Server {
    listener: TcpListener,
    folder: Utf8PathBuf,
}

impl Server {
    /// A server at this address; port 0 takes one that is free.
    pub fn bind(address: SocketAddr, folder: Utf8PathBuf) -> io::Result<Server> {
        Ok(Server {
            listener: TcpListener::bind(address)?,
            folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for as long as the process lives. `hear` is told of each request.
    pub fn run(&self, fill: Fill<'_>, hear: &(dyn Fn(&str) + Sync)) -> io::Result<()> {
        let open = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for connection in self.listener.incoming() {
                let connection = match connection {
                    Ok(connection) => connection,
                    // One that went away, or no file descriptor for it now: the next may do.
                    Err(_) => {
                        std::thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                };
                if open.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                    open.fetch_sub(1, Ordering::Relaxed);
                    let _ = refuse(&connection, "503 Service Unavailable");
                    continue;
                }
                let open = &open;
                let talk = move || {
                    // Whoever goes away in the middle harms only himself.
                    let _ = self.talk(connection, fill, hear);
                    open.fetch_sub(1, Ordering::Relaxed);
                };
                if std::thread::Builder::new()
                    .spawn_scoped(scope, talk)
                    .is_err()
                {
                    open.fetch_sub(1, Ordering::Relaxed);
                }
            }
        });
        Ok(())
    }

    fn talk(
        &self,
        connection: TcpStream,
        fill: Fill<'_>,
        hear: &(dyn Fn(&str) + Sync),
    ) -> io::Result<()> {
        connection.set_read_timeout(Some(IDLE))?;
        connection.set_write_timeout(Some(IDLE))?;
        connection.set_nodelay(true)?;
        let mut head = Vec::new();
        loop {
            let Some(length) = read_head(&connection, &mut head)? else {
                return Ok(());
            };
            let asked = match Asked::parse(&head[..length]) {
                Ok(asked) => asked,
                Err(status) => return refuse(&connection, status),
            };
            head.drain(..length);
            let keep = asked.keep;
            self.answer(&asked, &connection, fill, hear)?;
            if !keep {
                return Ok(());
            }
        }
    }

    fn answer(
        &self,
        asked: &Asked,
        connection: &TcpStream,
        fill: Fill<'_>,
        hear: &(dyn Fn(&str) + Sync),
    ) -> io::Result<()> {
        let opened = asked.name.as_deref().map(|name| self.open(name, fill));
        let (file, size) = match opened.transpose()?.flatten() {
            Some(opened) => opened,
            None => {
                hear(&format!("404 {}", asked.told));
                return say(connection, "404 Not Found", "content-length: 0\r\n");
            }
        };
        let whole = 0..size;
        let (status, range) = match asked.range {
            None => ("200 OK", whole),
            Some((first, last)) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                if first >= end {
                    let header = format!("content-range: bytes */{size}\r\ncontent-length: 0\r\n");
                    return say(connection, "416 Range Not Satisfiable", &header);
                }
                ("206 Partial Content", first..end)
            }
        };
        hear(&format!("{} {}", &status[..3], asked.told));
        let count = range.end - range.start;
        let mut headers = format!(
            "content-type: application/octet-stream\r\naccept-ranges: bytes\r\ncontent-length: {count}\r\n"
        );
        if status.starts_with("206") {
            headers.push_str(&format!(
                "content-range: bytes {}-{}/{size}\r\n",
                range.start,
                range.end - 1
            ));
        }
        say(connection, status, &headers)?;
        if asked.only_head {
            return Ok(());
        }
        send(&file, range, connection)
    }

    fn open(&self, name: &str, fill: Fill<'_>) -> io::Result<Option<(File, u64)>> {
        let path = self.folder.join(name);
        let open = || match File::open(&path) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        match open()? {
            Some(opened) => Ok(Some(opened)),
            None => {
                fill(name);
                open()
            }
        }
    }
}

/// What is asked for.
struct Asked {
    only_head: bool,
    /// The name of a file of a cache, if it is one.
    name: Option<String>,
    /// The same for people.
    told: String,
    range: Option<(u64, Option<u64>)>,
    keep: bool,
}

impl Asked {
    fn parse(head: &[u8]) -> Result<Asked, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err("400 Bad Request"),
        }
        let only_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err("405 Method Not Allowed"),
        };
        let header = |name: &str| {
            let mut headers = request.headers.iter();
            let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
            header.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        // A request with a body is none of ours, and where the next one begins would be a guess.
        if header("content-length").is_some_and(|length| length != "0")
            || header("transfer-encoding").is_some()
        {
            return Err("400 Bad Request");
        }
        let path = request.path.unwrap_or_default();
        Ok(Asked {
            only_head,
            name: path
                .strip_prefix('/')
                .filter(|name| is_name(name))
                .map(str::to_owned),
            told: path
                .chars()
                .take(100)
                .filter(|char| !char.is_control())
                .collect(),
            range: header("range").and_then(range),
            keep: request.version == Some(1)
                && !header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")),
        })
    }
}

/// Whether it is the name of a file of a cache.
fn is_name(name: &str) -> bool {
    let hex = |digits: &str| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    name.split_once('/')
        .is_some_and(|(folder, digits)| super::FOLDERS.contains(&folder) && hex(digits))
}

/// One range with a beginning; of all others the whole file is sent, as RFC 9110 allows (section 14.2).
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    match last {
        "" => Some((first, None)),
        last => Some((
            first,
            Some(last.parse().ok().filter(|last| *last >= first)?),
        )),
    }
}

/// Reads until a head is whole; its length. Nothing where the connection ended.
fn read_head(mut connection: &TcpStream, head: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if head.len() > MOST_HEAD {
            refuse(connection, "431 Request Header Fields Too Large")?;
            return Ok(None);
        }
        match connection.read(&mut chunk)? {
            0 => return Ok(None),
            count => head.extend_from_slice(&chunk[..count]),
        }
    }
}

/// A part of a file, without a copy in this process (sendfile(2)).
fn send(file: &File, range: Range<u64>, connection: &TcpStream) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let rest = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(connection, file, Some(&mut at), rest.min(1 << 30)) {
            // The file has become shorter.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn say(mut connection: &TcpStream, status: &str, headers: &str) -> io::Result<()> {
    connection.write_all(format!("HTTP/1.1 {status}\r\n{headers}\r\n").as_bytes())
}

fn refuse(connection: &TcpStream, status: &str) -> io::Result<()> {
    say(
        connection,
        status,
        "content-length: 0\r\nconnection: close\r\n",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_cache_are_names() {
        let hex = "0123456789abcdef".repeat(4);
        assert!(is_name(&format!("pack/{hex}")));
        for wrong in [
            format!("pack/../{hex}"),
            format!("packs/{hex}"),
            format!("pack/{}", hex.to_uppercase()),
            format!("pack/{}", &hex[1..]),
            format!("/pack/{hex}"),
            hex,
            String::new(),
        ] {
            assert!(!is_name(&wrong), "{wrong}");
        }
    }

    #[test]
    fn heads_are_read_or_refused() {
        let hex = "a".repeat(64);
        let asked = Asked::parse(
            format!("GET /pack/{hex} HTTP/1.1\r\nRange: bytes=3-9\r\n\r\n").as_bytes(),
        );
        let asked = asked.ok().unwrap();
        assert_eq!(
            (asked.range, asked.keep, asked.only_head),
            (Some((3, Some(9))), true, false)
        );
        for (text, status) in [
            ("PUT / HTTP/1.1\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", "400"),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400",
            ),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let refused = Asked::parse(text.as_bytes()).err().unwrap();
            assert!(refused.starts_with(status), "{text}");
        }
        for (text, wanted) in [
            ("bytes=0-", Some((0, None))),
            ("bytes=5-4", None),
            ("bytes=-5", None),
            ("bytes=1-2,4-5", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(range(text), wanted, "{text}");
        }
    }
}
