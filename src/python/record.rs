//! RECORD (PEP 376): the CSV list of a distribution's files → [`Row`]s, and back.
//!
//! A wheel's RECORD is checked against what was unpacked, never believed: removal, upgrade and
//! unpacking do not read paths from it. The one that ends up in a closure is written anew.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::PythonError;
use super::name::shorten;

/// Most bytes of one RECORD.
const LARGEST: usize = 64 << 20;

/// One file of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Relative to the folder that holds the dist-info folder, `/` between parts.
    pub path: String,
    /// sha256, when the row has one; another algorithm counts as none.
    pub sha256: Option<[u8; 32]>,
    /// Bytes, when the row says so.
    pub size: Option<u64>,
}

/// Reads the RECORD of a wheel. Paths that leave the wheel, duplicates, and what is no CSV of
/// three columns are refused (F023).
pub fn parse(bytes: &[u8]) -> Result<Vec<Row>, PythonError> {
    let wrong = |row: usize, reason: String| PythonError::Record { row, reason };
    if bytes.len() > LARGEST {
        return Err(wrong(1, format!("larger than {LARGEST} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, "not UTF-8".into()))?;
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (fields, after) = csv_row(rest).map_err(|reason| wrong(number, reason))?;
        rest = after;
        if fields.len() == 1 && fields[0].is_empty() {
            continue;
        }
        let row = parse_row(&fields).map_err(|reason| wrong(number, reason))?;
        if !seen.insert(row.path.clone()) {
            return Err(wrong(
                number,
                format!("{:?} is there twice", shorten(&row.path)),
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Writes rows as a RECORD, sorted by path; a row without hash and size is the RECORD's own.
pub fn write(rows: &[Row]) -> String {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort();
    let mut text = String::new();
    for row in sorted {
        let hash = row
            .sha256
            .map(|hash| format!("sha256={}", URL_SAFE_NO_PAD.encode(hash)));
        let size = row.size.map(|size| size.to_string());
        let fields = [
            row.path.as_str(),
            hash.as_deref().unwrap_or(""),
            size.as_deref().unwrap_or(""),
        ];
        text.push_str(&fields.map(quote).join(","));
        text.push('\n');
    }
    text
}

fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn parse_row(fields: &[String]) -> Result<Row, String> {
    let [path, hash, size] = fields else {
        return Err(format!(
            "{} columns, wanted path, hash and size",
            fields.len()
        ));
    };
    let inside = path.strip_prefix("./").unwrap_or(path);
    let leaves = inside.starts_with('/') || inside.split('/').any(|part| part == "..");
    if inside.is_empty() || leaves || inside.contains('\0') {
        return Err(format!("path {:?} leaves the wheel", shorten(path)));
    }
    let path = inside.to_owned();
    Ok(Row {
        path,
        sha256: parse_hash(hash)?,
        size: parse_size(size)?,
    })
}

fn parse_hash(text: &str) -> Result<Option<[u8; 32]>, String> {
    let Some(encoded) = text.strip_prefix("sha256=") else {
        return Ok(None);
    };
    let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
    let hash = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    hash.map(Some)
        .ok_or_else(|| format!("{:?} is not a sha256", shorten(text)))
}

fn parse_size(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = digits.then(|| text.parse().ok()).flatten();
    size.map(Some)
        .ok_or_else(|| format!("{:?} is not a size", shorten(text)))
}

/// The fields of the first row, and the text after it. Quotes as Python's `csv` writes them.
fn csv_row(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = csv_field(rest)?;
        fields.push(field);
        if fields.len() > 16 {
            return Err("more than 16 columns".into());
        }
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                let end = ["\r\n", "\n", "\r"]
                    .iter()
                    .find_map(|end| after.strip_prefix(end));
                return Ok((fields, end.unwrap_or("")));
            }
        }
    }
}

fn csv_field(text: &str) -> Result<(String, &str), String> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\r', '\n']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut field = String::new();
    loop {
        let end = rest.find('"').ok_or("a quote is never closed")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None if rest.is_empty() || rest.starts_with([',', '\r', '\n']) => {
                return Ok((field, rest));
            }
            None => return Err("text after a closing quote".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_of_a_real_wheel_is_read() {
        let text = b"six.py,sha256=xRyR9wPT1LNpbJI8tf7CE-BeddkhU5O--sWy-mo5BN8,34703\n\
            \"a,b.py\",,\r\nsix-1.dist-info/RECORD,,\n\n";
        let rows = parse(text).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (rows[0].size, rows[0].sha256.is_some()),
            (Some(34703), true)
        );
        assert_eq!(rows[1].path, "a,b.py");
    }

    #[test]
    fn paths_that_leave_the_wheel_are_refused_f023() {
        for text in [
            "/etc/passwd,,",
            "../x,,",
            "a/../../x,,",
            "a/..,,",
            ",,",
            "./,,",
            ".//x,,",
            "a\0b,,",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_csv_of_three_columns_and_duplicate_rows_are_refused_f023() {
        for text in [
            "a",
            "a,b",
            "a,,,",
            "\"a,,",
            "\"a\"b,,",
            "a,,\na,,",
            "a,,1x",
            "a,,-1",
            "a,sha256=AA,1",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(b"\xff,,").is_err());
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let path = "[a-z\",\n ]{1,8}(/[a-zé\"]{1,8}){0,2}";
        let row = (path, any::<Option<[u8; 32]>>(), any::<Option<u64>>());
        proptest::collection::btree_map(path, row, 0..8).prop_map(|map| {
            map.into_iter()
                .map(|(path, (_, sha256, size))| Row { path, sha256, size })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(rows in rows()) {
            prop_assert_eq!(parse(write(&rows).as_bytes()).unwrap(), rows);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_text_of_csv_letters_panics(text in "[a,\"\r\n/.]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
