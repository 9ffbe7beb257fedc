//! `recipe export`: a built recipe as one file that unpacks elsewhere.

use std::fs;
use std::io::{BufWriter, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

use serde::Serialize;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::build::{Made, make};
use super::config::here;
use super::exit::Failed;
use super::found::Forms;
use super::interrupt::Unfinished;
use super::options::Options;
use super::render::bytes;
use crate::package::{self, Format};

/// What `recipe export` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recipe, by name or path; a variant as NAME@VARIANT
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    forms: Forms,
    /// Format of the archive: tar.zst, tar.gz or zip [default: those that the recipe's `package` names,
    /// else tar.zst]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// Folder the archive is written to, under its usual name
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: Utf8PathBuf,
    /// How hard to compress: 1 to 20 for tar.zst [default: 9], 1 to 9 for tar.gz and zip
    /// [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    level: Option<i32>,
    /// The smallest archive, however long it takes: the highest level
    #[arg(long, conflicts_with = "level")]
    best: bool,
    /// Fail rather than change the lock
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    form: Form,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    archives: Vec<OneArchive>,
}

#[derive(Serialize)]
struct OneArchive {
    path: String,
    format: &'static str,
    bytes: u64,
    blake3: String,
}

/// A format by its name, for clap.
fn format(name: &str) -> Result<Format, String> {
    Format::of_name(name).ok_or_else(|| "wanted tar.zst, tar.gz or zip".into())
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    if let Some(level) = args.level {
        // Where no format is named the recipe says which: the one with most levels is asked first.
        package::check_level(args.format.unwrap_or(Format::TarZst), level)?;
    }
    let folder = match args.output.as_str() {
        "." => here(),
        _ => here().join(&args.output),
    };
    if !folder.is_dir() {
        return Err(Failed::Usage(report(
            format!("{} is not a folder", args.output),
            "name one that exists: `--output DIR`".into(),
        )));
    }
    if let Err(error) = rustix::fs::access(folder.as_std_path(), rustix::fs::Access::WRITE_OK) {
        return Err(unwritable(&folder, &error.into()));
    }
    let made = make(
        &args.name,
        &args.forms,
        app,
        &Options {
            locked: args.locked,
            ..Options::default()
        },
    )?;
    let formats = match args.format {
        Some(format) => vec![format],
        None => named(&made.memo.formats),
    };
    let mut answer = Answer {
        archives: Vec::new(),
    };
    for format in formats {
        let archive = export(&made, args, app, format, &folder)?;
        if !args.form.json {
            app.say(&archive.text())?;
        }
        answer.archives.push(archive);
    }
    app.answer(args.form, "export", &answer, String::new)
}

impl OneArchive {
    fn text(&self) -> String {
        format!(
            "{}\n  {}, blake3:{}",
            self.path,
            bytes(self.bytes),
            self.blake3
        )
    }
}

/// The formats of these names; tar.zst where there is none.
fn named(names: &[String]) -> Vec<Format> {
    let formats: Vec<_> = names
        .iter()
        .filter_map(|name| Format::of_name(name))
        .collect();
    if formats.is_empty() {
        return vec![Format::TarZst];
    }
    formats
}

fn export(
    made: &Made,
    args: &Args,
    app: &App,
    format: Format,
    folder: &Utf8Path,
) -> Result<OneArchive, Failed> {
    let stem = made.memo.stem();
    let path = folder.join(format!("{stem}.{}", format.extension()));
    let options = package::Options {
        format,
        level: if args.best {
            Some(*format.levels().end())
        } else {
            args.level
        },
        top: stem,
        epoch: made.memo.date,
        threads: u32::try_from(app.config.jobs).unwrap_or(u32::MAX),
    };
    let written = write(made, &options, &path)?;
    let name = path.strip_prefix(here()).unwrap_or(&path);
    Ok(OneArchive {
        path: name.to_string(),
        format: format.extension(),
        bytes: written.bytes,
        blake3: written.digest.to_string(),
    })
}

/// Writes aside, then renames: an archive under its name is whole.
fn write(
    made: &Made,
    options: &package::Options,
    path: &Utf8Path,
) -> Result<package::Written, Failed> {
    let aside = Utf8PathBuf::from(format!("{path}.{}", std::process::id()));
    let _unfinished = Unfinished::new(&aside);
    let result = write_aside(made, options, path, &aside).and_then(|written| {
        fs::rename(&aside, path).map_err(|error| unwritable(path, &error))?;
        Ok(written)
    });
    if result.is_err() {
        // The message of the failure is what matters.
        let _ = fs::remove_file(&aside);
    }
    result
}

fn write_aside(
    made: &Made,
    options: &package::Options,
    path: &Utf8Path,
    aside: &Utf8Path,
) -> Result<package::Written, Failed> {
    let session = made.store.session()?;
    let file = fs::File::create(aside).map_err(|error| unwritable(path, &error))?;
    let bar = super::render::transfer_bar();
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let written = package::write(
        &session,
        &made.memo.closure,
        options,
        &mut out,
        &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        },
    )?;
    bar.finish_and_clear();
    out.flush().map_err(|error| unwritable(path, &error))?;
    Ok(written)
}

fn unwritable(path: &Utf8Path, error: &std::io::Error) -> Failed {
    let told = match path.strip_prefix(here()).unwrap_or(path).as_str() {
        "" => ".",
        path => path,
    };
    Failed::File(report(
        format!("{told} could not be written: {error}"),
        "name a folder that you may write to and that has room: `--output DIR`".into(),
    ))
}
