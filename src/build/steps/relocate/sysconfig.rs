//! How the distribution built its Python → how extensions are built with it wherever it lies. Begin
//! at [`rewrite`].
//!
//! `_sysconfigdata_*.py` is a table of texts. Folders of the host become folders of the closure,
//! filled in when the module is imported; the build machine's folders disappear; and the compiler is
//! whatever the person has, under its usual name.

use super::{Layer, RelocateError};
use crate::platform::Platform;

/// Whether the file at `path`, below `lib/python3.X/`, is such a table.
pub(super) fn concerns(path: &str) -> bool {
    path.starts_with("_sysconfigdata_") && path.ends_with(".py")
}

/// Stands for the closure's folder until the module is imported.
const CLOSURE: &str = "{closure}";

/// The table of Python `version` (`3.13`), as a closure has it.
pub(super) fn rewrite(path: &str, text: &str, version: &str) -> Result<String, RelocateError> {
    let left = |text: &str| RelocateError::Left {
        file: path.to_owned(),
        text: text.to_owned(),
        layer: Layer::Build,
    };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_zone_path(line) {
            out.push_str(line);
            continue;
        }
        let mut line = without_prefix_maps(line)
            .replace(
                "/usr/share/python-wheels/",
                &format!("{CLOSURE}/lib/python{version}/ensurepip/_bundled"),
            )
            .replace("/usr/bin/install", "install")
            .replace("/usr/bin/dtrace", "dtrace");
        // The table names the architecture that it is for, and no other.
        for triplet in Platform::ALL.map(Platform::triplet) {
            line = line
                .replace(&format!("/usr/lib/{triplet}"), &format!("{CLOSURE}/lib"))
                .replace(&format!("{triplet}-gcc-"), "")
                .replace(&format!("{triplet}-g"), "g");
        }
        line = replace_folder(&line, "/usr", CLOSURE);
        out.push_str(&without_build_folder(&line));
    }
    let bad = |line: &&str| {
        !is_zone_path(line)
            && [
                "'/usr", "=/usr", " /usr", "'/build/", "=/build/", " /build/",
            ]
            .iter()
            .any(|bad| line.contains(bad))
    };
    if let Some(bad) = out.lines().find(bad) {
        return Err(left(bad.trim()));
    }
    out.push_str(include_str!("python/sysconfig_data.py"));
    Ok(out)
}

/// The same for a Python that was built for a folder of its own, which the table itself names.
pub(super) fn rewrite_own(path: &str, text: &str) -> Result<String, RelocateError> {
    let prefix = value(text, "prefix").unwrap_or_default();
    // The longest first: one may lie in the other.
    let mut folders: Vec<&str> = ["abs_builddir", "abs_srcdir"]
        .iter()
        .filter_map(|name| value(text, name))
        .filter(|folder| folder.len() > 1)
        .collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_zone_path(line) {
            out.push_str(line);
            continue;
        }
        let mut line = without_prefix_maps(line).replace("/usr/bin/", "");
        for folder in &folders {
            line = replace_folder(&line, folder, ".");
        }
        // `./out/…`, which is no place at all.
        if prefix.len() > 1 {
            line = line.replace(&format!("'.{prefix}"), "'.");
        }
        out.push_str(&replace_folder(&line, prefix, CLOSURE));
    }
    let left = |folder: &&str| folder.len() > 4 && out.contains(*folder);
    if let Some(folder) = folders.into_iter().chain([prefix]).find(left) {
        return Err(RelocateError::Left {
            file: path.to_owned(),
            text: folder.to_owned(),
            layer: Layer::Build,
        });
    }
    out.push_str(include_str!("python/sysconfig_data.py"));
    Ok(out)
}

/// What the table says of `name`.
pub(super) fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mark = format!("'{name}': '");
    let at = text.find(&mark)? + mark.len();
    let length = text[at..].find('\'')?;
    text.get(at..at + length).filter(|it| it.starts_with('/'))
}

/// Where zoneinfo looks on the host; the closure's own folder follows in `_tzpath.py`.
fn is_zone_path(line: &str) -> bool {
    line.trim_start().starts_with("'TZPATH'")
}

/// Replaces `folder` where it is a whole absolute path or the start of one.
fn replace_folder(line: &str, folder: &str, with: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(folder) {
        let (before, behind) = (&rest[..at], &rest[at + folder.len()..]);
        let starts = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "./}-_".contains(c));
        let starts = starts || before.ends_with("-I") || before.ends_with("-L");
        let ends = !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
        out.push_str(before);
        out.push_str(if starts && ends { with } else { folder });
        rest = behind;
    }
    out + rest
}

/// Drops `-ffile-prefix-map=/build/x=.`, which only hides a folder of the build machine.
fn without_prefix_maps(line: &str) -> String {
    let mut out = line.to_owned();
    for option in ["-ffile-prefix-map=", "-fdebug-prefix-map="] {
        while let Some(at) = out.find(option) {
            let length = out[at..]
                .find(|c: char| c.is_whitespace() || "'\"".contains(c))
                .unwrap_or(out.len() - at);
            let blank = usize::from(out[at + length..].starts_with(' '));
            out.replace_range(at..at + length + blank, "");
        }
    }
    out
}

/// `/build/reproducible-path/python3.13-3.13.5/x` becomes `./x`: the first folder of its source.
fn without_build_folder(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("/build/") {
        let (before, path) = rest.split_at(at);
        let starts = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "./-_".contains(c));
        let length = path
            .find(|c: char| c.is_whitespace() || "'\":,;".contains(c))
            .unwrap_or(path.len());
        out.push_str(before);
        if starts {
            out.push('.');
            // `/build/<folder>/<package>` are the build machine's; what follows is the source's.
            if let Some((inside, _)) = path[1..length].match_indices('/').nth(2) {
                out.push_str(&path[1 + inside..length]);
            }
        } else {
            out.push_str(&path[..length]);
        }
        rest = &path[length..];
    }
    out + rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn build_data_of_a_build_of_our_own_names_neither_its_prefix_nor_its_folder() {
        let text = "build_time_vars = {\n 'BINDIR': '/out/of-this-build/bin',\n \
            'CONFIG_ARGS': \"'--prefix=/out/of-this-build' 'OPT=-O3'\",\n \
            'INSTALL': '/usr/bin/install -c',\n 'CC': 'gcc',\n \
            'COVERAGE_INFO': '/tmp/build/python/coverage.info',\n \
            'TZPATH': '/usr/share/zoneinfo:/etc/zoneinfo',\n 'WASM': './out/of-this-build',\n \
            'abs_builddir': '/tmp/build/python',\n 'prefix': '/out/of-this-build',\n}\n";
        assert_eq!(value(text, "prefix"), Some("/out/of-this-build"));
        let out = rewrite_own("_sysconfigdata__x.py", text).unwrap();
        for expected in [
            "'BINDIR': '{closure}/bin'",
            "'--prefix={closure}' 'OPT=-O3'",
            "'INSTALL': 'install -c'",
            "'COVERAGE_INFO': './coverage.info'",
            "'TZPATH': '/usr/share/zoneinfo:/etc/zoneinfo'",
            "'WASM': '.'",
            "'abs_builddir': '.'",
            "'prefix': '{closure}'",
            "del _place",
        ] {
            assert!(out.contains(expected), "{expected} in\n{out}");
        }
        let left = text.replace("'CC': 'gcc'", "'CC': 'x:y/out/of-this-build'");
        let error = rewrite_own("_sysconfigdata__x.py", &left).unwrap_err();
        assert!(matches!(error, RelocateError::Left { .. }), "{error:?}");
    }

    #[test]
    fn build_data_names_no_folder_of_host_or_build_machine() {
        let text = "build_time_vars = {\n \
            'AR': 'x86_64-linux-gnu-gcc-ar',\n 'CC': 'x86_64-linux-gnu-gcc -pthread',\n 'CXX': 'x86_64-linux-gnu-g++',\n \
            'INSTALL': '/usr/bin/install -c',\n 'LIBDIR': '/usr/lib/x86_64-linux-gnu',\n 'prefix': '/usr',\n \
            'CONFIG_ARGS': \"'--prefix=/usr' '--libdir=/usr/lib/x86_64-linux-gnu' '--with-wheel-pkg-dir=/usr/share/python-wheels/'\",\n \
            'abs_builddir': '/build/reproducible-path/python3.13-3.13.5/build-shared',\n 'DIR': '/build/python3-ab1/python3.11-3.11.2',\n \
            'SCRIPT': 'build/scripts-3.13/x',\n 'WASM': './usr/lib/x',\n 'FLAGS': '-I/usr/include/uuid',\n \
            'CFLAGS': '-g -ffile-prefix-map=/build/python3.9-a/python3.9-3.9.2=. -O2 -fdebug-prefix-map=/build/x=y',\n \
            'SOABI': 'cpython-313-x86_64-linux-gnu',\n 'TZPATH': '/usr/share/zoneinfo:/etc/zoneinfo',\n}\n";
        let out = rewrite("_sysconfigdata__x.py", text, "3.13").unwrap();
        for expected in [
            "'AR': 'ar'",
            "'CC': 'gcc -pthread'",
            "'CXX': 'g++'",
            "'INSTALL': 'install -c'",
            "'LIBDIR': '{closure}/lib'",
            "'prefix': '{closure}'",
            "'--prefix={closure}' '--libdir={closure}/lib' '--with-wheel-pkg-dir={closure}/lib/python3.13/ensurepip/_bundled'",
            "'abs_builddir': './build-shared'",
            "'DIR': '.'",
            "'SCRIPT': 'build/scripts-3.13/x'",
            "'WASM': './usr/lib/x'",
            "'-I{closure}/include/uuid'",
            "'CFLAGS': '-g -O2 '",
            "'SOABI': 'cpython-313-x86_64-linux-gnu'",
            "'TZPATH': '/usr/share/zoneinfo:/etc/zoneinfo'",
            "del _place",
        ] {
            assert!(out.contains(expected), "{expected} in\n{out}");
        }
    }
}
