//! What one machine has built, another takes: from a folder, a web server, `recipe serve`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use camino::Utf8Path;
use serde_json::Value;

use crate::support::sharing::{
    RECIPE, builder, closure_of, key_of, lonely, only_file, pushed, taker,
};
use crate::support::{Scratch, checkout, has, is_root, skip, sources};

/// Nothing in the store's objects stands in the way of a server of the Remote Execution API.
#[test]
fn a_closure_has_the_digest_that_the_remote_execution_api_gives_its_folder() {
    if !has("b3sum") {
        return skip("b3sum is not installed");
    }
    let Some(builder) = builder() else { return };
    let folder = builder.work().join("result").join(RECIPE);
    let script = checkout().join("tests/data/directory.py");
    let said = Command::new("python3")
        .args([script.as_str(), folder.as_str()])
        .output();
    let said = said.expect("python3 starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let wanted = builder.run(["build", RECIPE, "--json"]).ok().out;
    let wanted: Value = serde_json::from_str(&wanted).expect("JSON");
    let wanted = wanted["closures"][0]["tree"].as_str().expect("a tree");
    assert_eq!(
        text.split(':').next(),
        Some(wanted),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn what_one_machine_pushed_another_takes_without_a_source_and_without_building() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    for folder in ["pack", "index", "traces", "latest"] {
        only_file(&cache.join(folder));
    }
    let taker = taker(&builder);
    let ran = taker.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
    assert!(ran.out.contains("0 steps run"), "{}", ran.out);
    assert_eq!(closure_of(&taker), closure_of(&builder));
    let link = taker.work().join("result").join(RECIPE);
    taker.run(["verify", link.as_str()]).ok();
    taker.store_verifies();
    // From now on it needs neither cache nor network.
    taker.run(["build", RECIPE, "--locked", "--offline"]).ok();
    let again = builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
    assert!(again.out.contains("has it already"), "{}", again.out);
}

#[test]
fn who_signs_has_made_every_step() {
    let Some(builder) = builder() else { return };
    let sources = sources().expect("there");
    let cache = pushed(&builder);
    let second = Scratch::new().local(sources);
    second.run(["key", "trust", &key_of(&builder)]).ok();
    second.run(["key", "new", "second"]).ok();
    second.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
    // It has the closure and hardly a step; what it pushes is as whole as what it took.
    let other = second.path().join("other");
    second.run(["push", RECIPE, "--to", other.as_str()]).ok();
    let steps = |cache: &Utf8Path| {
        let text = fs::read_to_string(only_file(&cache.join("traces"))).expect("traces");
        text.lines()
            .filter(|line| line.starts_with("step "))
            .count()
    };
    assert_eq!(steps(&other), steps(&cache));
    let third = taker(&second);
    third.run(["pull", RECIPE, "--cache", other.as_str()]).ok();
    assert_eq!(closure_of(&third), closure_of(&builder));
}

#[test]
fn a_recipe_that_differs_a_little_runs_only_what_differs() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let taker = taker(&builder);
    let path = taker.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let text = text.replace(
        "closure {",
        "closure {\n        entry \"mine\" runs=\"bin/python3\"",
    );
    fs::write(&path, text).expect("written");
    let ran = taker
        .run(["build", RECIPE, "--json", "--cache", cache.as_str()])
        .ok();
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let closure = &answer["closures"][0];
    let (ran, shared) = (&closure["ran"], &closure["shared"]);
    // Composed, listed, proved and checked anew.
    assert!(
        ran.as_u64().is_some_and(|ran| (1..8).contains(&ran)),
        "{closure}"
    );
    assert!(
        shared.as_u64().is_some_and(|shared| shared > 40),
        "{closure}"
    );
    let mine = taker.work().join("result/python/bin/mine");
    assert!(
        Command::new(mine)
            .args(["-c", "import ssl"])
            .status()
            .expect("it starts")
            .success()
    );
    taker.store_verifies();
}

#[test]
fn of_a_file_that_changed_goes_what_changed_in_it() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let has_first = taker(&builder);
    has_first
        .run(["pull", RECIPE, "--cache", cache.as_str()])
        .ok();
    // The closure's list of its own files is one line longer: the largest file that is another.
    let path = builder.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let entry = "closure {\n        entry \"mine\" runs=\"bin/python3\"";
    let text = text.replace("closure {", entry);
    fs::write(&path, &text).expect("written");
    let first = only_file(&cache.join("pack"));
    builder.run(["build", RECIPE, "--locked"]).ok();
    builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
    let packs = cache
        .join("pack")
        .read_dir_utf8()
        .expect("a folder")
        .flatten();
    let second = packs
        .map(|entry| entry.into_path())
        .find(|path| *path != first)
        .expect("another pack");
    let manifest = builder.work().join("result/python/.recipe-manifest");
    let size = |path: &Utf8Path| fs::metadata(path).expect("a file").len();
    assert!(
        size(&second) * 10 < size(&manifest),
        "{} for a manifest of {}",
        size(&second),
        size(&manifest)
    );
    // Those who have the first, and those who have nothing.
    for taker in [has_first, taker(&builder)] {
        fs::write(taker.work().join("recipes/python/python.kdl"), &text).expect("written");
        taker.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
        assert_eq!(closure_of(&taker), closure_of(&builder));
        taker.store_verifies();
    }
    // A third one, when what the second was compressed against is not the last any more.
    fs::write(&path, text.replace("\"mine\"", "\"ours\"")).expect("written");
    builder.run(["build", RECIPE, "--locked"]).ok();
    builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
    let third = taker(&builder);
    fs::copy(&path, third.work().join("recipes/python/python.kdl")).expect("copied");
    third.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
    assert_eq!(closure_of(&third), closure_of(&builder));
    let again = builder
        .run(["push", RECIPE, "--verify", "--to", cache.as_str()])
        .ok();
    assert!(again.out.contains("0 new files"), "{}", again.out);
}

#[test]
fn a_plan_says_which_cache_has_what() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let taker = taker(&builder);
    let ran = taker
        .run(["plan", RECIPE, "--json", "--cache", cache.as_str()])
        .ok();
    let plan: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(
        (&plan["fetch"], &plan["build"]),
        (&0.into(), &0.into()),
        "{plan:#}"
    );
    assert!(
        plan["cache_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1_000_000)
    );
    assert_eq!(plan["steps"][0]["cache"], cache.as_str());
}

#[test]
fn what_is_signed_by_nobody_who_is_trusted_counts_for_nothing() {
    let Some(builder) = builder() else { return };
    let cache = pushed(&builder);
    let stranger = lonely();
    let pull = ["pull", RECIPE, "--cache", cache.as_str()];
    let ran = stranger.run(pull).fails_with(4);
    let key = key_of(&builder);
    assert!(
        ran.err.contains(&format!("recipe key trust {key}")),
        "{}",
        ran.err
    );
    // Trusted, and then not any more.
    stranger.run(["key", "trust", &key]).ok();
    stranger.run(["key", "revoke", "builder"]).ok();
    stranger.run(pull).fails_with(4);
    // A trusted name over other bytes.
    let traces = only_file(&cache.join("traces"));
    let text = fs::read_to_string(&traces).expect("traces");
    let changed = text.replacen("made 1", "made 2", 1);
    assert_ne!(text, changed);
    fs::write(&traces, changed).expect("written");
    fs::remove_dir_all(cache.join("latest")).expect("removed");
    stranger.run(["key", "trust", &key]).ok();
    let ran = stranger.run(pull).fails_with(4);
    assert!(ran.err.contains("is wrong"), "{}", ran.err);
}

/// A server that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `recipe serve` of a folder, and its URL.
fn serve(builder: &Scratch) -> (Serving, String) {
    let folder = builder.path().join("served");
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--folder",
        folder.as_str(),
    ];
    let mut command = builder.command(words);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let out = child.stdout.take().expect("a pipe");
    let serving = Serving(child);
    let mut url = String::new();
    BufReader::new(out).read_line(&mut url).expect("a line");
    (serving, url.trim().to_owned())
}

#[test]
fn the_team_takes_from_a_machine_that_serves() {
    let Some(builder) = builder() else { return };
    let (_serving, url) = serve(&builder);
    let taker = taker(&builder);
    let ran = taker.run(["pull", RECIPE, "--cache", &url]).ok();
    assert!(ran.out.contains("0 steps run"), "{}", ran.out);
    assert_eq!(closure_of(&taker), closure_of(&builder));
}

#[test]
fn a_question_to_a_machine_that_serves_builds_nothing() {
    let Some(builder) = builder() else { return };
    // It is another recipe now, which nobody has built.
    let path = builder.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let entry = "closure {\n        entry \"mine\" runs=\"bin/python3\"";
    fs::write(&path, text.replace("closure {", entry)).expect("written");
    let records = || count_below(&builder.store().join("traces"));
    let before = records();
    let (_serving, url) = serve(&builder);
    let taker = taker(&builder);
    fs::copy(&path, taker.work().join("recipes/python/python.kdl")).expect("copied");
    taker.run(["pull", RECIPE, "--cache", &url]).fails_with(4);
    assert_eq!(records(), before);
    assert_eq!(count_below(&builder.path().join("served")), 0);
}

fn count_below(folder: &Utf8Path) -> usize {
    let entries = folder.read_dir_utf8().expect("a folder").flatten();
    entries
        .map(|entry| match entry.file_type().expect("a type").is_dir() {
            true => count_below(entry.path()),
            false => 1,
        })
        .sum()
}

#[test]
fn nginx_serves_a_cache_and_takes_one_by_webdav() {
    if !has("nginx") {
        return skip("nginx is not installed");
    }
    let Some(builder) = builder() else { return };
    let cache = builder.path().join("www");
    fs::create_dir_all(&cache).expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address")
        .port();
    let folder = builder.path();
    let conf = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;\n{}\
         events {{}}\nhttp {{ access_log {folder}/access; client_body_temp_path {folder}/body;\n\
         proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         client_max_body_size 1g;\n\
         server {{ listen 127.0.0.1:{port}; root {cache}; dav_methods PUT MKCOL; create_full_put_path on; }} }}\n",
        if is_root() { "user root;\n" } else { "" }
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, conf).expect("written");
    let child = Command::new("nginx")
        .args(["-c", path.as_str()])
        .stderr(Stdio::null())
        .spawn();
    let serving = Serving(child.expect("nginx starts"));
    let url = format!("http://127.0.0.1:{port}/team");
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    builder.run(["push", RECIPE, "--to", &url]).ok();
    let log = folder.join("access");
    let before = fs::read_to_string(&log).expect("a log").lines().count();
    let taker = taker(&builder);
    taker.run(["pull", RECIPE, "--cache", &url]).ok();
    assert_eq!(closure_of(&taker), closure_of(&builder));
    let asked = fs::read_to_string(&log).expect("a log");
    let asked: Vec<&str> = asked.lines().skip(before).collect();
    let whole = asked.iter().filter(|line| line.contains("/pack/")).count();
    assert_eq!(asked.len() - whole, 2, "traces and an index: {asked:#?}");
    let again = builder.run(["push", RECIPE, "--to", &url]).ok();
    assert!(again.out.contains("has it already"), "{}", again.out);
    drop(serving);
}

#[test]
fn who_wants_a_cache_and_names_none_is_told_so() {
    let scratch = Scratch::new();
    let ran = scratch.run(["pull", RECIPE]).fails_with(2);
    assert!(ran.err.contains("no cache is named"), "{}", ran.err);
    scratch.run(["key", "new", "me"]).ok();
    scratch.run(["push", RECIPE]).fails_with(2);
    let ran = scratch
        .run(["pull", RECIPE, "--cache", "ftp://x"])
        .fails_with(2);
    assert!(ran.err.contains("s3:"), "{}", ran.err);
}

#[test]
fn keys_are_their_owners_alone() {
    let scratch = Scratch::new();
    scratch.run(["key", "new", "me"]).ok();
    let path = scratch.home().join(".config/recipe/secret-key");
    let mode = fs::metadata(&path).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    scratch.run(["key", "new", "other"]).fails_with(2);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("open to all");
    let ran = scratch.run(["key", "show"]).fails_with(2);
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
}
