//! What mirrors say, and which of it is believed.

use super::*;

#[test]
fn f034_f035_f036_what_cannot_be_believed_is_refused_and_told() {
    let mut archive = Archive::new(packages());
    let bench = Bench::of(&archive);
    let expect = |bench: &Bench, now: u64| {
        shown(
            bench
                .lock_with(&bench.net(), RECIPE, None, Upgrade::Nothing, now)
                .unwrap_err(),
        )
    };
    let stranger = Bench::serving(Server::files(archive.files()), &Archive::new(Vec::new()));
    let unknown = expect(&stranger, NOW + 900_000);
    assert!(
        unknown.contains("no signature is by a key that is trusted"),
        "{unknown}"
    );
    let behind = expect(&bench, NOW - 86_400);
    assert!(
        behind.contains("was made 86200 s after")
            && behind.contains("set this machine's clock right"),
        "{behind}"
    );

    let mut altered = archive.files();
    let release = altered.get_mut("dists/trixie/InRelease").unwrap();
    *release = String::from_utf8(release.clone())
        .unwrap()
        .replace("Origin: Test", "Origin: Evil")
        .into_bytes();
    let altered = expect(&Bench::serving(Server::files(altered), &archive), NOW);
    assert!(altered.contains("the file was altered"), "{altered}");

    archive.fields = "Valid-Until: Sat, 12 Sep 2026 07:59:00 UTC\n".into();
    insta::assert_snapshot!("expired", expect(&Bench::of(&archive), NOW + 86_400));

    let lock = bench.lock(RECIPE, None, Upgrade::Nothing).unwrap();
    archive.date = "Fri, 11 Sep 2026 07:55:41 UTC".into();
    archive.fields = String::new();
    let older = shown(
        Bench::of(&archive)
            .lock(RECIPE, Some(&lock), Upgrade::Nothing)
            .unwrap_err(),
    );
    assert!(
        older.contains("2026-09-11 07:55:41 UTC, but the lock"),
        "{older}"
    );

    let mut other = archive.files();
    let release =
        archive.sign("Suite: stable\nCodename: bookworm\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n");
    other.insert("dists/trixie/InRelease".into(), release);
    let other = expect(&Bench::serving(Server::files(other), &archive), NOW);
    assert!(other.contains("it is the index of bookworm"), "{other}");
}

#[test]
fn f037_every_mirror_passes_the_same_checks_and_an_inconsistent_one_is_named() {
    let mut archive = Archive::new(packages());
    let good = Bench::of(&archive);
    let mut unsigned = archive.files();
    for suite in ["trixie", "trixie-updates", "trixie-security"] {
        let path = format!("dists/{suite}/InRelease");
        let text = String::from_utf8(unsigned[&path].clone()).unwrap();
        unsigned.insert(
            path,
            text.lines()
                .filter(|line| !line.starts_with("-----"))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes(),
        );
    }
    let unsigned = Server::files(unsigned);
    let net = good.net_with(&[unsigned.url("/"), good.server.url("/")]);
    good.lock_with(&net, RECIPE, None, Upgrade::Nothing, NOW)
        .unwrap();
    let alone = good
        .lock_with(
            &good.net_with(&[unsigned.url("/")]),
            RECIPE,
            None,
            Upgrade::Nothing,
            NOW,
        )
        .unwrap_err();
    insta::assert_snapshot!("unsigned", shown(alone));

    // No index by hash, and the plain one is of another state.
    archive.fields = String::new();
    let mut between = archive.files();
    between.insert(
        "dists/trixie/main/binary-amd64/Packages.gz".into(),
        b"an older index".to_vec(),
    );
    between.insert(
        "dists/trixie/main/binary-amd64/Packages".into(),
        b"an older index".to_vec(),
    );
    let between = Bench::serving(Server::files(between), &archive);
    insta::assert_snapshot!(
        "inconsistent",
        shown(between.lock(RECIPE, None, Upgrade::Nothing).unwrap_err())
    );
}

#[test]
fn f037_without_indexes_by_hash_the_plain_ones_serve() {
    let mut archive = Archive::new(packages());
    let mut files = archive.files();
    files.retain(|path, _| !path.contains("by-hash"));
    Bench::serving(Server::files(files), &archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
    archive.fields = String::new();
    Bench::of(&archive)
        .lock(RECIPE, None, Upgrade::Nothing)
        .unwrap();
}
