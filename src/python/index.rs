//! A project's page in a package index → [`IndexFile`]s. Begin at [`parse_page`].
//!
//! Pages come as JSON (PEP 691) or HTML (PEP 503); many mirrors have only the latter, and some
//! answer HTML to a request for JSON. A page is never believed: what it calls a hash only says
//! which of its links may be the file that the lock describes ([`find`]); the bytes decide.
//! [`default_index`] finds the index that pip itself uses, in pip's own source.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;

use super::PythonError;
use super::html;
use super::name::shorten;

/// Most bytes of one page; the largest real ones have a few megabytes.
pub const LARGEST_PAGE: usize = 64 << 20;

/// What to send as `Accept`: JSON rather than HTML, HTML rather than nothing.
pub const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
    application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// One file that a page offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// The file's name, one path component.
    pub name: String,
    /// Where it is, absolute, without fragment.
    pub url: Url,
    /// sha256 in lower-case hex, if the page says it.
    pub sha256: Option<String>,
    /// Bytes, if the page says it (HTML pages cannot).
    pub size: Option<u64>,
    /// Why it was withdrawn; `Some("")` when withdrawn without a reason.
    pub yanked: Option<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
}

/// Reads a project's page: `content_type` as the server said it (empty if it did not), `base`
/// the address that the page finally came from, against which links are resolved.
///
/// Links that are no files, or that leave http and https, are skipped.
pub fn parse_page(
    content_type: &str,
    bytes: &[u8],
    base: &Url,
) -> Result<Vec<IndexFile>, PythonError> {
    if bytes.len() > LARGEST_PAGE {
        return Err(wrong(format!("larger than {LARGEST_PAGE} bytes")));
    }
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match kind.as_str() {
        kind if kind.ends_with("json") => parse_json(bytes, base),
        kind if kind.ends_with("html") => parse_html(bytes, base),
        "" | "text/plain" | "application/octet-stream" if first == Some(&b'{') => {
            parse_json(bytes, base)
        }
        "" | "text/plain" | "application/octet-stream" if first == Some(&b'<') => {
            parse_html(bytes, base)
        }
        other => Err(wrong(format!(
            "neither HTML nor JSON but {:?}",
            shorten(other)
        ))),
    }
}

/// The file called `name` whose bytes have this sha256 (lower-case hex).
///
/// A link without a hash is taken when no link has the right one: the download is checked
/// anyway. A withdrawn file is still the file that was locked.
pub fn find<'a>(
    files: &'a [IndexFile],
    name: &str,
    sha256: &str,
) -> Result<&'a IndexFile, PythonError> {
    let named = || files.iter().filter(|file| file.name == name);
    let same = named().find(|file| file.sha256.as_deref() == Some(sha256));
    same.or_else(|| named().find(|file| file.sha256.is_none()))
        .ok_or_else(|| {
            let reason = match named().find_map(|file| file.sha256.as_deref()) {
                Some(other) => format!("the file of that name there has sha256 {other}"),
                None => format!("none of its {} files has that name", files.len()),
            };
            let (file, sha256) = (name.to_owned(), sha256.to_owned());
            PythonError::IndexLacks {
                file,
                sha256,
                reason,
            }
        })
}

/// The address of a project's page in an index: `<index>/<project>/`.
pub fn project_page(index: &Url, project: &super::ProjectName) -> Url {
    let mut page = index.clone();
    if let Ok(mut segments) = page.path_segments_mut() {
        segments.pop_if_empty().push(project.as_str()).push("");
    }
    page
}

/// The index that pip uses when nobody configures one, from the text of pip's own
/// `pip/_internal/models/index.py`: `PyPI = PackageIndex("<address>", …)`, then `simple`.
pub fn default_index(source: &str) -> Result<Url, PythonError> {
    let lacks = || wrong("pip's models/index.py does not say PyPI = PackageIndex(\"…\")".into());
    let call = source
        .lines()
        .position(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| name.trim() == "PyPI")
        })
        .map(|line| source.lines().skip(line).take(3).collect::<String>())
        .ok_or_else(lacks)?;
    let (_, arguments) = call.split_once("PackageIndex(").ok_or_else(lacks)?;
    let address = arguments.split(['"', '\'']).nth(1).ok_or_else(lacks)?;
    let address = Url::parse(address).ok().filter(is_web).ok_or_else(lacks)?;
    address.join("simple/").map_err(|_| lacks())
}

/// The last path component of an address or path, percent-decoded.
pub(crate) fn file_name_of(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or(address);
    percent_decode(path.rsplit('/').next().unwrap_or(path))
}

/// Whether `text` is a sha256 in lower-case hex.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    files: Vec<JsonFile>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    requires_python: Option<String>,
    yanked: Option<Yanked>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Yanked {
    Flag(bool),
    Reason(String),
}

fn parse_json(bytes: &[u8], base: &Url) -> Result<Vec<IndexFile>, PythonError> {
    let page: Page = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    let version = page.meta.api_version.as_deref().unwrap_or("1.0");
    if version.split('.').next() != Some("1") {
        return Err(wrong(format!(
            "api-version {:?}, wanted 1.x",
            shorten(version)
        )));
    }
    let files = page.files.into_iter().filter_map(|file| {
        let mut url = resolve(base, &file.url)?;
        url.set_fragment(None);
        let sha256 = file
            .hashes
            .get("sha256")
            .map(|hash| hash.to_ascii_lowercase());
        Some(IndexFile {
            name: Some(file.filename).filter(|name| is_component(name))?,
            url,
            sha256: sha256.filter(|hash| is_sha256(hash)),
            size: file.size,
            yanked: file.yanked.and_then(|yanked| match yanked {
                Yanked::Flag(true) => Some(String::new()),
                Yanked::Flag(false) => None,
                Yanked::Reason(reason) => Some(reason),
            }),
            requires_python: file.requires_python,
        })
    });
    Ok(files.collect())
}

fn parse_html(bytes: &[u8], base: &Url) -> Result<Vec<IndexFile>, PythonError> {
    let text = String::from_utf8_lossy(bytes);
    let mut base = base.clone();
    let mut files = Vec::new();
    for tag in html::tags(&text, &["a", "base"]) {
        let Some(link) = tag.attribute("href").and_then(|href| resolve(&base, &href)) else {
            continue;
        };
        if tag.name == "base" {
            base = link;
            continue;
        }
        files.extend(linked_file(&tag, link));
    }
    Ok(files)
}

fn linked_file(tag: &html::Tag<'_>, mut url: Url) -> Option<IndexFile> {
    let name = file_name_of(url.path());
    let hash = url.fragment().and_then(|fragment| {
        let sha256 = fragment
            .split('&')
            .find_map(|part| part.strip_prefix("sha256="))?;
        Some(sha256.to_ascii_lowercase()).filter(|hash| is_sha256(hash))
    });
    url.set_fragment(None);
    is_component(&name).then(|| IndexFile {
        name,
        url,
        sha256: hash,
        size: None,
        yanked: tag.attribute("data-yanked"),
        requires_python: tag.attribute("data-requires-python"),
    })
}

fn resolve(base: &Url, link: &str) -> Option<Url> {
    base.join(link.trim())
        .ok()
        .filter(|url| is_web(url) || url.scheme() == base.scheme())
}

fn is_web(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme())
}

fn is_component(name: &str) -> bool {
    let unsafe_character = |c: char| c == '/' || c == '\\' || c.is_control();
    !["", ".", ".."].contains(&name) && name.len() <= 255 && !name.contains(unsafe_character)
}

fn percent_decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wrong(reason: String) -> PythonError {
    PythonError::Index { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0";

    fn base() -> Url {
        Url::parse("https://index.example/simple/six/").unwrap()
    }

    fn html(body: &str) -> Vec<IndexFile> {
        parse_page("text/html; charset=utf-8", body.as_bytes(), &base()).unwrap()
    }

    #[test]
    fn html_and_json_pages_say_the_same() {
        let from_html = html(&format!(
            "<!DOCTYPE html><html><body><!-- <a href=\"no.whl\">no</a> -->\n\
             <A data-requires-python='&gt;=3.9' data-yanked=\"broken &amp; old\"\n \
             HREF=\"../../packages/six-1%2B2-py3-none-any.whl#sha256={HASH}\">six</A></body>"
        ));
        let json = format!(
            "{{\"meta\":{{\"api-version\":\"1.4\"}},\"name\":\"six\",\"unknown\":[],\"files\":[{{\
             \"filename\":\"six-1+2-py3-none-any.whl\",\"url\":\"../../packages/six-1%2B2-py3-none-any.whl\",\
             \"hashes\":{{\"sha256\":\"{HASH}\"}},\"requires-python\":\">=3.9\",\"yanked\":\"broken & old\"}}]}}"
        );
        let json_type = "application/vnd.pypi.simple.v1+json";
        assert_eq!(
            parse_page(json_type, json.as_bytes(), &base()).unwrap(),
            from_html
        );
        assert_eq!(parse_page("", json.as_bytes(), &base()).unwrap(), from_html);
        let [file] = &from_html[..] else {
            panic!("{from_html:?}")
        };
        assert_eq!(
            file.url.as_str(),
            "https://index.example/packages/six-1%2B2-py3-none-any.whl"
        );
        assert_eq!(file.name, "six-1+2-py3-none-any.whl");
        assert_eq!(file.requires_python.as_deref(), Some(">=3.9"));
        assert_eq!(file.yanked.as_deref(), Some("broken & old"));
    }

    #[test]
    fn the_locked_hash_wins_over_another_file_of_the_same_name_f065() {
        let other = "0".repeat(64);
        let files = html(&format!(
            "<a href='x/a-1-py3-none-any.whl#sha256={other}'>1</a>\
             <a href='y/a-1-py3-none-any.whl#sha256={HASH}'>2</a><a href='z/b.whl#md5=00'>3</a>"
        ));
        let found = find(&files, "a-1-py3-none-any.whl", HASH).unwrap();
        assert!(found.url.path().contains("/y/"));
        assert!(
            find(&files, "b.whl", HASH).is_ok(),
            "no hash: the download is checked"
        );
        let lacks = find(&files[..1], "a-1-py3-none-any.whl", HASH)
            .unwrap_err()
            .to_string();
        assert!(lacks.contains(&other) && lacks.contains(HASH), "{lacks}");
        assert!(find(&files, "c.whl", HASH).is_err());
    }

    #[test]
    fn a_base_element_moves_relative_links() {
        let files = html("<base href='https://files.example/p/'><a href='a.whl'>a</a>");
        assert_eq!(files[0].url.as_str(), "https://files.example/p/a.whl");
    }

    #[test]
    fn links_that_are_no_files_of_the_web_are_skipped() {
        let page = "<a href='file:///etc/passwd'>x</a><a href='javascript:x'>x</a><a href='../'>up</a>\
            <a>none</a><a href='a%2Fb.whl'>slash</a><a href='https://[bad/'>bad</a>";
        assert_eq!(html(page), []);
    }

    #[test]
    fn a_page_of_another_kind_is_refused_f065() {
        assert!(parse_page("image/png", b"<a href=x>", &base()).is_err());
        assert!(parse_page("", b"hello", &base()).is_err());
        let later = b"{\"meta\":{\"api-version\":\"2.0\"},\"files\":[]}";
        assert!(parse_page("application/json", later, &base()).is_err());
        assert!(parse_page("application/json", b"{\"files\":{}}", &base()).is_err());
    }

    #[test]
    fn the_default_index_is_read_from_pips_own_source() {
        let pip = "class PackageIndex:\n    pass\n\n\
            PyPI = PackageIndex(\"https://index.example/\", file_storage_domain=\"files.example\")\n\
            TestPyPI = PackageIndex(\n    \"https://test.example/\"\n)\n";
        assert_eq!(
            default_index(pip).unwrap().as_str(),
            "https://index.example/simple/"
        );
        let wrapped = "PyPI = PackageIndex(\n    'https://index.example/',\n)";
        assert_eq!(
            default_index(wrapped).unwrap().as_str(),
            "https://index.example/simple/"
        );
        for bad in [
            "",
            "PyPI = 1",
            "PyPI = PackageIndex(\"ftp://x/\")",
            "PyPI = PackageIndex(x)",
        ] {
            assert!(default_index(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_projects_page_keeps_the_path_of_the_index() {
        let name = "six".parse().unwrap();
        for index in [
            "https://mirror.example/root/simple",
            "https://mirror.example/root/simple/",
        ] {
            let page = project_page(&Url::parse(index).unwrap(), &name);
            assert_eq!(page.as_str(), "https://mirror.example/root/simple/six/");
        }
    }

    proptest! {
        #[test]
        fn no_page_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_page("text/html", &bytes, &base());
            let _ = parse_page("application/json", &bytes, &base());
        }

        #[test]
        fn no_page_of_html_letters_panics(text in "[<>a/!& \"'=#;x-]{0,80}") {
            let _ = parse_page("text/html", text.as_bytes(), &base());
        }
    }
}
