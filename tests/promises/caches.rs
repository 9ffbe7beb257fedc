//! What one machine has built, another takes: from a folder, a web server, `recipe serve`, a bundle. And what is
//! not as it should be is built here, or said.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::support::{Scratch, checkout, is_root, skip, sources};

const RECIPE: &str = "python";

/// A machine that has built the recipe and has a key; none where its sources cannot be had.
fn builder() -> Option<Scratch> {
    let sources = sources()?;
    let scratch = Scratch::new().warm(sources);
    scratch.run(["build", RECIPE, "--locked"]).ok();
    scratch.run(["key", "new", "builder"]).ok();
    Some(scratch)
}

fn key_of(scratch: &Scratch) -> String {
    let shown = scratch.run(["key", "show", "--json"]).ok().out;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    shown["own"].as_str().expect("a key").to_owned()
}

/// A machine that trusts the other, and could fetch nothing by itself.
fn taker(builder: &Scratch) -> Scratch {
    let scratch = lonely();
    scratch.run(["key", "trust", &key_of(builder)]).ok();
    scratch
}

fn lonely() -> Scratch {
    let nowhere = "http://127.0.0.1:9/";
    Scratch::new()
        .set("RECIPE_DEBIAN_MIRROR", nowhere)
        .set("RECIPE_DEBIAN_SECURITY_MIRROR", nowhere)
        .set("RECIPE_PYTHON_INDEX", nowhere)
}

fn closure_of(scratch: &Scratch) -> String {
    let link = fs::read_link(scratch.work().join("result").join(RECIPE)).expect("a link");
    link.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

fn pushed(builder: &Scratch) -> Utf8PathBuf {
    let cache = builder.path().join("cache");
    builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
    cache
}

fn only_file(folder: &Utf8Path) -> Utf8PathBuf {
    let mut entries = folder.read_dir_utf8().expect("a folder");
    let entry = entries.next().expect("a file").expect("an entry");
    assert!(entries.next().is_none(), "one file in {folder}");
    entry.into_path()
}

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

#[test]
fn what_a_cache_has_lost_or_damaged_is_built_here_and_a_push_heals_it() {
    let Some(builder) = builder() else { return };
    let sources = sources().expect("there");
    for (number, spoil) in [
        |path: &Utf8Path| {
            let mut bytes = fs::read(path).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("written");
        },
        |path: &Utf8Path| {
            let bytes = fs::read(path).expect("read");
            fs::write(path, &bytes[..bytes.len() / 3]).expect("written");
        },
        |path: &Utf8Path| fs::remove_file(path).expect("removed"),
        |path: &Utf8Path| fs::write(path, vec![7; 1 << 20]).expect("written"),
    ]
    .into_iter()
    .enumerate()
    {
        let cache = builder.path().join(format!("cache{number}"));
        builder.run(["push", RECIPE, "--to", cache.as_str()]).ok();
        let what = if number % 2 == 0 { "pack" } else { "index" };
        spoil(&only_file(&cache.join(what)));
        let taker = Scratch::new().local(sources);
        taker.run(["key", "trust", &key_of(&builder)]).ok();
        let ran = taker
            .run(["build", RECIPE, "--locked", "--cache", cache.as_str()])
            .ok();
        assert_eq!(
            closure_of(&taker),
            closure_of(&builder),
            "{what} {number}: {}",
            ran.err
        );
        taker.store_verifies();
        let lonely = self::taker(&builder);
        lonely
            .run(["pull", RECIPE, "--cache", cache.as_str()])
            .fails_with(4);
        builder
            .run(["push", RECIPE, "--verify", "--to", cache.as_str()])
            .ok();
        lonely.run(["pull", RECIPE, "--cache", cache.as_str()]).ok();
    }
}

fn has(program: &str) -> bool {
    let mut command = Command::new("sh");
    let found = command
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// A server that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_team_takes_from_a_machine_that_serves() {
    let Some(builder) = builder() else { return };
    let folder = builder.path().join("served");
    let mut command = builder.command([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--folder",
        folder.as_str(),
    ]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let out = child.stdout.take().expect("a pipe");
    let serving = Serving(child);
    let mut url = String::new();
    BufReader::new(out).read_line(&mut url).expect("a line");
    let taker = taker(&builder);
    let ran = taker.run(["pull", RECIPE, "--cache", url.trim()]).ok();
    assert!(ran.out.contains("0 steps run"), "{}", ran.out);
    assert_eq!(closure_of(&taker), closure_of(&builder));
    drop(serving);
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
        "daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;\n{}\
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

/// A server that answers everything in one way.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            if answer.is_empty() {
                // Says nothing for as long as anybody waits.
                std::thread::sleep(std::time::Duration::from_secs(600));
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://127.0.0.1:{port}/")
}

#[test]
fn a_cache_that_answers_badly_is_said_once_and_stops_no_build() {
    let Some(sources) = sources() else { return };
    let empty = "content-length: 0\r\nconnection: close\r\n\r\n";
    let answers: Vec<(String, &str)> = [
        ("401 Unauthorized", "does not allow it"),
        ("403 Forbidden", "does not allow it"),
        ("500 Internal Server Error", "500"),
        ("503 Service Unavailable\r\nretry-after: 1", "503"),
        ("429 Too Many Requests", "429"),
        (
            "302 Found\r\nlocation: http://169.254.169.254/",
            "169.254.169.254",
        ),
        ("302 Found\r\nlocation: file:///etc/passwd", "file:"),
    ]
    .into_iter()
    .map(|(status, told)| (format!("HTTP/1.1 {status}\r\n{empty}"), told))
    .chain([("nonsense\r\n\r\n".to_owned(), "")])
    .collect();
    let scratch = Scratch::new().warm(sources);
    for (answer, told) in answers {
        let url = answering(Box::leak(answer.into_boxed_str()));
        let store = scratch.path().join("fresh");
        let _ = fs::remove_dir_all(&store);
        // Everything is known here, so only a forgotten trace makes it ask.
        let ran = scratch
            .run(["plan", RECIPE, "--store", store.as_str(), "--cache", &url])
            .ok();
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
        assert_eq!(
            ran.err.matches("not asked any more").count(),
            1,
            "{}",
            ran.err
        );
    }
    for status in ["404 Not Found", "410 Gone"] {
        let answer = format!("HTTP/1.1 {status}\r\n{empty}");
        let url = answering(Box::leak(answer.into_boxed_str()));
        let store = scratch.path().join("fresh");
        let ran = scratch
            .run(["plan", RECIPE, "--store", store.as_str(), "--cache", &url])
            .ok();
        let about = ran.err.contains("127.0.0.1");
        assert!(!about, "nothing is wrong with it: {}", ran.err);
    }
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

#[test]
fn a_bundle_has_all_that_a_place_without_network_needs() {
    let Some(builder) = builder() else { return };
    let bundle = builder.path().join("all.bundle");
    let create = [
        "bundle",
        "create",
        RECIPE,
        "--with-tool",
        "--output",
        bundle.as_str(),
    ];
    let ran = builder.run(create).ok();
    assert!(ran.out.contains("proved complete"), "{}", ran.out);
    let listed = builder.run(["bundle", "list", bundle.as_str()]).ok().out;
    for member in [
        "recipes/python.kdl",
        "recipes/python.lock.kdl",
        "tool/recipe",
    ] {
        assert!(listed.contains(member), "{listed}");
    }
    builder.run(["bundle", "verify", bundle.as_str()]).ok();

    // Nobody whom the other side knows.
    let other = lonely();
    fs::remove_dir_all(other.work().join("recipes")).expect("removed");
    let import = ["bundle", "import", bundle.as_str(), "--offline"];
    let ran = other.run(import).fails_with(5);
    assert!(ran.err.contains("not trusted"), "{}", ran.err);
    other.run(["key", "trust", &key_of(&builder)]).ok();
    other.run(import).ok();
    assert_eq!(closure_of(&other), closure_of(&builder));
    let ran = other
        .run([
            "build",
            "./recipes/python.kdl",
            "--locked",
            "--offline",
            "--json",
        ])
        .ok();
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer["closures"][0]["ran"], 0, "{answer}");
    other.store_verifies();

    // Only the sources: everything is built again, to the same bytes.
    let again = taker(&builder);
    fs::remove_dir_all(again.work().join("recipes")).expect("removed");
    again
        .run([
            "bundle",
            "import",
            bundle.as_str(),
            "--offline",
            "--sources",
        ])
        .ok();
    let ran = again
        .run([
            "build",
            "./recipes/python.kdl",
            "--locked",
            "--offline",
            "--json",
        ])
        .ok();
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_ne!(answer["closures"][0]["ran"], 0);
    assert_eq!(closure_of(&again), closure_of(&builder));

    // One that is older, and one that was changed on its way.
    let newer = builder.path().join("newer.bundle");
    builder
        .run([
            "bundle",
            "create",
            RECIPE,
            "--run-only",
            "--output",
            newer.as_str(),
        ])
        .ok();
    other.run(["bundle", "import", newer.as_str()]).ok();
    let ran = other.run(import).fails_with(5);
    assert!(ran.err.contains("--allow-older"), "{}", ran.err);
    let mut bytes = fs::read(&newer).expect("read");
    let near_the_end = bytes.len() - 1000;
    bytes[near_the_end] ^= 1;
    fs::write(&newer, &bytes).expect("written");
    builder
        .run(["bundle", "verify", newer.as_str()])
        .fails_with(5);
    let fresh = taker(&builder);
    fresh
        .run(["bundle", "import", newer.as_str(), "--recipes", "elsewhere"])
        .fails_with(5);
    assert!(
        !fresh.work().join("result").join(RECIPE).exists(),
        "all or nothing"
    );
    fresh.store_verifies();
}

#[test]
fn a_bundle_since_another_has_only_what_is_new() {
    let Some(builder) = builder() else { return };
    let first = builder.path().join("first.bundle");
    builder
        .run(["bundle", "create", RECIPE, "--output", first.as_str()])
        .ok();
    let path = builder.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&path).expect("a recipe");
    let text = text.replace(
        "closure {",
        "closure {\n        entry \"mine\" runs=\"bin/python3\"",
    );
    fs::write(&path, text).expect("written");
    let second = builder.path().join("second.bundle");
    let words = [
        "bundle",
        "create",
        RECIPE,
        "--since",
        first.as_str(),
        "--output",
        second.as_str(),
    ];
    builder.run(words).ok();
    builder.run(["build", RECIPE, "--locked"]).ok();
    let size = |path: &Utf8Path| fs::metadata(path).expect("a bundle").len();
    assert!(
        size(&second) * 10 < size(&first),
        "{} of {}",
        size(&second),
        size(&first)
    );
    let other = taker(&builder);
    let import =
        |bundle: &Utf8Path| other.run(["bundle", "import", bundle.as_str(), "--recipes", "mine"]);
    import(&second).fails_with(4);
    import(&first).ok();
    // What the first one wrote is replaced, and what a person has changed is not.
    import(&second).ok();
    assert_eq!(closure_of(&other), closure_of(&builder));
    let own = other.work().join("mine/python.kdl");
    let text = fs::read_to_string(&own).expect("a recipe") + "// mine\n";
    fs::write(&own, text).expect("written");
    import(&second).fails_with(6);
}
