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
#[path = "index_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
