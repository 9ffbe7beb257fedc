//! `recipe why`: why a step would run again, or why a package or file is in the closure.
//!
//! Which of them is meant is told by the words: nothing, or a step, is about the next build; a path
//! or the name of a locked package is about what is in the closure.

mod contents;
mod steps;

use petgraph::graph::NodeIndex;
use recipe_store::Session;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::found::{Forms, Found, step_is};
use super::planned::Planned;
use super::standing::Standing;
use crate::lock::Lock;
use crate::plan::Plan;
use crate::recipe::Recipe;

/// What `recipe why` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// A step (`check`, `unpack libc6`), a package, or a path in the closure; nothing: whatever a
    /// build would run
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    form: Form,
}

/// What both kinds of question look at.
struct Scene<'a> {
    found: &'a Found,
    session: &'a Session,
    recipe: &'a Recipe,
    lock: &'a Lock,
    plan: &'a Plan,
    standing: Standing,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let Planned {
        found,
        recipe,
        lock,
        plan,
        session,
        ..
    } = &app.planned(&args.name, &args.forms, true)?;
    let scene = Scene {
        found,
        session,
        recipe,
        lock,
        plan,
        standing: Standing::of(plan, session)?,
    };
    if let [word] = args.what.as_slice() {
        if let Some(file) = lock
            .files
            .iter()
            .find(|file| file.subject() == *word || file.is_called(word))
        {
            let answer = contents::package(&scene, file)?;
            return app.answer(args.form, "why package", &answer, || answer.text());
        }
        if word.contains('/') || scene.nodes(&args.what).is_empty() {
            let answer = contents::path(&scene, word)?;
            return app.answer(args.form, "why path", &answer, || answer.text());
        }
    }
    let nodes = scene.nodes(&args.what);
    if nodes.is_empty() {
        let words = args.what.join(" ");
        return Err(Failed::Usage(report(
            format!("{} has no step `{words}`", args.name),
            format!(
                "`recipe plan {} --verbose` lists its steps",
                scene.found.typed()
            ),
        )));
    }
    let answer = steps::why(&scene, &nodes, args.what.is_empty())?;
    app.answer(args.form, "why step", &answer, || answer.text())
}

impl Scene<'_> {
    /// The steps that words name: a kind, a subject, or one after the other; all, if there are none.
    fn nodes(&self, words: &[String]) -> Vec<NodeIndex> {
        let graph = self.plan.graph();
        let is_meant = |index: &NodeIndex| {
            let node = &graph[*index];
            step_is(node.step.kind(), &node.subject, words)
        };
        graph.node_indices().filter(is_meant).collect()
    }

    /// `unpack libc6`.
    fn called(&self, index: NodeIndex) -> String {
        let node = &self.plan.graph()[index];
        format!("{} {}", node.step.kind(), node.subject)
    }
}
