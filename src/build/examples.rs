//! One of each failure of a step that only this room can make, for the table of all messages.

use super::StepError;
use super::collect::CollectError;
use super::steps::bytecode::BytecodeError;
use super::steps::layout::{Collision, LayoutError};
use super::steps::output::{PREFIX, Remains};
use super::steps::relocate::{Layer, RelocateError};
use super::steps::wheel::WheelError;
use super::steps::{FailedRun, PatchError, SourceError};
use crate::archive::ArchiveError;
use crate::elf::ElfError;
use crate::git::GitError;
use crate::platform::Platform;
use crate::python::{PythonError, Target};

/// Failures of unpacking, relocating and compiling.
pub(crate) fn steps() -> Vec<StepError> {
    let mut all: Vec<StepError> = Vec::new();
    all.extend(layouts().map(StepError::from));
    all.extend(wheels().map(StepError::from));
    all.extend(relocations().map(StepError::from));
    all.extend(byte_codes().map(StepError::from));
    all.extend(outputs().map(StepError::from));
    all.extend(sources().map(StepError::from));
    all.extend(builds());
    all.extend(commits().map(StepError::from));
    all.extend(
        crate::lock::sdists::examples()
            .into_iter()
            .map(StepError::Sdist),
    );
    let long = "x".repeat(300);
    let blob = recipe_store::Entry::File {
        blob: recipe_store::BlobId::of(b""),
        executable: false,
    };
    let tree = recipe_store::TreeBuilder::new().insert(&long, blob);
    all.extend(tree.err().map(StepError::from));
    all
}

/// A package that could not be unpacked for this.
pub(crate) fn unpacking(error: ArchiveError) -> StepError {
    LayoutError::from(error).into()
}

/// A program that could not be relocated for this.
pub(crate) fn relocating(source: ElfError) -> StepError {
    let file = "bin/tool".into();
    RelocateError::Elf { file, source }.into()
}

fn store() -> recipe_store::StoreError {
    recipe_store::StoreError::Missing {
        id: recipe_store::BlobId::of(b"x").into(),
    }
}

fn layouts() -> impl Iterator<Item = LayoutError> {
    [
        LayoutError::Collision(Collision {
            package: "tool".into(),
            path: "lib/tool/data".into(),
            first: "usr/lib/tool/data".into(),
            second: "lib/tool/data".into(),
        }),
        LayoutError::Store {
            package: "tool".into(),
            source: store(),
        },
    ]
    .into_iter()
}

fn wheels() -> impl Iterator<Item = WheelError> {
    let wheel = || "tool-1.0-cp39-cp39-win_amd64.whl".to_owned();
    let target = Target::new("3.13", (2, 41), Platform::X86_64).expect("a target");
    [
        WheelError::DoesNotRun {
            wheel: wheel(),
            target: Box::new(target),
            offered: vec!["cp39-cp39-win_amd64".into()],
        },
        WheelError::Bad {
            wheel: wheel(),
            cause: PythonError::Record {
                row: 3,
                reason: "\"../../etc/passwd\" leads out of the wheel".into(),
            },
        },
        WheelError::Layout {
            wheel: wheel(),
            reason: "it has two .dist-info folders".into(),
        },
    ]
    .into_iter()
}

fn relocations() -> impl Iterator<Item = RelocateError> {
    let file = || "lib/python3.13/site.py".to_owned();
    let left = move |layer| RelocateError::Left {
        file: file(),
        text: "/usr/local/lib".into(),
        layer,
    };
    let patch = move |source| RelocateError::Patch {
        file: file(),
        source,
    };
    [
        RelocateError::Absent {
            file: file(),
            text: "/usr/lib/ssl".into(),
        },
        left(Layer::Host),
        left(Layer::Build),
        left(Layer::Distribution),
        patch(PatchError::Malformed {
            line: 7,
            text: "@@ what".into(),
        }),
        patch(PatchError::DoesNotReverse { hunk: 2, line: 410 }),
        RelocateError::Packaging {
            what: "it has no debian/patches".into(),
        },
        RelocateError::NotText { file: file() },
        RelocateError::Elf {
            file: "bin/tool".into(),
            source: ElfError::AlreadyEmbedded,
        },
        RelocateError::Wheel {
            file: "lib/python-wheels/pip.whl".into(),
        },
        RelocateError::Store(store()),
    ]
    .into_iter()
}

fn sources() -> impl Iterator<Item = SourceError> {
    let patch = || "fix.patch".to_owned();
    [
        SourceError::Patch {
            patch: patch(),
            file: "configure.ac".into(),
            source: PatchError::DoesNotApply { hunk: 2, line: 41 },
        },
        SourceError::PatchedFile {
            patch: patch(),
            file: "src/main.c".into(),
            what: "is not there",
        },
        SourceError::Series {
            name: "01-prefix.patch".into(),
        },
        SourceError::Commit {
            file: "src-6d0c1d3e8ee31fcb2bb3e2d1b6b7b1ee9ce0d3a1.tar".into(),
            wanted: "ab".repeat(32),
            found: "cd".repeat(32),
        },
        SourceError::Store(store()),
    ]
    .into_iter()
}

fn commits() -> impl Iterator<Item = GitError> {
    let url = || "https://git.test/hello.git".to_owned();
    let commit = "6d0c1d3e8ee31fcb2bb3e2d1b6b7b1ee9ce0d3a1";
    let commit = commit.parse().expect("a name");
    [
        GitError::Refused {
            url: url(),
            commit,
            said: format!("upload-pack: not our ref {commit}"),
        },
        GitError::Protocol {
            url: url(),
            what: "its answer begins a line with \"<htm\"".into(),
        },
        GitError::Objects {
            url: url(),
            commit,
            what: "its pack has another sum than it says".into(),
        },
        GitError::Place {
            place: "https:// hello#1".into(),
        },
        GitError::Store(store()),
        GitError::Write {
            error: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        },
    ]
    .into_iter()
}

fn builds() -> impl Iterator<Item = StepError> {
    let remains = |text: &str| StepError::Prefix {
        remains: vec![Remains {
            path: "bin/hello".into(),
            offset: 8452,
            text: format!("{PREFIX}/{text}"),
        }],
    };
    [
        StepError::Build(Box::new(FailedRun {
            index: 1,
            words: "make -j2".into(),
            how: "exit code 2".into(),
            said: "main.c:3:10: fatal error: zlib.h: No such file or directory".into(),
            missing: vec!["zlib.h".into()],
            offered: vec![("zlib.h".into(), vec!["zlib1g-dev".into()])],
        })),
        StepError::NoProgram {
            program: "cmake".into(),
        },
        remains("share/locale"),
        remains(""),
        StepError::Folder {
            path: "/home/me/store/tmp/x/out".into(),
            error: std::io::Error::from(std::io::ErrorKind::StorageFull),
        },
    ]
    .into_iter()
}

fn byte_codes() -> impl Iterator<Item = BytecodeError> {
    [
        BytecodeError::Version {
            wanted: "cpython-313".into(),
            found: "cpython-311".into(),
        },
        BytecodeError::Worker {
            path: "lib/python3.13/x.py".into(),
            reason: "it was ended by signal 9".into(),
            said: String::new(),
        },
    ]
    .into_iter()
}

fn outputs() -> impl Iterator<Item = CollectError> {
    let path = || "bin/tool".to_owned();
    let folder = || "/tmp/recipe-build/out".into();
    [
        CollectError::NoOutput { folder: folder() },
        CollectError::NotAFolder {
            folder: folder(),
            kind: "a symlink",
        },
        CollectError::Kind {
            path: "run/tool.sock".into(),
            kind: "a socket",
        },
        CollectError::Privileged {
            path: path(),
            mode: 0o4755,
        },
        CollectError::Name {
            path: r"share/tests/a\xff".into(),
        },
        CollectError::Target {
            path: path(),
            target: r"\xfe".into(),
        },
        CollectError::Escapes {
            path: path(),
            target: "/usr/bin/env".into(),
        },
        CollectError::TooLarge {
            path: path(),
            limit: 1 << 30,
        },
        CollectError::TooMany {
            path: path(),
            limit: 1000,
        },
        CollectError::Read {
            path: path(),
            source: std::io::Error::from(std::io::ErrorKind::NotFound),
        },
        CollectError::Tree(recipe_store::TreeError::Depth {
            path: "a/a/a".into(),
        }),
        CollectError::Store(store()),
    ]
    .into_iter()
}
