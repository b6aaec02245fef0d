//! DashMap in signal handlers: `cargo run --release -p epochsocks-benches --example upstream_dashmap`.
//! design/upstream/dashmap.md says what is expected and seen.

use dashmap::DashMap;
use epochsocks_benches::measure::stepping::{boundaries, interrupt, length, tally};

fn main() {
    let map: DashMap<i32, u64> = DashMap::new();
    (0..100).for_each(|key| {
        map.insert(key, 0);
    });
    let get = || {
        std::hint::black_box(map.get(&7).map(|value| *value));
    };
    let insert = || {
        std::hint::black_box(map.insert(7, 1));
    };
    println!(
        "Interrupted behind an instruction, by a handler that looks the same key up or inserts it"
    );
    let operations: [(&str, &dyn Fn()); 2] = [("get", &get), ("insert", &insert)];
    for (name, work) in operations {
        let all = length(work);
        for (by, handler) in operations {
            let check = || map.get(&7).is_some();
            let [tried, waits, crashed, wrong] =
                tally(boundaries(all, 256), |boundary| interrupt(boundary, work, handler, &check));
            println!(
                "  {name} by {by}: {tried} of {all} boundaries: {waits} wait for ever, {crashed} crash, {wrong} are wrong"
            );
        }
    }
}
