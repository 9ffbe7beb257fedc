//! `closure { fixed-path "/opt/hello" }`: with privileges that its caller has not, a program takes its
//! loader and libraries from that folder and from nowhere else. Programs are started in a root folder
//! that holds the closure at its place and at another.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Output};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::{MAIN_JOB, Scratch, is_root, skip, sources};

const FIXED: &str = "opt/hello";
const ELSEWHERE: &str = "elsewhere";
const PROGRAM: &str = "bin/python3.13";
/// Who starts programs, and whose rights those with a set-user-ID bit get.
const STARTER: u32 = 65533;
const OWNER: u32 = 65534;

/// The closure, built once, and the folder of one test with copies of it.
struct Host(tempfile::TempDir);

fn closure() -> Option<&'static Scratch> {
    static BUILT: OnceLock<Option<Scratch>> = OnceLock::new();
    let build = || {
        let scratch = Scratch::new().local(sources()?);
        let recipe = scratch.work().join("recipes/app/scylla-python.kdl");
        let text = fs::read_to_string(&recipe).expect("a recipe");
        let closure = format!("closure {{\n        fixed-path \"/{FIXED}\"");
        fs::write(&recipe, text.replace("closure {", &closure)).expect("written");
        let build = scratch.run(["build", MAIN_JOB, "--locked"]).ok();
        assert!(build.out.contains("may be given privileges in /opt/hello"));
        Some(scratch)
    };
    BUILT.get_or_init(build).as_ref()
}

impl Host {
    fn new() -> Option<Host> {
        if !is_root() {
            skip("only root can give privileges");
            return None;
        }
        let built = closure()?;
        let host = Host(tempfile::tempdir().expect("a folder"));
        for place in [FIXED, ELSEWHERE] {
            let to = host.path(place);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            run("cp", &["-aL", built.result().as_str(), to.as_str()]);
        }
        run("chmod", &["-R", "a+rX,u+w", host.path("").as_str()]);
        Some(host)
    }

    fn path(&self, inside: &str) -> Utf8PathBuf {
        let root = Utf8Path::from_path(self.0.path()).expect("UTF-8");
        root.join(inside)
    }

    fn set_user_id(&self, place: &str) {
        let program = self.path(place).join(PROGRAM);
        chown(&program, Some(OWNER), Some(OWNER)).expect("root");
        let mode = fs::Permissions::from_mode(0o4755);
        fs::set_permissions(&program, mode).expect("root");
    }

    /// Starts the program at `place` as an ordinary user.
    fn start(&self, place: &str, code: &str, env: &[(&str, &str)]) -> Output {
        let who = format!("--userspec={STARTER}:{STARTER}");
        let program = format!("/{place}/{PROGRAM}");
        let mut command = Command::new("chroot");
        command
            .arg(who)
            .arg(self.path(""))
            .args([&program, "-c", code]);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
            .envs(env.iter().copied())
            .output()
            .expect("chroot starts")
    }

    #[track_caller]
    fn say(&self, place: &str, code: &str, env: &[(&str, &str)]) -> String {
        let output = self.start(place, code, env);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{place}: {}: {said}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

#[track_caller]
fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status();
    assert!(status.expect("it starts").success(), "{program} {words:?}");
}

const WHO: &str = "import os; print(os.getuid(), os.geteuid())";
/// Extension modules, the closure's libraries, and one that a wheel brings in a folder of its own.
const ALL: &str = "import ssl, sqlite3, lzma, ctypes, yaml._yaml, psutil
from cassandra.io import libevwrapper
print(ctypes.CDLL('libudev.so.1')._name)";

#[test]
fn with_privileges_a_program_takes_all_from_the_fixed_path_and_without_from_its_own() {
    let Some(host) = Host::new() else { return };
    assert_eq!(host.say(ELSEWHERE, WHO, &[]), "65533 65533");
    for place in [FIXED, ELSEWHERE] {
        host.set_user_id(place);
        assert_eq!(host.say(place, WHO, &[]), "65533 65534", "{place}");
        assert_eq!(host.say(place, ALL, &[]), "libudev.so.1", "{place}");
    }

    // What whoever starts it put beside a copy is not used: this loader would only crash.
    let loader = host.path(ELSEWHERE).join("lib/ld-linux-x86-64.so.2");
    fs::write(&loader, "no loader").expect("written");
    assert_eq!(host.say(ELSEWHERE, WHO, &[]), "65533 65534");
    fs::rename(host.path(FIXED), host.path("opt/away")).expect("renamed");
    let output = host.start(ELSEWHERE, WHO, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(127), "{said}");
    let wanted = "cannot open its loader /opt/hello/bin/../lib/ld-linux-x86-64.so.2: with raised \
                  privileges it works only where its closure was built for";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn with_privileges_no_variable_of_the_caller_leads_the_loader_or_a_child() {
    let Some(host) = Host::new() else { return };
    let children =
        "import os; print(sorted(name for name in os.environ if name.startswith('LD_')))";
    let given = [
        ("LD_PRELOAD", "/none.so"),
        ("LD_LIBRARY_PATH", "/none"),
        ("LD_AUDIT", "/none.so"),
    ];
    let all = "['LD_AUDIT', 'LD_LIBRARY_PATH', 'LD_PRELOAD']";
    assert_eq!(host.say(FIXED, children, &given), all);
    host.set_user_id(FIXED);
    assert_eq!(host.say(FIXED, children, &given), "[]");

    // The private names of data folders are not the caller's to set either.
    let locale = "import locale; print(locale.setlocale(locale.LC_CTYPE, 'xx_XX.utf8'))";
    let own = host.path(FIXED).join("lib/locale/C.utf8");
    let planted = host.path("planted");
    fs::create_dir_all(&planted).expect("a folder");
    run(
        "cp",
        &["-a", own.as_str(), planted.join("xx_XX.utf8").as_str()],
    );
    let output = host.start(FIXED, locale, &[("RCPLOCP", "/planted")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("unsupported locale setting"));
}

#[test]
fn file_capabilities_work_in_the_fixed_path_and_no_closure_without_one_takes_them() {
    let Some(host) = Host::new() else { return };
    let program = host.path(FIXED).join(PROGRAM);
    let words = ["cap_net_bind_service+ep", program.as_str()];
    match Command::new("setcap").args(words).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return skip(&format!(
                "setcap: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Err(_) => return skip("setcap is wanted"),
    }
    let bind = "import socket
for port in range(81, 1024):
    try: socket.create_server(('127.0.0.1', port)).close(); print('bound'); break
    except OSError as error:
        if error.errno != 98: raise";
    assert_eq!(host.say(FIXED, bind, &[]), "bound");
    let output = host.start(ELSEWHERE, bind, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("PermissionError"));
}
