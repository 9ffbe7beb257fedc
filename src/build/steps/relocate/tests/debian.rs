//! Names → files of a Debian suite, for tests on real packages. Begin at [`Suite::reach`].
//!
//! The mirror is the one that apt uses on this machine. What was fetched stays in the target folder.
//! Where no mirror answers, tests say so and pass: they prove nothing there, and hide nothing either.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Packages and source packages of one suite.
pub(super) struct Suite {
    mirror: String,
    cache: PathBuf,
    /// Name → path in the archive and sha256.
    files: BTreeMap<String, (String, String)>,
}

impl Suite {
    /// The suite `name` with these binary `packages` and the packaging part of the source package
    /// `source`; else the reason why not.
    pub(super) fn reach(name: &str, packages: &[&str], source: &str) -> Result<Suite, String> {
        let mirror = mirror().ok_or("apt has no Debian mirror on this machine")?;
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian-cache");
        fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
        let mut suite = Suite {
            mirror,
            cache,
            files: BTreeMap::new(),
        };
        let index = suite.index(&format!("dists/{name}/main/binary-amd64/Packages.xz"))?;
        for stanza in index.split("\n\n") {
            let named = stanza.strip_prefix("Package: ");
            let Some((package, rest)) = named.and_then(|named| named.split_once('\n')) else {
                continue;
            };
            if !packages.contains(&package) {
                continue;
            }
            let field = |name: &str| rest.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(path), Some(sum)) = (field("Filename: "), field("SHA256: ")) {
                let file = (path.to_owned(), sum.to_owned());
                suite.files.insert(package.to_owned(), file);
            }
        }
        suite.packaging(name, source)?;
        Ok(suite)
    }

    fn packaging(&mut self, name: &str, source: &str) -> Result<(), String> {
        let index = self.index(&format!("dists/{name}/main/source/Sources.xz"))?;
        let stanza = index
            .split("\n\n")
            .find(|stanza| stanza.starts_with(&format!("Package: {source}\n")));
        let stanza = stanza.ok_or_else(|| format!("{name} has no source package {source}"))?;
        let folder = stanza
            .lines()
            .find_map(|line| line.strip_prefix("Directory: "))
            .ok_or("no Directory")?;
        // Checksums-Sha256 comes last and has the longest sums.
        let line = stanza
            .lines()
            .filter(|line| line.ends_with(".debian.tar.xz"))
            .max_by_key(|line| line.trim().find(' '));
        let mut words = line.ok_or("no packaging part")?.split_whitespace();
        let (sum, file) = (
            words.next().unwrap_or_default(),
            words.nth(1).unwrap_or_default(),
        );
        self.files.insert(
            source.to_owned(),
            (format!("{folder}/{file}"), sum.to_owned()),
        );
        Ok(())
    }

    /// The file of a package, fetched once.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>, String> {
        let (path, sum) = self
            .files
            .get(name)
            .ok_or_else(|| format!("no package {name}"))?;
        let kept = self.cache.join(path.rsplit('/').next().unwrap_or(path));
        let good = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes)) == *sum;
        if let Some(bytes) = fs::read(&kept).ok().filter(|bytes| good(bytes)) {
            return Ok(bytes);
        }
        let bytes = fetch(&format!("{}/{path}", self.mirror))?;
        if !good(&bytes) {
            return Err(format!("{path} is not what the index says"));
        }
        keep(&kept, &bytes)?;
        Ok(bytes)
    }

    /// An index, decoded. A copy of today is good enough.
    fn index(&self, path: &str) -> Result<String, String> {
        let kept = self.cache.join(path.replace('/', "_"));
        let is_fresh = fs::metadata(&kept)
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 24 * 3600));
        if !is_fresh {
            keep(&kept, &fetch(&format!("{}/{path}", self.mirror))?)?;
        }
        let done = Command::new("xz").arg("-dc").arg(&kept).output();
        let done = done.map_err(|error| format!("xz: {error}"))?;
        match done.status.success() {
            true => String::from_utf8(done.stdout).map_err(|error| format!("{path}: {error}")),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }
}

fn keep(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let aside = path.with_extension(format!("part{}", std::process::id()));
    fs::write(&aside, bytes)
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|error| error.to_string())
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let done = Command::new("curl")
        .args(["-sSfL", "--max-time", "300", url])
        .output();
    let done = done.map_err(|error| format!("curl: {error}"))?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

/// The first mirror of the distribution itself in apt's sources.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let more = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten();
    files.extend(more.map(|entry| entry.path()));
    files.sort();
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect::<Vec<_>>();
    let words = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.starts_with('#'));
    let words = words
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace);
    let uri = words
        .into_iter()
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.contains("://") && word.ends_with("/debian"));
    uri.map(str::to_owned)
}
