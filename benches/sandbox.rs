//! What a sandbox costs: the same program started plainly, by `unshare` with the same namespaces
//! (which makes no root), and by us.
#![allow(missing_docs)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use recipe::sandbox::{Root, Sandbox, Spec, Stdin};

fn spawn(c: &mut Criterion) {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_recipe"));
    let mut spec = Spec::new("/bin/true");
    for place in ["/bin", "/usr", "/lib", "/lib64"] {
        if std::path::Path::new(place).exists() {
            spec = spec.input(place, place);
        }
    }
    let succeeds = |command: &mut Command| assert!(command.status().is_ok_and(|s| s.success()));
    let mut group = c.benchmark_group("spawn");
    group.bench_function("plain", |b| {
        b.iter(|| succeeds(&mut Command::new("/bin/true")))
    });
    group.bench_function("unshare", |b| {
        b.iter(|| succeeds(Command::new("unshare").args(["-Urmpfniu", "/bin/true"])))
    });
    group.bench_function("sandbox", |b| {
        b.iter(|| {
            assert!(
                sandbox
                    .run(&spec, Stdin::Empty)
                    .is_ok_and(|end| end.success())
            )
        })
    });
    let usual = spec.clone().usual_places();
    group.bench_function("sandbox with proc, dev and tmp", |b| {
        b.iter(|| {
            assert!(
                sandbox
                    .run(&usual, Stdin::Empty)
                    .is_ok_and(|end| end.success())
            )
        })
    });
    // Everything: both walls, a number of its own, a sysroot, two folders on disk with a limit.
    let sysroot = tempfile::tempdir().expect("a folder");
    fill(sysroot.path());
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let mut step = Spec::build("/bin/true");
    step.root = Root::Tree(utf8(sysroot.path()).into());
    step.tmp = false;
    for (folder, place) in folders.iter().zip(["/tmp", "/out"]) {
        step = step.output(utf8(folder.path()), place);
    }
    step.limits.disk = Some(1 << 30);
    step.limits.processes = Some(1000);
    group.bench_function("a step of a build", |b| {
        b.iter(|| {
            assert!(
                sandbox
                    .run(&step, Stdin::Empty)
                    .is_ok_and(|end| end.success())
            )
        })
    });
    group.finish();
}

/// Makes a folder what a sysroot is: `/bin/true` with its libraries, and the places that builds have.
fn fill(sysroot: &Path) {
    for place in ["dev", "proc", "tmp", "out", "in", "usr/local"] {
        fs::create_dir_all(sysroot.join(place)).expect("a place");
    }
    let output = Command::new("ldd").arg("/bin/true").output();
    let output = output.expect("ldd").stdout;
    let text = String::from_utf8_lossy(&output);
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/bin/true"]) {
        let at = sysroot.join(file.trim_start_matches('/'));
        fs::create_dir_all(at.parent().expect("a folder")).expect("a folder");
        fs::copy(file, at).expect("a copy");
    }
    // The number that builds run under has to come in.
    fs::set_permissions(sysroot, Permissions::from_mode(0o755)).expect("its mode");
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

criterion_group!(benches, spawn);
criterion_main!(benches);
