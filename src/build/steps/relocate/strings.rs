//! A program or library of the distribution → the same without the host's folders in it. Begin at
//! [`apply`].
//!
//! Every text is replaced by one of the same length, so nothing else in the file moves. All
//! occurrences are replaced; where a text must be there its absence is an error; and afterwards no
//! forbidden text may be left. How often each occurs is a test's business, so that a security
//! update does not break a build. New names lie directly below `/`, where only root could ever
//! create them, and start with `-`, as nothing does.

use crate::elf::PrivateVariable;
use crate::platform::Platform;
use crate::recipe::{HostPolicy, Matter, Order};

use super::{Layer, RelocateError};

/// One replacement: any of several spellings of the same thing.
struct Swap {
    /// What is there and what comes instead, of equal length.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether at least one occurrence must be found.
    needed: bool,
}

/// The replacements for one file, and what may not be in it afterwards.
struct Rules {
    swaps: Vec<Swap>,
    forbidden: Vec<Vec<u8>>,
    /// What a file has in which all that is needed must be found; without, every file.
    only_with: Option<&'static [u8]>,
}

impl Rules {
    /// Nothing below this path of the host is looked at, if the file names it at all.
    fn shut(&mut self, path: &str) {
        self.swaps.push(swap(path, &absent(path), false));
        self.forbidden.push(path.into());
    }
}

/// Whether the file at `path` (in the closure) has replacements.
pub(super) fn concerns(path: &str, prefix: Option<&str>) -> bool {
    // Which files these are is the same everywhere.
    rules(
        path,
        Platform::default(),
        prefix,
        &HostPolicy::default(),
        &[],
    )
    .is_some()
}

/// Replaces in `bytes`, the file at `path`, what its rules for `platform` say.
pub(super) fn apply(
    path: &str,
    platform: Platform,
    prefix: Option<&str>,
    host: &HostPolicy,
    bytes: &mut [u8],
) -> Result<(), RelocateError> {
    let Some(rules) = rules(path, platform, prefix, host, bytes) else {
        return Ok(());
    };
    let needed = rules
        .only_with
        .is_none_or(|mark| find(bytes, mark, 0).is_some());
    for swap in &rules.swaps {
        let hits: usize = swap
            .pairs
            .iter()
            .map(|(find, with)| replace(bytes, find, with))
            .sum();
        if hits == 0 && swap.needed && needed {
            return Err(RelocateError::Absent {
                file: path.to_owned(),
                text: shown(&swap.pairs[0].0),
            });
        }
    }
    match rules
        .forbidden
        .iter()
        .find(|text| find(bytes, text, 0).is_some())
    {
        Some(text) => Err(RelocateError::Left {
            file: path.to_owned(),
            text: shown(text),
            layer: Layer::Host,
        }),
        None => Ok(()),
    }
}

/// The table; `prefix` is where an interpreter was built for that is none of a distribution's.
fn rules(
    path: &str,
    platform: Platform,
    prefix: Option<&str>,
    host: &HostPolicy,
    bytes: &[u8],
) -> Option<Rules> {
    let triplet = platform.triplet();
    match path.strip_prefix("lib/") {
        Some(name) if name.starts_with("ld-linux-") => Some(loader(triplet, host)),
        Some("libc.so.6") => Some(libc(triplet, host)),
        Some("libtinfo.so.6" | "libtinfo.so.5") => Some(terminals(host)),
        Some("libcrypto.so.3" | "libcrypto.so.1.1") => Some(crypto(triplet, host, bytes)),
        Some(name) => prefix
            .filter(|_| is_interpreters_library(name))
            .map(|prefix| own_interpreter(path, prefix)),
        None if !is_interpreter(path) => None,
        None => Some(match prefix {
            Some(prefix) => own_interpreter(path, prefix),
            None => interpreter(path),
        }),
    }
}

/// The loader's search path and trusted folders (one run each), its cache and its preload list.
///
/// Where the recipe lets the host's name service modules in, the folders stay: those of RedHat's
/// family take the place of the first, which only some releases of Debian have besides.
fn loader(triplet: &str, host: &HostPolicy) -> Rules {
    let multiarch = format!("/lib/{triplet}/");
    let usr_multiarch = format!("/usr/lib/{triplet}/");
    let folders = [multiarch.as_str(), &usr_multiarch, "/lib/", "/usr/lib/"];
    let run = folders.map(|folder| format!("{folder}\0")).concat();
    let of_host = host.of(Matter::NameService) == Order::HostFirst;
    let others = if of_host {
        let lib64 = format!("{:/<width$}", "/usr/lib64", width = multiarch.len());
        [lib64.as_str(), &usr_multiarch, "/lib/", "/usr/lib/"].map(str::to_owned)
    } else {
        folders.map(absent)
    };
    let others = others.map(|folder| format!("{folder}\0")).concat();
    let mut rules = Rules {
        swaps: vec![
            swap(&run, &others, true),
            swap("/etc/ld.so.cache", &absent("/etc/ld.so.cache"), true),
            swap("/etc/ld.so.preload", &absent("/etc/ld.so.preload"), true),
        ],
        forbidden: vec![b"/etc/ld.so.cache".to_vec(), b"/etc/ld.so.preload".to_vec()],
        only_with: None,
    };
    if !of_host {
        let folders = [
            usr_multiarch.into_bytes(),
            whole("/lib/"),
            whole("/usr/lib/"),
        ];
        rules.forbidden.extend(folders);
    }
    rules
}

/// Character set modules of the host are code; locale and time zone data get private variables.
fn libc(triplet: &str, host: &HostPolicy) -> Rules {
    let gconv = format!("/usr/lib/{triplet}/gconv");
    let mut rules = Rules {
        swaps: vec![
            swap(&gconv, &absent(&gconv), true),
            private("LOCPATH", PrivateVariable::LOCALE),
            private("TZDIR", PrivateVariable::TIME_ZONES),
        ],
        forbidden: vec![gconv.into_bytes(), whole("LOCPATH"), whole("TZDIR")],
        only_with: None,
    };
    if host.of(Matter::Locales) == Order::ClosureOnly {
        rules.shut("/usr/lib/locale");
        rules.shut("/usr/share/locale");
    }
    if host.of(Matter::TimeZones) == Order::ClosureOnly {
        rules.shut("/etc/localtime");
        rules.shut("/usr/share/zoneinfo");
    }
    rules
}

fn terminals(host: &HostPolicy) -> Rules {
    let mut rules = Rules {
        swaps: vec![private("TERMINFO_DIRS", PrivateVariable::TERMINALS)],
        forbidden: vec![whole("TERMINFO_DIRS")],
        only_with: None,
    };
    if host.of(Matter::Terminals) == Order::ClosureOnly {
        // Which of them there are, and in which order, differs between releases.
        for folder in ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"] {
            rules.shut(folder);
        }
    }
    rules
}

/// A host's `openssl.cnf`, engines and providers are made for another version. Where the recipe wants
/// the configuration, it is looked for where most distributions have it. The file says itself where it
/// looks (`openssl version -a` prints that): one that a recipe has built looks elsewhere than Debian's.
fn crypto(triplet: &str, host: &HostPolicy, bytes: &[u8]) -> Rules {
    let folder = said(bytes, "OPENSSLDIR").unwrap_or("/usr/lib/ssl");
    let other = match host.of(Matter::OpensslConfiguration) {
        Order::HostFirst if folder == "/etc/ssl" => folder.to_owned(),
        Order::HostFirst => {
            let other = format!("{:/<width$}", "/etc/ssl", width = folder.len());
            other.chars().take(folder.len()).collect()
        }
        Order::ClosureFirst | Order::ClosureOnly => absent(folder),
    };
    let modules =
        said(bytes, "ENGINESDIR").and_then(|folder| folder.rfind('/').map(|end| &folder[..=end]));
    let modules = modules.map_or_else(|| format!("/usr/lib/{triplet}/"), str::to_owned);
    // `cert.pem` and `certs/` beside it are another matter, and `ssl.py` knows where those are.
    let certificates = format!("{folder}/cert");
    let mut rules = Rules {
        swaps: vec![
            swap(&certificates, &(absent(folder) + "/cert"), true),
            swap(folder, &other, true),
            swap(&modules, &absent(&modules), true),
        ],
        forbidden: vec![modules.into_bytes()],
        only_with: None,
    };
    if other != folder {
        rules.forbidden.push(folder.into());
    }
    rules
}

/// A folder that a libcrypto says of itself: `OPENSSLDIR: "/usr/lib/ssl"`.
fn said<'b>(bytes: &'b [u8], name: &str) -> Option<&'b str> {
    let mark = format!("{name}: \"");
    let begin = find(bytes, mark.as_bytes(), 0)? + mark.len();
    let rest = bytes.get(begin..)?;
    let end = rest.iter().take(512).position(|byte| *byte == b'"')?;
    let folder = std::str::from_utf8(&rest[..end]).ok()?;
    (folder.starts_with('/') && folder.len() > 2).then_some(folder)
}

/// The frozen `site` looks for `site-packages` and leaves the folder of the host's Python of the
/// same version, `~/.local`, alone; a prefix that cannot be found is an error, never the host's.
/// Before 3.11 no `site` is frozen: the file in the library is all there is.
fn interpreter(path: &str) -> Rules {
    let frozen = has_frozen_site(path);
    Rules {
        swaps: vec![
            swap("dist-packages", "site-packages", frozen),
            user_folder(frozen),
            swap("\0/usr\0", "\0/-py\0", true),
        ],
        forbidden: vec![b"dist-packages".to_vec(), whole("/usr")],
        only_with: None,
    }
}

/// The same for an interpreter, or its library, that was built for `prefix` and that no distribution
/// has changed. Either holds the frozen `site`.
fn own_interpreter(path: &str, prefix: &str) -> Rules {
    Rules {
        swaps: vec![
            user_folder(has_frozen_site(path)),
            Swap {
                pairs: vec![(whole(prefix), whole(&nowhere(prefix)))],
                needed: false,
            },
        ],
        forbidden: vec![whole(prefix)],
        only_with: Some(b"usercustomize"),
    }
}

fn has_frozen_site(path: &str) -> bool {
    let version = path
        .split_once("python3.")
        .map_or("", |(_, version)| version);
    let minor = version.split('.').next().and_then(|it| it.parse().ok());
    minor.is_none_or(|minor: u32| minor >= 11)
}

/// 3.13 freezes marshalled code (`z`, length, text), 3.11 C structures (text, NUL).
fn user_folder(needed: bool) -> Swap {
    let marshalled = |text: &str| [b"z\x06", text.as_bytes()].concat();
    let (from, to) = (".local", ".relpy");
    Swap {
        pairs: vec![(marshalled(from), marshalled(to)), (whole(from), whole(to))],
        needed,
    }
}

/// A path of the same length that is on no machine; of any length.
fn nowhere(path: &str) -> String {
    format!("{:-<width$}", "/-py", width = path.len())
        .chars()
        .take(path.len())
        .collect()
}

/// `bin/python3.13`, of any version; not the links to it, nor scripts.
pub(super) fn is_interpreter(path: &str) -> bool {
    let version = path.strip_prefix("bin/python3.");
    version
        .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `libpython3.13.so.1.0`
fn is_interpreters_library(name: &str) -> bool {
    name.starts_with("libpython3.") && name.contains(".so")
}

fn swap(find: &str, with: &str, needed: bool) -> Swap {
    Swap {
        pairs: vec![(find.into(), with.into())],
        needed,
    }
}

fn private(host: &str, private: &str) -> Swap {
    Swap {
        pairs: vec![(whole(host), whole(private))],
        needed: true,
    }
}

/// A C string of its own, not the end of a longer one.
fn whole(text: &str) -> Vec<u8> {
    [b"\0", text.as_bytes(), b"\0"].concat()
}

/// A path of the same length that is on no machine; a slash at the end stays.
fn absent(path: &str) -> String {
    const NAME: &str = "/-relocated-away-so-that-nothing-of-the-host-is-taken";
    let long = |length: usize| {
        let name = format!("{NAME:-<length$}");
        name[..length].to_owned()
    };
    match path.strip_suffix('/') {
        Some(folder) => long(folder.len()) + "/",
        None => long(path.len()),
    }
}

/// Replaces every occurrence in place and counts them. `with` is as long as `find`.
fn replace(bytes: &mut [u8], wanted: &[u8], with: &[u8]) -> usize {
    debug_assert_eq!(wanted.len(), with.len(), "{}", shown(wanted));
    let mut hits = 0;
    let mut from = 0;
    while let Some(at) = find(bytes, wanted, from) {
        bytes[at..at + with.len()].copy_from_slice(with);
        // A NUL at the end of one hit may be the one at the start of the next.
        from = at + wanted.len() - 1;
        hits += 1;
    }
    hits
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::recipe::MATTERS;

    const ORDERS: [Order; 3] = [Order::HostFirst, Order::ClosureFirst, Order::ClosureOnly];

    const X86_64: Platform = Platform::X86_64;

    fn loader_of(folders: &str) -> Vec<u8> {
        format!(
            "\0{folders}\0x\0/etc/ld.so.cache\0 Do not use /etc/ld.so.cache\0/etc/ld.so.preload\0"
        )
        .into_bytes()
    }

    #[test]
    fn a_loader_forgets_every_folder_of_the_host_and_keeps_its_length() {
        let usual = HostPolicy::default();
        for platform in Platform::ALL {
            let triplet = platform.triplet();
            let run = format!("/lib/{triplet}/\0/usr/lib/{triplet}/\0/lib/\0/usr/lib/");
            let mut bytes = loader_of(&format!("{run}\0{run}"));
            let length = bytes.len();
            apply(
                &format!("lib/{}", platform.loader()),
                platform,
                None,
                &usual,
                &mut bytes,
            )
            .unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.len(), length);
            assert!(!text.contains("/lib/") && !text.contains("/etc/"), "{text}");
            assert_eq!(text.matches("/-relocated-").count(), 7, "{text}");
        }
    }

    #[test]
    fn a_folder_in_an_unknown_place_is_an_error_that_names_it() {
        let triplet = X86_64.triplet();
        let run = format!("/lib/{triplet}/\0/usr/lib/{triplet}/\0/lib/\0/usr/lib/");
        let error = apply(
            "lib/ld-linux-x86-64.so.2",
            X86_64,
            None,
            &HostPolicy::default(),
            &mut loader_of(&format!("{run}\0y\0/usr/lib/")),
        )
        .unwrap_err();
        assert!(
            matches!(error, RelocateError::Left { ref text, .. } if text.contains("/usr/lib/")),
            "{error:?}"
        );
        let error = apply(
            "lib/ld-linux-x86-64.so.2",
            X86_64,
            None,
            &HostPolicy::default(),
            &mut loader_of("/lib/\0/usr/lib/"),
        )
        .unwrap_err();
        assert!(matches!(error, RelocateError::Absent { .. }), "{error:?}");
    }

    #[test]
    fn every_replacement_is_as_long_as_what_it_replaces() {
        let files = [
            "lib/ld-linux-x86-64.so.2",
            "lib/libc.so.6",
            "lib/libtinfo.so.6",
            "lib/libcrypto.so.3",
            "bin/python3.13",
        ];
        for file in files {
            for (platform, order) in Platform::ALL
                .into_iter()
                .flat_map(|it| ORDERS.map(|order| (it, order)))
            {
                let mut host = HostPolicy::default();
                MATTERS
                    .iter()
                    .for_each(|(_, matter)| host.set(*matter, order));
                let swaps = rules(file, platform, None, &host, &[]).unwrap().swaps;
                for (find, with) in swaps.into_iter().flat_map(|swap| swap.pairs) {
                    assert_eq!(find.len(), with.len(), "{file}: {}", shown(&find));
                }
            }
        }
    }

    #[test]
    fn a_site_that_is_not_frozen_is_not_looked_for() {
        let mut bytes = b"\0/usr\0".to_vec();
        apply(
            "bin/python3.9",
            Platform::X86_64,
            None,
            &HostPolicy::default(),
            &mut bytes,
        )
        .unwrap();
        assert_eq!(bytes, b"\0/-py\0");
        let error = apply(
            "bin/python3.11",
            Platform::X86_64,
            None,
            &HostPolicy::default(),
            &mut b"\0/usr\0".to_vec(),
        )
        .unwrap_err();
        assert!(matches!(error, RelocateError::Absent { .. }), "{error:?}");
    }

    #[test]
    fn an_interpreter_that_was_built_here_forgets_where_and_keeps_its_length() {
        let mut bytes = b"\0/out/of-this-build\0usercustomize\0z\x06.local\0/usr\0".to_vec();
        let length = bytes.len();
        let built = Some("/out/of-this-build");
        let usual = HostPolicy::default();
        for path in ["bin/python3.13", "lib/libpython3.13.so.1.0"] {
            assert!(concerns(path, built), "{path}");
        }
        assert!(!concerns("lib/libpython3.13.so.1.0", None));
        apply("bin/python3.13", X86_64, built, &usual, &mut bytes).unwrap();
        assert_eq!(bytes.len(), length);
        assert_eq!(
            bytes,
            b"\0/-py--------------\0usercustomize\0z\x06.relpy\0/usr\0"
        );
        // With a library of its own the program itself has no frozen modules.
        apply("bin/python3.13", X86_64, built, &usual, &mut b"\0".to_vec()).unwrap();
        let mut other = b"usercustomize".to_vec();
        let error = apply("bin/python3.13", X86_64, built, &usual, &mut other).unwrap_err();
        assert!(matches!(error, RelocateError::Absent { .. }), "{error:?}");
    }

    #[test]
    fn neighbours_that_share_a_nul_are_both_replaced() {
        let mut bytes = b"\0/usr\0/usr\0".to_vec();
        assert_eq!(replace(&mut bytes, b"\0/usr\0", b"\0/-py\0"), 2);
        assert_eq!(bytes, b"\0/-py\0/-py\0");
    }

    #[test]
    fn only_an_interpreter_itself_has_the_edits_of_one() {
        assert!(is_interpreter("bin/python3.13") && is_interpreter("bin/python3.9"));
        assert!(
            !is_interpreter("bin/python3")
                && !is_interpreter("bin/python3.13-config")
                && !is_interpreter("bin/python3.")
        );
        assert!(!concerns("lib/libz.so.1", None) && !concerns("lib/python3.13/libc.so.6", None));
    }
}
