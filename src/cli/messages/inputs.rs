//! Messages about what comes from elsewhere: archives, programs, wheels, indexes, folders.

use std::sync::Arc;

use super::denied;
use crate::archive::{ArchiveError, Fault};
use crate::conformance::ConformanceError;
use crate::elf::ElfError;
use crate::lock::host::HostError;
use crate::lock::wheels::WheelsError;
use crate::lock::{LockError, NoSourcePackage};
use crate::net::NetError;
use crate::platform::Platform;
use crate::python::{PythonError, Target};
use crate::recipe::RecipeError;

pub(super) fn archives() -> Vec<ArchiveError> {
    let archive = || "tool_1.0_amd64.deb".to_owned();
    let form = |fault| ArchiveError::Form {
        archive: archive(),
        fault,
    };
    vec![
        ArchiveError::Entry {
            archive: archive(),
            index: 3,
            name: "../../etc/passwd".into(),
            fault: Fault::ParentPart,
        },
        form(Fault::Truncated {
            what: "the archive",
        }),
        form(Fault::Limit {
            what: "the number of entries",
            limit: 1_000_000,
            unit: "entries",
        }),
        form(Fault::WrongFormat {
            wanted: "zip",
            found: "HTML",
        }),
        ArchiveError::Read {
            archive: archive(),
            source: denied(),
        },
        ArchiveError::sink(denied()),
    ]
}

pub(super) fn programs() -> Vec<ElfError> {
    vec![
        ElfError::Damaged {
            what: "its section headers end behind the file".into(),
        },
        ElfError::NoStubFor {
            machine: "RISC-V".into(),
        },
        ElfError::Library {
            soname: "libc.so.6".into(),
        },
        ElfError::NotElf,
        ElfError::NoLoader,
        ElfError::AlreadyEmbedded,
        ElfError::Payload { bytes: 4096 },
        ElfError::Layout {
            why: "no room for a program header".into(),
        },
        ElfError::Parameter {
            what: "the path of the loader",
            value: "/lib/ld.so".into(),
            why: "it is absolute",
        },
        ElfError::Length {
            from: "/usr/lib".into(),
            to: "/a/longer/path".into(),
            from_length: 8,
            to_length: 14,
        },
    ]
}

pub(super) fn python() -> Vec<PythonError> {
    let (reason, text) = (|| "what is wrong".to_owned(), || "x y".to_owned());
    vec![
        PythonError::Name { name: text() },
        PythonError::Version {
            version: text(),
            reason: reason(),
        },
        PythonError::WheelName {
            file: "x.whl".into(),
            reason: reason(),
        },
        PythonError::Target {
            text: "2.7".into(),
            wanted: "version of Python 3",
        },
        PythonError::Metadata {
            file: "METADATA",
            reason: reason(),
        },
        PythonError::EntryPoints {
            line: 3,
            reason: reason(),
        },
        PythonError::Record {
            row: 3,
            reason: reason(),
        },
        PythonError::Pth {
            line: "../../etc".into(),
        },
        PythonError::Index { reason: reason() },
        PythonError::IndexLacks {
            file: "x-1.0-py3-none-any.whl".into(),
            sha256: "ab".repeat(32),
            reason: reason(),
        },
        PythonError::Requirement {
            text: text(),
            reason: reason(),
        },
        PythonError::Pylock { reason: reason() },
    ]
}

pub(super) fn wheels() -> Vec<WheelsError> {
    let project = || "tool".to_owned();
    let version = || "1.0".to_owned();
    let reason = || "what it said".to_owned();
    let target = Target::new("3.13", (2, 41), Platform::X86_64).expect("a target");
    let no_wheel = |offered: &[&str]| WheelsError::NoWheel {
        project: project(),
        version: version(),
        target: Box::new(target.clone()),
        offered: offered.iter().map(|it| (*it).to_owned()).collect(),
    };
    vec![
        WheelsError::Unsatisfiable {
            reason: "Because tool==1.0 needs other>=2, and you asked for other<2, ...".into(),
            project: None,
        },
        WheelsError::Unknown {
            project: "tool".parse().expect("a name"),
        },
        no_wheel(&["3.9", "3.11"]),
        no_wheel(&[]),
        WheelsError::NoSdist {
            project: "six".into(),
            version: "1.0".into(),
        },
        WheelsError::OnlySource {
            project: project(),
            version: version(),
        },
        WheelsError::Hashes {
            project: project(),
            version: version(),
        },
        WheelsError::Offline,
        WheelsError::Unreachable { reason: reason() },
        WheelsError::NoIndex,
        WheelsError::NoTool {
            architecture: "riscv64".into(),
        },
        WheelsError::Tool { reason: reason() },
        WheelsError::Gone {
            file: "tool-1.0-py3-none-any.whl".into(),
            project: project(),
            cause: PythonError::Index {
                reason: "it has no such file".into(),
            },
        },
    ]
}

pub(super) fn locks() -> Vec<LockError> {
    let suite = || "trixie".to_owned();
    vec![
        LockError::Net(NetError::Gone {
            what: "debian: pool/x.deb".into(),
            tries: super::tries(crate::net::Cause::Status(404)),
        }),
        LockError::Host(HostError::Records {
            path: "/var/lib/dpkg/status".into(),
            why: "No such file or directory (os error 2)".into(),
        }),
        LockError::Host(HostError::Absent {
            package: "python3.11-minimal".into(),
        }),
        LockError::Host(HostError::Changed {
            package: "python3.11-minimal".into(),
            path: "/usr/bin/python3.11".into(),
            what: "its content is another".into(),
        }),
        LockError::Host(HostError::Other {
            package: "python3.11-minimal".into(),
            found: "3.11.2-6+deb12u7".into(),
            wanted: "version 3.11.2-6+deb12u6".into(),
        }),
        LockError::Host(HostError::Store(recipe_store::StoreError::Io {
            operation: "write",
            path: "/home/me/store".into(),
            source: super::denied(),
        })),
        LockError::Store(recipe_store::StoreError::Io {
            operation: "open",
            path: "/home/me/store".into(),
            source: denied(),
        }),
        LockError::Index {
            suite: suite(),
            path: "main/binary-amd64/Packages.xz".into(),
            cause: crate::lock::index::IndexError::Malformed {
                line: 7,
                reason: "a paragraph without a name".into(),
            },
        },
        LockError::Keys {
            path: "/etc/keys".into(),
            reason: "it holds no key".into(),
        },
        LockError::NoRelease,
        LockError::Sdist(Box::new(crate::lock::FailedSdist {
            subject: "a 1.0".into(),
            cause: crate::lock::sdists::examples().remove(1),
            suite: Some("trixie".into()),
            text: miette::NamedSource::new("a.kdl", "no-binary a".into()),
            at: (0, 9).into(),
        })),
        LockError::ForeignSdist(Box::new(crate::lock::ForeignSdist {
            platform: Platform::Aarch64,
            text: miette::NamedSource::new("a.kdl", "no-binary a".into()),
            at: (0, 9).into(),
        })),
        LockError::OtherPython {
            wanted: "3.13.5".into(),
            found: "3.13.4".into(),
            platform: Platform::X86_64,
        },
        LockError::NoSource {
            name: "python3.13".into(),
            version: "3.13.5-2".into(),
            suite: suite(),
        },
        LockError::NoSourcePackage(Box::new(no_source_package(None))),
        LockError::NoSourcePackage(Box::new(no_source_package(Some("zlib".into())))),
        LockError::NoPackaging(Box::new(crate::lock::NoPackaging {
            name: "python3.14".into(),
            version: "3.14.10-1".into(),
            cause: NetError::Gone {
                what: "debian: pool/main/p/python3.14/python3.14_3.14.10-1.debian.tar.xz".into(),
                tries: super::tries(crate::net::Cause::Status(404)),
            },
            instead: false,
            text: miette::NamedSource::new("tool.kdl", "interpreter".into()),
            at: (0, 11).into(),
        })),
        LockError::CannotFollow {
            name: "zlib1g".into(),
            version: "1.3".into(),
            reason: "the suite has none of that name".into(),
        },
        LockError::NoSandbox,
        LockError::Stopped {
            what: "looking into packages".into(),
        },
    ]
}

fn no_source_package(builds: Option<String>) -> NoSourcePackage {
    let text = Arc::<str>::from("source src { debian-source zlib1g; }");
    NoSourcePackage {
        name: "zlib1g".into(),
        suite: "trixie".into(),
        builds,
        text: miette::NamedSource::new("recipes/zlib.kdl", text),
        at: (0, 10).into(),
    }
}

pub(super) fn recipes() -> Vec<RecipeError> {
    vec![
        RecipeError::Ambiguous {
            name: "tool".into(),
            first: "recipes/a/tool.kdl".into(),
            second: "recipes/b/tool.kdl".into(),
        },
        RecipeError::OtherProcessor {
            variant: "arm".into(),
            has: "aarch64",
            wants: "x86_64",
        },
        RecipeError::NotFormatted {
            name: "recipes/tool.kdl".into(),
        },
    ]
}

pub(super) fn folders() -> Vec<ConformanceError> {
    vec![
        ConformanceError::Folder {
            path: "/opt/x".into(),
            source: denied(),
        },
        ConformanceError::NoProgram {
            program: "bin/python3".into(),
            tree: "/opt/x".into(),
        },
        ConformanceError::UnknownCheck {
            name: "linkz".into(),
        },
        ConformanceError::Temporary {
            path: "/tmp".into(),
            source: denied(),
        },
    ]
}
