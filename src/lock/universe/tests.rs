//! Choices among packages that exist only here, one line each.

use super::*;

/// `name version: depends; provides; conflicts`
fn universe(lines: &str) -> Universe {
    let mut universe = Universe::new("amd64");
    for line in lines.lines() {
        let (head, rest) = line.split_once(':').unwrap();
        let (name, version) = head.trim().split_once(' ').unwrap();
        let mut fields = rest.split(';').map(|field| Box::from(field.trim()));
        let package = Package {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            source: name.into(),
            source_version: version.into(),
            depends: fields.next().unwrap_or_default(),
            provides: fields.next().unwrap_or_default(),
            conflicts: fields.next().unwrap_or_default(),
            path: format!("pool/{name}_{version}.deb").into(),
            size: 1,
            sha256: "a".repeat(64).into(),
            essential: false,
        };
        universe.add(package, 0).unwrap();
    }
    universe.finish().unwrap();
    universe
}

fn chosen(universe: &Universe, roots: &[&str], prefer: &[(&str, &str)]) -> Result<String, Unmet> {
    let prefer = prefer
        .iter()
        .map(|(name, version)| ((*name).into(), (*version).into()))
        .collect();
    let chosen = universe.choose(roots, &prefer)?;
    let shown: Vec<_> = chosen
        .values()
        .map(|offer| format!("{}={}", offer.package.name, offer.package.version))
        .collect();
    Ok(shown.join(" "))
}

#[test]
fn the_newest_version_counts_and_cycles_end() {
    let universe = universe("a 1: b\na 2: b (>= 1)\nb 1: a\nb 2~rc1: a\nc 1:");
    assert_eq!(chosen(&universe, &["a"], &[]).unwrap(), "a=2 b=2~rc1");
}

#[test]
fn the_first_alternative_that_exists_is_taken_unless_another_is_there_already() {
    let universe = universe("a 1: x | b | c\nb 1:\nc 1:\nd 1: c | b");
    assert_eq!(chosen(&universe, &["a"], &[]).unwrap(), "a=1 b=1");
    assert_eq!(chosen(&universe, &["a", "c"], &[]).unwrap(), "a=1 c=1");
    assert_eq!(chosen(&universe, &["a", "d"], &[]).unwrap(), "a=1 b=1 d=1");
}

#[test]
fn a_provided_name_meets_a_dependency_and_with_a_version_only_a_versioned_one() {
    let universe = universe("a 1: v\nb 1: w (>= 2)\nc 1: w (>= 4)\np 1: ; v, w (= 3)\nq 9: ; v, w");
    assert_eq!(chosen(&universe, &["a"], &[]).unwrap(), "a=1 p=1");
    assert_eq!(chosen(&universe, &["a", "q"], &[]).unwrap(), "a=1 q=9");
    assert_eq!(chosen(&universe, &["b"], &[]).unwrap(), "b=1 p=1");
    assert!(chosen(&universe, &["c"], &[]).is_err());
}

#[test]
fn a_locked_version_is_kept_while_it_fits() {
    let universe = universe("a 1: b\na 2: b\nb 1:\nb 2:\nc 1: b (>= 2)");
    assert_eq!(
        chosen(&universe, &["a"], &[("a", "1"), ("b", "1")]).unwrap(),
        "a=1 b=1"
    );
    assert_eq!(
        chosen(&universe, &["a"], &[("a", "0.9")]).unwrap(),
        "a=2 b=2"
    );
    assert_eq!(chosen(&universe, &["c"], &[("b", "1")]).unwrap(), "b=2 c=1");
}

#[test]
fn what_cannot_be_met_is_told_with_what_there_is() {
    let universe = universe("a 1: b (>= 2)\nb 1:\nc 1: gone\nd 1: ; ; b\ne 1: b, d");
    assert_eq!(
        chosen(&universe, &["a"], &[]).unwrap_err().to_string(),
        "a 1 needs b (>= 2), and b is at 1"
    );
    assert_eq!(
        chosen(&universe, &["c"], &[]).unwrap_err().to_string(),
        "c 1 needs gone, and nothing of that name exists"
    );
    assert_eq!(
        chosen(&universe, &["zz"], &[]).unwrap_err(),
        Unmet::Unknown { name: "zz".into() }
    );
    assert_eq!(
        chosen(&universe, &["e"], &[]).unwrap_err().to_string(),
        "d 1 cannot be together with b"
    );
}

#[test]
fn f034_one_version_with_two_hashes_is_refused_and_the_same_file_twice_is_not() {
    let mut universe = universe("a 1:");
    let mut package = universe.newest("a").unwrap().package.clone();
    assert_eq!(universe.add(package.clone(), 1), Ok(()));
    package.sha256 = "b".repeat(64).into();
    assert!(matches!(
        universe.add(package, 1),
        Err(Unmet::Ambiguous { .. })
    ));
}
