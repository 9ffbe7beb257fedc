//! What an index says ⇄ bytes; which blobs belong to each other.

use proptest::prelude::*;

use super::*;

/// Trees by their ids, without a store.
struct Known(HashMap<TreeId, Tree>);

impl Objects for Known {
    fn open_blob(&self, id: &BlobId) -> Result<std::fs::File, StoreError> {
        Err(StoreError::Missing { id: (*id).into() })
    }
    fn read_blob(&self, id: &BlobId) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Missing { id: (*id).into() })
    }
    fn read_tree(&self, id: &TreeId) -> Result<Tree, StoreError> {
        let tree = self.0.get(id).cloned();
        tree.ok_or(StoreError::Missing { id: (*id).into() })
    }
}

/// Some trees in trees, from a few numbers.
fn some(shape: &[u8]) -> (Vec<ObjectId>, Known) {
    let mut known = HashMap::new();
    let mut last: Vec<TreeId> = Vec::new();
    for (at, number) in shape.iter().enumerate() {
        let mut tree = Tree::new();
        for file in 0..number % 4 {
            let blob = BlobId::of(&[number % 16, file]);
            let executable = number & 16 != 0;
            tree.insert(&format!("file{file}"), Entry::File { blob, executable })
                .unwrap();
        }
        for (below, id) in last
            .iter()
            .enumerate()
            .filter(|(below, _)| (below + at) % 3 == 0)
            .take(2)
        {
            tree.insert(&format!("dir{below}"), Entry::Directory(*id))
                .unwrap();
        }
        tree.insert(
            "link",
            Entry::Symlink {
                target: "file0".into(),
            },
        )
        .unwrap();
        last.push(tree.id());
        known.insert(tree.id(), tree);
    }
    let mut roots: Vec<ObjectId> = last.iter().rev().take(3).map(|id| (*id).into()).collect();
    roots.push(BlobId::of(b"a result").into());
    (roots, Known(known))
}

fn index(shape: &[u8]) -> Index {
    let (roots, known) = some(shape);
    let contents = Contents::of(&roots, &known).unwrap();
    let packs: Vec<PackFile> = (0..3)
        .map(|number| PackFile {
            digest: Digest::of(&[number]),
            size: 1_000_000,
        })
        .collect();
    let blobs = contents.blobs.len();
    let mut bases = vec![BlobId::of(b"an old one"), BlobId::of(b"another")];
    bases.truncate(blobs);
    let base = |at: usize| match at {
        // Each is needed, and some are by more than one.
        _ if at >= blobs => None,
        _ if at < bases.len() => Some(blobs + at),
        _ => (at % 4 == 3).then_some(blobs + at % bases.len()),
    };
    let frames = (0..blobs + bases.len()).map(|at| Frame {
        pack: at % 3,
        offset: (at as u64 * 7_919) % 900_000,
        length: 9 + at as u64 % 90,
        base: base(at),
    });
    Index {
        packs,
        frames: frames.collect(),
        bases: bases.clone(),
        contents,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(shape in proptest::collection::vec(any::<u8>(), 1..40)) {
        let index = index(&shape);
        prop_assert_eq!(Index::decode(&index.encode()).unwrap(), index);
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_or_says_only_where_frames_lie(
        shape in proptest::collection::vec(any::<u8>(), 1..20),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let index = index(&shape);
        let bytes = index.encode();
        let at = at.index(bytes.len());
        prop_assert!(Index::decode(&bytes[..at]).is_err());
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << bit;
        if let Ok(read) = Index::decode(&wrong) {
            // A root may become another one; what hangs below it has to fit its hash.
            prop_assert!(read.contents.trees == index.contents.trees || read.contents.roots != index.contents.roots);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Index::decode(&bytes);
        let _ = Index::decode(&[MAGIC, &bytes].concat());
    }
}

#[test]
fn a_tree_that_nothing_names_and_one_that_is_missing_are_refused() {
    let index = index(&[3, 2, 1]);
    let mut more = index.clone();
    let mut tree = Tree::new();
    tree.insert("x", Entry::Symlink { target: "y".into() })
        .unwrap();
    more.contents.trees.push((tree.id(), tree));
    assert!(Index::decode(&more.encode()).is_err());
    let mut less = index.clone();
    less.contents.trees.pop();
    assert!(Index::decode(&less.encode()).is_err());
    let mut behind = index;
    behind.frames[0].offset = 999_999;
    assert!(Index::decode(&behind.encode()).is_err());
}

#[test]
fn a_blob_was_compressed_against_one_that_was_compressed_alone() {
    let index = index(&[3, 2, 1]);
    let last = index.frames.len() - 1;
    for (number, base) in [(0, 0), (last, 0), (0, 1), (0, last + 1)] {
        let mut wrong = index.clone();
        wrong.frames[number].base = Some(base);
        assert!(Index::decode(&wrong.encode()).is_err(), "{number} {base}");
    }
    let mut large = index.clone();
    large.bases[0].size = MOST_BASED + 1;
    assert!(Index::decode(&large.encode()).is_err());
    let mut unused = index;
    unused.frames[0].base = None;
    assert!(Index::decode(&unused.encode()).is_err());
}

#[test]
fn an_index_is_made_of_places_and_gives_them_again() {
    let index = index(&[9, 8, 7, 3]);
    let places = index.places();
    let again = Index::of(index.contents.clone(), &places).unwrap();
    assert_eq!(again.places(), places);
    assert_eq!(Index::decode(&again.encode()).unwrap(), again);
    let mut less = places;
    less.remove(&index.bases[0].digest);
    assert!(Index::of(index.contents, &less).is_none());
}

#[test]
fn what_lies_in_the_same_place_is_a_counterpart() {
    let tree = |entries: &[(&str, &[u8])]| {
        let mut tree = Tree::new();
        for (name, bytes) in entries {
            let blob = BlobId::of(bytes);
            let executable = false;
            tree.insert(name, Entry::File { blob, executable }).unwrap();
        }
        tree
    };
    let contents = |file: &[u8]| {
        let below = tree(&[("same", b"same"), ("other", file)]);
        let mut top = tree(&[("top", file)]);
        top.insert("dir", Entry::Directory(below.id())).unwrap();
        let root = top.id();
        let known = HashMap::from([(below.id(), below), (root, top)]);
        Contents::of(&[root.into()], &Known(known)).unwrap()
    };
    let found = contents(b"new").counterparts(&contents(b"old"));
    let wanted = HashMap::from([(Digest::of(b"new"), BlobId::of(b"old"))]);
    assert_eq!(found, wanted);
}
