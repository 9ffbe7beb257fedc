//! Rules and the paths of a closure → which paths stay. Begin at [`Trimmer::keeps`].
//!
//! Pure: a rule looks at names only. What it takes must not be missed by any program that runs;
//! where a name can mean both (a folder `test` of helpers, headers for building), it stays.
//!
//! | rule | takes | leaves |
//! | --- | --- | --- |
//! | `tests` | `lib/python3.X/test`, folders `tests` and `idle_test`, modules such as `_testcapi`; in folders `test` the files `test_*.py`, `*_test.py` | `unittest`, `doctest`, `numpy.testing`, `django.test`; `__init__.py` and `_*.py` of a folder `tests`, which other modules import |
//! | `docs` | `pydoc_data`, `share/doc`, `share/man`, `share/info`; `.rst` and `.md` in folders `doc` and `docs` | modules in such folders (`botocore.docs`), licences, metadata |
//! | `static-libs` | `.a`, `.la`, `.pc`, `lib/python3.X/config-*` | headers: building extensions on top needs them |
//! | `sources` | `x.c`, `x.cpp`, `x.pyx`, `x.pxd` … beside a compiled `x.*.so`; `x.py` beside an `x.*.so` for this Python or for the stable ABI, which is what an import takes | what has no compiled module beside it: it may be read or compiled at run time; `__init__.py`, by which other tools know a package |
//! | `idle` | `idlelib`, `turtledemo`, `lib2to3`; `tkinter` and `turtle.py` where `_tkinter` is missing | |

use std::collections::BTreeSet;

use crate::recipe::Trim;

/// Decides for one closure.
#[derive(Debug, Clone)]
pub(super) struct Trimmer {
    rules: BTreeSet<Trim>,
    /// `site-packages/a/b` for each `site-packages/a/b.*.so` or `….so`.
    compiled: BTreeSet<String>,
    /// Those of them that this Python imports, whatever else is beside them.
    imported: BTreeSet<String>,
    has_tkinter: bool,
}

impl Trimmer {
    /// `paths` are all files of the closure; rules that look at neighbours need them.
    pub(super) fn new<'a>(rules: &[Trim], paths: impl IntoIterator<Item = &'a str>) -> Trimmer {
        let mut trimmer = Trimmer {
            rules: rules.iter().copied().collect(),
            compiled: BTreeSet::new(),
            imported: BTreeSet::new(),
            has_tkinter: false,
        };
        for path in paths.into_iter().filter(|path| path.ends_with(".so")) {
            let (folder, name) = split(path);
            let (module, ending) = name.split_once('.').unwrap_or((name, ""));
            trimmer.has_tkinter |= module == "_tkinter";
            let path_of_module = format!("{folder}/{module}");
            if is_imported(path, ending) {
                trimmer.imported.insert(path_of_module.clone());
            }
            trimmer.compiled.insert(path_of_module);
        }
        trimmer
    }

    /// Whether the file at `path` stays. Byte code goes where its source goes.
    pub(super) fn keeps(&self, path: &str) -> bool {
        let source = source_of(path);
        let path = source.as_deref().unwrap_or(path);
        !self.rules.iter().any(|rule| self.takes(*rule, path))
    }

    fn takes(&self, rule: Trim, path: &str) -> bool {
        match rule {
            Trim::Tests => is_test(path),
            Trim::Docs => is_documentation(path),
            Trim::StaticLibs => is_static_library(path),
            Trim::Sources => self.is_source(path),
            Trim::Idle => self.is_idle(path),
        }
    }

    fn is_source(&self, path: &str) -> bool {
        const SOURCES: [&str; 8] = ["c", "cc", "cpp", "cxx", "pyx", "pxd", "pxi", "h"];
        let (folder, name) = split(path);
        let Some((module, ending)) = name.split_once('.') else {
            return false;
        };
        let beside = format!("{folder}/{module}");
        match ending {
            "py" => module != "__init__" && self.imported.contains(&beside),
            _ => SOURCES.contains(&ending) && self.compiled.contains(&beside),
        }
    }

    fn is_idle(&self, path: &str) -> bool {
        let Some(inside) = library(path) else {
            return false;
        };
        match first(inside) {
            "idlelib" | "turtledemo" | "lib2to3" => true,
            "tkinter" | "turtle.py" => !self.has_tkinter,
            _ => false,
        }
    }
}

/// Whether the compiled module at `path` is one that its Python imports before any `.py`: tagged
/// with that Python's version, or `abi3`.
fn is_imported(path: &str, ending: &str) -> bool {
    let version = path
        .strip_prefix("lib/python3.")
        .and_then(|rest| rest.split('/').next());
    let tag = ending
        .strip_prefix("cpython-3")
        .and_then(|rest| rest.split('-').next());
    ending == "abi3.so" || (tag.is_some() && tag == version)
}

fn is_test(path: &str) -> bool {
    let name = split(path).1;
    let inside = match (site_package(path), library(path)) {
        (Some(inside), _) => inside,
        (None, Some(inside)) if first(inside) == "test" => return true,
        (None, Some(inside)) if first(inside) == "lib-dynload" => return is_test_extension(name),
        (None, Some(inside)) => inside,
        (None, None) => return false,
    };
    let is_file_of_tests =
        name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py";
    let is_imported = name.starts_with('_') && name.ends_with(".py");
    split(inside).0.split('/').any(|part| match part {
        "tests" | "idle_test" => !is_imported || is_file_of_tests,
        "test" => is_file_of_tests,
        _ => false,
    })
}

fn is_test_extension(name: &str) -> bool {
    let module = name.split('.').next().unwrap_or(name);
    module.starts_with("_test")
        || matches!(
            module,
            "_ctypes_test" | "_xxtestfuzz" | "xxlimited" | "xxlimited_35" | "xxsubtype"
        )
}

fn is_documentation(path: &str) -> bool {
    let share = path.strip_prefix("share/").map(first);
    let is_prose = path.ends_with(".rst") || path.ends_with(".md");
    let in_folder = || {
        split(path)
            .0
            .split('/')
            .any(|part| part == "doc" || part == "docs")
    };
    matches!(share, Some("doc" | "man" | "info"))
        || library(path).is_some_and(|inside| first(inside) == "pydoc_data")
        || (is_prose && site_package(path).is_some() && in_folder())
}

fn is_static_library(path: &str) -> bool {
    let ending = path.rsplit('.').next();
    matches!(ending, Some("a" | "la" | "pc"))
        || library(path).is_some_and(|inside| first(inside).starts_with("config-"))
}

/// `lib/python3.13/a/b` → `a/b`, without third-party modules.
fn library(path: &str) -> Option<&str> {
    let (version, inside) = path.strip_prefix("lib/python3.")?.split_once('/')?;
    let is_version = version.bytes().all(|byte| byte.is_ascii_digit());
    (is_version && !inside.starts_with("site-packages/")).then_some(inside)
}

/// `lib/python3.13/site-packages/a/b` → `a/b`.
fn site_package(path: &str) -> Option<&str> {
    let (_, inside) = path.strip_prefix("lib/python3.")?.split_once('/')?;
    inside.strip_prefix("site-packages/")
}

/// `a/__pycache__/b.cpython-313.pyc` → `a/b.py`.
fn source_of(path: &str) -> Option<String> {
    let (folder, name) = path.strip_suffix(".pyc")?.rsplit_once('/')?;
    let (module, _) = name.split_once('.')?;
    Some(format!(
        "{}/{module}.py",
        folder.strip_suffix("/__pycache__")?
    ))
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: [Trim; 5] = [
        Trim::Tests,
        Trim::Docs,
        Trim::StaticLibs,
        Trim::Sources,
        Trim::Idle,
    ];

    /// Those of `paths`, below `lib/python3.13/`, that `rules` take.
    fn taken<'a>(rules: &[Trim], paths: &[&'a str]) -> Vec<&'a str> {
        let full: Vec<String> = paths
            .iter()
            .map(|path| format!("lib/python3.13/{path}"))
            .collect();
        let trimmer = Trimmer::new(rules, full.iter().map(String::as_str));
        paths
            .iter()
            .zip(&full)
            .filter(|(_, full)| !trimmer.keeps(full))
            .map(|(path, _)| *path)
            .collect()
    }

    #[test]
    fn tests_go_and_what_helps_to_test_stays() {
        let gone = [
            "test/__init__.py",
            "test/support/__init__.py",
            "lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so",
            "lib-dynload/xxlimited.cpython-313-x86_64-linux-gnu.so",
            "ctypes/tests/x.py",
            "idlelib/idle_test/test_a.py",
            "site-packages/psutil/tests/test_linux.py",
            "site-packages/numpy/_core/tests/data/a.npy",
            "site-packages/foo/test/test_a.py",
            "site-packages/tests/test_x.py",
            "test/__pycache__/x.cpython-313.pyc",
        ];
        let kept = [
            "unittest/mock.py",
            "doctest.py",
            "site-packages/numpy/testing/__init__.py",
            "site-packages/numpy/testing/_private/utils.py",
            "site-packages/numpy/_core/tests/_natype.py",
            "site-packages/django/test/client.py",
            "site-packages/test_client/__init__.py",
            "site-packages/pytest/__init__.py",
            "lib-dynload/_ctypes.cpython-313-x86_64-linux-gnu.so",
        ];
        assert_eq!(taken(&[Trim::Tests], &gone), gone);
        assert_eq!(taken(&[Trim::Tests], &kept), [""; 0]);
    }

    #[test]
    fn a_closure_below_a_folder_named_tests_loses_nothing_more() {
        assert_eq!(
            taken(
                &[Trim::Tests],
                &["site-packages/latest/a.py", "attests/b.py"]
            ),
            [""; 0]
        );
        assert!(Trimmer::new(&ALL, []).keeps("tests/a"));
        assert!(Trimmer::new(&ALL, []).keeps("share/zoneinfo/UTC"));
    }

    #[test]
    fn documents_go_and_modules_that_make_documents_stay() {
        let gone = ["pydoc_data/topics.py", "site-packages/x/docs/index.rst"];
        assert_eq!(taken(&[Trim::Docs], &gone), gone);
        let kept = [
            "pydoc.py",
            "site-packages/botocore/docs/client.py",
            "site-packages/a-1.dist-info/licenses/LICENSE.md",
        ];
        assert_eq!(taken(&[Trim::Docs], &kept), [""; 0]);
        assert!(!Trimmer::new(&[Trim::Docs], []).keeps("share/man/man1/x.1"));
        assert!(Trimmer::new(&[Trim::Docs], []).keeps("share/licenses/libc6/copyright"));
    }

    #[test]
    fn a_source_goes_only_from_beside_its_compiled_module() {
        let paths = [
            "site-packages/cassandra/cluster.c",
            "site-packages/cassandra/cluster.py",
            "site-packages/cassandra/cluster.cpython-313-x86_64-linux-gnu.so",
            "site-packages/cassandra/bytesio.pyx",
            "site-packages/cassandra/bytesio.pxd",
            "site-packages/cassandra/bytesio.abi3.so",
            "site-packages/triton/driver.c",
            "site-packages/cffi/_cffi_include.h",
            "site-packages/black/__init__.py",
            "site-packages/black/__init__.cpython-313-x86_64-linux-gnu.so",
            "site-packages/other/python.py",
            "site-packages/other/python.cpython-312-x86_64-linux-gnu.so",
            "site-packages/by_ctypes/it.py",
            "site-packages/by_ctypes/it.so",
            "site-packages/cassandra/__pycache__/cluster.cpython-313.pyc",
        ];
        let gone = [
            "site-packages/cassandra/cluster.c",
            "site-packages/cassandra/cluster.py",
            "site-packages/cassandra/bytesio.pyx",
            "site-packages/cassandra/bytesio.pxd",
            "site-packages/cassandra/__pycache__/cluster.cpython-313.pyc",
        ];
        assert_eq!(taken(&[Trim::Sources], &paths), gone);
    }

    #[test]
    fn static_libraries_go_and_headers_stay() {
        let gone = [
            "config-3.13-x86_64-linux-gnu/Makefile",
            "site-packages/numpy/random/lib/libnpyrandom.a",
        ];
        assert_eq!(taken(&[Trim::StaticLibs], &gone), gone);
        assert_eq!(
            taken(
                &[Trim::StaticLibs],
                &["site-packages/numpy/_core/include/numpy/arrayobject.h"]
            ),
            [""; 0]
        );
        assert!(!Trimmer::new(&[Trim::StaticLibs], []).keeps("lib/pkgconfig/zlib.pc"));
        assert!(Trimmer::new(&[Trim::StaticLibs], []).keeps("include/python3.13/Python.h"));
    }

    #[test]
    fn tkinter_stays_where_its_library_is() {
        let idle = [
            "idlelib/idle.py",
            "turtledemo/__main__.py",
            "tkinter/__init__.py",
            "turtle.py",
        ];
        assert_eq!(taken(&[Trim::Idle], &idle), idle);
        let with = [
            "tkinter/__init__.py",
            "turtle.py",
            "lib-dynload/_tkinter.cpython-313-x86_64-linux-gnu.so",
        ];
        assert_eq!(taken(&[Trim::Idle], &with), [""; 0]);
    }

    #[test]
    fn without_rules_everything_stays() {
        assert_eq!(
            taken(&[], &["test/__init__.py", "idlelib/idle.py", "x.a"]),
            [""; 0]
        );
    }
}
