//! Facts about parameters and variants.

use super::*;

const RECIPE: &str = r#"recipe hello version="${python}-${flavour}" {
    param "flavour" default="small"
    param "extra"; description "with ${extra}"
    interpreter python "3.13" from=debian suite=trixie
    pip { require "psutil>=${least}"; }
    param "least" default="5"
    check { python "flavour = '${flavour}'; literal = '$${x} $HOME'"; }
    system { package "lib${flavour}"; exclude "share/${suite}/${arch}/**"; }
}
variant "hello" {
    python "3.11" suite="bookworm"
    python "3.13" suite="trixie"
    set "flavour" "small" "full"
    arch "x86_64" "aarch64"
}
"#;

fn wanted(variant: Option<&str>, set: &[(&str, &str)]) -> Wanted {
    Wanted {
        arch: None,
        variant: variant.map(str::to_owned),
        set: set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        search: Search::default(),
    }
}

fn form(text: &str, variant: Option<&str>, set: &[(&str, &str)]) -> Result<Recipe, RecipeError> {
    let folder = Utf8Path::new("/nonexistent");
    Recipe::parse_as("hello.kdl", text.into(), folder, &wanted(variant, set))
}

fn good(variant: Option<&str>, set: &[(&str, &str)]) -> Recipe {
    form(RECIPE, variant, set).unwrap_or_else(|error| panic!("{}", message(&error)))
}

fn without(text: &str) -> String {
    RECIPE.replace(text, "")
}

/// The recipe without its parameter that has to be set.
fn settled() -> String {
    without("    param \"extra\"; description \"with ${extra}\"\n")
}

#[test]
fn parameters_fill_every_string() {
    let recipe = form(&settled(), None, &[]).expect("good");
    assert_eq!(recipe.version, "3.13-small");
    assert_eq!(recipe.requirements()[0].text, "psutil>=5");
    assert_eq!(values(&recipe.system.packages), ["libsmall"]);
    assert_eq!(values(&recipe.system.exclude), ["share/trixie/x86_64/**"]);
    let code = "flavour = 'small'; literal = '${x} $HOME'";
    assert_eq!(recipe.checks[0].value.ask, Ask::Python(code.to_owned()));
    assert_eq!(recipe.variant, None);
}

#[test]
fn what_is_set_has_a_lock_of_its_own_where_it_differs_from_the_default() {
    let recipe = good(
        None,
        &[("extra", "x"), ("least", "6"), ("flavour", "small")],
    );
    assert_eq!(recipe.requirements()[0].text, "psutil>=6");
    assert_eq!(recipe.variant.as_deref(), Some("extra=x,least=6"));
    let recipe = form(&settled(), None, &[("flavour", "small")]).expect("good");
    assert_eq!(recipe.variant, None);
    let recipe = good(None, &[("extra", "a/b c")]);
    let label = recipe.variant.expect("one");
    assert!(label.starts_with("set-") && label.len() == 20, "{label}");
    let other = good(None, &[("extra", "a/b d")]).variant.expect("one");
    assert_ne!(label, other);
}

#[test]
fn a_variant_is_one_choice_of_each_list() {
    let names = {
        let folder = Folder::with(&[("hello.kdl", RECIPE)]);
        Recipe::variants(&folder.path().join("hello.kdl")).expect("good")
    };
    let expected = [
        "3.11-small",
        "3.11-small-aarch64",
        "3.11-full",
        "3.11-full-aarch64",
        "3.13-small",
        "3.13-small-aarch64",
        "3.13-full",
        "3.13-full-aarch64",
    ];
    assert_eq!(names, expected);
    let recipe = form(&settled(), Some("3.11-full-aarch64"), &[]).expect("good");
    let interpreter = recipe.interpreter.expect("one").value;
    assert_eq!(
        (&*interpreter.version, &*interpreter.suite),
        ("3.11", "bookworm")
    );
    assert_eq!(recipe.platform.name(), "aarch64-linux");
    assert_eq!(recipe.version, "3.11-full");
    assert_eq!(values(&recipe.system.packages), ["libfull"]);
    assert_eq!(
        values(&recipe.system.exclude),
        ["share/bookworm/aarch64/**"]
    );
    assert_eq!(recipe.variant.as_deref(), Some("3.11-full-aarch64"));
}

const BORROWING: &str = r#"recipe hello version="${python}" {
        interpreter python "3.14" from=debian suite=sid expired=allow {
            patches "python3.13" suite=trixie
        }
    }
    variant hello { python "3.13" suite=trixie; python "3.14" suite=sid; }"#;

#[test]
fn an_interpreter_may_name_whose_patches_are_undone() {
    let recipe = form(BORROWING, None, &[]).expect("good");
    let facts = recipe.lock_facts();
    let expected = [
        "interpreter python 3.14 from debian sid",
        "patches python3.13 from debian trixie",
    ];
    assert_eq!(facts, expected);
    let interpreter = recipe.interpreter.expect("one").value;
    let patches = interpreter.patches.expect("named").value;
    assert_eq!(
        (&*patches.source, &*patches.suite),
        ("python3.13", "trixie")
    );
    assert!(interpreter.allow_expired && !patches.allow_expired);
    let standing = BORROWING.replace("suite=trixie\n", "suite=trixie expired=allow\n");
    let interpreter = form(&standing, None, &[]).expect("good").interpreter;
    let patches = interpreter.expect("one").value.patches;
    assert!(patches.expect("named").value.allow_expired);
}

#[test]
fn a_variant_with_another_python_undoes_its_own_patches() {
    let patches = |variant| {
        let recipe = form(BORROWING, Some(variant), &[]).expect("good");
        recipe.interpreter.expect("one").value.patches
    };
    assert!(patches("3.13").is_none());
    assert!(patches("3.14").is_some());
}

#[test]
fn what_is_wrong_with_borrowed_patches_is_told_with_its_line() {
    for (old, new, told) in [
        ("suite=trixie\n", "\n", "`suite`"),
        ("\"python3.13\"", "\"Python 3\"", "Debian package"),
        ("suite=trixie\n", "suite=trixie expired=never\n", "expired"),
        ("patches", "patchs", "patches"),
    ] {
        let error = form(&BORROWING.replace(old, new), None, &[]).expect_err("wrong");
        let text = message(&error);
        assert!(text.contains(told) && text.contains("hello"), "{text}");
    }
}

#[test]
fn version_suite_and_processor_are_three_axes() {
    let recipe = r#"recipe hello version="1" { interpreter python "3.13" from=debian suite=trixie; }
"#;
    let names = |variants: &str| {
        let folder = Folder::with(&[("hello.kdl", &format!("{recipe}{variants}"))]);
        Recipe::variants(&folder.path().join("hello.kdl")).expect("good")
    };
    let all = r#"variant "hello" {
        arch "x86_64" "aarch64"
        suite "bookworm" "trixie"
        python "3.11" "3.13"
    }"#;
    let expected = [
        "3.11-bookworm",
        "3.11-bookworm-aarch64",
        "3.11-trixie",
        "3.11-trixie-aarch64",
        "3.13-bookworm",
        "3.13-bookworm-aarch64",
        "3.13-trixie",
        "3.13-trixie-aarch64",
    ];
    assert_eq!(names(all), expected);
    let text = format!("{recipe}{all}");
    let mut labels = std::collections::BTreeSet::new();
    for name in expected {
        let form = form(&text, Some(name), &[]).expect(name);
        let interpreter = form.interpreter.expect("one").value;
        let said = format!("{}-{}", interpreter.version, interpreter.suite);
        assert!(name.starts_with(&said), "{name}: {said}");
        assert_eq!(
            name.ends_with("aarch64"),
            form.platform == Platform::Aarch64
        );
        assert!(labels.insert(form.variant), "each has a lock of its own");
    }
    assert_eq!(
        names(r#"variant "hello" { suite "forky" "sid"; }"#),
        ["forky", "sid"]
    );
    assert_eq!(names(r#"variant "hello" { arch "aarch64"; }"#), ["aarch64"]);
    let both = r#"variant "hello" { suite "forky"; }
variant "hello" { arch "aarch64" "x86_64"; python "3.13"; }"#;
    assert_eq!(names(both), ["forky", "3.13-aarch64", "3.13"]);
}

#[test]
fn the_variant_that_is_the_recipe_as_written_shares_its_lock() {
    for name in ["3.13-small", "3.13-small-x86_64"] {
        let recipe = form(&settled(), Some(name), &[]).expect(name);
        assert_eq!(recipe.variant, None, "{name}");
    }
    let recipe = form(&settled(), Some("3.11-small-x86_64"), &[]).expect("good");
    assert_eq!(recipe.variant.as_deref(), Some("3.11-small"));
    // For another processor, too, whatever has chosen that.
    let recipe = form(&settled(), Some("3.13-small-aarch64"), &[]).expect("good");
    assert_eq!(recipe.variant.as_deref(), Some("aarch64"));
}

#[test]
fn a_lock_request_tells_its_platform_only_where_it_is_not_x86_64() {
    let here = form(&settled(), None, &[]).expect("good");
    let there = form(&settled(), Some("3.13-small-aarch64"), &[]).expect("good");
    assert_ne!(here.lock_digest(), there.lock_digest());
    let facts = there.lock_facts();
    assert!(facts.contains(&"platform aarch64-linux".to_owned()));
    assert!(
        !here
            .lock_facts()
            .iter()
            .any(|fact| fact.starts_with("platform"))
    );
}

#[test]
fn a_word_on_the_command_line_may_name_a_variant() {
    for (word, name, variant) in [
        ("hello", "hello", None),
        ("hello@3.11", "hello", Some("3.11")),
        ("./a@b/hello.kdl", "./a@b/hello.kdl", None),
        ("./a@b/hello.kdl@3.11", "./a@b/hello.kdl", Some("3.11")),
        ("a@b.kdl", "a@b.kdl", None),
        ("hello@", "hello@", None),
    ] {
        assert_eq!(Recipe::variant_of(word), (name, variant), "{word}");
    }
}

/// A text, a variant and a parameter with what it is set to.
type Case<'t> = (&'t str, String, Option<&'t str>, &'t [(&'t str, &'t str)]);

#[test]
fn messages_about_parameters_and_variants() {
    let cases: &[Case<'_>] = &[
        ("unset", RECIPE.to_owned() + "\n", None, &[]),
        ("unknown variant", settled(), Some("3.12"), &[]),
        ("no variants", WHOLE.to_owned(), Some("3.12"), &[]),
        ("unknown setting", settled(), None, &[("flavor", "full")]),
        (
            "setting of nothing",
            WHOLE.to_owned(),
            None,
            &[("flavor", "full")],
        ),
        ("bad setting", settled(), None, &[("flavour", "${x}")]),
        (
            "setting that breaks a rule",
            settled(),
            None,
            &[("flavour", "Full Size")],
        ),
        (
            "unknown parameter",
            settled().replace("${least}", "${lest}"),
            None,
            &[],
        ),
        (
            "open parameter",
            settled().replace("${least}", "${least"),
            None,
            &[],
        ),
        (
            "parameter of a parameter",
            settled().replace("default=\"5\"", "default=\"${flavour}\""),
            None,
            &[],
        ),
        (
            "parameter twice",
            settled().replace(
                "param \"least\" default=\"5\"",
                "param \"flavour\" default=\"5\"; param \"least\" default=\"1\"",
            ),
            None,
            &[],
        ),
        (
            "parameter that nothing uses",
            settled()
                .replace("'${flavour}'", "'small'")
                .replace("-${flavour}", "")
                .replace("lib${flavour}", "libx1"),
            None,
            &[],
        ),
        (
            "parameter that every recipe has",
            settled().replace("\"least\"", "\"python\""),
            None,
            &[],
        ),
        (
            "python in the interpreter",
            settled().replace("python \"3.13\" from", "python \"${python}\" from"),
            None,
            &[],
        ),
        (
            "name with a parameter",
            settled().replace("recipe hello", "recipe \"a${flavour}\""),
            None,
            &[],
        ),
        (
            "another name",
            settled().replace("variant \"hello\"", "variant \"helo\""),
            None,
            &[],
        ),
        (
            "unknown processor",
            settled().replace("\"aarch64\"", "\"arm64\""),
            None,
            &[],
        ),
        (
            "suites twice",
            settled().replace("    arch", "    suite \"sid\"\n    arch"),
            None,
            &[],
        ),
        (
            "two of one name",
            settled().replace("python \"3.13\" suite", "python \"3.11\" suite"),
            None,
            &[],
        ),
        (
            "setting of an unknown parameter",
            settled().replace("set \"flavour\"", "set \"flavor\""),
            Some("3.11-full"),
            &[],
        ),
        (
            "value that is no part of a name",
            settled().replace("\"small\" \"full\"", "\"small\" \"a/b\""),
            None,
            &[],
        ),
        (
            "set without values",
            settled().replace("\"small\" \"full\"", ""),
            None,
            &[],
        ),
        (
            "too many variants",
            settled().replace(
                "set",
                "set \"a\" a0 a1 a2 a3 a4 a5 a6 a7 a8\nset \"b\" b0 b1 b2 b3 b4 b5 b6 b7 b8\nset",
            ),
            None,
            &[],
        ),
    ];
    for (title, text, variant, set) in cases {
        let error = form(text, *variant, set).expect_err(title);
        super::broken::says("form", title, &message(&error));
    }
}

#[test]
fn endless_matrices_and_strings_end_at_their_limits() {
    let start = Instant::now();
    let long: String = (0..3000).map(|n| format!(" v{n}")).collect();
    let lists: String = (0..30).map(|n| format!("set p{n}{long}\n")).collect();
    let text = settled().replace("    arch", &lists);
    assert!(form(&text, None, &[]).is_err());
    let many = "${flavour}".repeat(10_000);
    let text = settled().replace("flavour = '${flavour}'", &many);
    let error = form(&text, None, &[("flavour", &"x".repeat(1024))]).expect_err("too long");
    assert!(message(&error).contains("more than 65536"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_processor_can_be_asked_for_with_and_without_variants() {
    let read = |text: &str, variant: Option<&str>, arch: Platform| {
        let wanted = Wanted {
            arch: Some(arch),
            ..wanted(variant, &[])
        };
        let folder = Utf8Path::new("/nonexistent");
        Recipe::parse_as("hello.kdl", text.into(), folder, &wanted)
    };
    let plain = settled();
    let plain = &plain[..plain.find("variant ").expect("it has variants")];
    let recipe = read(plain, None, Platform::Aarch64).expect("good");
    assert_eq!(recipe.platform, Platform::Aarch64);
    assert_eq!(recipe.variant.as_deref(), Some("aarch64"));
    let recipe = read(plain, None, Platform::X86_64).expect("good");
    assert_eq!((recipe.platform, recipe.variant), (Platform::X86_64, None));

    let there = "3.11-full-aarch64";
    for variant in ["3.11-full", there] {
        let recipe = read(&settled(), Some(variant), Platform::Aarch64).expect("good");
        assert_eq!(recipe.variant.as_deref(), Some(there), "{variant}");
    }
    let error = read(&settled(), Some(there), Platform::X86_64).expect_err("of another processor");
    assert!(error.to_string().contains("is for aarch64"), "{error}");
}

#[test]
fn a_form_is_found_by_what_its_link_is_called() {
    let text = RECIPE.split("variant").next().unwrap();
    for link in ["aarch64,extra=x", "aarch64,extra=x,flavour=full", "extra=y"] {
        let recipe =
            form(text, Some(link), &[]).unwrap_or_else(|error| panic!("{}", message(&error)));
        assert_eq!(recipe.variant.as_deref(), Some(link));
    }
    let arch = |link: &str, row: &str| {
        let text = format!("{text}variant \"hello\" {{ {row} }}\n");
        let recipe = form(&text, Some(link), &[("extra", "x")]);
        let recipe = recipe.unwrap_or_else(|error| panic!("{}", message(&error)));
        (
            recipe.platform.processor(),
            recipe.variant.unwrap_or_default(),
        )
    };
    let row = "python \"3.11\" suite=\"bookworm\"";
    let named = ("aarch64", "3.11-aarch64,extra=x".to_owned());
    assert_eq!(arch("3.11-aarch64", row), named);
    assert_eq!(
        arch("aarch64", row),
        ("aarch64", "aarch64,extra=x".to_owned())
    );
    let error = form(text, Some("3.12-aarch64"), &[("extra", "x")]).unwrap_err();
    assert!(matches!(error, RecipeError::NoVariant { .. }), "{error:?}");
}
