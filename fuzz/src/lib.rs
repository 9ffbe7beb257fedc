//! The room under test, and a sink that asserts all that is promised to sinks.

use std::collections::HashMap;
use std::io::Read;

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../src/archive/mod.rs"]
pub mod archive;

use archive::{ArchiveError, Limits, Sink};

/// Small, so that a bomb ends soon.
pub fn limits() -> Limits {
    Limits {
        bytes: 16 << 20,
        free: 8 << 20,
        ..Limits::default()
    }
}

#[derive(Default)]
pub struct Checked(HashMap<String, char>);

impl Checked {
    fn enter(&mut self, path: &str, kind: char) {
        assert!(path.len() <= 4096 && path.split('/').count() <= 64);
        for part in path.split('/') {
            assert!(!matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains('\0'));
        }
        for (end, _) in path.match_indices('/') {
            let above = self.0.entry(path[..end].to_owned()).or_insert('d');
            assert_eq!(
                *above, 'd',
                "{path:?} runs through something that is no directory"
            );
        }
        let earlier = self.0.insert(path.to_owned(), kind);
        assert!(earlier.is_none(), "{path:?} comes twice");
    }
}

impl Sink for Checked {
    fn directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.enter(path, 'd');
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        _: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        self.enter(path, 'f');
        let read = std::io::copy(content, &mut std::io::sink()).map_err(ArchiveError::sink)?;
        assert_eq!(read, size);
        Ok(())
    }

    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.enter(path, 'l');
        assert!(!target.starts_with('/') && !target.is_empty() && target.len() < 4096);
        let mut depth = path.matches('/').count();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    depth = depth
                        .checked_sub(1)
                        .expect("the target stays below the root")
                }
                _ => depth += 1,
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        assert_eq!(self.0.get(to), Some(&'f'));
        self.enter(path, 'f');
        Ok(())
    }
}
