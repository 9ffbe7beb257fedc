//! Requirements files → [`Requirement`]s: the format of pip, as far as a lock can hold what it
//! says. Begin at [`Reader::read`].
//!
//! Files are regular, lie inside the recipe's folder, and are read once: what resolution sees is
//! what the memo of a build hashes. Comments, blank lines, continued lines, `-r` and `--hash` are
//! understood; every other option is refused by name.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use miette::{NamedSource, SourceSpan};
use rustix::fs::{Mode, OFlags};

use super::characters::{describe, is_forbidden};
use super::error::Mistake;
use super::notes::ENOUGH;
use super::requirement::{Origin, Requirement, parse};
use super::wrong::Wrong;
use super::{File, FileRead};

const LARGEST: usize = 1 << 20;
const MOST_REQUIREMENTS: usize = 5_000;
const MOST_FILES: usize = 64;
const DEEPEST: usize = 16;

/// Reads requirements files and collects what they ask for, and what is wrong.
pub(super) struct Reader {
    /// Where the file that names them lies; they may not leave it.
    folder: Utf8PathBuf,
    /// How far away that file is.
    rank: usize,
    /// The files being read, outermost first.
    reading: Vec<Utf8PathBuf>,
    /// The files that were read, each with the rank of who named it.
    seen: Vec<(Utf8PathBuf, usize)>,
    /// Each with the rank of who named its file.
    pub requirements: Vec<(usize, Requirement)>,
    pub files: Vec<FileRead>,
    pub mistakes: Vec<Mistake>,
}

/// Where a file was asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'t> {
    pub text: &'t NamedSource<Arc<str>>,
    pub span: SourceSpan,
}

impl Asked<'_> {
    fn wrong(&self, wrong: Wrong, label: &str) -> Mistake {
        Mistake::new(wrong, self.text, self.span, label)
    }
}

impl Reader {
    /// A reader that has read nothing.
    pub(super) fn new() -> Reader {
        Reader {
            folder: Utf8PathBuf::new(),
            rank: 0,
            reading: Vec::new(),
            seen: Vec::new(),
            requirements: Vec::new(),
            files: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Reads the file at `path` that `from` names, and what it includes. What is nearer is read first.
    pub(super) fn read(&mut self, from: &File, path: &Utf8Path, asked: Asked<'_>) {
        self.folder = from.folder.clone();
        self.rank = from.rank;
        if let Err(mistake) = self.file(path, asked) {
            self.mistakes.push(mistake);
        }
    }

    fn file(&mut self, path: &Utf8Path, asked: Asked<'_>) -> Result<(), Mistake> {
        let unreadable = |why: String| {
            let path = path.to_string();
            asked.wrong(Wrong::RequirementsFile { path, why }, "asked for here")
        };
        let real = inside(&self.folder, path, &self.folder.join(path)).map_err(unreadable)?;
        if self.reading.contains(&real) {
            return Err(asked.wrong(Wrong::IncludeCycle, "this file is being read already"));
        }
        let seen = self.seen.iter().find(|(seen, _)| *seen == real);
        if seen.is_some_and(|(_, rank)| *rank < self.rank) {
            // All that it asks for was asked for by what is nearer.
            return Ok(());
        }
        if seen.is_some() {
            let what = format!("the file `{path}`");
            let help = "name each requirements file once";
            return Err(asked.wrong(Wrong::Duplicate { what, help }, "again here"));
        }
        if self.reading.len() >= DEEPEST {
            let wrong = Wrong::IncludeTooDeep { limit: DEEPEST };
            return Err(asked.wrong(wrong, "one level too many"));
        }
        if self.seen.len() >= MOST_FILES {
            let (what, limit) = ("requirements files", MOST_FILES);
            return Err(asked.wrong(Wrong::TooMany { what, limit }, "one too many"));
        }
        let bytes = read_regular(&real, LARGEST).map_err(unreadable)?;
        let content = String::from_utf8(bytes.clone())
            .map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
        self.files.push(FileRead {
            path: self.folder.join(path),
            bytes: bytes.into(),
        });
        self.seen.push((real.clone(), self.rank));
        self.reading.push(real);
        let text = NamedSource::new(self.folder.join(path), Arc::<str>::from(content));
        self.lines(path, &text);
        self.reading.pop();
        Ok(())
    }

    fn lines(&mut self, path: &Utf8Path, text: &NamedSource<Arc<str>>) {
        let content = text.inner();
        let start = if content.starts_with('\u{FEFF}') {
            3
        } else {
            0
        };
        if let Some((at, c)) = content[start..]
            .char_indices()
            .find(|(_, c)| is_forbidden(*c))
        {
            let character = describe(c);
            let at = start + at..start + at + c.len_utf8();
            let wrong = Wrong::Character { character };
            return self.mistakes.push(Mistake::new(wrong, text, at, "here"));
        }
        for line in logical_lines(content, start) {
            if self.mistakes.len() >= ENOUGH {
                break;
            }
            if let Err(mistake) = self.line(path, text, &line) {
                self.mistakes.push(mistake);
            }
        }
    }

    fn line(
        &mut self,
        path: &Utf8Path,
        text: &NamedSource<Arc<str>>,
        line: &Line,
    ) -> Result<(), Mistake> {
        let words = without_comment(&line.words);
        let word = words.trim();
        let leading = words.len() - words.trim_start().len();
        let at = line.place(leading..leading + word.len());
        if word.is_empty() {
            return Ok(());
        }
        if let Some(file) = included(word) {
            let here = path.parent().unwrap_or(Utf8Path::new(""));
            let asked = Asked {
                text,
                span: at.into(),
            };
            return self.file(&here.join(file), asked);
        }
        if word.starts_with('-') {
            return Err(refused(word, text, at));
        }
        if self.requirements.len() >= MOST_REQUIREMENTS {
            let (what, limit) = ("requirements", MOST_REQUIREMENTS);
            let wrong = Wrong::TooMany { what, limit };
            return Err(Mistake::new(wrong, text, at, "one too many"));
        }
        let (wanted, options) = split_options(word);
        let hashes =
            hashes(options).map_err(|wrong| Mistake::new(wrong, text, at.clone(), "here"))?;
        let origin = Origin::new(text, at.into());
        let requirement = parse(wanted, hashes, origin).map_err(|bad| {
            let (wrong, inner) = *bad;
            let place = line.place(leading + inner.start..leading + inner.end);
            Mistake::new(wrong, text, place, "here")
        })?;
        self.requirements.push((self.rank, requirement));
        Ok(())
    }
}

/// A line after continued lines were joined.
struct Line {
    words: String,
    /// The bytes of the file it was made of.
    range: Range<usize>,
    continued: bool,
}

impl Line {
    /// The bytes of the file that `inner` of the joined line came from; all of them, where lines
    /// were joined.
    fn place(&self, inner: Range<usize>) -> Range<usize> {
        if self.continued {
            return self.range.clone();
        }
        self.range.start + inner.start..(self.range.start + inner.end).min(self.range.end)
    }
}

fn logical_lines(content: &str, start: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    let mut offset = start;
    for physical in content[start..].split_inclusive('\n') {
        let line = physical.trim_end_matches(['\n', '\r']);
        let range = offset..offset + line.len();
        offset += physical.len();
        let comment = line.trim_start().starts_with('#');
        let (words, goes_on) = match line.strip_suffix('\\') {
            Some(words) if !comment => (words, true),
            _ => (line, false),
        };
        match lines.last_mut() {
            Some(last) if open => {
                // A comment within a continued requirement ends nothing (as in pip).
                if !comment {
                    last.words.push_str(words);
                }
                last.range.end = range.end;
                last.continued = true;
            }
            _ => lines.push(Line {
                words: words.to_owned(),
                range,
                continued: false,
            }),
        }
        open = goes_on || (open && comment);
    }
    lines
}

/// `#` begins a comment at the start of a line or after a blank.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = c;
    }
    line
}

fn included(word: &str) -> Option<&str> {
    let rest = ["--requirement=", "--requirement ", "-r"]
        .iter()
        .find_map(|option| word.strip_prefix(option))?;
    let file = rest.trim();
    (!file.is_empty()).then_some(file)
}

fn refused(word: &str, text: &NamedSource<Arc<str>>, at: Range<usize>) -> Mistake {
    let end = word
        .find(|c: char| c == '=' || c.is_whitespace())
        .unwrap_or(word.len());
    let option = &word[..end];
    let wrong = refused_option(option);
    let at = at.start..(at.start + end).min(at.end);
    Mistake::new(wrong, text, at, "this option")
}

fn refused_option(option: &str) -> Wrong {
    let why = match option {
        "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index"
        | "--trusted-host" => {
            "a lock names no host: set the index where pip or uv look for it, or by a flag"
        }
        "-e" | "--editable" => "only released wheels are used",
        "-c" | "--constraint" => "write the bound into the requirement itself",
        "--no-binary" | "--only-binary" | "--prefer-binary" => {
            "the recipe says which projects are built: `pip { no-binary \"...\" }`"
        }
        "--pre" => "name the pre-release, such as `NAME>=2.0rc1`",
        "-r" | "--requirement" => "it needs the name of a file",
        _ => "of pip's options there are -r FILE and --hash=sha256:…",
    };
    Wrong::RefusedOption {
        option: super::decode::printable(option),
        why,
    }
}

/// The requirement, and the options that follow it.
fn split_options(word: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(at) = word[from..].find("--").map(|at| at + from) {
        if word[..at].ends_with(char::is_whitespace) {
            return (word[..at].trim_end(), &word[at..]);
        }
        from = at + 2;
    }
    (word, "")
}

fn hashes(options: &str) -> Result<Vec<String>, Wrong> {
    let mut hashes = Vec::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let hash = match word.split_once('=') {
            Some(("--hash", hash)) => hash,
            None if word == "--hash" => words.next().unwrap_or_default(),
            Some((option, _)) => return Err(refused_option(option)),
            None => return Err(refused_option(word)),
        };
        hashes.push(good_hash(hash)?);
    }
    hashes.sort();
    hashes.dedup();
    Ok(hashes)
}

fn good_hash(hash: &str) -> Result<String, Wrong> {
    let hash = hash.to_ascii_lowercase();
    let length = match hash.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha384", _)) => 96,
        Some(("sha512", _)) => 128,
        _ => 0,
    };
    let hex = hash.split_once(':').map_or("", |(_, hex)| hex);
    if length > 0 && hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hash);
    }
    Err(Wrong::BadValue {
        value: super::decode::printable(&hash),
        wanted: "a hash".to_owned(),
        rule: "a hash is sha256:, sha384: or sha512: and all its hexadecimal digits".to_owned(),
        near: None,
    })
}

/// The real path of `at`, which is what was written as `path`, and must lie inside `root` after
/// every symlink was followed.
pub(super) fn inside(
    root: &Utf8Path,
    path: &Utf8Path,
    at: &Utf8Path,
) -> Result<Utf8PathBuf, String> {
    if path.is_absolute() {
        return Err("it must lie inside the recipe's folder".to_owned());
    }
    let root = if root.as_str().is_empty() {
        Utf8Path::new(".")
    } else {
        root
    };
    let root = root.canonicalize_utf8().map_err(|error| told(&error))?;
    let real = at.canonicalize_utf8().map_err(|error| told(&error))?;
    if !real.starts_with(&root) {
        return Err("it lies outside of the recipe's folder".to_owned());
    }
    Ok(real)
}

/// What the system answered, without its number.
fn told(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The bytes of a regular file of at most `limit` bytes. Never blocks: a named pipe or a device
/// is refused, not waited for.
pub(super) fn read_regular(path: &Utf8Path, limit: usize) -> Result<Vec<u8>, String> {
    let regular = |meta: std::io::Result<std::fs::Metadata>| match meta {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(meta) if meta.is_dir() => Err("it is a folder".to_owned()),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(told(&error)),
    };
    regular(std::fs::metadata(path))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file: std::fs::File = rustix::fs::open(path.as_std_path(), flags, Mode::empty())
        .map_err(|error| told(&error.into()))?
        .into();
    regular(file.metadata())?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| told(&error))?;
    if bytes.len() > limit {
        return Err(format!("it has more than {limit} bytes"));
    }
    Ok(bytes)
}
