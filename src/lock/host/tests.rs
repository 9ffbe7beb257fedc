//! Packages of a machine that exists in a folder only.

use std::os::unix::fs::symlink;

use super::*;
use crate::archive::{ArchiveError, Limits, Sink, unpack_deb};

struct Machine(tempfile::TempDir);

impl Machine {
    /// One package, with a program, a link, a configuration file, a manual and a licence.
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        let long = format!("usr/lib/tool/{}/data", "long".repeat(30));
        for (path, text) in [
            ("usr/bin/tool", "#!/bin/sh\n"),
            ("etc/tool.conf", "a = 1\n"),
            ("usr/share/man/man1/tool.1", "manual"),
            ("usr/share/doc/tool/copyright", "free"),
            (long.as_str(), "deep"),
        ] {
            machine.write(path, text);
        }
        let program = machine.root().join("usr/bin/tool");
        fs::set_permissions(program, fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("tool", machine.root().join("usr/bin/alias")).unwrap();
        let list = format!(
            "/.\n/bin\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/bin/alias\n/etc/tool.conf\n\
             /usr/share/man/man1/tool.1\n/usr/share/doc/tool/copyright\n/{long}\n"
        );
        machine.write("var/lib/dpkg/info/tool:amd64.list", &list);
        let sums = format!(
            "{}  usr/bin/tool\n{}  usr/share/doc/tool/copyright\n{}  {long}\n",
            sum("#!/bin/sh\n"),
            sum("free"),
            sum("deep")
        );
        machine.write("var/lib/dpkg/info/tool:amd64.md5sums", &sums);
        let status = format!(
            "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
             Package: tool\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
             Version: 1:2.0-1\nDepends: libc6\nConffiles:\n /etc/tool.conf {}\n\
             Description: a tool\n with more words\n",
            sum("a = 1\n")
        );
        machine.write("var/lib/dpkg/status", &status);
        // As on all machines of today.
        symlink("usr/bin", machine.root().join("bin")).unwrap();
        machine
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn package(&self) -> Result<Vec<u8>, HostError> {
        Host::open(self.root(), "amd64").unwrap().package("tool")
    }

    fn refused(&self) -> String {
        self.package().unwrap_err().to_string()
    }
}

fn sum(text: &str) -> String {
    hex(&Md5::digest(text))
}

/// Paths, with `*` behind programs and targets behind links.
#[derive(Default)]
struct List(Vec<String>);

impl Sink for List {
    fn directory(&mut self, _: &str) -> Result<(), ArchiveError> {
        Ok(())
    }
    fn file(
        &mut self,
        path: &str,
        executable: bool,
        _: u64,
        content: &mut dyn io::Read,
    ) -> Result<(), ArchiveError> {
        let mut text = String::new();
        content.read_to_string(&mut text).unwrap();
        let mark = if executable { "*" } else { "" };
        self.0.push(format!("{path}{mark} {text:?}"));
        Ok(())
    }
    fn symlink(&mut self, path: &str, target: &str) -> Result<(), ArchiveError> {
        self.0.push(format!("{path} -> {target}"));
        Ok(())
    }
    fn hard_link(&mut self, path: &str, _: &str) -> Result<(), ArchiveError> {
        panic!("{path}");
    }
}

fn contents(deb: &[u8]) -> Vec<String> {
    let mut list = List::default();
    unpack_deb(deb, "tool", &Limits::default(), &mut list).unwrap();
    list.0
}

#[test]
fn an_installed_package_is_a_package_again_and_the_same_everywhere() {
    let deb = Machine::new().package().unwrap();
    assert_eq!(deb, Machine::new().package().unwrap());
    let long = format!("usr/lib/tool/{}/data \"deep\"", "long".repeat(30));
    let wanted = [
        "etc/tool.conf \"a = 1\\n\"",
        "usr/bin/alias -> tool",
        "usr/bin/tool* \"#!/bin/sh\\n\"",
        &long,
        "usr/share/doc/tool/copyright \"free\"",
    ];
    assert_eq!(contents(&deb), wanted);
}

#[test]
fn what_is_installed_reads_as_an_index() {
    let machine = Machine::new();
    let host = Host::open(machine.root(), "amd64").unwrap();
    let known = BTreeMap::from([("tool".to_owned(), (7, "a".repeat(64)))]);
    let mut found = Vec::new();
    let index = host.index(&known);
    crate::lock::index::packages(index.as_bytes(), &mut |it| found.push(it)).unwrap();
    let [package] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((&*package.name, &*package.version), ("tool", "1:2.0-1"));
    assert_eq!((package.size, &*package.depends), (7, "libc6"));
    assert_eq!(&*package.path, "tool_1%3a2.0-1_amd64.deb");
}

#[test]
fn a_package_that_is_not_as_it_was_installed_is_refused() {
    let machine = Machine::new();
    machine.write("usr/bin/tool", "#!/bin/bash\n");
    let said = machine.refused();
    assert!(
        said.contains("/usr/bin/tool is not as tool installed it"),
        "{said}"
    );
    let machine = Machine::new();
    fs::remove_file(machine.root().join("usr/bin/alias")).unwrap();
    assert!(machine.refused().contains("it is gone"));
    let machine = Machine::new();
    let list = machine.root().join("var/lib/dpkg/info/tool:amd64.list");
    let more = fs::read_to_string(&list).unwrap() + "/usr/bin/other\n";
    fs::write(&list, more).unwrap();
    machine.write("usr/bin/other", "who knows");
    assert!(machine.refused().contains("no record"));
    let machine = Machine::new();
    let diverted = "/usr/bin/tool\n/usr/bin/tool.orig\nbetter-tool\n";
    machine.write("var/lib/dpkg/diversions", diverted);
    let said = machine.refused();
    assert!(said.contains("better-tool has put a file"), "{said}");
    let machine = Machine::new();
    let program = machine.root().join("usr/bin/tool");
    fs::remove_file(&program).unwrap();
    symlink("/bin/true", &program).unwrap();
    assert!(machine.refused().contains("a link stands in its place"));
}

#[test]
fn changed_configuration_and_manuals_that_a_machine_lacks_are_no_hindrance() {
    let machine = Machine::new();
    machine.write("etc/tool.conf", "a = 2\n");
    fs::remove_file(machine.root().join("usr/share/man/man1/tool.1")).unwrap();
    let found = contents(&machine.package().unwrap());
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(
        !found.iter().any(|it| it.contains("tool.conf")),
        "{found:?}"
    );
}

#[test]
fn another_machine_with_other_content_says_which_package_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("store");
    let store = recipe_store::Store::open(&path).unwrap();
    let session = store.session().unwrap();
    let machine = Machine::new();
    let sha256 = hex(&Sha256::digest(machine.package().unwrap()));
    let file = |version| HostFile {
        name: "tool",
        version,
        path: "tool_1%3a2.0-1_amd64.deb",
        sha256: &sha256,
    };
    fetch(machine.root(), &session, &file("1:2.0-1")).unwrap();
    let said = fetch(machine.root(), &session, &file("1:1.0-1")).unwrap_err();
    let wanted = "tool 1:2.0-1 on this machine is not what is locked: version 1:1.0-1";
    assert_eq!(said.to_string(), wanted);
    let list = machine.root().join("var/lib/dpkg/info/tool:amd64.list");
    let less = fs::read_to_string(&list)
        .unwrap()
        .replace("/usr/bin/alias\n", "");
    fs::write(&list, less).unwrap();
    let said = fetch(machine.root(), &session, &file("1:2.0-1")).unwrap_err();
    assert!(
        said.to_string()
            .contains("the same version with other content"),
        "{said}"
    );
    fs::write(machine.root().join("var/lib/dpkg/status"), "").unwrap();
    let said = fetch(machine.root(), &session, &file("1:2.0-1")).unwrap_err();
    assert!(said.to_string().contains("tool is not installed"), "{said}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever stands in dpkg's records: an error, or a package that our own reader takes or refuses.
    #[test]
    fn records_that_somebody_damaged_never_panic(
        which in 0..4usize,
        at in 0.0..1.0f64,
        length in 0..40usize,
        put in "[a-z0-9/.:~ \n]{0,40}|\\.\\./\\.\\./etc/passwd|\n /usr/bin/tool x\n|\u{0}|ä/\u{202e}",
    ) {
        let machine = Machine::new();
        machine.write("var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.real\nother\n");
        let files = ["status", "info/tool:amd64.list", "info/tool:amd64.md5sums", "diversions"];
        let path = machine.root().join(ADMIN).join(files[which]);
        let mut bytes = fs::read(&path).unwrap();
        let start = (bytes.len() as f64 * at) as usize;
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, put.bytes());
        fs::write(&path, bytes).unwrap();
        let Ok(host) = Host::open(machine.root(), "amd64") else {
            return Ok(());
        };
        host.index(&BTreeMap::new());
        for name in host.packages.keys() {
            if let Ok(deb) = host.package(name) {
                let _ = unpack_deb(&deb[..], name, &Limits::default(), &mut List::default());
            }
        }
    }
}
