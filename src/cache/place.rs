//! Where a cache lies → its files, by name. Begin at [`Place::of`].
//!
//! A cache is a folder, a folder of a web server (GET, HEAD, Range; PUT for who pushes), or a prefix in a bucket
//! of an S3 server. Nothing else is asked of a server: no list, no condition, no lock, nothing that is
//! removed. Credentials are those that were given for this place, and go nowhere else.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use reqwest::Url;

use super::bundle::Bundle;
use super::error::CacheError;
use super::s3::Signer;
use crate::net::{Net, NetError, Part, Putting, shown};

/// What is said of a place besides its URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `NAME:SECRET`, where the place wants it.
    pub credentials: Option<String>,
    /// The server of an `s3:` URL.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
}

/// Where a cache lies.
pub struct Place {
    /// For messages, without secrets.
    name: String,
    kind: Kind,
}

enum Kind {
    Folder(Utf8PathBuf),
    Bundle(Arc<Bundle>),
    Web(Web),
}

/// A folder of a web server.
struct Web {
    base: Url,
    signer: Option<Signer>,
    net: Arc<Net>,
    /// Whether the folders of the layout were made, on a server that makes none by itself.
    made: AtomicBool,
}

/// What is put: bytes, or a file that is read from its start.
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// All of a file.
    File(&'a File),
}

impl Place {
    /// The place that `text` names: a path, or a URL of `file:`, `http:`, `https:` or `s3:`.
    pub fn of(text: &str, about: &About, net: Arc<Net>) -> Result<Place, CacheError> {
        let told = |why: &str| CacheError::Setting {
            cache: without_secret(text),
            why: why.to_owned(),
        };
        let url = match text.parse::<Url>() {
            Ok(url) => url,
            Err(_) if text.is_empty() || text.contains("://") => {
                return Err(told("it is neither a path nor a URL"));
            }
            Err(_) => return Ok(Place::folder(Utf8PathBuf::from(text))),
        };
        let credentials = about.credentials.as_deref().map(|text| {
            text.split_once(':')
                .ok_or_else(|| told("its credentials are not of the form NAME:SECRET"))
        });
        let credentials = credentials.transpose()?;
        let (base, signer) = match url.scheme() {
            "file" => {
                let path = url.to_file_path().ok();
                let path = path.and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
                let path = path.ok_or_else(|| told("it is no path of this machine"))?;
                return Ok(Place::folder(path));
            }
            "http" | "https" => {
                let mut base = url;
                if let Some((name, secret)) = credentials {
                    // What is set is taken for a URL's text, where `%` begins a number.
                    let (name, secret) = (name.replace('%', "%25"), secret.replace('%', "%25"));
                    let set = base
                        .set_username(&name)
                        .and_then(|()| base.set_password(Some(&secret)));
                    set.map_err(|()| told("credentials cannot be given for it"))?;
                }
                (base, None)
            }
            "s3" => {
                let endpoint = about.endpoint.as_deref();
                let endpoint = endpoint
                    .ok_or_else(|| told("its server is not said: endpoint=\"https://…\""))?;
                let base: Url = endpoint
                    .parse()
                    .map_err(|_| told("its endpoint is no URL"))?;
                if !matches!(base.scheme(), "http" | "https") {
                    return Err(told("its endpoint is no URL of http: or https:"));
                }
                let bucket = url.host_str().unwrap_or_default();
                let parts = std::iter::once(bucket).chain(url.path().split('/'));
                let base = below(&base, parts);
                let signer = credentials.map(|(id, secret)| Signer {
                    id: id.to_owned(),
                    secret: secret.to_owned(),
                    region: about
                        .region
                        .clone()
                        .unwrap_or_else(|| "us-east-1".to_owned()),
                });
                (base, signer)
            }
            _ => return Err(told("it is not of file:, http:, https: or s3:")),
        };
        Ok(Place {
            name: without_secret(text),
            kind: Kind::Web(Web {
                base,
                signer,
                net,
                made: AtomicBool::new(false),
            }),
        })
    }

    /// The cache in a bundle, which can only be read.
    pub fn in_bundle(bundle: &Arc<Bundle>) -> Place {
        Place {
            name: "the bundle".to_owned(),
            kind: Kind::Bundle(bundle.clone()),
        }
    }

    /// The cache in a folder.
    pub fn folder(path: Utf8PathBuf) -> Place {
        Place {
            name: path.to_string(),
            kind: Kind::Folder(path),
        }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many parts are worth asking for at once: a disk answers at once, a server after a while.
    pub fn at_once(&self) -> usize {
        match self.kind {
            Kind::Folder(_) | Kind::Bundle(_) => 1,
            Kind::Web(_) => 8,
        }
    }

    /// A whole file of at most `limit` bytes.
    pub fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>, CacheError> {
        match &self.kind {
            Kind::Folder(folder) => {
                let file = self.open(folder, name)?;
                let mut bytes = Vec::new();
                let read = file.take(limit + 1).read_to_end(&mut bytes);
                read.map_err(|error| self.unreadable(name, error))?;
                if bytes.len() as u64 > limit {
                    return Err(self.damaged(name, &format!("it has more than {limit} bytes")));
                }
                Ok(bytes)
            }
            Kind::Bundle(bundle) => {
                let got = bundle.get(&member(name), limit);
                let got = got.map_err(|error| self.damaged(name, &error.to_string()))?;
                got.ok_or_else(|| self.gone(name))
            }
            Kind::Web(web) => {
                let url = web.url("GET", name);
                let mut take = |body: &mut dyn io::Read| {
                    let mut bytes = Vec::new();
                    match body.read_to_end(&mut bytes) {
                        Ok(_) => Ok(bytes),
                        Err(error) => Err(NetError::Client {
                            reason: error.to_string(),
                        }),
                    }
                };
                let got = web.net.whole(&url, limit, &mut take);
                got.map_err(|error| CacheError::of_net(&self.name, name, error))
            }
        }
    }

    /// The bytes `range` of a file; nothing where the server knows no parts. `grown` sees what came so far, where
    /// more is waited for.
    pub fn part(
        &self,
        name: &str,
        range: Range<u64>,
        grown: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Vec<u8>>, CacheError> {
        match &self.kind {
            Kind::Folder(folder) => {
                let file = self.open(folder, name)?;
                let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let mut bytes = vec![0; count];
                match file.read_exact_at(&mut bytes, range.start) {
                    Ok(()) => Ok(Some(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        Err(self.damaged(name, "it ends too early"))
                    }
                    Err(error) => Err(self.unreadable(name, error)),
                }
            }
            Kind::Bundle(bundle) => {
                let got = bundle.part(&member(name), range.start, range.end - range.start);
                let got = got.map_err(|error| self.damaged(name, &error.to_string()))?;
                got.map(Some).ok_or_else(|| self.gone(name))
            }
            Kind::Web(web) => match web.net.part(&web.url("GET", name), range, grown) {
                Ok(Part::Bytes(bytes)) => Ok(Some(bytes)),
                Ok(Part::OnlyWhole) => Ok(None),
                Err(error) => Err(CacheError::of_net(&self.name, name, error)),
            },
        }
    }

    /// A whole file into another one, for servers that know no parts.
    pub fn copy(&self, name: &str, limit: u64, to: &mut File) -> Result<(), CacheError> {
        let web = match &self.kind {
            Kind::Web(web) => web,
            // It knows parts.
            Kind::Bundle(_) => return Err(self.gone(name)),
            Kind::Folder(folder) => {
                let mut from = self.open(folder, name)?;
                let copied = io::copy(&mut from, to);
                return copied
                    .map(drop)
                    .map_err(|error| self.unreadable(name, error));
            }
        };
        let mut take = |body: &mut dyn io::Read| {
            let copied = rewind(to).and_then(|()| io::copy(body, to));
            copied.map(drop).map_err(|error| NetError::Client {
                reason: error.to_string(),
            })
        };
        let got = web.net.whole(&web.url("GET", name), limit, &mut take);
        got.map_err(|error| CacheError::of_net(&self.name, name, error))
    }

    /// The size of a file; nothing where there is none.
    pub fn size(&self, name: &str) -> Result<Option<u64>, CacheError> {
        let size = match &self.kind {
            Kind::Folder(folder) => self.open(folder, name).and_then(|file| {
                let facts = file.metadata();
                facts
                    .map(|facts| facts.len())
                    .map_err(|error| self.unreadable(name, error))
            }),
            Kind::Bundle(bundle) => return Ok(bundle.size(&member(name))),
            Kind::Web(web) => {
                let size = web.net.size(&web.url("HEAD", name));
                size.map_err(|error| CacheError::of_net(&self.name, name, error))
            }
        };
        match size {
            Ok(size) => Ok(Some(size)),
            Err(CacheError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file, in the place of one that is there. Who looks meanwhile finds the old one, the new one, or none.
    pub fn put(&self, name: &str, content: &Content<'_>) -> Result<(), CacheError> {
        match &self.kind {
            Kind::Folder(folder) => put_in(folder, name, content),
            Kind::Bundle(_) => Err(self.unreadable(name, io::ErrorKind::ReadOnlyFilesystem.into())),
            Kind::Web(web) => {
                let putting = match content {
                    Content::Bytes(bytes) => Putting::Bytes(bytes),
                    Content::File(file) => Putting::File(file),
                };
                let done = web.put(name, &putting);
                done.map_err(|error| CacheError::of_net(&self.name, name, error))
            }
        }
    }

    fn open(&self, folder: &Utf8Path, name: &str) -> Result<File, CacheError> {
        let path = folder.join(name);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Err(self.gone(name))
            }
            Err(error) => Err(self.unreadable(name, error)),
        }
    }

    fn gone(&self, name: &str) -> CacheError {
        CacheError::Gone {
            cache: self.name.clone(),
            name: name.to_owned(),
        }
    }

    fn unreadable(&self, name: &str, error: io::Error) -> CacheError {
        CacheError::Unreachable {
            cache: self.name.clone(),
            why: format!("{name} cannot be read: {error}"),
        }
    }

    /// A file that is not what it should be.
    pub fn damaged(&self, name: &str, why: &str) -> CacheError {
        CacheError::Damaged {
            cache: self.name.clone(),
            name: name.to_owned(),
            why: why.to_owned(),
        }
    }
}

impl Web {
    /// The URL of a file, signed where that is wanted.
    fn url(&self, method: &str, name: &str) -> Url {
        let url = below(&self.base, name.split('/'));
        match &self.signer {
            Some(signer) => signer.sign(method, &url, super::seconds()),
            None => url,
        }
    }

    fn put(&self, name: &str, content: &Putting<'_>) -> Result<(), NetError> {
        let done = self.net.put(&self.url("PUT", name), content);
        // A WebDAV server wants its folders made (RFC 4918, section 9.7.1: 409).
        if self.signer.is_none()
            && matches!(&done, Err(error) if error.is_conflict())
            && !self.made.swap(true, Ordering::Relaxed)
        {
            for folder in super::FOLDERS {
                let mut url = below(&self.base, [folder]);
                url.set_path(&format!("{}/", url.path()));
                self.net.make_collection(&url)?;
            }
            return self.net.put(&self.url("PUT", name), content);
        }
        done
    }
}

/// What a file of the cache is called in a bundle.
pub(super) fn member(name: &str) -> String {
    format!("cache/{name}")
}

/// Writes aside, then renames: a file under its name is whole.
fn put_in(folder: &Utf8Path, name: &str, content: &Content<'_>) -> Result<(), CacheError> {
    let path = folder.join(name);
    let aside = Utf8PathBuf::from(format!("{path}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&aside)?;
        match content {
            Content::Bytes(bytes) => file.write_all(bytes)?,
            Content::File(from) => {
                let mut from = *from;
                rewind(from)?;
                io::copy(&mut from, &mut file)?;
            }
        }
        file.sync_all()?;
        fs::rename(&aside, &path)
    };
    write().map_err(|source| {
        // The failure is what is told.
        let _ = fs::remove_file(&aside);
        CacheError::File {
            verb: "write",
            path,
            source,
        }
    })
}

fn rewind(mut file: &File) -> io::Result<()> {
    io::Seek::rewind(&mut file)
}

/// `base` with further parts of a path; empty ones are left out.
fn below<'p>(base: &Url, parts: impl IntoIterator<Item = &'p str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        segments.extend(parts.into_iter().filter(|part| !part.is_empty()));
    }
    url
}

/// A URL may hold a password.
fn without_secret(text: &str) -> String {
    match text.parse::<Url>() {
        Ok(url) => shown(&url),
        Err(_) if text.contains('@') => "(not shown)".to_owned(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::net::{Settings, Silence};

    fn place(text: &str, about: &About) -> Result<Place, CacheError> {
        Place::of(
            text,
            about,
            Arc::new(Net::new(Settings::default(), Arc::new(Silence))),
        )
    }

    fn plain(place: &Place, name: &str) -> Url {
        match &place.kind {
            Kind::Web(web) => below(&web.base, name.split('/')),
            _ => panic!("it has no URL"),
        }
    }

    #[test]
    fn a_url_becomes_the_urls_of_its_files() {
        let about = About {
            endpoint: Some("http://127.0.0.1:9000".into()),
            ..About::default()
        };
        for (text, wanted) in [
            ("https://cache.test/team", "https://cache.test/team/pack/ab"),
            (
                "https://cache.test/team/",
                "https://cache.test/team/pack/ab",
            ),
            (
                "s3://bucket/some/prefix",
                "http://127.0.0.1:9000/bucket/some/prefix/pack/ab",
            ),
            ("s3://bucket", "http://127.0.0.1:9000/bucket/pack/ab"),
        ] {
            let place = place(text, &about).unwrap();
            assert_eq!(plain(&place, "pack/ab").as_str(), wanted);
        }
    }

    #[test]
    fn secrets_are_in_no_message() {
        let about = About {
            credentials: Some("me:pass%word".into()),
            ..About::default()
        };
        let place = place("https://cache.test/", &about).unwrap();
        assert!(!place.name().contains("pass"));
        let url = plain(&place, "x");
        assert_eq!(
            (url.username(), url.password()),
            ("me", Some("pass%25word"))
        );
        for text in [
            "ftp://me:secret@host/",
            "nonsense://me:secret@host",
            "http://me:secret@",
        ] {
            let told = match self::place(text, &About::default()) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{text} is a place"),
            };
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
