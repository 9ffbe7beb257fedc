use crate::support::Scratch;

#[test]
fn a_mirror_that_does_not_answer_is_named_with_what_to_do() {
    let scratch = Scratch::new().set("RECIPE_DEBIAN_MIRROR", "http://127.0.0.1:1/debian");
    let ran = scratch.run(["doctor"]).fails_with(1);
    assert!(ran.out.contains("http://127.0.0.1:1/debian"), "{}", ran.out);
    assert!(ran.out.contains("mend: check the network"), "{}", ran.out);
    assert!(ran.err.contains("stand"), "{}", ran.err);
}

#[test]
fn a_password_in_a_mirror_is_not_shown() {
    let mirror = "http://me:hunter2@127.0.0.1:1/debian";
    let scratch = Scratch::new().set("RECIPE_DEBIAN_MIRROR", mirror);
    let ran = scratch.run(["doctor"]).fails_with(1);
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"));
}

#[test]
fn nothing_is_left_in_the_store_by_looking_at_it() {
    let scratch = Scratch::new();
    // Whatever this machine can do, the store is sound afterwards.
    scratch.run(["doctor", "--offline"]);
    scratch.store_verifies();
}

#[test]
fn a_store_that_cannot_be_used_is_told_with_the_way_out() {
    let scratch = Scratch::new();
    let file = scratch.write("a-file", "x");
    let ran = scratch.run(["doctor", "--offline", "--store", file.as_str()]);
    let ran = ran.fails_with(1);
    assert!(
        ran.out.contains("a-file") && ran.out.contains("--store DIR"),
        "{}",
        ran.out
    );
}

#[test]
fn how_far_programs_are_shut_in_is_told() {
    let ran = Scratch::new().run(["doctor", "--offline"]);
    assert!(
        ran.out.contains("behind a filter of system calls"),
        "{}",
        ran.out
    );
}

#[test]
fn a_variable_that_says_neither_on_nor_off_is_told() {
    let scratch = Scratch::new().set("RECIPE_OFFLINE", "maybe");
    let ran = scratch.run(["fmt", "absent.kdl"]).fails_with(2);
    assert!(ran.err.contains("RECIPE_OFFLINE"), "{}", ran.err);
    let scratch = Scratch::new().set("RECIPE_OFFLINE", "false");
    scratch.write("a.kdl", "recipe \"a\" version=\"1\" {\n}\n");
    scratch.run(["fmt", "./a.kdl"]).ok();
}

#[test]
fn a_folder_that_results_cannot_be_written_to_is_told() {
    // Nobody, root included, can make a file there.
    let mut command = Scratch::new().command(["doctor", "--offline"]);
    let output = command.current_dir("/proc").output().expect("starts");
    let out = String::from_utf8_lossy(&output.stdout);
    let line = out.lines().find(|line| line.contains("current folder"));
    let line = line.expect("a line");
    assert!(line.starts_with("limited"), "{line}");
}
