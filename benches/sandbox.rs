//! What a sandbox costs: the same program started plainly, by `unshare` with the same namespaces
//! (which makes no root), and by us.
#![allow(missing_docs)]

use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use recipe::sandbox::{Sandbox, Spec, Stdin};

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
    // Everything: both walls, a number of its own, two folders on disk with a limit.
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let mut step = Spec::build("/bin/true");
    step.binds = spec.binds;
    for (folder, place) in folders.iter().zip(["/build", "/out"]) {
        let path = folder.path().to_str().expect("a path in UTF-8");
        step = step.output(path, place);
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

criterion_group!(benches, spawn);
criterion_main!(benches);
