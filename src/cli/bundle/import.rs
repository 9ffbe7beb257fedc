//! `recipe bundle import`: all of a bundle into the store, or nothing; its recipes beside it.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, Session, StepKey, Store, Trace};

use super::super::advice::report;
use super::super::answer::Form;
use super::super::app::{App, link_path, replace};
use super::super::exit::Failed;
use super::super::render::{bytes, plural};
use super::{answer, damaged, opened, trusted, unwritable};
use crate::build::OUT;
use crate::cache::bundle::Bundle;
use crate::cache::{Place, take};
use crate::net::Watch as _;

/// What `recipe bundle import` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    /// Folder for its recipes; a file that is there and says something else is an error
    #[arg(long, value_name = "DIR", default_value = "recipes")]
    recipes: Utf8PathBuf,
    /// Take only what was fetched, so that everything is built again here
    #[arg(long)]
    sources: bool,
    /// Take a bundle that is older than one that was imported
    #[arg(long)]
    allow_older: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let bundle = opened(&args.file)?;
    let keys = app.trusted_keys()?;
    let signer = trusted(&bundle, &args.file, app)?;
    let store = app.store()?;
    let serial = Digest::of(
        format!(
            "recipe bundles of {signer} {} 1",
            bundle.head.names.join(" ")
        )
        .as_bytes(),
    );
    let before = store
        .memo_get(&serial)?
        .and_then(|text| String::from_utf8(text).ok()?.parse::<u64>().ok());
    if before.is_some_and(|before| before > bundle.head.made) && !args.allow_older {
        return Err(Failed::Damaged(report(
            format!(
                "{} is older than a bundle of the same recipes that was imported",
                args.file
            ),
            "`--allow-older` takes it all the same".to_owned(),
        )));
    }
    let recipes = recipes_of(&bundle, &args.recipes, &store)?;
    let session = store.session()?;
    let progress = app.progress();
    let place = Place::in_bundle(&bundle);
    let tell = |done, whole| progress.moved(args.file.as_str(), done, whole);
    let taken = take(&bundle, &place, &keys, &session, &tell)?;
    record(&bundle, &session, args)?;
    session.commit()?;
    for (path, text) in recipes {
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        replace(&path, &text)?;
        store.memo_put(&written_key(&path), Digest::of(&text).hex().as_bytes())?;
    }
    for build in taken.builds.iter().filter(|_| !args.sources) {
        let steps: Vec<StepKey> = build.steps.keys().copied().collect();
        session.add_root(&link_path(&build.title, None), &build.closure, &steps)?;
    }
    store.memo_put(&serial, bundle.head.made.to_string().as_bytes())?;
    progress.finish();
    let answer = answer(&args.file, &bundle, &signer);
    app.answer(args.form, "bundle import", &answer, || {
        let (blobs, size) = (
            plural(taken.pulled.blobs, "file"),
            bytes(taken.pulled.bytes),
        );
        let links = taken.builds.iter().filter(|_| !args.sources);
        let links: Vec<String> = links
            .map(|build| format!("result/{}", build.title))
            .collect();
        let links = if links.is_empty() {
            "nothing is linked".to_owned()
        } else {
            links.join("\n")
        };
        format!("{links}\n  {blobs} new in the store, {size} read, signed by {signer}")
    })
}

/// What an import wrote to a file, for the next one.
fn written_key(path: &Utf8Path) -> Digest {
    let path = camino::absolute_utf8(path).unwrap_or_else(|_| path.to_owned());
    Digest::of(format!("recipe bundles wrote {path} 1").as_bytes())
}

/// The recipes of a bundle, and where they go. What is there and says something else is an error, unless an earlier
/// bundle wrote it so.
fn recipes_of(
    bundle: &Bundle,
    folder: &Utf8Path,
    store: &Store,
) -> Result<Vec<(Utf8PathBuf, Vec<u8>)>, Failed> {
    let mut recipes = Vec::new();
    for member in &bundle.head.members {
        let Some(name) = member.name.strip_prefix("recipes/") else {
            continue;
        };
        let text = bundle.get(&member.name, 1 << 30);
        let text = text
            .map_err(|error| damaged(&member.name, &error.to_string()))?
            .unwrap_or_default();
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(there) if there == text => {}
            Ok(there)
                if store.memo_get(&written_key(&path))?.as_deref()
                    == Some(Digest::of(&there).hex().as_bytes()) =>
            {
                recipes.push((path, text));
            }
            Ok(_) => {
                return Err(Failed::File(report(
                    format!(
                        "{path} is there and says something else than the bundle's; nothing was taken"
                    ),
                    "name another folder for the recipes: `--recipes DIR`".to_owned(),
                )));
            }
            Err(_) => recipes.push((path, text)),
        }
    }
    Ok(recipes)
}

/// Enters the traces whose outputs are here. A trace's key is the hash of what it says was asked.
fn record(bundle: &Bundle, session: &Session, args: &Args) -> Result<(), Failed> {
    for member in bundle
        .head
        .members
        .iter()
        .filter(|member| member.name.starts_with("steps/"))
    {
        let wrong = |why: &str| damaged(&member.name, why);
        let text = bundle
            .get(&member.name, 64 << 20)
            .map_err(|error| wrong(&error.to_string()))?;
        let trace = Trace::decode(&text.unwrap_or_default()).map_err(|why| wrong(&why))?;
        if trace.key != StepKey::of(&trace.preimage) {
            return Err(wrong("its key is not that of what was asked"));
        }
        let fetched = trace.preimage.starts_with(b"step fetch ");
        let output = trace.outputs.get(OUT).copied();
        if let Some(output) = output
            && (fetched || !args.sources)
            && session.has(&output)?
        {
            let _same = session.record(trace)?;
        }
    }
    Ok(())
}
