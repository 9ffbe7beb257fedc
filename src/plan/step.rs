//! [`Step`]: the closed list of what a build can do.

use camino::Utf8PathBuf;
use recipe_store::ObjectId;

use super::host::Means;
use crate::lock::FileKind;
use crate::platform::Platform;
use crate::recipe::{Check, EntryPoint, HostPolicy, Run, Trim};

/// One thing a build can do. The list is closed, and short, on purpose.
///
/// `I` is what an input is: a node of the plan at first, an [`ObjectId`] once that node is built.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step<I> {
    /// Brings known bytes: the only step with a network, hence the only one with a checksum.
    Fetch(Source),
    /// What lies in the recipe's folder, as it was found there.
    Local {
        /// It.
        object: ObjectId,
    },
    /// Decodes a Debian package straight into closure layout.
    UnpackDeb {
        /// The `.deb` file.
        deb: I,
        /// Its package's name.
        package: String,
        /// Whether the recipe names the package, which keeps its programs too.
        named: bool,
        /// Patterns of closure paths that stay out, sorted.
        exclude: Vec<String>,
    },
    /// Decodes a wheel straight into closure layout.
    UnpackWheel {
        /// The `.whl` file, or what [`Step::BuildSdist`] made: a folder with that one file.
        wheel: I,
        /// Its file name, which holds its version and tags (PEP 427); empty where it lies in a folder.
        file_name: String,
        /// What the closure runs on.
        platform: Platform,
        /// Version of the interpreter it is installed for, such as `3.13`.
        python: String,
        /// Version of the closure's glibc, major and minor.
        glibc: (u16, u16),
        /// Whether `.pth` files that run code at every start are kept.
        keep_pth: bool,
    },
    /// Reads which of the distribution's patches to its interpreter are undone.
    Patches {
        /// The `.debian.tar.xz` of its source package.
        packaging: I,
    },
    /// Edits what would look outside of the closure at run time.
    Relocate {
        /// A tree in closure layout.
        tree: I,
        /// The distribution's patches to the interpreter, which are undone.
        patches: Option<I>,
        /// Version of the interpreter, where the tree is part of one.
        python: Option<String>,
        /// Whether its files are as their authors made them, and not as a distribution changes them.
        pristine: bool,
        /// What the closure takes of its host.
        host: HostPolicy,
        /// Where its programs may be given privileges.
        fixed: Option<FixedPath<I>>,
    },
    /// Reads every ELF file of a tree: what it needs, what it provides.
    Scan {
        /// A relocated tree.
        tree: I,
    },
    /// The few files of an interpreter that compiling byte code needs.
    Interpreter {
        /// Relocated trees.
        layers: Vec<I>,
        /// Version of the interpreter.
        python: String,
    },
    /// Compiles a tree's Python files to byte code.
    Compile {
        /// A relocated tree.
        tree: I,
        /// What [`Step::Interpreter`] made, for the machine that builds.
        interpreter: I,
        /// Version of the interpreter.
        python: String,
    },
    /// Joins layers into one tree: trimmed, with the libraries that something needs, and no others.
    Compose {
        /// What is joined, in the lock's order.
        layers: Vec<Layer<I>>,
        /// Rules of what is left out, sorted.
        trim: Vec<Trim>,
        /// Names under `bin/` that start another program.
        entries: Vec<EntryPoint>,
    },
    /// Adds the manifest, by which any copy can be verified.
    Manifest {
        /// What [`Step::Compose`] made.
        tree: I,
        /// What [`Step::Scan`] found in each layer.
        scans: Vec<I>,
        /// Name of the closure.
        name: String,
        /// Its version.
        version: String,
        /// SOURCE_DATE_EPOCH, seconds since 1970.
        date: u64,
        /// Version of its glibc, major and minor.
        glibc: (u16, u16),
        /// What it takes of its host.
        host: HostPolicy,
        /// Where its programs may be given privileges.
        fixed_path: Option<Utf8PathBuf>,
    },
    /// Decodes a Debian package as it is, for a sysroot.
    UnpackPackage {
        /// The `.deb` file.
        deb: I,
        /// Its package's name.
        package: String,
    },
    /// Puts a source's files together in one folder, and patches them.
    UnpackSource {
        /// Its files.
        files: Vec<SourceFile<I>>,
        /// Whether the distribution's patches are applied.
        patched: bool,
        /// The recipe's patches, in order.
        patches: Vec<PatchText>,
    },
    /// Installs packages in one tree: the machine that a build sees.
    Sysroot {
        /// Unpacked packages, in the lock's order.
        packages: Vec<I>,
    },
    /// Lays together what other recipes built, as a build sees it in `/usr/local`. It is no part of a
    /// sysroot, which is the same for many builds then.
    Used {
        /// What each of them made.
        outputs: Vec<I>,
    },
    /// Runs a recipe's own programs in a sysroot, where they see its sources and nothing else.
    Build {
        /// The machine.
        sysroot: I,
        /// What [`Step::Used`] laid together.
        used: Option<I>,
        /// The sources by name, sorted.
        sources: Vec<(String, I)>,
        /// Variables by name, sorted.
        env: Vec<(String, String)>,
        /// What runs, one after the other.
        runs: Vec<Run>,
        /// SOURCE_DATE_EPOCH, seconds since 1970.
        date: u64,
    },
    /// Builds the wheel of a Python project from its sdist, in a sysroot: a folder with that one file.
    BuildSdist {
        /// The machine.
        sysroot: I,
        /// The `.tar.gz` or `.zip` file.
        sdist: I,
        /// Its file name, whose end says what it is.
        file_name: String,
        /// The project.
        name: String,
        /// Its version.
        version: String,
        /// What its wheel says that it needs, as it was locked.
        requires: Vec<String>,
        /// What builds it: wheels by file name; those that are built as well have none.
        wheels: Vec<(String, I)>,
        /// Version of the interpreter.
        python: String,
        /// SOURCE_DATE_EPOCH, seconds since 1970.
        date: u64,
    },
    /// Part of what a build made.
    Select {
        /// What [`Step::Build`] made.
        tree: I,
        /// Patterns of what belongs to it; all where there are none.
        only: Vec<String>,
        /// Patterns of what does not.
        without: Vec<String>,
    },
    /// Puts an output in closure layout.
    LayOut {
        /// The output.
        tree: I,
        /// Whose it is: its licence lies under that name.
        subject: String,
        /// Paths below the prefix that may stay in programs.
        compiled_in: Vec<String>,
        /// The interpreter that it is.
        python: Option<OwnPython>,
    },
    /// Runs the closure from two places where nothing of the host exists.
    Proof {
        /// A finished closure.
        closure: I,
        /// How its programs are run.
        means: Means,
    },
    /// Runs the recipe's own checks inside the closure.
    Check {
        /// A finished closure.
        closure: I,
        /// How its programs are run.
        means: Means,
        /// What must succeed.
        checks: Vec<Check>,
    },
}

/// An interpreter that is none of a distribution's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnPython {
    /// `3.13`.
    pub version: String,
    /// What it runs on.
    pub platform: Platform,
}

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceFile<I> {
    /// Its name, whose end says what it is.
    pub name: String,
    /// The file; a tree, where the recipe has it as a folder.
    pub file: I,
}

/// A patch of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PatchText {
    /// What it is called, for messages.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What [`Step::Fetch`] brings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// What it is, for the progress display.
    pub kind: FileKind,
    /// Package or project name.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// Archive that has it.
    pub archive: String,
    /// Path inside the archive.
    pub path: String,
    /// Where it is, for what the recipe itself names by URL.
    pub url: Option<String>,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// Where the programs of a closure may be given more privileges than their callers have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FixedPath<I> {
    /// The closure's folder there.
    pub path: Utf8PathBuf,
    /// What [`Step::Scan`] found in the layers that bring libraries in folders of their own.
    pub scans: Vec<I>,
}

/// One layer of [`Step::Compose`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layer<I> {
    /// Who it is, for messages: `libc6`, `pyyaml`.
    pub name: String,
    /// The tree.
    pub tree: I,
    /// What [`Step::Scan`] found in it; none for byte code, which has no ELF files.
    pub scan: Option<I>,
    /// Whether all of it is kept.
    pub keep: Keep,
}

/// Which of a layer's libraries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// All files.
    All,
    /// All files but libraries, and those libraries that a kept file needs.
    LibrariesAsNeeded,
    /// Nothing, unless a kept file needs one of its libraries; then as above.
    IfNeeded,
}

impl<I> Step<I> {
    /// Whether it runs for long enough that a cache is worth a question of its own.
    pub fn is_dear(&self) -> bool {
        matches!(self, Step::Build { .. } | Step::BuildSdist { .. })
    }

    /// The word for this kind, in messages and records.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Fetch(_) => "fetch",
            Step::Local { .. } => "local",
            Step::UnpackDeb { .. }
            | Step::UnpackWheel { .. }
            | Step::UnpackPackage { .. }
            | Step::UnpackSource { .. } => "unpack",
            Step::Sysroot { .. } => "sysroot",
            Step::Used { .. } => "used",
            Step::Build { .. } | Step::BuildSdist { .. } => "build",
            Step::Select { .. } => "select",
            Step::LayOut { .. } => "lay-out",
            Step::Patches { .. } => "patches",
            Step::Relocate { .. } => "relocate",
            Step::Scan { .. } => "scan",
            Step::Interpreter { .. } => "interpreter",
            Step::Compile { .. } => "compile",
            Step::Compose { .. } => "compose",
            Step::Manifest { .. } => "manifest",
            Step::Proof { .. } => "proof",
            Step::Check { .. } => "check",
        }
    }

    /// The same step with every input turned into something else, in one order for ever.
    pub fn map<J, E>(&self, mut to: impl FnMut(&I) -> Result<J, E>) -> Result<Step<J>, E> {
        Ok(match self {
            Step::Fetch(source) => Step::Fetch(source.clone()),
            Step::Local { object } => Step::Local { object: *object },
            Step::UnpackDeb {
                deb,
                package,
                named,
                exclude,
            } => Step::UnpackDeb {
                deb: to(deb)?,
                package: package.clone(),
                named: *named,
                exclude: exclude.clone(),
            },
            Step::UnpackWheel {
                wheel,
                file_name,
                platform,
                python,
                glibc,
                keep_pth,
            } => Step::UnpackWheel {
                wheel: to(wheel)?,
                file_name: file_name.clone(),
                platform: *platform,
                python: python.clone(),
                glibc: *glibc,
                keep_pth: *keep_pth,
            },
            Step::Patches { packaging } => Step::Patches {
                packaging: to(packaging)?,
            },
            Step::Relocate {
                tree,
                patches,
                python,
                pristine,
                host,
                fixed,
            } => Step::Relocate {
                tree: to(tree)?,
                patches: patches.as_ref().map(&mut to).transpose()?,
                python: python.clone(),
                pristine: *pristine,
                host: host.clone(),
                fixed: fixed.as_ref().map(|it| it.map(&mut to)).transpose()?,
            },
            Step::Scan { tree } => Step::Scan { tree: to(tree)? },
            Step::Interpreter { layers, python } => Step::Interpreter {
                layers: layers.iter().map(&mut to).collect::<Result<_, _>>()?,
                python: python.clone(),
            },
            Step::Compile {
                tree,
                interpreter,
                python,
            } => Step::Compile {
                tree: to(tree)?,
                interpreter: to(interpreter)?,
                python: python.clone(),
            },
            Step::Compose {
                layers,
                trim,
                entries,
            } => Step::Compose {
                layers: layers
                    .iter()
                    .map(|layer| layer.map(&mut to))
                    .collect::<Result<_, _>>()?,
                trim: trim.clone(),
                entries: entries.clone(),
            },
            Step::Manifest {
                tree,
                scans,
                name,
                version,
                date,
                glibc,
                host,
                fixed_path,
            } => Step::Manifest {
                tree: to(tree)?,
                scans: scans.iter().map(&mut to).collect::<Result<_, _>>()?,
                name: name.clone(),
                version: version.clone(),
                date: *date,
                glibc: *glibc,
                host: host.clone(),
                fixed_path: fixed_path.clone(),
            },
            Step::UnpackPackage { deb, package } => Step::UnpackPackage {
                deb: to(deb)?,
                package: package.clone(),
            },
            Step::UnpackSource {
                files,
                patched,
                patches,
            } => Step::UnpackSource {
                files: files
                    .iter()
                    .map(|it| it.map(&mut to))
                    .collect::<Result<_, _>>()?,
                patched: *patched,
                patches: patches.clone(),
            },
            Step::Sysroot { packages } => Step::Sysroot {
                packages: packages.iter().map(&mut to).collect::<Result<_, _>>()?,
            },
            Step::Used { outputs } => Step::Used {
                outputs: outputs.iter().map(&mut to).collect::<Result<_, _>>()?,
            },
            Step::Build {
                sysroot,
                used,
                sources,
                env,
                runs,
                date,
            } => Step::Build {
                sysroot: to(sysroot)?,
                used: used.as_ref().map(&mut to).transpose()?,
                sources: sources
                    .iter()
                    .map(|(name, tree)| Ok((name.clone(), to(tree)?)))
                    .collect::<Result<_, _>>()?,
                env: env.clone(),
                runs: runs.clone(),
                date: *date,
            },
            Step::BuildSdist {
                sysroot,
                sdist,
                file_name,
                name,
                version,
                requires,
                wheels,
                python,
                date,
            } => Step::BuildSdist {
                sysroot: to(sysroot)?,
                sdist: to(sdist)?,
                file_name: file_name.clone(),
                name: name.clone(),
                version: version.clone(),
                requires: requires.clone(),
                wheels: wheels
                    .iter()
                    .map(|(name, wheel)| Ok((name.clone(), to(wheel)?)))
                    .collect::<Result<_, _>>()?,
                python: python.clone(),
                date: *date,
            },
            Step::Select {
                tree,
                only,
                without,
            } => Step::Select {
                tree: to(tree)?,
                only: only.clone(),
                without: without.clone(),
            },
            Step::LayOut {
                tree,
                subject,
                compiled_in,
                python,
            } => Step::LayOut {
                tree: to(tree)?,
                subject: subject.clone(),
                compiled_in: compiled_in.clone(),
                python: python.clone(),
            },
            Step::Proof { closure, means } => Step::Proof {
                closure: to(closure)?,
                means: *means,
            },
            Step::Check {
                closure,
                means,
                checks,
            } => Step::Check {
                closure: to(closure)?,
                means: *means,
                checks: checks.clone(),
            },
        })
    }

    /// Every input, in the order of [`Step::map`].
    pub fn inputs(&self) -> Vec<I>
    where
        I: Clone,
    {
        let mut found = Vec::new();
        let collected: Result<Step<()>, std::convert::Infallible> = self.map(|input| {
            found.push(input.clone());
            Ok(())
        });
        let Ok(_) = collected;
        found
    }
}

impl<I> FixedPath<I> {
    fn map<J, E>(&self, to: &mut impl FnMut(&I) -> Result<J, E>) -> Result<FixedPath<J>, E> {
        Ok(FixedPath {
            path: self.path.clone(),
            scans: self.scans.iter().map(to).collect::<Result<_, _>>()?,
        })
    }
}

impl<I> SourceFile<I> {
    fn map<J, E>(&self, to: &mut impl FnMut(&I) -> Result<J, E>) -> Result<SourceFile<J>, E> {
        Ok(SourceFile {
            name: self.name.clone(),
            file: to(&self.file)?,
        })
    }
}

impl<I> Layer<I> {
    fn map<J, E>(&self, to: &mut impl FnMut(&I) -> Result<J, E>) -> Result<Layer<J>, E> {
        Ok(Layer {
            name: self.name.clone(),
            tree: to(&self.tree)?,
            scan: self.scan.as_ref().map(to).transpose()?,
            keep: self.keep,
        })
    }
}

/// A step whose inputs exist.
pub type Resolved = Step<ObjectId>;
