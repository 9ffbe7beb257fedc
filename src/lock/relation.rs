//! `libc6 (>= 2.38), debconf | debconf-2.0` → what a package asks of others. Begin at [`parse`].

use super::version::{self, Relation};

/// One way to meet a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative<'a> {
    /// A package, or a name that packages provide.
    pub name: &'a str,
    /// The versions that will do.
    pub version: Option<(Relation, &'a str)>,
}

impl Alternative<'_> {
    /// Whether a package of this version will do.
    pub fn accepts(&self, version: &str) -> bool {
        self.version
            .is_none_or(|(relation, wanted)| version::satisfies(version, relation, wanted))
    }
}

impl std::fmt::Display for Alternative<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            Some((relation, version)) => write!(f, "{} ({} {version})", self.name, relation.sign()),
            None => f.write_str(self.name),
        }
    }
}

/// The groups of a field, each with its alternatives in order. `None`: it is not a relation field.
///
/// `:any` and the like are dropped, as all packages here are of one architecture; so are alternatives
/// for other architectures.
pub fn parse<'a>(field: &'a str, architecture: &str) -> Option<Vec<Vec<Alternative<'a>>>> {
    let groups = field
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty());
    let mut all = Vec::new();
    for group in groups {
        let mut alternatives = Vec::new();
        for text in group.split('|') {
            let (alternative, applies) = one(text, architecture)?;
            if applies {
                alternatives.push(alternative);
            }
        }
        if !alternatives.is_empty() {
            all.push(alternatives);
        }
    }
    Some(all)
}

fn one<'a>(text: &'a str, architecture: &str) -> Option<(Alternative<'a>, bool)> {
    let text = text.trim();
    let end = text
        .find(|c: char| c.is_whitespace() || "([<".contains(c))
        .unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let name = name.split(':').next().filter(|name| is_name(name))?;
    let (mut wanted, mut applies) = (None, true);
    loop {
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            let (inner, after) = inner.split_once(')')?;
            wanted = Some(constraint(inner.trim())?);
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            applies &= is_for(inner, architecture);
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('<') {
            rest = inner.split_once('>')?.1;
        } else {
            break;
        }
    }
    rest.is_empty().then_some((
        Alternative {
            name,
            version: wanted,
        },
        applies,
    ))
}

fn constraint(text: &str) -> Option<(Relation, &str)> {
    let signs = [
        ("<<", Relation::Earlier),
        ("<=", Relation::EarlierOrEqual),
        (">=", Relation::LaterOrEqual),
        (">>", Relation::Later),
        ("=", Relation::Equal),
    ];
    let (relation, version) = signs
        .iter()
        .find_map(|(sign, relation)| Some((*relation, text.strip_prefix(sign)?.trim())))?;
    version::is_version(version).then_some((relation, version))
}

fn is_for(list: &str, architecture: &str) -> bool {
    let mut words = list.split_ascii_whitespace().peekable();
    if words.peek().is_some_and(|word| word.starts_with('!')) {
        return words.all(|word| {
            word.strip_prefix('!')
                .is_none_or(|other| other != architecture)
        });
    }
    words.any(|word| word == architecture || word == "any" || word == "linux-any")
}

/// Whether a text is a Debian package name.
pub fn is_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(field: &str) -> String {
        let groups = parse(field, "amd64").unwrap();
        let group = |group: &Vec<Alternative<'_>>| {
            group
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" | ")
        };
        groups.iter().map(group).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn relation_fields_are_read_as_debian_policy_says() {
        assert_eq!(
            shown("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0"),
            "libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0"
        );
        assert_eq!(
            shown(
                "python3:any (>> 3.13~),\n  g++ [!amd64] | gcc[amd64 i386]<!nocheck>, x [arm64],"
            ),
            "python3 (>> 3.13~), gcc"
        );
        assert_eq!(shown(""), "");
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for field in [
            "libc6 (>= )",
            "libc6 (> 1)",
            "libc6 (>= 1",
            "lib c6",
            "Lib",
            "../x",
            "a | | b",
            "a (= 1) x",
        ] {
            assert_eq!(parse(field, "amd64"), None, "{field}");
        }
    }
}
