//! What a failed build said → its first error, and the files that it missed. Begin at [`told`] and
//! [`files`].

/// Lines that an error shows.
const SHOWN: usize = 20;
/// Files that are told about.
const MOST: usize = 3;

/// The first line that looks like the reason, and the end.
pub(crate) fn told(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    let mut told = String::new();
    if let Some(first) = lines[..from].iter().find(|line| is_reason(line)) {
        told.push_str(first.trim_end());
        told.push_str("\n…\n");
    }
    told.push_str(&lines[from..].join("\n"));
    if told.is_empty() {
        told.push_str("it said nothing");
    }
    // Nothing in it can drive a terminal.
    told.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// Whether a line is how compilers, linkers and backends begin to tell of a failure.
fn is_reason(line: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "error:",
        "fatal:",
        "undefined reference",
        "cannot find -l",
        "no such file or directory",
        "command not found",
        "modulenotfounderror",
        "traceback (most recent call last)",
    ];
    let line = line.to_ascii_lowercase();
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// Headers, libraries and programs that were looked for and not found, as files of a Debian package
/// are called: `lber.h`, `libmariadb.so`, `libxml-2.0.pc`, `bin/mysql_config`.
pub(crate) fn files(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in log.lines() {
        if let Some(file) = missing(line.trim_end())
            && !found.contains(&file)
        {
            found.push(file);
        }
        if found.len() == MOST {
            break;
        }
    }
    found
}

fn missing(line: &str) -> Option<String> {
    let none = ": No such file or directory";
    if let Some((_, rest)) = line.split_once("fatal error: ") {
        return rest.strip_suffix(none).and_then(plain);
    }
    if let Some((_, rest)) = line.split_once("cannot find -l") {
        let name = word(rest);
        return plain(&format!("lib{}.so", name.trim_end_matches(':')));
    }
    // pkg-config, pkgconf, and what repeats them.
    for (before, after) in [
        ("Package ", " was not found in the pkg-config search path"),
        ("Package '", "' not found"),
        ("No package '", "' found"),
        ("Dependency \"", "\" not found"),
    ] {
        let rest = line.split_once(before).map(|(_, rest)| rest);
        if let Some((name, _)) = rest.and_then(|rest| rest.split_once(after)) {
            return plain(&format!("{name}.pc"));
        }
    }
    let program = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found"))
        .and_then(|rest| rest.rsplit(": ").next());
    if let Some(program) = program {
        return plain(program).map(|program| format!("bin/{program}"));
    }
    let (_, rest) = line.split_once("[Errno 2] No such file or directory: ")?;
    let program = plain(rest)?;
    (!program.contains('/')).then(|| format!("bin/{program}"))
}

fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// A relative path that a package could have.
fn plain(path: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "/+._-".contains(c);
    let path = path.trim_matches(['\'', '"', '`', '‘', '’']);
    let whole = !path.is_empty() && path.len() < 128 && path.chars().all(good);
    (whole && !path.split('/').any(|part| part == "..")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compilers_and_linkers_miss_is_read_from_what_they_say() {
        for (line, wanted) in [
            (
                "Modules/constants.h:7:10: fatal error: lber.h: No such file or directory",
                "lber.h",
            ),
            (
                "src/x.c:1:10: fatal error: libxml/xmlversion.h: No such file or directory",
                "libxml/xmlversion.h",
            ),
            (
                "/usr/bin/ld: cannot find -lmariadb: No such file or directory",
                "libmariadb.so",
            ),
            ("/usr/bin/ld: cannot find -lz", "libz.so"),
            (
                "Package libxml-2.0 was not found in the pkg-config search path.",
                "libxml-2.0.pc",
            ),
            (
                "Package 'mysqlclient', required by 'virtual:world', not found",
                "",
            ),
            ("Package 'mariadb' not found", "mariadb.pc"),
            ("/bin/sh: 1: mysql_config: not found", "bin/mysql_config"),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: 'curl-config'",
                "bin/curl-config",
            ),
            (
                "Could not run curl-config: [Errno 2] No such file or directory: 'curl-config'",
                "bin/curl-config",
            ),
            ("error: command 'gcc' failed with exit code 1", ""),
            ("fatal error: ../x/../../y.h: No such file or directory", ""),
        ] {
            let found = files(line);
            let wanted: Vec<&str> = Some(wanted)
                .filter(|it| !it.is_empty())
                .into_iter()
                .collect();
            assert_eq!(found, wanted, "{line}");
        }
    }

    #[test]
    fn the_first_error_is_shown_before_the_last_lines() {
        let mut log = "checking\nx.c:1: fatal error: a.h: No such file or directory\n".to_owned();
        log += &"more\n".repeat(40);
        let told = told(log.as_bytes());
        assert!(told.starts_with("x.c:1: fatal error: a.h"), "{told}");
        assert_eq!(told.lines().count(), SHOWN + 2);
    }
}
