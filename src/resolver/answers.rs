//! The names that Tor has resolved to addresses, so that a connect to such an address can carry the
//! name: tor then warns of no leak, and its rules for names (exit policies, MapAddress) hold.
//!
//! - **a** A name is answered only for an address that was noted with no other name since: what is
//!   behind an address may differ by name, and an exit looks the name up anew.
//! - **b** The table is bounded: an address that is new takes the place of an old one of its set.
//! - **c** No operation waits for another; each may interrupt any other. A slot whose writer was
//!   interrupted or killed answers nothing.
//! - **d** The table is the process's own. A forked child knows what its parent knew; no other process
//!   can change which name a connect takes.
//!
//! Each slot is a sequence lock: its sequence is odd while a thread writes, and a reader takes only
//! what has the same even sequence before and after.

use core::net::IpAddr;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, fence};

use crate::bytes::Bytes;
use crate::socks5::Name;
use crate::sys;

/// The sets, each chosen by a hash of the address: a power of two.
const SETS: usize = 512;
/// The slots of a set.
const WAYS: usize = 4;
/// A length byte and 255 bytes of name, in words.
const WORDS: usize = 256 / size_of::<u64>();

/// `::`, in the place of an address: an empty slot's.
const NO_ADDRESS: u128 = 0;

/// Zeroed memory is an empty slot.
#[repr(C)]
struct Slot {
    sequence: AtomicU32,
    /// Number of times that a slot of the set was taken from another address; used in the set's
    /// first slot.
    turn: AtomicU32,
    /// The address in IPv6's form.
    address: [AtomicU64; 2],
    /// The name behind its length; length 0 is more than one name.
    name: [AtomicU64; WORDS],
}

/// Content of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    address: u128,
    /// `None`: more than one.
    name: Option<Name>,
}

/// Addresses and the names that Tor resolved to them. Const-constructible; a `static` of it lives as
/// long as the process.
pub struct Answers {
    slots: AtomicPtr<Slot>,
}

impl Answers {
    /// A table without memory.
    pub const fn new() -> Self {
        Answers { slots: AtomicPtr::new(null_mut()) }
    }

    /// Notes that Tor has resolved `name` to `address`; without memory nothing is noted.
    /// Async-signal-safe.
    pub fn note(&self, address: IpAddr, name: &Name) {
        let Some(table) = self.table_or_open() else { return };
        let address = key(address);
        if address == NO_ADDRESS {
            return;
        }
        let set = set_of(table, address);
        let mut noted = set.iter().filter_map(|slot| Some((slot, slot.read()?)));
        if let Some((slot, entry)) = noted.find(|(_, entry)| entry.address == address) {
            if !entry.name.is_some_and(|other| is_same(&other, name)) {
                slot.write(Entry { address, name: None });
            }
            return;
        }
        let free =
            set.iter().find(|slot| slot.read().is_some_and(|entry| entry.address == NO_ADDRESS));
        let slot = free.or_else(|| {
            // Relaxed: any slot will do.
            let turn = set.first()?.turn.fetch_add(1, Relaxed);
            set.get(turn as usize % WAYS)
        });
        if let Some(slot) = slot {
            slot.write(Entry { address, name: Some(*name) });
        }
    }

    /// The one name that Tor has resolved to `address`, if it is known. Async-signal-safe; no system
    /// call.
    pub fn name(&self, address: IpAddr) -> Option<Name> {
        let address = key(address);
        let entries = set_of(self.table()?, address).iter().filter_map(Slot::read);
        let mut names = entries.filter(|entry| entry.address == address).map(|entry| entry.name);
        let name = names.next()??;
        // Two threads that note an address at once may each take a slot for it.
        names.all(|other| other.is_some_and(|other| is_same(&other, &name))).then_some(name)
    }

    fn table(&self) -> Option<&[Slot]> {
        // Acquire pairs with the Release in `table_or_open`. The memory is zeroed.
        let slots = NonNull::new(self.slots.load(Acquire))?;
        // SAFETY: a mapping of that many slots, which is never unmapped while `self` is borrowed.
        Some(unsafe { core::slice::from_raw_parts(slots.as_ptr(), SETS * WAYS) })
    }

    fn table_or_open(&self) -> Option<&[Slot]> {
        if self.table().is_none() {
            let size = SETS * WAYS * size_of::<Slot>();
            let mapped = sys::map_zeroed(size).ok()?;
            let slots = mapped.cast().as_ptr();
            // Release pairs with the Acquire in `table`.
            if self.slots.compare_exchange(null_mut(), slots, Release, Relaxed).is_err() {
                // SAFETY: no other thread has seen the mapping that lost.
                unsafe { sys::unmap(mapped, size) };
            }
        }
        self.table()
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(slots) = NonNull::new(*self.slots.get_mut()) {
            // SAFETY: `self` is the table's only user, and no borrow of it is left.
            unsafe { sys::unmap(slots.cast(), SETS * WAYS * size_of::<Slot>()) };
        }
    }
}

impl Slot {
    /// Reads the slot; `None` while another thread writes to it.
    fn read(&self) -> Option<Entry> {
        // Acquire pairs with the Release that ends `write`: its words are seen.
        let sequence = self.sequence.load(Acquire);
        let entry = self.entry();
        // Pairs with the Release fence in `write`: who has seen a word of a later write sees its
        // sequence below, too.
        fence(Acquire);
        let is_whole = sequence & 1 == 0 && self.sequence.load(Relaxed) == sequence;
        is_whole.then_some(entry?)
    }

    fn entry(&self) -> Option<Entry> {
        // Relaxed: the sequence tells whether the words belong together.
        let [high, low] = [0, 1].map(|half: usize| self.address[half].load(Relaxed));
        let address = u128::from(high) << 64 | u128::from(low);
        let mut bytes = Bytes::<256>::EMPTY;
        let mut left = 1;
        for word in &self.name {
            let word = word.load(Relaxed).to_ne_bytes();
            if bytes.is_empty() {
                left += usize::from(word[0]);
            }
            bytes.extend(word.get(..left.min(word.len())).unwrap_or(&word));
            left = left.saturating_sub(word.len());
            if left == 0 {
                break;
            }
        }
        let (_, text) = bytes.as_slice().split_first()?;
        let name = if text.is_empty() { None } else { Some(Name::new(text).ok()?) };
        Some(Entry { address, name })
    }

    /// Writes unless another thread does: then nothing is noted.
    fn write(&self, entry: Entry) {
        // Relaxed: the exchange below decides.
        let sequence = self.sequence.load(Relaxed);
        // Acquire pairs with the Release that ends the write before.
        if sequence & 1 != 0
            || self
                .sequence
                .compare_exchange(sequence, sequence.wrapping_add(1), Acquire, Relaxed)
                .is_err()
        {
            return;
        }
        // Pairs with the Acquire fence in `read`.
        fence(Release);
        let halves = [(entry.address >> 64) as u64, entry.address as u64];
        for (place, half) in self.address.iter().zip(halves) {
            place.store(half, Relaxed);
        }
        let text = entry.name.as_ref().map_or(&[][..], Name::as_bytes);
        let mut bytes = Bytes::<256>::EMPTY;
        bytes.extend(&[text.len() as u8]);
        bytes.extend(text);
        for (place, piece) in self.name.iter().zip(bytes.as_slice().chunks(size_of::<u64>())) {
            let mut word = [0; size_of::<u64>()];
            word.iter_mut().zip(piece).for_each(|(place, byte)| *place = *byte);
            place.store(u64::from_ne_bytes(word), Relaxed);
        }
        // Release pairs with the Acquires in `read` and here.
        self.sequence.store(sequence.wrapping_add(2), Release);
    }
}

/// The address as one number, an IPv4 address by its mapped form.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn set_of(table: &[Slot], address: u128) -> &[Slot] {
    let folded = (address >> 64) as u64 ^ address as u64;
    let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let start = hash as usize % SETS * WAYS;
    table.get(start..start + WAYS).unwrap_or_default()
}

fn is_same(one: &Name, other: &Name) -> bool {
    one.as_bytes().eq_ignore_ascii_case(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_address_leads_back_to_the_name_that_was_resolved_to_it() {
        let answers = Answers::new();
        let longest = "a".repeat(255);
        for (at, text) in [("192.0.2.1", "a.example"), ("2001:db8::1", &longest), ("::1", "b")] {
            assert_eq!(answers.name(address(at)), None);
            answers.note(address(at), &name(text));
            assert_eq!(answers.name(address(at)), Some(name(text)));
        }
        assert_eq!(answers.name(address("::ffff:192.0.2.1")), Some(name("a.example")));
        assert_eq!(answers.name(address("192.0.2.2")), None);
    }

    #[test]
    fn an_address_with_two_names_has_none() {
        let answers = Answers::new();
        let shared = address("192.0.2.1");
        answers.note(shared, &name("a.example"));
        answers.note(shared, &name("A.Example"));
        assert_eq!(answers.name(shared), Some(name("a.example")));
        answers.note(shared, &name("b.example"));
        assert_eq!(answers.name(shared), None);
        answers.note(shared, &name("a.example"));
        assert_eq!(answers.name(shared), None);
    }

    #[test]
    fn a_short_name_leaves_nothing_of_a_longer_one() {
        let answers = Answers::new();
        // More addresses than the table holds: every slot is written more than once.
        for number in 0..8 * (SETS * WAYS) as u32 {
            let long = "x".repeat(1 + number as usize % 250);
            answers.note(IpAddr::V4(number.into()), &name(&long));
        }
        let known = (0..8 * (SETS * WAYS) as u32).filter_map(|number| {
            let known = answers.name(IpAddr::V4(number.into()))?;
            assert_eq!(known, name(&"x".repeat(1 + number as usize % 250)));
            Some(())
        });
        assert!((1..=SETS * WAYS).contains(&known.count()));
    }

    #[test]
    fn the_last_address_of_a_crowded_set_is_known() {
        let answers = Answers::new();
        for number in 0..100 * (SETS * WAYS) as u32 {
            let address = IpAddr::V4(number.into());
            answers.note(address, &name("a.example"));
            assert_eq!(answers.name(address), Some(name("a.example")));
        }
    }

    #[test]
    fn a_slot_whose_writer_was_stopped_answers_nothing_and_stops_nobody() {
        let answers = Answers::new();
        let at = address("192.0.2.1");
        answers.note(at, &name("a.example"));
        let set = set_of(answers.table().unwrap(), key(at));
        set[0].sequence.fetch_add(1, Relaxed);
        assert_eq!(answers.name(at), None);
        answers.note(at, &name("b.example"));
        assert_eq!(answers.name(at), Some(name("b.example")));
    }

    #[test]
    fn racing_threads_read_whole_names_only() {
        let answers = Answers::new();
        let addresses: Vec<IpAddr> = (0..4 * SETS as u32).map(|n| IpAddr::V4(n.into())).collect();
        let text = |number: usize| format!("{}.{number}.example", "n".repeat(number % 200));
        std::thread::scope(|scope| {
            for first in 0..4 {
                let (answers, addresses) = (&answers, &addresses);
                scope.spawn(move || {
                    for number in (0..3 * addresses.len()).map(|n| (n + first) % addresses.len()) {
                        answers.note(addresses[number], &name(&text(number)));
                        if let Some(known) = answers.name(addresses[number]) {
                            assert_eq!(known, name(&text(number)));
                        }
                    }
                });
            }
        });
    }
}
