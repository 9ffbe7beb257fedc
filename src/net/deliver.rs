//! Mirrors in order, rounds of tries, and what all of them failing means.

use std::io::Read;
use std::sync::PoisonError;
use std::time::Duration;

use reqwest::Url;

use super::body::Body;
use super::error::{Cause, NetError, Tries, Try, shown};
use super::request::{Posted, Sent};
use super::{Net, Page, Wanted};

/// What one try says about the next.
pub(super) enum Outcome<T> {
    Came(T),
    /// Our side failed (a full disk): no other mirror changes that.
    Stop(NetError),
    /// This mirror will not change its mind.
    Final(Cause),
    /// Worth another try.
    Again(Cause, Option<Duration>),
}

/// Takes one whole answer: where it came from and its content type, then its bytes.
type Take<'t, T> = &'t mut dyn FnMut(Origin, &mut dyn Read) -> Result<T, NetError>;

/// The URL after redirects, and the `Content-Type`.
type Origin = (Url, Option<String>);

impl Net {
    /// Gives the bytes of the first URL that has them to `take`, and tells which URL that was. `take` is called again when a download must start again.
    pub(super) fn deliver<T>(
        &self,
        urls: &[Url],
        wanted: &Wanted<'_>,
        take: &mut dyn FnMut(&mut dyn Read) -> Result<T, NetError>,
    ) -> Result<(T, Url), NetError> {
        let result = self.rounds(urls, wanted, Sent::default(), &mut |_, body| take(body));
        self.watch.finished(wanted.path);
        result
    }

    /// An index page: the first URL that answers. `accept` is the `Accept` header.
    pub fn page(&self, url: &Url, accept: &str, limit: u64) -> Result<Page, NetError> {
        let name = shown(url);
        let wanted = Wanted::unknown("page", &name, limit);
        let headers = [(reqwest::header::ACCEPT, accept)];
        let page = self.rounds(
            std::slice::from_ref(url),
            &wanted,
            Sent {
                headers: &headers,
                posted: None,
            },
            &mut |(url, kind), body| {
                let mut bytes = Vec::new();
                match body.read_to_end(&mut bytes) {
                    Ok(_) => Ok(Page {
                        url,
                        content_type: kind.unwrap_or_default(),
                        bytes,
                    }),
                    Err(reason) => Err(NetError::Client {
                        reason: reason.to_string(),
                    }),
                }
            },
        );
        self.watch.finished(&name);
        page.map(|(page, _)| page)
    }

    /// What a server answers to what is posted to it, whole.
    pub fn post(&self, url: &Url, posted: &Posted<'_>, limit: u64) -> Result<Vec<u8>, NetError> {
        let name = shown(url);
        let wanted = Wanted::unknown("git", &name, limit);
        let sent = Sent {
            headers: &[],
            posted: Some(posted),
        };
        let urls = std::slice::from_ref(url);
        let answer = self.rounds(urls, &wanted, sent, &mut |_, body| {
            let mut bytes = Vec::new();
            match body.read_to_end(&mut bytes) {
                Ok(_) => Ok(bytes),
                Err(reason) => Err(NetError::Client {
                    reason: reason.to_string(),
                }),
            }
        });
        self.watch.finished(&name);
        answer.map(|(bytes, _)| bytes)
    }

    fn rounds<T>(
        &self,
        urls: &[Url],
        wanted: &Wanted<'_>,
        sent: Sent<'_>,
        take: Take<'_, T>,
    ) -> Result<(T, Url), NetError> {
        let mut left: Vec<&Url> = urls.iter().collect();
        if self.settings.offline {
            left.retain(|url| url.scheme() == "file");
            if left.is_empty() {
                return Err(NetError::Offline {
                    what: wanted.what(),
                });
            }
        }
        let mut failed: Vec<Try> = Vec::new();
        for round in 1..=self.settings.timing.tries {
            // Mirrors that did not answer before come last; the order is otherwise the configured one.
            left.sort_by_key(|url| self.is_dead(url).is_some());
            let mut wait: Option<Duration> = None;
            let mut next = Vec::new();
            for url in left {
                match self.once(url, wanted, sent, take) {
                    Outcome::Came(value) => return Ok((value, url.clone())),
                    Outcome::Stop(error) => return Err(error),
                    Outcome::Final(cause) => remember(&mut failed, url, cause),
                    Outcome::Again(cause, asked) => {
                        if self.mark(url, &cause) {
                            next.push(url);
                        }
                        wait = if wait.is_none() {
                            asked
                        } else {
                            wait.min(asked)
                        };
                        remember(&mut failed, url, cause);
                    }
                }
            }
            left = next;
            if left.is_empty() || round == self.settings.timing.tries {
                break;
            }
            let pause = self.settings.timing.wait(round, wait);
            if let (Some(asked), [url, ..]) = (wait, &left[..]) {
                let (host, seconds) = (
                    url.host_str().unwrap_or_default(),
                    asked.min(self.settings.timing.longest_wait).as_secs(),
                );
                self.note_once(format!("{host} asks to wait {seconds} s"));
            }
            std::thread::sleep(pause);
        }
        self.give_up(&left);
        Err(self.verdict(wanted, failed))
    }

    fn once<T>(
        &self,
        url: &Url,
        wanted: &Wanted<'_>,
        sent: Sent<'_>,
        take: Take<'_, T>,
    ) -> Outcome<T> {
        let answer = match self.request(url, 0, sent) {
            Ok(answer) => answer,
            Err(refused) => return judge(refused.cause, refused.wait, false),
        };
        let origin = (answer.url.clone(), answer.content_type.clone());
        let mut body = match Body::new(self, url, wanted, answer) {
            Ok(body) => body,
            Err(cause) => return judge(cause, None, false),
        };
        let taken = take(origin, &mut body);
        match (taken, body.failure.take()) {
            (_, Some(cause)) => judge(cause, None, body.was_resumed()),
            (Ok(value), None) if body.is_finished() || drained(&mut body) => Outcome::Came(value),
            (Ok(_), None) => judge(
                body.failure.take().unwrap_or(Cause::TooLong {
                    limit: wanted.limit,
                }),
                None,
                body.was_resumed(),
            ),
            (Err(error), None) => Outcome::Stop(error),
        }
    }

    /// Whether this origin did not answer before, and if all tries there were used up.
    pub(super) fn is_dead(&self, url: &Url) -> Option<bool> {
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.get(&url.origin().ascii_serialization()).copied()
    }

    /// Remembers a mirror that gives no connection. False: it had its chances with an earlier file.
    pub(super) fn mark(&self, url: &Url, cause: &Cause) -> bool {
        if !matches!(cause, Cause::Connect(_) | Cause::Silent(_)) {
            return true;
        }
        let origin = url.origin().ascii_serialization();
        let hopeless = {
            let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
            *dead.entry(origin.clone()).or_insert(false)
        };
        self.note_once(format!("{origin} does not answer"));
        !hopeless
    }

    pub(super) fn give_up(&self, urls: &[&Url]) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        for url in urls {
            if let Some(hopeless) = dead.get_mut(&url.origin().ascii_serialization()) {
                *hopeless = true;
            }
        }
    }

    /// Wrong bytes are worse than forbidden ones, and those worse than none: the gravest cause names the error.
    pub(super) fn verdict(&self, wanted: &Wanted<'_>, failed: Vec<Try>) -> NetError {
        let any = |test: fn(&Cause) -> bool| failed.iter().any(|attempt| test(&attempt.cause));
        let all = |test: fn(&Cause) -> bool| failed.iter().all(|attempt| test(&attempt.cause));
        let what = wanted.what();
        let proxy = (!self.settings.proxies.variables.is_empty())
            .then(|| self.settings.proxies.variables.join(", "));
        let (corrupt, forbidden, gone) = (any(is_corrupt), any(is_forbidden), all(is_gone));
        let tries = Tries(failed);
        if corrupt {
            NetError::Corrupt { what, tries }
        } else if forbidden {
            NetError::Forbidden { what, tries, proxy }
        } else if gone {
            NetError::Gone { what, tries }
        } else {
            NetError::Unreachable { what, tries, proxy }
        }
    }
}

fn is_corrupt(cause: &Cause) -> bool {
    matches!(cause, Cause::Mismatch(_))
}

fn is_forbidden(cause: &Cause) -> bool {
    matches!(cause, Cause::Status(401 | 403 | 407))
}

fn is_gone(cause: &Cause) -> bool {
    matches!(cause, Cause::Status(404 | 410) | Cause::NoFile)
}

/// Keeps the newest cause of each URL.
pub(super) fn remember(failed: &mut Vec<Try>, url: &Url, cause: Cause) {
    let url = shown(url);
    match failed.iter_mut().find(|attempt| attempt.url == url) {
        Some(attempt) => attempt.cause = cause,
        None => failed.push(Try { url, cause }),
    }
}

/// A reader may stop at the last byte and never ask for the end.
fn drained(body: &mut Body<'_>) -> bool {
    matches!(body.read(&mut [0u8; 1]), Ok(0))
}

pub(super) fn judge<T>(cause: Cause, wait: Option<Duration>, resumed: bool) -> Outcome<T> {
    match cause {
        Cause::Status(408 | 425 | 429 | 500..=599)
        | Cause::Connect(_)
        | Cause::Silent(_)
        | Cause::Slow { .. }
        | Cause::Cut { .. } => Outcome::Again(cause, wait),
        // Two answers were joined: the file itself may be right.
        Cause::Mismatch(_) if resumed => Outcome::Again(cause, wait),
        _ => Outcome::Final(cause),
    }
}
