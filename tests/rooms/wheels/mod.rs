//! Requirements → wheels with the pinned uv in the sandbox, against an index on loopback.
//!
//! uv itself comes from the index that this machine's pip would ask, once for all tests; where
//! that cannot be had, a line says so and the tests end.

mod index;

use std::process::Command;
use std::sync::{Arc, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};
use recipe::lock::wheels::{self, Context, Upgrade, WheelsError};
use recipe::lock::{FileKind, Locked};
use recipe::net::{Net, Settings, Silence};
use recipe::python::{Requirement, Target};
use recipe::sandbox::Sandbox;
use recipe_store::{Session, Store};
use reqwest::Url;

use index::Index;

struct Machine {
    session: Session,
    /// Major and minor version of `/usr/bin/pythonX.Y`.
    python: String,
    /// Where uv comes from.
    index: Url,
}

/// What all tests share: one store, so that uv is fetched once.
fn machine() -> Option<&'static Machine> {
    static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
    MACHINE.get_or_init(Machine::find).as_ref()
}

impl Machine {
    fn find() -> Option<Machine> {
        let python = say(
            "/usr/bin/python3",
            "import sys; print('%d.%d' % sys.version_info[:2])",
        );
        let index = std::env::var("PIP_INDEX_URL").ok().or_else(|| {
            say(
                "python3",
                "from pip._internal.models.index import PyPI; print(PyPI.simple_url)",
            )
        });
        let (Some(python), Some(index)) = (python, index) else {
            eprintln!("skipped: this machine has no /usr/bin/python3, or no pip");
            return None;
        };
        let folder = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wheels-store");
        let session = Store::open(&folder).unwrap().session().unwrap();
        let index = Url::parse(&index).unwrap();
        let machine = Machine {
            session,
            python,
            index,
        };
        // The question that needs no index but the real one: is uv to be had?
        let nothing = Index::start();
        match machine.resolve(&nothing, &["nothing-of-this-name"], &[], Upgrade::Nothing) {
            Err(WheelsError::Unknown { .. }) => {
                machine.session.commit().unwrap();
                Some(machine)
            }
            Err(WheelsError::Net(error)) => {
                eprintln!("skipped: uv cannot be fetched here: {error}");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn resolve(
        &self,
        index: &Index,
        asked: &[&str],
        previous: &[Locked],
        upgrade: Upgrade<'_>,
    ) -> Result<Vec<Locked>, WheelsError> {
        self.resolve_with(Settings::default(), index, asked, previous, upgrade)
    }

    fn resolve_with(
        &self,
        settings: Settings,
        index: &Index,
        asked: &[&str],
        previous: &[Locked],
        upgrade: Upgrade<'_>,
    ) -> Result<Vec<Locked>, WheelsError> {
        let asked: Vec<Requirement> = asked.iter().map(|text| text.parse().unwrap()).collect();
        let net = Net::new(settings, Arc::new(Silence));
        wheels::resolve(
            &asked,
            previous,
            upgrade,
            &Context {
                net: &net,
                session: &self.session,
                sandbox: &Sandbox::new(env!("CARGO_BIN_EXE_recipe")),
                indexes: &[index.url.clone(), self.index.clone()],
                target: &Target::new(&self.python, (2, 31), recipe::platform::Platform::X86_64)
                    .unwrap(),
                python_root: Utf8Path::new("/"),
                python: &self.python,
            },
        )
    }
}

fn say(program: &str, code: &str) -> Option<String> {
    let output = Command::new(program).args(["-c", code]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn short(locked: &[Locked]) -> Vec<String> {
    locked
        .iter()
        .map(|file| format!("{} {} <- {}", file.name, file.version, file.reason))
        .collect()
}

#[test]
fn one_wheel_for_each_project_with_who_needs_it() {
    let Some(machine) = machine() else { return };
    let index = Index::start();
    index
        .wheel(
            "Fox_Trot",
            "1.0",
            &["golf>=2", "india; python_version < '3'"],
        )
        .wheel("golf", "2.5", &[]);
    index.wheel("golf", "1.0", &[]).file(
        "golf-2.5-cp27-none-win32.whl",
        index::wheel("golf", "2.5", &[]),
    );
    index.wheel("hotel", "0.1", &["golf"]);
    let locked = machine
        .resolve(
            &index,
            &["fox-trot", "golf", "hotel"],
            &[],
            Upgrade::Nothing,
        )
        .unwrap();
    assert_eq!(
        short(&locked),
        [
            "fox-trot 1.0 <- recipe",
            "golf 2.5 <- recipe, fox-trot, hotel",
            "hotel 0.1 <- recipe"
        ]
    );
    let golf = &locked[1];
    let bytes = index::wheel("golf", "2.5", &[]);
    assert_eq!(
        (golf.kind, golf.path.as_str()),
        (FileKind::Wheel, "golf-2.5-py3-none-any.whl")
    );
    assert_eq!(
        golf.size,
        bytes.len() as u64,
        "an HTML page does not say it"
    );
    assert!(
        !format!("{locked:?}").contains("127.0.0.1"),
        "a lock names no host"
    );
}

#[test]
fn versions_stay_unless_they_are_told_to_move() {
    let Some(machine) = machine() else { return };
    let index = Index::start();
    index.wheel("golf", "1.0", &[]).wheel("hotel", "1.0", &[]);
    let asked = ["golf", "hotel"];
    let first = machine
        .resolve(&index, &asked, &[], Upgrade::Nothing)
        .unwrap();
    index.wheel("golf", "2.0", &[]).wheel("hotel", "2.0", &[]);
    let golf = ["golf".parse().unwrap()];
    let versions = |upgrade, asked: &[&str]| {
        let locked = machine.resolve(&index, asked, &first, upgrade).unwrap();
        locked
            .into_iter()
            .map(|file| file.version)
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(Upgrade::Nothing, &asked), ["1.0", "1.0"]);
    assert_eq!(versions(Upgrade::These(&golf), &asked), ["2.0", "1.0"]);
    assert_eq!(versions(Upgrade::Everything, &asked), ["2.0", "2.0"]);
    assert_eq!(
        versions(Upgrade::Nothing, &["golf>1", "hotel"]),
        ["2.0", "1.0"]
    );
}

#[test]
fn what_cannot_be_satisfied_is_explained() {
    let Some(machine) = machine() else { return };
    let index = Index::start();
    index
        .wheel("golf", "1.0", &["hotel<1"])
        .wheel("hotel", "1.0", &[]);
    let error = machine
        .resolve(&index, &["golf", "hotel"], &[], Upgrade::Nothing)
        .unwrap_err();
    let WheelsError::Unsatisfiable { reason, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        reason.contains("hotel<1") && !reason.contains("--"),
        "{reason}"
    );
    assert_eq!(error.project().unwrap().as_str(), "golf");
    let unknown = machine
        .resolve(&index, &["golff"], &[], Upgrade::Nothing)
        .unwrap_err();
    assert!(matches!(&unknown, WheelsError::Unknown { project } if project.as_str() == "golff"));
}

#[test]
fn a_project_without_a_fitting_wheel_is_told_with_what_it_has() {
    let Some(machine) = machine() else { return };
    let index = Index::start();
    index.file(
        "golf-1.0-cp27-none-win32.whl",
        index::wheel("golf", "1.0", &[]),
    );
    index.file("hotel-3.0.tar.gz", b"source".to_vec());
    let golf = machine
        .resolve(&index, &["golf"], &[], Upgrade::Nothing)
        .unwrap_err();
    let WheelsError::NoWheel { offered, .. } = &golf else {
        panic!("{golf:?}")
    };
    assert_eq!(offered, &["cp27-none-win32"]);
    let hotel = machine
        .resolve(&index, &["hotel>=2"], &[], Upgrade::Nothing)
        .unwrap_err();
    assert_eq!(
        hotel.to_string(),
        "hotel 3.0 comes as source only, there is no wheel of it"
    );
}

#[test]
fn an_index_that_does_not_answer_is_followed_by_the_next() {
    let Some(machine) = machine() else { return };
    let mut dead = Index::start();
    dead.url = Url::parse("http://127.0.0.1:1/simple/").unwrap();
    let Err(error) = machine.resolve(
        &dead,
        &["nothing-of-this-name-at-all"],
        &[],
        Upgrade::Nothing,
    ) else {
        panic!("there is no such project")
    };
    assert!(
        matches!(error, WheelsError::Unknown { .. }),
        "the second index answered: {error:?}"
    );
}

#[test]
fn offline_is_said_before_anything_is_tried() {
    let Some(machine) = machine() else { return };
    let index = Index::start();
    let offline = Settings {
        offline: true,
        ..Settings::default()
    };
    let error = machine
        .resolve_with(offline, &index, &["golf"], &[], Upgrade::Nothing)
        .unwrap_err();
    assert!(matches!(error, WheelsError::Offline), "{error:?}");
}
