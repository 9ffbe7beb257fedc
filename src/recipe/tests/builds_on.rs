//! Facts about one recipe building on others: include, extends, use.

use super::*;

const HELLO: &str = r#"recipe hello version="1" {
    NODE
    pip { require "psutil>=6" "six"; }
    check { python "import six"; }
}
"#;

const BASE: &str = r#"recipe base version="9" {
    description "the base"
    license "MIT"
    param "flavour" default="small"
    interpreter python "3.13" from=debian suite=trixie
    pip { require "PSUtil" "click"; pth "setuptools"; }
    system { package "libudev1"; exclude "tzdata"; }
    closure { entry "base" runs="bin/python3"; trim "tests"; byte-code #false; }
    check { python "import click; '${flavour} ${python}'"; }
    package "tar.zst" { prefix "/opt/base"; }
    lock "follow"
}
variant "base" { python "3.11" suite="bookworm"; }
"#;

fn hello(node: &str) -> String {
    HELLO.replace("NODE", node)
}

fn read_in(folder: &Folder, name: &str) -> Result<Recipe, RecipeError> {
    Recipe::read(&folder.path().join(name))
}

fn good(folder: &Folder, name: &str) -> Recipe {
    read_in(folder, name).unwrap_or_else(|error| panic!("{}", message(&error)))
}

fn asked(recipe: &Recipe) -> Vec<&str> {
    let all = recipe.requirements().iter();
    all.map(|requirement| requirement.text.as_str()).collect()
}

fn codes(recipe: &Recipe) -> Vec<String> {
    let all = recipe.checks.iter();
    all.map(|check| match &check.value.ask {
        Ask::Python(code) => code.clone(),
        Ask::Run(words) => words.join(" "),
    })
    .collect()
}

#[test]
fn a_recipe_extends_another_and_what_is_nearer_counts() {
    let own = hello("extends \"base\"; license \"PSF-2.0\"; param \"flavour\" default=\"big\"");
    let folder = Folder::with(&[("app/hello.kdl", &own), ("python/base.kdl", BASE)]);
    let recipe = good(&folder, "app/hello.kdl");
    assert_eq!((&*recipe.name, &*recipe.version), ("hello", "1"));
    assert_eq!(recipe.description.as_deref(), Some("the base"));
    assert_eq!(recipe.license.as_deref(), Some("PSF-2.0"));
    assert_eq!(asked(&recipe), ["click", "psutil>=6", "six"]);
    assert_eq!(values(&recipe.system.exclude), ["tzdata"]);
    assert_eq!(recipe.closure.trim.len(), 1);
    assert!(!recipe.closure.byte_code);
    assert_eq!(codes(&recipe), ["import click; 'big 3.13'", "import six"]);
    assert_eq!(recipe.lock, LockPolicy::Follow);
    assert_eq!(recipe.package.formats.len(), 1);
    let read: Vec<_> = recipe
        .files_read()
        .iter()
        .map(|it| it.path.clone())
        .collect();
    let files = ["app/hello.kdl", "python/base.kdl"].map(|it| folder.path().join(it));
    assert_eq!(read, files);
}

#[test]
fn what_a_used_recipe_holds_joins_and_how_it_is_shaped_does_not() {
    let own = hello(
        "use \"base\"; interpreter python \"3.11\" from=debian suite=bookworm
    param \"flavour\" default=\"big\"; description \"${flavour}\"",
    );
    let folder = Folder::with(&[("hello.kdl", &own), ("base.kdl", BASE)]);
    let recipe = good(&folder, "hello.kdl");
    assert_eq!((&*recipe.name, &*recipe.version), ("hello", "1"));
    assert_eq!(recipe.description.as_deref(), Some("big"));
    assert_eq!(asked(&recipe), ["click", "psutil>=6", "six"]);
    assert_eq!(values(&recipe.pip.keep_pth), ["setuptools"]);
    assert_eq!(values(&recipe.system.packages), ["libudev1"]);
    assert!(recipe.system.exclude.is_empty());
    assert_eq!(recipe.closure.entries[0].value.name, "base");
    assert!(recipe.closure.trim.is_empty() && recipe.closure.byte_code);
    // Its parameters are its own; the interpreter is that of the closure.
    assert_eq!(codes(&recipe), ["import click; 'small 3.11'", "import six"]);
    assert_eq!(recipe.lock, LockPolicy::Exact);
    assert!(recipe.package.formats.is_empty());
}

#[test]
fn a_recipe_used_along_two_ways_joins_once() {
    let top = hello("use \"a\" \"b\"; interpreter python \"3.13\" from=debian suite=trixie");
    let part = |name: &str| {
        format!(
            "recipe {name} version=\"1\" {{ use \"base\"; system {{ package \"lib{name}\"; }}; }}\n"
        )
    };
    let (a, b) = (part("a"), part("b"));
    let folder = Folder::with(&[
        ("hello.kdl", &top),
        ("a.kdl", &a),
        ("b.kdl", &b),
        ("base.kdl", BASE),
    ]);
    let recipe = good(&folder, "hello.kdl");
    let mut packages = values(&recipe.system.packages);
    packages.sort();
    assert_eq!(packages, ["liba", "libb", "libudev1"]);
    assert_eq!(codes(&recipe).len(), 2);
}

#[test]
fn an_included_file_holds_nodes_of_a_recipe() {
    let own = hello("include \"common/python.kdl\" \"b.kdl\"");
    let folder = Folder::with(&[
        ("hello.kdl", &own),
        (
            "common/python.kdl",
            "// shared\ninclude \"more.kdl\"\ninterpreter python \"3.13\" from=debian suite=trixie\nlicense \"MIT\"\n",
        ),
        (
            "common/more.kdl",
            "system { package \"libudev1\"; }\npip { requirements \"r.txt\"; }\n",
        ),
        ("common/r.txt", "click\n"),
        (
            "b.kdl",
            "license \"PSF-2.0\"\nsystem { package \"libudev1\" \"libb1\"; }",
        ),
    ]);
    let recipe = good(&folder, "hello.kdl");
    assert_eq!(
        recipe.license.as_deref(),
        Some("MIT"),
        "what is named first is nearer"
    );
    assert_eq!(asked(&recipe), ["psutil>=6", "six", "click"]);
    assert_eq!(values(&recipe.system.packages), ["libb1", "libudev1"]);
    assert_eq!(recipe.files_read().len(), 5);
    assert_eq!(
        recipe.system.packages[0].text.name(),
        folder.path().join("b.kdl")
    );
}

#[test]
fn what_a_file_further_away_says_changes_the_lock_request() {
    let folder = Folder::with(&[
        ("hello.kdl", &hello("extends \"base\"")),
        ("base.kdl", BASE),
    ]);
    let before = good(&folder, "hello.kdl").lock_digest();
    folder.write("base.kdl", &BASE.replace("the base", "another text"));
    assert_eq!(before, good(&folder, "hello.kdl").lock_digest());
    folder.write(
        "base.kdl",
        &BASE.replace("\"libudev1\"", "\"libudev1\" \"libb1\""),
    );
    assert_ne!(before, good(&folder, "hello.kdl").lock_digest());
}

#[test]
fn a_recipe_is_looked_for_in_its_collection_before_the_others() {
    let base = |package: &str| BASE.replace("libudev1", package);
    let folder = Folder::with(&[
        ("mine/app/hello.kdl", &hello("extends \"base\"")),
        ("theirs/python/base.kdl", &base("libtheirs")),
    ]);
    let path = folder.path().join("mine/app/hello.kdl");
    let wanted = Wanted {
        search: vec![folder.path().join("theirs")].into(),
        ..Wanted::default()
    };
    let packages = || {
        values(
            &Recipe::read_as(&path, &wanted)
                .expect("good")
                .system
                .packages,
        )
    };
    assert_eq!(packages(), ["libtheirs"]);
    folder.write("mine/python/base.kdl", &base("libmine"));
    assert_eq!(packages(), ["libmine"]);
}

#[test]
fn a_package_is_wanted_or_excluded_as_the_nearer_file_says() {
    let own =
        hello("extends \"base\"; system { package \"tzdata\"; exclude \"libudev1\" \"libb1\"; }");
    let folder = Folder::with(&[("hello.kdl", &own), ("base.kdl", BASE)]);
    let recipe = good(&folder, "hello.kdl");
    assert_eq!(values(&recipe.system.packages), ["tzdata"]);
    assert_eq!(values(&recipe.system.exclude), ["libudev1", "libb1"]);
}

#[test]
fn the_nearer_requirement_counts_wherever_either_is_written() {
    let interpreter = "interpreter python \"3.13\" from=debian suite=trixie";
    let part =
        "recipe part version=\"1\" { pip { require \"click>8\"; requirements \"far.txt\"; }; }";
    for (own, expected) in [
        // A line against a file, a file against a line, and a file against a file.
        (
            "pip { require \"yarl>=2\"; }",
            ["click>8", "multidict==6", "yarl>=2"],
        ),
        (
            "pip { requirements \"near.txt\"; }",
            ["click<8", "multidict", "yarl==1"],
        ),
    ] {
        let own = format!("recipe hello version=\"1\" {{ {interpreter}; use \"part\"; {own}; }}");
        let folder = Folder::with(&[
            ("hello.kdl", &own),
            ("part.kdl", part),
            ("far.txt", "yarl==1\nmultidict==6\n"),
            ("near.txt", "click<8\nmultidict\n"),
        ]);
        let recipe = good(&folder, "hello.kdl");
        let mut asked = asked(&recipe);
        asked.sort_unstable();
        assert_eq!(asked, expected);
    }
}

#[test]
fn a_file_that_both_name_is_read_once() {
    let base = BASE.replace("pip {", "pip { requirements \"r.txt\";");
    let own = hello("extends \"base\"; pip { requirements \"r.txt\" \"more.txt\"; }");
    let own = own.replace("    pip { require \"psutil>=6\" \"six\"; }\n", "");
    let folder = Folder::with(&[
        ("hello.kdl", &own),
        ("base.kdl", &base),
        ("r.txt", "six\n"),
        ("more.txt", "yarl\n"),
    ]);
    assert_eq!(
        asked(&good(&folder, "hello.kdl")),
        ["psutil", "click", "six", "yarl"]
    );
}

#[test]
fn what_parameters_make_the_same_counts_once() {
    let interpreter = "interpreter python \"3.13\" from=debian suite=trixie";
    let base = format!(
        "recipe base version=\"1\" {{ {interpreter}; param \"x\" default=\"a\"; param \"y\" default=\"six\"
        pip {{ require \"${{y}}>1\"; }}; system {{ package \"lib${{x}}\"; }}; }}"
    );
    let own = "recipe hello version=\"1\" { extends \"base\"; param \"z\" default=\"click\"
        pip { require \"${z}\"; }; system { package \"liba\"; }; }";
    let folder = Folder::with(&[("hello.kdl", own), ("base.kdl", &base)]);
    let recipe = good(&folder, "hello.kdl");
    assert_eq!(asked(&recipe), ["six>1", "click"]);
    assert_eq!(values(&recipe.system.packages), ["liba"]);
}

#[test]
fn a_recipe_takes_away_what_its_base_says_and_says_other_things() {
    let own = "recipe hello version=\"1\" { extends \"base\"
        pip { without \"Click\" \"yarl\" \"setuptools\"; require \"setuptools\"; }
        system { without \"libudev1\" \"tzdata\"; }
        closure { without \"base\" \"tests\"; entry \"base\" runs=\"bin/other\"; }
        check { without \"import click\"; }
    }";
    let base = BASE.replace("pip {", "pip { requirements \"r.txt\";");
    let folder = Folder::with(&[
        ("hello.kdl", own),
        ("base.kdl", &base),
        ("r.txt", "yarl\nmultidict\n"),
    ]);
    let recipe = good(&folder, "hello.kdl");
    assert_eq!(asked(&recipe), ["psutil", "setuptools", "multidict"]);
    assert!(recipe.pip.keep_pth.is_empty());
    assert!(recipe.system.packages.is_empty() && recipe.system.exclude.is_empty());
    assert!(recipe.closure.trim.is_empty() && recipe.checks.is_empty());
    let entries = values(&recipe.closure.entries);
    assert_eq!(entries[0].runs, "bin/other");
}

#[test]
fn what_one_recipe_takes_away_another_one_may_bring() {
    let interpreter = "interpreter python \"3.13\" from=debian suite=trixie";
    let own = format!("recipe hello version=\"1\" {{ {interpreter}; use \"a\" \"b\"; }}");
    let folder = Folder::with(&[
        ("hello.kdl", &own),
        // Away from what it builds on, an included file too; not from what others use.
        (
            "a.kdl",
            "recipe a version=\"1\" { include \"less.kdl\" \"more.kdl\"; use \"c\"; }",
        ),
        ("less.kdl", "pip { without \"six\" \"click\"; }"),
        ("more.kdl", "pip { require \"click>=8\"; }"),
        (
            "b.kdl",
            "recipe b version=\"1\" { pip { require \"click<8\"; }; }",
        ),
        (
            "c.kdl",
            "recipe c version=\"1\" { pip { require \"six\" \"yarl\"; }; }",
        ),
    ]);
    let mut recipe = good(&folder, "hello.kdl");
    recipe
        .requirements
        .sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(asked(&recipe), ["click<8", "yarl"]);
}

/// What a case is called, what stands in the recipe, and the files beside it.
type Case<'t> = (&'t str, &'t str, &'t [(&'t str, &'t str)]);

#[test]
fn messages_about_what_a_recipe_builds_on() {
    let interpreter = "interpreter python \"3.13\" from=debian suite=trixie";
    let include = format!("{interpreter}; include \"a.kdl\"");
    let cases: &[Case<'_>] = &[
        ("absent file", &include, &[]),
        ("outside", "include \"../a.kdl\"", &[("../a.kdl", "")]),
        ("absolute", "include \"/etc/passwd\"", &[]),
        ("include itself", "include \"hello.kdl\"", &[]),
        (
            "circle",
            &include,
            &[
                ("a.kdl", "include \"b.kdl\""),
                ("b.kdl", "include \"a.kdl\""),
            ],
        ),
        (
            "mistake further away",
            &include,
            &[("a.kdl", "// x\nsytem { package \"a\"; }")],
        ),
        ("syntax further away", &include, &[("a.kdl", "pip {\n")]),
        ("a recipe included", &include, &[("a.kdl", BASE)]),
        (
            "extends inside",
            &include,
            &[("a.kdl", "extends \"base\""), ("base.kdl", BASE)],
        ),
        ("absent recipe", "extends \"bse\"", &[("base.kdl", BASE)]),
        (
            "two of one name",
            "extends \"base\"",
            &[("a/base.kdl", BASE), ("b/base.kdl", BASE)],
        ),
        (
            "a path for a recipe",
            "extends \"./base.kdl\"",
            &[("base.kdl", BASE)],
        ),
        ("extends itself", "extends \"hello\"", &[]),
        (
            "extends twice",
            "extends \"base\"; extends \"base\"",
            &[("base.kdl", BASE)],
        ),
        (
            "the same file twice",
            &format!("{include} \"a.kdl\"; use \"b\"; use \"b\""),
            &[
                ("a.kdl", "license \"MIT\""),
                (
                    "b.kdl",
                    "recipe b version=\"1\" { pip { require \"click\"; }; }",
                ),
            ],
        ),
        (
            "nothing to take away",
            "extends \"base\"; closure { without \"test\" \"tests\"; }; system { without \"tzdate\"; }; \
             pip { without \"psutil\" \"clik\"; };",
            &[("base.kdl", BASE)],
        ),
        (
            "taken away from itself",
            &format!("{interpreter}; pip {{ require \"click\"; without \"click\"; }}"),
            &[],
        ),
        (
            "no recipe",
            &format!("{interpreter}; use \"a\""),
            &[("a.kdl", "// nothing")],
        ),
        (
            "parameter of a used recipe",
            &format!("{interpreter}; use \"a\""),
            &[(
                "a.kdl",
                "recipe a version=\"1\" { param \"x\"; pip { require \"b${x}\"; }; }",
            )],
        ),
        (
            "twice in the joined text",
            "license \"MIT\"; license \"MIT\"; extends \"base\"",
            &[("base.kdl", BASE)],
        ),
    ];
    for (title, node, files) in cases {
        let folder = Folder::with(&[]);
        let own = hello(node).replace("    pip { require \"psutil>=6\" \"six\"; }\n", "");
        folder.write("in/hello.kdl", &own);
        for (name, text) in *files {
            folder.write(&format!("in/{name}"), text);
        }
        let error = read_in(&folder, "in/hello.kdl").expect_err(title);
        let shown = wide_message(&error).replace(folder.path().as_str(), "DIR");
        super::broken::says("builds_on", title, &shown);
    }
}

#[test]
fn what_a_recipe_builds_on_ends_at_its_limits_at_once() {
    let start = Instant::now();
    let told = |folder: &Folder| wide_message(&read_in(folder, "hello.kdl").expect_err("refused"));
    // Deep.
    let folder = Folder::with(&[("hello.kdl", &hello("include \"0.kdl\""))]);
    for depth in 0..30 {
        folder.write(
            &format!("{depth}.kdl"),
            &format!("include \"{}.kdl\"\n", depth + 1),
        );
    }
    assert!(told(&folder).contains("more than 16 deep"));
    // Many: each file names two of the next level.
    let folder = Folder::with(&[("hello.kdl", &hello("include \"a0.kdl\""))]);
    for depth in 0..10 {
        let next = depth + 1;
        for name in ["a", "b"] {
            let both = format!("include \"a{next}.kdl\" \"b{next}.kdl\"\n");
            folder.write(&format!("{name}{depth}.kdl"), &both);
        }
    }
    folder.write("a10.kdl", "");
    folder.write("b10.kdl", "");
    assert!(told(&folder).contains("more than 64"));
    // Large.
    let names: String = (0..8).map(|n| format!(" \"{n}.kdl\"")).collect();
    let folder = Folder::with(&[("hello.kdl", &hello(&format!("include{names}")))]);
    let comment = format!("// {}\n", "x".repeat(200 << 10));
    for file in 0..8 {
        folder.write(&format!("{file}.kdl"), &comment);
    }
    assert!(told(&folder).contains("bytes"));
    // Nested, and hostile inside.
    let folder = Folder::with(&[
        ("hello.kdl", &hello("include \"a.kdl\"")),
        ("a.kdl", &"a /-{".repeat(20)),
    ]);
    assert!(told(&folder).contains("recipe::slashdash"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_included_file_is_a_regular_one_inside_the_folder() {
    let start = Instant::now();
    let folder = Folder::with(&[("in/hello.kdl", &hello("include \"a.kdl\"")), ("a.kdl", "")]);
    let target = folder.path().join("in/a.kdl");
    let told = || wide_message(&read_in(&folder, "in/hello.kdl").expect_err("refused"));
    std::os::unix::fs::symlink("../a.kdl", &target).expect("linked");
    assert!(told().contains("outside of the recipe's folder"));
    std::fs::remove_file(&target).expect("removed");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        target.as_std_path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    assert!(told().contains("not a regular file"));
    assert!(start.elapsed() < Duration::from_secs(5));
}
