//! The nodes of a recipe and of one that it builds on → the nodes of both. Begin at [`join`].
//!
//! One rule: what is nearer counts. What of a node that both have stays is written in its row of the
//! grammar.

use super::decode::Item;
use super::grammar::Joins;
use super::requirement::project;

/// Puts the `far` nodes to the `near` ones, where nothing near takes their place.
pub(super) fn join(near: &mut Vec<Item>, far: Vec<Item>) {
    let mut joined = Vec::new();
    for item in far {
        joined.extend(left_over(near, item));
    }
    // What is further away comes first: it was there before.
    joined.append(near);
    *near = joined;
}

/// What of the far item is still to be added.
fn left_over(near: &mut [Item], mut item: Item) -> Option<Item> {
    let node = item.rule.node;
    let same_node = |other: &&Item| other.rule.node == node;
    match item.rule.joins {
        // Nodes that name what to build on were followed.
        Joins::Nearest if item.rule.repeats => None,
        Joins::Nearest => match near.iter().any(|other| other.rule.node == node) {
            true => None,
            false => Some(item),
        },
        Joins::Block => match near.iter_mut().find(|other| other.rule.node == node) {
            Some(block) => {
                join(&mut block.children, item.children);
                None
            }
            None => Some(item),
        },
        Joins::Words => {
            let near: Vec<&Item> = near.iter().filter(same_node).collect();
            let told = |word: &str| {
                let mut words = near.iter().flat_map(|other| &other.words);
                words.any(|other| other.value == word)
            };
            item.words.retain(|word| !told(&word.value));
            (!item.words.is_empty()).then_some(item)
        }
        Joins::Files => {
            let near: Vec<&Item> = near.iter().filter(same_node).collect();
            let told = |word: &str| {
                let here = near
                    .iter()
                    .filter(|other| other.file.folder == item.file.folder);
                let mut words = here.flat_map(|other| &other.words);
                words.any(|other| other.value == word)
            };
            item.words.retain(|word| !told(&word.value));
            (!item.words.is_empty()).then_some(item)
        }
        Joins::Projects => {
            let near: Vec<&Item> = near.iter().filter(same_node).collect();
            let told = |word: &str| {
                let mut words = near.iter().flat_map(|other| &other.words);
                words.any(|other| project(&other.value) == project(word))
            };
            item.words.retain(|word| !told(&word.value));
            (!item.words.is_empty()).then_some(item)
        }
        Joins::Names => {
            let name = item.words.first().map(|word| &word.value);
            let mut near = near.iter().filter(same_node);
            let told = near.any(|other| other.words.first().map(|word| &word.value) == name);
            (!told).then_some(item)
        }
        Joins::Both => {
            let words = |item: &Item| -> Vec<String> {
                item.words.iter().map(|word| word.value.clone()).collect()
            };
            let mut near = near.iter().filter(same_node);
            let told = near.any(|other| words(other) == words(&item));
            (!told).then_some(item)
        }
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
