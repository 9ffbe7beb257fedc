//! What recipes build from sources of their own, and what they use of each other. Locking asks the
//! mirrors of this machine: where there are none, that is said.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use crate::support::{Scratch, skip};

const LIBRARY: &str = r#"recipe "answer" version="1" {
    source "src" { path "answer-src"; }
    sysroot "debian" suite="trixie" { package "gcc" "libc6-dev"; }
    build {
        run "mkdir" "-p" "$out/lib" "$out/include"
        run "gcc" "-shared" "-fPIC" "-Wl,-soname,libanswer.so.1" "-o" "$out/lib/libanswer.so.1" "answer.c" in="src"
        run "ln" "-s" "libanswer.so.1" "$out/lib/libanswer.so"
        run "cp" "answer.h" "$out/include" in="src"
    }
}
"#;

const PROGRAM: &str = r#"recipe "asks" version="1" {
    use "answer"
    source "src" { path "asks-src"; }
    sysroot "debian" suite="trixie" { package "gcc" "libc6-dev"; }
    build {
        run "mkdir" "-p" "$out/bin"
        run "gcc" "-o" "$out/bin/asks" "asks.c" "-lanswer" in="src"
    }
    check { run "bin/asks"; }
}
"#;

#[test]
fn what_a_recipe_uses_is_built_before_it_and_a_change_of_it_is_seen() {
    let scratch = Scratch::new().sharing();
    let answer = |number: u32| format!("int answer(void) {{ return {number}; }}\n");
    scratch.write("recipes/answer.kdl", LIBRARY);
    scratch.write("recipes/answer-src/answer.h", "int answer(void);\n");
    scratch.write("recipes/answer-src/answer.c", &answer(42));
    scratch.write("recipes/asks.kdl", PROGRAM);
    scratch.write(
        "recipes/asks-src/asks.c",
        "#include <answer.h>\nint main(void) { return answer() == 42 ? 0 : 1; }\n",
    );
    let ran = scratch.run(["build", "asks"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    let ran = ran.ok();
    assert!(ran.out.contains("result/asks"), "{}", ran.out);
    let library = scratch.work().join("result/asks/lib/libanswer.so.1");
    assert!(fs::metadata(&library).is_ok(), "{library}");
    let headers = scratch.work().join("result/asks/include");
    assert!(
        fs::metadata(&headers).is_err(),
        "headers are for who builds"
    );

    // Nothing but a file of what is used has changed: no memo may hide it.
    scratch.write("recipes/answer-src/answer.c", &answer(41));
    let ran = scratch.run(["build", "asks", "--offline"]).fails_with(1);
    assert!(ran.err.contains("bin/asks"), "{}", ran.err);
    scratch.store_verifies();
}

#[test]
fn a_sysroot_stays_laid_out_for_the_next_build_until_nothing_keeps_it() {
    let scratch = Scratch::new();
    let recipe = |word: &str| {
        format!(
            r#"recipe "small" version="1" {{
    sysroot "debian" suite="trixie" {{ package "dash"; }}
    build {{ run "sh" "-c" "echo {word} > $out/word"; }}
}}"#
        )
    };
    // Another folder of that name would have another inode.
    let laid_out = || -> Vec<u64> {
        let trees = fs::read_dir(scratch.store().join("trees")).expect("a folder");
        let trees = trees.map(|tree| tree.expect("an entry").path());
        let sysroots = trees.filter(|tree| tree.join("usr/bin/dash").exists());
        let inodes = sysroots.map(|tree| fs::metadata(tree).expect("a folder").ino());
        inodes.collect()
    };
    scratch.write("recipes/small.kdl", &recipe("one"));
    let ran = scratch.run(["build", "small"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    ran.ok();
    let first = laid_out();
    assert_eq!(first.len(), 1);
    scratch.write("recipes/small.kdl", &recipe("two"));
    scratch.run(["build", "small", "--offline"]).ok();
    assert_eq!(laid_out(), first);
    scratch.store_verifies();
    fs::remove_file(scratch.work().join("result/small")).expect("removed");
    scratch.run(["gc"]).ok();
    assert!(laid_out().is_empty());
    scratch.store_verifies();
}

#[test]
fn a_program_that_is_no_file_of_the_kernels_is_started_as_a_shell_starts_it() {
    let scratch = Scratch::new();
    let sysroot = r#"sysroot "debian" suite="trixie" { package "dash"; }"#;
    let tool = "mkdir -p $out/bin; echo 'echo $1 > $${out}/share/said' > $out/bin/say; chmod 755 $out/bin/say";
    let recipe = |name: &str, uses: &str, run: &str| {
        let text = format!(
            "recipe \"{name}\" version=\"1\" {{\n{uses}{sysroot}\nbuild {{ run {run}; }}\n}}\n"
        );
        scratch.write(&format!("recipes/{name}.kdl"), &text);
    };
    recipe("tool", "", &format!("\"sh\" \"-c\" {tool:?}"));
    // It has no first line that names its interpreter, so execve(2) refuses it.
    recipe(
        "says",
        "use \"tool\"\n",
        r#""mkdir" "$out/share"; run "say" "hello""#,
    );
    let ran = scratch.run(["build", "says"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    ran.ok();
    let said = fs::read_to_string(scratch.work().join("result/says/share/said"));
    assert_eq!(said.expect("a file"), "hello\n");
    recipe("says", "use \"tool\"\n", r#""nothing-of-that-name""#);
    let ran = scratch.run(["build", "says", "--offline"]).fails_with(1);
    assert!(ran.err.contains("nothing-of-that-name"), "{}", ran.err);
}

/// git's own server, as a web server runs it (git-http-backend(1)).
const GIT_SERVER: &str = r#"
import http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        env = dict(
            os.environ,
            GIT_PROJECT_ROOT=sys.argv[1],
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO=self.path,
            REQUEST_METHOD="POST",
            CONTENT_TYPE=self.headers["content-type"],
            CONTENT_LENGTH=str(len(body)),
            GIT_PROTOCOL=self.headers.get("git-protocol", ""),
        )
        said = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE)
        head, _, content = said.stdout.partition(b"\r\n\r\n")
        head = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(head.pop("Status", "200 OK").split()[0]))
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A server that ends with the test.
struct GitServer(Child);

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A recipe that a shell builds, in layers of three that each use all of the layer below.
fn layered(layer: usize, number: usize) -> String {
    let uses = (0..3).map(|below| format!(" \"n{}-{below}\"", layer.wrapping_sub(1)));
    let uses: String = match layer {
        0 => String::new(),
        _ => format!("use{}", uses.collect::<String>()),
    };
    format!(
        r#"recipe "n{layer}-{number}" version="1" {{
    {uses}
    sysroot "debian" suite="trixie" {{ package "dash"; }}
    build {{ run "sh" "-ec" "echo {layer} > $out/n{layer}-{number}"; }}
}}
"#
    )
}

/// There are 3^14 ways from the top to the bottom.
#[test]
fn recipes_that_many_others_use_are_read_and_built_once() {
    const LAYERS: usize = 15;
    let scratch = Scratch::new().sharing();
    scratch.write("recipes/n0-0.kdl", &layered(0, 0));
    let ran = scratch.run(["lock", "n0-0"]);
    if ran.code == Some(4) {
        return skip("no mirror can be reached");
    }
    ran.ok();
    // All of them ask for the same.
    let lock = fs::read_to_string(scratch.work().join("recipes/n0-0.lock.kdl")).unwrap();
    for (layer, number) in (0..LAYERS).flat_map(|layer| (0..3).map(move |n| (layer, n))) {
        let name = format!("recipes/n{layer}-{number}");
        scratch.write(&format!("{name}.kdl"), &layered(layer, number));
        scratch.write(&format!("{name}.lock.kdl"), &lock);
    }
    let ran = scratch.run(["build", "--locked", "n14-0"]).ok();
    assert!(ran.out.contains("result/n14-0"), "{}", ran.out);
    let listed = scratch.run(["plan", "n14-0", "--json"]).ok().out;
    let builds = listed.matches("\"kind\": \"build\"").count();
    assert_eq!(builds, 3 * (LAYERS - 1) + 1, "{listed}");

    // A change at the bottom is seen at the top, a text away from any file that the top names.
    let changed = layered(0, 0).replace("echo 0", "exit 3; echo 0");
    scratch.write("recipes/n0-0.kdl", &changed);
    let ran = scratch.run(["build", "n14-0", "--offline"]).fails_with(1);
    assert!(ran.err.contains("n0-0"), "{}", ran.err);

    // And the bottom may not need the top.
    let circle = layered(0, 0).replace("sysroot", "use \"n14-0\"\n    sysroot");
    scratch.write("recipes/n0-0.kdl", &circle);
    let ran = scratch.run(["build", "n14-0", "--offline"]).fails_with(3);
    assert!(ran.err.contains("in a circle"), "{}", ran.err);
    assert!(ran.err.contains("n0-0.kdl -> "), "{}", ran.err);
}

#[test]
fn a_commit_of_a_repository_is_built_and_another_one_is_refused() {
    let scratch = Scratch::new().sharing();
    scratch.write("repositories/hello/share/text", "of a commit\n");
    let repository = scratch.work().join("repositories/hello");
    let git = |args: &[&str]| {
        let ran = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@b.test"])
            .args(args)
            .current_dir(&repository)
            .output();
        let ran = ran.ok().filter(|ran| ran.status.success())?;
        Some(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    };
    let commit = git(&["init", "-q"])
        .and_then(|_| git(&["add", "-A"]))
        .and_then(|_| git(&["commit", "-qm", "one"]))
        .and_then(|_| git(&["rev-parse", "HEAD"]));
    let Some(commit) = commit else {
        return skip("there is no git");
    };
    let server = Command::new("python3")
        .args([
            "-c",
            GIT_SERVER,
            scratch.work().join("repositories").as_str(),
        ])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut server) = server.map(GitServer) else {
        return skip("there is no python3 to serve a repository");
    };
    let mut port = String::new();
    let said = server.0.stdout.take().expect("a pipe");
    BufReader::new(said).read_line(&mut port).expect("its port");
    let url = format!("http://127.0.0.1:{}/hello/.git", port.trim());
    let recipe = |commit: &str| {
        format!(
            r#"recipe "cloned" version="1" {{
    source "src" {{ git "{url}" commit="{commit}"; }}
    sysroot "debian" suite="trixie" {{ package "bash"; }}
    build {{ run "mkdir" "-p" "$out"; run "cp" "-r" "share" "$out" in="src"; }}
}}
"#
        )
    };
    scratch.write("recipes/cloned.kdl", &recipe(&commit));
    let ran = scratch.run(["build", "cloned"]);
    if ran.code == Some(4) && !ran.err.contains("git") {
        return skip("no mirror can be reached");
    }
    ran.ok();
    let built = fs::read_to_string(scratch.work().join("result/cloned/share/text"));
    assert_eq!(built.expect("built"), "of a commit\n");
    let lock = fs::read_to_string(scratch.work().join("recipes/cloned.lock.kdl")).expect("a lock");
    assert!(lock.contains(&format!("src-{commit}.tar")), "{lock}");
    assert!(!lock.contains("127.0.0.1"), "{lock}");

    let other = "1234567890123456789012345678901234567890";
    scratch.write("recipes/cloned.kdl", &recipe(other));
    let ran = scratch.run(["build", "cloned"]).fails_with(4);
    assert!(ran.err.contains("not our ref"), "{}", ran.err);
    // Not a repository: a page, or nothing.
    scratch.write(
        "recipes/cloned.kdl",
        &recipe(&commit).replace("/hello/.git", "/other"),
    );
    let ran = scratch.run(["lock", "cloned", "--upgrade"]).fails_with(4);
    assert!(ran.err.contains("/other"), "{}", ran.err);
    scratch.store_verifies();
}
