//! The text of the configuration file → [`File`], whose settings are of the right kind. Begin at
//! [`File::read`].

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use kdl::{KdlNode, KdlValue};
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use thiserror::Error;

use super::cache::CacheSetting;
use crate::lock::near::nearest;
use crate::recipe::{Limits, Mistake, document};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One string.
    Word,
    /// One string or more.
    Words,
    /// A number above 0.
    Number,
    /// `#true` or `#false`.
    Truth,
}

impl Kind {
    fn wanted(self) -> &'static str {
        match self {
            Kind::Word => "one string",
            Kind::Words => "strings",
            Kind::Number => "a number above 0",
            Kind::Truth => "#true or #false",
        }
    }

    fn holds(self, values: &[KdlValue]) -> bool {
        let text = |value: &KdlValue| value.as_string().is_some_and(|text| !text.is_empty());
        match (self, values) {
            (Kind::Word, [value]) => text(value),
            (Kind::Words, values) => !values.is_empty() && values.iter().all(text),
            (Kind::Number, [value]) => number(value).is_some(),
            (Kind::Truth, [value]) => value.as_bool().is_some(),
            _ => false,
        }
    }
}

/// The settings there are.
const KEYS: [(&str, Kind); 8] = [
    ("store", Kind::Word),
    ("recipes", Kind::Words),
    ("jobs", Kind::Number),
    ("offline", Kind::Truth),
    ("debian-mirror", Kind::Words),
    ("debian-security-mirror", Kind::Words),
    ("python-index", Kind::Words),
    ("archive-keys", Kind::Word),
];

/// Why the configuration file is not usable.
#[derive(Debug, Error, Diagnostic)]
pub enum FileError {
    /// It could not be read.
    #[error("the configuration file {path} cannot be read: {why}")]
    #[diagnostic(code(config::unreadable), help("make it readable, or move it away"))]
    Unreadable {
        /// Which file.
        path: Utf8PathBuf,
        /// Why not.
        why: String,
    },
    /// It is not KDL.
    #[error("the configuration file {path} is not KDL")]
    #[diagnostic(
        code(config::syntax),
        help("mend the lines below, or move the file away")
    )]
    Syntax {
        /// Which file.
        path: Utf8PathBuf,
        /// What is wrong, with its lines.
        #[related]
        mistakes: Vec<Mistake>,
    },
    /// A setting is not right.
    #[error("{what}")]
    #[diagnostic(code(config::setting), help("{help}"))]
    Setting {
        /// What is wrong.
        what: String,
        /// What to do next.
        help: String,
        /// The file.
        #[source_code]
        text: Arc<NamedSource<Arc<str>>>,
        /// Where; the first place of what is given twice as well.
        #[label(collection)]
        at: Vec<LabeledSpan>,
    },
}

/// The settings of one file.
#[derive(Debug, Default)]
pub(super) struct File {
    path: Utf8PathBuf,
    values: BTreeMap<&'static str, Vec<KdlValue>>,
    /// The caches, in the order in which they are asked.
    pub(super) caches: Vec<CacheSetting>,
}

impl File {
    /// The file that the environment names; without one there are no settings.
    pub(super) fn read(get: &impl Fn(&str) -> Option<String>) -> Result<File, FileError> {
        let Some(path) = super::folder(get).map(|folder| folder.join("config.kdl")) else {
            return Ok(File::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
            Err(error) => Err(FileError::Unreadable {
                path,
                why: error.to_string(),
            }),
        }
    }

    fn parse(path: Utf8PathBuf, text: &str) -> Result<File, FileError> {
        let text = Arc::new(NamedSource::new(&path, Arc::from(text)));
        let document = match document(&text, &Limits::RECIPE) {
            Ok(document) => document,
            Err(mistakes) => return Err(FileError::Syntax { path, mistakes }),
        };
        let mut file = File {
            path,
            values: BTreeMap::new(),
            caches: Vec::new(),
        };
        let mut first: BTreeMap<&str, SourceSpan> = BTreeMap::new();
        for node in document.nodes() {
            if node.name().value() == "cache" {
                let cache = CacheSetting::read(node, file.folder(), &text)?;
                file.caches.push(cache);
                continue;
            }
            let (key, values) = setting(node, &text)?;
            if let Some(first) = first.insert(key, node.name().span()) {
                return Err(FileError::Setting {
                    what: format!("the setting `{key}` is given twice"),
                    help: "keep one of them; where several values are allowed, write them on \
                           one line"
                        .to_owned(),
                    text,
                    at: vec![
                        label("again here", node.name().span()),
                        label("first here", first),
                    ],
                });
            }
            file.values.insert(key, values);
        }
        Ok(file)
    }

    fn values(&self, key: &str) -> &[KdlValue] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// All strings of a setting.
    pub(super) fn words(&self, key: &str) -> Vec<String> {
        let words = self.values(key).iter().filter_map(KdlValue::as_string);
        words.map(str::to_owned).collect()
    }

    /// The one string of a setting.
    pub(super) fn word(&self, key: &str) -> Option<String> {
        self.words(key).pop()
    }

    /// The number of a setting.
    pub(super) fn number(&self, key: &str) -> Option<usize> {
        self.values(key).first().and_then(number)
    }

    /// Whether a setting is `#true`.
    pub(super) fn truth(&self, key: &str) -> bool {
        let value = self.values(key).first().and_then(KdlValue::as_bool);
        value.unwrap_or(false)
    }

    /// Relative paths in the file start where the file lies.
    pub(super) fn folder(&self) -> &Utf8Path {
        self.path.parent().unwrap_or(Utf8Path::new("/"))
    }
}

fn number(value: &KdlValue) -> Option<usize> {
    let number = usize::try_from(value.as_integer()?).ok()?;
    (number > 0).then_some(number)
}

pub(super) fn label(text: &str, at: SourceSpan) -> LabeledSpan {
    LabeledSpan::new_with_span(Some(text.to_owned()), at)
}

/// One node of the file, known and of the right kind.
fn setting(
    node: &KdlNode,
    text: &Arc<NamedSource<Arc<str>>>,
) -> Result<(&'static str, Vec<KdlValue>), FileError> {
    let wrong = |what: String, help: String, seen: &str, at: SourceSpan| FileError::Setting {
        what,
        help,
        text: text.clone(),
        at: vec![label(seen, at)],
    };
    let name = node.name().value();
    let Some((key, kind)) = KEYS.into_iter().find(|(key, _)| *key == name) else {
        let keys = KEYS.iter().map(|(key, _)| *key).chain(["cache"]);
        let keys: Vec<&str> = keys.collect();
        let near = nearest(name, keys.iter().copied());
        let meant = near
            .first()
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        return Err(wrong(
            format!("there is no setting `{}`", name.escape_debug()),
            format!("{meant}there are {}", keys.join(", ")),
            "this one",
            node.name().span(),
        ));
    };
    let plain = node.children().is_none() && node.entries().iter().all(|it| it.name().is_none());
    let values: Vec<KdlValue> = node.entries().iter().map(|it| it.value().clone()).collect();
    if plain && kind.holds(&values) {
        return Ok((key, values));
    }
    let example = match kind {
        Kind::Word => "store \"/srv/store\"",
        Kind::Words => "recipes \"/srv/recipes\" \"/opt/recipes\"",
        Kind::Number => "jobs 4",
        Kind::Truth => "offline #true",
    };
    Err(wrong(
        format!("the setting `{key}` takes {}", kind.wanted()),
        format!("as in: {example}"),
        "this one",
        node.span(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let error = File::parse("config.kdl".into(), text).expect_err(text);
        let mut shown = String::new();
        let theme = miette::GraphicalTheme::unicode_nocolor();
        miette::GraphicalReportHandler::new_themed(theme)
            .with_width(90)
            .render_report(&mut shown, &error)
            .expect("rendered");
        shown
    }

    #[test]
    fn every_setting_is_read() {
        let text = "store \"s\"\nrecipes a b // c\njobs 4\noffline #true\ndebian-mirror d\n";
        let file = File::parse("/etc/config.kdl".into(), text).expect("good");
        assert_eq!(file.word("store").as_deref(), Some("s"));
        assert_eq!(file.words("recipes"), ["a", "b"]);
        assert_eq!(file.number("jobs"), Some(4));
        assert!(file.truth("offline"));
        assert_eq!(file.word("archive-keys"), None);
        assert_eq!(file.folder(), "/etc");
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        for (title, text) in [
            ("unknown", "stor \"/x\"\n"),
            ("twice", "jobs 2\noffline #true\njobs 3\n"),
            ("zero", "jobs 0\n"),
            ("text for a number", "jobs \"4\"\n"),
            ("text for a truth value", "offline yes\n"),
            ("two stores", "store \"a\" \"b\"\n"),
            ("property", "store path=\"a\"\n"),
            ("nothing", "recipes\n"),
            ("open string", "jobs 2\nstore \"/x\n"),
            ("equals", "jobs = 2\n"),
            ("deep", &"a {".repeat(100)),
        ] {
            let name = format!("config_{}", title.replace(' ', "_"));
            insta::with_settings!({ snapshot_path => "broken", prepend_module_to_snapshot => false,
                omit_expression => true, description => title },
                { insta::assert_snapshot!(name, message(text)); });
        }
    }
}
