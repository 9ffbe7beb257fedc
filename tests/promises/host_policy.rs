//! `closure { host { ... } }`: what a closure takes of its host is what the recipe says. Each closure
//! runs in a root whose data differ from the closure's, so that one can tell whose were read.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::{Scratch, is_root, skip, sources};

const RECIPE: &str = "python";

/// Everything asked for in one order; what has no such order stays as it is.
const ORDERS: [(&str, &str); 4] = [
    ("usual", ""),
    (
        "closure-first",
        "certificates \"closure-first\"; time-zones \"closure-first\"; locales \"closure-first\"
         terminals \"closure-first\"",
    ),
    (
        "closure-only",
        "certificates \"closure-only\"; time-zones \"closure-only\"; locales \"closure-only\"
         terminals \"closure-only\"; openssl-configuration \"closure-only\"",
    ),
    (
        "host-first",
        "openssl-configuration \"host-first\"; name-service \"host-first\"; preloads \"host-first\"",
    ),
];

fn link(scratch: &Scratch) -> Utf8PathBuf {
    scratch.work().join("result").join(RECIPE)
}

/// A root with the four closures and a host's data around them.
struct Host {
    scratch: Scratch,
}

impl Host {
    fn new() -> Option<Host> {
        let sources = sources()?;
        let scratch = Scratch::new().warm(sources);
        let recipe = scratch.work().join("recipes/python/python.kdl");
        let text = fs::read_to_string(&recipe).expect("a recipe");
        for (name, orders) in ORDERS {
            let closure = format!("closure {{\n        host {{ {orders} }}");
            fs::write(&recipe, text.replace("closure {", &closure)).expect("written");
            scratch.run(["build", RECIPE, "--locked"]).ok();
            let to = scratch.path().join("root").join(name);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            run("cp", &["-aL", link(&scratch).as_str(), to.as_str()]);
        }
        let host = Host { scratch };
        host.furnish();
        Some(host)
    }

    fn root(&self) -> Utf8PathBuf {
        self.scratch.path().join("root")
    }

    fn own(&self, path: &str) -> Utf8PathBuf {
        self.root().join("usual").join(path)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("written");
    }

    /// One certificate; Berlin's clock in New York and the host in Tokyo; a locale and a terminal
    /// that no closure has; a configuration of OpenSSL that stops it; two libraries.
    fn furnish(&self) {
        let all = fs::read_to_string(self.own("etc/ssl/certs/ca-certificates.crt")).expect("text");
        let end = all
            .find("-----END CERTIFICATE-----\n")
            .expect("a certificate")
            + 26;
        self.write("etc/ssl/certs/ca-certificates.crt", &all[..end]);
        let zone = |name: &str| fs::read(self.own("share/zoneinfo").join(name)).expect("a zone");
        self.write("usr/share/zoneinfo/Europe/Berlin", zone("America/New_York"));
        self.write("etc/localtime", zone("Asia/Tokyo"));
        let locales = self.root().join("usr/lib/locale");
        fs::create_dir_all(&locales).expect("a folder");
        let own = self.own("lib/locale/C.utf8");
        run("cp", &["-a", own.as_str(), locales.join("C.utf8").as_str()]);
        symlink("C.utf8", locales.join("xx_XX.utf8")).expect("a link");
        let xterm = fs::read(self.own("share/terminfo/x/xterm")).expect("a terminal");
        self.write("usr/share/terminfo/z/zork", xterm);
        self.write(
            "etc/ssl/openssl.cnf",
            "config_diagnostics = 1\nopenssl_conf = missing\n",
        );
        self.write("etc/nsswitch.conf", "passwd: files probe\n");
        self.library(
            "usr/lib64/libnss_probe.so.2",
            "#include <pwd.h>\n#include <string.h>\n\
             int _nss_probe_getpwnam_r(const char *n, struct passwd *p, char *b, unsigned long l, int *e)\n\
             { if (strcmp(n, \"probe\")) return 0; strcpy(b, n); memset(p, 0, sizeof *p);\n\
               p->pw_name = p->pw_passwd = p->pw_gecos = p->pw_dir = p->pw_shell = b;\n\
               p->pw_uid = 4711; return 1; }\n",
        );
        self.library(
            "preloaded.so",
            "#include <unistd.h>\n__attribute__((constructor)) static void f(void)\n\
             { if (write(1, \"preloaded \", 10)) {} }\n",
        );
    }

    fn library(&self, path: &str, source: &str) {
        let file = self.scratch.path().join("library.c");
        fs::write(&file, source).expect("written");
        self.write(path, "");
        let out = self.root().join(path);
        run(
            "cc",
            &["-shared", "-fPIC", "-o", out.as_str(), file.as_str()],
        );
    }

    /// What Python prints, by each closure, in the order of [`ORDERS`].
    fn say(&self, code: &str, env: &[(&str, &str)]) -> [String; 4] {
        ORDERS.map(|(name, _)| {
            let output = Command::new("chroot")
                .arg(self.root())
                .args([&format!("/{name}/bin/python3"), "-c", code])
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .envs(env.iter().copied())
                .output()
                .expect("chroot starts");
            let last = String::from_utf8_lossy(&output.stderr);
            let last = last.lines().last().unwrap_or_default().to_owned();
            match output.status.success() {
                true => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                false => last.split(':').next().unwrap_or_default().to_owned(),
            }
        })
    }
}

#[track_caller]
fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status();
    assert!(status.expect("it starts").success(), "{program} {words:?}");
}

fn has_compiler() -> bool {
    Utf8Path::new("/usr/bin/cc").exists()
}

#[test]
fn what_a_closure_takes_of_its_host_is_what_the_recipe_says() {
    if !is_root() || !has_compiler() {
        return skip("root and a C compiler are wanted");
    }
    let Some(host) = Host::new() else { return };

    let count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 1)";
    let many = [
        ("usual", "False"),
        ("closure-first", "True"),
        ("closure-only", "True"),
    ];
    assert_eq!(host.say(count, &[])[..3], many.map(|(_, answer)| answer));

    let berlin = "import datetime, zoneinfo; print(datetime.datetime(2026, 7, 1, \
                  tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset().total_seconds() // 3600)";
    assert_eq!(host.say(berlin, &[])[..3], ["-4.0", "2.0", "2.0"]);
    let clock = "import time; print(time.localtime(1782864000).tm_gmtoff // 3600)";
    assert_eq!(
        host.say(clock, &[("TZ", "Europe/Berlin")])[..3],
        ["-4", "2", "2"]
    );
    assert_eq!(host.say(clock, &[])[..3], ["9", "9", "0"]);

    let locale = "import locale; print(locale.setlocale(locale.LC_CTYPE, 'xx_XX.utf8'))";
    let there = ["xx_XX.utf8", "xx_XX.utf8", "locale.Error"];
    assert_eq!(host.say(locale, &[])[..3], there);
    let usual = "import locale; print(locale.setlocale(locale.LC_CTYPE, 'C.UTF-8'))";
    assert_eq!(host.say(usual, &[]), ["C.UTF-8"; 4]);

    let terminal = |name: &str| {
        format!("import curses; curses.setupterm({name:?}, 1); print(curses.tigetnum('colors'))")
    };
    assert_eq!(
        host.say(&terminal("zork"), &[])[..3],
        ["8", "8", "_curses.error"]
    );
    assert_eq!(host.say(&terminal("xterm"), &[]), ["8"; 4]);

    let context = "import ssl; ssl.create_default_context(); print('works')";
    let [usual, _, only, first] = host.say(context, &[]);
    assert_eq!((usual.as_str(), only.as_str()), ("works", "works"));
    assert_ne!(first, "works", "the host's configuration is read");

    let folders = "import ctypes; library = ctypes.CDLL('libcrypto.so.3')\n\
                   for name in 'X509_get_default_cert_dir', 'X509_get_default_cert_file':\n    \
                   ask = getattr(library, name); ask.restype = ctypes.c_char_p\n    \
                   print(ask().startswith((b'/etc', b'/usr')), end=' ')";
    assert_eq!(host.say(folders, &[]), ["False False"; 4]);

    let user = "import pwd; print(pwd.getpwnam('probe').pw_uid)";
    assert_eq!(
        host.say(user, &[]),
        ["KeyError", "KeyError", "KeyError", "4711"]
    );

    let preload = [("LD_PRELOAD", "/preloaded.so")];
    let [usual, _, only, first] = host.say("print('python')", &preload);
    assert_eq!((usual.as_str(), only.as_str()), ("python", "python"));
    assert_eq!(first, "preloaded python");
}

#[test]
fn the_manifest_says_what_is_not_as_usual_and_saying_the_usual_changes_nothing() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().warm(sources);
    let recipe = scratch.work().join("recipes/python/python.kdl");
    let text = fs::read_to_string(&recipe).expect("a recipe");
    scratch.run(["build", RECIPE, "--locked"]).ok();
    let plain = fs::read_link(link(&scratch)).expect("a link");
    let with = |orders: &str| {
        let closure = format!("closure {{ host {{ {orders} }}\n");
        fs::write(&recipe, text.replace("closure {", &closure)).expect("written");
        scratch.run(["build", RECIPE, "--locked"]).ok();
        fs::read_link(link(&scratch)).expect("a link")
    };
    assert_eq!(
        plain,
        with("time-zones \"host-first\"; preloads \"closure-only\"")
    );
    assert_ne!(plain, with("time-zones \"closure-only\""));
    let manifest = fs::read_to_string(link(&scratch).join(".recipe-manifest")).expect("text");
    assert!(manifest.contains("\nhost time-zones closure-only\n"));
    scratch.run(["verify", link(&scratch).as_str()]).ok();
}
