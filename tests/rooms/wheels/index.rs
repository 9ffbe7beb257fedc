//! A package index on loopback, with wheels made here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use reqwest::Url;
use sha2::{Digest, Sha256};

/// What the index has: file name → bytes.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A server that lives as long as the test program.
pub(crate) struct Index {
    pub(crate) url: Url,
    files: Arc<Mutex<Files>>,
}

impl Index {
    pub(crate) fn start() -> Index {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/simple/", listener.local_addr().unwrap());
        let files = Arc::new(Mutex::new(Files::new()));
        let shared = Arc::clone(&files);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines();
                    let first = lines.next().and_then(Result::ok).unwrap_or_default();
                    while lines
                        .next()
                        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                    {
                    }
                    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
                    let (status, kind, body) = answer(&path, &files.lock().unwrap());
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = (&stream).write_all(&[head.as_bytes(), &body].concat());
                });
            }
        });
        Index {
            url: Url::parse(&url).unwrap(),
            files,
        }
    }

    /// Adds a wheel that runs everywhere.
    pub(crate) fn wheel(&self, name: &str, version: &str, requires: &[&str]) -> &Index {
        self.file(
            &format!("{name}-{version}-py3-none-any.whl"),
            wheel(name, version, requires),
        )
    }

    pub(crate) fn file(&self, name: &str, bytes: Vec<u8>) -> &Index {
        self.files.lock().unwrap().insert(name.to_owned(), bytes);
        self
    }
}

fn answer(path: &str, files: &Files) -> (&'static str, &'static str, Vec<u8>) {
    let gone = ("404 Not Found", "text/plain", Vec::new());
    if let Some(name) = path.strip_prefix("/files/") {
        let Some(bytes) = files.get(name) else {
            return gone;
        };
        return ("200 OK", "application/octet-stream", bytes.clone());
    }
    let project = path.trim_start_matches("/simple/").trim_end_matches('/');
    let mut page = "<!DOCTYPE html><html><body>\n".to_owned();
    let mut count = 0;
    for (name, bytes) in files {
        let of = name.split('-').next().unwrap_or_default().replace('_', "-");
        if of.eq_ignore_ascii_case(project) {
            let hash = Sha256::digest(bytes);
            writeln!(
                page,
                "<a href=\"../../files/{name}#sha256={hash:x}\">{name}</a><br>"
            )
            .unwrap();
            count += 1;
        }
    }
    if count == 0 {
        gone
    } else {
        ("200 OK", "text/html", page.into_bytes())
    }
}

/// A wheel of one empty module.
pub(crate) fn wheel(name: &str, version: &str, requires: &[&str]) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    for requirement in requires {
        writeln!(metadata, "Requires-Dist: {requirement}").unwrap();
    }
    zip(&[
        (format!("{name}.py"), String::new()),
        (format!("{info}/METADATA"), metadata),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nTag: py3-none-any\n".into(),
        ),
        (
            format!("{info}/RECORD"),
            format!("{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n"),
        ),
    ])
}

/// A zip of stored entries, as the simplest of tools would write it.
fn zip(files: &[(String, String)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let offset = out.len() as u32;
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let mut common = Vec::new();
        for word in [20u16, 0x800, 0, 0, 0x21] {
            common.extend(word.to_le_bytes());
        }
        for word in [crc.sum(), text.len() as u32, text.len() as u32] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u32).to_le_bytes());
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), text.as_bytes()].concat());
        directory.extend([b"PK\x01\x02\x14\x03", &common[..], &[0; 6]].concat());
        directory.extend((0o100644u32 << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend((files.len() as u16).to_le_bytes());
    }
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}
