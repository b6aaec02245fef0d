//! loom models of a copy beside a close of its source, after which another socket has the number, with twins in which
//! a step comes too early or too late. `tests/loom` runs them.

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::{Copies, Number};
use crate::registry::atomics::AtomicU64;
use crate::registry::atomics::models::{fails, holds};
use crate::registry::atomics::ordering::TotalOrder;

const SOURCE: usize = 0;
const COPY: usize = 1;
/// The socket that is copied, and the one that has its number later. 0 is none.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

/// Steps of the two calls, and their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Right,
    /// The copy begins after the look at its source.
    LateBegin,
    /// The close is counted before its entry goes.
    EarlyNote,
    /// The copy is content with a source without an entry.
    Trusting,
}

/// Two numbers: their entries, and what the kernel has there.
struct Scene {
    copies: Copies,
    entries: [AtomicU64; 2],
    kernel: Mutex<[u64; 2]>,
}

impl Scene {
    fn new() -> Arc<Scene> {
        let entries = [AtomicU64::new(FIRST), AtomicU64::new(0)];
        Arc::new(Scene { copies: Copies::new(), entries, kernel: Mutex::new([FIRST, 0]) })
    }

    /// As dup's hook.
    fn copy(&self, order: Order) {
        let early = (order != Order::LateBegin).then(|| self.copies.begin(Number::Free));
        let held = self.entries[SOURCE].load_total();
        let begun = early.unwrap_or_else(|| self.copies.begin(Number::Free));
        if held != 0 {
            let named = {
                let mut kernel = self.kernel.lock().unwrap();
                kernel[COPY] = kernel[SOURCE];
                kernel[COPY]
            };
            // Otherwise the kernel answers that the source is closed.
            if named != 0 {
                let entry = self.entries[SOURCE].load_total();
                self.entries[COPY].swap_total(entry);
                let is_sure = entry != 0 || order == Order::Trusting;
                if !is_sure || self.copies.has_closed_since(begun) {
                    self.entries[COPY].swap_total(if held == named { held } else { 0 });
                }
            }
        }
        self.copies.end();
    }

    /// As close's hook, and then socket's.
    fn close_and_open(&self, order: Order) {
        if order == Order::EarlyNote {
            self.copies.note_close();
        }
        self.entries[SOURCE].swap_total(0);
        if order != Order::EarlyNote {
            self.copies.note_close();
        }
        self.kernel.lock().unwrap()[SOURCE] = 0;
        self.kernel.lock().unwrap()[SOURCE] = SECOND;
        self.entries[SOURCE].swap_total(SECOND);
    }
}

fn copy_beside_close(order: Order) {
    let scene = Scene::new();
    let other = Arc::clone(&scene);
    let closing = thread::spawn(move || other.close_and_open(order));
    scene.copy(order);
    closing.join().unwrap();
    let (named, entry) = (scene.kernel.lock().unwrap()[COPY], scene.entries[COPY].load_total());
    match named {
        // The later socket may be without an entry, as one that was made elsewhere.
        SECOND => assert!(entry == SECOND || entry == 0, "the entry of another socket"),
        named => assert_eq!(entry, named, "a copy has the entry of its socket"),
    }
}

#[test]
fn a_copy_beside_a_close_has_the_entry_of_its_socket() {
    holds(|| copy_beside_close(Order::Right));
}

#[test]
fn loom_finds_a_copy_that_begins_after_its_look() {
    fails(&[], || copy_beside_close(Order::LateBegin));
}

#[test]
fn loom_finds_a_close_that_is_counted_before_its_entry_goes() {
    fails(&[], || copy_beside_close(Order::EarlyNote));
}

#[test]
fn loom_finds_a_source_whose_entry_went_before_its_close_was_counted() {
    fails(&[], || copy_beside_close(Order::Trusting));
}
