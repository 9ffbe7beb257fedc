//! Every message that is not about a recipe or lock, as one table to be read with fresh eyes.
//!
//! Those about recipes and locks have snapshots of their own, with the lines they show.

mod inputs;

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use recipe_store::{BlobId, Digest, ObjectId, StoreError};

use super::advice::advice;
use super::config::{ConfigError, FileError};
use super::exit::Failed;
use crate::build::examples;
use crate::build::{BuildError, FailedCheck, Failure, MissingLibrary, StepError};
use crate::cache::CacheError;
use crate::closure::ClosureError;
use crate::elf::ElfError;
use crate::lock::wheels::WheelsError;
use crate::net::{Cause, NetError, Tries, Try};
use crate::package::PackageError;
use crate::sandbox::SandboxError;

fn denied() -> Error {
    Error::from(ErrorKind::PermissionDenied)
}

fn tries(cause: Cause) -> Tries {
    Tries(vec![Try {
        url: "http://mirror.test/debian/pool/x.deb".into(),
        cause,
    }])
}

fn net() -> Vec<NetError> {
    let what = || "debian: pool/x.deb".to_owned();
    vec![
        NetError::Gone {
            what: what(),
            tries: tries(Cause::Status(404)),
        },
        NetError::Unreachable {
            what: what(),
            tries: tries(Cause::Connect("connection refused".into())),
            proxy: Some("https_proxy".into()),
        },
        NetError::Forbidden {
            what: what(),
            tries: tries(Cause::Status(403)),
            proxy: None,
        },
        NetError::Offline { what: what() },
        NetError::NoMirror {
            archive: "debian".into(),
        },
        NetError::NoMirror {
            archive: "python".into(),
        },
        NetError::Setting {
            setting: "a mirror in the command line".into(),
            value: "mirror.test".into(),
            reason: "not a URL: relative URL without a base".into(),
        },
        NetError::Client {
            reason: "no certificate authorities".into(),
        },
        NetError::Corrupt {
            what: what(),
            tries: tries(Cause::Status(200)),
        },
        NetError::Store {
            what: what(),
            cause: StoreError::Missing {
                id: ObjectId::Blob(BlobId::of(b"x")),
            },
        },
    ]
}

fn store() -> Vec<StoreError> {
    let path = || "/home/me/store".into();
    vec![
        StoreError::Io {
            operation: "open",
            path: path(),
            source: denied(),
        },
        StoreError::Io {
            operation: "write",
            path: path(),
            source: Error::from_raw_os_error(nix::libc::ENOSPC),
        },
        StoreError::Missing {
            id: ObjectId::Blob(BlobId::of(b"x")),
        },
        StoreError::Corrupt {
            path: "/home/me/store/blobs/ab/abcd".into(),
            why: "its bytes have another hash".into(),
        },
        StoreError::Version {
            path: path(),
            found: "recipe-store 2".into(),
            known: "recipe-store 1",
        },
        StoreError::Owner {
            path: path(),
            owner: 0,
            user: 1000,
        },
    ]
}

fn steps() -> Vec<StepError> {
    let check = |check: &str, said: &str| FailedCheck {
        index: 0,
        check: check.into(),
        said: said.into(),
    };
    vec![
        StepError::Elf {
            path: "bin/tool".into(),
            error: ElfError::NotElf,
        },
        StepError::Conflict {
            path: "lib/x.so".into(),
            first: "one".into(),
            second: "two".into(),
        },
        StepError::MissingLibraries {
            missing: vec![MissingLibrary {
                path: "bin/tool".into(),
                of: "tool".into(),
                soname: "libfoo.so.1".into(),
            }],
        },
        StepError::NoInterpreter {
            path: "bin/python3.13".into(),
        },
        StepError::NoEntry {
            name: "hello".into(),
            runs: "bin/pyton3".into(),
            near: vec!["bin/python3".into()],
        },
        StepError::NoEntry {
            name: "hello".into(),
            runs: "bin/nothing".into(),
            near: Vec::new(),
        },
        StepError::EntryTaken {
            name: "tool".into(),
            by: "one".into(),
        },
        StepError::Unexpected {
            what: "a wheel".into(),
            found: "a tree".into(),
        },
        StepError::Checks {
            failed: vec![check(
                "python \"import x\"",
                "ModuleNotFoundError: No module named 'x'\n(exit code 1)",
            )],
            passed: 0,
        },
        StepError::Checks {
            failed: vec![
                check("run bin/a", "(exit code 1)"),
                check("run bin/b", "(killed by signal 11)"),
            ],
            passed: 3,
        },
        StepError::Guard {
            what: "bin/tool holds the path of the store, at byte 7".into(),
            help: "please report this".into(),
        },
        StepError::NotShared,
        StepError::Panicked,
    ]
}

fn sandbox() -> Vec<SandboxError> {
    let program = || "/bin/tool".into();
    vec![
        SandboxError::Spec {
            reason: "the program's path is relative".into(),
        },
        SandboxError::NoNamespaces {
            program: program(),
            remedy: "as root: sysctl user.max_user_namespaces=15000".into(),
            source: denied(),
        },
        SandboxError::NoProc {
            program: program(),
            source: denied(),
        },
        SandboxError::Input {
            program: program(),
            path: "/home/me/x".into(),
            source: denied(),
        },
        SandboxError::Program {
            program: program(),
            source: Error::from(ErrorKind::NotFound),
        },
        SandboxError::System {
            program: program(),
            what: "making pipes".into(),
            source: denied(),
        },
        SandboxError::Start {
            helper: "/usr/bin/recipe".into(),
            source: denied(),
        },
        SandboxError::HelperLost {
            helper: "/usr/bin/recipe".into(),
            how: "signal 9".into(),
        },
        SandboxError::Mount {
            program: program(),
            what: "/in/closure".into(),
            source: denied(),
        },
    ]
}

fn closures() -> Vec<ClosureError> {
    vec![
        ClosureError::NoManifest {
            place: "/opt/x".into(),
        },
        ClosureError::Manifest {
            place: "/opt/x".into(),
            line: 7,
        },
        ClosureError::Read {
            path: "/opt/x/y".into(),
            error: denied(),
        },
    ]
}

fn packages() -> Vec<PackageError> {
    vec![
        PackageError::Write(Error::from(ErrorKind::StorageFull)),
        PackageError::Read {
            path: "bin/x".into(),
            source: denied(),
        },
        PackageError::Damaged {
            path: "bin/x".into(),
            wanted: BlobId::of(b"x"),
            found: Digest::of(b"y"),
        },
        PackageError::Option {
            what: "the compression level",
            found: "12".into(),
            wanted: "1 to 9".into(),
        },
        PackageError::Store(StoreError::Missing {
            id: ObjectId::Blob(BlobId::of(b"x")),
        }),
    ]
}

fn caches() -> Vec<CacheError> {
    let cache = || "https://cache.test/team".to_owned();
    let why = || "403 Forbidden".to_owned();
    vec![
        CacheError::Gone {
            cache: cache(),
            name: "pack/ab".into(),
        },
        CacheError::Unreachable {
            cache: cache(),
            why: "connection refused".into(),
        },
        CacheError::Forbidden {
            cache: cache(),
            why: why(),
        },
        CacheError::Damaged {
            cache: cache(),
            name: "index/ab".into(),
            why: "it has other bytes".into(),
        },
        CacheError::Setting {
            cache: "ftp://cache.test/".into(),
            why: "it is not of file:, http:, https: or s3:".into(),
        },
        CacheError::KeyName {
            name: "../x".into(),
            why: "a key's name has up to 64 letters".into(),
        },
        CacheError::KeyFile {
            path: "/home/me/.config/recipe/secret-key".into(),
            why: "others can read it: its mode is 0644".into(),
            help: "chmod 600 /home/me/.config/recipe/secret-key".into(),
        },
        CacheError::File {
            verb: "write",
            path: "/srv/cache/pack/ab".into(),
            source: denied(),
        },
        CacheError::Store(StoreError::Missing {
            id: ObjectId::Blob(BlobId::of(b"x")),
        }),
    ]
}

fn failed_step(error: StepError) -> Failed {
    BuildError::Failed {
        failures: vec![Failure {
            kind: "check",
            subject: "x".into(),
            also: Vec::new(),
            places: Vec::new(),
            error,
        }],
        skipped: 2,
        recipe: "scylla-python".into(),
    }
    .into()
}

/// Exit code, code, message and advice; of a failed step, those of the step.
fn told(failed: &Failed) -> String {
    let (code, message, help) = match failed {
        Failed::Build(error) => match error.as_ref() {
            BuildError::Failed { failures, .. } => of(&failures[0].error),
            error => of(error),
        },
        failed => of(failed.diagnostic()),
    };
    let help = match help {
        help if help.is_empty() => super::advice::command_advice(failed).unwrap_or_default(),
        help => help,
    };
    let help = if help.is_empty() {
        advice(failed)
    } else {
        help
    };
    assert!(!code.is_empty(), "no code: {message}");
    assert!(!help.is_empty(), "no advice: {message}");
    format!("exit {} {code}\n{message}\nhelp: {help}\n", failed.code())
}

fn of(error: &dyn miette::Diagnostic) -> (String, String, String) {
    let text = |text: Option<Box<dyn std::fmt::Display + '_>>| {
        text.map_or_else(String::new, |text| text.to_string())
    };
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!("\n  cause: {cause}"));
        source = cause.source();
    }
    // What stands behind an error is shown with it, and gives the advice that it has not.
    let behind = error.diagnostic_source().map(of);
    let (mut code, mut help) = (text(error.code()), text(error.help()));
    if let Some((inner, _, advice)) = behind {
        code.push_str(&format!(", {inner}"));
        if help.is_empty() {
            help = advice;
        }
    }
    (code, message, help)
}

#[test]
fn every_message_has_a_code_and_says_what_to_do_next() {
    let mut all: Vec<Failed> = Vec::new();
    all.extend(steps().into_iter().map(failed_step));
    let inner = examples::steps().into_iter();
    all.extend(inner.map(failed_step));
    let archives = inputs::archives().into_iter();
    all.extend(archives.map(examples::unpacking).map(failed_step));
    let programs = inputs::programs().into_iter();
    all.extend(programs.map(examples::relocating).map(failed_step));
    let wheels = inputs::wheels().into_iter();
    let python = inputs::python().into_iter().map(WheelsError::Python);
    all.extend(wheels.chain(python).map(StepError::Wheels).map(failed_step));
    all.extend(inputs::locks().into_iter().map(Failed::from));
    all.extend(inputs::recipes().into_iter().map(Failed::from));
    all.extend(inputs::folders().into_iter().map(Failed::from));
    let inside = sandbox().into_iter().map(StepError::Sandbox);
    all.extend(inside.map(failed_step));
    all.extend(net().into_iter().map(StepError::Net).map(failed_step));
    all.extend(store().into_iter().map(Failed::from));
    all.push(failed_step(StepError::Store(StoreError::Missing {
        id: ObjectId::Blob(BlobId::of(b"x")),
    })));
    all.push(BuildError::Threads("resource temporarily unavailable".into()).into());
    all.extend(closures().into_iter().map(Failed::from));
    all.extend(packages().into_iter().map(Failed::from));
    all.extend(caches().into_iter().map(Failed::from));
    all.push(Failed::Usage(ConfigError::NoHome.into()));
    let variable = ConfigError::Variable {
        name: "RECIPE_JOBS".into(),
        value: "many".into(),
        wanted: "a number above 0",
    };
    all.push(Failed::Usage(variable.into()));
    let unreadable = FileError::Unreadable {
        path: "/home/me/.config/recipe/config.kdl".into(),
        why: "permission denied".into(),
    };
    all.push(Failed::Usage(ConfigError::from(unreadable).into()));
    let mut table: Vec<String> = all.iter().map(told).collect();
    // What stands above those of the steps.
    let (code, message, help) = of(failed_step(StepError::Panicked).diagnostic());
    table.push(format!("{code}\n{message}\nhelp: {help}\n"));
    insta::assert_snapshot!(table.join("\n"));
}

/// A new variant without a code does not pass, nor one whose message nobody has read: the sources
/// are searched for the codes, and the tables and snapshots for an example of each.
#[test]
fn every_code_has_an_example_that_was_read() {
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let (mut without, mut codes, mut examples) = (Vec::new(), BTreeSet::new(), String::new());
    for path in files(sources) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let is_test = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_stem().is_some_and(|stem| stem == "tests");
        if path.extension().is_some_and(|end| end == "snap") || is_test {
            examples.push_str(&text);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with(file!()) {
            codes.extend(codes_in(&text));
            without.extend(variants_without(&text).map(|it| format!("{}: {it}", path.display())));
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
    assert!(codes.len() > 100, "the codes were not found: {codes:?}");
    let unread = codes.iter().filter(|code| {
        let has = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        !examples.split(code.as_str()).skip(1).any(has)
    });
    let unread: Vec<&String> = unread.collect();
    assert!(unread.is_empty(), "no example of {unread:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// `code(room::word)`, and `"room::word"` where a code is chosen by hand.
fn codes_in(text: &str) -> impl Iterator<Item = String> {
    let derived = text
        .split("code(")
        .skip(1)
        .map(|rest| rest.split(')').next());
    let chosen = text.split('"').skip(1).step_by(2).map(Some);
    let is_word = |word: &str| {
        let mut letters = word.chars();
        !word.is_empty() && letters.all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let all: BTreeSet<String> = derived
        .chain(chosen)
        .flatten()
        .filter(|code| matches!(code.split_once("::"), Some((room, word)) if is_word(room) && is_word(word)))
        .map(str::to_owned)
        .collect();
    all.into_iter()
}

fn variants_without(text: &str) -> impl Iterator<Item = String> {
    let enums = text.split("#[derive(Debug, Error, Diagnostic)]\npub enum ");
    let bodies = enums
        .skip(1)
        .map(|body| body.split("\n}\n").next().unwrap_or_default());
    let variants = bodies.flat_map(|body| body.split("#[error(").skip(1));
    let bare = variants
        .filter(|it| !it.contains("code(") && !it.contains("diagnostic(transparent)"))
        .map(|it| it.chars().take(80).collect());
    bare.collect::<Vec<String>>().into_iter()
}
