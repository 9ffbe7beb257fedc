//! Facts about requirements and requirements files.

use super::*;

const BASE: &str = r#"recipe hello version="1" {
    interpreter python "3.13" from=debian suite=trixie
    pip { requirements "requirements.txt"; }
}
"#;

impl Folder {
    fn read(&self) -> Result<Recipe, RecipeError> {
        Recipe::parse("hello.kdl", BASE.into(), self.path())
    }

    /// The message, with the folder's random name left out.
    fn refused(&self) -> String {
        let error = self.read().expect_err("refused");
        wide_message(&error).replace(self.path().as_str(), "DIR")
    }
}

fn texts(recipe: &Recipe) -> Vec<&str> {
    let all = recipe.requirements().iter();
    all.map(|requirement| requirement.text.as_str()).collect()
}

#[test]
fn comments_continuations_hashes_and_includes_are_understood() {
    let zeros = "0".repeat(64);
    let text = format!(
        "# a comment\n\nPyYAML==6.0.2 \\\n    --hash=sha256:{zeros} \\\n    --hash=sha256:{}\n\
         psutil>=5.9   # why not\n-r more/base.txt\n\
         tomli>=2 ; python_version < '3.11'\r\n",
        "A".repeat(64),
    );
    let folder = Folder::with(&[
        ("requirements.txt", &text),
        ("more/base.txt", "\u{FEFF}six\n-r ../last.txt"),
        ("last.txt", "click"),
    ]);
    let recipe = folder.read().expect("good");
    let expected = [
        "pyyaml==6.0.2",
        "psutil>=5.9",
        "six",
        "click",
        "tomli>=2 ; python_full_version < '3.11'",
    ];
    assert_eq!(texts(&recipe), expected);
    let hashes = &recipe.requirements()[0].hashes;
    assert_eq!(hashes[0], format!("sha256:{zeros}"));
    assert_eq!(hashes.len(), 2);
    let origin = &recipe.requirements()[1].origin;
    assert_eq!(
        (origin.line, origin.file.file_name()),
        (6, Some("requirements.txt"))
    );
    assert_eq!(recipe.files_read().len(), 4);
    assert_eq!(&*recipe.files_read()[3].bytes, b"click");
    assert!(recipe.lock_facts()[3].starts_with("pip pyyaml==6.0.2 --hash=sha256:"));
}

#[test]
fn a_requirements_file_changes_the_lock_request_only_by_what_it_asks_for() {
    let one = Folder::with(&[("requirements.txt", "six\n# x\nclick")]);
    let two = Folder::with(&[("requirements.txt", "click # y\nSix")]);
    let three = Folder::with(&[("requirements.txt", "click\nsix>1")]);
    let digest = |folder: &Folder| folder.read().expect("good").lock_digest();
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&three));
}

#[test]
fn one_project_may_be_asked_for_by_markers_that_exclude_each_other() {
    let text = "numpy<2 ; python_version < '3.10'\nNumPy>=2 ; python_version >= '3.10'\n";
    assert!(Folder::with(&[("requirements.txt", text)]).read().is_ok());
    let text = "numpy<2 ; python_version < '3.12'\nNumPy>=2 ; python_version >= '3.10'\n";
    assert!(Folder::with(&[("requirements.txt", text)]).read().is_err());
}

#[test]
fn messages_about_requirements_files() {
    for (title, files) in [
        ("missing", &[][..]),
        (
            "an option",
            &[("requirements.txt", "six\n--index-url http://x/\nclick\n")],
        ),
        (
            "two more",
            &[("requirements.txt", "-e .\nsix --global-option=x\n--pre")],
        ),
        ("weak hash", &[("requirements.txt", "six --hash=md5:0123")]),
        (
            "cycle",
            &[
                ("requirements.txt", "-r b.txt"),
                ("b.txt", "\n -r requirements.txt"),
            ],
        ),
        ("escape", &[("requirements.txt", "-r ../x.txt")]),
        ("absolute", &[("requirements.txt", "-r /etc/passwd")]),
        (
            "a place",
            &[(
                "requirements.txt",
                "x\ny @ https://e.invalid/y.whl\ngit+ssh://-oProxyCommand=x/y",
            )],
        ),
        ("a path", &[("requirements.txt", "./here")]),
        (
            "twice",
            &[("requirements.txt", "Foo_Bar==1\nx\nfoo.bar==2")],
        ),
        (
            "the same file",
            &[
                ("requirements.txt", "-r b.txt\n-r ./b.txt"),
                ("b.txt", "six"),
            ],
        ),
        (
            "an escape sequence",
            &[("requirements.txt", "six # \u{1b}[2J")],
        ),
        (
            "a wrong marker",
            &[("requirements.txt", "six ; pythn == '3'")],
        ),
        ("continued", &[("requirements.txt", "six \\\n  >> 2\n")]),
    ] {
        super::broken::says("requirements", title, &Folder::with(files).refused());
    }
}

#[test]
fn what_is_not_a_regular_file_inside_the_folder_is_refused_without_waiting() {
    let start = Instant::now();
    let folder = Folder::with(&[]);
    let target = folder.path().join("requirements.txt");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        target.as_std_path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    assert!(folder.refused().contains("not a regular file"));
    std::fs::remove_file(&target).expect("removed");
    std::fs::create_dir(&target).expect("made");
    assert!(folder.refused().contains("it is a folder"));
    std::fs::remove_dir(&target).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &target).expect("linked");
    assert!(folder.refused().contains("outside"));
    std::fs::remove_file(&target).expect("removed");
    let other = Folder::with(&[("x.txt", "six")]);
    std::os::unix::fs::symlink(other.path().join("x.txt"), &target).expect("linked");
    assert!(folder.refused().contains("outside"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn includes_end_at_their_limits() {
    let folder = Folder::with(&[("requirements.txt", "-r 0.txt")]);
    for depth in 0..20 {
        folder.write(&format!("{depth}.txt"), &format!("-r {}.txt\n", depth + 1));
    }
    assert!(folder.refused().contains("more than 16 deep"));
    let many: String = (0..6_000).map(|n| format!("p{n}\n")).collect();
    let folder = Folder::with(&[("requirements.txt", &many)]);
    assert!(folder.refused().contains("more than 5000"));
    let markers = " or os_name == 'a'".repeat(10_000);
    let text = format!("six ; os_name == 'b'{markers}");
    let start = Instant::now();
    assert!(Folder::with(&[("requirements.txt", &text)]).read().is_err());
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_file_of_nothing_but_mistakes_is_refused_at_once() {
    for line in ["-x\n", "=\n", "a @ b\n", "six\n", "-r x\n"] {
        let start = Instant::now();
        let text = line.repeat((1 << 20) / line.len());
        let told = Folder::with(&[("requirements.txt", &text)]).refused();
        assert!(told.matches("help:").count() <= 25, "{told}");
        // Hours, where each was looked into.
        assert!(start.elapsed() < Duration::from_secs(60), "{line:?}");
    }
}

/// Each of these made `pep508_rs` panic, or read the environment.
#[test]
fn requirements_that_upset_the_parser_are_refused() {
    for text in [
        "foo- >=1",
        "foo_ ",
        "foo[a-]",
        "foo[a- ,b]",
        "foo[",
        "[x]",
        "foo.;",
        "-",
        "é",
        "${HOME}/x",
        "foo[a",
        "foo[]x",
        "foo @",
        "foo ; (((",
        "foo>=",
        "foo==1.*.2",
        "foo,bar",
        "foo[,]",
        "foo ;",
        "foo==1;a",
    ] {
        let recipe = WHOLE.replace("psutil>=5.9", text);
        let error = read(&recipe).expect_err(text);
        message(&error);
    }
    assert!(read(&WHOLE.replace("psutil>=5.9", "foo[]")).is_ok());
}

#[test]
fn the_place_inside_a_requirement_is_shown_only_where_it_is_sure() {
    let message =
        |text: &str| message(&read(&WHOLE.replace("\"psutil>=5.9\"", text)).expect_err("bad"));
    for (title, text) in [
        ("in the middle", "\"psutil>=5.9,=>1\""),
        ("in a raw string", "#\"psutil [x y]\"#"),
        ("behind an escape", "\"\\u{70}sutil=>5\""),
        ("other scripts", "\"日本\""),
    ] {
        super::broken::says("place", title, &message(text));
    }
}
