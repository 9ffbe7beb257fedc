//! Every message that is not about a recipe or lock, as one table to be read with fresh eyes.
//!
//! Those about recipes and locks have snapshots of their own, with the lines they show.

use std::io::{Error, ErrorKind};

use recipe_store::{BlobId, Digest, ObjectId, StoreError};

use super::advice::advice;
use super::config::ConfigError;
use super::exit::Failed;
use crate::build::{BuildError, FailedCheck, Failure, MissingLibrary, StepError};
use crate::closure::ClosureError;
use crate::elf::ElfError;
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
    (text(error.code()), message, text(error.help()))
}

#[test]
fn every_message_has_a_code_and_says_what_to_do_next() {
    let mut all: Vec<Failed> = Vec::new();
    all.extend(steps().into_iter().map(failed_step));
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
    all.push(Failed::Usage(ConfigError::NoHome.into()));
    let variable = ConfigError::Variable {
        name: "RECIPE_JOBS".into(),
        value: "many".into(),
        wanted: "a number above 0",
    };
    all.push(Failed::Usage(variable.into()));
    let table: Vec<String> = all.iter().map(told).collect();
    insta::assert_snapshot!(table.join("\n"));
}

/// A new variant without a code or advice does not pass: the sources are read for them.
#[test]
fn no_variant_of_an_error_is_without_a_code() {
    let mut without = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let enums = text.split("#[derive(Debug, Error, Diagnostic)]\npub enum ");
                for body in enums.skip(1) {
                    let body = body.split("\n}\n").next().unwrap_or_default();
                    for variant in body.split("#[error(").skip(1) {
                        if !variant.contains("code(")
                            && !variant.contains("diagnostic(transparent)")
                        {
                            let variant: String = variant.chars().take(80).collect();
                            without.push(format!("{}: {variant}", path.display()));
                        }
                    }
                }
            }
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}
