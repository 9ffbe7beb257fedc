//! A fault in a tree, and what is said of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use camino::Utf8PathBuf;
use serde_json::Value;

use super::{failures, results, spoilt, test};
use crate::support::{PROBE, Ran, Scratch, checkout, closure, copy, skip, sources};

#[test]
fn an_absolute_link_is_named() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    symlink("/usr/share/zoneinfo", tree.join("share/linked")).expect("linked");
    let failed = failures(test(&scratch, tree.as_str(), &["links"], &[]), "links");
    assert_eq!(
        failed[0],
        [
            "files",
            "share/linked -> /usr/share/zoneinfo (absolute)",
            "the tree needs what lies outside of it"
        ]
    );
}

#[test]
fn a_missing_library_is_named_by_those_who_need_it_and_where_it_is_wanted() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    fs::remove_file(tree.join("lib/libsqlite3.so.0")).expect("removed");
    let checks = ["needed_libraries", "extension_modules"];
    let report = test(&scratch, tree.as_str(), &checks, &[]);
    let text = report.out.clone();
    let [_, found, cause] = failures(report, "needed_libraries").remove(0);
    assert!(
        found.starts_with("libsqlite3.so.0, for lib/python3"),
        "{found}"
    );
    assert_eq!(cause, "the host has to have it, in a version that fits");
    let code_one = Ran {
        code: Some(1),
        out: text,
        err: "x".into(),
    };
    let everywhere = failures(code_one, "extension_modules");
    assert!(everywhere.len() > 4, "{everywhere:?}");
    for [_, found, cause] in everywhere {
        assert!(found.contains("_sqlite3: "), "{found}");
        assert_eq!(
            cause,
            "libsqlite3.so.0 is not in the tree, and this place has none"
        );
    }
}

/// What starts Python in the trees of Scylla's script: a shell that starts the loader.
const THUNK: &str = "#!/bin/sh
here=$(dirname \"$(readlink -f \"$0\")\")
export PYTHONPATH=\"$here/../lib/python3.13/site-packages\"
exec \"$here/../lib/ld-linux-x86-64.so.2\" --argv0 \"$0\" --library-path \"$here/../lib\" \\
    \"$here/../libexec/python3.13\" \"$@\"
";

#[test]
fn a_shell_script_that_starts_python_is_seen_in_an_empty_root_by_ps_and_by_its_variable() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    let program = tree.join("bin/python3.13");
    fs::rename(&program, tree.join("libexec/python3.13")).expect("moved");
    fs::write(&program, THUNK).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let checks = ["starts", "environment", "proc_names", "exit_codes"];
    let ran = test(&scratch, tree.as_str(), &checks, &[]);
    let again = || Ran {
        code: Some(1),
        out: ran.out.clone(),
        err: "x".into(),
    };

    let [place, found, cause] = failures(again(), "starts").remove(0);
    assert!(
        place.starts_with("musl") || place.starts_with("empty"),
        "{place}"
    );
    assert!(!found.is_empty());
    assert_eq!(
        cause,
        "it is a script: it needs `/bin/sh` and the programs that it calls"
    );
    let [place, found, cause] = failures(again(), "environment").remove(0);
    assert_eq!(place, "host, user");
    assert!(
        found.contains("PYTHONPATH=/recipe-test/tree/bin/../lib"),
        "{found}"
    );
    assert_eq!(
        cause,
        "a script or launcher sets variables, which every child inherits"
    );
    let [_, found, cause] = failures(again(), "proc_names").remove(0);
    assert!(
        found.contains("/proc/self/exe is /recipe-test/tree/lib/ld-linux"),
        "{found}"
    );
    assert_eq!(
        cause,
        "the kernel started another program: a loader or a script"
    );
}

#[test]
fn a_library_of_the_host_that_is_mapped_is_named() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    let folders = [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
    ];
    let names = ["libcrypt.so.1", "libz.so.1", "libm.so.6"];
    let mut paths = folders
        .iter()
        .flat_map(|folder| names.map(|name| format!("{folder}/{name}")));
    let Some(library) = paths.find(|path| fs::exists(path).unwrap_or(false)) else {
        return;
    };
    let real = Utf8PathBuf::from(&library)
        .canonicalize_utf8()
        .expect("a file");
    let code = format!("import ctypes\ntry: ctypes.CDLL({library:?})\nexcept OSError: pass\n");
    let module = tree.join("lib/python3.13/site-packages/sitecustomize.py");
    fs::write(module, code).expect("written");
    let ran = test(&scratch, tree.as_str(), &["mapped_files"], &[]);
    let [place, found, cause] = failures(ran, "mapped_files").remove(0);
    assert_eq!(place, "host, user");
    assert!(found.contains(real.file_name().expect("a name")), "{found}");
    assert_eq!(
        cause,
        "libraries are taken from the host: another host has others, or none"
    );
}

#[test]
fn a_package_that_refuses_to_be_asked_works_all_the_same_and_one_that_misses_a_module_does_not() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    let packages = tree.join("lib/python3.13/site-packages");
    // What the other packages answer is asked of the whole closure elsewhere.
    fs::remove_dir_all(&packages).expect("removed");
    let write = |path: &str, text: &str| {
        let path = packages.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    };
    write("planted/__init__.py", "import planted_inner\n");
    let inner = "import os, sys\nif 'planted' not in sys.modules: raise ImportError('planted first')\n\
        class Refused(Exception): pass\n\
        def main():\n  open(os.devnull).close()\n  raise Refused(sys.argv)\n";
    write("planted_inner.py", inner);
    write(
        "planted-1.dist-info/METADATA",
        "Name: planted\nVersion: 1\n",
    );
    let points = "[console_scripts]\npicky = planted_inner:main\n";
    write("planted-1.dist-info/entry_points.txt", points);
    fs::copy(tree.join("bin/distro"), tree.join("bin/picky")).expect("copied");
    let script = tree.join("libexec/scripts/picky");
    fs::write(&script, "import planted\nplanted.planted_inner.main()\n").expect("written");
    let checks = ["third_party_modules", "console_scripts"];
    let ran = test(&scratch, tree.as_str(), &checks, &[]).ok();
    assert!(ran.out.contains("\"holds\""), "{}", ran.out);

    write("alone.py", "import that_is_not_here\n");
    fs::write(&script, "import that_is_not_here\n").expect("written");
    let ran = test(&scratch, tree.as_str(), &checks, &[]);
    for check in checks {
        let [_, found, _] = failures(ran.clone(), check).remove(0);
        assert!(found.contains("that_is_not_here"), "{found}");
    }
}

#[test]
fn a_program_works_that_misses_what_its_machine_has_not_and_one_that_misses_a_file_does_not() {
    let Some(closure) = closure() else { return };
    let code = "import sys; sys.path.insert(0, sys.argv[1])\n\
        from checks.modules import runs_all_the_same as runs\n\
        absent = 'x\\nFileNotFoundError: [Errno 2] No such file or directory: %r'\n\
        assert runs(absent % '/proc/no/such') and not runs(absent % '/proc/self/stat')\n\
        assert not runs(absent % '/opt/no/such') and not runs(absent % 'no/such')\n\
        assert runs(\"KeyError: 'getpwuid(): uid not found: 7'\") and not runs(\"KeyError: 'x'\")\n";
    let probe = checkout().join(PROBE);
    let ran = std::process::Command::new(closure.join("bin/python3"))
        .args(["-B", "-c", code, probe.as_str()])
        .output();
    let ran = ran.expect("python starts");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn a_path_of_the_build_is_found_in_the_file_that_holds_it() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    fs::write(tree.join("share/note"), "made in /build/of/somebody\n").expect("written");
    let more = ["--forbid", "/build/of/somebody"];
    let ran = test(&scratch, tree.as_str(), &["paths_of_the_build"], &more);
    let [_, found, cause] = failures(ran, "paths_of_the_build").remove(0);
    assert_eq!(found, "share/note holds /build/of/somebody");
    assert_eq!(cause, "the tree works at this path only");
}

#[test]
fn a_prefix_that_is_written_down_is_seen_wherever_the_tree_is_put() {
    // A virtual environment is a link to a Python elsewhere.
    let Some(closure) = closure() else { return };
    let scratch = Scratch::new();
    let tree = scratch.path().join("venv");
    let made = std::process::Command::new(closure.join("bin/python3"))
        .args(["-m", "venv", "--without-pip", tree.as_str()])
        .status();
    assert!(made.expect("python starts").success());
    let ran = test(&scratch, tree.as_str(), &["starts", "places", "links"], &[]);
    let again = || Ran {
        code: Some(1),
        out: ran.out.clone(),
        err: "x".into(),
    };
    let [_, found, _] = failures(again(), "links").remove(0);
    assert!(found.contains("(absolute)"), "{found}");
    let in_empty = failures(again(), "starts");
    let leads_out = |cause: &str| cause.contains("which is not in the tree");
    assert!(
        in_empty.iter().any(|[_, _, cause]| leads_out(cause)),
        "{in_empty:?}"
    );
    let everywhere = failures(again(), "places");
    assert!(
        everywhere.iter().all(|[_, _, cause]| leads_out(cause)),
        "{everywhere:?}"
    );
}

#[test]
fn what_is_no_python_is_a_mistake_of_usage() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("empty");
    fs::create_dir(&folder).expect("created");
    let ran = scratch.run(["test-closure", folder.as_str()]).fails_with(2);
    assert!(
        ran.err.contains("there is no program bin/python3 in"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("--program"), "{}", ran.err);
    scratch.run(["test-closure", "/nonexistent"]).fails_with(2);
    let words = [
        "test-closure",
        "/",
        "--program",
        "bin",
        "--only",
        "no_such_check",
    ];
    let ran = scratch.run(words).fails_with(2);
    assert!(
        ran.err.contains("there is no check named no_such_check"),
        "{}",
        ran.err
    );
}

/// The word of a report's row that was skipped.
#[track_caller]
fn why_skipped(report: &Value, check: &str) -> String {
    let skipped = results(report, check, "skipped");
    let why = skipped.first().and_then(|result| result["why"].as_str());
    why.unwrap_or_else(|| panic!("{check} was not skipped: {report}"))
        .to_owned()
}

#[test]
fn a_closure_that_does_what_its_manifest_says_fails_nowhere() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let fixed = scratch.path().join("fixed");
    let recipe = scratch.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&recipe).expect("a recipe");
    let says = format!(
        "closure {{
        fixed-path {:?}
        host {{
            locales \"closure-only\"; time-zones \"closure-first\"; terminals \"closure-only\"
            preloads \"host-first\"; name-service \"host-first\"
        }}",
        fixed.as_str()
    );
    fs::write(&recipe, text.replace("closure {", &says)).expect("written");
    scratch.run(["build", "python", "--locked"]).ok();
    copy(&scratch.work().join("result/python/."), &fixed);

    let checks = [
        "environment",
        "environment_of_children",
        "libraries_of_the_host",
        "preload_file_of_the_host",
        "mapped_files",
        "locale_of_the_host",
        "load_by_name",
        "paths_of_the_build",
    ];
    let ran = test(&scratch, fixed.as_str(), &checks, &[]).ok();
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    for check in &checks[..2] {
        assert!(!results(&report, check, "holds").is_empty(), "{check}");
    }
    for (check, why) in [
        ("libraries_of_the_host", "preloads host-first"),
        ("preload_file_of_the_host", "preloads host-first"),
        ("locale_of_the_host", "locales closure-only"),
        ("paths_of_the_build", "fixed-path"),
    ] {
        let told = why_skipped(&report, check);
        assert!(told.contains(why), "{check}: {told}");
    }

    // Elsewhere the path is no excuse, and a variable that no matter is about is none anywhere.
    let tree = fixed.as_str();
    let forbid = ["--forbid", "recipe-manifest 1"];
    let failed = failures(
        test(&scratch, tree, &["paths_of_the_build"], &forbid),
        "paths_of_the_build",
    );
    assert!(failed[0][1].starts_with(".recipe-manifest"), "{failed:?}");
    let manifest = fixed.join(".recipe-manifest");
    let text = fs::read_to_string(&manifest).expect("text");
    fs::remove_file(&manifest).expect("removed");
    fs::write(&manifest, text.replace("host locales closure-only\n", "")).expect("written");
    let failed = failures(test(&scratch, tree, &["environment"], &[]), "environment");
    assert!(failed[0][1].starts_with("added: RCPLOCP="), "{failed:?}");
}

#[test]
fn programs_for_another_processor_are_one_failure_with_one_cause() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    let program = tree.join("bin/python3.13");
    let mut bytes = fs::read(&program).expect("a program");
    // e_machine: something that no machine of ours is.
    bytes[18..20].copy_from_slice(&243_u16.to_le_bytes());
    fs::remove_file(&program).expect("removed");
    fs::write(&program, bytes).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let ran = test(&scratch, tree.as_str(), &[], &[]);
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["fails"], 1, "{}", ran.out);
    let failed = failures(ran, "starts");
    assert!(failed[0][2].contains("another processor"), "{failed:?}");
}

#[test]
fn a_source_distribution_is_not_built_where_the_tree_lacks_what_that_takes() {
    let scratch = Scratch::new();
    let Some(tree) = spoilt(&scratch) else { return };
    if !Utf8PathBuf::from("/usr/bin/gcc").exists() {
        return skip("gcc is wanted");
    }
    let include = tree.join("include/python3.13");
    fs::create_dir_all(&include).expect("created");
    fs::write(include.join("Python.h"), "").expect("written");
    let setuptools = |library: Utf8PathBuf| {
        let entries = library.read_dir_utf8().expect("a folder").flatten();
        for entry in entries.filter(|entry| entry.file_name().starts_with("setuptools")) {
            fs::remove_dir_all(entry.path()).expect("removed");
        }
        let about = library.join("setuptools-65.5.0.dist-info");
        fs::create_dir_all(&about).expect("created");
        fs::create_dir_all(library.join("setuptools")).expect("created");
        fs::write(library.join("setuptools/__init__.py"), "").expect("written");
        let metadata = "Metadata-Version: 2.1\nName: setuptools\nVersion: 65.5.0\n";
        fs::write(about.join("METADATA"), metadata).expect("written");
    };
    let why = |tree: &str| {
        let ran = test(&scratch, tree, &["source_distribution"], &[]).ok();
        why_skipped(
            &serde_json::from_str(&ran.out).expect("JSON"),
            "source_distribution",
        )
    };
    setuptools(tree.join("lib/python3.13/site-packages"));
    let told = why(tree.as_str());
    assert!(
        told.starts_with("no wheel in the tree, which its setuptools 65.5.0 needs"),
        "{told}"
    );
}
