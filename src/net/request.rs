//! One request with its redirects → the answer's headers, and a reader of its body.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::blocking::{Client, Response};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{NoProxy, Proxy, Url, redirect::Policy};

use super::error::{Cause, NetError};
use super::settings::Settings;
use super::{Net, redirect, retry};

pub(super) const MOST_REDIRECTS: usize = 10;

/// An answer whose status is a success.
pub(super) struct Answer {
    /// Where it came from, after redirects.
    pub(super) url: Url,
    /// 200 or 206.
    pub(super) status: u16,
    /// `Content-Length`, where sent.
    pub(super) length: Option<u64>,
    /// `Content-Type`, where sent.
    pub(super) content_type: Option<String>,
    /// `Content-Encoding` other than identity.
    pub(super) coding: Option<String>,
    /// `Content-Range`, where sent.
    pub(super) range: Option<String>,
    /// A strong `ETag`, else `Last-Modified`: what `If-Range` needs.
    pub(super) validator: Option<String>,
    /// The bytes.
    pub(super) body: Box<dyn Read + Send>,
}

/// What a question to a server says besides its URL.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent<'a> {
    /// Headers besides those that every request has.
    pub(super) headers: &'a [(HeaderName, &'a str)],
    /// What is posted; without, it is a GET.
    pub(super) posted: Option<&'a Posted<'a>>,
}

/// What is posted to a server, which answers that.
pub struct Posted<'a> {
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Accept`.
    pub accept: &'a str,
    /// Headers besides, by their names in lower case.
    pub headers: &'a [(&'static str, &'a str)],
    /// The bytes.
    pub body: Vec<u8>,
}

/// A refusal, and how long the server wants to be left alone.
pub(super) struct Refused {
    pub(super) cause: Cause,
    pub(super) wait: Option<Duration>,
}

impl From<Cause> for Refused {
    fn from(cause: Cause) -> Self {
        Refused { cause, wait: None }
    }
}

impl Net {
    /// Asks `url`, for what it has from byte `start` on.
    pub(super) fn request(&self, url: &Url, start: u64, sent: Sent<'_>) -> Result<Answer, Refused> {
        if url.scheme() == "file" && sent.posted.is_none() {
            return Ok(open_file(url, start)?);
        }
        let client = self
            .client()
            .map_err(|reason| Cause::Broken(reason.to_string()))?;
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            // Identity: the bytes on the wire are the bytes that were hashed.
            let mut request = match sent.posted {
                None => client.get(at.clone()),
                Some(posted) => {
                    let request = client
                        .post(at.clone())
                        .header(header::CONTENT_TYPE, posted.content_type)
                        .header(header::ACCEPT, posted.accept)
                        .body(posted.body.clone());
                    let more = posted.headers.iter();
                    more.fold(request, |request, (name, value)| {
                        request.header(*name, *value)
                    })
                }
            };
            request = request.header(header::ACCEPT_ENCODING, "identity");
            if start > 0 {
                request = request.header(header::RANGE, format!("bytes={start}-"));
            }
            for (name, value) in sent.headers {
                request = request.header(name, *value);
            }
            let response = request
                .send()
                .map_err(|error| cause_of(&error, self.settings.timing.idle))?;
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => at = redirected(&at, response.headers())?,
                200 | 206 => return Ok(answer(at, response)),
                status => {
                    let wait = text(response.headers(), &header::RETRY_AFTER);
                    let wait = wait.and_then(|text| retry::retry_after(&text, now()));
                    return Err(Refused {
                        cause: Cause::Status(status),
                        wait,
                    });
                }
            }
        }
        Err(Cause::Redirect(format!("more than {MOST_REDIRECTS} of them")).into())
    }

    pub(super) fn client(&self) -> Result<&Client, NetError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = new_client(&self.settings)?;
        // Only who uses the network wants to know which of the machine's settings are not used.
        for note in &self.settings.notes {
            self.note_once(note.clone());
        }
        Ok(self.client.get_or_init(|| client))
    }
}

fn new_client(settings: &Settings) -> Result<Client, NetError> {
    // Fails only when somebody installed a provider before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("recipe/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(settings.timing.connect)
        // In the blocking client this bounds the wait for the headers and each single read, not the whole.
        .timeout(settings.timing.idle)
        .tcp_nodelay(true)
        .no_proxy();
    for proxy in proxies(settings)? {
        builder = builder.proxy(proxy);
    }
    if let Some(path) = &settings.authorities {
        let bad = |reason: String| NetError::Setting {
            setting: "the file of certificate authorities".into(),
            value: path.to_string(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|reason| bad(reason.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|reason| bad(reason.to_string()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| NetError::Client {
        reason: chain(&error),
    })
}

fn proxies(settings: &Settings) -> Result<Vec<Proxy>, NetError> {
    let said = &settings.proxies;
    let mut directly = said.none.iter().flat_map(|none| none.split(','));
    // The client takes it for any name, but not for an address.
    if directly.any(|host| host.trim() == "*") {
        return Ok(Vec::new());
    }
    let none = said.none.as_deref().and_then(NoProxy::from_string);
    let mut proxies = Vec::new();
    for (url, is_tls) in [(&said.http, false), (&said.https, true)] {
        let Some(url) = url.as_deref() else { continue };
        let made = if is_tls {
            Proxy::https(url)
        } else {
            Proxy::http(url)
        };
        let proxy = made.map_err(|error| NetError::Setting {
            setting: said.variables.join(", "),
            value: url
                .parse()
                .map_or_else(|_| "(not a URL)".into(), |url| super::shown(&url)),
            reason: chain(&error),
        })?;
        proxies.push(proxy.no_proxy(none.clone()));
    }
    Ok(proxies)
}

pub(super) fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url, Cause> {
    let location = text(headers, &header::LOCATION).ok_or_else(|| {
        Cause::Redirect("it says not where to, or not in plain characters".into())
    })?;
    redirect::next(from, &location).map_err(Cause::Redirect)
}

fn answer(url: Url, response: Response) -> Answer {
    let headers = response.headers();
    let strong = text(headers, &header::ETAG).filter(|tag| !tag.starts_with("W/"));
    let coding = text(headers, &header::CONTENT_ENCODING)
        .filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    Answer {
        status: response.status().as_u16(),
        length: text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        content_type: text(headers, &header::CONTENT_TYPE),
        coding,
        range: text(headers, &header::CONTENT_RANGE),
        validator: strong.or_else(|| text(headers, &header::LAST_MODIFIED)),
        url,
        body: Box::new(response),
    }
}

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn open_file(url: &Url, start: u64) -> Result<Answer, Cause> {
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Cause::NoFile,
        _ => Cause::Broken(error.to_string()),
    };
    let path = url
        .to_file_path()
        .map_err(|()| Cause::Broken("not a path on this machine".into()))?;
    let data = std::fs::metadata(&path).map_err(broken)?;
    if !data.is_file() {
        // A FIFO or device would block or never end.
        return Err(Cause::Broken("not a regular file".into()));
    }
    let mut file = File::open(&path).map_err(broken)?;
    file.seek(SeekFrom::Start(start)).map_err(broken)?;
    Ok(Answer {
        url: url.clone(),
        status: if start > 0 { 206 } else { 200 },
        length: Some(data.len().saturating_sub(start)),
        content_type: None,
        coding: None,
        range: Some(format!(
            "bytes {start}-{}/{}",
            data.len().saturating_sub(1),
            data.len()
        )),
        validator: None,
        body: Box::new(file),
    })
}

/// What kind of failure a client's error is.
pub(super) fn cause_of(error: &reqwest::Error, idle: Duration) -> Cause {
    let reason = chain(error);
    if is_tls(error) {
        Cause::Tls(reason)
    } else if error.is_connect() {
        Cause::Connect(reason)
    } else if error.is_timeout() {
        Cause::Silent(idle.as_secs())
    } else {
        Cause::Cut {
            got: 0,
            of: None,
            reason,
        }
    }
}

/// What kind of failure an error while reading a body is.
pub(super) fn read_cause(error: &io::Error, idle: Duration, got: u64, of: Option<u64>) -> Cause {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    if inner.is_some_and(reqwest::Error::is_timeout) || error.kind() == io::ErrorKind::TimedOut {
        return Cause::Silent(idle.as_secs());
    }
    let reason = inner.map_or_else(|| error.to_string(), |inner| chain(inner));
    Cause::Cut { got, of, reason }
}

/// Whether a TLS error lies anywhere below; an `io::Error` hides what it was made of from `source`.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_tls(inside))
        || error.source().is_some_and(is_tls)
}

/// The last and most exact cause of an error; reqwest's own text repeats the URL, with its user.
fn chain(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    if std::ptr::eq(last, error) {
        "the answer could not be read".into()
    } else {
        last.to_string()
    }
}

/// Seconds since 1970 by this machine's clock.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
