//! What is said to a program and what it says.

use std::io::{Read, Write};

use recipe::sandbox::{Channel, Status, Stdin};

use super::*;

#[test]
fn much_input_and_much_output_at_once_do_not_block() {
    let data: Vec<u8> = (0..50_000_000_u32).map(|n| (n ^ (n >> 9)) as u8).collect();
    let outcome = sandbox()
        .run(&probe(&["copy"]), Stdin::Bytes(&data))
        .unwrap();
    assert!(outcome.success());
    assert!(outcome.stdout == data);

    let mut running = sandbox().spawn(&probe(&["stderr", "copy"])).unwrap();
    let (mut to, mut from) = (
        running.stdin.take().unwrap(),
        running.stdout.take().unwrap(),
    );
    let copy = std::thread::scope(|scope| {
        scope.spawn(|| {
            to.write_all(&data).unwrap();
            drop(to);
        });
        let mut copy = Vec::new();
        from.read_to_end(&mut copy).unwrap();
        copy
    });
    assert!(copy == data);
    let outcome = running.wait().unwrap();
    assert!(outcome.success());
    assert_eq!(outcome.stderr.len(), 100_000);
}

#[test]
fn a_program_that_reads_nothing_does_not_hold_us_up() {
    let data = vec![0; 10_000_000];
    let outcome = sandbox()
        .run(&probe(&["exit", "3"]), Stdin::Bytes(&data))
        .unwrap();
    assert_eq!(outcome.status, Status::Exited(3));
}

#[test]
fn output_is_heard_while_the_program_runs() {
    let mut heard = Vec::new();
    let mut ear = |channel, bytes: &[u8]| heard.push((channel, bytes.len()));
    let outcome = sandbox()
        .run_watched(&probe(&["who", "stderr"]), Stdin::Empty, &mut ear)
        .unwrap();
    assert!(outcome.success() && outcome.stdout.is_empty());
    let total = |wanted| {
        heard
            .iter()
            .filter(|(c, _)| *c == wanted)
            .map(|(_, n)| n)
            .sum::<usize>()
    };
    assert_eq!(total(Channel::Stderr), 100_000);
    assert!(total(Channel::Stdout) > 0);
}
