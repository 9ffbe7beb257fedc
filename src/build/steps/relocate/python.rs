//! A file of Debian's standard library → the same file as upstream wrote it, then made to work from
//! any folder. Begin at [`rewrite`].
//!
//! First Debian's own changes are undone ([`UNDONE`]): a patch of the source package is chosen by
//! what it adds to a file, not by its name, so that a renamed or split patch is found as well. Then
//! the edits of [`EDITS`] follow. Both end with an assertion: a word that may not be left is an error.

use super::{Layer, RelocateError, sysconfig};
use crate::build::steps::patch::{self, FilePatch};
use crate::recipe::{HostPolicy, Matter, Order};

/// What Debian adds to a file of the standard library and a closure cannot use.
struct Undone {
    /// Path below `lib/python3.X/`.
    file: &'static str,
    /// A hunk series that adds one of these is undone, and none of them may be left.
    marks: &'static [&'static str],
    /// Texts of the file that the patch does not have, and what stands there instead, so that it
    /// fits: the file comes from another source package.
    first: &'static [(&'static str, &'static str)],
}

/// `site`: `dist-packages`. `sysconfig`: schemes that install into `/usr/local`. `ensurepip`: refuses
/// to run. `venv`, `turtle`: advice to call apt. `gettext`, `pydoc`: folders of the host.
/// `distutils` (before 3.12) comes from another source package, two of whose hunks differ.
const UNDONE: &[Undone] = &[
    Undone {
        file: "site.py",
        marks: &["dist-packages"],
        first: &[],
    },
    Undone {
        file: "sysconfig.py",
        marks: &["posix_local", "deb_system"],
        first: &[],
    },
    Undone {
        file: "sysconfig/__init__.py",
        marks: &["posix_local", "deb_system"],
        first: &[],
    },
    Undone {
        file: "ensurepip/__init__.py",
        marks: &["_ensurepip_is_disabled_in_debian"],
        first: &[],
    },
    Undone {
        file: "venv/__init__.py",
        marks: &["apt install"],
        first: &[],
    },
    Undone {
        file: "gettext.py",
        marks: &["locale-langpack"],
        first: &[],
    },
    Undone {
        file: "pydoc.py",
        marks: &["dist-packages", "/usr/share/doc/pythonX.Y"],
        first: &[],
    },
    Undone {
        file: "turtle.py",
        marks: &["python3-tk package"],
        first: &[],
    },
    Undone {
        file: "tkinter/__init__.py",
        marks: &["python3-tk package"],
        first: &[],
    },
    Undone {
        file: "distutils/sysconfig.py",
        marks: &["dist-packages"],
        first: &[],
    },
    Undone {
        file: "distutils/command/install.py",
        marks: &["dist-packages", "unix_local", "deb_system"],
        first: &[
            (
                "        self.install_layout = None\n        self.multiarch = None\n",
                "        self.install_layout = None\n",
            ),
            (
                "                    import sysconfig\n                    \
                 self.multiarch = sysconfig.get_config_var('MULTIARCH')\n",
                "",
            ),
        ],
    },
    Undone {
        file: "distutils/command/install_egg_info.py",
        marks: &["install_layout"],
        first: &[],
    },
];

/// One change of a text.
enum Edit {
    /// Every occurrence; at least one if needed.
    Swap {
        find: &'static str,
        with: &'static str,
        needed: bool,
    },
    /// Text in front of the first line that starts so.
    Before {
        line: &'static str,
        text: &'static str,
    },
    /// A line behind the first line that, apart from its indentation, is this; indented alike.
    After {
        line: &'static str,
        text: &'static str,
    },
}

/// What makes each file work from any folder; what each does is the policy table of
/// [`super`](crate::build::steps::relocate).
const EDITS: &[(&str, &[Edit])] = &[
    (
        "ssl.py",
        &[
            Edit::Before {
                line: "class SSLContext(_SSLContext):",
                text: include_str!("python/ssl_paths.py"),
            },
            Edit::Before {
                line: "    def load_default_certs(",
                text: include_str!("python/ssl_context.py"),
            },
            Edit::Swap {
                find: "    return DefaultVerifyPaths(cafile if os.path.isfile(cafile) else None,",
                with: "    cafile = next(iter(_ca_bundles()), cafile)\n\
                       \x20   return DefaultVerifyPaths(cafile if os.path.isfile(cafile) else None,",
                needed: true,
            },
        ],
    ),
    (
        "ctypes/util.py",
        &[
            Edit::Before {
                line: "        def _findSoname_ldconfig(name):",
                text: include_str!("python/ctypes_find.py"),
            },
            Edit::Swap {
                find: "            return _findSoname_ldconfig(name) or \\\n                   \
                       _get_soname(_findLib_gcc(name)) or _get_soname(_findLib_ld(name))",
                with: "            return _find_in_closure(name)",
                needed: true,
            },
        ],
    ),
    (
        "zoneinfo/_tzpath.py",
        &[
            Edit::Swap {
                find: "import os\nimport sysconfig\n",
                with: "import os\nimport sys\nimport sysconfig\n",
                needed: true,
            },
            Edit::Swap {
                find: "    TZPATH = tuple(base_tzpath)\n",
                with: "    TZPATH = tuple(base_tzpath)\n\
                       \x20   if tzpaths is None and os.environ.get(\"PYTHONTZPATH\") is None:\n\
                       \x20       TZPATH += (os.path.join(sys.base_prefix, \"share\", \"zoneinfo\"),)\n",
                needed: true,
            },
        ],
    ),
    (
        "mimetypes.py",
        &[
            Edit::Swap {
                find: "knownfiles = [\n",
                with: "knownfiles = [\n    os.path.join(sys.base_prefix, \"etc/mime.types\"),\n",
                needed: true,
            },
            // Since 3.14 the list stands in a branch, and the module has no `os` at that point.
            Edit::Swap {
                find: "    knownfiles = [\n    os.path.join(sys.base_prefix, \"etc/mime.types\"),\n",
                with: "    knownfiles = [\n        f\"{sys.base_prefix}/etc/mime.types\",\n",
                needed: false,
            },
        ],
    ),
    (
        "venv/__init__.py",
        &[
            Edit::Swap {
                find: "        self.symlinks = symlinks\n",
                with: "        # A copy of the interpreter would not find the libraries beside the original.\n\
                       \x20       self.symlinks = True\n",
                needed: true,
            },
            Edit::After {
                line: "options = parser.parse_args(args)",
                text: "if not options.symlinks: print('venv: this Python finds its libraries beside itself, \
                       so it is linked, not copied', file=sys.stderr)",
            },
        ],
    ),
    // Only pip is bundled: since 3.12 upstream does the same.
    (
        "ensurepip/__init__.py",
        &[
            Edit::Swap {
                find: "_PACKAGE_NAMES = ('setuptools', 'pip')",
                with: "_PACKAGE_NAMES = ('pip',)",
                needed: false,
            },
            Edit::Swap {
                find: "    (\"setuptools\", _SETUPTOOLS_VERSION, \"py3\"),\n",
                with: "",
                needed: false,
            },
        ],
    ),
    // Before 3.10 Debian's own code finds the wheels: pip and the projects it was taken apart into.
    (
        "ensurepip/__init__.py",
        &[
            Edit::Swap {
                find: "glob.glob('/usr/share/python-wheels/pip-*.whl')",
                with: "glob.glob(os.path.join(glob.escape(_wheels()), 'pip-*.whl'))",
                needed: false,
            },
            Edit::Swap {
                find: "'/usr/share/python-wheels/{}-*.whl'.format(project)",
                with: "os.path.join(glob.escape(_wheels()), '{}-*.whl'.format(project))",
                needed: false,
            },
            Edit::Swap {
                find: "glob.glob('/usr/share/python-wheels/*.whl')",
                with: "glob.glob(os.path.join(glob.escape(_wheels()), '*.whl'))",
                needed: false,
            },
            Edit::Swap {
                find: "os.path.join('/usr/share/python-wheels', wheel_name)",
                with: "os.path.join(_wheels(), wheel_name)",
                needed: false,
            },
            // Only pip, here too: its setuptools would hide the closure's.
            Edit::Swap {
                find: "    \"setuptools\",\n    \"pip\",\n    \"pkg_resources\",\n]\n",
                with: "    \"pip\",\n]\n\n\n\
                       def _wheels():\n    \
                       return os.path.join(sys.base_prefix, 'share', 'python-wheels')\n",
                needed: false,
            },
        ],
    ),
    // Since 3.14 the prompt reads terminfo itself, without libtinfo.
    (
        "_pyrepl/terminfo.py",
        &[
            Edit::Swap {
                find: "import os\nfrom pathlib import Path\nimport re\n",
                with: "import os\nfrom pathlib import Path\nimport re\nimport sys\n",
                needed: true,
            },
            Edit::Swap {
                find: "            \"/usr/local/share/terminfo\",\n",
                with: "            \"/usr/local/share/terminfo\",\n            \
                       os.path.join(sys.base_prefix, \"share\", \"terminfo\"),\n",
                needed: true,
            },
        ],
    ),
    // Debian's `install_lib` asks `install` for a name that the patch above takes away.
    (
        "distutils/command/install.py",
        &[Edit::After {
            line: "self.user = 0",
            text: "self.multiarch = None",
        }],
    ),
    // The user's modules of the host's Python of the same version are not ours; the interpreter's
    // frozen `site` has the same edit.
    ("site.py", USER_FOLDER),
    ("sysconfig.py", USER_FOLDER),
    ("sysconfig/__init__.py", USER_FOLDER),
];

const USER_FOLDER: &[Edit] = &[Edit::Swap {
    find: "joinuser(\"~\", \".local\")",
    with: "joinuser(\"~\", \".relpy\")",
    needed: true,
}];

/// Whether the file at `path`, below `lib/python3.X/`, is rewritten.
pub(super) fn concerns(path: &str) -> bool {
    sysconfig::concerns(path)
        || UNDONE.iter().any(|undone| undone.file == path)
        || EDITS.iter().any(|(file, _)| *file == path)
}

/// Whether some part of the text of a patch may have to be undone.
pub(super) fn is_undone_by(patch: &str) -> bool {
    patch.contains("/Lib/")
        && UNDONE
            .iter()
            .flat_map(|undone| undone.marks)
            .any(|mark| patch.contains(mark))
}

/// The text of `path` (below `lib/python3.X/`) as a closure has it.
pub(super) fn rewrite(
    path: &str,
    text: String,
    patches: &[FilePatch],
    version: &str,
    host: &HostPolicy,
) -> Result<String, RelocateError> {
    if sysconfig::concerns(path) {
        return sysconfig::rewrite(path, &text, version);
    }
    let text = undo(path, text, patches)?;
    let edits = EDITS
        .iter()
        .filter(|(file, _)| *file == path)
        .flat_map(|(_, edits)| *edits);
    edits
        .chain(policy_edits(path, host))
        .try_fold(text, |text, edit| edit.apply(path, text))
}

/// What follows the edits of [`EDITS`], which put the host first, where a recipe wants another order.
fn policy_edits(path: &str, host: &HostPolicy) -> &'static [Edit] {
    match path {
        "ssl.py" => match host.of(Matter::Certificates) {
            Order::HostFirst => &[],
            Order::ClosureFirst => &[Edit::Swap {
                find: "(*_HOST_CA_BUNDLES, own)",
                with: "(own, *_HOST_CA_BUNDLES)",
                needed: true,
            }],
            Order::ClosureOnly => &[Edit::Swap {
                find: "(*_HOST_CA_BUNDLES, own)",
                with: "(own,)",
                needed: true,
            }],
        },
        "zoneinfo/_tzpath.py" => match host.of(Matter::TimeZones) {
            Order::HostFirst => &[],
            Order::ClosureFirst => &[Edit::Swap {
                find: "TZPATH += (os.path.join(sys.base_prefix, \"share\", \"zoneinfo\"),)",
                with: "TZPATH = (os.path.join(sys.base_prefix, \"share\", \"zoneinfo\"), *TZPATH)",
                needed: true,
            }],
            Order::ClosureOnly => &[Edit::Swap {
                find: "TZPATH += (os.path",
                with: "TZPATH = (os.path",
                needed: true,
            }],
        },
        "_pyrepl/terminfo.py" => match host.of(Matter::Terminals) {
            Order::HostFirst => &[],
            Order::ClosureFirst => &[Edit::Before {
                line: "    dirs.extend(",
                text: "    dirs.append(os.path.join(sys.base_prefix, \"share\", \"terminfo\"))\n",
            }],
            Order::ClosureOnly => &[Edit::Swap {
                find: "    dirs.extend(\n        [\n",
                with: "    dirs.append(os.path.join(sys.base_prefix, \"share\", \"terminfo\"))\n    \
                       of_the_host = (\n        [\n",
                needed: true,
            }],
        },
        _ => &[],
    }
}

fn undo(path: &str, mut text: String, patches: &[FilePatch]) -> Result<String, RelocateError> {
    let Some(undone) = UNDONE.iter().find(|undone| undone.file == path) else {
        return Ok(text);
    };
    for (find, with) in undone.first {
        text = text.replace(find, with);
    }
    // The last applied is the first undone.
    for patch in patches.iter().rev() {
        if library_path(patch) == Some(path) && patch.adds_any(undone.marks) {
            text = patch::undo(&text, patch).map_err(|source| RelocateError::Patch {
                file: path.to_owned(),
                source,
            })?;
        }
    }
    match undone.marks.iter().find(|mark| text.contains(*mark)) {
        Some(mark) => Err(RelocateError::Left {
            file: path.to_owned(),
            text: (*mark).to_owned(),
            layer: Layer::Distribution,
        }),
        None => Ok(text),
    }
}

/// The path below `lib/python3.X/` of the file a patch makes; `None` for files outside the library.
pub(super) fn library_path(patch: &FilePatch) -> Option<&str> {
    let new = patch.new.as_deref()?;
    let (_, inside) = new.split_once('/')?;
    inside.strip_prefix("Lib/")
}

impl Edit {
    fn apply(&self, path: &str, text: String) -> Result<String, RelocateError> {
        let absent = |wanted: &str| RelocateError::Absent {
            file: path.to_owned(),
            text: wanted.trim().to_owned(),
        };
        match *self {
            Edit::Swap { find, with, needed } => match text.contains(find) {
                true => Ok(text.replace(find, with)),
                false if needed => Err(absent(find)),
                false => Ok(text),
            },
            Edit::Before { line, text: new } => {
                let place = line_starts(&text)
                    .find(|&at| text[at..].starts_with(line))
                    .ok_or_else(|| absent(line))?;
                Ok(format!("{}{new}{}", &text[..place], &text[place..]))
            }
            Edit::After { line, text: new } => {
                let found = text
                    .split_inclusive('\n')
                    .find(|candidate| candidate.trim() == line);
                let found = found.ok_or_else(|| absent(line))?;
                let indent = &found[..found.len() - found.trim_start().len()];
                Ok(text.replacen(found, &format!("{found}{indent}{new}\n"), 1))
            }
        }
    }
}

fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_undone_by_what_it_adds_whatever_its_name() {
        let patches = patch::parse(
            "--- a/Lib/site.py\n+++ b/Lib/site.py\n@@ -1,1 +1,2 @@\n a = 1\n+b = 'dist-packages'\n\
             --- a/Lib/site.py\n+++ b/Lib/site.py\n@@ -1,1 +1,2 @@\n+kept = 2\n a = 1\n",
        )
        .unwrap();
        let text = "kept = 2\na = 1\nb = 'dist-packages'\njoinuser(\"~\", \".local\")\n".to_owned();
        let out = rewrite("site.py", text, &patches, "3.13", &HostPolicy::default()).unwrap();
        assert_eq!(out, "kept = 2\na = 1\njoinuser(\"~\", \".relpy\")\n");
    }

    #[test]
    fn what_no_patch_takes_away_is_an_error_that_says_so() {
        let error = rewrite(
            "site.py",
            "x = 'dist-packages'\n".to_owned(),
            &[],
            "3.13",
            &HostPolicy::default(),
        )
        .unwrap_err();
        assert!(
            matches!(error, RelocateError::Left { ref text, .. } if text == "dist-packages"),
            "{error:?}"
        );
    }

    #[test]
    fn a_file_of_another_source_package_is_made_to_fit_first() {
        let text = "self.user = 0\n        self.install_layout = None\n        \
                    self.multiarch = None\nend\n";
        let patches = patch::parse(
            "--- a/Lib/distutils/command/install.py\n+++ b/Lib/distutils/command/install.py\n\
             @@ -1,2 +1,3 @@\n self.user = 0\n+        self.install_layout = None\n end\n\
             @@ -9,1 +9,1 @@\n-x\n+dist-packages\n",
        )
        .unwrap();
        let path = "distutils/command/install.py";
        let error = rewrite(
            path,
            text.to_owned(),
            &patches,
            "3.11",
            &HostPolicy::default(),
        )
        .unwrap_err();
        assert!(matches!(error, RelocateError::Patch { .. }), "{error:?}");
        let text = format!("{text}dist-packages\n");
        let out = rewrite(path, text, &patches, "3.11", &HostPolicy::default()).unwrap();
        // What another module asks for stays.
        assert_eq!(out, "self.user = 0\nself.multiarch = None\nend\nx\n");
    }

    /// Debian's series of one Python, on the file of a later one.
    fn later(text: &str) -> Result<String, RelocateError> {
        let patches = patch::parse(
            "--- a/Lib/ensurepip/__init__.py\n+++ b/Lib/ensurepip/__init__.py\n\
             @@ -1,3 +1,5 @@\n import sys\n \n+def _ensurepip_is_disabled_in_debian():\n\
             +    sys.exit(1)\n _PIP_VERSION = '25.1'\n\
             @@ -7,2 +9,3 @@\n def bootstrap():\n+    _ensurepip_is_disabled_in_debian()\n     pass\n",
        )
        .unwrap();
        let path = "ensurepip/__init__.py";
        let host = HostPolicy::default();
        rewrite(path, text.to_owned(), &patches, "3.14", &host)
    }

    #[test]
    fn the_patches_of_another_python_are_undone_where_a_line_beside_them_differs() {
        let text = "import sys\n\ndef _ensurepip_is_disabled_in_debian():\n    sys.exit(1)\n\
                    _PIP_VERSION = '26.2'\nmore = 1\ndef bootstrap():\n    \
                    _ensurepip_is_disabled_in_debian()\n    pass\n";
        let expected =
            "import sys\n\n_PIP_VERSION = '26.2'\nmore = 1\ndef bootstrap():\n    pass\n";
        assert_eq!(later(text).unwrap(), expected);
    }

    #[test]
    fn a_hunk_of_another_python_that_does_not_fit_is_an_error_that_names_file_and_hunk() {
        let text = "import sys\n\ndef _ensurepip_is_disabled_in_debian():\n    sys.exit(1)\n\
                    _PIP_VERSION = '26.2'\ndef bootstrap():\n    \
                    if _ensurepip_is_disabled_in_debian(): pass\n    pass\n";
        let error = later(text).unwrap_err();
        let RelocateError::Patch { file, source } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(file, "ensurepip/__init__.py");
        assert_eq!(
            *source,
            patch::PatchError::DoesNotReverse { hunk: 2, line: 9 }
        );
        // A call that the series does not know is not left either.
        let text = "import sys\n\ndef _ensurepip_is_disabled_in_debian():\n    sys.exit(1)\n\
                    _PIP_VERSION = '26.2'\ndef bootstrap():\n    \
                    _ensurepip_is_disabled_in_debian()\n    pass\n\
                    _ensurepip_is_disabled_in_debian()\n";
        let error = later(text).unwrap_err();
        assert!(matches!(error, RelocateError::Left { .. }), "{error:?}");
    }

    fn rewritten(path: &str, text: &str, host: &HostPolicy) -> String {
        rewrite(path, text.to_owned(), &[], "3.14", host).unwrap()
    }

    #[test]
    fn the_list_of_media_types_is_found_without_os_where_it_stands_in_a_branch() {
        let usual = HostPolicy::default();
        let flat = rewritten(
            "mimetypes.py",
            "knownfiles = [\n    \"/etc/x\",\n]\n",
            &usual,
        );
        assert!(flat.contains("    os.path.join(sys.base_prefix, \"etc/mime.types\"),\n"));
        let branch = "else:\n    knownfiles = [\n        \"/etc/x\",\n        ]\n";
        assert_eq!(
            rewritten("mimetypes.py", branch, &usual),
            "else:\n    knownfiles = [\n        f\"{sys.base_prefix}/etc/mime.types\",\n        \
             \"/etc/x\",\n        ]\n"
        );
    }

    #[test]
    fn the_prompt_looks_for_terminals_in_the_order_that_the_recipe_wants() {
        const FOLDERS: &str = "import os\nfrom pathlib import Path\nimport re\n\
                               def _get_terminfo_dirs():\n    dirs = []\n    dirs.extend(\n        [\n            \
                               \"/usr/local/share/terminfo\",\n        ]\n    )\n    return dirs\n";
        let own = "os.path.join(sys.base_prefix, \"share\", \"terminfo\")";
        let of = |order| {
            let mut host = HostPolicy::default();
            host.set(Matter::Terminals, order);
            let text = rewritten("_pyrepl/terminfo.py", FOLDERS, &host);
            assert!(text.contains("import sys\n"), "{text}");
            (text.find(own).unwrap(), text)
        };
        let (at, text) = of(Order::HostFirst);
        assert!(text.find("/usr/local").unwrap() < at, "{text}");
        let (at, text) = of(Order::ClosureFirst);
        assert!(at < text.find("/usr/local").unwrap(), "{text}");
        let (_, text) = of(Order::ClosureOnly);
        assert!(
            text.contains("of_the_host = (") && !text.contains("dirs.extend("),
            "{text}"
        );
    }

    #[test]
    fn a_file_without_the_place_to_edit_is_an_error_that_names_it() {
        let error = rewrite(
            "mimetypes.py",
            "x = 1\n".to_owned(),
            &[],
            "3.13",
            &HostPolicy::default(),
        )
        .unwrap_err();
        assert!(
            matches!(error, RelocateError::Absent { ref file, .. } if file == "mimetypes.py"),
            "{error:?}"
        );
    }

    #[test]
    fn a_line_put_behind_another_has_its_indentation() {
        let edit = Edit::After {
            line: "x = 1",
            text: "y = 2",
        };
        let out = edit
            .apply("f", "if a:\n        x = 1\n    z\n".to_owned())
            .unwrap();
        assert_eq!(out, "if a:\n        x = 1\n        y = 2\n    z\n");
    }
}
