//! The real files of the main job's lock, brought once by the ordinary tools (curl with apt's own
//! mirrors, and pip) and kept below `target/`. Nothing of `recipe` is used to bring or check them.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

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
}

fn bring(lock: &str) -> Result<Utf8PathBuf, String> {
    let folder = checkout().join("target/test-sources");
    let lock = checkout().join(lock);
    let text = fs::read_to_string(&lock).map_err(|error| format!("{lock}: {error}"))?;
    let lock = recipe::lock::file::read(lock.as_str(), &text).map_err(|error| error.to_string())?;
    fs::create_dir_all(folder.join("wheels")).map_err(|error| error.to_string())?;
    let python = lock.python.unwrap_or_default();
    for file in lock.files {
        let wanted = Wanted {
            archive: file.archive,
            path: file.path,
            name: file.name,
            version: file.version,
            sha256: file.sha256,
        };
        let place = match wanted.archive.as_str() {
            "python" => folder.join("wheels").join(&wanted.path),
            archive => folder.join(archive).join(&wanted.path),
        };
        if !place.exists() {
            wanted.bring(&place, &python)?;
        }
        let sum = shell("sha256sum", &[place.as_str()])?;
        if !sum.starts_with(&wanted.sha256) {
            fs::remove_file(&place).map_err(|error| error.to_string())?;
            return Err(format!(
                "{} has other bytes than the lock says",
                wanted.path
            ));
        }
    }
    Ok(folder)
}

impl Wanted {
    fn bring(&self, place: &Utf8Path, python: &str) -> Result<(), String> {
        let folder = place.parent().expect("a folder");
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        if self.archive == "python" {
            let wanted = format!("{}=={}", self.name, self.version);
            let platforms = [
                "manylinux_2_28_x86_64",
                "manylinux_2_17_x86_64",
                "manylinux2014_x86_64",
                "manylinux1_x86_64",
                "any",
            ];
            let mut words = vec![
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
            ];
            for platform in platforms {
                words.extend(["--platform", platform]);
            }
            words.extend([
                "--python-version",
                python,
                "--dest",
                folder.as_str(),
                &wanted,
            ]);
            return shell("python3", &words).map(drop);
        }
        let mirror = apt_mirror(&self.archive)?;
        let url = format!("{}/{}", mirror.trim_end_matches('/'), self.path);
        let part = format!("{place}.part");
        shell("curl", &["-sSfL", "--retry", "3", "-o", &part, &url])?;
        fs::rename(&part, place).map_err(|error| error.to_string())
    }
}

/// apt says where its mirrors are.
fn apt_mirror(archive: &str) -> Result<String, String> {
    let targets = shell(
        "apt-get",
        &["indextargets", "--format", "$(REPO_URI) $(RELEASE)"],
    )?;
    let security = archive == "debian-security";
    targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(uri, _)| {
            let uri = uri.trim_end_matches('/');
            uri.ends_with("/debian-security") == security && (security || uri.ends_with("/debian"))
        })
        .map(|(uri, _)| uri.to_owned())
        .ok_or_else(|| format!("apt knows no mirror of {archive}"))
}

fn shell(program: &str, args: &[&str]) -> Result<String, String> {
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
