//! `recipe bundle`: all that builds need, in one signed file, for a place without network.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use recipe_store::{Digest, ObjectId, Session, StepKey, Store, Trace};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, link_path, now, replace};
use super::build::{Options, make};
use super::exit::Failed;
use super::found::Forms;
use super::interrupt::Unfinished;
use super::push::{no_key, objects, traces};
use super::render::{bytes, plural};
use super::standing::Standing;
use crate::build::OUT;
use crate::cache::bundle::{Bundle, Head, Member, measure, write};
use crate::cache::{Place, Pushing, packs_of, take};
use crate::net::{Net, Silence, Watch as _};
use crate::plan::Plan;
use crate::recipe::SourceOrigin;

/// What `recipe bundle` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write a bundle, and prove that it is complete
    Create(Create),
    /// Take all that a bundle has into the store, or nothing
    Import(Import),
    /// Read a bundle to its end, and check its signature and every byte
    Verify(Named),
    /// Tell what is in a bundle
    List(Named),
}

/// What `recipe bundle create` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Prove {
    Plan,
    Build,
}

/// What `recipe bundle import` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
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

/// What the others take.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    #[command(flatten)]
    form: Form,
}

/// The answer of each.
#[derive(Serialize)]
struct Answer {
    file: String,
    /// The key that signed it.
    signed_by: String,
    /// Milliseconds since 1970.
    made: u64,
    names: Vec<String>,
    members: usize,
    bytes: u64,
    /// Whether it was proved to be complete with no network to be had.
    apart: Option<bool>,
}

pub(super) fn run(command: &Command, app: &App) -> Result<(), Failed> {
    match command {
        Command::Create(args) => create(args, app),
        Command::Import(args) => import(args, app),
        Command::Verify(args) => verify(args, app),
        Command::List(args) => list(args, app),
    }
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

fn create(args: &Create, app: &App) -> Result<(), Failed> {
    let (_, key) = app.own_key()?;
    let key = key.ok_or_else(no_key)?;
    let store = app.store()?;
    let session = store.session()?;
    let scratch = session.scratch()?;
    let cache = scratch.path().join("cache");
    let net = Arc::new(Net::new(
        app.net(Arc::new(Silence))?.settings().clone(),
        Arc::new(Silence),
    ));
    let place = Place::folder(cache.clone(), net.clone());
    let mut there = BTreeSet::new();
    if let Some(since) = &args.since {
        let bundle = Arc::new(opened(since)?);
        trusted(&bundle, since, app)?;
        there = leave_out(&bundle, &cache, &net)?;
    }
    let progress = app.progress();
    let mut gathering = Gathering::default();
    for name in &args.names {
        let options = Options {
            whole: !args.run_only,
            alone: true,
            ..Options::default()
        };
        let made = make(name, &args.forms, app, &options)?;
        let mut found = app.find(name, &args.forms)?;
        let recipe = found.recipe()?;
        let lock = app.lock_for(&recipe, &found, &session, true)?;
        let gathered = app.besides(&recipe, &session, true)?;
        let plan = Plan::with(
            &recipe,
            &lock,
            &gathered.besides,
            app.running(lock.platform).host,
        );
        let standing = Standing::of(&plan, &session)?;
        let closure = made.memo.closure;
        let objects = if args.run_only {
            vec![closure.into()]
        } else {
            let all = standing.outputs.values().copied();
            let mut all: BTreeSet<ObjectId> = all.collect();
            let mut first = objects(&plan, &standing, closure.into());
            for id in &first {
                all.remove(id);
            }
            first.extend(all);
            first
        };
        let pushing = Pushing {
            traces: traces(&plan, &standing, &session, recipe.title(), closure)?,
            objects: objects.clone(),
            dear: Vec::new(),
            key: &key,
            verify: false,
        };
        crate::cache::push(pushing, &place, &session, &*progress)?;
        let objects: BTreeSet<ObjectId> = objects.into_iter().collect();
        gathering.steps(&plan, &standing, &session, &objects)?;
        gathering.titles.push(recipe.title());
        gathering.plans.insert(format!("traces/{}", plan.id()));
        let own = recipe.files_read().iter().map(|file| file.path.clone());
        let others = gathered.files.iter().map(|(path, _)| path.clone());
        gathering
            .recipes
            .extend(own.chain(others).chain([found.lock_path.clone()]));
        let sources = recipe.built.iter().flat_map(|built| &built.sources);
        for source in sources.chain(&recipe.archive) {
            if let SourceOrigin::Path(path) = &source.value.from {
                gathering.recipes.extend(files_below(path));
            }
        }
    }
    gathering.add_cache(&cache, &there)?;
    gathering.add_recipes()?;
    if args.with_tool {
        let tool = std::env::current_exe()
            .ok()
            .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        gathering
            .files
            .extend(tool.map(|path| ("tool/recipe".to_owned(), path)));
    }
    let steps = scratch.path().join("steps");
    gathering.add_steps(&steps)?;
    let output = args.output.clone();
    let output =
        output.unwrap_or_else(|| Utf8PathBuf::from(format!("{}.bundle", gathering.titles[0])));
    let head = gathering.head()?;
    let aside = Utf8PathBuf::from(format!("{output}.{}", std::process::id()));
    let _unfinished = Unfinished::new(&aside);
    let whole: u64 = head.members.iter().map(|member| member.size).sum();
    let mut done = 0;
    let written = File::create(&aside).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        let mut open = |member: &Member| File::open(&gathering.files[&member.name]);
        write(&head, &key, &mut out, &mut open, &mut |count| {
            done += count;
            progress.moved(output.as_str(), done, whole);
        })?;
        drop(out);
        file.sync_all()
    });
    progress.finish();
    let proved = written
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
    let (bundle, apart) = proved.inspect_err(|_| drop(fs::remove_file(&aside)))?;
    let mut answer = answer(&output, &bundle, key.public().name());
    answer.apart = Some(apart);
    app.answer(args.form, "bundle create", &answer, || {
        let network = if apart {
            "with no network to be had"
        } else {
            "with the network forbidden"
        };
        format!("{}\n  {}, proved complete {network}", output, answer.size())
    })
}

/// Makes the other bundle's packs count as there: files of their sizes, without a byte. Gives their names.
fn leave_out(
    bundle: &Arc<Bundle>,
    cache: &Utf8Path,
    net: &Arc<Net>,
) -> Result<BTreeSet<String>, Failed> {
    let place = Place::in_bundle(bundle, net.clone());
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

    fn add_cache(&mut self, cache: &Utf8Path, there: &BTreeSet<String>) -> Result<(), Failed> {
        for path in files_below(cache) {
            let name = path.strip_prefix(cache).unwrap_or(&path).to_string();
            // What came along with another bundle is not part of this one.
            let is_ours = !name.starts_with("traces/") || self.plans.contains(&name);
            if is_ours && !there.contains(&name) {
                self.files.insert(format!("cache/{name}"), path);
            }
        }
        Ok(())
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

    fn head(&self) -> Result<Head, Failed> {
        let mut members = Vec::new();
        for (name, path) in &self.files {
            let measured = File::open(path).and_then(|mut file| measure(&mut file));
            let (size, digest) = measured.map_err(|error| super::app::unreadable(path, &error))?;
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

/// The folder that both are in.
fn common(one: &Utf8Path, other: &Utf8Path) -> Utf8PathBuf {
    let parts = one.components().zip(other.components());
    parts
        .take_while(|(one, other)| one == other)
        .map(|(part, _)| part)
        .collect()
}

fn real(path: &Utf8Path) -> Result<Utf8PathBuf, Failed> {
    path.canonicalize_utf8()
        .map_err(|error| super::app::unreadable(path, &error))
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

/// A proof that a bundle is complete: our own program, with nothing but the bundle.
struct Proving<'a> {
    file: &'a Utf8Path,
    bundle: &'a Bundle,
    titles: &'a [String],
    run_only: bool,
    since: Option<&'a Utf8Path>,
    how: Prove,
    key: &'a str,
}

impl Proving<'_> {
    /// Whether the kernel kept the network away, too.
    fn prove(&self, folder: &Utf8Path, app: &App) -> Result<bool, Failed> {
        let config = folder.join("home/.config/recipe");
        fs::create_dir_all(&config).map_err(|error| unwritable(&config, &error))?;
        let keys: Vec<String> = app
            .trusted_keys()?
            .iter()
            .map(|key| format!("{key}\n"))
            .collect();
        let keys = format!("{}\n{}", self.key, keys.concat());
        let path = config.join("trusted-keys");
        fs::write(&path, keys).map_err(|error| unwritable(&path, &error))?;
        let mut apart = true;
        let mut run = |words: &[&str]| -> Result<String, Failed> {
            let (alone, out) = self.run(folder, words)?;
            apart &= alone;
            Ok(out)
        };
        if let Some(since) = self.since {
            run(&["bundle", "import", real(since)?.as_str()])?;
        }
        let file = real(self.file)?;
        let mut import = vec!["bundle", "import", file.as_str()];
        if self.how == Prove::Build && !self.run_only {
            import.push("--sources");
        }
        run(&import)?;
        for title in self.titles.iter().filter(|_| !self.run_only) {
            if self.how == Prove::Build {
                run(&["build", "--locked", title])?;
                continue;
            }
            let planned = run(&["plan", "--json", title])?;
            let planned: serde_json::Value = serde_json::from_str(&planned).unwrap_or_default();
            if planned["fetch"] != 0 || planned["build"] != 0 {
                return Err(self.incomplete(&format!(
                    "{title}: {} would have to be fetched, {} built",
                    planned["fetch"], planned["build"]
                )));
            }
        }
        Ok(apart)
    }

    fn run(&self, folder: &Utf8Path, words: &[&str]) -> Result<(bool, String), Failed> {
        let program = std::env::current_exe()
            .ok()
            .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        let program = program.unwrap_or_default();
        let (store, home) = (folder.join("store"), folder.join("home"));
        let fixed = [
            "--store",
            store.as_str(),
            "--offline",
            "--no-cache",
            "--quiet",
        ];
        let args: Vec<OsString> = fixed.iter().chain(words).map(OsString::from).collect();
        let env = [("HOME", home.as_str()), ("PATH", "/usr/bin:/bin")];
        let ran = crate::sandbox::run_apart(&program, &args, &env, folder);
        let (apart, output) = ran.map_err(|error| self.incomplete(&error.to_string()))?;
        if output.status.success() {
            return Ok((apart, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(self.incomplete(said.trim()))
    }

    fn incomplete(&self, why: &str) -> Failed {
        Failed::Check(report(
            format!(
                "the bundle of {} is not complete: {why}",
                self.bundle.head.names.join(" and ")
            ),
            "nothing was written; this is a mistake of recipe: please report it".to_owned(),
        ))
    }
}

fn import(args: &Import, app: &App) -> Result<(), Failed> {
    let bundle = Arc::new(opened(&args.file)?);
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
    let net = Arc::new(Net::new(
        app.net(Arc::new(Silence))?.settings().clone(),
        Arc::new(Silence),
    ));
    let place = Place::in_bundle(&bundle, net);
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
fn record(bundle: &Bundle, session: &Session, args: &Import) -> Result<(), Failed> {
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

fn verify(args: &Named, app: &App) -> Result<(), Failed> {
    let bundle = opened(&args.file)?;
    let signer = trusted(&bundle, &args.file, app)?;
    let progress = app.progress();
    let whole: u64 = bundle.head.members.iter().map(|member| member.size).sum();
    let mut done = 0;
    let wrong = bundle.verify(&mut |count| {
        done += count;
        progress.moved(args.file.as_str(), done, whole);
    });
    progress.finish();
    let wrong = wrong.map_err(|error| super::app::unreadable(&args.file, &error))?;
    if let Some(first) = wrong.first() {
        return Err(damaged(
            first,
            &format!(
                "{} in {} have other bytes",
                plural(wrong.len(), "member"),
                args.file
            ),
        ));
    }
    let answer = answer(&args.file, &bundle, &signer);
    app.answer(args.form, "bundle verify", &answer, || {
        format!(
            "{}: {}, signed by {signer}, all as it was made",
            args.file,
            answer.size()
        )
    })
}

fn list(args: &Named, app: &App) -> Result<(), Failed> {
    let bundle = opened(&args.file)?;
    let signer = match bundle.signed_by(&app.trusted_keys()?) {
        Ok(key) => key.name().to_owned(),
        Err(why) => why,
    };
    let answer = answer(&args.file, &bundle, &signer);
    app.answer(args.form, "bundle list", &answer, || {
        let mut text = format!(
            "{}\n  {}\n  signed by {signer}",
            answer.names.join("\n"),
            answer.size()
        );
        for member in &bundle.head.members {
            let shown = ["recipes/", "tool/"]
                .iter()
                .any(|prefix| member.name.starts_with(prefix));
            if shown {
                text.push_str(&format!("\n  {}  {}", member.name, bytes(member.size)));
            }
        }
        text
    })
}

fn opened(path: &Utf8Path) -> Result<Bundle, Failed> {
    let bundle = Bundle::open(path).map_err(|error| super::app::unreadable(path, &error))?;
    bundle.map_err(|why| damaged(path.as_str(), &why))
}

/// The name of the key that has signed it, if that one is trusted.
fn trusted(bundle: &Bundle, path: &Utf8Path, app: &App) -> Result<String, Failed> {
    let keys = app.trusted_keys()?;
    match bundle.signed_by(&keys) {
        Ok(key) => Ok(key.name().to_owned()),
        Err(why) => Err(Failed::Damaged(report(
            format!("{path} is not taken: {why}"),
            "ask whoever made it for the key, by another way than the one the bundle came"
                .to_owned(),
        ))),
    }
}

fn answer(path: &Utf8Path, bundle: &Bundle, signer: &str) -> Answer {
    Answer {
        file: path.to_string(),
        signed_by: signer.to_owned(),
        made: bundle.head.made,
        names: bundle.head.names.clone(),
        members: bundle.head.members.len(),
        bytes: bundle.head.members.iter().map(|member| member.size).sum(),
        apart: None,
    }
}

impl Answer {
    fn size(&self) -> String {
        format!(
            "{} in {}",
            bytes(self.bytes),
            plural(self.members, "member")
        )
    }
}

fn damaged(what: &str, why: &str) -> Failed {
    Failed::Damaged(report(
        format!("{what} is damaged: {why}"),
        "copy the bundle again from where it was made".to_owned(),
    ))
}

fn unwritable(path: &Utf8Path, error: &std::io::Error) -> Failed {
    Failed::File(report(
        format!("{path} could not be written: {error}"),
        "name a place that may be written to and has room".to_owned(),
    ))
}
