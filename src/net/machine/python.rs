//! What pip and uv are told on this machine → the Python index, and certificate authorities.
//!
//! Only the one default index counts. Extra indexes are never merged into it: the same name on two
//! indexes is how dependency confusion works; what is left out for that reason is said.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

/// The environment's names and values.
type Env = BTreeMap<String, String>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Python {
    /// The place that names an index, and the index.
    pub(super) index: Option<(String, Vec<String>)>,
    /// A PEM file.
    pub(super) authorities: Option<Utf8PathBuf>,
    pub(super) notes: Vec<String>,
}

pub(super) fn read(
    env: &Env,
    pip: &[(Utf8PathBuf, String)],
    uv: &[(Utf8PathBuf, String)],
) -> Python {
    let mut found = Python::default();
    for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
        if let Some(value) = said(env, name) {
            found.say(name, value);
        }
    }
    for name in [
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "PIP_FIND_LINKS",
    ] {
        if said(env, name).is_some() {
            found.leave_out(name);
        }
    }
    for (path, text) in uv {
        found.read_uv(path, text);
    }
    let mut authorities = said(env, "PIP_CERT").map(str::to_owned);
    for (path, text) in pip {
        let place = path.to_string();
        for (key, value) in ini(text) {
            match key.as_str() {
                "index-url" => found.say(&place, &value),
                "extra-index-url" | "find-links" => found.leave_out(&format!("{key} in {place}")),
                "cert" => authorities = authorities.or(Some(value)),
                _ => {}
            }
        }
    }
    found.authorities = authorities.map(Utf8PathBuf::from);
    found
}

impl Python {
    fn say(&mut self, place: &str, value: &str) {
        if self.index.is_none() && !value.trim().is_empty() {
            // uv allows `name=URL`.
            let url = value.trim();
            let url = url
                .split_once('=')
                .filter(|(name, _)| !name.contains([':', '/']))
                .map_or(url, |(_, url)| url);
            self.index = Some((place.to_owned(), vec![url.to_owned()]));
        }
    }

    fn leave_out(&mut self, what: &str) {
        self.notes.push(format!(
            "{what} is not used: indexes are never merged; `--python-index URL` names the one that is asked"
        ));
    }

    fn read_uv(&mut self, path: &Utf8PathBuf, text: &str) {
        let Ok(table) = text.parse::<toml::Table>() else {
            self.notes
                .push(format!("{path} is not TOML and is not used"));
            return;
        };
        let place = path.to_string();
        let nested = table.get("pip").and_then(toml::Value::as_table);
        for table in [Some(&table), nested].into_iter().flatten() {
            let indexes = table
                .get("index")
                .and_then(toml::Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for index in indexes {
                let url = index.get("url").and_then(toml::Value::as_str);
                match (index.get("default").and_then(toml::Value::as_bool), url) {
                    (Some(true), Some(url)) => self.say(&place, url),
                    _ => self.leave_out(&format!("an index in {place}")),
                }
            }
            if let Some(url) = table.get("index-url").and_then(toml::Value::as_str) {
                self.say(&place, url);
            }
            if table.contains_key("extra-index-url") {
                self.leave_out(&format!("extra-index-url in {place}"));
            }
        }
    }
}

/// pip's configuration files, the strongest first.
pub(super) fn pip_files(env: &Env) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    if let Some(path) = said(env, "PIP_CONFIG_FILE") {
        if path == "/dev/null" {
            return files;
        }
        files.push(path.into());
    }
    files.extend(said(env, "VIRTUAL_ENV").map(|folder| Utf8PathBuf::from(folder).join("pip.conf")));
    files.extend(config_home(env).map(|folder| folder.join("pip/pip.conf")));
    files.extend(said(env, "HOME").map(|home| Utf8PathBuf::from(home).join(".pip/pip.conf")));
    files.push("/etc/pip.conf".into());
    files.extend(config_folders(env).map(|folder| folder.join("pip/pip.conf")));
    files
}

/// uv's configuration files, the strongest first.
pub(super) fn uv_files(env: &Env) -> Vec<Utf8PathBuf> {
    if said(env, "UV_NO_CONFIG").is_some() {
        return Vec::new();
    }
    if let Some(path) = said(env, "UV_CONFIG_FILE") {
        return vec![path.into()];
    }
    let mut files: Vec<Utf8PathBuf> = config_home(env)
        .map(|folder| folder.join("uv/uv.toml"))
        .into_iter()
        .collect();
    files.extend(config_folders(env).map(|folder| folder.join("uv/uv.toml")));
    files.push("/etc/uv/uv.toml".into());
    files
}

fn config_home(env: &Env) -> Option<Utf8PathBuf> {
    let home = || said(env, "HOME").map(|home| Utf8PathBuf::from(home).join(".config"));
    said(env, "XDG_CONFIG_HOME")
        .map(Utf8PathBuf::from)
        .or_else(home)
}

fn config_folders(env: &Env) -> impl Iterator<Item = Utf8PathBuf> {
    said(env, "XDG_CONFIG_DIRS")
        .unwrap_or("/etc/xdg")
        .split(':')
        .map(Utf8PathBuf::from)
}

fn said<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name)
        .map(String::as_str)
        .filter(|value| !value.trim().is_empty())
}

/// The keys of `[global]` and `[install]`, as pip's own reader understands them: the latter first, as it is stronger.
fn ini(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found: Vec<(bool, String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if open && line.starts_with([' ', '\t']) {
            if let Some((_, _, value)) = found.last_mut() {
                value.push(' ');
                value.push_str(trimmed);
            }
        } else if let Some(name) = trimmed
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.trim().to_ascii_lowercase();
            open = false;
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            open = matches!(section.as_str(), "global" | "install");
            if open {
                let key = key.trim().to_ascii_lowercase().replace('_', "-");
                found.push((section == "global", key, value.trim().to_owned()));
            }
        }
    }
    found.sort_by_key(|(is_global, ..)| *is_global);
    found
        .into_iter()
        .map(|(_, key, value)| (key, value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn env(said: &[(&str, &str)]) -> Env {
        said.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn index(env: &Env, pip: &str, uv: &str) -> Option<String> {
        let found = read(
            env,
            &[("/p".into(), pip.into())],
            &[("/u".into(), uv.into())],
        );
        found.index.map(|(_, urls)| urls[0].clone())
    }

    #[test]
    fn the_index_of_pip_and_uv_is_found_in_the_order_of_their_strength() {
        let pip = "[global]\nindex_url = https://pip.test/simple\n[install]\nindex-url: https://install.test/simple\n[list]\nindex-url=https://no.test\n";
        let uv = "[[index]]\nurl = \"https://uv.test/simple\"\ndefault = true\n";
        let nothing = env(&[]);
        assert_eq!(
            index(
                &env(&[
                    ("PIP_INDEX_URL", "https://a.test"),
                    ("UV_DEFAULT_INDEX", "mine=https://b.test")
                ]),
                pip,
                uv
            )
            .unwrap(),
            "https://b.test"
        );
        assert_eq!(
            index(&env(&[("PIP_INDEX_URL", "https://a.test/?x=y")]), pip, uv).unwrap(),
            "https://a.test/?x=y"
        );
        assert_eq!(index(&nothing, pip, uv).unwrap(), "https://uv.test/simple");
        assert_eq!(
            index(&nothing, pip, "").unwrap(),
            "https://install.test/simple"
        );
        assert_eq!(
            index(
                &nothing,
                "[global]\nindex-url =\n    https://pip.test/simple\n",
                ""
            )
            .unwrap(),
            "https://pip.test/simple"
        );
        assert_eq!(
            index(&nothing, "", "[pip]\nindex-url = \"https://old.test\"").unwrap(),
            "https://old.test"
        );
        assert_eq!(index(&nothing, "nonsense", "not toml ["), None);
    }

    #[test]
    fn f055_extra_indexes_are_never_merged_and_said_so() {
        let pip = "[global]\nextra-index-url = https://x.test\ncert = /etc/ssl/mine.pem\n";
        let uv = "[[index]]\nurl = \"https://second.test\"\n";
        let found = read(
            &env(&[("PIP_EXTRA_INDEX_URL", "https://y.test")]),
            &[("/p".into(), pip.into())],
            &[("/u".into(), uv.into())],
        );
        assert!(found.index.is_none());
        assert_eq!(found.notes.len(), 3);
        assert_eq!(
            found.authorities.as_deref(),
            Some("/etc/ssl/mine.pem".into())
        );
    }

    #[test]
    fn configuration_files_are_looked_for_where_pip_and_uv_look() {
        let env = env(&[("HOME", "/home/me"), ("VIRTUAL_ENV", "/venv")]);
        let files = pip_files(&env);
        assert_eq!(files[0], "/venv/pip.conf");
        assert!(
            files.contains(&"/home/me/.config/pip/pip.conf".into())
                && files.contains(&"/etc/pip.conf".into())
        );
        assert_eq!(uv_files(&env)[0], "/home/me/.config/uv/uv.toml");
    }
}
