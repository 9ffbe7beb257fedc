//! `entry_points.txt` → [`Script`]: the programs that a wheel wants under `bin/`.
//!
//! A script's name becomes a file name and its object reference becomes Python source, so both
//! are held to words (F025). Groups other than scripts are read at run time by others, not here.

use super::PythonError;
use super::name::shorten;

/// One program: `name` under `bin/` calls `module:attribute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// One safe path component.
    pub name: String,
    /// Dotted identifiers.
    pub module: String,
    /// Dotted identifiers.
    pub attribute: String,
}

impl Script {
    /// The Python program that calls the entry point.
    pub fn source(&self) -> String {
        let Script {
            module, attribute, ..
        } = self;
        let first = attribute.split('.').next().unwrap_or(attribute);
        format!(
            "import sys\nfrom {module} import {first}\n\nif __name__ == \"__main__\":\n    sys.exit({attribute}())\n"
        )
    }
}

/// Console and GUI scripts, sorted by name (on Linux there is no difference between the two).
pub fn scripts(bytes: &[u8]) -> Result<Vec<Script>, PythonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PythonError::EntryPoints {
        line: 1,
        reason: "not UTF-8".into(),
    })?;
    let mut scripts: Vec<Script> = Vec::new();
    let mut wanted = false;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let wrong = |reason: String| PythonError::EntryPoints {
            line: number + 1,
            reason,
        };
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            wanted = ["console_scripts", "gui_scripts"].contains(&section.trim());
            continue;
        }
        if !wanted {
            continue;
        }
        if indented && !line.contains('=') {
            return Err(wrong("a value over several lines".into()));
        }
        let script = parse_line(line).map_err(wrong)?;
        match scripts.iter().find(|other| other.name == script.name) {
            Some(same) if *same == script => {}
            Some(_) => return Err(wrong(format!("{:?} is there twice", script.name))),
            None => scripts.push(script),
        }
    }
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scripts)
}

fn parse_line(line: &str) -> Result<Script, String> {
    let (name, value) = line
        .split_once('=')
        .ok_or_else(|| format!("{:?} has no =", shorten(line)))?;
    let name = name.trim();
    if !is_file_name(name) {
        return Err(format!(
            "{:?} cannot be the name of a program",
            shorten(name)
        ));
    }
    // `[extras]` may follow; pip and uv ignore them, too.
    let value = value.split('[').next().unwrap_or(value).trim();
    let reference = value
        .split_once(':')
        .map(|(module, attribute)| (module.trim(), attribute.trim()));
    let is_path = |text: &str| text.split('.').all(is_identifier);
    match reference.filter(|(module, attribute)| is_path(module) && is_path(attribute)) {
        Some((module, attribute)) => Ok(Script {
            name: name.to_owned(),
            module: module.to_owned(),
            attribute: attribute.to_owned(),
        }),
        None => Err(format!("{:?} is not module:function", shorten(value))),
    }
}

/// Whether `name` is one component that no shell, tool or terminal trips over.
pub fn is_file_name(name: &str) -> bool {
    let first = name.chars().next();
    let safe =
        |c: char| !c.is_control() && !c.is_whitespace() && !"/\\\"'`$&|;<>*?()[]{}~#!".contains(c);
    first.is_some_and(|c| c != '.' && c != '-') && name.len() <= 255 && name.chars().all(safe)
}

fn is_identifier(text: &str) -> bool {
    let letter = |c: char| c == '_' || c.is_alphabetic();
    let mut characters = text.chars();
    characters.next().is_some_and(letter) && characters.all(|c| letter(c) || c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn console_and_gui_scripts_are_found_among_other_groups() {
        let text = b"[distutils.commands]\nx = a/../b\n\n[console_scripts]\nidna=idna.cli:main\n\
            # note\nb = p.q : C.run [extra]\n[gui_scripts]\na-b.c = m:f\n";
        let found: Vec<(String, String)> = scripts(text)
            .unwrap()
            .into_iter()
            .map(|script| {
                (
                    script.name,
                    format!("{}:{}", script.module, script.attribute),
                )
            })
            .collect();
        let wanted = [
            ("a-b.c", "m:f"),
            ("b", "p.q:C.run"),
            ("idna", "idna.cli:main"),
        ];
        assert_eq!(
            found,
            wanted.map(|(name, what)| (name.to_owned(), what.to_owned()))
        );
    }

    #[test]
    fn a_method_is_imported_by_its_class() {
        let script = &scripts(b"[console_scripts]\nb=p:C.run\n").unwrap()[0];
        assert!(
            script.source().contains("from p import C\n"),
            "{}",
            script.source()
        );
        assert!(script.source().contains("sys.exit(C.run())"));
    }

    #[test]
    fn names_that_leave_bin_are_refused_f025() {
        for name in [
            "../x", "/x", "a/b", "..", ".", "-x", "a\\b", "a;b", "a\u{7}b", "",
        ] {
            let text = format!("[console_scripts]\n{name} = m:f\n");
            assert!(scripts(text.as_bytes()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn object_references_cannot_carry_code() {
        for value in [
            "m",
            "m:",
            ":f",
            "m:f()",
            "os;import x:f",
            "m:f\u{2028}x",
            "a b:c",
            "m:1f",
        ] {
            let text = format!("[console_scripts]\nx = {value}\n");
            assert!(scripts(text.as_bytes()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn one_name_for_two_programs_is_refused() {
        assert!(scripts(b"[console_scripts]\nx=a:b\n[gui_scripts]\nx=a:c\n").is_err());
        assert_eq!(
            scripts(b"[console_scripts]\nx=a:b\nx = a:b\n")
                .unwrap()
                .len(),
            1
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = scripts(&bytes);
        }

        #[test]
        fn whatever_is_accepted_is_safe(line in ".{0,60}") {
            for script in scripts(format!("[console_scripts]\n{line}").as_bytes()).unwrap_or_default() {
                prop_assert!(!script.name.contains(['/', '\0', '\n']) && script.name != "..");
                prop_assert!(!script.source().contains([';', '"', '\'']) || script.source().matches('"').count() == 2);
            }
        }
    }
}
