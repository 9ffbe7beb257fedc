//! Odd places for a tree: [`Place`]. Begin at [`all`].

use camino::{Utf8Path, Utf8PathBuf};

use super::roots::{LINKS, TREE};

/// The longest path that the kernel takes, without the byte that ends it.
const LONGEST: usize = 4095;

/// Where a tree is put, and what is odd there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// How the report calls it.
    pub(super) name: String,
    /// Where the tree appears.
    pub(super) at: Utf8PathBuf,
    /// A name in [`LINKS`] that it is started by, instead of its own path.
    pub(super) link: Option<&'static str>,
    /// What it finds as its own name.
    pub(super) argv0: Option<&'static str>,
    /// Whether there is a `/tmp`, and whether programs may lie in it.
    pub(super) tmp: bool,
    pub(super) noexec: bool,
    /// Whether there is a `/dev`.
    pub(super) dev: bool,
    /// Why nothing can start there without `/proc`, if so.
    pub(super) needs_proc: Option<&'static str>,
}

/// Names of folders that programs get wrong.
const NAMES: [(&str, &str); 11] = [
    ("a space", "a b  c"),
    ("UTF-8", "ünï—漢字🐍"),
    ("quotes", "it's \"quoted\" `here`"),
    ("a colon", "a:b"),
    ("a semicolon", "a;b"),
    ("a dollar", "$HOME $(x)"),
    ("a backslash", "a\\b"),
    ("a pattern", "*[x]?"),
    ("a newline", "a\nb"),
    ("a dash", "-rf"),
    ("(deleted)", "a (deleted)"),
];

/// Links in a folder of ours: name and target. The first leads to the second, and so on.
pub(super) fn links(program: &Utf8Path) -> [(&'static str, String); 4] {
    let program = Utf8Path::new(TREE).join(program);
    [
        ("chain", "second link".to_owned()),
        ("second link", format!("../links/{}", "direct")),
        ("direct", program.into_string()),
        ("folder", TREE.to_owned()),
    ]
}

/// All places, for a tree whose longest path inside has `longest` bytes.
pub(super) fn all(longest: usize) -> Vec<Place> {
    let mut places: Vec<Place> = NAMES
        .iter()
        .map(|(name, folder)| Place {
            needs_proc: folder.contains(':').then_some(
                "a loader splits search paths at colons, and knows its folder by /proc only",
            ),
            ..at(name, &format!("/recipe-test/{folder}/tree"))
        })
        .collect();
    places.push(at("320 bytes", &long(320)));
    // A slash stands between the two.
    places.push(at("the longest path", &long(LONGEST - longest - 1)));
    let here = |name: &str| at(name, TREE);
    places.push(Place {
        link: Some("direct"),
        ..here("by a link")
    });
    places.push(Place {
        link: Some("chain"),
        ..here("by a chain of links")
    });
    places.push(Place {
        link: Some("folder"),
        ..here("by a linked folder")
    });
    places.push(Place {
        argv0: Some("weird"),
        ..here("another argv[0]")
    });
    places.push(Place {
        noexec: true,
        ..here("noexec /tmp")
    });
    places.push(Place {
        tmp: false,
        dev: false,
        ..here("no /tmp, no /dev")
    });
    places
}

fn at(name: &str, path: &str) -> Place {
    Place {
        name: name.to_owned(),
        at: path.into(),
        link: None,
        argv0: None,
        tmp: true,
        noexec: false,
        dev: true,
        needs_proc: None,
    }
}

/// A path of exactly this many bytes, in parts that a file system takes.
fn long(bytes: usize) -> String {
    let mut path = String::from("/recipe-test");
    while path.len() < bytes {
        let rest = bytes - path.len() - 1;
        // One byte more would leave a part without a name.
        let part = match rest {
            0 => return path,
            rest if rest > 200 && rest - 200 == 1 => 199,
            rest => rest.min(200),
        };
        path.push('/');
        path.push_str(&"x".repeat(part));
    }
    path
}

impl Place {
    /// The path of the program there.
    pub(super) fn program(&self, program: &Utf8Path) -> Utf8PathBuf {
        match self.link {
            Some("folder") => Utf8Path::new(LINKS).join("folder").join(program),
            Some(link) => Utf8Path::new(LINKS).join(link),
            None => self.at.join(program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_has_exactly_the_bytes_that_were_asked_for() {
        for bytes in [15, 212, 213, 214, 215, 320, 413, 414, 415, 3900, 4000] {
            let path = long(bytes);
            assert_eq!(path.len(), bytes, "{path}");
            assert!(!path.ends_with('/') && !path.contains("//"));
        }
    }
}
