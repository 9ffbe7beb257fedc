use std::sync::Arc;

use camino::Utf8Path;
use recipe_store::{Digest, ObjectId, TreeId};

use super::*;
use crate::platform::Platform;
use crate::recipe::Run;

const RECIPE: &str = r#"
recipe "small" version="1" {
    interpreter "python" "3.13" from="debian" suite="trixie"
    pip { require "six" }
    check { python "import six" }
}
"#;

fn recipe_at(folder: &str) -> Recipe {
    Recipe::parse("small.kdl", Arc::from(RECIPE), Utf8Path::new(folder)).expect("parses")
}

fn file(kind: FileKind, name: &str) -> Locked {
    Locked {
        kind,
        name: name.into(),
        version: "1".into(),
        architecture: "amd64".into(),
        source: String::new(),
        archive: "debian".into(),
        path: format!("pool/{name}"),
        size: 1,
        sha256: Digest::of(name.as_bytes()).to_string(),
        reason: "recipe".into(),
        requires: Vec::new(),
    }
}

fn lock() -> Lock {
    Lock {
        serial: 1,
        recipe: Digest::of(b""),
        asked: Vec::new(),
        platform: Platform::X86_64,
        date: 0,
        python: Some("3.13".into()),
        suites: Vec::new(),
        files: vec![
            file(FileKind::Deb, "libc6"),
            file(FileKind::Deb, "python3.13-minimal"),
            file(FileKind::DebianPatches, "python3.13"),
            file(FileKind::Wheel, "six"),
        ],
    }
}

fn steps(plan: &Plan) -> Vec<Planned> {
    plan.graph()
        .node_weights()
        .map(|node| node.step.clone())
        .collect()
}

const HOST: Host = Host {
    platform: Some(Platform::X86_64),
    emulates: None,
};

#[test]
fn a_plan_does_not_depend_on_where_the_recipe_lies() {
    let here = Plan::of(&recipe_at("/here"), &lock(), HOST);
    let there = Plan::of(&recipe_at("/another/home"), &lock(), HOST);
    assert_eq!(steps(&here), steps(&there));
}

#[test]
fn steps_that_say_the_same_are_one_node() {
    let mut twice = lock();
    twice.files.push(file(FileKind::Wheel, "six"));
    let once = Plan::of(&recipe_at("/"), &lock(), HOST);
    let plan = Plan::of(&recipe_at("/"), &twice, HOST);
    assert_eq!(once.len(), plan.len());
    assert_eq!(plan.len(), plan.graph().node_count());
}

#[test]
fn every_edge_goes_from_a_lower_to_a_higher_number() {
    let plan = Plan::of(&recipe_at("/"), &lock(), HOST);
    for edge in plan.graph().edge_indices() {
        let (from, to) = plan.graph().edge_endpoints(edge).expect("an edge has ends");
        assert!(from < to);
    }
}

#[test]
fn the_archive_and_name_of_a_source_do_not_enter_its_key() {
    let source = |archive: &str, path: &str| -> Resolved {
        Step::Fetch(Source {
            kind: FileKind::Deb,
            name: path.into(),
            version: "1".into(),
            archive: archive.into(),
            path: path.into(),
            url: None,
            size: 3,
            sha256: "00".repeat(32),
        })
    };
    assert_eq!(
        source("debian", "a").key(),
        source("debian-security", "b").key()
    );
}

fn tree(text: &str) -> ObjectId {
    ObjectId::Tree(TreeId {
        digest: Digest::of(text.as_bytes()),
        size: 1,
    })
}

/// One step of each kind that a value can change, with fixed inputs.
fn samples() -> Vec<Resolved> {
    vec![
        Step::UnpackDeb {
            deb: tree("a"),
            package: "p".into(),
            named: false,
            exclude: vec![],
        },
        Step::UnpackWheel {
            platform: Platform::X86_64,
            wheel: tree("a"),
            file_name: "w.whl".into(),
            python: "3.13".into(),
            glibc: (2, 41),
            keep_pth: false,
        },
        Step::Patches {
            packaging: tree("a"),
        },
        Step::Relocate {
            tree: tree("a"),
            patches: None,
            python: None,
            pristine: false,
            host: HostPolicy::default(),
            fixed: None,
        },
        Step::Scan { tree: tree("a") },
        Step::Interpreter {
            layers: vec![tree("a")],
            python: "3.13".into(),
        },
        Step::Compile {
            tree: tree("a"),
            interpreter: tree("b"),
            python: "3.13".into(),
        },
        Step::Compose {
            layers: vec![],
            trim: vec![],
            entries: vec![],
        },
        Step::Manifest {
            tree: tree("a"),
            scans: vec![],
            name: "n".into(),
            version: "1".into(),
            date: 1,
            glibc: (2, 41),
            host: HostPolicy::default(),
            fixed_path: None,
        },
        Step::Proof {
            closure: tree("a"),
            means: Means::Native,
        },
        Step::Check {
            means: Means::Native,
            closure: tree("a"),
            checks: vec![],
        },
    ]
}

/// The same of what builds from sources.
fn built_samples() -> Vec<Resolved> {
    vec![
        Step::Local { object: tree("a") },
        Step::UnpackPackage {
            deb: tree("a"),
            package: "p".into(),
        },
        Step::UnpackSource {
            files: vec![SourceFile {
                name: "a.tar.gz".into(),
                file: tree("a"),
            }],
            patched: true,
            patches: vec![PatchText {
                name: "fix.patch".into(),
                text: "--- a/x\n".into(),
            }],
        },
        Step::Sysroot {
            packages: vec![tree("a")],
        },
        Step::Used {
            outputs: vec![tree("a"), tree("b")],
        },
        Step::Build {
            sysroot: tree("a"),
            used: Some(tree("c")),
            sources: vec![("src".into(), tree("b"))],
            env: vec![("CFLAGS".into(), "-O2".into())],
            runs: vec![Run {
                words: vec!["make".into()],
                folder: Some("src".into()),
            }],
            date: 1,
        },
        Step::Select {
            tree: tree("a"),
            only: vec![],
            without: vec!["include/**".into()],
        },
        Step::LayOut {
            tree: tree("a"),
            subject: "zlib".into(),
            compiled_in: vec!["share/locale".into()],
            python: None,
        },
    ]
}

#[test]
fn a_fixed_path_changes_programs_and_not_the_byte_code() {
    let text = RECIPE.replace(
        "check {",
        "closure { fixed-path \"/opt/small\"; }\n    check {",
    );
    let recipe = Recipe::parse("small.kdl", text.into(), Utf8Path::new("/a")).expect("parses");
    let fixed = Plan::of(&recipe, &lock(), HOST);
    let plain = Plan::of(&recipe_at("/a"), &lock(), HOST);
    let interpreters = |plan: &Plan| {
        let graph = plan.graph();
        let is_interpreter = |node: &NodeIndex| graph[*node].step.kind() == "interpreter";
        let node = graph.node_indices().find(is_interpreter).expect("one");
        let inputs = graph[node].step.inputs();
        let fixed = |step: &Planned| matches!(step, Step::Relocate { fixed: Some(_), .. });
        inputs.iter().filter(|it| fixed(&graph[**it].step)).count()
    };
    assert_eq!((interpreters(&plain), interpreters(&fixed)), (0, 0));
    let with_place = steps(&fixed).into_iter().filter_map(|step| match step {
        Step::Relocate { fixed, .. } => fixed,
        _ => None,
    });
    // The wheel's libraries are named by the programs, hence its scan comes before their edits.
    let scans: Vec<usize> = with_place.map(|place| place.scans.len()).collect();
    assert_eq!(scans, [0, 1, 1]);
    assert!(
        steps(&plain)
            .iter()
            .all(|step| !matches!(step, Step::Relocate { fixed: Some(_), .. }))
    );
}

#[test]
fn the_manifest_tells_the_version_of_the_glibc_that_is_locked() {
    let mut lock = lock();
    lock.files[0].version = "2.31-13+deb11u14".into();
    let plan = Plan::of(&recipe_at("/"), &lock, HOST);
    let steps = steps(&plan);
    let mut told = steps.iter().filter_map(|step| match step {
        Step::Manifest { glibc, .. } => Some(*glibc),
        _ => None,
    });
    assert_eq!(told.next(), Some((2, 31)));
}

#[test]
fn every_kind_of_step_has_a_version() {
    for step in samples().into_iter().chain(built_samples()) {
        let text = String::from_utf8(step.preimage()).expect("text");
        let version = text.lines().next().expect("a line").rsplit(' ').next();
        assert_ne!(version, Some("0"), "{text}");
    }
}

#[test]
fn each_sample_has_a_key_of_its_own() {
    let all: Vec<Resolved> = samples().into_iter().chain(built_samples()).collect();
    let keys: std::collections::BTreeSet<String> =
        all.iter().map(|step| step.key().to_string()).collect();
    assert_eq!(keys.len(), all.len());
}

/// Raise the version of a kind of step when its result changes, then put the new value here.
#[test]
fn keys_are_pinned() {
    let digest = |steps: &[Resolved]| {
        let all: String = steps
            .iter()
            .map(|step| format!("{}\n", step.key()))
            .collect();
        Digest::of(all.as_bytes()).to_string()
    };
    insta::assert_snapshot!(digest(&samples()), @"06ec74d595203700f4a5f2cdff850a738e63800b0496ff5b090e6b32e96090d7");
    insta::assert_snapshot!(digest(&built_samples()), @"eb03e862c79e039b4438ee446318b52013d0dbb602a002de5e0a8b2ba641abf9");
}

#[test]
fn a_value_with_a_line_end_cannot_look_like_two_facts() {
    let one: Resolved = Step::UnpackDeb {
        deb: tree("a"),
        package: "p\nnamed yes".into(),
        named: false,
        exclude: vec![],
    };
    let text = String::from_utf8(one.preimage()).expect("text");
    assert_eq!(text.lines().count(), 4);
}

/// A lock for aarch64, made on x86_64.
fn foreign_lock() -> Lock {
    let mut lock = lock();
    lock.platform = Platform::Aarch64;
    for file in &mut lock.files {
        file.architecture = "arm64".into();
    }
    for name in ["libc6", "python3.13-minimal"] {
        lock.files.push(Locked {
            sha256: Digest::of(format!("{name} for amd64").as_bytes()).to_string(),
            ..file(FileKind::Builder, name)
        });
    }
    lock
}

fn layers(plan: &Plan, of: &str) -> Vec<String> {
    let found = plan
        .graph()
        .node_weights()
        .find_map(|node| match &node.step {
            Step::Interpreter { layers, .. } if of == "interpreter" => Some(layers.clone()),
            Step::Compose { layers, .. } if of == "closure" => {
                Some(layers.iter().map(|layer| layer.tree).collect())
            }
            _ => None,
        });
    let origin = |mut node: NodeIndex| loop {
        match &plan.graph()[node].step {
            Step::Fetch(source) => return format!("{} {}", source.kind, source.name),
            step => node = step.inputs()[0],
        }
    };
    found
        .expect("the step is there")
        .into_iter()
        .map(origin)
        .collect()
}

#[test]
fn byte_code_for_another_platform_is_made_by_the_hosts_python_which_stays_outside() {
    let plan = Plan::of(&recipe_at("/"), &foreign_lock(), HOST);
    let builders = ["builder libc6", "builder python3.13-minimal"];
    assert_eq!(layers(&plan, "interpreter"), builders);
    let closure = layers(&plan, "closure");
    assert!(
        closure.iter().all(|layer| !layer.starts_with("builder")),
        "{closure:?}"
    );
    // On a machine of the closure's own platform its own Python does it.
    let native = Host {
        platform: Some(Platform::Aarch64),
        emulates: None,
    };
    let plan = Plan::of(&recipe_at("/"), &foreign_lock(), native);
    assert_eq!(
        layers(&plan, "interpreter"),
        ["deb libc6", "deb python3.13-minimal"]
    );
}

#[test]
fn checks_are_planned_only_where_something_runs_them_and_say_what_ran_them() {
    let guards = |host: Host| -> Vec<(&'static str, Means)> {
        let plan = Plan::of(&recipe_at("/"), &foreign_lock(), host);
        let steps = plan.guards().iter().map(|node| &plan.graph()[*node].step);
        let told = steps.map(|step| match step {
            Step::Proof { means, .. } | Step::Check { means, .. } => (step.kind(), *means),
            _ => panic!("{step:?} guards nothing"),
        });
        told.collect()
    };
    assert_eq!(guards(HOST), [("proof", Means::Structure)]);
    let emulated = Host {
        emulates: Some(Platform::Aarch64),
        ..HOST
    };
    let both = [("proof", Means::Emulated), ("check", Means::Emulated)];
    assert_eq!(guards(emulated), both);
    let keys = [Means::Native, Means::Emulated, Means::Structure].map(|means| {
        let closure = tree("a");
        Resolved::Proof { closure, means }.key()
    });
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}
