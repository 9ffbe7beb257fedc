//! The text of a trace is final: one form only, and a digest that may never change.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::digest::{BlobId, TreeId};

fn ids() -> impl Strategy<Value = ObjectId> {
    (any::<[u8; 32]>(), any::<u64>(), any::<bool>()).prop_map(|(bytes, size, blob)| {
        let digest = Digest::from_bytes(bytes);
        if blob {
            ObjectId::Blob(BlobId { digest, size })
        } else {
            ObjectId::Tree(TreeId { digest, size })
        }
    })
}

fn traces() -> impl Strategy<Value = Trace> {
    let outputs = btree_map("[a-zé][a-z é]{0,8}", ids(), 0..4);
    let levels = ("[a-z0-9-]{1,9}", "[a-z0-9-]{1,9}");
    (
        outputs,
        "[ -~]{1,20}",
        any::<(u64, u64)>(),
        levels,
        vec(any::<u8>(), 0..60),
    )
        .prop_map(
            |(outputs, maker, (started, duration), (reached, required), preimage)| Trace {
                key: StepKey::of(&preimage),
                outputs,
                maker,
                started,
                duration,
                isolation: Isolation { reached, required },
                preimage,
            },
        )
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_identity(trace in traces()) {
        prop_assert_eq!(Trace::decode(&trace.encode().unwrap()), Ok(trace));
    }

    #[test]
    fn no_byte_of_a_trace_can_change_unseen(trace in traces(), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut bytes = trace.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Trace::decode(&bytes).is_err());
    }
}

/// Seals a body as a writer with other habits would.
fn sealed(body: &str) -> Vec<u8> {
    format!("{MAGIC}{}\n{body}", Digest::of(body.as_bytes())).into_bytes()
}

#[test]
fn other_spellings_of_a_trace_are_refused() {
    let key = StepKey::of(b"asked");
    let (a, b) = (BlobId::of(b"a"), BlobId::of(b"b"));
    let text = |outputs: &str, tail: &str| {
        format!("key {key}\n{outputs}maker m\nstarted 1\nduration 2\nisolation full full\n{tail}")
    };
    let good = text(
        &format!("output {a} a\noutput {b} b\n"),
        "preimage 5\nasked",
    );
    assert!(Trace::decode(&sealed(&good)).is_ok());
    for bad in [
        text(
            &format!("output {b} b\noutput {a} a\n"),
            "preimage 5\nasked",
        ),
        text(
            &format!("output {a} a\noutput {a} a\n"),
            "preimage 5\nasked",
        ),
        text("", "preimage 4\nasked"),
        text("", "preimage 05\nasked"),
        text("", "asked"),
        good.replace("started 1", "started 01"),
        good.replace("maker m", "maker "),
        good.replace("full full", "full  full"),
        good.replace("full full", "Full full"),
        good.replace("duration 2\n", ""),
    ] {
        assert!(Trace::decode(&sealed(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn the_digest_of_a_trace_never_changes() {
    let trace = Trace {
        key: StepKey::of(b"asked"),
        outputs: BTreeMap::from([("out".into(), ObjectId::Tree(TreeId::of(b"")))]),
        maker: "recipe 0.1.0".into(),
        started: 1_700_000_000_000,
        duration: 12,
        isolation: Isolation {
            reached: "full".into(),
            required: "none".into(),
        },
        preimage: b"asked".to_vec(),
    };
    assert_eq!(
        Digest::of(&trace.encode().unwrap()).to_string(),
        "a7d716532732bdc771f19788070d56fec9f6976974a33a6a0ccff1565abcb775"
    );
}

#[test]
fn values_that_break_the_line_are_refused() {
    let mut trace = Trace::decode(&sealed(&format!(
        "key {}\nmaker m\nstarted 1\nduration 2\nisolation full full\npreimage 0\n",
        StepKey::of(b"")
    )))
    .unwrap();
    trace.maker = "a\nkey b".into();
    assert!(matches!(trace.encode(), Err(StoreError::Refused { .. })));
}
