//! A recipe's nodes, a variant and settings → the nodes of one form. Begin at [`choose`].

use recipe_store::Digest;

use super::Wanted;
use super::decode::{Item, printable};
use super::error::RecipeError;
use super::near::nearest;
use super::notes::Notes;
use super::parameter::{Parameters, is_value};
use super::values::{is_minor_version, is_setting, is_suite};
use super::variant::Variant;
use super::wrong::quoted;
use crate::platform::Platform;

/// Settings whose names and values are longer are told by their digest.
const LONGEST: usize = 100;

/// What sets a form apart.
#[derive(Debug)]
pub(super) struct Form {
    /// What the closure runs on.
    pub platform: Platform,
    /// See [`Recipe::variant`](super::Recipe::variant).
    pub label: Option<String>,
}

/// The variant that is wanted.
pub(super) fn row(
    rows: Vec<Variant>,
    recipe: &str,
    wanted: &Wanted,
) -> Result<Option<Variant>, RecipeError> {
    if let Some(both) = wanted.whole()
        && let Some(found) = rows
            .iter()
            .find(|row| row.name == both || row.whole == both)
    {
        return Ok(Some(found.clone()));
    }
    let Some(name) = &wanted.variant else {
        return Ok(None);
    };
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let found = rows
        .into_iter()
        .find(|row| row.name == *name || row.whole == *name);
    if found.is_some() {
        return Ok(found);
    }
    Err(RecipeError::NoVariant {
        recipe: recipe.to_owned(),
        variant: printable(name),
        near: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
        known: match names.as_slice() {
            [] => format!("it has none: leave `@{}` out", printable(name)),
            names => format!("it has {}", quoted(names, "and")),
        },
    })
}

/// Gives the recipe the choices of the variant, and fills its strings.
pub(super) fn choose(
    recipe: &mut Item,
    row: Option<Variant>,
    wanted: &Wanted,
    notes: &mut Notes,
) -> Result<Form, RecipeError> {
    let mut parameters = Parameters::take(&mut recipe.children, notes);
    let row = row.unwrap_or_default();
    let mut differs = false;
    for (name, value) in &row.set {
        differs |= parameters.get(&name.value) != Some(&value.value);
        if !parameters.set(&name.value, &value.value) {
            notes.wrong(parameters.unknown(&name.value), name, "this one");
        }
    }
    let settings = set(&mut parameters, wanted)?;
    parameters.all_set(false, notes);
    let (platform, name) = platform(&row, wanted)?;
    differs |= interpreter(recipe, &row, &mut parameters, notes);
    parameters.give("arch", platform.processor());
    parameters.fill(std::slice::from_mut(recipe), notes);
    parameters.all_used(notes);
    // What the recipe says anyway is named by its processor alone, as where no variant was asked for.
    let elsewhere = (platform != Platform::default()).then(|| platform.processor().to_owned());
    let label = [if differs { Some(name) } else { elsewhere }, settings];
    let label: Vec<String> = label.into_iter().flatten().collect();
    Ok(Form {
        platform,
        label: (!label.is_empty()).then(|| label.join(",")),
    })
}

/// What the variant and the command line say of the processor, and the name of both.
fn platform(row: &Variant, wanted: &Wanted) -> Result<(Platform, String), RecipeError> {
    let of_row = row.arch.as_ref();
    let of_row = of_row.and_then(|arch| Platform::of_processor(&arch.value));
    let name = || row.name.clone();
    match (of_row, wanted.arch) {
        (Some(has), Some(wants)) if has != wants => Err(RecipeError::OtherProcessor {
            variant: name(),
            has: has.processor(),
            wants: wants.processor(),
        }),
        (None, Some(wants)) if wants != Platform::default() => {
            Ok((wants, super::with_processor(&row.name, wants)))
        }
        (has, wants) => Ok((has.or(wants).unwrap_or_default(), name())),
    }
}

/// Sets what the command line sets; tells what of it changes anything.
fn set(parameters: &mut Parameters, wanted: &Wanted) -> Result<Option<String>, RecipeError> {
    let mut changes = Vec::new();
    for (name, value) in &wanted.set {
        if !is_value(value) {
            return Err(RecipeError::BadSetting {
                name: printable(name),
            });
        }
        if parameters.get(name) == Some(value.as_str()) {
            continue;
        }
        if !parameters.set(name, value) {
            let known: Vec<&str> = parameters.names().collect();
            return Err(RecipeError::NoParameter {
                name: printable(name),
                near: nearest(name, known.iter().copied()).map(str::to_owned),
                known: match known.as_slice() {
                    [] => "it has none: leave `--set` out".to_owned(),
                    known => format!("it has {}", quoted(known, "and")),
                },
            });
        }
        changes.push((name, value));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let plain = changes.iter().all(|(_, value)| is_setting(value));
    let words: Vec<String> = changes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let label = words.join(",");
    if plain && label.len() <= LONGEST {
        return Ok(Some(label));
    }
    let digest = Digest::of(words.join("\n").as_bytes()).to_string();
    Ok(Some(format!("set-{}", &digest[..16])))
}

/// Gives the interpreter its version and suite, and the parameters what they are; tells if that is
/// another than the recipe says.
fn interpreter(
    recipe: &mut Item,
    row: &Variant,
    parameters: &mut Parameters,
    notes: &mut Notes,
) -> bool {
    let mut nodes = recipe.children.iter_mut();
    let Some(node) = nodes.find(|item| item.rule.node == "interpreter") else {
        // That it is missing is said elsewhere: its parameters are no further mistake.
        for name in ["python", "suite"] {
            parameters.give(name, "0");
        }
        return false;
    };
    parameters.fill_interpreter(node, notes);
    let mut differs = false;
    if let (Some(wanted), Some(python)) = (&row.python, node.words.get_mut(1)) {
        differs |= python.value != wanted.value;
        *python = wanted.clone();
    }
    if let (Some(wanted), Some(suite)) = (&row.suite, node.properties.get_mut("suite")) {
        differs |= suite.value != wanted.value;
        *suite = wanted.clone();
    }
    // They stand for those of the interpreter that is written there, and of no other.
    if differs {
        node.children.retain(|child| child.rule.node != "patches");
    }
    let good = |value: Option<&str>, rule: fn(&str) -> bool| {
        value.filter(|value| rule(value)).unwrap_or("0").to_owned()
    };
    let python = node.words.get(1).map(|word| word.value.as_str());
    let suite = node.property("suite").map(|word| word.value.as_str());
    parameters.give("python", &good(python, is_minor_version));
    parameters.give("suite", &good(suite, is_suite));
    differs
}
