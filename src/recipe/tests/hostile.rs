//! Text written to do harm: refused, at once, wherever it comes from.

use super::*;

fn refused(text: &str, limit: Duration) -> RecipeError {
    let start = Instant::now();
    let error = read(text).expect_err("refused");
    let took = start.elapsed();
    assert!(
        took < limit,
        "took {took:?}: {}",
        &text[..text.len().min(80)]
    );
    error
}

fn code(error: &RecipeError) -> String {
    miette::Diagnostic::code(error).expect("a code").to_string()
}

/// Far below what kdl would need, far above what a loaded machine takes.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn deep_nesting_is_refused_before_the_parser_sees_it() {
    for text in [
        "a {".repeat(80_000),
        "a {\n".repeat(1_000) + &"}\n".repeat(1_000),
        "recipe \"x\" {".to_owned() + &"a {".repeat(70),
    ] {
        assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::too_deep");
    }
}

#[test]
fn deep_comments_are_refused_and_stars_are_no_trouble() {
    let text = "/*".repeat(100_000);
    assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::too_deep");
    let banner = format!("/{}/\n{WHOLE}", "*".repeat(20_000));
    assert!(read(&banner).is_ok());
}

#[test]
fn nested_slashdashes_are_refused() {
    let text = "a /-{".repeat(20);
    assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::slashdash");
    let text = "a\n/- b {\n".repeat(20) + &"}".repeat(20);
    assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::slashdash");
    let text = "/- ".repeat(1_000) + "a";
    assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::slashdash");
}

/// After a syntax error kdl goes on reading inside what was a string.
#[test]
fn hostile_text_inside_strings_stays_inside() {
    let nest = "a /-{ ".repeat(40);
    let deep = "a { ".repeat(3_000);
    for inside in [&nest, &deep, &"/*".repeat(5_000)] {
        for broken in [
            "b==",
            "b =",
            "b x\"y\"",
            "b \"x\"y ",
            "b (",
            "b 0xZZ ",
            "= ",
        ] {
            refused(&format!("{broken}\"{inside}\""), Duration::from_secs(2));
            refused(&format!("{broken}#\"{inside}\"#"), Duration::from_secs(2));
            refused(
                &format!("{broken}\"\"\"\n{inside}\n\"\"\""),
                Duration::from_secs(2),
            );
            refused(&format!("\"{inside}\" {broken}"), Duration::from_secs(2));
        }
    }
}

#[test]
fn what_is_allowed_is_parsed_in_bounded_time() {
    let row = "/- ".repeat(8) + "a\n";
    let many = (row.clone() + "b\n").repeat(25);
    let nested = "a {\nb\n/- c {\n".repeat(3) + &"d 1\n".repeat(30_000) + &"}}".repeat(3);
    for text in [row, many, nested] {
        assert!(text.len() < Limits::RECIPE.bytes);
        refused(&text, Duration::from_secs(20));
    }
}

/// Each of these words is a mistake, or is held against all others.
#[test]
fn many_mistakes_take_no_longer_than_few() {
    let interpreter = "interpreter python \"3.13\" from=debian suite=trixie";
    let many = |text: &dyn Fn(usize) -> String| (0..6_000).map(text).collect::<String>();
    for body in [
        many(&|n| format!("param \"parameter-{n}\" default=1{n}\n")),
        many(&|n| format!("param \"p{n}\" default=\"${{q{n}}}\"\n")),
        many(&|n| format!("param \"p{n}\"\n")),
        many(&|n| format!("param \"p{n}\" default=\"x\"; "))
            + &format!(
                "system {{ package {}; }}",
                many(&|n| format!("\"lib${{q{n}}}\" "))
            ),
        format!(
            "system {{ package {}; }}",
            many(&|n| format!("lib{n} ")).repeat(2)
        ),
        format!("system {{ without {}; }}", many(&|n| format!("lib{n} "))),
        format!(
            "pip {{ require {}; }}",
            many(&|n| format!("p{n} ")).repeat(2)
        ),
        format!(
            "check {{ without {}; }}",
            many(&|n| format!("\"text {n}\" "))
        ),
        many(&|n| format!("node-{n} 1\n")),
        many(&|n| format!("node-{n} = 1; ")),
        format!("include {}", many(&|n| format!("\"{n}.kdl\" "))),
        format!("use {}", many(&|n| format!("r{n} "))),
    ] {
        let text = format!("recipe hello version=\"1\" {{ {interpreter}\n{body}\n}}");
        assert!(text.len() < Limits::RECIPE.bytes);
        // Minutes, where each was looked into.
        refused(&text, Duration::from_secs(60));
    }
}

#[test]
fn a_large_file_is_refused_at_once() {
    let text = "a\n".repeat(1 << 20);
    assert_eq!(code(&refused(&text, AT_ONCE)), "recipe::too_large");
}

#[test]
fn characters_that_nobody_sees_are_refused_in_names_and_those_that_turn_text_everywhere() {
    for text in [
        "re\u{200B}cipe x",
        "x \u{202E}",
        "// \u{2066}",
        "/* \u{202E} */ x",
        "x \"\u{202E}\"",
        "x\0",
        "a\u{FEFF}b",
        "x \"\u{7}\"",
        "x \"\\u{202E}\"",
        "x \"\\u{1b}[2J\"",
    ] {
        let whole = WHOLE.replacen("description", &format!("{text}\ndescription"), 1);
        let error = refused(&whole, AT_ONCE);
        let shown = message(&error);
        assert!(
            !shown.contains(['\u{202E}', '\u{2066}', '\0', '\u{7}', '\u{1b}']),
            "{shown:?}"
        );
    }
    assert!(read(&WHOLE.replace("für", "f\\u{202E}r")).is_err());
    assert!(read(&WHOLE.replace("für", "f\\nr")).is_err());
    assert!(read(&WHOLE.replace("für", "日本👩\u{200D}🚀")).is_ok());
}

/// After these kdl goes on one call deeper, however many there are.
#[test]
fn what_joins_nothing_is_refused_before_the_stack_ends() {
    for piece in [
        "n = 1; ", "n = 1\n", "n ] ", ")", "= \"a\" ", "n =\n", "[", "n (a", "n, m ",
    ] {
        let text = piece.repeat(250_000 / piece.len());
        assert_eq!(
            code(&refused(&text, Duration::from_secs(20))),
            "recipe::too_many"
        );
    }
}

/// More of what lets kdl go deeper; each of these ended the stack of a thread.
#[test]
fn no_number_of_mistakes_ends_the_stack() {
    let pieces = [
        "{}",
        "n {} m {} ",
        "a / b ",
        "n #true1 ",
        "a=b; ",
        "a==b; ",
        "n \\ x; ",
        "n true; ",
    ];
    for piece in pieces {
        let text = piece.repeat(100_000 / piece.len());
        refused(&text, Duration::from_secs(60));
    }
}

/// The small stacks of worker threads are enough.
#[test]
fn the_deepest_allowed_text_fits_a_small_stack() {
    let text = "a {".repeat(64) + &"}".repeat(64);
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let handle = thread.spawn(move || read(&text).is_err()).expect("started");
    assert!(handle.join().expect("no overflow"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        if let Err(error) = read(&text) {
            message(&error);
        }
    }

    #[test]
    fn random_pieces_of_kdl_never_panic_and_take_bounded_time(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..60)
    ) {
        let text = pieces.concat();
        let start = Instant::now();
        if let Err(error) = read(&text) {
            message(&error);
        }
        prop_assert!(start.elapsed() < Duration::from_secs(5), "{text:?}");
    }

    #[test]
    fn a_recipe_with_one_byte_changed_never_panics(at in 0..WHOLE.len(), byte in 0u8..128) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Err(error) = read(&text)
        {
            message(&error);
        }
    }

    #[test]
    fn a_random_requirement_never_panics(text in "[a-z0-9A-Z._ \\[\\](),;<>=!~'\"*+-]{0,60}") {
        let recipe = WHOLE.replace("psutil>=5.9", &text.replace('"', "\\\""));
        if let Err(error) = read(&recipe) {
            message(&error);
        }
    }
}

const PIECES: &[&str] = &[
    "recipe",
    " ",
    "\n",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "#\"",
    "\"#",
    "/-",
    "//",
    "/*",
    "*/",
    "\\",
    "=",
    "(",
    ")",
    ";",
    "pip",
    "require",
    "\"x\"",
    "#true",
    "0x1",
    "1.5",
    "ü",
    "\u{FEFF}",
    "\\n",
    "\r",
    "\"\"\"\n",
    "\n\"\"\"",
    "a {",
    "/-{",
    "version=\"1\"",
    "\u{2028}",
    "-",
    "+",
    ".",
    "[",
    "#",
];

#[test]
fn a_report_shows_a_part_of_a_line_that_nobody_could_read() {
    let long = "é".repeat(60_000);
    for (text, wanted) in [
        (
            format!("// top\nrecipe \"x\" {{ description \"{long}\"; }}; b==1"),
            "b==1",
        ),
        (
            format!("recipe \"x\" {{\n    closure {{ entry \"{long}\" runs=\"bin/x\"; }}\n}}"),
            "entry",
        ),
        (
            format!("recipe \"x\" {{ flavour \"{long}\" {{ }} }}"),
            "flavour",
        ),
    ] {
        let error = read(&text).expect_err("refused");
        let shown = message(&error);
        assert!(shown.len() < 8_000, "{} bytes", shown.len());
        assert!(shown.contains(wanted), "{shown}");
    }
    // The place is that in the file, not that in the part.
    let shown = message(&read(&format!("// {long}\nb==1 // {long}")).expect_err("refused"));
    assert!(shown.contains(":2:"), "{shown}");
}

#[test]
fn a_file_that_is_too_large_is_so_wherever_it_is_read() {
    let folder = Folder::with(&[("big.kdl", &format!("// {}\n", "x".repeat(300_000)))]);
    let path = folder.path().join("big.kdl");
    let text = text(&path).expect("text");
    for error in [
        Recipe::read(&path).expect_err("refused"),
        formatted(path.as_str(), &text).expect_err("refused"),
    ] {
        assert_eq!(code(&error), "recipe::too_large");
        assert!(error.to_string().contains("300004 bytes"), "{error}");
    }
}
