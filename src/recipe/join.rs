//! The nodes of a recipe and of one that it builds on → the nodes of both. Begin at [`join`].
//!
//! One rule: what is nearer counts. How near a file is its [`rank`](super::File::rank) tells: files are
//! opened in that order. Which of two nodes that say something about the same thing stays is written in
//! their row of the grammar, and is settled when parameters are filled.

use std::collections::BTreeMap;

use super::Spanned;
use super::decode::Item;
use super::grammar::Joins;
use super::near::nearest;
use super::notes::Notes;
use super::requirement::project;
use super::wrong::Wrong;

/// Words of all `without` in one block: each is held against all that a recipe builds on.
const MOST: usize = 256;
/// Words that are looked through for the one that was probably meant.
const LOOKED_THROUGH: usize = 1_000;

/// Puts the `far` nodes to the `near` ones: blocks become one, and of nodes that stand once the near one
/// stays.
pub(super) fn join(near: &mut Vec<Item>, far: Vec<Item>) {
    let mut joined = Vec::new();
    for item in far {
        let same = |other: &&mut Item| other.rule.node == item.rule.node;
        let told = near.iter_mut().find(same);
        match (item.rule.joins, told) {
            (Joins::Block, Some(block)) => join(&mut block.children, item.children),
            (Joins::Nearest, Some(_)) => {}
            _ => joined.push(item),
        }
    }
    // What is further away comes first: it was there before.
    joined.append(near);
    *near = joined;
}

/// Of nodes that say something about the same thing, keeps the nearest. Those of one file all stay:
/// saying something twice is a mistake.
pub(super) fn settle(items: &mut [Item]) {
    for block in items
        .iter_mut()
        .filter(|item| item.rule.joins == Joins::Block)
    {
        let mut ranks: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for item in &block.children {
            for thing in things(item) {
                let rank = ranks.entry(thing).or_insert(item.file.rank);
                *rank = item.file.rank.min(*rank);
            }
        }
        let nearest =
            |item: &Item, thing: &_| ranks.get(thing).is_none_or(|it| *it == item.file.rank);
        block.children.retain_mut(|item| {
            let things = things(item);
            let near: Vec<bool> = things.iter().map(|thing| nearest(item, thing)).collect();
            if things.len() == item.words.len() {
                let mut kept = near.iter();
                item.words.retain(|_| kept.next().is_none_or(|kept| *kept));
            }
            near.is_empty() || near.contains(&true)
        });
        settle(&mut block.children);
    }
}

/// What an item says something about: one thing for each word, or one for all of them.
fn things(item: &Item) -> Vec<(&'static str, String)> {
    let words = || item.words.iter().map(|word| word.value.as_str());
    let node = match item.rule.node {
        // A package is wanted or excluded, whichever is nearer.
        "exclude" => "package",
        node => node,
    };
    let all: Vec<String> = match item.rule.joins {
        Joins::Nearest | Joins::Block => Vec::new(),
        Joins::Words => words().map(str::to_owned).collect(),
        Joins::Files => {
            let folder = &item.file.folder;
            words()
                .map(|word| folder.join(word).into_string())
                .collect()
        }
        Joins::Projects => words().map(project).collect(),
        Joins::Names => words().take(1).map(str::to_owned).collect(),
        Joins::Both => vec![words().collect::<Vec<_>>().join("\0")],
    };
    all.into_iter().map(|thing| (node, thing)).collect()
}

/// Something of what a recipe builds on that is not to be in it.
#[derive(Debug)]
pub(super) struct LeftOut {
    /// What is written.
    pub word: Spanned<String>,
    /// The block that it stands in.
    pub block: &'static str,
    /// The rank of its file: what is further away is meant, up to the end of the recipe.
    from: usize,
    until: usize,
    /// Whether something was left out.
    pub found: bool,
    /// A word that looks like it.
    pub near: Option<String>,
}

impl LeftOut {
    /// Whether a requirement that a file of this rank asks for is left out.
    pub(super) fn leaves_out(&mut self, name: &str, rank: usize) -> bool {
        let out = self.block == "pip" && self.reaches(rank) && project(&self.word.value) == name;
        self.found |= out;
        out
    }

    fn reaches(&self, rank: usize) -> bool {
        self.from < rank && rank < self.until
    }

    /// Whether the word that `item` says, or all of it, is left out.
    fn means(&mut self, item: &Item, word: &str) -> bool {
        let wanted = self.word.value.as_str();
        let same = match item.rule.node {
            "require" | "pth" | "no-binary" | "override" | "build-constraint" => {
                let name = project(wanted);
                word == wanted || (!name.is_empty() && project(word) == name)
            }
            "python" | "run" => word.contains(wanted),
            _ => word == wanted,
        };
        let out = same && self.reaches(item.file.rank);
        self.found |= out;
        out
    }
}

/// Takes out the `without` nodes of a composed recipe, and what they name. Ranks from `until` on are
/// those of other recipes.
pub(super) fn leave_out(items: &mut [Item], until: usize, notes: &mut Notes) -> Vec<LeftOut> {
    let mut all = Vec::new();
    for block in items {
        let nodes = block
            .children
            .extract_if(.., |item| item.rule.node == "without");
        let mut outs: Vec<LeftOut> = nodes
            .flat_map(|node| left_out(node, block.rule.node, until))
            .collect();
        if outs.is_empty() {
            continue;
        }
        if let Some(out) = outs.get(MOST) {
            let (what, limit) = ("words of `without`", MOST);
            notes.wrong(Wrong::TooMany { what, limit }, &out.word, "one too many");
            outs.truncate(MOST);
        }
        let said: Vec<String> = block
            .children
            .iter()
            .flat_map(said)
            .take(LOOKED_THROUGH)
            .collect();
        block.children.retain_mut(|item| keeps(item, &mut outs));
        for out in outs.iter_mut().filter(|out| !out.found) {
            let said = said.iter().map(String::as_str);
            let said = said.filter(|said| *said != out.word.value);
            out.near = nearest(&out.word.value, said).map(str::to_owned);
        }
        all.append(&mut outs);
    }
    all
}

fn left_out(node: Item, block: &'static str, until: usize) -> impl Iterator<Item = LeftOut> {
    let from = node.file.rank;
    node.words.into_iter().map(move |word| LeftOut {
        word,
        block,
        from,
        until,
        found: false,
        near: None,
    })
}

/// What an item can be left out by.
fn said(item: &Item) -> Vec<String> {
    let words = item.words.iter().map(|word| word.value.as_str());
    match item.rule.node {
        "require" => words.map(project).collect(),
        "python" | "run" => vec![words.collect::<Vec<_>>().join(" ")],
        "entry" | "override" | "build-constraint" => words.take(1).map(str::to_owned).collect(),
        "requirements" => Vec::new(),
        _ => words.map(str::to_owned).collect(),
    }
}

/// Takes the words that are left out of the item; whether anything of it stays.
fn keeps(item: &mut Item, outs: &mut [LeftOut]) -> bool {
    // Every word that it means is found, so none is asked in vain.
    let mut out = |item: &Item, word: &str| {
        let mut any = false;
        for out in outs.iter_mut() {
            any |= out.means(item, word);
        }
        any
    };
    match item.rule.node {
        "python" | "run" | "entry" | "override" | "build-constraint" => {
            !said(item).iter().any(|word| out(item, word))
        }
        "require" | "pth" | "no-binary" | "package" | "exclude" | "trim" => {
            let words = std::mem::take(&mut item.words);
            let had = !words.is_empty();
            let kept = words.into_iter().filter(|word| !out(item, &word.value));
            let kept: Vec<_> = kept.collect();
            item.words = kept;
            !had || !item.words.is_empty()
        }
        _ => true,
    }
}

/// What `use` takes of a recipe: what its closure holds, and the checks that it works.
pub(super) fn content(mut items: Vec<Item>) -> Vec<Item> {
    items.retain(|item| matches!(item.rule.node, "pip" | "system" | "closure" | "check"));
    for item in &mut items {
        match item.rule.node {
            "system" => item.children.retain(|child| child.rule.node == "package"),
            "closure" => item.children.retain(|child| child.rule.node == "entry"),
            _ => {}
        }
    }
    items
}
