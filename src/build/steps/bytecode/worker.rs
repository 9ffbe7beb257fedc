//! Sources → byte code, by the closure's own Python in the sandbox. Begin at [`Compilers`].
//!
//! `worker.py` is the whole program. It reads frames (length of path, length of source, path,
//! source; lengths are 32 bits, little endian) and answers each with one (status byte, length,
//! bytes), after a first answer that says which byte code it makes. It sees the interpreter's
//! tree and nothing else, and writes no file. A worker that is done waits for more: starting one
//! costs as much as compiling ten files.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::BytecodeError;
use crate::sandbox::{Elsewhere, Root, Running, Sandbox, Spec, Status};

const SCRIPT: &str = "/worker.py";
const WORKER: &str = include_str!("worker.py");
/// Most bytes of byte code that one source can give.
const LARGEST_ANSWER: u32 = 256 << 20;
/// Address space of a worker: far more than the largest real source needs.
const MEMORY: u64 = 4 << 30;
/// How long a worker that has closed its output may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// One source.
pub(super) struct Source {
    /// Its path in the closure, which tracebacks show until the importer replaces it.
    pub(super) path: String,
    /// As it lies in the file, whatever its encoding.
    pub(super) bytes: Vec<u8>,
}

/// What a worker says to one source.
pub(super) enum Answer {
    ByteCode(Vec<u8>),
    Skipped(String),
}

/// Interpreters that compile: started when they are needed, kept until this is dropped. Use it
/// from many threads; each has a worker of its own.
#[derive(Debug)]
pub struct Compilers {
    sandbox: Sandbox,
    spec: Spec,
    python: String,
    idle: Mutex<Vec<Worker>>,
}

impl Compilers {
    /// Workers that run `program` (absolute, inside) in the tree that is checked out at `root`:
    /// an interpreter of version `python` (`3.13`) for this machine, with its `encodings`.
    pub fn new(
        sandbox: Sandbox,
        root: &Utf8Path,
        program: impl Into<Utf8PathBuf>,
        python: &str,
    ) -> Compilers {
        // Not -I: it would ignore the seed.
        let mut options = vec!["-s", "-S", "-B", "-X", "frozen_modules=on"];
        let minor = python.strip_prefix("3.").and_then(|it| it.parse().ok());
        if minor.is_none_or(|minor: u32| minor >= 11) {
            options.push("-P");
        }
        // A file, not -c: for that, 3.13 imports linecache, hence half of the library.
        options.push(SCRIPT);
        let mut spec = Spec::new(program)
            .args(options)
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONUTF8", "1");
        spec.root = Root::Tree(root.to_owned());
        spec.files.push((SCRIPT.into(), WORKER.as_bytes().to_vec()));
        spec.limits.memory = Some(MEMORY);
        Compilers {
            sandbox,
            spec,
            python: python.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// The same on another machine: what they make has to be the same there.
    pub fn on(mut self, elsewhere: &Elsewhere) -> Compilers {
        self.spec = elsewhere.change(self.spec);
        self
    }

    /// Major and minor version, `3.13`.
    pub fn python(&self) -> &str {
        &self.python
    }

    /// `cpython-313`
    pub(super) fn cache_tag(&self) -> String {
        format!("cpython-{}", self.python.replace('.', ""))
    }

    /// One answer for each source, in order.
    pub(super) fn compile(&self, sources: &[Source]) -> Result<Vec<Answer>, BytecodeError> {
        let idle = self.lock().pop();
        if let Some(mut worker) = idle
            && let Ok(answers) = worker.compile(sources)
        {
            self.lock().push(worker);
            return Ok(answers);
        }
        // None was free, or one that had waited was dead (of its age limit, say): a new one.
        let mut worker = Worker::start(self)?;
        match worker.compile(sources) {
            Ok(answers) => {
                self.lock().push(worker);
                Ok(answers)
            }
            Err(failure) => Err(worker.post_mortem(failure)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Worker {
    running: Running,
    stdin: BufWriter<File>,
    stdout: BufReader<File>,
}

/// Where a conversation broke off.
struct Failure {
    path: String,
    error: io::Error,
}

impl Worker {
    fn start(compilers: &Compilers) -> Result<Worker, BytecodeError> {
        let mut running = compilers.sandbox.spawn(&compilers.spec)?;
        let (Some(stdin), Some(stdout)) = (running.stdin.take(), running.stdout.take()) else {
            return Err(BytecodeError::Worker {
                path: "nothing".into(),
                reason: "it has no standard input and output".into(),
                said: String::new(),
            });
        };
        let mut worker = Worker {
            running,
            stdin: BufWriter::new(stdin),
            stdout: BufReader::new(stdout),
        };
        let hello = read_answer(&mut worker.stdout).and_then(|answer| match answer {
            (HELLO, tag) => Ok(String::from_utf8_lossy(&tag).into_owned()),
            _ => Err(io::Error::other("its first answer is not a greeting")),
        });
        match hello {
            Ok(found) if found == compilers.cache_tag() => Ok(worker),
            Ok(found) => Err(BytecodeError::Version {
                wanted: compilers.cache_tag(),
                found,
            }),
            Err(error) => Err(worker.post_mortem(Failure {
                path: "nothing yet".into(),
                error,
            })),
        }
    }

    /// Feeds sources from one thread and reads answers on another: neither side waits for a full
    /// pipe.
    fn compile(&mut self, sources: &[Source]) -> Result<Vec<Answer>, Failure> {
        let Worker {
            running,
            stdin,
            stdout,
        } = self;
        std::thread::scope(|scope| {
            let feeder = scope.spawn(move || feed(stdin, sources));
            let answers: Result<Vec<Answer>, Failure> = sources
                .iter()
                .map(|source| {
                    let fail = |error| Failure {
                        path: source.path.clone(),
                        error,
                    };
                    answer(read_answer(stdout).map_err(fail)?).map_err(fail)
                })
                .collect();
            if let Err(failure) = &answers {
                // Its end of the pipe must close, or the feeder would wait for ever.
                end(running, &failure.error);
            }
            let fed = feeder
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the feeder panicked")));
            match (answers, fed) {
                (Ok(_), Err(error)) => Err(Failure {
                    path: "the last file".into(),
                    error,
                }),
                (answers, _) => answers,
            }
        })
    }

    fn post_mortem(self, failure: Failure) -> BytecodeError {
        let Failure { path, error } = failure;
        drop((self.stdin, self.stdout));
        end(&self.running, &error);
        let outcome = match self.running.wait() {
            Ok(outcome) => outcome,
            Err(error) => return error.into(),
        };
        let how = match outcome.status {
            Status::Exited(code) => format!("it ended with code {code}"),
            Status::Signalled(signal) => format!("it was ended by signal {signal}"),
            Status::TimedOut => "it took too long".into(),
            Status::Stopped if is_end(&error) => "it closed its output and went on".into(),
            Status::TooMuchOutput | Status::TooMuchDisk | Status::Stopped => error.to_string(),
        };
        let said = String::from_utf8_lossy(&outcome.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let reason = last.map_or(how.clone(), |last| {
            format!("{how} ({})", last.escape_debug())
        });
        BytecodeError::Worker {
            path,
            reason,
            said: said.into_owned(),
        }
    }
}

/// Sees to it that a worker which gave no good answer ends. One that said nothing more is about to,
/// and is waited for, because how it ends is the reason that people want to read.
fn end(running: &Running, error: &io::Error) {
    if !(is_end(error) && running.ends_within(GRACE)) {
        running.kill();
    }
}

/// Whether an answer broke off because its output was closed.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn feed(stdin: &mut BufWriter<File>, sources: &[Source]) -> io::Result<()> {
    let too_long = |_| io::Error::other("a source of 4 GiB or more");
    for source in sources {
        let path = source.path.as_bytes();
        stdin.write_all(&u32::try_from(path.len()).map_err(too_long)?.to_le_bytes())?;
        stdin.write_all(
            &u32::try_from(source.bytes.len())
                .map_err(too_long)?
                .to_le_bytes(),
        )?;
        stdin.write_all(path)?;
        stdin.write_all(&source.bytes)?;
    }
    stdin.flush()
}

const GOOD: u8 = 0;
const SKIPPED: u8 = 1;
const HELLO: u8 = 2;

fn answer((status, bytes): (u8, Vec<u8>)) -> io::Result<Answer> {
    match status {
        GOOD => Ok(Answer::ByteCode(bytes)),
        SKIPPED => Ok(Answer::Skipped(
            String::from_utf8_lossy(&bytes).into_owned(),
        )),
        _ => Err(io::Error::other(
            "it answered something that is no byte code",
        )),
    }
}

fn read_answer(stdout: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stdout.read_exact(&mut head)?;
    let [status, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    if length > LARGEST_ANSWER {
        return Err(io::Error::other(
            "it announced an answer of more than 256 MiB",
        ));
    }
    let mut bytes = Vec::new();
    let count = stdout.take(length.into()).read_to_end(&mut bytes)?;
    if count < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((status, bytes))
}
