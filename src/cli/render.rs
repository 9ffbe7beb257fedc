//! Events and errors → the terminal. Results go to standard output, all else to standard error.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Diagnostic, MietteHandler, MietteHandlerOpts};

use super::advice::command_advice;
use super::exit::Failed;
use super::record::Line;
use crate::build::{Ear, End, Event};
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
    let text = draw(failed.diagnostic());
    let advice = match failed.diagnostic().help() {
        Some(_) if !matches!(failed, Failed::Build(_)) => None,
        _ => command_advice(failed),
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
    /// What a cache gives or takes, for as long as it does.
    moving: String,
    /// What became of each step, for the record of this build.
    ended: Vec<Line>,
}

const EVERY: Duration = Duration::from_secs(2);

impl Progress {
    pub(super) fn new(quiet: bool) -> Progress {
        let bar = (draws() && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(if columns() < 50 {
                "{pos}/{len} {wide_msg}"
            } else {
                "{bar:24} {pos}/{len} {wide_msg}"
            });
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

    /// What became of each step so far, in the order they ended.
    pub(super) fn ended(&self) -> Vec<Line> {
        let state = self.state.lock();
        state.map_or_else(|_| Vec::new(), |mut state| std::mem::take(&mut state.ended))
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
            bar.set_message(match state.moving.as_str() {
                "" => names.join(", "),
                moving => moving.to_owned(),
            });
        } else if !self.quiet {
            let begun = *state.last.get_or_insert_with(Instant::now);
            if begun.elapsed() >= EVERY {
                state.last = Some(Instant::now());
                let mut line = format!("{}/{} steps", state.done, state.planned);
                if !names.is_empty() {
                    line.push_str(&format!("; {}", names.join(", ")));
                }
                if !state.moving.is_empty() {
                    line.push_str(&format!("; {}", state.moving));
                }
                self.line(&line);
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

    /// Shows what a program prints, as it comes.
    fn print(&self, text: &str) {
        let print = || {
            let mut err = std::io::stderr().lock();
            let _ = err.write_all(printable(text).as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
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

/// Whether standard error is a terminal that can draw.
fn draws() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How wide the terminal is.
fn columns() -> u16 {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col)
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
            Event::Started(index, node) => self.update(|state| {
                let name = format!("{} {}", node.step.kind(), node.subject);
                state.running.push((index.index(), name));
            }),
            Event::Ended(ended) => self.update(|state| {
                state.done += usize::from(ended.end != End::Failed);
                let index = ended.index.index();
                state.running.retain(|(running, _)| *running != index);
                state.ended.push(Line::of(ended));
            }),
            Event::Note(text) => self.line(text),
            Event::Printed(text) => self.print(text),
        }
    }
}

impl Watch for Progress {
    fn note(&self, line: &str) {
        self.line(line);
    }

    fn moved(&self, cache: &str, done: u64, total: u64) {
        self.update(|state| {
            state.moving = match done < total {
                true => format!("{} of {}, {cache}", bytes(done), bytes(total)),
                false => String::new(),
            };
        });
    }
}

/// A bar that counts bytes, where a terminal is.
pub(super) fn transfer_bar() -> ProgressBar {
    if !draws() {
        return ProgressBar::hidden();
    }
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

/// `1 step`, `2 steps`.
pub(super) fn plural(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}
