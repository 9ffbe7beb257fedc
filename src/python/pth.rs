//! `.pth` files: lines that `site` reads at every start of the interpreter → [`Pth`].
//!
//! A line that begins with `import` is code that runs at every start. Such lines are left out
//! unless somebody asks for them (setuptools' costs 5 % of each start); the report names them.

use super::PythonError;
use super::name::shorten;

/// What becomes of one `.pth` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pth {
    /// Only paths inside the closure: kept byte for byte.
    Paths,
    /// Only code (and comments): the file is left out.
    Code,
    /// Both: the paths are kept as this text.
    Mixed(String),
}

/// Reads a `.pth` file that lies in a folder `depth` levels below the closure's root.
///
/// A path that leaves the closure, absolute or by `..`, is an error.
pub fn classify(bytes: &[u8], depth: usize) -> Result<Pth, PythonError> {
    let text = String::from_utf8_lossy(bytes);
    let mut code = false;
    let mut paths = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.starts_with("import ") || line.starts_with("import\t") {
            code = true;
            continue;
        }
        let path = line.trim_end();
        if path.trim().is_empty() || path.starts_with('#') {
            continue;
        }
        if leaves(path, depth) {
            return Err(PythonError::Pth {
                line: shorten(path),
            });
        }
        paths.push_str(path);
        paths.push('\n');
    }
    Ok(match (code, paths.is_empty()) {
        (false, _) => Pth::Paths,
        (true, true) => Pth::Code,
        (true, false) => Pth::Mixed(paths),
    })
}

fn leaves(path: &str, depth: usize) -> bool {
    let mut level = depth;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if level == 0 => return true,
            ".." => level -= 1,
            _ => level += 1,
        }
    }
    path.starts_with('/') || path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_runs_at_every_start_is_told_from_paths_f028() {
        assert_eq!(
            classify(b"import os; os.system('x')\n", 3).unwrap(),
            Pth::Code
        );
        assert_eq!(classify(b"# note\nimport\tos\n\n", 3).unwrap(), Pth::Code);
        assert_eq!(classify(b"sub/folder\n../other\n", 3).unwrap(), Pth::Paths);
        assert_eq!(
            classify(b"sub\nimport x\n", 3).unwrap(),
            Pth::Mixed("sub\n".into())
        );
        assert_eq!(classify(b"", 3).unwrap(), Pth::Paths);
    }

    #[test]
    fn paths_that_leave_the_closure_are_refused() {
        for path in ["/usr/lib/python3", "../../../..", "a/../../../../../b"] {
            assert!(classify(path.as_bytes(), 3).is_err(), "{path}");
        }
    }
}
