//! The projects that a recipe builds from their sdists, and the machine that it does so in. Begin at
//! [`sdists`].
//!
//! They are built in the recipe's `sysroot`, beside what the interpreter needs there. A recipe without
//! one builds in what every machine of the interpreter's suite has, which is enough for projects
//! without any C.

use super::built::{self, Sysroot};
use super::decode::Item;
use super::notes::Notes;
use super::wrong::Wrong;
use super::{Recipe, Spanned};

/// What is built from sdists.
#[derive(Debug, Clone)]
pub struct Sdists {
    /// The projects (normalised names).
    pub projects: Vec<Spanned<String>>,
    /// What their builds see.
    pub sysroot: Spanned<Sysroot>,
    /// Packages of the sysroot and where they are written.
    pub packages: Vec<Spanned<String>>,
    /// Whether the recipe says which packages there are.
    pub said: bool,
}

/// Reads what `pip` and `sysroot` say of it; `None` where nothing is built from an sdist.
pub(super) fn sdists(item: &Item, recipe: &Recipe, notes: &mut Notes) -> Option<Sdists> {
    let mut nodes = item.children.iter();
    let node = nodes.find(|child| child.rule.node == "sysroot");
    let said = match (&recipe.built, node) {
        (Some(built), _) => Some((built.sysroot.clone(), built.packages.clone())),
        // A build without a sysroot was noted before.
        (None, Some(_)) if item.children.iter().any(|it| it.rule.node == "build") => None,
        (None, Some(node)) => built::sysroot(node, notes),
        (None, None) => None,
    };
    let interpreter = recipe.interpreter.as_ref()?;
    if let Some((sysroot, _)) = &said
        && sysroot.value.suite != interpreter.value.suite
    {
        let wrong = Wrong::OtherSuite {
            sysroot: sysroot.value.suite.clone(),
            interpreter: interpreter.value.suite.clone(),
        };
        notes.wrong(wrong, sysroot, "this node");
    }
    let first = recipe.pip.no_binary.first()?;
    let is_said = said.is_some();
    let (sysroot, packages) = said.unwrap_or_else(|| {
        let bare = first.with(Sysroot {
            suite: interpreter.value.suite.clone(),
            allow_expired: interpreter.value.allow_expired,
            packages: Vec::new(),
        });
        (bare, Vec::new())
    });
    Some(Sdists {
        projects: recipe.pip.no_binary.clone(),
        sysroot,
        packages,
        said: is_said,
    })
}
