//! Files that can be asked for in parts, and be put: what a cache needs besides [`Net::fetch`].
//!
//! Here too nothing that a server says is believed: a part has the bytes that were asked for or is none, and
//! what is put is sent to the URL that was named, never to where an answer leads.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

use reqwest::blocking::{Body, Client, RequestBuilder, Response};
use reqwest::{Url, header};

use super::deliver::{Outcome, judge, remember};
use super::error::{Cause, NetError, shown};
use super::request::{MOST_REDIRECTS, Refused, cause_of, now, read_cause, redirected, text};
use super::{Net, Wanted, retry};

/// What is put.
pub enum Putting<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// All of a file.
    File(&'a File),
}

/// What a server has where a part was asked for.
#[derive(Debug)]
pub enum Part {
    /// The bytes.
    Bytes(Vec<u8>),
    /// The server knows no parts: it would send all of the file.
    OnlyWhole,
}

/// How much of a part comes before somebody sees it, in bytes.
const PIECE: u64 = 256 << 10;

impl Net {
    /// All of the file at `url`, which has at most `limit` bytes.
    pub fn whole<T>(
        &self,
        url: &Url,
        limit: u64,
        take: &mut dyn FnMut(&mut dyn Read) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let name = shown(url);
        let wanted = Wanted::unknown("cache", &name, limit);
        let urls = std::slice::from_ref(url);
        self.deliver(urls, &wanted, take).map(|(value, _)| value)
    }

    /// The bytes `range` of the file at `url`. `grown` sees what came so far each time that more did; after an answer
    /// that was cut, that begins again.
    pub fn part(
        &self,
        url: &Url,
        range: Range<u64>,
        grown: &mut dyn FnMut(&[u8]),
    ) -> Result<Part, NetError> {
        let asked = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        self.asking(url, &mut || {
            let make =
                |client: &Client, at: &Url| client.get(at.clone()).header(header::RANGE, &asked);
            let response = self.answered(url, &make)?;
            if response.status().as_u16() == 200 {
                return Ok(Part::OnlyWhole);
            }
            let said = text(response.headers(), &header::CONTENT_RANGE).unwrap_or_default();
            if !begins_as(&said, &range) {
                return Err(Cause::Broken(format!(
                    "asked for {asked}, it sent `{}`",
                    said.escape_debug()
                ))
                .into());
            }
            Ok(Part::Bytes(self.exactly(
                response,
                range.end - range.start,
                grown,
            )?))
        })
    }

    /// The size of the file at `url`, as the server says it.
    pub fn size(&self, url: &Url) -> Result<u64, NetError> {
        self.asking(url, &mut || {
            let make = |client: &Client, at: &Url| client.head(at.clone());
            let response = self.answered(url, &make)?;
            let length = text(response.headers(), &header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.parse().ok());
            length.ok_or_else(|| {
                Cause::Broken("it does not say how long the file is".to_owned()).into()
            })
        })
    }

    /// Puts a file at `url`, in the place of one that is there.
    pub fn put(&self, url: &Url, putting: &Putting<'_>) -> Result<(), NetError> {
        self.asking(url, &mut || {
            let body = body_of(putting).map_err(|error| Cause::Broken(error.to_string()))?;
            let client = self
                .client()
                .map_err(|error| Cause::Broken(error.to_string()))?;
            let sent = client.put(url.clone()).body(body).send();
            self.accepted(sent.map_err(|error| cause_of(&error, self.settings.timing.idle))?)
        })
    }

    /// Makes a folder on a WebDAV server (RFC 4918, section 9.3). One that is there is as good.
    pub fn make_collection(&self, url: &Url) -> Result<(), NetError> {
        self.asking(url, &mut || {
            let client = self
                .client()
                .map_err(|error| Cause::Broken(error.to_string()))?;
            let method = reqwest::Method::from_bytes(b"MKCOL");
            let method = method.map_err(|error| Cause::Broken(error.to_string()))?;
            let sent = client.request(method, url.clone()).send();
            let response = sent.map_err(|error| cause_of(&error, self.settings.timing.idle))?;
            if response.status().as_u16() == 405 {
                return Ok(());
            }
            self.accepted(response)
        })
    }

    fn accepted(&self, response: Response) -> Result<(), Refused> {
        match response.status().as_u16() {
            200..=204 => Ok(()),
            _ => Err(refused(&response)),
        }
    }

    /// Sends what `make` makes, and follows redirects as far as they are safe.
    fn answered(
        &self,
        url: &Url,
        make: &dyn Fn(&Client, &Url) -> RequestBuilder,
    ) -> Result<Response, Refused> {
        let client = self
            .client()
            .map_err(|error| Cause::Broken(error.to_string()))?;
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            // Identity: the bytes on the wire are the bytes that were hashed.
            let request = make(client, &at).header(header::ACCEPT_ENCODING, "identity");
            let response = request
                .send()
                .map_err(|error| cause_of(&error, self.settings.timing.idle))?;
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => at = redirected(&at, response.headers())?,
                200 | 206 => return Ok(response),
                _ => return Err(refused(&response)),
            }
        }
        Err(Cause::Redirect(format!("more than {MOST_REDIRECTS} of them")).into())
    }

    /// So many bytes, not one less; what comes after them is not read.
    fn exactly(
        &self,
        response: Response,
        count: u64,
        grown: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>, Refused> {
        let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(64 << 20));
        let idle = self.settings.timing.idle;
        let mut body = response.take(count);
        loop {
            let read = body.by_ref().take(PIECE).read_to_end(&mut bytes);
            let read =
                read.map_err(|error| read_cause(&error, idle, bytes.len() as u64, Some(count)))?;
            if bytes.len() as u64 == count {
                return Ok(bytes);
            }
            if read == 0 {
                break;
            }
            grown(&bytes);
        }
        Err(Cause::Cut {
            got: bytes.len() as u64,
            of: Some(count),
            reason: "the connection was closed".to_owned(),
        }
        .into())
    }

    /// Asks one server until it answers, is sure, or all tries are used up.
    fn asking<T>(
        &self,
        url: &Url,
        ask: &mut dyn FnMut() -> Result<T, Refused>,
    ) -> Result<T, NetError> {
        let name = shown(url);
        let wanted = Wanted::unknown("cache", &name, 0);
        if self.settings.offline {
            return Err(NetError::Offline {
                what: wanted.what(),
            });
        }
        let mut failed = Vec::new();
        for round in 1..=self.settings.timing.tries {
            let refused = match ask() {
                Ok(value) => return Ok(value),
                Err(refused) => refused,
            };
            let wait: Option<Duration> = match judge::<T>(refused.cause, refused.wait, false) {
                Outcome::Again(cause, wait) => {
                    let again = self.mark(url, &cause);
                    remember(&mut failed, url, cause);
                    if !again {
                        break;
                    }
                    wait
                }
                Outcome::Final(cause) => {
                    remember(&mut failed, url, cause);
                    break;
                }
                Outcome::Stop(error) => return Err(error),
                Outcome::Came(value) => return Ok(value),
            };
            if round < self.settings.timing.tries {
                std::thread::sleep(self.settings.timing.wait(round, wait));
            }
        }
        self.give_up(&[url]);
        Err(self.verdict(&wanted, failed))
    }
}

fn refused(response: &Response) -> Refused {
    let wait = text(response.headers(), &header::RETRY_AFTER);
    Refused {
        cause: Cause::Status(response.status().as_u16()),
        wait: wait.and_then(|text| retry::retry_after(&text, now())),
    }
}

fn body_of(putting: &Putting<'_>) -> io::Result<Body> {
    match putting {
        Putting::Bytes(bytes) => Ok(Body::from(bytes.to_vec())),
        Putting::File(file) => {
            // A handle of its own begins at the start, whatever was read of the other.
            let again = File::open(format!(
                "/proc/self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(*file)
            ))?;
            let length = again.metadata()?.len();
            Ok(Body::sized(again, length))
        }
    }
}

/// Whether `bytes 5-9/10` is the part that was asked for.
fn begins_as(said: &str, range: &Range<u64>) -> bool {
    let span = said
        .strip_prefix("bytes ")
        .and_then(|rest| rest.split_once('/'));
    let ends = span.and_then(|(span, _)| span.split_once('-'));
    ends.is_some_and(|(first, last)| {
        first.parse() == Ok(range.start) && last.parse() == Ok(range.end.saturating_sub(1))
    })
}
