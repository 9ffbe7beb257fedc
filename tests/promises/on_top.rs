//! What is installed on top of a closure, with every Python: a venv, a wheel, an sdist in C that the
//! host's compiler builds with the closure's headers, and an overlay over a closure that is read-only.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::{Scratch, checkout, has, is_root, skip, sources_of};

/// A closure of `python-dev`, and a folder beside it to install into.
struct Top {
    scratch: Scratch,
    closure: Utf8PathBuf,
}

impl Top {
    /// The recipe of this form (`python-dev@3.9`); none where its sources cannot be had.
    fn of(form: &str) -> Option<Top> {
        if !has("gcc") {
            skip("gcc is not installed");
            return None;
        }
        let sources = sources_of(&format!("recipes/python/{form}.lock.kdl"))?;
        let scratch = Scratch::below(Some("a folder on top")).local(&sources);
        scratch.run(["build", form, "--locked"]).ok();
        let link = scratch.work().join("result").join(form);
        let closure = fs::canonicalize(link).expect("a closure");
        let closure = Utf8PathBuf::from_path_buf(closure).expect("UTF-8");
        Some(Top { scratch, closure })
    }

    fn folder(&self) -> Utf8PathBuf {
        self.scratch.path()
    }

    /// A program with nothing in its environment, and no index to ask.
    fn run(&self, words: &[&str]) -> Output {
        Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.scratch.home())
            .env("PIP_NO_INDEX", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .current_dir(self.folder())
            .output()
            .expect("it starts")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        said(&self.run(words), words)
    }

    /// The sdist, packed by the host's tar.
    fn sdist(&self) -> Utf8PathBuf {
        let (from, to) = (checkout().join("tests/data"), self.folder());
        let file = to.join("hello_c-1.0.tar.gz");
        let transform = "--transform=s,^hello-c,hello_c-1.0,";
        self.ok(&[
            "tar",
            "czf",
            file.as_str(),
            "-C",
            from.as_str(),
            transform,
            "hello-c",
        ]);
        file
    }

    /// A venv that sees the closure's own modules.
    fn venv(&self, python: &Utf8Path) -> Utf8PathBuf {
        let venv = self.folder().join("venv");
        let words = ["-m", "venv", "--system-site-packages"];
        self.ok(&[&[python.as_str()], words.as_slice(), &[venv.as_str()]].concat());
        venv
    }
}

/// Standard output, after it is sure that the program succeeded.
#[track_caller]
fn said(output: &Output, words: &[&str]) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}\n{out}\n{err}");
    out
}

/// All that a closure lets people put on top of it.
fn everything_goes_on_top(form: &str) {
    let Some(top) = Top::of(form) else { return };
    let closure = &top.closure;
    let sdist = top.sdist();
    let venv = top.venv(&closure.join("bin/python3"));
    let (pip, python) = (venv.join("bin/pip"), venv.join("bin/python"));

    // A venv links: a copied interpreter would not find its libraries.
    let link = fs::read_link(venv.join("bin/python3")).expect("a link");
    assert!(
        link.starts_with(closure) || link.ends_with("python"),
        "{link:?}"
    );
    let copied = top.folder().join("copied");
    let words = ["-m", "venv", "--without-pip", "--copies", copied.as_str()];
    let output = top.run(&[&[closure.join("bin/python3").as_str()], words.as_slice()].concat());
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && err.contains("linked, not copied"),
        "{err}"
    );
    top.ok(&[
        copied.join("bin/python").as_str(),
        "-c",
        "import ssl, ctypes",
    ]);

    // C is compiled with the headers of the closure, by a compiler of the host.
    let words = ["install", "-v", "--no-build-isolation", sdist.as_str()];
    let output = top.run(&[&[pip.as_str()], words.as_slice()].concat());
    // Where pip shows what a build says differs by its version.
    let log = said(&output, &words) + &String::from_utf8_lossy(&output.stderr);
    let line = log.lines().find(|line| line.contains("hello_c.c -o"));
    let line = line.unwrap_or_else(|| panic!("it was compiled:\n{log}"));
    assert!(
        line.contains(&format!("{closure}/include/python3.")),
        "{line}"
    );
    assert!(
        !line.contains("/usr/include") && !line.contains("/build/"),
        "{line}"
    );
    let add = "import hello_c; print(hello_c.add(40, 2))";
    assert_eq!(top.ok(&[python.as_str(), "-c", add]).trim(), "42");

    // Its console script, through a link from elsewhere.
    let link = top.folder().join("a link");
    symlink(venv.join("bin/hello-c"), &link).expect("linked");
    assert_eq!(top.ok(&["sh", "-c", "exec ./'a link'"]).trim(), "5");

    // A wheel, made of the same, into an overlay folder.
    let wheels = top.folder().join("wheels");
    let words = [
        "wheel",
        "--no-build-isolation",
        "-w",
        wheels.as_str(),
        sdist.as_str(),
    ];
    top.ok(&[&[pip.as_str()], words.as_slice()].concat());
    let wheel = fs::read_dir(&wheels)
        .expect("wheels")
        .next()
        .expect("one")
        .expect("one");
    let (wheel, overlay) = (wheel.path(), top.folder().join("overlay"));
    let words = [
        "install",
        "--target",
        overlay.as_str(),
        wheel.to_str().expect("UTF-8"),
    ];
    top.ok(&[&[pip.as_str()], words.as_slice()].concat());
    let path = format!("PYTHONPATH={overlay}");
    let closed = closure.join("bin/python3");
    assert_eq!(
        top.ok(&["env", &path, closed.as_str(), "-c", add]).trim(),
        "42"
    );
    assert!(
        !top.run(&[closed.as_str(), "-c", add]).status.success(),
        "only the overlay has it"
    );

    // Nothing of all this changed the closure.
    top.scratch.run(["verify", closure.as_str()]).ok();
    a_closure_that_is_mounted_read_only_works_the_same(&top, &sdist);
}

fn a_closure_that_is_mounted_read_only_works_the_same(top: &Top, sdist: &Utf8Path) {
    if !is_root() {
        return skip("only root can mount");
    }
    let script = r#"mkdir ro && mount --bind "$0" ro && mount -o remount,bind,ro ro
        ! touch ro/x 2>/dev/null
        ro/bin/python3 -m venv --system-site-packages on-ro
        on-ro/bin/pip install -q --no-build-isolation "$1"
        exec on-ro/bin/python -c "import hello_c; print(hello_c.add(40, 2), hello_c.__file__)""#;
    let (closure, sdist) = (top.closure.as_str(), sdist.as_str());
    let out = top.ok(&["unshare", "--mount", "sh", "-ec", script, closure, sdist]);
    assert!(
        out.starts_with("42 ") && out.contains("/on-ro/lib"),
        "{out}"
    );
}

#[test]
fn everything_goes_on_top_of_the_python_of_trixie() {
    everything_goes_on_top("python-dev");
}

#[test]
#[ignore = "takes long: .ci/long slow"]
fn everything_goes_on_top_of_the_python_of_bookworm() {
    everything_goes_on_top("python-dev@3.11");
}

#[test]
#[ignore = "takes long: .ci/long slow"]
fn everything_goes_on_top_of_the_python_of_bullseye() {
    everything_goes_on_top("python-dev@3.9");
}
