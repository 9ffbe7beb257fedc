//! `recipe test-closure`: what holds of a folder with a Python in it, made by whatever tool.

use std::sync::Once;

use camino::Utf8PathBuf;

use super::advice::report;
use super::answer::Form;
use super::app::App;
use super::exit::Failed;
use super::interrupt::Passing;
use super::report_table as table;
use super::suites::Suites;
use crate::conformance::{self, ConformanceError, Distribution, Options};
use crate::elf;

/// What `recipe test-closure` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Top folder of what is tested: a closure, or what another tool made
    #[arg(value_name = "DIR")]
    folder: Utf8PathBuf,
    /// What starts its Python, from that folder
    #[arg(long, value_name = "PATH", default_value = "bin/python3")]
    program: Utf8PathBuf,
    /// Debian release to test it in as well, such as trixie, or `all`; can be given several times
    #[arg(long, value_name = "NAME")]
    suite: Vec<String>,
    /// Root folder of a distribution to test it in as well; can be given several times
    #[arg(long, value_name = "DIR")]
    root: Vec<Utf8PathBuf>,
    /// A path that no file may hold, such as where it was built; can be given several times
    #[arg(long, value_name = "PATH")]
    forbid: Vec<String>,
    /// Only this check, by its name in the table; can be given several times
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
}

pub(super) fn run(args: &Args, app: &App) -> Result<(), Failed> {
    let temporary = temporary()?;
    let suites = Suites::of(&args.suite, app)?;
    let options = Options {
        tree: args.folder.clone(),
        program: args.program.clone(),
        distributions: suites
            .distributions
            .iter()
            .cloned()
            .chain(args.root.iter().map(given))
            .collect(),
        only: args.only.clone(),
        forbid: args.forbid.clone(),
        temporary: temporary.path().to_owned(),
        busybox: busybox(),
    };
    // What is left out is told once it is known that there is something to test.
    let told = Once::new();
    let ear = |place: &str, begun: usize, all: usize| {
        told.call_once(|| left_out(&options).for_each(|line| app.tell(line)));
        app.tell(&format!("Testing {begun} of {all}: {place}"));
    };
    let found = conformance::test(&options, &app.sandbox()?, &ear)?;
    let text = || match args.format {
        Format::Text => table::text(&found),
        Format::Markdown => table::markdown(&found),
    };
    app.answer(args.form, "test-closure", &table::body(&found), text)?;
    if found.counts.fails == 0 {
        return Ok(());
    }
    Err(Failed::Check(report(
        format!(
            "{}: {} of {} checks fail",
            args.folder,
            found.counts.fails,
            found.counts.fails + found.counts.holds
        ),
        "the table names the cause of each".into(),
    )))
}

/// The roots that are not tested in, and why.
fn left_out(options: &Options) -> impl Iterator<Item = &'static str> {
    let musl = options.busybox.is_none();
    let others = options.distributions.is_empty();
    [
        (musl, "no root with musl: busybox-static is not installed"),
        (
            others,
            "no other distribution: `--suite all` tests on those of Debian too",
        ),
    ]
    .into_iter()
    .filter_map(|(is_so, line)| is_so.then_some(line))
}

/// A root folder that was named, by its last part.
fn given(root: &Utf8PathBuf) -> Distribution {
    Distribution {
        name: root.file_name().unwrap_or(root.as_str()).to_owned(),
        root: Ok(root.clone()),
    }
}

/// A folder for files that do not last. Its path is absolute: the sandbox takes no other.
fn temporary() -> Result<Passing, Failed> {
    let folder = std::path::absolute(std::env::temp_dir()).ok();
    let folder = folder.and_then(|folder| Utf8PathBuf::from_path_buf(folder).ok());
    let folder = folder.ok_or_else(|| {
        Failed::Usage(report(
            "the folder for temporary files is not valid UTF-8".into(),
            "set TMPDIR to one that is".into(),
        ))
    })?;
    Passing::below(&folder).map_err(|source| {
        let path = folder;
        ConformanceError::Temporary { path, source }.into()
    })
}

/// A busybox that needs no library.
fn busybox() -> Option<Utf8PathBuf> {
    let paths = ["/bin/busybox", "/usr/bin/busybox"].map(Utf8PathBuf::from);
    paths.into_iter().find(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let facts = elf::read(&bytes).ok().flatten();
        facts.is_some_and(|facts| facts.is_static_program())
    })
}
