//! What the store's main operations cost: `cargo bench -p recipe-store --bench store`.
//!
//! `STORE_BENCH_DIR` says on which file system. For ratios against plain tools see `pairs.rs`.

#[allow(unreachable_pub, dead_code)]
#[path = "support.rs"]
mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use recipe_store::{Digest, Tree};

use support::{empty, files, path, put, scratch};

const COUNT: u64 = 2000;

fn store(criterion: &mut Criterion) {
    let dir = scratch();
    let home = path(&dir);
    let content = files(COUNT);
    let mut group = criterion.benchmark_group("2000 files");
    group.sample_size(10);
    let fresh = || empty(&home.join("fresh")).session().expect("a session");
    group.bench_function("put new", |bench| {
        bench.iter_batched(
            fresh,
            |session| drop((put(&session, &content), session)),
            BatchSize::PerIteration,
        );
    });
    let filled = || {
        let session = fresh();
        put(&session, &content);
        session
    };
    group.bench_function("commit", |bench| {
        bench.iter_batched(
            filled,
            |session| drop((session.commit().expect("a commit"), session)),
            BatchSize::PerIteration,
        );
    });
    let store = empty(&home.join("full"));
    let session = store.session().expect("a session");
    let id = put(&session, &content);
    session.commit().expect("a commit");
    let begin = || store.session().expect("a session");
    group.bench_function("put again", |bench| {
        bench.iter_batched(
            begin,
            |session| drop((put(&session, &content), session)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("checkout", |bench| {
        let check_out = |session: recipe_store::Session| {
            drop((session.checkout_private(&id).expect("a tree"), session))
        };
        bench.iter_batched(begin, check_out, BatchSize::PerIteration);
    });
    group.bench_function("verify", |bench| {
        bench.iter(|| store.verify().expect("a report").objects)
    });
    group.finish();
    small(criterion, &store, &store.read_tree(&id).expect("a tree"));
}

fn small(criterion: &mut Criterion, store: &recipe_store::Store, tree: &Tree) {
    criterion.bench_function("open", |bench| {
        bench.iter(|| recipe_store::Store::open(store.path()).expect("a store"))
    });
    criterion.bench_function("session", |bench| {
        bench.iter(|| store.session().expect("a session"))
    });
    let key = Digest::of(b"memo");
    store.memo_put(&key, &[1; 4000]).expect("a memo");
    criterion.bench_function("memo", |bench| {
        bench.iter(|| store.memo_get(&key).expect("a memo"))
    });
    let encoded = tree.encode();
    criterion.bench_function("encode", |bench| bench.iter(|| tree.encode()));
    criterion.bench_function("decode", |bench| {
        bench.iter(|| Tree::decode(&encoded).expect("a tree"))
    });
}

criterion_group!(benches, store);
criterion_main!(benches);
