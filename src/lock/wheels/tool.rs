//! The pinned resolver: `uv.lock.kdl` → a file to run.

use std::io::Read;

use camino::Utf8PathBuf;
use kdl::{KdlDocument, KdlNode};
use recipe_store::{Entry, Isolation, ObjectId, Session, StepKey, Trace, Tree, TreeId};

use super::{Context, WheelsError, fetch};
use crate::archive::{ArchiveError, Limits, OnlyFiles, put_content, unpack_zip};

const PINNED: &str = include_str!("../uv.lock.kdl");

/// The resolver's wheel for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its version, for the lock's list of tools.
    pub version: String,
    /// The wheel's file name.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its sha256 in lower-case hex.
    pub sha256: String,
}

impl Tool {
    /// The one for machines of this architecture: the machine that locks, whatever the closure is for.
    pub fn pinned(architecture: &str) -> Result<Tool, WheelsError> {
        let none = || WheelsError::NoTool {
            architecture: architecture.to_owned(),
        };
        let document: KdlDocument = PINNED.parse().map_err(|_| none())?;
        let uv = document.get("uv").ok_or_else(none)?;
        let wheels = uv.children().map(KdlDocument::nodes).unwrap_or_default();
        let wheel = wheels
            .iter()
            .find(|node| node.get(0).and_then(|v| v.as_string()) == Some(architecture));
        let wheel = wheel.ok_or_else(none)?;
        let text = |node: &KdlNode, key: &str| {
            node.get(key)
                .and_then(|value| value.as_string())
                .map(str::to_owned)
                .ok_or_else(none)
        };
        let size = wheel.get("size").and_then(|value| value.as_integer());
        Ok(Tool {
            version: text(uv, "version")?,
            path: text(wheel, "path")?,
            size: size
                .and_then(|size| size.try_into().ok())
                .ok_or_else(none)?,
            sha256: text(wheel, "sha256")?,
        })
    }

    /// A folder on disk that holds the executable `uv` and nothing else.
    pub(super) fn folder(&self, context: &Context<'_>) -> Result<Utf8PathBuf, WheelsError> {
        let session = context.session;
        let preimage = format!("recipe: the program uv of the wheel {}, 1", self.sha256);
        let known = session.find(&StepKey::of(preimage.as_bytes()))?;
        let tree = match known.and_then(|trace| output(&trace)) {
            Some(tree) => tree,
            None => self.unpack(&preimage, context)?,
        };
        Ok(session.checkout(&tree)?)
    }

    fn unpack(&self, preimage: &str, context: &Context<'_>) -> Result<TreeId, WheelsError> {
        let session = context.session;
        let file = fetch::File {
            name: &self.path,
            size: self.size,
            sha256: &self.sha256,
        };
        let wheel = fetch::fetch(&file, context.net, session, context.indexes)?;
        let mut tree = Tree::new();
        // `*.data/scripts/uv` is all that is kept, as `uv`.
        let mut program = OnlyFiles(|path: &str, size: u64, content: &mut dyn Read| {
            if path.split_once('/').map(|(_, rest)| rest) != Some("scripts/uv") {
                return Ok(());
            }
            let blob = put_content(session, true, size, content)?;
            let executable = true;
            tree.insert("uv", Entry::File { blob, executable })
                .map_err(ArchiveError::sink)
        });
        unpack_zip(
            &session.open_blob(&wheel)?,
            &self.path,
            &Limits::default(),
            &mut program,
        )?;
        if tree.is_empty() {
            let reason = format!("{} holds no program uv", self.path);
            return Err(WheelsError::Tool { reason });
        }
        let tree = session.put_tree(&tree)?;
        remember(session, preimage, tree)?;
        Ok(tree)
    }
}

fn output(trace: &Trace) -> Option<TreeId> {
    match trace.outputs.get("out") {
        Some(ObjectId::Tree(tree)) => Some(*tree),
        _ => None,
    }
}

/// The program is unpacked once for each store, not for each lock.
fn remember(session: &Session, preimage: &str, tree: TreeId) -> Result<(), WheelsError> {
    let none = || "none".to_owned();
    let trace = Trace {
        key: StepKey::of(preimage.as_bytes()),
        outputs: [("out".to_owned(), ObjectId::Tree(tree))].into(),
        maker: concat!("recipe ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: 0,
        duration: 0,
        isolation: Isolation {
            reached: none(),
            required: none(),
        },
        preimage: preimage.as_bytes().to_vec(),
    };
    // If another process was faster, its result is as good.
    let _ = session.record(trace)?;
    Ok(())
}
