//! `from="source"`: how CPython is built where a recipe says nothing else. Begin at [`runs`].
//!
//! A recipe may say any part of it itself: the `source` called [`SOURCE`], the `sysroot`'s packages
//! besides [`packages`], the variables of the `build`, or its commands, which then take the place of
//! these.

use super::built::Run;

/// What the interpreter's source is called.
pub(super) const SOURCE: &str = "python";

/// The distribution's source package of this version.
pub(super) fn package(version: &str) -> String {
    format!("python{version}")
}

/// Compilers, and the libraries that modules of the standard library are made with.
pub(super) fn packages(version: &str) -> Vec<&'static str> {
    let mut packages = vec![
        "gcc",
        "libbz2-dev",
        "libc6-dev",
        "libdb-dev",
        "libexpat1-dev",
        "libffi-dev",
        "libgdbm-dev",
        "liblzma-dev",
        "libncurses-dev",
        "libreadline-dev",
        "libsqlite3-dev",
        "libssl-dev",
        "make",
        "pkg-config",
        "uuid-dev",
        "zlib1g-dev",
    ];
    if minor(version) >= 14 {
        packages.push("libzstd-dev");
    }
    packages
}

/// Variables. Without `OPT` everything has debug information, which names the build's folders, and is
/// three times as large.
pub(super) const ENV: [(&str, &str); 1] = [("OPT", "-DNDEBUG -O3 -Wall")];

/// Takes the folder it was built in out of the two files that tell how it was built, so that the same comes out wherever
/// that is.
const FORGET: &str = r#"cd "$out"/lib/python3.*
sed -i "s|$OLDPWD|.|g" _sysconfigdata_*.py config-3.*/Makefile
rm -f __pycache__/_sysconfigdata_*"#;

/// The commands. What a closure has no use for is not made: a static library, tests and a second pip.
/// Profiles (`--enable-optimizations`) differ from run to run, and so would the result.
pub(super) fn runs(version: &str) -> Vec<Run> {
    let minor = minor(version);
    let since = |least: u32, option| (minor >= least).then_some(option);
    let configure: Vec<&str> = [
        Some("./configure"),
        Some("--prefix=$out"),
        since(10, "--without-static-libpython"),
        Some("--with-system-expat"),
        Some("--enable-loadable-sqlite-extensions"),
        Some("--with-dbmliborder=bdb:gdbm"),
        Some("--without-ensurepip"),
        since(10, "--disable-test-modules"),
        (minor < 12).then_some("--with-system-ffi"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let make = ["make", "-j$jobs"];
    let install = ["make", "install"];
    let forget = ["sh", "-ec", FORGET];
    [configure.as_slice(), &make, &install, &forget]
        .iter()
        .map(|words| Run {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            folder: Some(SOURCE.to_owned()),
        })
        .collect()
}

fn minor(version: &str) -> u32 {
    let minor = version.split_once('.').map(|(_, minor)| minor.parse());
    minor.and_then(Result::ok).unwrap_or_default()
}
