//! Where each file of a wheel goes, and the files that are made here: launchers, INSTALLER and a
//! RECORD written anew.

use std::collections::BTreeMap;

use recipe_store::{Entry, Session, TreeBuilder};
use sha2::{Digest as _, Sha256};

use super::check::{Facts, is_record};
use super::contents::{Contents, File};
use super::error::{WheelError, WheelNote};
use super::{UnpackedWheel, WheelOptions};
use crate::python::entry_points::is_file_name;
use crate::python::pth::{self, Pth};
use crate::python::record::{self, Row};

/// Where Python programs lie that a launcher under `bin/` starts.
pub(in crate::build::steps) const SCRIPTS: &str = "libexec/scripts";

/// One file in the closure.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    entry: Entry,
    sha256: [u8; 32],
    /// Where it comes from, for errors.
    origin: String,
}

pub(super) struct Layout<'a> {
    options: &'a WheelOptions<'a>,
    session: &'a Session,
    /// `lib/python3.13/site-packages`
    site: String,
    /// `include/python3.13/NAME`
    headers: String,
    dist_info: String,
    data: String,
    placed: BTreeMap<String, Placed>,
    scripts: Vec<String>,
    notes: Vec<WheelNote>,
    made: Vec<(String, String)>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(options: &'a WheelOptions<'a>, facts: &Facts, session: &'a Session) -> Self {
        let python = options.target.python();
        let made = facts
            .scripts
            .iter()
            .map(|script| (script.name.clone(), script.source()));
        Layout {
            options,
            session,
            site: format!("lib/python{python}/site-packages"),
            headers: format!("include/python{python}/{}", facts.metadata.name),
            dist_info: format!("{}.dist-info", facts.stem),
            data: format!("{}.data/", facts.stem),
            placed: BTreeMap::new(),
            scripts: Vec::new(),
            notes: Vec::new(),
            made: made.collect(),
        }
    }

    /// Places every file of the wheel, then what is made for it.
    pub(super) fn fill(&mut self, contents: &Contents<'_>) -> Result<(), WheelError> {
        for (path, file) in &contents.files {
            match path.strip_prefix(self.data.as_str()) {
                Some(rest) => self.place_data(path, rest, file)?,
                None => self.place_site(path, path, file)?,
            }
        }
        for (name, source) in std::mem::take(&mut self.made) {
            self.place_made(
                &format!("{SCRIPTS}/{name}"),
                source.as_bytes(),
                "entry_points.txt",
            )?;
            self.place_launcher(&name, "entry_points.txt")?;
        }
        let installer = format!("{}/{}/INSTALLER", self.site, self.dist_info);
        self.place_made(&installer, b"recipe\n", "INSTALLER")
    }

    /// Writes RECORD and puts all of it into one tree.
    pub(super) fn finish(mut self, facts: Facts) -> Result<UnpackedWheel, WheelError> {
        let record = format!("{}/{}/RECORD", self.site, self.dist_info);
        let mut rows = vec![Row {
            path: self.relative(&record),
            sha256: None,
            size: None,
        }];
        let mut builder = TreeBuilder::new();
        for (path, placed) in &self.placed {
            let size = match &placed.entry {
                Entry::File { blob, .. } => Some(blob.size),
                _ => None,
            };
            rows.push(Row {
                path: self.relative(path),
                sha256: Some(placed.sha256),
                size,
            });
            builder.insert(path, placed.entry.clone())?;
        }
        let blob = self
            .session
            .put_blob(record::write(&rows).as_bytes(), false)?;
        builder.insert(
            &record,
            Entry::File {
                blob,
                executable: false,
            },
        )?;
        let mut notes = facts.notes;
        notes.append(&mut self.notes);
        let tree = builder.finish(self.session)?;
        Ok(UnpackedWheel { tree, notes })
    }

    /// A file of `X.data/`: its first folder says what it is.
    fn place_data(&mut self, path: &str, rest: &str, file: &File) -> Result<(), WheelError> {
        let scheme = rest.split_once('/').filter(|(_, rest)| !rest.is_empty());
        match scheme {
            Some(("purelib" | "platlib", rest)) => self.place_site(path, rest, file),
            Some(("headers", rest)) => {
                let at = format!("{}/{rest}", self.headers);
                self.place_file(&at, path, file, file.executable)
            }
            Some(("scripts", rest)) => self.place_script(path, rest, file),
            Some(("data", rest)) => match rest.strip_prefix("bin/") {
                Some(name) => self.place_script(path, name, file),
                None => self.place_file(rest, path, file, file.executable),
            },
            _ => Err(self.layout_error(format!("{path} is in no folder that wheels know"))),
        }
    }

    /// A file of site-packages.
    fn place_site(&mut self, path: &str, rest: &str, file: &File) -> Result<(), WheelError> {
        let dropped = ["INSTALLER", "REQUESTED", "direct_url.json"];
        let in_dist_info = rest.strip_prefix(self.dist_info.as_str());
        let in_dist_info = in_dist_info.and_then(|rest| rest.strip_prefix('/'));
        if is_record(&self.dist_info, rest)
            || in_dist_info.is_some_and(|name| dropped.contains(&name))
        {
            return Ok(());
        }
        if ["sitecustomize.py", "usercustomize.py"].contains(&rest) {
            self.notes.push(WheelNote::RunsAtStart {
                path: rest.to_owned(),
                kept: true,
            });
        }
        let at = format!("{}/{rest}", self.site);
        if rest.ends_with(".pth") && !rest.contains('/') {
            return self.place_pth(&at, path, rest, file);
        }
        self.place_file(&at, path, file, file.executable)
    }

    /// A file that `site` reads at every start.
    fn place_pth(
        &mut self,
        at: &str,
        path: &str,
        name: &str,
        file: &File,
    ) -> Result<(), WheelError> {
        let depth = self.site.split('/').count();
        let wheel = self.options.file_name.to_owned();
        let kind = pth::classify(&file.text, depth).map_err(|cause| WheelError::Bad {
            wheel: format!("{wheel}: {name}"),
            cause,
        })?;
        let kept = self.options.keep_pth;
        if kind != Pth::Paths {
            self.notes.push(WheelNote::RunsAtStart {
                path: name.to_owned(),
                kept,
            });
        }
        match kind {
            Pth::Code if !kept => Ok(()),
            Pth::Mixed(paths) if !kept => self.place_made(at, paths.as_bytes(), path),
            _ => self.place_file(at, path, file, false),
        }
    }

    /// A program: a Python one becomes a launcher and its script, any other is itself.
    fn place_script(&mut self, path: &str, name: &str, file: &File) -> Result<(), WheelError> {
        // As pip has it: what an entry point makes comes instead of what was packed under its name.
        let own = name.strip_suffix("-script.py").unwrap_or(name);
        if self
            .made
            .iter()
            .any(|(made, _)| made == name || made == own)
        {
            return Ok(());
        }
        if is_file_name(name) && runs_python(&file.text) {
            self.place_file(&format!("{SCRIPTS}/{name}"), path, file, false)?;
            return self.place_launcher(name, path);
        }
        self.place_program(name, path)?;
        self.place_file(&format!("bin/{name}"), path, file, true)
    }

    fn place_launcher(&mut self, name: &str, origin: &str) -> Result<(), WheelError> {
        self.place_program(name, origin)?;
        let (blob, sha256) = self.put(self.options.launcher, true)?;
        let entry = Entry::File {
            blob,
            executable: true,
        };
        self.place(
            &format!("bin/{name}"),
            Placed {
                entry,
                sha256,
                origin: origin.to_owned(),
            },
        )
    }

    /// Notes a program's name; the interpreter's own names are taken (F026).
    fn place_program(&mut self, name: &str, origin: &str) -> Result<(), WheelError> {
        let version = name.strip_prefix("python");
        if version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.')) {
            return Err(
                self.layout_error(format!("{origin} would replace the interpreter bin/{name}"))
            );
        }
        if !self.scripts.iter().any(|other| other == name) {
            self.scripts.push(name.to_owned());
        }
        Ok(())
    }

    fn place_file(
        &mut self,
        at: &str,
        origin: &str,
        file: &File,
        executable: bool,
    ) -> Result<(), WheelError> {
        let mut blob = file.blob;
        if executable != file.executable {
            // An object is stored once per mode.
            blob = self.session.put_reader(
                &mut self.session.open_blob(&blob)?,
                executable,
                blob.size,
            )?;
        }
        let entry = Entry::File { blob, executable };
        self.place(
            at,
            Placed {
                entry,
                sha256: file.sha256,
                origin: origin.to_owned(),
            },
        )
    }

    fn place_made(&mut self, at: &str, bytes: &[u8], origin: &str) -> Result<(), WheelError> {
        let (blob, sha256) = self.put(bytes, false)?;
        let entry = Entry::File {
            blob,
            executable: false,
        };
        self.place(
            at,
            Placed {
                entry,
                sha256,
                origin: origin.to_owned(),
            },
        )
    }

    fn put(
        &self,
        bytes: &[u8],
        executable: bool,
    ) -> Result<(recipe_store::BlobId, [u8; 32]), WheelError> {
        let blob = self.session.put_blob(bytes, executable)?;
        Ok((blob, Sha256::digest(bytes).into()))
    }

    /// The same place twice is fine only with the same bytes.
    fn place(&mut self, at: &str, placed: Placed) -> Result<(), WheelError> {
        match self.placed.get(at) {
            Some(earlier) if earlier.entry != placed.entry => {
                let (one, other) = (&earlier.origin, &placed.origin);
                Err(self.layout_error(format!("{one} and {other} are different files for {at}")))
            }
            Some(_) => Ok(()),
            None => {
                self.placed.insert(at.to_owned(), placed);
                Ok(())
            }
        }
    }

    /// A path of the closure as RECORD says it: relative to site-packages.
    fn relative(&self, path: &str) -> String {
        let mut up = 0;
        let mut base = self.site.as_str();
        loop {
            if let Some(rest) = path
                .strip_prefix(base)
                .and_then(|rest| rest.strip_prefix('/'))
            {
                return "../".repeat(up) + rest;
            }
            up += 1;
            match base.rsplit_once('/') {
                Some((parent, _)) => base = parent,
                None => return "../".repeat(up) + path,
            }
        }
    }

    fn layout_error(&self, reason: String) -> WheelError {
        WheelError::Layout {
            wheel: self.options.file_name.to_owned(),
            reason,
        }
    }
}

/// Whether a program's first line asks for a Python: `#!python`, `#!/usr/bin/env python3`, …
pub(in crate::build::steps) fn runs_python(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"#!") else {
        return false;
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let file = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut program = words.next().map(file);
    if program.as_deref() == Some("env") {
        program = words
            .find(|word| !word.starts_with('-') && !word.contains('='))
            .map(file);
    }
    program.is_some_and(|program| program.starts_with("python"))
}
