//! Policies of a claim: the word that it publishes, and the nodes that it thereby holds back.

use core::sync::atomic::Ordering::Relaxed;

use super::super::backends::{self, Variant};
use super::super::node::{List, Node};
use crate::atomics::AtomicU64;
use crate::atomics::ordering::TotalOrder;

/// The word of a cell that was never claimed.
pub const UNUSED: u64 = 0;
/// The word of a cell that may be claimed.
pub const FREE: u64 = 1;
/// The word of a claim that protects nothing: its holder uses the arena only.
pub const BUSY: u64 = 2;
/// The clock's first epoch; epochs and addresses are above the three words.
pub const FIRST_EPOCH: u64 = 4;

/// A way to protect nodes. A reader publishes a word and then reads the slot; a reclaimer empties
/// the slot and then reads the words: the total order of these four lets one see the other.
pub trait Policy: Sync + 'static {
    /// The registry with this policy.
    const VARIANT: &'static Variant;
    /// True if reclamation moves the clock.
    const TICKS: bool;
    /// True if a reader must make sure that its cell was in the current generation when it read the
    /// slot (see [`Generation`](super::generation::Generation)).
    const WATCHES_GENERATION: bool;
    /// Lets a reader claim the cell of its place on the stack by a plain store; then a reclaimer
    /// must let all threads pass a barrier before it looks at the words.
    const BARRIER: bool = false;

    /// Word to publish before reading a slot that named `node` just now.
    fn word<T>(clock: &AtomicU64, node: *const Node<T>) -> u64;

    /// Tells whether `word`, published before `node` was found in its slot, protects it.
    fn protects<T>(word: u64, node: &Node<T>) -> bool;

    /// Tells whether a claim with `word` may protect the retired `node`.
    fn holds_back<T>(word: u64, node: &Node<T>) -> bool;

    /// Tells whether a claim with `word` may protect any node that lived within `span`: so that
    /// thousands of abandoned claims cost a reclaimer one look each.
    fn may_hold_back(_word: u64, _span: &Span) -> bool {
        true
    }
}

/// The epochs in which some nodes lived, from the first birth to the last retirement.
#[derive(Debug)]
pub struct Span {
    birth: u64,
    retired: u64,
}

impl Span {
    /// That of the retired nodes in a list of the caller's.
    pub fn of<T>(list: &List<T>) -> Span {
        let mut span = Span { birth: u64::MAX, retired: 0 };
        list.each(|node| {
            // Relaxed: the node is in the reclaimer's own list.
            span.birth = span.birth.min(node.birth.load(Relaxed));
            span.retired = span.retired.max(node.retired.get());
        });
        span
    }
}

/// Eras: a node is alive from its birth to its retirement, and a claim holds back what was alive in
/// its epoch. A stopped reader costs a bounded number of nodes.
#[derive(Debug)]
pub struct Era;

impl Policy for Era {
    const VARIANT: &'static Variant = &backends::SLOTS;
    const TICKS: bool = true;
    // A node of a later generation is born after the word's epoch, which `protects` refuses.
    const WATCHES_GENERATION: bool = false;

    #[inline(always)]
    fn word<T>(clock: &AtomicU64, _: *const Node<T>) -> u64 {
        clock.load_total()
    }

    #[inline(always)]
    fn protects<T>(word: u64, node: &Node<T>) -> bool {
        // The node was in its slot after `word` was published, so it is retired at `word` or later.
        // Relaxed: the slot's load has acquired at least this life's birth, and if the memory is in
        // its next life already, that one's birth is later still and refused too.
        node.birth.load(Relaxed) <= word
    }

    #[inline(always)]
    fn holds_back<T>(word: u64, node: &Node<T>) -> bool {
        // Relaxed: the node is in the reclaimer's own list.
        node.birth.load(Relaxed) <= word && word <= node.retired.get()
    }

    #[inline(always)]
    fn may_hold_back(word: u64, span: &Span) -> bool {
        span.birth <= word && word <= span.retired
    }
}

/// Eras, with claims that are plain stores: a reader has no locked instruction, and a reclaimer makes
/// all threads pass a barrier. Without membarrier(2) it is [`Era`].
#[derive(Debug)]
pub struct PlainEra;

impl Policy for PlainEra {
    const VARIANT: &'static Variant = &backends::SLOTS_BARRIER;
    const TICKS: bool = Era::TICKS;
    const WATCHES_GENERATION: bool = Era::WATCHES_GENERATION;
    const BARRIER: bool = true;

    #[inline(always)]
    fn word<T>(clock: &AtomicU64, node: *const Node<T>) -> u64 {
        Era::word(clock, node)
    }

    #[inline(always)]
    fn protects<T>(word: u64, node: &Node<T>) -> bool {
        Era::protects(word, node)
    }

    #[inline(always)]
    fn holds_back<T>(word: u64, node: &Node<T>) -> bool {
        Era::holds_back(word, node)
    }

    #[inline(always)]
    fn may_hold_back(word: u64, span: &Span) -> bool {
        Era::may_hold_back(word, span)
    }
}

/// Plain epochs: a claim holds back whatever was retired in its epoch or later, that is everything
/// while one reader is stopped.
#[derive(Debug)]
pub struct Epoch;

impl Policy for Epoch {
    const VARIANT: &'static Variant = &backends::SLOTS_EPOCH;
    const TICKS: bool = true;
    const WATCHES_GENERATION: bool = true;

    #[inline(always)]
    fn word<T>(clock: &AtomicU64, _: *const Node<T>) -> u64 {
        clock.load_total()
    }

    #[inline(always)]
    fn protects<T>(_: u64, _: &Node<T>) -> bool {
        // The node was in its slot after `word` was published: it is retired at `word` or later.
        true
    }

    #[inline(always)]
    fn holds_back<T>(word: u64, node: &Node<T>) -> bool {
        word <= node.retired.get()
    }

    #[inline(always)]
    fn may_hold_back(word: u64, span: &Span) -> bool {
        word <= span.retired
    }
}

/// Hazard pointers: a claim holds back one node.
#[derive(Debug)]
pub struct Hazard;

impl Policy for Hazard {
    const VARIANT: &'static Variant = &backends::SLOTS_HAZARD;
    const TICKS: bool = false;
    const WATCHES_GENERATION: bool = true;

    #[inline(always)]
    fn word<T>(_: &AtomicU64, node: *const Node<T>) -> u64 {
        node.addr() as u64
    }

    #[inline(always)]
    fn protects<T>(word: u64, node: &Node<T>) -> bool {
        word == core::ptr::from_ref(node).addr() as u64
    }

    #[inline(always)]
    fn holds_back<T>(word: u64, node: &Node<T>) -> bool {
        Self::protects(word, node)
    }
}
