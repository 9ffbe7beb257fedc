use std::collections::BTreeSet;

use super::*;

const PROBE: [&str; 9] = [
    include_str!("probe/checks/identity.py"),
    include_str!("probe/checks/children.py"),
    include_str!("probe/checks/modules.py"),
    include_str!("probe/checks/host.py"),
    include_str!("probe/checks/data.py"),
    include_str!("probe/checks/configuration.py"),
    include_str!("probe/checks/processes.py"),
    include_str!("probe/checks/machine.py"),
    include_str!("probe/probe.py"),
];

#[test]
fn every_row_of_the_checklist_is_in_the_table() {
    let mut rows = BTreeSet::new();
    for check in CHECKS {
        for range in check.rows.split(", ").filter(|range| !range.is_empty()) {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            rows.extend(from.parse::<u32>().unwrap()..=to.parse().unwrap());
        }
    }
    assert_eq!(rows, (1..=83).collect());
}

#[test]
fn every_check_of_the_probe_is_in_the_table_and_the_other_way_round() {
    let functions: BTreeSet<&str> = PROBE
        .iter()
        .flat_map(|text| text.split("@check\ndef ").skip(1))
        .map(|text| text.split('(').next().unwrap())
        .collect();
    let listed: BTreeSet<&str> = CHECKS
        .iter()
        .filter(|check| matches!(check.how, How::Probe | How::Once | How::Privileged))
        .map(|check| check.name)
        .collect();
    assert_eq!(functions, listed);
}

#[test]
fn the_book_lists_every_check_with_what_is_expected() {
    let page = include_str!("../../book/src/reference/checks.md");
    for check in CHECKS {
        let expected = check.expected.replace('|', "\\|");
        let row = format!("| {} | {} | {expected} |\n", check.rows, check.name);
        assert!(page.contains(&row), "missing: {row}");
    }
}

#[test]
fn no_two_checks_have_one_name_and_each_says_what_a_failure_means() {
    let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), CHECKS.len());
    for check in CHECKS {
        let undecidable = matches!(check.how, How::Undecidable(_));
        assert!(undecidable || !check.meaning.is_empty(), "{}", check.name);
    }
}
