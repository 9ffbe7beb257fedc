//! A wheel's contents, held against what it says of itself → [`Facts`], or a refusal.
//!
//! What could make two tools unpack two different things is refused (F023, F027). A RECORD that
//! is merely wrong about hashes is told and written anew: real wheels are, and the hash of the
//! whole archive, which the lock has, vouches for the bytes (F024).

use std::collections::BTreeMap;

use super::contents::{Contents, is_byte_code};
use super::error::{WheelError, WheelNote};
use crate::python::entry_points::{self, Script};
use crate::python::metadata::{Metadata, WheelFile};
use crate::python::record::{self, Row};
use crate::python::{PythonError, WheelName, name};

/// What a wheel says of itself.
pub(super) struct Facts {
    /// `X` of its folders `X.dist-info` and `X.data`.
    pub(super) stem: String,
    pub(super) metadata: Metadata,
    pub(super) scripts: Vec<Script>,
    pub(super) notes: Vec<WheelNote>,
}

/// Checks the wheel called `file_name`, which said `wheel`.
pub(super) fn check(
    file_name: &str,
    wheel: &WheelName,
    contents: &Contents<'_>,
) -> Result<Facts, WheelError> {
    let bad = |cause: PythonError| WheelError::Bad {
        wheel: file_name.to_owned(),
        cause,
    };
    let layout = |reason: String| WheelError::Layout {
        wheel: file_name.to_owned(),
        reason,
    };
    let folder = dist_info(contents).map_err(layout)?;
    let text = |name: &str| {
        let lacks = || layout(format!("it has no {folder}/{name}"));
        contents.text(&folder, name).ok_or_else(lacks)
    };
    let stem = folder.trim_end_matches(".dist-info").to_owned();
    agrees(&stem, wheel).map_err(layout)?;
    let metadata = Metadata::parse(text("METADATA")?).map_err(bad)?;
    if (&metadata.name, &metadata.version) != (&wheel.name, &wheel.version) {
        let Metadata { name, version, .. } = &metadata;
        return Err(layout(format!(
            "METADATA says {name} {version}, the file name another"
        )));
    }
    let wheel_file = WheelFile::parse(text("WHEEL")?).map_err(bad)?;
    let mut notes = Vec::new();
    notes.extend(tag_note(wheel, &wheel_file));
    let rows = record::parse(text("RECORD")?).map_err(bad)?;
    compare_record(&folder, &rows, contents, &mut notes);
    let scripts = contents
        .text(&folder, "entry_points.txt")
        .map(entry_points::scripts);
    let scripts = scripts.transpose().map_err(bad)?.unwrap_or_default();
    Ok(Facts {
        stem,
        metadata,
        scripts,
        notes,
    })
}

/// The one folder `*.dist-info` at the top.
fn dist_info(contents: &Contents<'_>) -> Result<String, String> {
    let mut folders: Vec<&str> = contents
        .files
        .keys()
        .filter_map(|path| path.split_once('/'))
        .map(|(folder, _)| folder)
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    folders.dedup();
    match folders[..] {
        [folder] => Ok(folder.to_owned()),
        [] => Err("it has no dist-info folder".into()),
        _ => Err(format!(
            "it has several dist-info folders: {}",
            folders.join(", ")
        )),
    }
}

/// Whether `six-1.17.0` of `six-1.17.0.dist-info` is the project and version of the file name.
fn agrees(stem: &str, wheel: &WheelName) -> Result<(), String> {
    let split = stem.split_once('-');
    let same = split.is_some_and(|(project, version)| {
        project
            .parse()
            .is_ok_and(|project: crate::python::ProjectName| project == wheel.name)
            && name::version(version).is_ok_and(|version| version == wheel.version)
    });
    let WheelName { name, version, .. } = wheel;
    if same {
        Ok(())
    } else {
        Err(format!("{stem}.dist-info is not of {name} {version}"))
    }
}

fn tag_note(wheel: &WheelName, file: &WheelFile) -> Option<WheelNote> {
    let mut named: Vec<String> = wheel.tags.iter().map(ToString::to_string).collect();
    let mut inside = file.tags.clone();
    named.sort();
    inside.sort();
    (named != inside).then(|| WheelNote::Tags {
        inside: inside.join(" "),
    })
}

fn compare_record(folder: &str, rows: &[Row], contents: &Contents<'_>, notes: &mut Vec<WheelNote>) {
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.path.as_str(), row)).collect();
    for (path, file) in &contents.files {
        let Some(row) = rows.get(path.as_str()) else {
            if !is_record(folder, path) {
                notes.push(WheelNote::NotInRecord { path: path.clone() });
            }
            continue;
        };
        let other_hash = row.sha256.is_some_and(|sha256| sha256 != file.sha256);
        if other_hash || row.size.is_some_and(|size| size != file.blob.size) {
            notes.push(WheelNote::RecordDiffers { path: path.clone() });
        }
    }
    for path in rows.keys() {
        if !contents.files.contains_key(*path) && !is_byte_code(path) {
            notes.push(WheelNote::NotInWheel {
                path: (*path).to_owned(),
            });
        }
    }
}

/// RECORD itself and its signatures: never listed, never kept.
pub(super) fn is_record(folder: &str, path: &str) -> bool {
    let name = path
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| ["RECORD", "RECORD.jws", "RECORD.p7s"].contains(&name))
}
