//! HTML text → the start tags of a few elements: as much of HTML as an index page needs.
//!
//! One pass, linear in the text, nothing nested, nothing kept but slices of the text. Comments,
//! scripts' insides aside (index pages have none), quoting and character references are read as
//! browsers read them.

/// A start tag.
#[derive(Debug)]
pub(crate) struct Tag<'a> {
    /// Lower case.
    pub(crate) name: &'static str,
    attributes: &'a str,
}

/// Every start tag of one of the elements `names` (lower case), in order.
pub(crate) fn tags<'a>(
    text: &'a str,
    names: &'static [&'static str],
) -> impl Iterator<Item = Tag<'a>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('<')? + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = &comment[comment.find("-->")? + 3..];
                continue;
            }
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            let name = names
                .iter()
                .find(|name| rest[..end].eq_ignore_ascii_case(name));
            let attributes = &rest[end..];
            let length = tag_end(attributes);
            rest = &attributes[length..];
            if let Some(name) = name {
                return Some(Tag {
                    name,
                    attributes: &attributes[..length],
                });
            }
        }
    })
}

impl Tag<'_> {
    /// The value of an attribute (name in lower case), character references resolved; an
    /// attribute without a value is empty.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        attributes(self.attributes)
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| decode(value))
    }
}

/// Where the `>` of a tag is, outside quotes.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    let mut after_equals = false;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (None, b'>') => return at,
            (None, _) => {}
        }
        after_equals = byte == b'=' || (after_equals && byte.is_ascii_whitespace());
    }
    text.len()
}

/// `name=value` pairs inside a tag.
fn attributes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let space = |c: char| c.is_ascii_whitespace();
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| space(c) || c == '/');
        let skip = rest.chars().next()?.len_utf8();
        let end = rest[skip..].find(|c: char| space(c) || c == '=' || c == '/');
        let end = end.map_or(rest.len(), |end| end + skip);
        let name = &rest[..end];
        rest = rest[end..].trim_start_matches(space);
        let Some(after) = rest.strip_prefix('=') else {
            return Some((name, ""));
        };
        rest = after.trim_start_matches(space);
        let open = rest.chars().next().filter(|c| ['"', '\''].contains(c));
        let value = match open {
            Some(quote) => {
                let inside = &rest[1..];
                let end = inside.find(quote).unwrap_or(inside.len());
                rest = inside.get(end + 1..).unwrap_or("");
                &inside[..end]
            }
            None => {
                let end = rest.find(space).unwrap_or(rest.len());
                let value = &rest[..end];
                rest = &rest[end..];
                value
            }
        };
        Some((name, value))
    })
}

/// Resolves the character references that occur in addresses and version specifiers.
fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest[1..].bytes().take(12).position(|byte| byte == b';');
        match reference.and_then(|end| Some((character(&rest[1..1 + end])?, end))) {
            Some((character, end)) => {
                decoded.push(character);
                rest = &rest[end + 2..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(text: &str, name: &str) -> Option<String> {
        tags(text, &["a"]).next()?.attribute(name)
    }

    #[test]
    fn attributes_are_read_as_browsers_read_them() {
        let text = "<a  href = 'x>y' data-b=unquoted DATA-C data-d=\"&lt;&#62;&#x26;&nope;&\"/>";
        assert_eq!(attribute(text, "href").as_deref(), Some("x>y"));
        assert_eq!(attribute(text, "data-b").as_deref(), Some("unquoted"));
        assert_eq!(attribute(text, "data-c").as_deref(), Some(""));
        assert_eq!(attribute(text, "data-d").as_deref(), Some("<>&&nope;&"));
        assert_eq!(attribute(text, "nope"), None);
    }

    #[test]
    fn comments_and_other_elements_are_passed_over() {
        let text = "<!-- <a href=1> --><abbr href=2><p title='<a href=3>'><a href=4>";
        assert_eq!(attribute(text, "href").as_deref(), Some("4"));
        assert_eq!(tags(text, &["a"]).count(), 1);
        assert_eq!(tags("<a href=x", &["a"]).count(), 1);
        assert_eq!(tags("<!-- <a href=x>", &["a"]).count(), 0);
    }

    #[test]
    fn a_page_of_open_brackets_takes_linear_time() {
        let text = "<a <!-".repeat(1 << 20);
        assert!(tags(&text, &["a"]).count() <= 1 << 20);
    }
}
