//! Closures for arm64, locked on amd64: what the machine that builds runs to make the byte code.

use super::*;

/// Every package for both processors.
fn both(packages: Vec<Package>) -> Vec<Package> {
    let twins = packages.clone().into_iter().map(Package::arm64);
    packages.iter().cloned().chain(twins).collect()
}

/// Python's packages at another version.
fn python(version: &str) -> impl Iterator<Item = Package> {
    let mut packages = packages();
    packages.retain(|package| package.source == "python3.13");
    packages.into_iter().map(move |package| Package {
        version: version.to_owned(),
        depends: package.depends.replace("3.13.5-2", version),
        ..package
    })
}

fn zlib(version: &str) -> Package {
    Package::new("zlib1g", version)
        .source("zlib")
        .depends("libc6")
        .library("libz.so.1", &["libc.so.6"])
}

impl Bench {
    fn lock_for_arm64(&self, text: &str, now: u64) -> Result<Lock, LockError> {
        let options = Options {
            platform: Platform::Aarch64,
            builder: Platform::X86_64,
            ..Options::default()
        };
        self.lock_by(&self.net(), text, None, &options, now)
    }

    /// Follows one file of a lock, by its kind and name.
    fn follow_one(
        &self,
        lock: &Lock,
        text: &str,
        (kind, name): (FileKind, &str),
        now: u64,
    ) -> Result<(Lock, Vec<Moved>), LockError> {
        let (net, session) = (self.net(), self.store.session().unwrap());
        let context = Context::without_sandbox(&net, &session, now);
        follow(lock, &recipe(text), &[one(lock, kind, name)], &context)
    }
}

fn one(lock: &Lock, kind: FileKind, name: &str) -> Locked {
    let mut files = lock.files.iter();
    let found = files.find(|file| (file.kind, &*file.name) == (kind, name));
    found.unwrap().clone()
}

/// `kind name from -> to`, one line for each.
fn lines(moved: &[Moved]) -> Vec<String> {
    let from = |moved: &Moved| moved.from.clone().unwrap_or_default();
    let line = |moved: &Moved| {
        let (kind, name, to) = (moved.kind, &moved.name, &moved.to);
        format!("{kind} {name} {} -> {to}", from(moved))
    };
    moved.iter().map(line).collect()
}

#[test]
fn a_lock_for_another_processor_has_the_python_of_this_one_beside_it_and_no_more() {
    let bench = Bench::of(&Archive::new(both(packages())));
    let lock = bench.lock_for_arm64(RECIPE, NOW).unwrap();
    assert_eq!(lock.builder(), Some(Platform::X86_64));
    let (mut builders, mut others) = (Vec::new(), Vec::new());
    for file in &lock.files {
        match file.kind {
            FileKind::Builder => builders.push((&*file.name, &*file.architecture)),
            _ => others.push(&*file.architecture),
        }
    }
    let wanted = [
        "libc6",
        "libpython3.13-minimal",
        "libpython3.13-stdlib",
        "python3.13-minimal",
        "zlib1g",
    ];
    assert_eq!(builders, wanted.map(|name| (name, "amd64")));
    assert!(!others.contains(&"amd64"), "{others:?}");
}

#[test]
fn what_is_gone_of_the_machine_that_builds_moves_and_the_closure_stays() {
    let mut archive = Archive::new(both(packages()));
    let old = Bench::of(&archive).lock_for_arm64(RECIPE, NOW).unwrap();
    archive.replace("trixie", zlib("1.3-2"));
    let bench = Bench::of(&archive);
    let gone = (FileKind::Builder, "zlib1g");
    let (new, moved) = bench.follow_one(&old, RECIPE, gone, NOW).unwrap();
    assert_eq!(lines(&moved), ["builder zlib1g 1.3-1 -> 1.3-2"]);
    assert_eq!(new.serial, old.serial + 1);
    assert_eq!(versions(&new), versions(&old));
    // A build that may not follow tells the same version.
    let (net, session) = (bench.net(), bench.store.session().unwrap());
    let context = Context::without_sandbox(&net, &session, NOW);
    let gone = [one(&old, gone.0, gone.1)];
    let told = newest(&old, &recipe(RECIPE), &gone, &context).unwrap();
    assert_eq!(lines(&told), lines(&moved));
}

#[test]
fn where_the_closures_python_moves_that_of_the_machine_that_builds_moves_along() {
    let mut archive = Archive::new(both(packages()));
    let old = Bench::of(&archive).lock_for_arm64(RECIPE, NOW).unwrap();
    for package in both(python("3.13.6-1").collect()) {
        archive.replace("trixie", package);
    }
    let gone = (FileKind::Deb, "libpython3.13-minimal");
    let bench = Bench::of(&archive);
    let (new, moved) = bench.follow_one(&old, RECIPE, gone, NOW).unwrap();
    let builders = lines(&moved);
    let builders: Vec<&str> = builders
        .iter()
        .filter_map(|line| line.strip_prefix("builder "))
        .collect();
    assert_eq!(
        builders,
        [
            "libpython3.13-minimal 3.13.5-2 -> 3.13.6-1",
            "libpython3.13-stdlib 3.13.5-2 -> 3.13.6-1",
            "python3.13-minimal 3.13.5-2 -> 3.13.6-1",
        ]
    );
    assert_eq!(versions(&new)["python3.13"], "3.13.6-1");
}

#[test]
fn a_machine_that_builds_with_another_patch_level_of_python_is_refused() {
    let mut archive = Archive::new(both(packages()));
    let old = Bench::of(&archive).lock_for_arm64(RECIPE, NOW).unwrap();
    // The archive has the point release for one processor, and not yet for the other.
    for package in python("3.13.6-1") {
        archive.replace("trixie", package);
    }
    let bench = Bench::of(&archive);
    let error = bench.lock_for_arm64(RECIPE, NOW).unwrap_err();
    insta::assert_snapshot!(shown(error), @r"
    lock::other_python

      × the closure's Python is 3.13.5, and the one for x86_64-linux, which would make its byte code, is 3.13.6
      help: the archive has both architectures at one version most of the time: lock again later, or with
            `--upgrade`
    ");
    let gone = (FileKind::Builder, "libpython3.13-minimal");
    let error = bench.follow_one(&old, RECIPE, gone, NOW).unwrap_err();
    assert!(matches!(error, LockError::OtherPython { .. }), "{error}");
    // Another revision of the same patch level compiles the same.
    for package in python("3.13.5-3") {
        archive.replace("trixie", package);
    }
    let lock = Bench::of(&archive).lock_for_arm64(RECIPE, NOW).unwrap();
    let version = |kind| one(&lock, kind, "python3.13-minimal").version;
    assert_eq!(version(FileKind::Deb), "3.13.5-2");
    assert_eq!(version(FileKind::Builder), "3.13.5-3");
}

#[test]
fn an_index_whose_time_has_run_out_serves_the_machine_that_builds_too() {
    let mut archive = Archive::new(both(packages()));
    archive.fields = "Valid-Until: Sat, 12 Sep 2026 07:59:00 UTC\n".into();
    let later = NOW + 86_400;
    let allowing = RECIPE.replace("suite=\"trixie\"", "suite=\"trixie\" expired=\"allow\"");
    let old = Bench::of(&archive)
        .lock_for_arm64(&allowing, later)
        .unwrap();
    archive.replace("trixie", zlib("1.3-2"));
    let gone = (FileKind::Builder, "zlib1g");
    let bench = Bench::of(&archive);
    let (_, moved) = bench.follow_one(&old, &allowing, gone, later).unwrap();
    assert_eq!(lines(&moved), ["builder zlib1g 1.3-1 -> 1.3-2"]);
}
