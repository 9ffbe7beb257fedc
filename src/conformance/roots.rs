//! The roots that this machine can make: [`Ground`]. Begin at [`all`].

use camino::{Utf8Path, Utf8PathBuf};

use super::{ConformanceError, Distribution, Options};
use crate::sandbox::{Bind, Identity, Root, Spec};

/// Where the tree, the probe and links to the tree appear in a root.
pub(super) const TREE: &str = "/recipe-test/tree";
pub(super) const PROBE: &str = "/recipe-test/probe";
pub(super) const LINKS: &str = "/recipe-test/links";

/// What a root without a C library has in `/bin`.
const APPLETS: [&str; 5] = ["sh", "cat", "env", "ls", "true"];

/// A root and a user in it, before the tree is added.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// How the report calls it.
    pub(super) name: String,
    pub(super) root: Root,
    pub(super) binds: Vec<Bind>,
    pub(super) files: Vec<(Utf8PathBuf, Vec<u8>)>,
    pub(super) proc: bool,
    pub(super) dev: bool,
    pub(super) identity: Identity,
    /// Whether it is this machine's own root, with all of its programs.
    pub(super) full: bool,
}

/// Every root with every user. The first is the full host with an ordinary user.
pub(super) fn all(options: &Options) -> Result<Vec<Ground>, ConformanceError> {
    let mut roots = vec![host()?, host_without_proc()?];
    roots.extend(options.busybox.as_deref().map(without_c_library));
    roots.push(empty());
    roots.push(Ground {
        name: "empty without /proc".into(),
        proc: false,
        dev: false,
        ..empty()
    });
    for Distribution { name, root } in &options.distributions {
        if let Ok(root) = root {
            roots.push(shown(name, root, &["proc", "dev", "tmp"])?);
        }
    }
    let users = [(Identity::User, "user"), (Identity::Root, "root")];
    let with_users = roots.into_iter().flat_map(|ground| {
        users.map(|(identity, user)| Ground {
            name: format!("{}, {user}", ground.name),
            identity,
            ..ground.clone()
        })
    });
    Ok(with_users.collect())
}

impl Ground {
    fn new(name: &str, root: Root) -> Ground {
        Ground {
            name: name.to_owned(),
            root,
            binds: Vec::new(),
            files: Vec::new(),
            proc: true,
            dev: true,
            identity: Identity::User,
            full: false,
        }
    }

    /// `program` in this root.
    pub(super) fn spec(&self, program: &Utf8Path) -> Spec {
        let mut spec = Spec::new(program);
        spec.root = self.root.clone();
        spec.binds.clone_from(&self.binds);
        spec.files.clone_from(&self.files);
        (spec.tmp, spec.proc, spec.dev) = (true, self.proc, self.dev);
        spec.identity = self.identity;
        // A tree is asked what holds on a host, debuggers and set-user-id bits included.
        spec.hardened = false;
        spec
    }
}

fn host() -> Result<Ground, ConformanceError> {
    let mut ground = shown("host", "/".into(), &["proc", "dev", "tmp"])?;
    ground.full = true;
    Ok(ground)
}

fn host_without_proc() -> Result<Ground, ConformanceError> {
    Ok(Ground {
        proc: false,
        ..shown("host without /proc", "/".into(), &["proc", "dev", "tmp"])?
    })
}

/// An empty root in which each entry of `folder` is shown but for those that are ours.
fn shown(name: &str, folder: &Utf8Path, but: &[&str]) -> Result<Ground, ConformanceError> {
    let unreadable = |source| ConformanceError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut ground = Ground::new(name, Root::Empty);
    for entry in folder.read_dir_utf8().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link at the top (`bin -> usr/bin`) is shown as what it leads to; one that leads nowhere
        // is nothing.
        let there = folder.join(entry.file_name());
        if !but.contains(&entry.file_name()) && there.is_dir() {
            ground.binds.push(Bind {
                host: there,
                at: Utf8Path::new("/").join(entry.file_name()),
                writable: false,
            });
        }
    }
    Ok(ground)
}

/// What a host with musl looks like to a program that brings its own C library: static programs, a
/// few files in `/etc`, no loader, no locales, no time zones.
fn without_c_library(busybox: &Utf8Path) -> Ground {
    let mut ground = Ground::new("musl", Root::Empty);
    for applet in APPLETS {
        ground.binds.push(Bind {
            host: busybox.to_owned(),
            at: Utf8Path::new("/bin").join(applet),
            writable: false,
        });
    }
    for (path, text) in [
        ("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n"),
        ("/etc/group", "root:x:0:\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/ld.so.preload", "/lib/libthat-is-not-here.so\n"),
    ] {
        ground.files.push((path.into(), text.into()));
    }
    ground
}

fn empty() -> Ground {
    Ground::new("empty", Root::Empty)
}
