//! The proof that a bundle is complete: this program, alone with the bundle in an empty home and an empty store, with
//! no network to be had where the kernel allows that, plans all builds that are in it, or runs them.

use std::ffi::OsString;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::advice::report;
use super::super::app::App;
use super::super::exit::Failed;
use super::{real, unwritable};
use crate::cache::bundle::Bundle;

/// How a bundle is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Prove {
    Plan,
    Build,
}

/// A proof that a bundle is complete: our own program, with nothing but the bundle.
pub(super) struct Proving<'a> {
    pub(super) file: &'a Utf8Path,
    pub(super) bundle: &'a Bundle,
    pub(super) titles: &'a [String],
    pub(super) run_only: bool,
    pub(super) since: Option<&'a Utf8Path>,
    pub(super) how: Prove,
    pub(super) key: &'a str,
}

impl Proving<'_> {
    /// Whether the kernel kept the network away, too.
    pub(super) fn prove(&self, folder: &Utf8Path, app: &App) -> Result<bool, Failed> {
        let config = folder.join("home/.config/recipe");
        fs::create_dir_all(&config).map_err(|error| unwritable(&config, &error))?;
        let keys: Vec<String> = app
            .trusted_keys()?
            .iter()
            .map(|key| format!("{key}\n"))
            .collect();
        let keys = format!("{}\n{}", self.key, keys.concat());
        let path = config.join("trusted-keys");
        fs::write(&path, keys).map_err(|error| unwritable(&path, &error))?;
        let mut apart = true;
        let mut run = |words: &[&str]| -> Result<String, Failed> {
            let (alone, out) = self.run(folder, words)?;
            apart &= alone;
            Ok(out)
        };
        if let Some(since) = self.since {
            run(&["bundle", "import", real(since)?.as_str()])?;
        }
        let file = real(self.file)?;
        let mut import = vec!["bundle", "import", file.as_str()];
        if self.how == Prove::Build && !self.run_only {
            import.push("--sources");
        }
        run(&import)?;
        for title in self.titles.iter().filter(|_| !self.run_only) {
            if self.how == Prove::Build {
                run(&["build", "--locked", title])?;
                continue;
            }
            let planned = run(&["plan", "--json", title])?;
            let planned: serde_json::Value = serde_json::from_str(&planned).unwrap_or_default();
            if planned["fetch"] != 0 || planned["build"] != 0 {
                return Err(self.incomplete(&format!(
                    "{title}: {} would have to be fetched, {} built",
                    planned["fetch"], planned["build"]
                )));
            }
        }
        Ok(apart)
    }

    fn run(&self, folder: &Utf8Path, words: &[&str]) -> Result<(bool, String), Failed> {
        let program = std::env::current_exe()
            .ok()
            .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        let program = program.unwrap_or_default();
        let (store, home) = (folder.join("store"), folder.join("home"));
        let fixed = [
            "--store",
            store.as_str(),
            "--offline",
            "--no-cache",
            "--quiet",
        ];
        let args: Vec<OsString> = fixed.iter().chain(words).map(OsString::from).collect();
        let env = [("HOME", home.as_str()), ("PATH", "/usr/bin:/bin")];
        let ran = crate::sandbox::run_apart(&program, &args, &env, folder);
        let (apart, output) = ran.map_err(|error| self.incomplete(&error.to_string()))?;
        if output.status.success() {
            return Ok((apart, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(self.incomplete(said.trim()))
    }

    fn incomplete(&self, why: &str) -> Failed {
        Failed::Check(report(
            format!(
                "the bundle of {} is not complete: {why}",
                self.bundle.head.names.join(" and ")
            ),
            "nothing was written; this is a mistake of recipe: please report it".to_owned(),
        ))
    }
}
