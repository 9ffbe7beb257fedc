//! `recipe bundle create`: what builds need, gathered, written and proved. Begin at [`run`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{ObjectId, Session, StepKey};

use super::super::answer::Form;
use super::super::app::{App, now};
use super::super::build::make;
use super::super::exit::Failed;
use super::super::found::Forms;
use super::super::interrupt::Unfinished;
use super::super::options::Options;
use super::super::planned::Planned;
use super::super::push::{no_key, objects, traces};
use super::super::standing::Standing;
use super::proof::{Prove, Proving};
use super::{answer, opened, real, trusted, unwritable};
use crate::cache::bundle::{Bundle, Head, Member, measure, write};
use crate::cache::{Place, Pushing, SecretKey, packs_of};
use crate::net::Watch as _;
use crate::plan::Plan;
use crate::recipe::SourceOrigin;

/// What `recipe bundle create` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Recipes, by name or path; a variant as NAME@VARIANT
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    forms: Forms,
    /// The file [default: NAME.bundle]
    #[arg(long, short, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// Only the closures: they can be run there, and not built
    #[arg(long)]
    run_only: bool,
    /// This program too, as tool/recipe
    #[arg(long)]
    with_tool: bool,
    /// Leave out what that bundle has: the other side has imported it
    #[arg(long, value_name = "FILE")]
    since: Option<Utf8PathBuf>,
    /// How it is proved to be complete: by planning each build from it alone, or by building them
    #[arg(long, value_enum, default_value_t = Prove::Plan)]
    prove: Prove,
    #[command(flatten)]
    form: Form,
}

/// What goes into a bundle besides its cache.
#[derive(Default)]
struct Gathering {
    /// Where each member's bytes lie.
    files: BTreeMap<String, Utf8PathBuf>,
    /// Traces of steps, to be found by their keys on the other side.
    steps: BTreeMap<StepKey, Vec<u8>>,
    titles: Vec<String>,
    /// What was asked for, as traces are called in a cache.
    plans: BTreeSet<String>,
    /// Files that belong to recipes.
    recipes: BTreeSet<Utf8PathBuf>,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (_, key) = app.own_key()?;
    let key = key.ok_or_else(no_key)?;
    let session = app.store()?.session()?;
    let scratch = session.scratch()?;
    let gathering = gather(args, &key, scratch.path(), app)?;
    let output = args.output.clone();
    let output =
        output.unwrap_or_else(|| Utf8PathBuf::from(format!("{}.bundle", gathering.titles[0])));
    let aside = Utf8PathBuf::from(format!("{output}.{}", std::process::id()));
    let _unfinished = Unfinished::new(&aside);
    let made = gathering
        .write(&aside, &output, &key, app)
        .map_err(|error| unwritable(&output, &error))
        .and_then(|()| {
            app.tell("Proving that it is complete");
            let bundle = opened(&aside)?;
            let titles = gathering.typed(&args.names)?;
            let proving = Proving {
                file: &aside,
                bundle: &bundle,
                titles: &titles,
                run_only: args.run_only,
                since: args.since.as_deref(),
                how: args.prove,
                key: &key.public().to_string(),
            };
            let apart = proving.prove(&scratch.path().join("proof"), app)?;
            fs::rename(&aside, &output).map_err(|error| unwritable(&output, &error))?;
            Ok((bundle, apart))
        });
    // The failure is what is told.
    let (bundle, apart) = made.inspect_err(|_| drop(fs::remove_file(&aside)))?;
    let mut answer = answer(&output, &bundle, key.public().name());
    answer.apart = Some(apart);
    app.answer(args.form, "bundle create", &answer, || {
        let network = if apart {
            "with no network to be had"
        } else {
            "with the network forbidden"
        };
        format!("{output}\n  {}, proved complete {network}", answer.size())
    })
}

/// Builds what is asked for, and finds all that belongs to it; what is made on the way lies in `scratch`.
fn gather(
    args: &Args,
    key: &SecretKey,
    scratch: &Utf8Path,
    app: &App,
) -> Result<Gathering, Failed> {
    let cache = scratch.join("cache");
    let mut there = BTreeSet::new();
    if let Some(since) = &args.since {
        let bundle = opened(since)?;
        trusted(&bundle, since, app)?;
        there = leave_out(&bundle, &cache)?;
    }
    let place = Place::folder(cache.clone());
    let mut gathering = Gathering::default();
    for name in &args.names {
        gathering.add(name, args, key, &place, app)?;
    }
    gathering.add_cache(&cache, &there);
    gathering.add_recipes()?;
    gathering.add_steps(&scratch.join("steps"))?;
    if args.with_tool {
        let tool = std::env::current_exe()
            .ok()
            .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        let tool = tool.map(|path| ("tool/recipe".to_owned(), path));
        gathering.files.extend(tool);
    }
    Ok(gathering)
}

/// Makes the other bundle's packs count as there: files of their sizes, without a byte. Gives their names.
fn leave_out(bundle: &Arc<Bundle>, cache: &Utf8Path) -> Result<BTreeSet<String>, Failed> {
    let place = Place::in_bundle(bundle);
    let mut there = BTreeSet::new();
    let failed = |path: &Utf8Path, error: &std::io::Error| unwritable(path, error);
    for member in &bundle.head.members {
        let Some(name) = member
            .name
            .strip_prefix("cache/")
            .filter(|name| !name.starts_with("pack/"))
        else {
            continue;
        };
        let path = cache.join(name);
        let text = place.get(name, member.size)?;
        let folder = path.parent().unwrap_or(cache);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    for (name, size) in packs_of(bundle, &place)? {
        let path = cache.join(&name);
        let folder = path.parent().unwrap_or(cache);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let made = File::create(&path).and_then(|file| file.set_len(size));
        made.map_err(|error| failed(&path, &error))?;
        there.insert(name);
    }
    Ok(there)
}

impl Gathering {
    /// A recipe: builds it, and puts what was made into `place`.
    fn add(
        &mut self,
        name: &str,
        args: &Args,
        key: &SecretKey,
        place: &Place,
        app: &App,
    ) -> Result<(), Failed> {
        let options = Options {
            whole: !args.run_only,
            alone: true,
            ..Options::default()
        };
        let closure = make(name, &args.forms, app, &options)?.memo.closure;
        let planned = app.planned(name, &args.forms, true)?;
        let (plan, session) = (&planned.plan, &planned.session);
        let standing = Standing::of(plan, session)?;
        let objects = match args.run_only {
            true => vec![closure.into()],
            false => all_objects(plan, &standing, closure.into()),
        };
        let title = planned.recipe.title();
        let pushing = Pushing {
            traces: traces(plan, &standing, session, title.clone(), closure)?,
            objects: objects.clone(),
            dear: Vec::new(),
            key,
            verify: false,
        };
        crate::cache::push(pushing, place, session, &*app.progress())?;
        let objects: BTreeSet<ObjectId> = objects.into_iter().collect();
        self.steps(plan, &standing, session, &objects)?;
        self.titles.push(title);
        self.plans.insert(format!("traces/{}", plan.id()));
        self.recipes.extend(files_of(&planned));
        Ok(())
    }

    fn steps(
        &mut self,
        plan: &Plan,
        standing: &Standing,
        session: &Session,
        objects: &BTreeSet<ObjectId>,
    ) -> Result<(), Failed> {
        for node in plan.graph().node_indices() {
            let known = standing
                .outputs
                .get(&node)
                .is_some_and(|id| objects.contains(id));
            if let Some(step) = standing.resolved(plan, node).filter(|_| known)
                && let Some(trace) = session.find(&step.key())?
            {
                self.steps.insert(trace.key, trace.encode()?);
            }
        }
        Ok(())
    }

    fn add_cache(&mut self, cache: &Utf8Path, there: &BTreeSet<String>) {
        for path in files_below(cache) {
            let name = path.strip_prefix(cache).unwrap_or(&path).to_string();
            // What came along with another bundle is not part of this one.
            let is_ours = !name.starts_with("traces/") || self.plans.contains(&name);
            if is_ours && !there.contains(&name) {
                self.files.insert(format!("cache/{name}"), path);
            }
        }
    }

    /// Recipes keep their places among each other: below the folder that all of them are in.
    fn add_recipes(&mut self) -> Result<(), Failed> {
        let top = self.top()?;
        for path in &self.recipes {
            let real = real(path)?;
            let name = real.strip_prefix(&top).unwrap_or(&real);
            self.files.insert(format!("recipes/{name}"), real.clone());
        }
        Ok(())
    }

    fn top(&self) -> Result<Utf8PathBuf, Failed> {
        let mut top: Option<Utf8PathBuf> = None;
        for path in &self.recipes {
            let real = real(path)?;
            let folder = real.parent().unwrap_or(&real).to_owned();
            top = Some(match top {
                None => folder,
                Some(top) => common(&top, &folder),
            });
        }
        Ok(top.unwrap_or_default())
    }

    /// What to type for each recipe, from its place in the bundle.
    fn typed(&self, names: &[String]) -> Result<Vec<String>, Failed> {
        let top = self.top()?;
        let mut typed = Vec::new();
        for (name, title) in names.iter().zip(&self.titles) {
            let variant = title
                .split_once('@')
                .map(|(_, variant)| format!("@{variant}"));
            let (word, _) = crate::recipe::Recipe::variant_of(name);
            let stem = Utf8Path::new(word)
                .file_stem()
                .filter(|_| word.ends_with(".kdl"))
                .unwrap_or(word);
            let mut paths = self
                .recipes
                .iter()
                .filter(|path| path.file_name() == Some(&format!("{stem}.kdl")));
            let path = paths
                .next()
                .map(|path| real(path))
                .transpose()?
                .unwrap_or_default();
            let path = path.strip_prefix(&top).unwrap_or(&path);
            typed.push(format!("recipes/{path}{}", variant.unwrap_or_default()));
        }
        Ok(typed)
    }

    fn add_steps(&mut self, folder: &Utf8Path) -> Result<(), Failed> {
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        for (key, text) in &self.steps {
            let path = folder.join(key.to_string());
            fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
            self.files.insert(format!("steps/{key}"), path);
        }
        Ok(())
    }

    /// Writes the bundle to `path`, which is to become `output`.
    fn write(
        &self,
        path: &Utf8Path,
        output: &Utf8Path,
        key: &SecretKey,
        app: &App,
    ) -> std::io::Result<()> {
        let head = self.head()?;
        let whole: u64 = head.members.iter().map(|member| member.size).sum();
        let progress = app.progress();
        let mut done = 0;
        let file = File::create(path)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        let mut open = |member: &Member| File::open(&self.files[&member.name]);
        let written = write(&head, key, &mut out, &mut open, &mut |count| {
            done += count;
            progress.moved(output.as_str(), done, whole);
        });
        progress.finish();
        written?;
        drop(out);
        file.sync_all()
    }

    fn head(&self) -> std::io::Result<Head> {
        let mut members = Vec::new();
        for (name, path) in &self.files {
            let (size, digest) = measure(&mut File::open(path)?)?;
            let name = name.clone();
            members.push(Member { name, size, digest });
        }
        Ok(Head {
            maker: concat!("recipe ", env!("CARGO_PKG_VERSION")).to_owned(),
            made: now().saturating_mul(1000),
            names: self.titles.clone(),
            members,
        })
    }
}

/// All that the steps have made; first what a cache would have of it.
fn all_objects(plan: &Plan, standing: &Standing, closure: ObjectId) -> Vec<ObjectId> {
    let mut first = objects(plan, standing, closure);
    let mut rest: BTreeSet<ObjectId> = standing.outputs.values().copied().collect();
    for id in &first {
        rest.remove(id);
    }
    first.extend(rest);
    first
}

/// The files of a recipe, of those it uses, and what lies beside it; locks too.
fn files_of(planned: &Planned) -> impl Iterator<Item = Utf8PathBuf> {
    let Planned {
        found,
        recipe,
        gathered,
        ..
    } = planned;
    let own = recipe.files_read().iter().map(|file| file.path.clone());
    let others = gathered.files.iter().map(|(path, _)| path.clone());
    let sources = recipe.built.iter().flat_map(|built| &built.sources);
    let local = sources
        .chain(&recipe.archive)
        .filter_map(|source| match &source.value.from {
            SourceOrigin::Path(path) => Some(files_below(path)),
            _ => None,
        });
    own.chain(others)
        .chain([found.lock_path.clone()])
        .chain(local.flatten())
}

/// The folder that both are in.
fn common(one: &Utf8Path, other: &Utf8Path) -> Utf8PathBuf {
    let parts = one.components().zip(other.components());
    parts
        .take_while(|(one, other)| one == other)
        .map(|(part, _)| part)
        .collect()
}

/// All files below a folder, or the file itself; links are left alone.
fn files_below(path: &Utf8Path) -> Vec<Utf8PathBuf> {
    let (mut open, mut files) = (vec![path.to_owned()], Vec::new());
    while let Some(path) = open.pop() {
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_file() => files.push(path),
            Ok(facts) if facts.is_dir() => {
                let entries = path.read_dir_utf8().into_iter().flatten().flatten();
                open.extend(entries.map(|entry| entry.into_path()));
            }
            _ => {}
        }
    }
    files.sort();
    files
}
