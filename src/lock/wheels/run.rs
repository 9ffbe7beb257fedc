//! One question to uv, in the sandbox → its [`Answer`]. Begin at [`run`].
//!
//! uv sees: itself, the interpreter's Debian packages at their usual places, the questions as
//! files, name resolution and certificate authorities of this machine, and the network. It does
//! not see its own or pip's configuration, the home of anybody, or a cache. What was configured
//! was read by us and is passed on; an index's password goes through the environment, never
//! through arguments that other users could list.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use reqwest::Url;

use super::{Context, Terms, Tool, WheelsError, choose, fetch};
use crate::net::Settings;
use crate::platform::Platform;
use crate::python::pylock::{self, Package};
use crate::python::{ProjectName, Requirement, Target};
use crate::sandbox::{Outcome, Spec, Status, Stdin};

/// Runs uv twice over one cache; see there.
const DRIVER: &str = include_str!("resolve.py");
const QUESTION: &str = "/tmp/recipe";
const OVERRIDES: &str = "/tmp/overrides";
const CONSTRAINTS: &str = "/tmp/constraints";
const CONFIGURATION: &str = "/tmp/uv.toml";
/// How uv ends when it understood the question and found no answer.
const NO_SOLUTION: i32 = 1;
/// How uv ends when something failed on the way: an index that does not answer.
const FAILED: i32 = 2;

/// What uv answered.
pub(super) struct Answer {
    /// One version of each project, with its files.
    pub(super) packages: Vec<Package>,
    /// requirements.txt whose comments say who needs what.
    pub(super) annotated: String,
    /// The index that answered.
    pub(super) index: Url,
}

/// Asks each index until one answers.
pub(super) fn run(
    requirements: &[Requirement],
    terms: &Terms<'_>,
    tool: &Tool,
    context: &Context<'_>,
) -> Result<Answer, WheelsError> {
    let folder = tool.folder(context)?;
    let mut failure = WheelsError::NoIndex;
    for index in context.indexes {
        let spec = spec(requirements, terms, index, &folder, context);
        let outcome = context.sandbox.run(&spec, Stdin::Empty)?;
        let said = readable(&outcome.stderr);
        match outcome.status {
            Status::Exited(0) => return read(&outcome, index),
            Status::Exited(NO_SOLUTION) => return Err(explain(said, requirements, index, context)),
            Status::Exited(FAILED) if is_network(&said) => {
                failure = WheelsError::Unreachable { reason: said };
            }
            status => {
                return Err(WheelsError::Tool {
                    reason: format!("{status:?}\n{said}"),
                });
            }
        }
    }
    Err(failure)
}

/// Whether uv speaks of a request that failed, rather than of a question it did not understand.
fn is_network(said: &str) -> bool {
    let requests = [
        "Failed to fetch",
        "Failed to download",
        "Request failed",
        "error sending request",
    ];
    requests.iter().any(|words| said.contains(words))
}

fn read(outcome: &Outcome, index: &Url) -> Result<Answer, WheelsError> {
    let broken = || WheelsError::Tool {
        reason: "its answer is cut short".into(),
    };
    let text = std::str::from_utf8(&outcome.stdout).map_err(|_| broken())?;
    let (lock, annotated) = text.split_once('\0').ok_or_else(broken)?;
    Ok(Answer {
        packages: pylock::parse(lock)?,
        annotated: annotated.to_owned(),
        index: index.clone(),
    })
}

fn spec(
    requirements: &[Requirement],
    terms: &Terms<'_>,
    index: &Url,
    folder: &Utf8Path,
    context: &Context<'_>,
) -> Spec {
    let python = format!("/usr/bin/python{}", context.python);
    let mut question = vec![
        "-I", "-S", "-B", "-c", DRIVER, "/in/uv", "pip", "compile", QUESTION,
    ];
    question.extend(["--python", &python, "--only-binary", ":all:"]);
    for project in terms.no_binary {
        question.extend(["--no-binary", project.as_str()]);
    }
    if terms.no_binary.is_empty() {
        question.push("--no-config");
    } else {
        question.extend(["--config-file", CONFIGURATION]);
    }
    let lists = [
        ("--override", OVERRIDES, terms.overrides),
        ("--constraints", CONSTRAINTS, terms.constraints),
    ];
    for (option, path, list) in lists {
        if !list.is_empty() {
            question.extend([option, path]);
        }
    }
    question.extend(["--no-header", "--annotation-style", "line", "--quiet"]);
    question.extend(["--no-progress", "--color", "never", "--no-python-downloads"]);
    let version = context.target.python().to_string();
    if version != context.python {
        question.extend(["--python-version", &version]);
    }
    let platform = context.target.platform();
    let tag = uv_platform(context.target);
    if Platform::here() != Some(platform) {
        question.extend(["--python-platform", &tag]);
    }
    let root = context.python_root;
    let mut spec = Spec::new(&python)
        .args(question)
        .input(folder, "/in")
        .input(root.join("usr"), "/usr")
        .input(root.join("usr/lib"), "/lib")
        .usual_places();
    if root.join("usr/lib64").exists() {
        spec = spec.input(root.join("usr/lib64"), "/lib64");
    }
    let text: String = requirements
        .iter()
        .map(|asked| asked.text.clone() + "\n")
        .collect();
    spec.files.push((QUESTION.into(), text.into_bytes()));
    if !terms.no_binary.is_empty() {
        let text = configuration(terms).into_bytes();
        spec.files.push((CONFIGURATION.into(), text));
    }
    for (_, path, list) in lists {
        if !list.is_empty() {
            let text = list.join("\n") + "\n";
            spec.files.push((path.into(), text.into_bytes()));
        }
    }
    if !terms.kept.is_empty() {
        let (lock, text) = preferred(terms.kept);
        spec.files
            .push(("/tmp/pylock.toml".into(), lock.into_bytes()));
        spec.files
            .push(("/tmp/requirements.txt".into(), text.into_bytes()));
    }
    for path in [
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
    ] {
        if let Ok(content) = std::fs::read(path) {
            spec.files.push((path.into(), content));
        }
    }
    for (name, value) in environment(index, context.net.settings()) {
        spec = spec.env(name, value);
    }
    if let Some(authorities) = authorities(context.net.settings()) {
        spec.files
            .push(("/tmp/authorities.pem".into(), authorities));
        spec = spec.env("SSL_CERT_FILE", "/tmp/authorities.pem");
    }
    spec.cwd = "/tmp".into();
    spec.network = true;
    spec.limits.wall = Some(Duration::from_secs(15 * 60));
    spec
}

/// The closure's platform by the nearest name that uv knows: it has one for each glibc up to its own
/// day. Which wheel of a version is taken is decided by the true one, in `choose.rs`.
fn uv_platform(target: &Target) -> String {
    const NEWEST: u16 = 40;
    let (_, minor) = target.glibc();
    let minor = match minor {
        ..28 => 17,
        28..31 => 28,
        31.. => minor.min(NEWEST),
    };
    format!("{}-manylinux_2_{minor}", target.platform().processor())
}

/// What is known of sdists, so that uv neither builds nor reads one: a version that nothing is known of
/// needs nothing until it was looked into.
fn configuration(terms: &Terms<'_>) -> String {
    let list = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("[{}]", words.join(", "))
    };
    let mut text = String::new();
    for project in terms.no_binary {
        text += &format!(
            "[[dependency-metadata]]\nname = {}\nrequires-dist = []\n",
            quoted(project.as_str())
        );
    }
    for facts in terms.known {
        text += &format!(
            "[[dependency-metadata]]\nname = {}\nversion = {}\nrequires-dist = {}\nprovides-extra = {}\n",
            quoted(facts.name.as_str()),
            quoted(&facts.version.to_string()),
            list(&facts.requires),
            list(&facts.extras),
        );
        if let Some(python) = &facts.requires_python {
            text += &format!("requires-python = {}\n", quoted(python));
        }
    }
    text
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Versions of the lock before, in the files that uv looks into for them: as `pylock.toml` and as
/// requirements.
fn preferred(kept: &[(&str, &str)]) -> (String, String) {
    let mut lock = "lock-version = \"1.0\"\ncreated-by = \"recipe\"\n".to_owned();
    let mut text = String::new();
    for (name, version) in kept {
        // Both come from a lock file, whose reader let through only words.
        lock += &format!("[[packages]]\nname = {name:?}\nversion = {version:?}\n");
        text += &format!("{name}=={version}\n");
    }
    (lock, text)
}

fn environment(index: &Url, settings: &Settings) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("HOME", "/tmp".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("UV_CACHE_DIR", "/tmp/cache".to_owned()),
        ("UV_DEFAULT_INDEX", index.to_string()),
    ];
    let proxies = &settings.proxies;
    let proxies = [
        ("HTTP_PROXY", &proxies.http),
        ("HTTPS_PROXY", &proxies.https),
        ("NO_PROXY", &proxies.none),
    ];
    environment.extend(
        proxies
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
    );
    environment
}

/// The certificate authorities of this machine and those that are configured, as one PEM file.
fn authorities(settings: &Settings) -> Option<Vec<u8>> {
    const USUAL: [&str; 5] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let mut all = USUAL
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .unwrap_or_default();
    if let Some(path) = &settings.authorities {
        all.push(b'\n');
        all.extend(std::fs::read(path).unwrap_or_default());
    }
    (!all.is_empty()).then_some(all)
}

/// uv's words without hints, which speak of its own flags; nothing in them can drive a terminal.
fn readable(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().take_while(|line| !line.starts_with("hint:"));
    let lines = lines.filter(|line| !line.trim().is_empty()).take(60);
    let clean = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let text = lines.map(clean).collect::<Vec<_>>().join("\n");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text
        .strip_prefix("No solution found when resolving dependencies\n")
        .unwrap_or(text);
    text.trim().trim_start_matches("cause: ").to_owned()
}

/// Why there is no solution, told as the most helpful error that fits.
fn explain(
    reason: String,
    requirements: &[Requirement],
    index: &Url,
    context: &Context<'_>,
) -> WheelsError {
    let named = |project: &ProjectName| {
        let word = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
        reason.split(word).any(|text| {
            text.parse::<ProjectName>()
                .is_ok_and(|name| name == *project)
        })
    };
    let project = requirements
        .iter()
        .map(|asked| &asked.name)
        .find(|name| named(name))
        .cloned();
    if let Some((before, _)) = reason.split_once(" was not found in the package registry") {
        let word = before.rsplit([' ', '\n']).next().unwrap_or(before);
        if let Ok(project) = word.parse() {
            return WheelsError::Unknown { project };
        }
    }
    // Wheels, but no fitting ones: look what the projects that were asked for have instead.
    let wheels = ["no usable wheels", "no wheels"]
        .iter()
        .any(|words| reason.contains(words));
    let suspects = requirements
        .iter()
        .filter(|asked| wheels && named(&asked.name))
        .take(5);
    let told = suspects.into_iter().find_map(|asked| {
        let files = fetch::page(context.net, index, &asked.name).ok()?;
        choose::none_usable(asked, &files, context.target)
    });
    told.unwrap_or(WheelsError::Unsatisfiable { reason, project })
}

/// Who needs each project, from the comments of the annotated answer: `recipe`, or projects.
pub(super) fn reasons(annotated: &str) -> BTreeMap<ProjectName, String> {
    let mut reasons = BTreeMap::new();
    for line in annotated.lines() {
        let Some((requirement, who)) = line.split_once("# via ") else {
            continue;
        };
        let end = requirement
            .find(['=', '[', ' ', ';'])
            .unwrap_or(requirement.len());
        let Ok(name) = requirement[..end].parse::<ProjectName>() else {
            continue;
        };
        let mut who: Vec<&str> = who
            .split(',')
            .map(str::trim)
            .map(|word| {
                if word.starts_with("-r ") {
                    "recipe"
                } else {
                    word
                }
            })
            .collect();
        // The recipe first, then projects by name.
        who.sort_by_key(|word| (*word != "recipe", *word));
        who.dedup();
        reasons.insert(name, who.join(", "));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolvers_comments_say_who_needs_what() {
        let text = "certifi==2026.10.18       # via requests\n\
            requests[socks]==2.34.2   # via -r /tmp/recipe\n\
            urllib3==2.8.0            # via requests, -r /tmp/recipe\n# via nobody\nx==1\n";
        let reasons = reasons(text);
        let of = |name: &str| reasons[&name.parse().unwrap()].as_str();
        assert_eq!(
            (of("certifi"), of("requests"), of("urllib3")),
            ("requests", "recipe", "recipe, requests")
        );
        assert_eq!(reasons.len(), 3);
    }

    #[test]
    fn the_resolvers_explanation_loses_its_flags_and_control_characters() {
        let said = "error: No solution found when resolving dependencies\n  cause: Because only a<=1 is\
            \u{1b}[31m available\n         and you require a>=3, no.\n\nhint: use `--no-build`\n";
        assert_eq!(
            readable(said.as_bytes()),
            "Because only a<=1 is[31m available\n         and you require a>=3, no."
        );
    }

    #[test]
    fn a_password_of_an_index_is_not_in_the_arguments() {
        let index = Url::parse("https://me:secret@index.example/simple").unwrap();
        let environment = environment(&index, &Settings::default());
        assert!(
            environment
                .iter()
                .any(|(_, value)| value.contains("secret"))
        );
    }
}
