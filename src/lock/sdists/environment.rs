//! Wheels → a virtual environment for a build. Begin at [`environment`].
//!
//! It lies at a constant place and is never written to. Its Python is the sysroot's, which sees the
//! folder as one of its environments by `pyvenv.cfg`: so start-up files of wheels are obeyed, and
//! their programs are on the PATH of the build.

use std::io::Read;

use recipe_store::{BlobId, Entry, Session, StoreError, TreeBuilder, TreeId};

use super::SdistError;
use crate::archive::{ArchiveError, Limits, Sink, put_content, unpack_zip};
use crate::python::entry_points;

/// Where it lies in the sandbox.
pub(crate) const PLACE: &str = "/in";
/// No script comes near this (bytes).
const MOST_SCRIPT: u64 = 16 << 20;

/// The Python that builds, in the sysroot.
pub(crate) fn interpreter(python: &str) -> String {
    format!("/usr/bin/python{python}")
}

/// Installs wheels, each with its file name, for this version of Python.
pub(crate) fn environment<'w>(
    session: &Session,
    python: &str,
    wheels: impl IntoIterator<Item = (&'w str, BlobId)>,
) -> Result<TreeId, SdistError> {
    let mut builder = TreeBuilder::new();
    let program = interpreter(python);
    for name in ["python3", "python", &format!("python{python}")] {
        let target = program.clone();
        builder.insert(&format!("bin/{name}"), Entry::Symlink { target })?;
    }
    let text = "home = /usr/bin\ninclude-system-site-packages = false\n";
    put(session, &mut builder, "pyvenv.cfg", text.as_bytes(), false)?;
    for (file_name, blob) in wheels {
        let file = session.open_blob(&blob)?;
        let mut wheel = Wheel {
            session,
            builder: &mut builder,
            site: format!("lib/python{python}/site-packages"),
            headers: format!("include/site/python{python}/{}", stem(file_name)),
            scripts: Vec::new(),
        };
        unpack_zip(&file, file_name, &Limits::default(), &mut wheel)?;
        let scripts = std::mem::take(&mut wheel.scripts);
        for script in entry_points::scripts(&scripts)? {
            let text = format!("#!{PLACE}/bin/python3\n{}", script.source());
            let path = format!("bin/{}", script.name);
            put(session, &mut builder, &path, text.as_bytes(), true)?;
        }
    }
    Ok(builder.finish(session)?)
}

fn stem(file_name: &str) -> &str {
    file_name.split('-').next().unwrap_or(file_name)
}

fn put(
    session: &Session,
    builder: &mut TreeBuilder,
    path: &str,
    bytes: &[u8],
    executable: bool,
) -> Result<(), StoreError> {
    let blob = session.put_blob(bytes, executable)?;
    Ok(builder.replace(path, Entry::File { blob, executable })?)
}

/// One wheel on its way to where its files belong.
struct Wheel<'a> {
    session: &'a Session,
    builder: &'a mut TreeBuilder,
    site: String,
    headers: String,
    /// Its `entry_points.txt`.
    scripts: Vec<u8>,
}

impl Wheel<'_> {
    /// Where a file goes, and if it is a program.
    fn place(&self, path: &str) -> Option<(String, bool)> {
        let inside = path
            .split_once('/')
            .filter(|(top, _)| top.ends_with(".data"));
        let Some((_, rest)) = inside else {
            return Some((format!("{}/{path}", self.site), false));
        };
        let (kind, rest) = rest.split_once('/')?;
        let place = match kind {
            "purelib" | "platlib" => format!("{}/{rest}", self.site),
            "scripts" => return Some((format!("bin/{rest}"), true)),
            "headers" => format!("{}/{rest}", self.headers),
            _ => rest.to_owned(),
        };
        Some((place, false))
    }
}

impl Sink for Wheel<'_> {
    fn directory(&mut self, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let Some((place, program)) = self.place(path) else {
            return Ok(());
        };
        let small = size <= MOST_SCRIPT;
        let entry_points =
            path.matches('/').count() == 1 && path.ends_with(".dist-info/entry_points.txt");
        let blob = if (program || entry_points) && small {
            let mut bytes = Vec::new();
            content
                .read_to_end(&mut bytes)
                .map_err(ArchiveError::sink)?;
            if entry_points {
                self.scripts.clone_from(&bytes);
            }
            if let Some(rest) = bytes.strip_prefix(b"#!python") {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
                bytes = [format!("#!{PLACE}/bin/python3").as_bytes(), &rest[end..]].concat();
            }
            let blob = self.session.put_blob(&bytes, executable || program);
            blob.map_err(ArchiveError::sink)?
        } else {
            put_content(self.session, executable || program, size, content)?
        };
        let executable = executable || program;
        self.builder
            .replace(&place, Entry::File { blob, executable })
            .map_err(ArchiveError::sink)
    }

    fn symlink(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn hard_link(&mut self, _: &str, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }
}
