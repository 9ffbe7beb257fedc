//! The encoding is final: one form only, and digests that may never change.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300u64, 0..=i64::MAX as u64]
}

fn entries() -> impl Strategy<Value = Entry> {
    prop_oneof![
        (digests(), sizes(), any::<bool>()).prop_map(|(digest, size, executable)| Entry::File {
            blob: BlobId { digest, size },
            executable
        }),
        (digests(), sizes()).prop_map(|(digest, size)| Entry::Directory(TreeId { digest, size })),
        "[^\u{0}]{1,40}".prop_map(|target| Entry::Symlink { target }),
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    btree_map("[^/\u{0}]{1,20}", entries(), 0..12).prop_map(|entries| {
        let mut tree = Tree::new();
        for (name, entry) in entries {
            // "." and ".." are the only names of this shape that no tree has.
            let _ = tree.insert(&name, entry);
        }
        tree
    })
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_identity(tree in trees()) {
        prop_assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }

    #[test]
    fn whatever_is_accepted_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(tree) = Tree::decode(&bytes) {
            prop_assert_eq!(tree.encode(), bytes);
        }
    }

    #[test]
    fn a_changed_message_is_refused_or_is_another_tree(
        tree in trees(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3,
    ) {
        let mut bytes = tree.encode();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        if let Ok(other) = Tree::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn a_message_cut_short_or_said_twice_is_refused_or_canonical(tree in trees(), at in any::<prop::sample::Index>()) {
        let bytes = tree.encode();
        prop_assume!(!bytes.is_empty());
        let cut = &bytes[..at.index(bytes.len())];
        if let Ok(other) = Tree::decode(cut) {
            prop_assert_eq!(other.encode(), cut);
        }
        prop_assert!(Tree::decode(&[&bytes[..], &bytes[..]].concat()).is_err());
    }
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let blob = BlobId::of(b"hello");
    tree.insert(
        "b",
        Entry::File {
            blob,
            executable: true,
        },
    )
    .unwrap();
    tree.insert(
        "a",
        Entry::File {
            blob: BlobId::of(b""),
            executable: false,
        },
    )
    .unwrap();
    tree.insert("lib", Entry::Directory(Tree::new().id()))
        .unwrap();
    tree.insert(
        "é",
        Entry::Symlink {
            target: "../a".into(),
        },
    )
    .unwrap();
    tree
}

#[test]
fn digests_of_trees_never_change() {
    assert_eq!(
        Tree::new().id().to_string(),
        "tree:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262:0"
    );
    assert_eq!(
        sample().id().to_string(),
        "tree:139306d05309f01bc0a2314fd2119e213c03d8f288ea27d345a125ff3d3866ce:237"
    );
}

#[test]
fn the_bytes_are_those_of_protobuf() {
    let mut tree = Tree::new();
    tree.insert(
        "b",
        Entry::File {
            blob: BlobId::of(b"hello"),
            executable: true,
        },
    )
    .unwrap();
    let hex = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";
    let mut wanted = vec![0x0a, 3 + 2 + 68 + 2, 0x0a, 1, b'b', 0x12, 68, 0x0a, 64];
    wanted.extend(hex.bytes());
    wanted.extend([0x10, 5, 0x20, 1]);
    assert_eq!(tree.encode(), wanted);
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let entry = || Entry::Symlink { target: "x".into() };
    for name in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
        assert!(
            matches!(
                Tree::new().insert(name, entry()),
                Err(TreeError::Name { .. })
            ),
            "{name:?}"
        );
    }
    Tree::new().insert(&"x".repeat(255), entry()).unwrap();
    for target in ["", "a\0", &"x".repeat(4096)] {
        let link = Entry::Symlink {
            target: target.into(),
        };
        assert!(matches!(
            Tree::new().insert("l", link),
            Err(TreeError::Target { .. })
        ));
    }
}

#[test]
fn one_name_in_two_lists_is_refused() {
    let mut file = Tree::new();
    file.insert(
        "x",
        Entry::File {
            blob: BlobId::of(b""),
            executable: false,
        },
    )
    .unwrap();
    let mut link = Tree::new();
    link.insert("x", Entry::Symlink { target: "y".into() })
        .unwrap();
    let both = [file.encode(), link.encode()].concat();
    assert_eq!(
        Tree::decode(&both),
        Err(TreeError::Duplicate { name: "x".into() })
    );
    let backwards = [link.encode(), file.encode()].concat();
    assert!(matches!(
        Tree::decode(&backwards),
        Err(TreeError::Encoding { .. })
    ));
}

#[test]
fn a_size_over_63_bits_is_refused() {
    let blob = BlobId {
        digest: Digest::of(b""),
        size: 1 << 63,
    };
    let refused = Tree::new().insert(
        "x",
        Entry::File {
            blob,
            executable: false,
        },
    );
    assert!(matches!(refused, Err(TreeError::Size { .. })));
}
