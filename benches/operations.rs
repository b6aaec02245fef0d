//! Single operations of each backend, for a quick look while one works on it:
//! `cargo bench -p epochsocks-benches [-- FILTER]`. divan measures one backend after the other; what
//! is compared and cited comes from the interleaved rounds of `benches/run`.

use divan::{Bencher, black_box};
use epochsocks_benches::registry::backends;
use epochsocks_benches::registry::measured::{Measured, fill};
use epochsocks_benches::registry::subject::{FIRST, FIRST_VACANT};

fn main() {
    divan::main();
}

fn names() -> impl Iterator<Item = &'static str> {
    backends::ALL.iter().map(|backend| backend.name)
}

/// Times `operation` on a registry of 100 entries.
fn time(bencher: Bencher<'_, '_>, name: &str, operation: impl Fn(&dyn Measured) + Sync) {
    let subject = (backends::find(name).expect("a name of the list").new)();
    subject.attach();
    fill(subject.as_ref(), 100);
    bencher.bench_local(|| operation(subject.as_ref()));
    subject.detach();
}

#[divan::bench(args = names())]
fn borrow(bencher: Bencher<'_, '_>, name: &str) {
    time(bencher, name, |subject| {
        black_box(subject.borrow(black_box(FIRST)));
    });
}

#[divan::bench(args = names())]
fn counted(bencher: Bencher<'_, '_>, name: &str) {
    time(bencher, name, |subject| {
        black_box(subject.counted(black_box(FIRST)));
    });
}

#[divan::bench(args = names())]
fn miss(bencher: Bencher<'_, '_>, name: &str) {
    time(bencher, name, |subject| {
        black_box(subject.borrow(black_box(FIRST_VACANT)));
    });
}

#[divan::bench(args = names())]
fn insert_and_remove(bencher: Bencher<'_, '_>, name: &str) {
    time(bencher, name, |subject| {
        black_box(subject.insert(black_box(FIRST_VACANT), 1));
        black_box(subject.remove(black_box(FIRST_VACANT)));
    });
}
