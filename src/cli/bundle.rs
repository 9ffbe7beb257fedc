//! `recipe bundle`: all that builds need, in one signed file, for a place without network.

mod create;
mod import;
mod proof;

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, unreadable};
use super::exit::Failed;
use super::render::{bytes, plural};
use crate::cache::bundle::Bundle;
use crate::net::Watch as _;

/// What `recipe bundle` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write a bundle, and prove that it is complete
    Create(create::Args),
    /// Take all that a bundle has into the store, or nothing
    Import(import::Args),
    /// Read a bundle to its end, and check its signature and every byte
    Verify(Named),
    /// Tell what is in a bundle
    List(Named),
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
        Command::Create(args) => create::run(args, app),
        Command::Import(args) => import::run(args, app),
        Command::Verify(args) => verify(args, app),
        Command::List(args) => list(args, app),
    }
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
    let wrong = wrong.map_err(|error| unreadable(&args.file, &error))?;
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

fn opened(path: &Utf8Path) -> Result<Arc<Bundle>, Failed> {
    let bundle = Bundle::open(path).map_err(|error| unreadable(path, &error))?;
    let bundle = bundle.map_err(|why| damaged(path.as_str(), &why));
    bundle.map(Arc::new)
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

/// A path as it is, without links.
fn real(path: &Utf8Path) -> Result<Utf8PathBuf, Failed> {
    path.canonicalize_utf8()
        .map_err(|error| unreadable(path, &error))
}
