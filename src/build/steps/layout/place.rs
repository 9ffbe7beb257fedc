//! Path in a Debian package → where that file goes in a closure, if anywhere. Begin at [`place`].
//!
//! This is the one table of what a closure takes from a distribution. All that is not in it is
//! left out: manuals, change logs, translations, static libraries, service units,
//! maintainers' programs, configuration (which belongs to the host).
//!
//! | in the package (`/usr` merged or not) | in the closure | remark |
//! | --- | --- | --- |
//! | `bin/*` | `bin/` | of an interpreter, or of a package that the recipe names |
//! | `lib/*.so*`, `lib64/*.so*`, `lib/<triplet>/*.so*` | `lib/<SONAME>` | shared libraries only, under the name that others need |
//! | `lib/python3.X/**` | same; `dist-packages` becomes `site-packages` | without what only speaks of Debian |
//! | `lib/python3/dist-packages/**` | same | [`crate::build::steps::relocate`] knows the version and moves it |
//! | `share/python-wheels/pip-*.whl` | same | likewise, to `ensurepip`; of bullseye all wheels, which stay |
//! | `lib/locale/C.utf8/**`, of bullseye `C.UTF-8` | same, and a link by the other name | glibc has no built-in UTF-8 locale |
//! | `share/zoneinfo/**` | same | without `right/`, `posix/`, `localtime` |
//! | `lib/terminfo/**`, `share/terminfo/**` | `share/terminfo/**` | |
//! | `share/ca-certificates/**/*.crt` | joined in `etc/ssl/certs/ca-certificates.crt` | what the package's maintainer script would make |
//! | `etc/mime.types` | same | |
//! | `share/doc/<package>/copyright` | `share/licenses/<package>/copyright` | licences travel |
//! | `include/**` | same, without the triplet | of a package that the recipe names: for extensions built on top |
//! | `libexec/**`, `share/**`, other `lib/*/**` | same, without the triplet | of a package that the recipe names |
//!
//! Private folders of libraries that are code for one host or one build are never taken: `gconv`
//! (character sets; Python has its own), OpenSSL's `engines-3` and `ossl-modules` (the legacy
//! provider: MD4 and the like, asked for by `OPENSSL_MODULES` where somebody still needs it),
//! `perl*`, `security` (PAM), `systemd`, `udev`.

use super::Layout;
use crate::platform::Platform;

/// The joined certificates.
pub(crate) const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    Drop,
    /// To this path.
    At(String),
    /// To `lib/`, under its SONAME when it is a shared library, else nowhere.
    Library,
    /// Into the joined certificates.
    Certificate,
}

/// Where the file or link at `path` (relative, as the package has it) goes.
pub(crate) fn place(path: &str, layout: &Layout<'_>) -> Place {
    let named = layout.named;
    let inside = path.strip_prefix("usr/").unwrap_or(path);
    let Some((top, rest)) = inside.split_once('/') else {
        return Place::Drop;
    };
    match top {
        "bin" if named || layout.is_interpreter() => keep(format!("bin/{rest}")),
        "lib" | "lib64" => library_folder(rest, named),
        "share" => share(rest, layout.package, named),
        "include" if named => include(rest),
        "libexec" if named => keep(format!("libexec/{rest}")),
        "etc" if inside == "etc/mime.types" => keep(inside),
        _ => Place::Drop,
    }
}

fn keep(path: impl Into<String>) -> Place {
    Place::At(path.into())
}

/// Headers. The `pyconfig.h` beside a processor's own only chooses between those of all processors.
fn include(rest: &str) -> Place {
    match rest.split_once('/') {
        Some((first, below)) if Platform::of_triplet(first).is_some() => {
            keep(format!("include/{below}"))
        }
        Some((first, "pyconfig.h")) if first.starts_with("python3.") => Place::Drop,
        _ => keep(format!("include/{rest}")),
    }
}

/// What is in `lib/`: libraries, Python, locales, terminfo of older suites.
fn library_folder(rest: &str, named: bool) -> Place {
    let Some((first, below)) = rest.split_once('/') else {
        return library(rest);
    };
    match first {
        // The folder of an architecture's libraries: a package has those of its own only.
        _ if Platform::of_triplet(first).is_some() => match below.split_once('/') {
            None => library(below),
            Some((folder, _)) if named && !is_host_code(folder) => keep(format!("lib/{below}")),
            Some(_) => Place::Drop,
        },
        "locale" if below.starts_with("C.utf8/") || below.starts_with("C.UTF-8/") => {
            keep(format!("lib/{rest}"))
        }
        "terminfo" => keep(format!("share/{rest}")),
        "python3" => keep(format!("lib/{rest}")),
        _ if first.starts_with("python3.") => python(first, below),
        _ if named && !is_host_code(first) => keep(format!("lib/{rest}")),
        _ => Place::Drop,
    }
}

fn library(name: &str) -> Place {
    // A tool to trace memory or profiles, loaded by LD_PRELOAD, is of no use without its program.
    let is_tool = matches!(
        name,
        "libmemusage.so" | "libpcprofile.so" | "libc_malloc_debug.so.0"
    );
    let is_shared = name.ends_with(".so") || name.contains(".so.");
    if is_shared && !is_tool {
        Place::Library
    } else {
        Place::Drop
    }
}

fn is_host_code(folder: &str) -> bool {
    matches!(
        folder,
        "gconv"
            | "engines-3"
            | "ossl-modules"
            | "security"
            | "systemd"
            | "udev"
            | "pkgconfig"
            | "cmake"
    ) || folder.starts_with("perl")
        || folder.ends_with(".d")
}

/// The standard library, without the links and files that only make sense in `/usr`.
fn python(version: &str, below: &str) -> Place {
    let first = below.split('/').next().unwrap_or(below);
    match first {
        "EXTERNALLY-MANAGED" | "sitecustomize.py" | "_distutils_system_mod.py" => Place::Drop,
        // Where the distribution's own Python lies, for programs that do not start it (since 3.14).
        _ if !below.contains('/') && is_of_installation(first) => Place::Drop,
        // Static library, Makefile and objects for embedding: they need headers that are not here.
        _ if first.starts_with("config-") && below.contains('/') => Place::Drop,
        _ if below.split('/').any(|part| part == "__pycache__") => Place::Drop,
        "dist-packages" => keep(format!(
            "lib/{version}/site-packages{}",
            &below["dist-packages".len()..]
        )),
        _ => keep(format!("lib/{version}/{below}")),
    }
}

/// `build-details.json` (PEP 739; Debian adds a triplet) and `_sysconfig_vars__*.json`: absolute paths.
fn is_of_installation(file: &str) -> bool {
    let described = ["build-details.", "_sysconfig_vars_"];
    file.ends_with(".json") && described.iter().any(|start| file.starts_with(start))
}

fn share(rest: &str, package: &str, named: bool) -> Place {
    let Some((first, below)) = rest.split_once('/') else {
        return match named {
            true => keep(format!("share/{rest}")),
            false => Place::Drop,
        };
    };
    match first {
        "zoneinfo" => match below.split('/').next() {
            Some("right" | "posix" | "localtime") => Place::Drop,
            _ => keep(format!("share/{rest}")),
        },
        "terminfo" => keep(format!("share/{rest}")),
        "ca-certificates" if below.ends_with(".crt") => Place::Certificate,
        // Before bookworm pip's own dependencies are wheels beside it.
        "python-wheels" if below.starts_with("pip-") || package == "python-pip-whl" => {
            keep(format!("share/{rest}"))
        }
        "doc" => match below.split_once('/') {
            Some((package, "copyright")) => keep(format!("share/licenses/{package}/copyright")),
            _ => Place::Drop,
        },
        "bash-completion" | "zsh" | "fish" | "man" | "info" | "locale" | "lintian" | "bug"
        | "doc-base" | "help" | "gdb" | "gcc" | "ca-certificates" | "python-wheels"
        | "pkgconfig" | "applications" | "icons" | "pixmaps" | "binfmts" => Place::Drop,
        _ if named => keep(format!("share/{rest}")),
        _ => Place::Drop,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(package: &str, named: bool, path: &str) -> Option<String> {
        match place(
            path,
            &Layout {
                package,
                named,
                exclude: &[],
            },
        ) {
            Place::At(path) => Some(path),
            Place::Library => Some("(library)".to_owned()),
            Place::Certificate => Some("(certificate)".to_owned()),
            Place::Drop => None,
        }
    }

    #[test]
    fn merged_and_unmerged_packages_give_one_layout() {
        for path in [
            "lib/x86_64-linux-gnu/libz.so.1.3",
            "usr/lib/x86_64-linux-gnu/libz.so.1.3",
            "lib64/libz.so.1.3",
        ] {
            assert_eq!(
                of("zlib1g", false, path).as_deref(),
                Some("(library)"),
                "{path}"
            );
        }
        for path in ["lib/terminfo/x/xterm", "usr/share/terminfo/x/xterm"] {
            assert_eq!(
                of("ncurses-base", false, path).as_deref(),
                Some("share/terminfo/x/xterm")
            );
        }
    }

    #[test]
    fn what_only_a_distribution_needs_stays_out() {
        for path in [
            "usr/share/man/man1/python3.13.1.gz",
            "usr/share/doc/libc6/changelog.Debian.gz",
            "usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so",
            "usr/lib/x86_64-linux-gnu/engines-3/afalg.so",
            "usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
            "usr/lib/x86_64-linux-gnu/libz.a",
            "usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc",
            "usr/include/zlib.h",
            "usr/sbin/ldconfig",
            "usr/bin/iconv",
            "etc/ld.so.conf",
            "usr/lib/binfmt.d/python3.13.conf",
            "usr/share/zoneinfo/right/UTC",
            "usr/share/zoneinfo/localtime",
            "usr/lib/python3.13/EXTERNALLY-MANAGED",
            "usr/lib/python3.13/sitecustomize.py",
            "usr/lib/python3.14/build-details..x86_64-linux-gnu.json",
            "usr/lib/python3.14/_sysconfig_vars__linux_x86_64-linux-gnu.json",
            "usr/lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11.a",
            "lib/systemd/system/x.service",
        ] {
            assert_eq!(of("any", false, path), None, "{path}");
        }
    }

    #[test]
    fn programs_come_from_interpreters_and_from_packages_that_the_recipe_names() {
        assert_eq!(
            of("python3.13-minimal", false, "usr/bin/python3.13").as_deref(),
            Some("bin/python3.13")
        );
        assert_eq!(of("coreutils", false, "bin/ls"), None);
        assert_eq!(of("coreutils", true, "bin/ls").as_deref(), Some("bin/ls"));
        assert_eq!(
            of("libmagic-mgc", true, "usr/lib/file/magic.mgc").as_deref(),
            Some("lib/file/magic.mgc")
        );
        assert_eq!(
            of("libmagic-mgc", true, "usr/share/misc/magic").as_deref(),
            Some("share/misc/magic")
        );
        assert_eq!(
            of("ca-certificates", true, "usr/sbin/update-ca-certificates"),
            None
        );
    }

    #[test]
    fn debians_python_folders_become_upstreams() {
        let at = |path: &str| of("python3-x", false, path);
        assert_eq!(
            at("usr/lib/python3.13/dist-packages/a.py").as_deref(),
            Some("lib/python3.13/site-packages/a.py")
        );
        assert_eq!(
            at("usr/lib/python3/dist-packages/a.py").as_deref(),
            Some("lib/python3/dist-packages/a.py")
        );
        assert_eq!(
            at("usr/lib/python3.11/configparser.py").as_deref(),
            Some("lib/python3.11/configparser.py")
        );
        assert_eq!(
            of(
                "python3-pip-whl",
                false,
                "usr/share/python-wheels/pip-25.1.1-py3-none-any.whl"
            )
            .as_deref(),
            Some("share/python-wheels/pip-25.1.1-py3-none-any.whl")
        );
    }

    #[test]
    fn pip_comes_with_the_projects_that_it_was_taken_apart_into() {
        let requests = "usr/share/python-wheels/requests-2.25.1-py2.py3-none-any.whl";
        assert!(of("python-pip-whl", false, requests).is_some());
        assert_eq!(of("python3-setuptools-whl", false, requests), None);
    }

    #[test]
    fn headers_come_from_packages_that_the_recipe_names() {
        let at = |named, path: &str| of("libpython3.13-dev", named, path);
        let own = "usr/include/x86_64-linux-gnu/python3.13/pyconfig.h";
        let place = Some("include/python3.13/pyconfig.h");
        assert_eq!(at(true, own).as_deref(), place);
        assert_eq!(at(false, own), None);
        assert_eq!(at(true, "usr/include/python3.13/pyconfig.h"), None);
        assert_eq!(
            at(true, "usr/include/python3.13/Python.h").as_deref(),
            Some("include/python3.13/Python.h")
        );
    }

    #[test]
    fn licences_travel() {
        assert_eq!(
            of("zlib1g", false, "usr/share/doc/zlib1g/copyright").as_deref(),
            Some("share/licenses/zlib1g/copyright")
        );
    }
}
