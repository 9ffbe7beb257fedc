use recipe_store::{BlobId, Store};

use super::*;
use crate::plan::Keep;

struct Bench {
    session: Session,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let path = camino::Utf8Path::from_path(folder.path())
            .expect("UTF-8")
            .join("store");
        let session = Store::open(&path)
            .and_then(|store| store.session())
            .expect("a store");
        Bench {
            session,
            _folder: folder,
        }
    }

    fn layer(&self, name: &str, files: &[(&str, &str)]) -> Layer<ObjectId> {
        let mut builder = TreeBuilder::new();
        for (path, text) in files {
            let blob = self.blob(text);
            builder
                .insert(
                    path,
                    Entry::File {
                        blob,
                        executable: false,
                    },
                )
                .expect("fits");
        }
        let tree = ObjectId::Tree(builder.finish(&self.session).expect("kept"));
        Layer {
            name: name.into(),
            tree,
            scan: None,
            keep: Keep::All,
        }
    }

    fn blob(&self, text: &str) -> BlobId {
        self.session.put_blob(text.as_bytes(), false).expect("kept")
    }

    fn paths(&self, tree: &TreeId) -> Vec<String> {
        let leaves = leaves(&self.session, tree).expect("read");
        leaves.into_iter().map(|(path, _)| path).collect()
    }
}

#[test]
fn layers_with_the_same_file_are_joined() {
    let bench = Bench::new();
    let layers = [
        bench.layer("a", &[("x/1", "same")]),
        bench.layer("b", &[("x/1", "same"), ("y", "2")]),
    ];
    let tree = compose(&bench.session, &layers, &[], &[]).expect("joined");
    assert_eq!(bench.paths(&tree), ["x/1", "y"]);
}

#[test]
fn layers_with_different_files_at_one_path_are_both_named() {
    let bench = Bench::new();
    let layers = [
        bench.layer("first", &[("x", "1")]),
        bench.layer("second", &[("x", "2")]),
    ];
    let error = compose(&bench.session, &layers, &[], &[]).expect_err("a conflict");
    let text = error.to_string();
    assert!(
        text.contains("first") && text.contains("second") && text.starts_with("x "),
        "{text}"
    );
}

#[test]
fn an_entry_is_a_link_beside_what_it_runs() {
    let bench = Bench::new();
    let layers = [bench.layer("a", &[("bin/python3", "1"), ("libexec/tool", "2")])];
    let entry = |name: &str, runs: &str| EntryPoint {
        name: name.into(),
        runs: runs.into(),
    };
    let entries = [entry("mine", "bin/python3"), entry("other", "libexec/tool")];
    let tree = compose(&bench.session, &layers, &[], &entries).expect("joined");
    let target = |wanted: &str| {
        let leaves = leaves(&bench.session, &tree).expect("read");
        leaves.into_iter().find_map(|(path, entry)| match entry {
            Entry::Symlink { target } if path == wanted => Some(target),
            _ => None,
        })
    };
    assert_eq!(target("bin/mine").as_deref(), Some("python3"));
    assert_eq!(target("bin/other").as_deref(), Some("../libexec/tool"));
}

#[test]
fn an_entry_that_runs_nothing_is_refused() {
    let bench = Bench::new();
    let layers = [bench.layer("a", &[("bin/python3", "1")])];
    let entries = [EntryPoint {
        name: "x".into(),
        runs: "bin/python2".into(),
    }];
    let error = compose(&bench.session, &layers, &[], &entries).expect_err("refused");
    assert!(
        error.to_string().contains("the closure has no bin/python2"),
        "{error}"
    );
}

#[test]
fn the_reserved_path_of_the_manifest_cannot_be_shipped() {
    let bench = Bench::new();
    let layer = bench.layer("a", &[(super::super::manifest::PATH, "mine")]);
    let about = super::super::manifest::About {
        name: "n",
        version: "1",
        date: 0,
        glibc: (2, 41),
        host: &crate::recipe::HostPolicy::default(),
        fixed_path: None,
    };
    let tree = tree(&layer.tree, "a layer").expect("a tree");
    let error = super::super::manifest::add(&bench.session, &tree, &[], &about);
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("reserved path")
    );
}
