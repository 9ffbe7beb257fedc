//! `recipe key`: the key that signs what is pushed, and those that are believed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use camino::Utf8Path;
use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::{App, replace};
use super::exit::Failed;
use crate::cache::{CacheError, PublicKey, SecretKey};

/// What `recipe key` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make the key that signs what is pushed from here
    New(New),
    /// Print the public key, for others to trust, and the keys that are trusted here
    Show(Form),
    /// Believe what a key has signed
    Trust(Trust),
    /// Believe a key no more
    Revoke(Revoke),
}

/// What `recipe key new` takes.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// What it is called, such as the machine or the team [default: the host's name]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// What `recipe key trust` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Trust {
    /// The public key, as `recipe key show` prints it there: NAME:BASE64
    #[arg(value_name = "KEY", value_parser = public_key)]
    key: PublicKey,
    #[command(flatten)]
    form: Form,
}

/// What `recipe key revoke` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// The key's name, or the whole key
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    form: Form,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    text.parse()
}

/// The answer of each: our own key, and those that are trusted.
#[derive(Serialize)]
struct Answer {
    own: Option<String>,
    trusted: Vec<String>,
}

pub(super) fn run(command: &Command, app: &App) -> Result<(), Failed> {
    match command {
        Command::New(args) => new(args, app),
        Command::Show(form) => answer(*form, "key show", app, Answer::text),
        Command::Trust(args) => trust(args, app),
        Command::Revoke(args) => revoke(args, app),
    }
}

fn answer(
    form: Form,
    name: &str,
    app: &App,
    text: impl FnOnce(&Answer) -> String,
) -> Result<(), Failed> {
    let (_, own) = app.own_key()?;
    let (_, trusted) = app.trust_file()?;
    let answer = Answer {
        own: own.map(|key| key.public().to_string()),
        trusted: trusted.iter().map(ToString::to_string).collect(),
    };
    app.answer(form, name, &answer, || text(&answer))
}

impl Answer {
    fn own(&self) -> String {
        self.own
            .clone()
            .unwrap_or_else(|| "there is none; `recipe key new` makes one".to_owned())
    }

    fn text(&self) -> String {
        let mut text = format!("own      {}", self.own());
        for key in &self.trusted {
            text.push_str(&format!("\ntrusted  {key}"));
        }
        text
    }
}

fn new(args: &New, app: &App) -> Result<(), Failed> {
    let (path, there) = app.own_key()?;
    if let Some(there) = there {
        return Err(Failed::Usage(report(
            format!("there is a key already: {}", there.public()),
            format!("move {path} away to make another; what it has signed stays signed by it"),
        )));
    }
    let name = args.name.clone().unwrap_or_else(host_name);
    let key = SecretKey::new(&name).map_err(|why| CacheError::KeyName {
        name: name.escape_debug().to_string(),
        why,
    })?;
    write_private(&path, &key.encode())?;
    answer(args.form, "key new", app, |answer| {
        format!(
            "{}\n  others believe what it signs after `recipe key trust {}`",
            answer.own(),
            answer.own()
        )
    })
}

fn trust(args: &Trust, app: &App) -> Result<(), Failed> {
    let (path, mut keys) = app.trust_file()?;
    let same = keys.iter().any(|key| key.bytes() == args.key.bytes());
    if let Some(other) = keys.iter().find(|key| key.name() == args.key.name())
        && !same
    {
        return Err(Failed::Usage(report(
            format!("another key is called {}: {other}", args.key.name()),
            format!(
                "`recipe key revoke {}` first, if this one takes its place",
                args.key.name()
            ),
        )));
    }
    if !same {
        keys.push(args.key.clone());
        write(&path, &keys)?;
    }
    answer(args.form, "key trust", app, |_| {
        format!("Trusted: {}", args.key)
    })
}

fn revoke(args: &Revoke, app: &App) -> Result<(), Failed> {
    let (path, mut keys) = app.trust_file()?;
    let before = keys.len();
    keys.retain(|key| key.name() != args.key && key.to_string() != args.key);
    if keys.len() == before {
        return Err(Failed::Usage(report(
            format!("no trusted key is called {}", args.key.escape_debug()),
            "`recipe key show` lists them".to_owned(),
        )));
    }
    write(&path, &keys)?;
    answer(args.form, "key revoke", app, |_| {
        format!(
            "Not trusted any more: {}; what is in the store stays",
            args.key
        )
    })
}

fn write(path: &Utf8Path, keys: &[PublicKey]) -> Result<(), Failed> {
    let lines: Vec<String> = keys.iter().map(|key| format!("{key}\n")).collect();
    make_folder(path)?;
    replace(path, lines.concat().as_bytes())
}

fn make_folder(path: &Utf8Path) -> Result<(), Failed> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| unwritable(path, &error))
}

/// Its owner's alone from the first byte on.
fn write_private(path: &Utf8Path, text: &str) -> Result<(), Failed> {
    make_folder(path)?;
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Utf8Path, error: &std::io::Error) -> Failed {
    Failed::File(report(
        format!("{path} could not be written: {error}"),
        "make its folder writable, or set XDG_CONFIG_HOME".to_owned(),
    ))
}

/// The host's name, as far as a key can be called that.
fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name.chars().filter(good).take(64).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() {
        "recipe".to_owned()
    } else {
        name.to_owned()
    }
}
