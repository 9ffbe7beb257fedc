//! What this machine can run of a closure for another platform. Begin at [`App::running`].

use camino::Utf8Path;

use super::app::App;
use crate::plan::{Host, Means};
use crate::platform::Platform;
use crate::sandbox::Emulator;

/// What of a closure for one platform is run here, and by what.
pub(super) struct Running {
    platform: Platform,
    pub(super) host: Host,
    /// Or why there is none.
    emulator: Result<Emulator, String>,
}

/// The platform of this machine.
pub(super) fn own_platform() -> Platform {
    Platform::here().unwrap_or_default()
}

impl App {
    /// Whether the kernel starts programs for `platform`: its own, or by an emulator that it was told of.
    pub(super) fn starts(&self, platform: Platform) -> bool {
        let registered = || {
            let names = std::fs::read_dir("/proc/sys/fs/binfmt_misc")
                .into_iter()
                .flatten();
            let machine = platform.machine().to_string();
            let mut names = names.flatten().map(|entry| entry.file_name());
            names.any(|name| name.to_string_lossy().contains(&machine))
        };
        Platform::here() == Some(platform) || registered()
    }

    /// What runs closures for `platform`. Where that is this machine's own nothing is looked for.
    pub(super) fn running(&self, platform: Platform) -> Running {
        let mut host = Host {
            platform: Platform::here(),
            emulates: None,
        };
        let emulator = if host.platform == Some(platform) {
            Err("none is needed".to_owned())
        } else {
            let path = self.config.network.environment.get("PATH");
            let folders = path.into_iter().flat_map(|path| path.split(':'));
            let folders = folders.filter(|folder| folder.starts_with('/'));
            Emulator::find(platform.machine(), folders.map(Utf8Path::new))
        };
        host.emulates = emulator.is_ok().then_some(platform);
        Running {
            platform,
            host,
            emulator,
        }
    }
}

impl Running {
    pub(super) fn emulator(&self) -> Option<&Emulator> {
        self.emulator.as_ref().ok()
    }

    /// Why there is no emulator.
    pub(super) fn reason(&self) -> &str {
        self.emulator.as_ref().err().map_or("", String::as_str)
    }

    /// What a record says of it: an emulator that was installed since runs what was
    /// left out.
    pub(super) fn word(&self) -> &'static str {
        match self.host.means(self.platform) {
            Means::Native => "",
            Means::Emulated => "emulated",
            Means::Structure => "by structure",
        }
    }

    /// What people are told beside what the closure runs on; `checks` is how many the recipe has.
    pub(super) fn told(&self, checks: usize) -> String {
        let left_out = match checks {
            0 => String::new(),
            1 => ", 1 check of the recipe left out".to_owned(),
            _ => format!(", {checks} checks of the recipe left out"),
        };
        match (self.host.means(self.platform), &self.emulator) {
            (Means::Structure, Err(reason)) => {
                format!("\n  not run: proved by its structure{left_out}: {reason}")
            }
            (Means::Emulated, Ok(emulator)) => {
                format!("\n  proof and checks were run by {}", emulator.program)
            }
            _ => String::new(),
        }
    }
}
