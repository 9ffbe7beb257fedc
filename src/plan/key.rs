//! Resolved [`Step`] → [`StepKey`]: what counts, and what does not. Begin at [`Resolved::preimage`](Step::preimage).
//!
//! [`tell`] says all that counts to a [`Listener`], in one order for ever. One listener writes the
//! pre-image that is hashed and stored beside the trace, so that two of them can be compared.
//! A number per kind of step ([`VERSIONS`]) is raised whenever that kind's result changes; digests
//! pinned in the tests catch a forgotten raise.

use recipe_store::{Digest, ObjectId, StepKey};

use super::host::Means;
use super::step::{Keep, Resolved, Step};
use crate::platform::Platform;
use crate::recipe::{Ask, Check, HostPolicy, Trim};

/// What each kind of step does has a number, raised when the same inputs come to something else.
pub const VERSIONS: [(&str, u32); 21] = [
    ("fetch", 1),
    ("unpack-deb", 4),
    ("unpack-wheel", 1),
    ("patches", 1),
    ("relocate", 6),
    ("scan", 1),
    ("interpreter", 3),
    ("compile", 3),
    ("compose", 2),
    ("manifest", 2),
    ("proof", 2),
    ("check", 2),
    ("unpack-package", 1),
    ("unpack-source", 1),
    ("sysroot", 2),
    ("used", 1),
    ("build", 1),
    ("build-sdist", 2),
    ("select", 1),
    ("lay-out", 3),
    ("local", 1),
];

/// Hears every fact of a step that can change its result.
pub trait Listener {
    /// The kind of step: one of [`VERSIONS`].
    fn kind(&mut self, kind: &str);
    /// One named fact.
    fn fact(&mut self, name: &str, value: &str);
    /// One named input.
    fn object(&mut self, name: &str, id: &ObjectId) {
        self.fact(name, &id.to_string());
    }
}

impl Resolved {
    /// Only a step whose inputs exist has a key: an input rebuilt to the same bytes changes nothing.
    pub fn key(&self) -> StepKey {
        StepKey(Digest::of(&self.preimage()))
    }

    /// The bytes whose hash is the key: lines of `name value`, values escaped so that none spans lines.
    pub fn preimage(&self) -> Vec<u8> {
        let mut text = Preimage(String::new());
        tell(self, &mut text);
        text.0.into_bytes()
    }
}

struct Preimage(String);

impl Listener for Preimage {
    fn kind(&mut self, kind: &str) {
        self.0
            .push_str(&format!("step {kind} {}\n", version_of(kind)));
    }
    fn fact(&mut self, name: &str, value: &str) {
        self.0.push_str(&format!("{name} {}\n", escape(value)));
    }
}

/// The number of a kind of step.
pub(super) fn version_of(kind: &str) -> u32 {
    let version = VERSIONS.iter().find(|(known, _)| *known == kind);
    version.map_or(0, |(_, version)| *version)
}

/// No value spans lines. Written here and not taken from the standard library, whose idea of what
/// is printable may change.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Tells `ear` all that counts. No pattern ends in `..`: a new field does not compile until
/// somebody decides whether it counts.
pub fn tell(step: &Resolved, ear: &mut impl Listener) {
    match step {
        Step::Fetch(source) => {
            // What the bytes are called, and where they come from, cannot change them.
            ear.kind("fetch");
            ear.fact("sha256", &source.sha256);
        }
        Step::Local { object } => {
            ear.kind("local");
            ear.object("object", object);
        }
        Step::UnpackDeb {
            deb,
            package,
            named,
            exclude,
        } => {
            ear.kind("unpack-deb");
            ear.object("deb", deb);
            ear.fact("package", package);
            ear.fact("named", yes(*named));
            exclude
                .iter()
                .for_each(|pattern| ear.fact("exclude", pattern));
        }
        Step::UnpackWheel {
            wheel,
            file_name,
            platform,
            python,
            glibc,
            keep_pth,
        } => {
            ear.kind("unpack-wheel");
            ear.object("wheel", wheel);
            ear.fact("file-name", file_name);
            tell_platform(*platform, ear);
            ear.fact("python", python);
            ear.fact("glibc", &format!("{}.{}", glibc.0, glibc.1));
            ear.fact("keep-pth", yes(*keep_pth));
        }
        Step::Patches { packaging } => {
            ear.kind("patches");
            ear.object("packaging", packaging);
        }
        Step::Relocate {
            tree,
            patches,
            python,
            pristine,
            host,
            fixed,
        } => {
            ear.kind("relocate");
            ear.object("tree", tree);
            patches.iter().for_each(|id| ear.object("patches", id));
            python
                .iter()
                .for_each(|version| ear.fact("python", version));
            // Said only where it holds, so that older keys stay what they are.
            if *pristine {
                ear.fact("pristine", yes(true));
            }
            tell_host(host, ear);
            if let Some(fixed) = fixed {
                ear.fact("fixed-path", fixed.path.as_str());
                fixed.scans.iter().for_each(|id| ear.object("scan", id));
            }
        }
        Step::Scan { tree } => {
            ear.kind("scan");
            ear.object("tree", tree);
        }
        Step::Interpreter { layers, python } => {
            ear.kind("interpreter");
            layers.iter().for_each(|id| ear.object("layer", id));
            ear.fact("python", python);
        }
        Step::Compile {
            tree,
            interpreter,
            python,
        } => {
            ear.kind("compile");
            ear.object("tree", tree);
            ear.object("interpreter", interpreter);
            ear.fact("python", python);
        }
        Step::Compose {
            layers,
            trim,
            entries,
        } => {
            ear.kind("compose");
            for layer in layers {
                // Names are for messages.
                ear.object("tree", &layer.tree);
                layer.scan.iter().for_each(|id| ear.object("scan", id));
                ear.fact("keep", keep_word(layer.keep));
            }
            trim.iter()
                .for_each(|rule| ear.fact("trim", trim_word(*rule)));
            for entry in entries {
                ear.fact("entry", &entry.name);
                ear.fact("runs", entry.runs.as_str());
            }
        }
        Step::Manifest {
            tree,
            scans,
            name,
            version,
            date,
            glibc,
            host,
            fixed_path,
        } => {
            ear.kind("manifest");
            ear.object("tree", tree);
            scans.iter().for_each(|id| ear.object("scan", id));
            ear.fact("name", name);
            ear.fact("version", version);
            ear.fact("date", &date.to_string());
            ear.fact("glibc", &format!("{}.{}", glibc.0, glibc.1));
            tell_host(host, ear);
            fixed_path
                .iter()
                .for_each(|path| ear.fact("fixed-path", path.as_str()));
        }
        Step::UnpackPackage { deb, package: _ } => {
            ear.kind("unpack-package");
            ear.object("deb", deb);
        }
        Step::UnpackSource {
            files,
            patched,
            patches,
        } => {
            ear.kind("unpack-source");
            for file in files {
                // The name's end tells what kind of archive it is.
                ear.fact("name", &file.name);
                ear.object("file", &file.file);
            }
            ear.fact("patched", yes(*patched));
            for patch in patches {
                // What a patch is called is for messages.
                ear.fact("patch", &Digest::of(patch.text.as_bytes()).to_string());
            }
        }
        Step::Sysroot { packages } => {
            ear.kind("sysroot");
            packages.iter().for_each(|id| ear.object("package", id));
        }
        Step::Used { outputs } => {
            ear.kind("used");
            outputs.iter().for_each(|id| ear.object("use", id));
        }
        Step::Build {
            sysroot,
            used,
            sources,
            env,
            runs,
            date,
        } => {
            ear.kind("build");
            ear.object("sysroot", sysroot);
            used.iter().for_each(|id| ear.object("used", id));
            for (name, tree) in sources {
                ear.fact("source", name);
                ear.object("tree", tree);
            }
            for (name, value) in env {
                ear.fact("variable", name);
                ear.fact("value", value);
            }
            for run in runs {
                ear.fact("run", &run.words.len().to_string());
                run.words.iter().for_each(|word| ear.fact("word", word));
                run.folder.iter().for_each(|folder| ear.fact("in", folder));
            }
            ear.fact("date", &date.to_string());
            ear.fact("isolation", "namespaces");
        }
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
        } => {
            ear.kind("build-sdist");
            ear.object("sysroot", sysroot);
            ear.object("sdist", sdist);
            ear.fact("file-name", file_name);
            ear.fact("name", name);
            ear.fact("version", version);
            requires.iter().for_each(|it| ear.fact("requires", it));
            for (file_name, wheel) in wheels {
                ear.fact("file-name", file_name);
                ear.object("wheel", wheel);
            }
            ear.fact("python", python);
            ear.fact("date", &date.to_string());
            ear.fact("isolation", "namespaces");
        }
        Step::Select {
            tree,
            only,
            without,
        } => {
            ear.kind("select");
            ear.object("tree", tree);
            only.iter().for_each(|pattern| ear.fact("only", pattern));
            without
                .iter()
                .for_each(|pattern| ear.fact("without", pattern));
        }
        Step::LayOut {
            tree,
            subject,
            compiled_in,
            python,
        } => {
            ear.kind("lay-out");
            ear.object("tree", tree);
            ear.fact("subject", subject);
            compiled_in
                .iter()
                .for_each(|path| ear.fact("compiled-in", path));
            if let Some(python) = python {
                ear.fact("python", &python.version);
                tell_platform(python.platform, ear);
            }
        }
        Step::Proof { closure, means } => {
            ear.kind("proof");
            // Where namespaces are forbidden it runs in place; its trace says so.
            ear.object("closure", closure);
            ear.fact("isolation", "none");
            tell_means(*means, ear);
        }
        Step::Check {
            closure,
            means,
            checks,
        } => {
            ear.kind("check");
            ear.object("closure", closure);
            ear.fact("isolation", "namespaces");
            tell_means(*means, ear);
            checks.iter().for_each(|check| tell_check(check, ear));
        }
    }
}

/// The first platform there was is the one that goes without saying: its keys are older than the word.
fn tell_platform(platform: Platform, ear: &mut impl Listener) {
    if platform != Platform::X86_64 {
        ear.fact("platform", platform.name());
    }
}

/// What a run proved by an emulator says is another fact than what one without says.
fn tell_means(means: Means, ear: &mut impl Listener) {
    match means {
        Means::Native => {}
        Means::Emulated => ear.fact("means", "emulated"),
        Means::Structure => ear.fact("means", "structure"),
    }
}

fn tell_check(check: &Check, ear: &mut impl Listener) {
    match &check.ask {
        Ask::Python(code) => ear.fact("python", code),
        Ask::Run(words) => {
            ear.fact("run", &words.len().to_string());
            words.iter().for_each(|word| ear.fact("word", word));
        }
    }
    // Keys are older than limits: one that is not said is no fact.
    if let Some(limit) = check.limit {
        ear.fact("limit", &limit.to_string());
    }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// What is as usual is no fact: a policy that says what holds anyway changes no key.
fn tell_host(host: &HostPolicy, ear: &mut impl Listener) {
    for (matter, order) in host.unusual() {
        ear.fact("host", &format!("{matter} {order}"));
    }
}

fn keep_word(keep: Keep) -> &'static str {
    match keep {
        Keep::All => "all",
        Keep::LibrariesAsNeeded => "libraries-as-needed",
        Keep::IfNeeded => "if-needed",
    }
}

fn trim_word(rule: Trim) -> &'static str {
    match rule {
        Trim::Tests => "tests",
        Trim::Docs => "docs",
        Trim::StaticLibs => "static-libs",
        Trim::Sources => "sources",
        Trim::Idle => "idle",
    }
}
