//! Byte code and wheels, made with a real interpreter in the sandbox and a real uv.
//!
//! The interpreter is this machine's own `/usr/bin/python3`, or `RECIPE_TEST_PYTHON`; uv comes
//! from the index that pip would ask. Older ones are those of closures that are built for it. What
//! the machine lacks is said and left out.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use recipe::build::steps::bytecode::{BytecodeError, Compilers, compile_tree};
use recipe::sandbox::Sandbox;
use recipe_store::{Entry, Session, Store, StoreError, TreeBuilder, TreeId, walk};

use crate::support::{checkout, copy, sources_of};

/// A root, `sys.executable` in it without links, `3.13`, and the folder of the standard library.
struct Python {
    root: Utf8PathBuf,
    program: Utf8PathBuf,
    version: String,
    library: Utf8PathBuf,
}

impl Python {
    fn find() -> Option<Python> {
        let given = std::env::var("RECIPE_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
        let python = Python::of(&given, Utf8Path::new("/"))?;
        // What these tests ask of code objects came with 3.11.
        let minor: u32 = python.version.strip_prefix("3.")?.parse().ok()?;
        (minor >= 11).then_some(python)
    }

    fn of(given: &str, root: &Utf8Path) -> Option<Python> {
        let ask = "import os,sys,sysconfig\nprint(os.path.realpath(sys.executable))\n\
            print('%d.%d' % sys.version_info[:2])\nprint(sysconfig.get_path('stdlib'))";
        let output = Command::new(given).args(["-I", "-c", ask]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut lines = text.lines();
        let mut next = || lines.next().map(str::to_owned);
        Some(Python {
            root: root.to_owned(),
            program: next()?.into(),
            version: next()?,
            library: next()?.into(),
        })
    }

    fn or_skip() -> Option<Python> {
        let python = Python::find();
        if python.is_none() {
            eprintln!("skipped: this machine has no Python of 3.11 or later at /usr/bin/python3");
        }
        python
    }

    fn compilers(&self) -> Compilers {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
        let inside = self.program.strip_prefix(&self.root).unwrap();
        let program = Utf8Path::new("/").join(inside);
        Compilers::new(sandbox, &self.root, program, &self.version)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.program)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sources of the standard library by their path in a closure: some of every kind.
    fn sources(&self) -> Vec<(String, Vec<u8>)> {
        let mut sources = Vec::new();
        for name in [
            "",
            "json",
            "asyncio",
            "collections",
            "ctypes",
            "email",
            "encodings",
            "logging",
        ] {
            for entry in std::fs::read_dir(self.library.join(name)).unwrap() {
                let path = Utf8PathBuf::from_path_buf(entry.unwrap().path()).unwrap();
                if let (Some("py"), Ok(bytes)) = (path.extension(), std::fs::read(&path)) {
                    let inside = path.strip_prefix(&self.library).unwrap();
                    sources.push((format!("lib/python{}/{inside}", self.version), bytes));
                }
            }
        }
        // Words that the compiler knows once it has met what stands in the second of them.
        for (name, text) in [
            (
                "aa",
                "normalize = ['NFKC', 'decimal', '{', '}', '{{', 'inf']\n",
            ),
            (
                "zz",
                "from __future__ import annotations\nø: f'{{{a}}}' = '\\N{BULLET}', 1e999\n",
            ),
        ] {
            let path = format!("lib/python{}/{name}.py", self.version);
            sources.push((path, text.as_bytes().to_vec()));
        }
        sources.sort();
        sources
    }
}

struct Scratch {
    folder: tempfile::TempDir,
    session: Session,
}

impl Scratch {
    fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("store");
        Scratch {
            session: Store::open(&path).unwrap().session().unwrap(),
            folder,
        }
    }

    fn tree<'a>(&self, files: impl IntoIterator<Item = &'a (String, Vec<u8>)>) -> TreeId {
        let mut builder = TreeBuilder::new();
        for (path, bytes) in files {
            let blob = self.session.put_blob(bytes, false).unwrap();
            builder
                .insert(
                    path,
                    Entry::File {
                        blob,
                        executable: false,
                    },
                )
                .unwrap();
        }
        builder.finish(&self.session).unwrap()
    }

    fn files(&self, tree: &TreeId) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        walk::<StoreError>(&self.session, tree, &mut |path, entry| {
            if let Entry::File { blob, .. } = entry {
                files.insert(path.to_owned(), self.session.read_blob(blob)?);
            }
            Ok(())
        })
        .unwrap();
        files
    }
}

#[test]
fn byte_code_does_not_depend_on_order_or_on_what_else_is_compiled() {
    if let Some(python) = Python::or_skip() {
        order_makes_no_difference(&python);
    }
}

#[test]
fn byte_code_of_the_python_that_recipes_have_does_not_depend_on_order_either() {
    order_makes_no_difference_to("python");
}

#[test]
fn byte_code_of_older_pythons_does_not_depend_on_order_either() {
    for form in ["python@3.9", "python@3.11"] {
        order_makes_no_difference_to(form);
    }
}

/// Mirrors keep sid's files until the next upload: where they are gone, nothing is proved here.
#[test]
fn byte_code_of_a_newer_python_does_not_depend_on_order_either() {
    order_makes_no_difference_to("python-3.14");
}

fn order_makes_no_difference_to(form: &str) {
    if let Some(sources) = sources_of(&format!("recipes/python/{form}.lock.kdl")) {
        let home = crate::support::Scratch::new().local(&sources);
        home.run(["build", form, "--locked"]).ok();
        let closure = home.work().join("result").join(form);
        // Python 3.9 does not look for its library in the top folder of a root.
        let root = home.path().canonicalize_utf8().unwrap().join("root");
        let place = root.join("python");
        copy(&closure.canonicalize_utf8().unwrap(), &place);
        let python = Python::of(place.join("bin/python3").as_str(), &root).unwrap();
        let wanted = form.rsplit(['@', '-']).next().filter(|it| *it != form);
        assert_eq!(wanted.unwrap_or("3.13"), python.version);
        order_makes_no_difference(&python);
    }
}

fn order_makes_no_difference(python: &Python) {
    let scratch = Scratch::new();
    let sources = python.sources();
    let whole = scratch.tree(&sources);
    let together = compile_tree(&scratch.session, &whole, &python.compilers()).unwrap();
    assert_eq!(together.files + together.skipped.len(), sources.len());
    let together = scratch.files(&together.tree);
    // Five trees of every fifth file, last one first, in workers that go on from one to the next.
    let compilers = python.compilers();
    let mut apart = BTreeMap::new();
    for part in (0..5).rev() {
        let tree = scratch.tree(sources.iter().skip(part).step_by(5));
        let compiled = compile_tree(&scratch.session, &tree, &compilers).unwrap();
        apart.extend(scratch.files(&compiled.tree));
    }
    assert!(together == apart);
    words_that_were_met_make_no_difference_to_sets(&scratch, python);
}

/// Functions share a set that they both have, unless its strings were met before.
fn words_that_were_met_make_no_difference_to_sets(scratch: &Scratch, python: &Python) {
    let of = |name: &str, text: &str| {
        let path = format!("lib/python{}/{name}.py", python.version);
        (path, text.as_bytes().to_vec())
    };
    let words = of("a", "def met_before(): pass\n");
    // Other constants beside them, or all constants would be shared together.
    let sets = of(
        "b",
        "def one(x): return 1 if x in {'met_before', 'met_never'} else 2\n\
         def two(x): return 3 if x in {'met_before', 'met_never'} else 4\n",
    );
    let compiled = |sources: &[&(String, Vec<u8>)]| {
        let tree = scratch.tree(sources.iter().copied());
        let compiled = compile_tree(&scratch.session, &tree, &python.compilers()).unwrap();
        scratch.files(&compiled.tree).pop_last().unwrap()
    };
    assert!(compiled(&[&words, &sets]) == compiled(&[&sets]));
}

#[test]
fn byte_code_is_what_compileall_makes() {
    let Some(python) = Python::or_skip() else {
        return;
    };
    let scratch = Scratch::new();
    let tree = scratch.tree(&python.sources());
    let compiled = compile_tree(&scratch.session, &tree, &python.compilers()).unwrap();
    let theirs = scratch.folder.path().join("theirs");
    let ours = scratch.session.checkout(&compiled.tree).unwrap();
    let from = scratch.session.checkout(&tree).unwrap();
    let copy = Command::new("cp")
        .arg("-r")
        .arg(&from)
        .arg(&theirs)
        .status()
        .unwrap();
    assert!(copy.success());
    let theirs = theirs.to_str().unwrap();
    let modes = [
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        theirs,
        "-p",
        "",
    ];
    python.run(&[&["-m", "compileall", "-q"][..], &modes[..], &[theirs][..]].concat());
    let compare = r#"
import glob, marshal, os, sys, types
ours, theirs = sys.argv[1:]
def facts(code):
    # Equality of code objects leaves out names of files.
    return [code, code.co_filename, code.co_firstlineno, code.co_qualname] + [
        facts(c) for c in code.co_consts if isinstance(c, types.CodeType)]
names = glob.glob("**/*.pyc", root_dir=theirs, recursive=True)
assert sorted(names) == sorted(glob.glob("**/*.pyc", root_dir=ours, recursive=True))
for name in names:
    a, b = (open(os.path.join(root, name), "rb").read() for root in (ours, theirs))
    assert a[:16] == b[:16], name
    assert facts(marshal.loads(a[16:])) == facts(marshal.loads(b[16:])), name
print(len(names))
"#;
    let count = python.run(&["-c", compare, ours.as_str(), theirs]);
    assert_eq!(count.trim(), compiled.files.to_string());
}

#[test]
fn tracebacks_show_where_a_closure_lies_now() {
    let Some(python) = Python::or_skip() else {
        return;
    };
    let scratch = Scratch::new();
    let library = format!("lib/python{}", python.version);
    let files = [(
        format!("{library}/moved_module.py"),
        b"def f(): pass\n".to_vec(),
    )];
    let tree = scratch.tree(&files);
    let compiled = compile_tree(&scratch.session, &tree, &python.compilers()).unwrap();
    let mut both = TreeBuilder::from_tree(tree);
    both.merge("", compiled.tree).unwrap();
    let at = scratch
        .session
        .checkout(&both.finish(&scratch.session).unwrap())
        .unwrap();
    let path = format!("{at}/{library}");
    let ask = "import sys; sys.path.insert(0, sys.argv[1]); import moved_module as m\n\
        print(m.f.__code__.co_filename); print(m.__cached__ in m.__spec__.cached)\n\
        print(m.__loader__.get_code('moved_module').co_filename)";
    let said = python.run(&["-B", "-c", ask, &path]);
    assert_eq!(
        said,
        format!("{path}/moved_module.py\nTrue\n{path}/moved_module.py\n")
    );
}

#[test]
fn sources_of_any_encoding_compile_and_what_does_not_is_told() {
    let Some(python) = Python::or_skip() else {
        return;
    };
    let scratch = Scratch::new();
    let at = |name: &str| format!("lib/python{}/{name}", python.version);
    let files = [
        (
            at("site-packages/bom.py"),
            b"\xef\xbb\xbfx = '\xc3\xa9'\n".to_vec(),
        ),
        (
            at("site-packages/latin.py"),
            b"# coding: latin-1\nx = '\xe9'\n".to_vec(),
        ),
        (
            at("site-packages/russian.py"),
            b"# -*- coding: koi8-r -*-\nx = '\xc1'\n".to_vec(),
        ),
        (at("site-packages/escape.py"), b"x = '\\d'\n".to_vec()),
        (at("site-packages/empty.py"), Vec::new()),
        (at("site-packages/old.py"), b"print 'two'\n".to_vec()),
        (at("site-packages/nul.py"), b"x = 1\0\n".to_vec()),
        (
            at("site-packages/deep.py"),
            [b"(".repeat(5000), b")".repeat(5000)].concat(),
        ),
        (at("site-packages/words.txt"), b"not python".to_vec()),
        ("libexec/scripts/x.py".to_owned(), b"x = 1\n".to_vec()),
    ];
    let tree = scratch.tree(&files);
    let compiled = compile_tree(&scratch.session, &tree, &python.compilers()).unwrap();
    let skipped: Vec<&str> = compiled
        .skipped
        .iter()
        .filter_map(|file| file.path.rsplit('/').next())
        .collect();
    assert_eq!(skipped, ["deep.py", "nul.py", "old.py"]);
    assert!(
        compiled.skipped[2].reason.starts_with("SyntaxError: "),
        "{:?}",
        compiled.skipped
    );
    assert_eq!(compiled.files, 5);
    let tag = format!("cpython-{}", python.version.replace('.', ""));
    let files = scratch.files(&compiled.tree);
    assert!(
        files.keys().all(|path| path.contains("/__pycache__/")),
        "{:?}",
        files.keys()
    );
    let empty = &files[&at(&format!("site-packages/__pycache__/empty.{tag}.pyc"))];
    assert_eq!(empty[4..8], [1, 0, 0, 0], "hash-based and unchecked");
}

#[test]
fn an_interpreter_of_another_version_is_refused() {
    let Some(python) = Python::or_skip() else {
        return;
    };
    let scratch = Scratch::new();
    let tree = scratch.tree(&[("lib/python3.3/x.py".to_owned(), b"x = 1\n".to_vec())]);
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
    let compilers = Compilers::new(sandbox, Utf8Path::new("/"), &python.program, "3.3");
    let error = compile_tree(&scratch.session, &tree, &compilers).unwrap_err();
    assert!(
        matches!(&error, BytecodeError::Version { wanted, .. } if wanted == "cpython-33"),
        "{error}"
    );
}

#[test]
fn an_interpreter_that_breaks_is_told_with_its_last_words() {
    let scratch = Scratch::new();
    let tree = scratch.tree(&[("lib/python3.13/x.py".to_owned(), b"x = 1\n".to_vec())]);
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
    let compilers = Compilers::new(sandbox, Utf8Path::new("/"), "/bin/sh", "3.13");
    let error = compile_tree(&scratch.session, &tree, &compilers).unwrap_err();
    assert!(matches!(&error, BytecodeError::Worker { .. }), "{error}");
}

/// What is told of a program of `tests/data/` that is no interpreter.
fn told(program: &str) -> String {
    failure(program).to_string()
}

fn failure(program: &str) -> BytecodeError {
    let scratch = Scratch::new();
    // More than a pipe takes.
    let tree = scratch.tree(&[("lib/python3.13/x.py".to_owned(), vec![b'\n'; 4 << 20])]);
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
    // The sandbox has a /tmp of its own, and this checkout may lie in the one of the machine.
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let place = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join(program);
    std::fs::copy(checkout().join("tests/data").join(program), &place).expect("copied");
    let compilers = Compilers::new(sandbox, Utf8Path::new("/"), place, "3.13");
    compile_tree(&scratch.session, &tree, &compilers).unwrap_err()
}

#[test]
fn an_interpreter_that_falls_silent_and_never_ends_does_not_hold_us_up() {
    let since = Instant::now();
    for program in ["mute.sh", "mute-after-hello.sh"] {
        let told = told(program);
        assert!(told.contains("closed its output"), "{told}");
    }
    assert!(since.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_interpreter_that_dies_at_work_is_told_with_its_signal() {
    for _ in 0..20 {
        let told = told("dies-after-hello.sh");
        assert!(told.contains("ended by signal 9"), "{told}");
    }
}

#[test]
fn all_that_a_dying_interpreter_wrote_is_there_for_the_log() {
    let error = failure("complains-and-dies.sh");
    let said = error.said();
    assert!(said.ends_with("first line\nsecond line\n"), "{said}");
    assert!(error.to_string().contains("(second line)"), "{error}");
}
