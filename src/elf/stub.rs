//! [`EntryStub`]: what the stub of one program is told, and the variables it may set.

use crate::platform::Platform;

/// The first bytes of the appended segment: how a program that was done is known.
pub(super) const MARK: &[u8] = b"recipe stub 0001";

/// What the stub of one program does at every start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryStub {
    /// The closure's loader, relative to the program's folder: `../lib/ld-linux-x86-64.so.2`.
    pub loader: String,
    /// DT_RPATH: where the program and all it loads look for libraries, `$ORIGIN/../lib`.
    /// `$ORIGIN` entries that the program already has are kept, before these.
    pub library_path: String,
    /// Make argv\[0] lead to the program when it does not. For CPython, which finds its prefix by
    /// it; not for programs that read their name there.
    pub python: bool,
    /// Hide LD_LIBRARY_PATH, LD_PRELOAD and LD_AUDIT from the closure's loader. The program and its
    /// children see them as they were given.
    pub hide_host_preloads: bool,
    /// Variables set only where the host lacks the data they lead to.
    pub private: Vec<PrivateVariable>,
    /// Where the program may run with raised privileges; without it, it refuses to.
    pub fixed: Option<FixedStart>,
}

/// How a program starts when the kernel gave it more privileges than its caller has (set-user-ID,
/// set-group-ID, file capabilities, a domain of a security policy). Where the caller found it then
/// counts for nothing: whoever can make a hard link could put another loader beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedStart {
    /// The program's absolute path where its closure is installed.
    pub program: String,
    /// DT_RPATH there: absolute folders. It has to name those of every library, because glibc does
    /// not follow `$ORIGIN` of any file then.
    pub library_path: String,
}

impl EntryStub {
    /// The stub of a program in `folder` (`bin`) whose loader and libraries are in `libraries`
    /// (`lib`), both relative to the closure, on `platform`. All else is off.
    pub fn of(folder: &str, libraries: &str, platform: Platform) -> EntryStub {
        let depth = folder.split('/').filter(|part| !part.is_empty()).count();
        let up = "../".repeat(depth);
        EntryStub {
            loader: format!("{up}{libraries}/{}", platform.loader()),
            library_path: format!("$ORIGIN/{up}{libraries}"),
            python: false,
            hide_host_preloads: false,
            private: Vec::new(),
            fixed: None,
        }
    }
}

/// A variable of the environment that only libraries of the closure read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateVariable {
    /// Its name, as the library was edited to ask for it: [`LOCALE`](Self::LOCALE)…
    pub name: String,
    /// What it leads to, relative to the program's folder: `../lib/locale`.
    pub path: String,
    /// It is not set where one of these absolute paths exists.
    pub unless: Vec<String>,
}

impl PrivateVariable {
    /// Replaces `LOCPATH` in the closure's libc.so.6.
    pub const LOCALE: &str = "RCPLOCP";
    /// Replaces `TZDIR` in the closure's libc.so.6.
    pub const TIME_ZONES: &str = "RTZDR";
    /// Replaces `TERMINFO_DIRS` in the closure's libtinfo.so.6.
    pub const TERMINALS: &str = "RCPTRMNFO_DRS";

    /// Locale data, for hosts with none of glibc's.
    pub fn locale(path: impl Into<String>) -> PrivateVariable {
        let known = ["C.utf8", "locale-archive", "C.UTF-8"];
        let unless = known.map(|name| format!("/usr/lib/locale/{name}"));
        Self::new(Self::LOCALE, path, unless)
    }

    /// Time zones, for hosts with none.
    pub fn time_zones(path: impl Into<String>) -> PrivateVariable {
        Self::new(Self::TIME_ZONES, path, ["/usr/share/zoneinfo".to_owned()])
    }

    /// Descriptions of terminals, for hosts with none.
    pub fn terminals(path: impl Into<String>) -> PrivateVariable {
        let known = [
            "/lib/terminfo/x",
            "/usr/share/terminfo/x",
            "/etc/terminfo/x",
        ];
        Self::new(Self::TERMINALS, path, known.map(str::to_owned))
    }

    /// The same, set on every host.
    pub fn always(self) -> PrivateVariable {
        PrivateVariable {
            unless: Vec::new(),
            ..self
        }
    }

    fn new<const N: usize>(
        name: &str,
        path: impl Into<String>,
        unless: [String; N],
    ) -> PrivateVariable {
        PrivateVariable {
            name: name.to_owned(),
            path: path.into(),
            unless: unless.into(),
        }
    }
}
