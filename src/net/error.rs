//! What can go wrong between here and a mirror, told so that somebody can act on it.

use std::fmt;

use miette::Diagnostic;
use reqwest::Url;
use thiserror::Error;

/// Why a file did not come.
#[derive(Debug, Error, Diagnostic)]
pub enum NetError {
    /// Every mirror answered that it has no such file (404 or 410).
    #[error("{what} is gone: no mirror has it any more\n{tries}")]
    #[diagnostic(code(net::gone))]
    Gone {
        /// The file, as `archive: path`.
        what: String,
        /// What each mirror said.
        tries: Tries,
    },
    /// No mirror gave the file, and at least one could not be reached or did not finish.
    #[error("cannot fetch {what}\n{tries}")]
    #[diagnostic(
        code(net::unreachable),
        help("check the network, or name another mirror{}", proxy.as_ref().map(|p| format!("; {p} sets a proxy")).unwrap_or_default())
    )]
    Unreachable {
        /// The file, as `archive: path`.
        what: String,
        /// What each mirror said.
        tries: Tries,
        /// Names of the variables that set a proxy, when one was in use.
        proxy: Option<String>,
    },
    /// A mirror wants credentials, or forbids the file (401, 403, 407).
    #[error("not allowed to fetch {what}\n{tries}")]
    #[diagnostic(
        code(net::forbidden),
        help("put the credentials into the mirror's URL (https://NAME:TOKEN@...), or name another mirror{}", proxy.as_ref().map(|p| format!("; {p} sets a proxy")).unwrap_or_default())
    )]
    Forbidden {
        /// The file, as `archive: path`.
        what: String,
        /// What each mirror said.
        tries: Tries,
        /// Names of the variables that set a proxy, when one was in use.
        proxy: Option<String>,
    },
    /// A mirror answered with other bytes than those that were asked for.
    #[error("{what} is not the file that was locked\n{tries}")]
    #[diagnostic(
        code(net::corrupt),
        help(
            "the mirror serves another file under this name, or something on the way changes it; another mirror may have the right one"
        )
    )]
    Corrupt {
        /// The file, as `archive: path`.
        what: String,
        /// What each mirror said.
        tries: Tries,
    },
    /// `--offline` was given and the file is not here.
    #[error("{what} is not in the store, and --offline forbids to fetch it")]
    #[diagnostic(
        code(net::offline),
        help(
            "run once with the network: without `--offline`, `RECIPE_OFFLINE` and `offline` in the configuration file"
        )
    )]
    Offline {
        /// The file, as `archive: path`.
        what: String,
    },
    /// Nothing on this machine says where the archive is.
    #[error("no mirror of the {archive} archive is configured")]
    #[diagnostic(code(net::no_mirror), help("name one: {}", setting_of(archive)))]
    NoMirror {
        /// `debian`, `debian-security`, `python`.
        archive: String,
    },
    /// A setting that cannot be used.
    #[error("{setting} is \"{value}\": {reason}")]
    #[diagnostic(
        code(net::setting),
        help("set it right, or leave it out; the book lists every setting under \"Settings\"")
    )]
    Setting {
        /// Which flag, variable, or file and line.
        setting: String,
        /// What it says, without credentials.
        value: String,
        /// Why that does not work.
        reason: String,
    },
    /// The store refused what was fetched (full disk, ...).
    #[error("cannot store {what}")]
    #[diagnostic(code(net::store))]
    Store {
        /// The file, as `archive: path`.
        what: String,
        /// What the store said.
        #[source]
        cause: recipe_store::StoreError,
    },
    /// The client itself could not be made.
    #[error("cannot set up the HTTP client: {reason}")]
    #[diagnostic(
        code(net::client),
        help("check the certificates and proxies that are set; `recipe doctor` asks every mirror")
    )]
    Client {
        /// Why.
        reason: String,
    },
}

impl NetError {
    /// Whether every mirror said that the file does not exist: what `lock "follow"` reacts to.
    pub fn is_gone(&self) -> bool {
        matches!(self, NetError::Gone { .. })
    }

    /// Whether a server misses the folder that something was to be put in (409).
    pub fn is_conflict(&self) -> bool {
        let NetError::Unreachable { tries, .. } = self else {
            return false;
        };
        tries.0.iter().any(|one| one.cause == Cause::Status(409))
    }

    /// Whether a mirror answered with other bytes than those that were locked.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, NetError::Corrupt { .. })
    }
}

/// What to set where an archive has no mirror: one setting, as a flag and as a variable.
fn setting_of(archive: &str) -> String {
    let setting = |flag: &str| {
        let variable = flag.to_uppercase().replace('-', "_");
        format!("add `--{flag} URL` to the command, or set RECIPE_{variable}=URL")
    };
    match archive {
        "python" => setting("python-index"),
        "debian" => setting("debian-mirror"),
        _ => format!(
            "{}; the security archive is looked for beside it (`--debian-security-mirror URL` names another)",
            setting("debian-mirror")
        ),
    }
}

/// What was tried, one line each.
#[derive(Debug, Clone, Default)]
pub struct Tries(pub Vec<Try>);

/// One URL and how it failed.
#[derive(Debug, Clone)]
pub struct Try {
    /// The URL, without user information and query.
    pub url: String,
    /// What went wrong there.
    pub cause: Cause,
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Try { url, cause }) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}  {url}: {cause}")?;
        }
        Ok(())
    }
}

/// How one URL failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An HTTP status that is no success.
    Status(u16),
    /// No such file under a `file:` mirror.
    NoFile,
    /// No connection: refused, no such host, no route.
    Connect(String),
    /// The server's certificate, or the TLS handshake, is not acceptable. Not tried again.
    Tls(String),
    /// Nothing came for this many seconds.
    Silent(u64),
    /// Fewer bytes than the minimum rate allows.
    Slow {
        /// Bytes that came.
        bytes: u64,
        /// In this many seconds.
        seconds: u64,
    },
    /// The connection ended early.
    Cut {
        /// Bytes that came.
        got: u64,
        /// Bytes that were to come, where known.
        of: Option<u64>,
        /// What ended it.
        reason: String,
    },
    /// A redirect that is not followed.
    Redirect(String),
    /// Not the bytes that were asked for.
    Mismatch(Box<Mismatch>),
    /// More bytes than allowed.
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// The answer is coded (gzip, ...) although plain bytes were asked for, and no hash can tell what is meant.
    Coded(String),
    /// Anything else: a broken answer, an unreadable file.
    Broken(String),
}

/// Bytes that are not the expected ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The expected sha256, hex; empty when only the size is known.
    pub expected: String,
    /// The sha256 that was found, hex.
    pub got: String,
    /// The expected size, where known.
    pub expected_size: Option<u64>,
    /// Bytes that came.
    pub got_size: u64,
    /// `Content-Type` of the answer.
    pub content_type: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Status(407) => f.write_str("HTTP status 407, the proxy wants credentials"),
            Cause::Status(status) => write!(f, "HTTP status {status}{}", meaning(*status)),
            Cause::NoFile => f.write_str("no such file"),
            Cause::Connect(reason) => write!(f, "no connection: {reason}"),
            Cause::Tls(reason) => write!(f, "TLS: {reason}"),
            Cause::Silent(seconds) => write!(f, "no answer for {seconds} s"),
            Cause::Slow { bytes, seconds } => write!(f, "only {bytes} bytes in {seconds} s"),
            Cause::Cut {
                got,
                of: Some(of),
                reason,
            } => {
                write!(f, "ended after {got} of {of} bytes: {reason}")
            }
            Cause::Cut {
                got,
                of: None,
                reason,
            } => write!(f, "ended after {got} bytes: {reason}"),
            Cause::Redirect(reason) => write!(f, "redirect not followed: {reason}"),
            Cause::Mismatch(mismatch) => mismatch.fmt(f),
            Cause::TooLong { limit } => write!(f, "longer than the {limit} bytes that are allowed"),
            Cause::Coded(coding) => write!(
                f,
                "answers in Content-Encoding {coding}, which was not asked for"
            ),
            Cause::Broken(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self
            .expected_size
            .map(|size| format!(", {size} bytes"))
            .unwrap_or_default();
        let kind = self.content_type.as_deref().unwrap_or("none");
        write!(
            f,
            "expected sha256 {}{size}; got {}, {} bytes, content type {kind}",
            self.expected, self.got, self.got_size
        )
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => ", wants credentials",
        403 => ", forbidden",
        404 => ", not found",
        410 => ", removed",
        429 => ", asked too often",
        500..=599 => ", trouble on the server",
        _ => "",
    }
}

/// A URL for people and logs: no user, no password, and no query, which may hold a token.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both only fail for URLs that cannot hold a user at all.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.set_fragment(None);
    url.to_string()
}
