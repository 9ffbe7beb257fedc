//! What a tree says of itself → what is expected of it otherwise than usual: [`Said`].
//!
//! A closure's manifest tells what it takes of its host and where it may stand. A row that the closure
//! then answers otherwise, as its recipe wants it, is asked for what is still promised, or left out
//! with the reason. Nothing else of a manifest counts here, and a tree without one is asked everything.

use std::fs;

use camino::Utf8Path;

use super::Check;
use crate::closure::{MANIFEST, Manifest};

/// Data that a program and its children are shown the way to, and the private variable for it.
const PRIVATE: [(&str, &str); 3] = [
    ("locales", "RCPLOCP"),
    ("time-zones", "RTZDR"),
    ("terminals", "RCPTRMNFO_DRS"),
];

/// Rows that ask whether the caller's libraries are shut out.
const OF_PRELOADS: [&str; 2] = ["libraries_of_the_host", "preload_file_of_the_host"];

/// What the manifest of a tree says that concerns rows of the table.
#[derive(Debug, Default)]
pub(super) struct Said(Manifest);

impl Said {
    /// Reads the manifest of the tree at `top`. What is none says nothing.
    pub(super) fn of(top: &Utf8Path) -> Said {
        let text = fs::read_to_string(top.join(MANIFEST)).unwrap_or_default();
        Said(Manifest::parse(&text).unwrap_or_default())
    }

    fn order(&self, matter: &str) -> Option<&str> {
        let mut all = self.0.host.iter();
        let found = all.find(|(name, _)| name == matter);
        found.map(|(_, order)| order.as_str())
    }

    /// Why `check` is not asked of this tree.
    pub(super) fn spares(&self, check: &Check) -> Option<String> {
        let (matter, order) = match check.name {
            name if OF_PRELOADS.contains(&name) => ("preloads", "host-first"),
            "locale_of_the_host" => ("locales", "closure-only"),
            _ => return None,
        };
        (self.order(matter) == Some(order))
            .then(|| format!("its manifest says so: {matter} {order}"))
    }

    /// The words by which the probe is told what is not as usual.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let private = PRIVATE
            .iter()
            .filter(|(matter, _)| self.order(matter).is_some())
            .flat_map(|(_, name)| ["--may-add", *name]);
        let code = self.order("name-service") == Some("host-first");
        private.chain(code.then_some("--host-code")).collect()
    }

    /// The path that its programs name on purpose, if that is `tree`.
    pub(super) fn stands_fixed(&self, tree: &Utf8Path) -> bool {
        self.0.fixed_path.as_deref() == Some(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::super::runner::named;
    use super::*;

    fn said(lines: &str) -> Said {
        let text = format!("recipe-manifest 1\nname a\n{lines}");
        Said(Manifest::parse(&text).unwrap())
    }

    #[test]
    fn only_what_the_manifest_says_is_expected_otherwise() {
        let none = Said::of(Utf8Path::new("/nonexistent"));
        let preloads = named("libraries_of_the_host");
        assert_eq!((none.spares(preloads), none.words().len()), (None, 0));
        let some =
            said("host preloads host-first\nhost locales closure-first\nfixed-path /opt/a\n");
        assert!(
            some.spares(preloads)
                .unwrap()
                .contains("preloads host-first")
        );
        assert_eq!(some.spares(named("locale_of_the_host")), None);
        assert_eq!(some.spares(named("mapped_files")), None);
        assert_eq!(some.words(), ["--may-add", "RCPLOCP"]);
        assert!(some.stands_fixed(Utf8Path::new("/opt/a")));
        assert!(!some.stands_fixed(Utf8Path::new("/opt/b")));
        let code = said("host name-service host-first\n");
        assert_eq!(code.words(), ["--host-code"]);
    }
}
