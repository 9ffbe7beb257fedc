//! A commit's name → the pack that has it, from a server. Begin at [`ask`].

use reqwest::Url;

use super::{GitError, MOST, ObjectName};
use crate::net::{Net, Posted, shown};

/// Asks for `commit` without its parents.
pub(super) fn ask(net: &Net, url: &Url, commit: ObjectName) -> Result<Vec<u8>, GitError> {
    let mut service = url.clone();
    let path = format!("{}/git-upload-pack", url.path().trim_end_matches('/'));
    service.set_path(&path);
    let posted = Posted {
        content_type: "application/x-git-upload-pack-request",
        accept: "application/x-git-upload-pack-result",
        headers: &[("git-protocol", "version=2")],
        body: request(commit),
    };
    let answer = net.post(&service, &posted, MOST)?;
    read(&answer).map_err(|wrong| match wrong {
        Wrong::Said(said) => GitError::Refused {
            url: shown(url),
            commit,
            said,
        },
        Wrong::Shape(what) => GitError::Protocol {
            url: shown(url),
            what,
        },
    })
}

pub(super) fn request(commit: ObjectName) -> Vec<u8> {
    let mut request = Vec::new();
    line(&mut request, "command=fetch\n");
    request.extend_from_slice(b"0001");
    line(&mut request, "no-progress\n");
    line(&mut request, "ofs-delta\n");
    line(&mut request, "deepen 1\n");
    line(&mut request, &format!("want {commit}\n"));
    line(&mut request, "done\n");
    request.extend_from_slice(b"0000");
    request
}

fn line(request: &mut Vec<u8>, text: &str) {
    request.extend(format!("{:04x}{text}", text.len() + 4).into_bytes());
}

/// What is wrong with an answer.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The server says so.
    Said(String),
    /// It makes no sense.
    Shape(String),
}

/// The pack in an answer: sections of lines, of which the last, `packfile`, carries it in pieces.
pub(super) fn read(answer: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut lines = Lines(answer);
    loop {
        match lines.next()? {
            Line::Text(b"packfile\n" | b"packfile") => break,
            Line::Text(text) => {
                if let Some(said) = text.strip_prefix(b"ERR ") {
                    return Err(Wrong::Said(printable(said)));
                }
            }
            Line::Delimiter => {}
            Line::End => return Err(Wrong::Shape("it sent no pack".to_owned())),
        }
    }
    let mut pack = Vec::new();
    loop {
        match lines.next()? {
            Line::Text([1, piece @ ..]) => pack.extend_from_slice(piece),
            Line::Text([2, ..]) => {}
            Line::Text([3, said @ ..]) => return Err(Wrong::Said(printable(said))),
            Line::End => return Ok(pack),
            Line::Text(_) | Line::Delimiter => {
                return Err(Wrong::Shape(
                    "a piece of its pack is of no known kind".to_owned(),
                ));
            }
        }
    }
}

/// A few words of a stranger.
fn printable(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(300)]);
    let text = text.trim();
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

enum Line<'a> {
    Text(&'a [u8]),
    /// Between two sections.
    Delimiter,
    /// After the last.
    End,
}

struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Line<'a>, Wrong> {
        let short = || Wrong::Shape("its answer ends too early".to_owned());
        let (head, rest) = self.0.split_at_checked(4).ok_or_else(short)?;
        let length = std::str::from_utf8(head)
            .ok()
            .filter(|head| head.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|head| usize::from_str_radix(head, 16).ok());
        let Some(length) = length else {
            return Err(Wrong::Shape(format!(
                "its answer begins a line with {:?}",
                printable(head)
            )));
        };
        self.0 = rest;
        match length {
            0 => Ok(Line::End),
            1 => Ok(Line::Delimiter),
            // The end of a whole answer, which is not ours to wait for.
            2 => Ok(Line::End),
            3 => Err(Wrong::Shape(
                "a line of its answer has no length".to_owned(),
            )),
            length => {
                let (text, rest) = rest.split_at_checked(length - 4).ok_or_else(short)?;
                self.0 = rest;
                Ok(Line::Text(text))
            }
        }
    }
}
