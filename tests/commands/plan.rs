use crate::support::{MAIN_JOB, Scratch, sources};

#[test]
fn a_plan_tells_what_will_be_fetched_and_later_that_all_is_present() {
    let Some(sources) = sources() else { return };
    let scratch = Scratch::new().local(sources);
    let before = scratch.run(["plan", MAIN_JOB]).ok().out;
    assert!(
        before.contains(" 0 present") && before.contains(" to fetch ("),
        "{before}"
    );
    assert_eq!(sources.server().answered(), sources.server().answered());
    scratch.run(["build", MAIN_JOB, "--locked"]).ok();
    let after = scratch.run(["plan", MAIN_JOB]).ok().out;
    assert!(
        after.contains(" 0 to fetch (0 bytes), 0 to build"),
        "{after}"
    );
}
