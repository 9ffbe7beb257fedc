//! The real files of the main job's lock, brought once by the ordinary tools (curl with apt's own
//! mirrors, and pip) and kept below `target/`. Nothing of `recipe` is used to bring or check them.

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Server, checkout, skip};

/// A folder laid out as a mirror, and a server of it.
pub struct Sources {
    folder: Utf8PathBuf,
    server: Server,
}

impl Sources {
    /// `debian/`, `debian-security/`, `wheels/`.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Serves them, without faults. Tests that want faults make a server of their own.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

/// The sources; none where they cannot be had, which is said.
pub fn sources() -> Option<&'static Sources> {
    static SOURCES: OnceLock<Option<Sources>> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| match bring("recipes/app/scylla-python.lock.kdl") {
        Ok(folder) => Some(Sources {
            server: Server::of(&folder),
            folder,
        }),
        Err(why) => {
            eprintln!("the sources of the main job cannot be had: {why}");
            None
        }
    });
    if sources.is_none() {
        skip("the sources of the main job cannot be had here");
    }
    sources.as_ref()
}

/// Those of another lock of this checkout, whatever Python it is for.
pub fn sources_of(lock: &str) -> Option<Sources> {
    match bring(lock) {
        Ok(folder) => Some(Sources {
            server: Server::of(&folder),
            folder,
        }),
        Err(why) => {
            eprintln!("the sources of {lock} cannot be had: {why}");
            skip("the sources of this test cannot be had here");
            None
        }
    }
}

/// One file that the lock names.
struct Wanted {
    archive: String,
    path: String,
    name: String,
    version: String,
    sha256: String,
    place: Utf8PathBuf,
}

/// Sees to it that all files of the lock are there: with few processes, as there are hundreds of files.
fn bring(lock: &str) -> Result<Utf8PathBuf, String> {
    // Two locks have files in common.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = checkout().join("target/test-sources");
    let lock = checkout().join(lock);
    let text = fs::read_to_string(&lock).map_err(|error| format!("{lock}: {error}"))?;
    let lock = recipe::lock::file::read(lock.as_str(), &text).map_err(|error| error.to_string())?;
    let wheels = folder.join("wheels");
    fs::create_dir_all(&wheels).map_err(|error| error.to_string())?;
    let files = lock.files.into_iter().map(|file| Wanted {
        place: match file.archive.as_str() {
            "python" => wheels.join(&file.path),
            archive => folder.join(archive).join(&file.path),
        },
        archive: file.archive,
        path: file.path,
        name: file.name,
        version: file.version,
        sha256: file.sha256,
    });
    let files: Vec<Wanted> = files.collect();
    let absent = files.iter().filter(|wanted| !wanted.place.exists());
    let (absent_wheels, debs): (Vec<&Wanted>, Vec<&Wanted>) =
        absent.partition(|wanted| wanted.archive == "python");
    bring_debs(&debs)?;
    bring_wheels(absent_wheels, &wheels, &lock.python.unwrap_or_default())?;
    let sums = shell(
        "sha256sum",
        files.iter().map(|wanted| wanted.place.as_str()),
    )?;
    for (wanted, sum) in files.iter().zip(sums.lines()) {
        if !sum.starts_with(&wanted.sha256) {
            fs::remove_file(&wanted.place).map_err(|error| error.to_string())?;
            return Err(format!(
                "{} has other bytes than the lock says",
                wanted.path
            ));
        }
    }
    Ok(folder)
}

fn bring_debs(debs: &[&Wanted]) -> Result<(), String> {
    if debs.is_empty() {
        return Ok(());
    }
    let targets = shell(
        "apt-get",
        ["indextargets", "--format", "$(REPO_URI) $(RELEASE)"],
    )?;
    let part = |wanted: &Wanted| format!("{}.part", wanted.place);
    let mut words: Vec<String> = ["-sSfL", "--retry", "3", "--parallel", "--create-dirs"]
        .map(str::to_owned)
        .into();
    for wanted in debs {
        let mirror = apt_mirror(&targets, &wanted.archive)?;
        let url = format!("{}/{}", mirror.trim_end_matches('/'), wanted.path);
        words.extend(["-o".to_owned(), part(wanted), url]);
    }
    shell("curl", words.iter().map(String::as_str))?;
    for wanted in debs {
        fs::rename(part(wanted), &wanted.place).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// pip takes one version of a project at a time.
fn bring_wheels(mut absent: Vec<&Wanted>, to: &Utf8Path, python: &str) -> Result<(), String> {
    while !absent.is_empty() {
        let mut names = HashSet::new();
        let (now, later) = absent
            .into_iter()
            .partition::<Vec<_>, _>(|wanted| names.insert(&wanted.name));
        absent = later;
        let mut words: Vec<String> = ["-m", "pip", "download", "--quiet", "--no-deps"]
            .map(str::to_owned)
            .into();
        words.push("--only-binary=:all:".to_owned());
        for platform in [
            "manylinux_2_28_x86_64",
            "manylinux_2_17_x86_64",
            "manylinux2014_x86_64",
            "manylinux1_x86_64",
            "any",
        ] {
            words.extend(["--platform".to_owned(), platform.to_owned()]);
        }
        words.extend(["--python-version".to_owned(), python.to_owned()]);
        words.extend(["--dest".to_owned(), to.to_string()]);
        words.extend(now.iter().map(|it| format!("{}=={}", it.name, it.version)));
        shell("python3", words.iter().map(String::as_str))?;
    }
    Ok(())
}

/// apt says where its mirrors are.
fn apt_mirror<'t>(targets: &'t str, archive: &str) -> Result<&'t str, String> {
    let security = archive == "debian-security";
    targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(uri, _)| {
            let uri = uri.trim_end_matches('/');
            uri.ends_with("/debian-security") == security && (security || uri.ends_with("/debian"))
        })
        .map(|(uri, _)| uri)
        .ok_or_else(|| format!("apt knows no mirror of {archive}"))
}

fn shell<'a>(program: &str, args: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
