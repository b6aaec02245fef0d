//! Results for files that were looked through before. A process that starts many programs looks
//! through each once.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::DirectCalls;

/// The answers, each at a place that its key gives; 0 where there is none. An answer is one word that
/// nothing else depends on: Relaxed is enough.
static ANSWERS: [AtomicU64; 32] = [const { AtomicU64::new(0) }; 32];

const NETWORK: u64 = 1;
const EPOLL_WAITS: u64 = 2;
/// Set in every answer.
const KNOWN: u64 = 4;
const ANSWER: u64 = NETWORK | EPOLL_WAITS | KNOWN;

/// A number that stands for this version of a file, as good as never for two.
pub fn key(version: &[u64]) -> u64 {
    version.iter().fold(0x9e37_79b9_7f4a_7c15, |key, part| {
        let mixed = (key ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed ^ mixed >> 32).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ mixed >> 29
    })
}

fn place(key: u64) -> Option<&'static AtomicU64> {
    ANSWERS.get((key >> 59) as usize)
}

/// The answer for the file of this key.
pub fn get(key: u64) -> Option<DirectCalls> {
    let answer = place(key)?.load(Relaxed);
    let is_its = answer & KNOWN != 0 && answer & !ANSWER == key & !ANSWER;
    is_its.then_some(DirectCalls {
        network: answer & NETWORK != 0,
        epoll_waits: answer & EPOLL_WAITS != 0,
    })
}

/// Remembers the answer for the file of this key.
pub fn put(key: u64, found: DirectCalls) {
    let Some(place) = place(key) else { return };
    let network = if found.network { NETWORK } else { 0 };
    let epoll_waits = if found.epoll_waits { EPOLL_WAITS } else { 0 };
    place.store(key & !ANSWER | network | epoll_waits | KNOWN, Relaxed);
}
