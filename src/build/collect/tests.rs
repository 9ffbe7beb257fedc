use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::Store;
use rustix::fs::{CWD, FileType, Mode};

use super::*;

/// A store and a folder that a build has left.
struct Left {
    folder: tempfile::TempDir,
    session: Session,
}

impl Left {
    fn new() -> Left {
        let folder = tempfile::tempdir().unwrap();
        let home = Utf8Path::from_path(folder.path()).unwrap();
        let session = Store::open(&home.join("store")).unwrap().session().unwrap();
        fs::create_dir(home.join("out")).unwrap();
        Left { folder, session }
    }

    fn home(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().to_owned()
    }

    fn at(&self, path: &str) -> Utf8PathBuf {
        self.home().join("out").join(path)
    }

    fn file(&self, path: &str, content: &str, mode: u32) -> &Left {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, content).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Left {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, &at).unwrap();
        self
    }

    fn collected(&self, rules: &Rules<'_>) -> Result<TreeId, CollectError> {
        collect(&self.session, &self.at(""), rules)
    }

    fn taken(&self) -> TreeId {
        self.collected(&Rules::default()).unwrap()
    }

    fn refused(&self) -> CollectError {
        let error = self.collected(&Rules::default()).unwrap_err();
        let report = self.session.store().verify().unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        error
    }

    /// Every entry, as `path`, `path/`, `path*` (may be run) or `path -> target`.
    fn shown(&self, tree: &TreeId) -> Vec<String> {
        let mut shown = Vec::new();
        recipe_store::walk(&self.session, tree, &mut |path, entry| {
            shown.push(match entry {
                Entry::Directory(_) => format!("{path}/"),
                Entry::File {
                    executable: false, ..
                } => path.to_owned(),
                Entry::File { .. } => format!("{path}*"),
                Entry::Symlink { target } => format!("{path} -> {target}"),
            });
            Ok::<(), StoreError>(())
        })
        .unwrap();
        shown.sort();
        shown
    }
}

#[test]
fn files_folders_and_links_are_taken_and_modes_but_one_are_not() {
    let left = Left::new();
    left.file("bin/tool", "program", 0o755)
        .file("bin/others-may", "no program", 0o655)
        .file("lib/deep/er/data", "data", 0o664)
        .link("bin/alias", "tool");
    fs::create_dir(left.at("empty")).unwrap();
    assert_eq!(
        left.shown(&left.taken()),
        [
            "bin/",
            "bin/alias -> tool",
            "bin/others-may",
            "bin/tool*",
            "empty/",
            "lib/",
            "lib/deep/",
            "lib/deep/er/",
            "lib/deep/er/data",
        ]
    );
}

#[test]
fn the_same_files_are_the_same_tree_whatever_their_owner_time_and_order() {
    let (one, other) = (Left::new(), Left::new());
    for number in 0..200 {
        one.file(&format!("d{}/f{number}", number % 7), "x", 0o644);
    }
    for number in (0..200).rev() {
        other.file(&format!("d{}/f{number}", number % 7), "x", 0o600);
    }
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::open(other.at("d0/f0"))
        .unwrap()
        .set_times(old)
        .unwrap();
    assert_eq!(one.taken(), other.taken());
}

#[test]
fn more_folders_than_may_be_open_at_once_are_taken() {
    let left = Left::new();
    for number in 0..3 * OPEN_DIRECTORIES {
        left.file(&format!("{number}/one"), &number.to_string(), 0o644);
        left.file(&format!("{number}/two"), "", 0o644);
    }
    assert_eq!(left.shown(&left.taken()).len(), 9 * OPEN_DIRECTORIES);
}

#[test]
fn no_output_is_an_error_be_the_folder_empty_or_gone() {
    let left = Left::new();
    assert!(matches!(left.refused(), CollectError::NoOutput { .. }));
    fs::remove_dir(left.at("")).unwrap();
    assert!(matches!(left.refused(), CollectError::NoOutput { .. }));
}

#[test]
fn an_output_that_is_a_symlink_or_a_file_is_refused() {
    let left = Left::new();
    fs::remove_dir(left.at("")).unwrap();
    let home = left.home();
    fs::create_dir(home.join("secret")).unwrap();
    fs::write(home.join("secret/file"), "secret").unwrap();
    symlink("secret", home.join("out")).unwrap();
    // Named with a slash at its end, a symlink would be followed.
    let refused = |left: &Left| collect(&left.session, &home.join("out/"), &Rules::default());
    assert!(matches!(
        refused(&left).unwrap_err(),
        CollectError::NotAFolder {
            kind: "a symlink",
            ..
        }
    ));
    fs::remove_file(home.join("out")).unwrap();
    fs::write(home.join("out"), "").unwrap();
    assert!(matches!(
        refused(&left).unwrap_err(),
        CollectError::NotAFolder { kind: "a file", .. }
    ));
}

#[test]
fn what_is_neither_file_nor_folder_nor_link_is_refused() {
    let left = Left::new();
    left.file("fine", "", 0o644);
    let pipe = left.at("a/pipe");
    fs::create_dir(left.at("a")).unwrap();
    rustix::fs::mknodat(CWD, pipe.as_str(), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let refused = left.refused();
    assert!(
        matches!(&refused, CollectError::Kind { path, kind: "a named pipe" } if path == "a/pipe"),
        "{refused:?}"
    );
    fs::remove_file(&pipe).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(left.at("a/socket")).unwrap();
    assert!(matches!(
        left.refused(),
        CollectError::Kind {
            kind: "a socket",
            ..
        }
    ));
    fs::remove_file(left.at("a/socket")).unwrap();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for kind in [FileType::CharacterDevice, FileType::BlockDevice] {
        let node = left.at("a/node");
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, node.as_str(), kind, Mode::RUSR, null).unwrap();
        assert!(matches!(
            left.refused(),
            CollectError::Kind {
                kind: "a device node",
                ..
            }
        ));
        fs::remove_file(node).unwrap();
    }
}

#[test]
fn set_user_id_and_set_group_id_are_refused_on_files_and_dropped_from_folders() {
    for mode in [0o4755, 0o2755, 0o6644] {
        let left = Left::new();
        left.file("bin/su", "", mode);
        let refused = left.refused();
        assert!(
            matches!(&refused, CollectError::Privileged { path, mode: found }
                if path == "bin/su" && *found == mode),
            "{refused:?}"
        );
    }
    let left = Left::new();
    left.file("bin/tool", "", 0o755);
    let inherited = Permissions::from_mode(0o2755);
    fs::set_permissions(left.at("bin"), inherited).unwrap();
    assert_eq!(left.shown(&left.taken()), ["bin/", "bin/tool*"]);
}

#[test]
fn names_and_targets_that_are_no_text_are_refused_and_shown_escaped() {
    let left = Left::new();
    let odd = left.at("").as_std_path().join(OsStr::from_bytes(b"a\xff"));
    fs::write(&odd, "").unwrap();
    assert!(matches!(left.refused(), CollectError::Name { path } if path == r"a\xff"));
    fs::remove_file(odd).unwrap();
    symlink(OsStr::from_bytes(b"\xfe"), left.at("link")).unwrap();
    assert!(matches!(left.refused(), CollectError::Target { target, .. } if target == r"\xfe"));
}

#[test]
fn links_that_lead_out_are_refused() {
    for (path, target) in [
        ("out", "../x"),
        ("a/b/out", "../../../x"),
        ("out", "a/../../x"),
        ("out", "/etc/passwd"),
        ("out", "/output/x"),
        ("out", "/out/../etc/passwd"),
    ] {
        let left = Left::new();
        left.link(path, target);
        let refused = left.refused();
        assert!(
            matches!(&refused, CollectError::Escapes { path: at, target: to }
                if at == path && to == target),
            "{path} -> {target}: {refused:?}"
        );
    }
    // Read word by word both stay inside; followed by a kernel the second does not.
    let left = Left::new();
    left.link("deep/top", "..").link("deep/out", "top/../x");
    assert!(matches!(left.refused(), CollectError::Escapes { path, .. } if path == "deep/out"));
}

#[test]
fn links_that_stay_inside_are_kept_and_absolute_ones_become_relative() {
    let left = Left::new();
    left.file("lib/libx.so.1", "", 0o755)
        .link("lib/libx.so", "libx.so.1")
        .link("bin/up", "../lib/../lib/libx.so")
        .link("bin/absolute", "/out/lib/libx.so")
        .link("lib/top", "/out")
        .link("here", "/out/")
        .link("dangling", "nowhere")
        .link("circle", "circle")
        .link("bin/through", "../lib/top/lib");
    let seen = left.shown(&left.taken());
    for line in [
        "lib/libx.so -> libx.so.1",
        "bin/up -> ../lib/../lib/libx.so",
        "bin/absolute -> ../lib/libx.so",
        "lib/top -> ..",
        "here -> .",
        "dangling -> nowhere",
        "circle -> circle",
        "bin/through -> ../lib/top/lib",
    ] {
        assert!(seen.contains(&line.to_owned()), "{line} in {seen:?}");
    }
    let left = Left::new();
    left.link("zone", "/usr/share/zoneinfo/UTC");
    let rules = Rules {
        elsewhere: &["/usr/share/zoneinfo"],
        ..Rules::default()
    };
    let tree = left.collected(&rules).unwrap();
    assert_eq!(left.shown(&tree), ["zone -> /usr/share/zoneinfo/UTC"]);
    left.refused();
}

#[test]
fn a_hard_link_is_a_second_file_and_the_first_stays_as_it_is() {
    let left = Left::new();
    left.file("one", "bytes", 0o644);
    fs::hard_link(left.at("one"), left.at("two")).unwrap();
    // One whose other name lies elsewhere is copied as well: nobody can reach the store through it.
    let home = left.home();
    fs::write(home.join("input"), "bytes").unwrap();
    fs::hard_link(home.join("input"), left.at("three")).unwrap();
    let tree = left.taken();
    assert_eq!(left.shown(&tree), ["one", "three", "two"]);
    fs::write(home.join("input"), "other").unwrap();
    left.session.commit().unwrap();
    assert!(left.session.store().verify().unwrap().findings.is_empty());
    assert_eq!(
        left.session.read_blob(&BlobId::of(b"bytes")).unwrap(),
        b"bytes"
    );
}

#[test]
fn what_its_owner_may_not_read_is_taken_all_the_same() {
    let left = Left::new();
    left.file("shut/deeper/file", "content", 0o000)
        .file("run", "", 0o111);
    for (folder, mode) in [("shut/deeper", 0o000), ("shut", 0o400), ("", 0o000)] {
        fs::set_permissions(left.at(folder), Permissions::from_mode(mode)).unwrap();
    }
    let taken = ["run*", "shut/", "shut/deeper/", "shut/deeper/file"];
    assert_eq!(left.shown(&left.taken()), taken);
}

#[test]
fn more_than_may_be_is_refused_before_it_is_read() {
    let left = Left::new();
    left.file("small", "x", 0o644).file("hole", "", 0o644);
    let hole = fs::File::options()
        .write(true)
        .open(left.at("hole"))
        .unwrap();
    hole.set_len(1 << 42).unwrap();
    let begun = std::time::Instant::now();
    assert!(matches!(left.refused(), CollectError::TooLarge { .. }));
    assert!(begun.elapsed().as_secs() < 5);
    fs::remove_file(left.at("hole")).unwrap();
    let rules = Rules {
        entries: 0,
        ..Rules::default()
    };
    assert!(matches!(
        left.collected(&rules).unwrap_err(),
        CollectError::TooMany { .. }
    ));
}

#[test]
fn a_tree_deeper_than_a_store_can_hold_is_an_error() {
    let left = Left::new();
    left.file(&vec!["d"; DEPTH_LIMIT + 2].join("/"), "", 0o644);
    let refused = left.refused();
    assert!(
        matches!(&refused, CollectError::Tree(_) | CollectError::Store(_)),
        "{refused:?}"
    );
}
