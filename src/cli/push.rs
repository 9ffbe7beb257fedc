//! `recipe push`: what a build made, signed, into a cache.

use std::collections::{BTreeMap, BTreeSet};

use recipe_store::{Digest, ObjectId, Session, StepKey, TreeId};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, now};
use super::build::make;
use super::exit::Failed;
use super::found::Forms;
use super::options::Options;
use super::planned::Planned;
use super::render::bytes;
use super::standing::Standing;
use crate::build::OUT;
use crate::cache::{IndexFile, OneTrace, Place, Pushed, Pushing, SecretKey, Traces, push};
use crate::plan::{Plan, Step};

/// What `recipe push` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipes, by name or path; a variant as NAME@VARIANT
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    forms: Forms,
    /// The cache: a folder, or a URL of file:, http:, https: or s3: [default: the first one of the configuration]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Read what the cache has, and put back what is lost or damaged
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    cache: String,
    closures: Vec<OneClosure>,
}

#[derive(Serialize)]
struct OneClosure {
    name: String,
    /// Nothing was sent, as all of it was there.
    there: bool,
    blobs: usize,
    bytes: u64,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let (_, key) = app.own_key()?;
    let key = key.ok_or_else(no_key)?;
    let progress = app.progress();
    let place = app.push_place(args.to.as_deref(), &progress)?;
    let sending = Sending {
        key: &key,
        verify: args.verify,
    };
    let mut answer = Answer {
        cache: place.name().to_owned(),
        closures: Vec::new(),
    };
    for name in &args.names {
        let (name, pushed) = send(name, &args.forms, &sending, &place, app)?;
        let Pushed {
            there,
            blobs,
            bytes,
        } = pushed;
        let closure = OneClosure {
            name,
            there,
            blobs,
            bytes,
        };
        if !args.form.json {
            app.say(&closure.text(&answer.cache))?;
        }
        answer.closures.push(closure);
    }
    app.answer(args.form, "push", &answer, String::new)
}

impl OneClosure {
    fn text(&self, cache: &str) -> String {
        if self.there {
            return format!("{}: {cache} has it already", self.name);
        }
        format!(
            "{}: pushed to {cache}\n  {} new files in it, {} sent",
            self.name,
            self.blobs,
            bytes(self.bytes)
        )
    }
}

/// Who sends, and what else is to be known of it.
pub(super) struct Sending<'a> {
    pub(super) key: &'a SecretKey,
    /// Read what is there, and put back what is lost.
    pub(super) verify: bool,
}

pub(super) fn no_key() -> Failed {
    Failed::Usage(report(
        "there is no key to sign with: nobody would believe what comes from here".to_owned(),
        "`recipe key new` makes one".to_owned(),
    ))
}

/// Builds a recipe, if that is not done, and puts what was made into `place`. Whoever signs has made every step: what
/// came from a cache is made here as well.
fn send(
    name: &str,
    forms: &Forms,
    sending: &Sending<'_>,
    place: &Place,
    app: &App,
) -> Result<(String, Pushed), Failed> {
    let mut made = make(name, forms, app, &Options::default())?;
    let mut sent = Sent::of(app.planned(name, forms, true)?)?;
    if !sent.standing.is_whole() {
        let options = Options {
            whole: true,
            alone: true,
            ..Options::default()
        };
        made = make(name, forms, app, &options)?;
        sent = Sent::of(app.planned(name, forms, true)?)?;
    }
    let pushed = sent.put(made.memo.closure, sending, place, app)?;
    Ok((sent.title, pushed))
}

/// Puts what was made into `place`, if it is what `plan` asks for and all of it was made here. Nothing is built.
pub(super) fn send_made(
    name: &str,
    plan: &Digest,
    sending: &Sending<'_>,
    place: &Place,
    app: &App,
) -> Result<(), Failed> {
    let sent = Sent::of(app.planned(name, &Forms::default(), true)?)?;
    let closure = sent.standing.outputs.get(&sent.plan.closure());
    if let Some(ObjectId::Tree(closure)) = closure.copied()
        && sent.plan.id() == *plan
        && sent.standing.is_whole()
    {
        sent.put(closure, sending, place, app)?;
    }
    Ok(())
}

/// What is sent: a plan, and what its steps have made.
struct Sent {
    title: String,
    plan: Plan,
    session: Session,
    standing: Standing,
}

impl Sent {
    fn of(planned: Planned) -> Result<Sent, Failed> {
        let Planned {
            recipe,
            plan,
            session,
            ..
        } = planned;
        Ok(Sent {
            title: recipe.title(),
            standing: Standing::of(&plan, &session)?,
            plan,
            session,
        })
    }

    fn put(
        &self,
        closure: TreeId,
        sending: &Sending<'_>,
        place: &Place,
        app: &App,
    ) -> Result<Pushed, Failed> {
        let Sent {
            title,
            plan,
            session,
            standing,
        } = self;
        let pushing = Pushing {
            traces: traces(plan, standing, session, title.clone(), closure)?,
            objects: objects(plan, standing, closure.into()),
            dear: dear(plan, standing),
            key: sending.key,
            verify: sending.verify,
        };
        let progress = app.progress();
        let pushed = push(pushing, place, session, &*progress);
        progress.finish();
        Ok(pushed?)
    }
}

/// What is known of each step.
pub(super) fn traces(
    plan: &Plan,
    standing: &Standing,
    session: &Session,
    title: String,
    closure: TreeId,
) -> Result<Traces, Failed> {
    let mut steps = BTreeMap::new();
    for node in plan.graph().node_indices() {
        let Some(key) = standing.resolved(plan, node).map(|step| step.key()) else {
            continue;
        };
        if let Some(trace) = session.find(&key)?
            && let Some(output) = trace.outputs.get(OUT)
        {
            let one = OneTrace {
                isolation: trace.isolation.reached.clone(),
                output: *output,
            };
            steps.insert(key, one);
        }
    }
    Ok(Traces {
        plan: plan.id(),
        title,
        maker: concat!("recipe ", env!("CARGO_PKG_VERSION")).to_owned(),
        made: now().saturating_mul(1000),
        // Known once the objects are packed.
        index: IndexFile {
            digest: Digest::of(&[]),
            size: 0,
            raw: 0,
        },
        closure,
        steps,
    })
}

/// Steps that others may ask for by their key alone.
fn dear(plan: &Plan, standing: &Standing) -> Vec<StepKey> {
    let nodes = plan.graph().node_indices();
    let dear = nodes.filter(|node| {
        let step = &plan.graph()[*node].step;
        step.is_dear() && standing.outputs.contains_key(node)
    });
    dear.filter_map(|node| Some(standing.resolved(plan, node)?.key()))
        .collect()
}

/// What goes along: the closure, what it is composed of, and what took long to build. With these a build that differs
/// a little runs only what differs.
pub(super) fn objects(plan: &Plan, standing: &Standing, closure: ObjectId) -> Vec<ObjectId> {
    let mut objects = vec![closure];
    let mut seen = BTreeSet::from([closure]);
    let mut add = |id: Option<&ObjectId>| {
        objects.extend(id.copied().filter(|id| seen.insert(*id)));
    };
    for node in plan.graph().node_indices() {
        match &plan.graph()[node].step {
            Step::Compose { layers, .. } => {
                for layer in layers {
                    add(standing.outputs.get(&layer.tree));
                    layer
                        .scan
                        .iter()
                        .for_each(|scan| add(standing.outputs.get(scan)));
                }
            }
            Step::Interpreter { .. } | Step::Build { .. } | Step::BuildSdist { .. } => {
                add(standing.outputs.get(&node));
            }
            _ => {}
        }
    }
    plan.guards()
        .iter()
        .for_each(|guard| add(standing.outputs.get(guard)));
    objects
}
