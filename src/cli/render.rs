//! Events and errors → the terminal. Results go to standard output, all else to standard error.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Diagnostic, MietteHandler, MietteHandlerOpts, Report};
use recipe_store::StoreError;

use super::exit::{self, Failed};
use crate::build::{Ear, Event};
use crate::net::Watch;

/// Reports are drawn as wide as the terminal is, and without colours where none are wanted.
pub(super) fn set_up_errors() {
    // Only the first call in a process counts, and this is it.
    let _ = miette::set_hook(Box::new(|_| Box::new(reports())));
}

fn reports() -> MietteHandler {
    // What is wrapped cannot be copied or searched: paths and URLs stay whole.
    let options = MietteHandlerOpts::new()
        .terminal_links(false)
        .wrap_lines(false);
    if std::io::stderr().is_terminal() {
        options.build()
    } else {
        options.unicode(false).color(false).width(100).build()
    }
}

/// Prints why a command failed, and gives its exit code.
pub(super) fn fail(failed: &Failed) -> ExitCode {
    let text = match failed {
        Failed::Usage(report)
        | Failed::File(report)
        | Failed::Damaged(report)
        | Failed::Stale(report) => format!("{report:?}"),
        Failed::Recipe(error) => draw(error.as_ref()),
        Failed::Lock(error) => draw(error.as_ref()),
        Failed::Build(error) => draw(error.as_ref()),
        Failed::Closure(error) => draw(error.as_ref()),
        Failed::Package(error) => draw(error.as_ref()),
        Failed::Store(error) => draw(&StoreAdvice(error)),
    };
    let advice = match (exit::store_error(failed), exit::gone(failed)) {
        (Some(error), _) => Some(store_advice(error).to_owned()),
        (None, Some(name)) => Some(gone_advice(name)),
        (None, None) => None,
    };
    let advice = advice.map_or_else(String::new, |advice| format!("\n  help: {advice}"));
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}{advice}", text.trim_end());
    ExitCode::from(failed.code())
}

fn draw(error: &(dyn Diagnostic + Send + Sync)) -> String {
    struct Borrowed<'a>(&'a (dyn Diagnostic + Send + Sync));
    impl std::fmt::Debug for Borrowed<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            miette::ReportHandler::debug(&reports(), self.0, f)
        }
    }
    format!("{:?}", Borrowed(error))
}

/// The store states facts; what to do next is said here.
#[derive(Debug)]
struct StoreAdvice<'a>(&'a StoreError);

impl std::fmt::Display for StoreAdvice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StoreAdvice<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Diagnostic for StoreAdvice<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(store_advice(self.0)))
    }
}

/// The distribution has moved on, and this recipe's lock has not.
fn gone_advice(package: &str) -> String {
    format!(
        "the archive has dropped this version: `recipe lock RECIPE --upgrade {package}` takes the one \
         there is now; a mirror that keeps old versions can be named with --debian-mirror \
         (or --debian-security-mirror); \
         `lock \"follow\"` in the recipe does the first by itself, unless --locked forbids it"
    )
}

fn store_advice(error: &StoreError) -> &'static str {
    match error {
        error if error.is_full() => {
            "make room on the disk (`recipe gc` deletes what no result needs), or put the store \
             elsewhere with `--store DIR`, then run the same command again"
        }
        StoreError::Corrupt { .. } | StoreError::Missing { .. } => {
            "`recipe store repair` drops what is damaged and what needs it; the next build makes it anew"
        }
        StoreError::NotALink { .. } => "name another place for the link: `--out-link LINK`",
        StoreError::Version { .. } => {
            "use the newer version of recipe, or another store: `--store DIR`"
        }
        StoreError::Owner { .. } | StoreError::Exposed { .. } | StoreError::NotAStore { .. } => {
            "each user has a store of their own: name one with `--store DIR`, or set RECIPE_STORE"
        }
        _ => {
            "check that the folder can be written to; `--store DIR` names another place for the store"
        }
    }
}

/// Shows how a build goes: a bar where a terminal is, a line every two seconds where not.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    planned: usize,
    done: usize,
    running: Vec<(usize, String)>,
    last: Option<Instant>,
}

const EVERY: Duration = Duration::from_secs(2);

impl Progress {
    pub(super) fn new(quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Progress {
            bar,
            quiet,
            state: Mutex::new(State::default()),
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, state: &mut State) {
        let names: Vec<&str> = state
            .running
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        if let Some(bar) = &self.bar {
            bar.set_length(state.planned as u64);
            bar.set_position(state.done as u64);
            bar.set_message(names.join(", "));
        } else if !self.quiet {
            let begun = *state.last.get_or_insert_with(Instant::now);
            if begun.elapsed() >= EVERY {
                state.last = Some(Instant::now());
                self.line(&format!(
                    "{}/{} steps; {}",
                    state.done,
                    state.planned,
                    names.join(", ")
                ));
            }
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprint_line(text)),
            None if !self.quiet => eprint_line(text),
            None => {}
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        change(&mut state);
        self.show(&mut state);
    }
}

fn eprint_line(text: &str) {
    // Progress is for whoever listens; a closed standard error stops nothing.
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// Control characters from outside never reach the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_control() && char != '\n' {
                '\u{fffd}'
            } else {
                char
            }
        })
        .collect()
}

impl Ear for Progress {
    fn hear(&self, event: Event<'_>) {
        match event {
            Event::Planned(steps) => self.update(|state| state.planned = steps),
            Event::Reused(_) => self.update(|state| state.done += 1),
            Event::Started(index, node) => self.update(|state| {
                let name = format!("{} {}", node.step.kind(), node.subject);
                state.running.push((index.index(), name));
            }),
            Event::Finished(index, _, _) => self.update(|state| {
                state.done += 1;
                state
                    .running
                    .retain(|(running, _)| *running != index.index());
            }),
            Event::Failed(index, _) => {
                self.update(|state| {
                    state
                        .running
                        .retain(|(running, _)| *running != index.index())
                });
            }
            Event::Note(text) => self.line(text),
        }
    }
}

impl Watch for Progress {
    fn note(&self, line: &str) {
        self.line(line);
    }
}

/// A bar that counts bytes, where a terminal is.
pub(super) fn transfer_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    bar
}

/// Bytes for people: `99.8 MB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time for people: `1.62 s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// A report of facts that are nobody's error type.
pub(super) fn report(message: String, help: String) -> Report {
    miette::miette!(help = help, "{message}")
}
