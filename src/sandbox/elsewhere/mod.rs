//! [`Spec`] → the same program on a machine that is another in everything that no result may depend on.
//! Begin at [`Elsewhere::change`].
//!
//! What namespaces can change, they change: the name of the host, the user, the processors, the umask,
//! the environment, and where sources lie. A clock is not among that, nor the order of a folder's
//! entries: these two are the business of a small library that is put into the sandbox and named in
//! `LD_PRELOAD`. It is committed as bytes beside its source (`preload.c`), which needs no libc. Programs
//! that are static, that call the kernel themselves or that are started without that variable see the real
//! clock and the real order.

use super::spec::{HOSTNAME, Identity, Spec};
use crate::platform::Platform;

/// How many seconds the clock is ahead: more than a year, as no file may come from the future, and
/// other months, days, hours, minutes and seconds as well. `build.sh` reads it here.
pub const AHEAD: u64 = 34_667_001;

const X86_64: &[u8] = include_bytes!("x86_64.so");
const AARCH64: &[u8] = include_bytes!("aarch64.so");
/// Where the library lies inside.
const LIBRARY: &str = "/elsewhere.so";
/// Where sources lie, which in other builds is [`SOURCES`](Self::SOURCES): another length, and deeper.
const PATH: &str = "/tmp/sources/built-elsewhere";
const HOST: &str = "elsewhere";
const USER: u32 = 4321;
const UMASK: u32 = 0o002;
/// There, writable, and no part of a result.
const HOME: &str = "/out";
const LOCALE: &str = "POSIX";
const ZONE: &str = "ELS-13:45";

/// Another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// How many processors programs see; `None` where there is no other number to choose.
    pub cpus: Option<u32>,
    /// How many jobs they are told to run at once.
    pub jobs: usize,
    /// What they run on.
    pub platform: Option<Platform>,
}

/// One thing that is another elsewhere, as a program would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// `host name`, `umask`, …
    pub what: &'static str,
    /// What it is in other builds.
    pub before: String,
    /// What it is elsewhere.
    pub now: String,
}

impl Elsewhere {
    /// Where sources lie when nothing is changed.
    pub const SOURCES: &str = "/tmp/build";

    /// A machine unlike this one, on which builds have `cpus` processors and run `jobs` jobs.
    pub fn than(cpus: usize, jobs: usize) -> Elsewhere {
        let fewer = u32::try_from(cpus)
            .ok()
            .and_then(|cpus| cpus.checked_sub(1));
        Elsewhere {
            cpus: fewer.filter(|cpus| *cpus > 0),
            jobs: jobs.saturating_add(1),
            platform: Platform::here(),
        }
    }

    /// What is another, beside the order of folders; `cpus` and `jobs` are those of other builds.
    pub fn changes(&self, cpus: usize, jobs: usize) -> Vec<Changed> {
        let changed = |what, before: &str, now: &str| Changed {
            what,
            before: before.to_owned(),
            now: now.to_owned(),
        };
        let mut changes = vec![
            changed("build path", Elsewhere::SOURCES, PATH),
            changed("host name", HOSTNAME, HOST),
            changed(
                "user",
                &Identity::User.number().to_string(),
                &USER.to_string(),
            ),
            changed("umask", "0022", &format!("{UMASK:04o}")),
            changed("locale", "C.UTF-8", LOCALE),
            changed("time zone", "UTC", ZONE.split('-').next().unwrap_or(ZONE)),
            changed("home", "/tmp", HOME),
            changed("jobs", &jobs.to_string(), &self.jobs.to_string()),
        ];
        if let Some(fewer) = self.cpus {
            changes.push(changed("processors", &cpus.to_string(), &fewer.to_string()));
        }
        changes
    }

    /// `spec` on the other machine. Where it looks for sources is for the caller to say: [`moved`].
    pub fn change(&self, mut spec: Spec) -> Spec {
        spec.hostname = HOST.to_owned();
        spec.identity = Identity::Other(USER);
        spec.umask = UMASK;
        spec.cpus = self.cpus;
        spec.same_addresses = false;
        let has_home = spec.env.iter().any(|(name, _)| name == "HOME");
        if has_home {
            spec = replace(spec, "HOME", HOME);
        }
        for (name, value) in [
            ("LC_ALL", LOCALE),
            ("LANG", "et_EE.UTF-8"),
            ("LANGUAGE", "et:de"),
            ("TZ", ZONE),
            ("BUILT_ELSEWHERE", "yes"),
        ] {
            spec = replace(spec, name, value);
        }
        let Some(platform) = self.platform else {
            return spec;
        };
        let bytes = library(platform).to_vec();
        spec.files.push((LIBRARY.into(), bytes));
        spec.env("LD_PRELOAD", LIBRARY)
    }
}

/// What changes the clock and the order of folders.
pub(crate) fn library(platform: Platform) -> &'static [u8] {
    match platform {
        Platform::X86_64 => X86_64,
        Platform::Aarch64 => AARCH64,
    }
}

/// Where sources lie.
pub fn sources(elsewhere: Option<&Elsewhere>) -> &'static str {
    match elsewhere {
        None => Elsewhere::SOURCES,
        Some(_) => PATH,
    }
}

/// `text`, which may name a path below [`Elsewhere::SOURCES`], as it is said elsewhere.
pub fn moved(elsewhere: Option<&Elsewhere>, text: &str) -> String {
    text.replace(Elsewhere::SOURCES, sources(elsewhere))
}

fn replace(mut spec: Spec, name: &str, value: &str) -> Spec {
    spec.env.retain(|(known, _)| known != name);
    spec.env(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf;

    #[test]
    fn another_machine_is_another_in_everything_that_is_listed() {
        let before = Spec::build("/usr/bin/env");
        let now = Elsewhere::than(4, 4).change(before.clone());
        assert!(now.check().is_ok());
        assert_ne!(now.hostname, before.hostname);
        assert_ne!(now.identity, before.identity);
        assert_ne!(now.umask, before.umask);
        assert_ne!(now.cpus, before.cpus);
        assert_ne!(now.same_addresses, before.same_addresses);
        for name in ["HOME", "LC_ALL", "TZ"] {
            let of = |spec: &Spec| -> Vec<_> {
                let named = spec.env.iter().filter(|(known, _)| known == name);
                named.map(|(_, value)| value.clone()).collect()
            };
            assert_eq!(of(&now).len(), 1, "{name}");
            assert_ne!(of(&now), of(&before), "{name}");
        }
        for Changed { what, before, now } in Elsewhere::than(4, 4).changes(4, 4) {
            assert_ne!(before, now, "{what}");
        }
    }

    #[test]
    fn a_machine_of_one_processor_has_no_fewer() {
        assert_eq!(Elsewhere::than(1, 1).cpus, None);
        assert_eq!(Elsewhere::than(2, 1).cpus, Some(1));
    }

    #[test]
    fn the_library_needs_no_other_one() {
        for platform in Platform::ALL {
            let facts = elf::read(library(platform)).unwrap().unwrap();
            assert_eq!(facts.needed, Vec::<String>::new());
            assert_eq!(facts.machine, platform.machine());
        }
    }

    #[test]
    fn sources_lie_at_another_path_of_another_length() {
        let elsewhere = Elsewhere::than(2, 2);
        let text = "-ffile-prefix-map=/tmp/build=.";
        assert_eq!(moved(None, text), text);
        assert_eq!(
            moved(Some(&elsewhere), text),
            format!("-ffile-prefix-map={PATH}=.")
        );
        assert_ne!(PATH.len(), Elsewhere::SOURCES.len());
    }
}
