//! The supervisor's table of sockets, and its settings, as what they are and as they would be if threads shared
//! them: `cargo bench -p epochsocks-benches --bench supervisor_table`. design/redirect.md cites it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use divan::{Bencher, black_box};
use epochsocks::config::Settings;

/// Sockets in the table.
const COUNT: u64 = 1_000;

fn main() {
    divan::main();
}

fn sockets() -> impl Iterator<Item = (u64, SocketAddr)> {
    (0..COUNT).map(|cookie| (cookie, SocketAddr::from(([192, 0, 2, 1], 80))))
}

#[divan::bench_group]
mod lookup {
    use super::*;

    #[divan::bench]
    fn plain_map(bencher: Bencher<'_, '_>) {
        let table: HashMap<_, _> = sockets().collect();
        bencher.bench_local(|| table.get(black_box(&7)).copied());
    }

    #[divan::bench]
    fn dashmap(bencher: Bencher<'_, '_>) {
        let table: DashMap<_, _> = sockets().collect();
        bencher.bench_local(|| table.get(black_box(&7)).map(|entry| *entry));
    }

    #[divan::bench]
    fn arc_swap(bencher: Bencher<'_, '_>) {
        let table = ArcSwap::from_pointee(sockets().collect::<HashMap<_, _>>());
        bencher.bench_local(|| table.load().get(black_box(&7)).copied());
    }
}

#[divan::bench_group]
mod insert_and_remove {
    use super::*;

    #[divan::bench]
    fn plain_map(bencher: Bencher<'_, '_>) {
        let mut table: HashMap<_, _> = sockets().collect();
        let fresh = table[&7];
        bencher.bench_local(|| (table.insert(black_box(COUNT), fresh), table.remove(&COUNT)));
    }

    #[divan::bench]
    fn dashmap(bencher: Bencher<'_, '_>) {
        let table: DashMap<_, _> = sockets().collect();
        let fresh = SocketAddr::from(([192, 0, 2, 1], 80));
        bencher.bench_local(|| (table.insert(black_box(COUNT), fresh), table.remove(&COUNT)));
    }
}

#[divan::bench_group]
mod settings {
    use super::*;

    #[divan::bench]
    fn plain(bencher: Bencher<'_, '_>) {
        let settings = Settings::DEFAULT;
        bencher.bench_local(|| black_box(&settings).tor_port);
    }

    #[divan::bench]
    fn arc_swap(bencher: Bencher<'_, '_>) {
        let settings = ArcSwap::new(Arc::new(Settings::DEFAULT));
        bencher.bench_local(|| black_box(&settings).load().tor_port);
    }
}
