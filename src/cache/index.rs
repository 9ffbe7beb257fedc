//! Which objects a build has, and in which pack each blob lies ⇄ bytes. Begin at [`Index::decode`].
//!
//! The file is one zstd frame of this:
//!
//! ```text
//! recipe-index 2\n
//! number of packs, then for each: 32 bytes of its BLAKE3, its size
//! number of roots, then for each: 0 for a blob or 1 for a tree, 32 bytes of its BLAKE3, its size
//! number of trees, then for each: its length, and the Directory message
//! number of bases, then for each: 32 bytes of its BLAKE3, its size
//! for each blob, then each base: the pack's number, how far after the end of the frame before it its frame begins,
//!     the frame's length, and 0, or 1 and the number of the blob that the frame was compressed against
//! ```
//!
//! A base is a blob that no root names and that others were compressed against: what lay in the same place in an
//! earlier build. It was compressed alone, so whoever wants a blob reads one frame more at most.
//!
//! Numbers are varints of 7 bits a byte, the lowest first, in their shortest form; what can be negative is
//! zigzagged. Neither trees nor blobs are named again: the roots name the first of them and each tree names
//! more, and both stand in the order in which they are met so, breadth first. Who follows the roots knows the hash of
//! everything that comes next, so nothing in the file is believed but where frames lie.

use std::collections::hash_map;
use std::collections::{HashMap, HashSet};

use recipe_store::{BlobId, Digest, Entry, ObjectId, Objects, StoreError, Tree, TreeId};

const MAGIC: &[u8] = b"recipe-index 2\n";
/// Trees and blobs of one build, each.
const MOST: usize = 4_000_000;
const MOST_PACKS: usize = 4_096;
/// What the file of an index may have once it is decompressed, in bytes.
pub(super) const MOST_RAW: u64 = 1 << 30;

/// A blob that was compressed against another, and that other, have at most so many bytes.
pub(super) const MOST_BASED: u64 = 32 << 20;

/// A pack: its name is its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PackFile {
    /// BLAKE3 of the file.
    pub(super) digest: Digest,
    /// Its bytes.
    pub(super) size: u64,
}

/// Where the frame of a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Number of the pack.
    pub(super) pack: usize,
    /// First byte.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) length: u64,
    /// Number of the blob that it was compressed against.
    pub(super) base: Option<usize>,
}

/// The same without numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// The pack.
    pub(super) pack: PackFile,
    /// First byte.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) length: u64,
    /// The blob that it was compressed against.
    pub(super) base: Option<BlobId>,
}

/// A blob as it is first met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    /// The blob.
    pub(super) blob: BlobId,
    /// Whether the file that it is first met as can be executed.
    pub(super) executable: bool,
}

/// All that some roots consist of, each thing once, in the order in which it is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// What it is about.
    pub(super) roots: Vec<ObjectId>,
    /// Every directory.
    pub(super) trees: Vec<(TreeId, Tree)>,
    /// Every blob.
    pub(super) blobs: Vec<Met>,
}

/// Where everything lies that some roots consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// The packs.
    pub(super) packs: Vec<PackFile>,
    /// What lies in them.
    pub(super) contents: Contents,
    /// Blobs besides, that others were compressed against. Their numbers follow those of the contents.
    pub(super) bases: Vec<BlobId>,
    /// For each blob, in the order of the numbers, its frame.
    pub(super) frames: Vec<Frame>,
}

/// Follows roots to all that they name.
#[derive(Default)]
struct Walk {
    contents: Contents,
    /// Trees that were met and not read, in order.
    open: Vec<TreeId>,
    met: HashSet<(bool, Digest)>,
}

impl Walk {
    fn root(&mut self, root: ObjectId) {
        self.contents.roots.push(root);
        match root {
            ObjectId::Blob(blob) => self.blob(blob, false),
            ObjectId::Tree(tree) => self.tree(tree),
        }
    }

    fn blob(&mut self, blob: BlobId, executable: bool) {
        if self.met.insert((false, blob.digest)) {
            self.contents.blobs.push(Met { blob, executable });
        }
    }

    fn tree(&mut self, tree: TreeId) {
        if self.met.insert((true, tree.digest)) {
            self.open.push(tree);
        }
    }

    /// The tree that comes next.
    fn next(&self) -> Option<TreeId> {
        self.open.get(self.contents.trees.len()).copied()
    }

    fn read(&mut self, id: TreeId, tree: Tree) {
        for (_, entry) in tree.iter() {
            match entry {
                Entry::File { blob, executable } => self.blob(*blob, *executable),
                Entry::Directory(below) => self.tree(*below),
                Entry::Symlink { .. } => {}
            }
        }
        self.contents.trees.push((id, tree));
    }
}

impl Contents {
    /// All that `roots` consist of, as `objects` has it.
    pub(super) fn of(roots: &[ObjectId], objects: &impl Objects) -> Result<Contents, StoreError> {
        let mut walk = Walk::default();
        roots.iter().for_each(|root| walk.root(*root));
        while let Some(id) = walk.next() {
            let tree = objects.read_tree(&id)?;
            walk.read(id, tree);
        }
        Ok(walk.contents)
    }

    /// For each blob that lies where another one lies in `old`: that one.
    pub(super) fn counterparts(&self, old: &Contents) -> HashMap<Digest, BlobId> {
        let trees = |contents: &Contents| -> HashMap<TreeId, usize> {
            let trees = contents.trees.iter().enumerate();
            trees.map(|(at, (id, _))| (*id, at)).collect()
        };
        let (ours, theirs) = (trees(self), trees(old));
        let mut counterparts = HashMap::new();
        let mut pair = |one: BlobId, other: BlobId| {
            if one != other {
                counterparts.entry(one.digest).or_insert(other);
            }
        };
        let mut open = Vec::new();
        // Each of our trees is looked at once, so this ends soon, whatever the other side is.
        let mut met = HashSet::new();
        for roots in self.roots.iter().zip(&old.roots) {
            match roots {
                (ObjectId::Tree(one), ObjectId::Tree(other)) => open.push((*one, *other)),
                (ObjectId::Blob(one), ObjectId::Blob(other)) => pair(*one, *other),
                _ => {}
            }
        }
        while let Some((one, other)) = open.pop() {
            if one == other || !met.insert(one) {
                continue;
            }
            let (Some(one), Some(other)) = (ours.get(&one), theirs.get(&other)) else {
                continue;
            };
            let (one, other) = (&self.trees[*one].1, &old.trees[*other].1);
            for (name, entry) in one.iter() {
                match (entry, other.get(name)) {
                    (Entry::File { blob: one, .. }, Some(Entry::File { blob: other, .. })) => {
                        pair(*one, *other);
                    }
                    (Entry::Directory(one), Some(Entry::Directory(other))) => {
                        open.push((*one, *other));
                    }
                    _ => {}
                }
            }
        }
        counterparts
    }
}

impl Index {
    /// An index of `contents`, whose blobs lie where `places` says, and so do those that they were compressed against.
    /// Nothing where it does not say so of all.
    pub(super) fn of(contents: Contents, places: &HashMap<Digest, Placed>) -> Option<Index> {
        let placed = |blob: &BlobId| places.get(&blob.digest).copied();
        let blobs = contents.blobs.iter().map(|met| placed(&met.blob));
        let mut all: Vec<Placed> = blobs.collect::<Option<_>>()?;
        let numbers = contents.blobs.iter().enumerate();
        let mut numbers: HashMap<Digest, usize> = numbers
            .map(|(number, met)| (met.blob.digest, number))
            .collect();
        let mut bases = Vec::new();
        let wanted: Vec<BlobId> = all.iter().filter_map(|placed| placed.base).collect();
        for base in wanted {
            if let hash_map::Entry::Vacant(number) = numbers.entry(base.digest) {
                number.insert(all.len());
                all.push(placed(&base)?);
                bases.push(base);
            }
        }
        let mut packs: Vec<PackFile> = Vec::new();
        let frames = all.iter().map(|placed| {
            let known = packs.iter().position(|pack| *pack == placed.pack);
            let pack = known.unwrap_or_else(|| {
                packs.push(placed.pack);
                packs.len() - 1
            });
            let base = placed.base.map(|base| numbers.get(&base.digest).copied());
            Some(Frame {
                pack,
                offset: placed.offset,
                length: placed.length,
                base: match base {
                    Some(base) => Some(base?),
                    None => None,
                },
            })
        });
        let frames = frames.collect::<Option<_>>()?;
        Some(Index {
            packs,
            contents,
            bases,
            frames,
        })
    }

    /// The blob of that number.
    pub(super) fn blob(&self, number: usize) -> Option<Met> {
        let blobs = &self.contents.blobs;
        let base = |number: usize| self.bases.get(number.checked_sub(blobs.len())?).copied();
        blobs.get(number).copied().or_else(|| {
            Some(Met {
                blob: base(number)?,
                executable: false,
            })
        })
    }

    /// The bytes that are compressed.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        number(&mut out, self.packs.len() as u64);
        for pack in &self.packs {
            out.extend_from_slice(pack.digest.as_bytes());
            number(&mut out, pack.size);
        }
        let Contents { roots, trees, .. } = &self.contents;
        number(&mut out, roots.len() as u64);
        for root in roots {
            let (kind, size) = match root {
                ObjectId::Blob(id) => (0, id.size),
                ObjectId::Tree(id) => (1, id.size),
            };
            out.push(kind);
            out.extend_from_slice(root.digest().as_bytes());
            number(&mut out, size);
        }
        number(&mut out, trees.len() as u64);
        for (_, tree) in trees {
            let message = tree.encode();
            number(&mut out, message.len() as u64);
            out.extend_from_slice(&message);
        }
        number(&mut out, self.bases.len() as u64);
        for base in &self.bases {
            out.extend_from_slice(base.digest.as_bytes());
            number(&mut out, base.size);
        }
        let mut end = 0;
        for frame in &self.frames {
            number(&mut out, frame.pack as u64);
            number(&mut out, zigzag(frame.offset.wrapping_sub(end) as i64));
            number(&mut out, frame.length);
            number(&mut out, frame.base.map_or(0, |base| base as u64 + 1));
            end = frame.offset + frame.length;
        }
        out
    }

    /// Reads what [`Index::encode`] writes. What is not exactly that is refused, saying why.
    pub(super) fn decode(bytes: &[u8]) -> Result<Index, String> {
        let mut input = Input(bytes);
        if input.take(MAGIC.len())? != MAGIC {
            return Err("it does not begin as an index does".to_owned());
        }
        let count = input.count(MOST_PACKS)?;
        let mut packs = Vec::with_capacity(count);
        for _ in 0..count {
            packs.push(PackFile {
                digest: input.digest()?,
                size: input.number()?,
            });
        }
        let mut walk = Walk::default();
        for _ in 0..input.count(MOST)? {
            let root = match input.take(1)? {
                [0] => ObjectId::Blob(BlobId {
                    digest: input.digest()?,
                    size: input.number()?,
                }),
                [1] => ObjectId::Tree(TreeId {
                    digest: input.digest()?,
                    size: input.number()?,
                }),
                _ => return Err("a root is neither a blob nor a tree".to_owned()),
            };
            walk.root(root);
        }
        for _ in 0..input.count(MOST)? {
            let id = walk.next().ok_or("it has a tree that nothing names")?;
            let length = input.count(usize::MAX)?;
            let message = input.take(length)?;
            if TreeId::of(message) != id {
                return Err(format!(
                    "where {} should be is something else",
                    ObjectId::Tree(id)
                ));
            }
            let tree = Tree::decode(message).map_err(|error| error.to_string())?;
            walk.read(id, tree);
            if walk.open.len() > MOST || walk.contents.blobs.len() > MOST {
                return Err("it has too many entries".to_owned());
            }
        }
        if let Some(id) = walk.next() {
            return Err(format!("{} is named and not there", ObjectId::Tree(id)));
        }
        let mut bases = Vec::new();
        for _ in 0..input.count(MOST)? {
            let base = BlobId {
                digest: input.digest()?,
                size: input.number()?,
            };
            if !walk.met.insert((false, base.digest)) {
                return Err("a base is named twice".to_owned());
            }
            bases.push(base);
        }
        let mut index = Index {
            packs,
            contents: walk.contents,
            bases,
            frames: Vec::new(),
        };
        index.frames = index.read_frames(&mut input)?;
        if !input.0.is_empty() {
            return Err("something follows after its end".to_owned());
        }
        Ok(index)
    }

    fn read_frames(&self, input: &mut Input<'_>) -> Result<Vec<Frame>, String> {
        let count = self.contents.blobs.len() + self.bases.len();
        let mut frames: Vec<Frame> = Vec::with_capacity(count);
        let mut end: u64 = 0;
        for blob in (0..count).filter_map(|number| self.blob(number)) {
            let frame = input.frame(end)?;
            let pack = self
                .packs
                .get(frame.pack)
                .ok_or("a blob lies in a pack that is not named")?;
            let after = frame.offset.checked_add(frame.length);
            end = after
                .filter(|end| *end <= pack.size)
                .ok_or("a blob lies behind the end of its pack")?;
            if frame.length > most_bytes(blob.blob.size) {
                return Err("the frame of a blob is longer than it can be".to_owned());
            }
            frames.push(frame);
        }
        let mut needed = HashSet::new();
        for (number, frame) in frames.iter().enumerate() {
            let Some(base) = frame.base else { continue };
            needed.insert(base);
            let is_plain = frames.get(base).is_some_and(|frame| frame.base.is_none());
            let sizes = [number, base].map(|it| self.blob(it).map_or(u64::MAX, |it| it.blob.size));
            if !is_plain || sizes.iter().any(|size| *size > MOST_BASED) {
                return Err("a blob was compressed against one that it cannot be".to_owned());
            }
        }
        let first = self.contents.blobs.len();
        if (first..count).any(|base| !needed.contains(&base)) {
            return Err("it has a base that nothing needs".to_owned());
        }
        Ok(frames)
    }

    /// Where each blob lies.
    pub(super) fn places(&self) -> HashMap<Digest, Placed> {
        let mut places = HashMap::with_capacity(self.frames.len());
        for (number, frame) in self.frames.iter().enumerate() {
            let Some(met) = self.blob(number) else {
                continue;
            };
            let base = frame.base.and_then(|base| self.blob(base));
            let placed = Placed {
                pack: self.packs[frame.pack],
                offset: frame.offset,
                length: frame.length,
                base: base.map(|base| base.blob),
            };
            places.insert(met.blob.digest, placed);
        }
        places
    }
}

/// What a frame of so many bytes can have at most: those that cannot be compressed, and zstd's heads.
pub(super) fn most_bytes(size: u64) -> u64 {
    size.saturating_add(size / 128).saturating_add(1024)
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn digest(&mut self) -> Result<Digest, String> {
        let bytes = self.take(32)?.try_into();
        Ok(Digest::from_bytes(bytes.map_err(|_| "it ends too early")?))
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
                return Err("a number is not in its shortest form".to_owned());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    /// How many there are of what takes at least a byte each: no more than bytes are left.
    fn count(&mut self, most: usize) -> Result<usize, String> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > most || count > self.0.len() {
            return Err("it says that there is more than there can be".to_owned());
        }
        Ok(count)
    }

    fn frame(&mut self, end: u64) -> Result<Frame, String> {
        let pack = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let offset = end.checked_add_signed(unzigzag(self.number()?));
        Ok(Frame {
            pack,
            offset: offset.ok_or("a blob lies before the beginning of its pack")?,
            length: self.number()?,
            base: match self.number()? {
                0 => None,
                next => Some(usize::try_from(next - 1).unwrap_or(usize::MAX)),
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
}
