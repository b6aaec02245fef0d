//! From the bytes of a process's memory to its sockets.
//!
//! The bytes are the process's own: it may change them while they are read, and a hostile one may write
//! what it likes. What changes is read again; what makes no sense is [`Unreadable`]. No number of
//! theirs decides how much is read, and no address of theirs is used for anything but to read.

use epochsocks::log::Subject;
use epochsocks::program::ReadAt;
use epochsocks::program::elf::{self, Loaded};
use epochsocks::registry::Layout;
use epochsocks::sockets::handshake::{Awaits, SlotImage};
use epochsocks::sockets::{Image, Standing};
use epochsocks::sys::Errno;
use epochsocks::view::View;

/// Reason that the memory of a process says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The process has ended.
    Gone,
    /// The kernel does not let this user read it.
    Denied,
    /// The library is not in the process.
    NotOurs,
    /// It is that of another version, or another build of this one.
    OtherVersion(String),
    /// It was built with a registry that keeps no table.
    OtherRegistry,
    /// Its memory makes no sense.
    Nonsense,
}

impl From<Errno> for Unreadable {
    fn from(errno: Errno) -> Unreadable {
        match errno {
            Errno(libc::ESRCH) => Unreadable::Gone,
            _ => Unreadable::Denied,
        }
    }
}

/// The record of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It has none.
    None,
    /// One that changed at each look.
    Changing,
    /// This one; of a handshake in flight also how far it is.
    Record(Image, Option<Awaits>),
}

/// As many times is something read again that changes.
const TRIES: u32 = 8;
/// The longest name, with its length before it.
const NAME: usize = 256;

/// The library of a process, found in its memory `M`.
pub struct Reader<M> {
    memory: M,
    view: View,
}

impl<M: ReadAt> Reader<M> {
    /// The reader of the library that is mapped at `base`.
    pub fn at(memory: M, base: u64) -> Result<Reader<M>, Unreadable> {
        let address = match elf::loaded(&memory, base)? {
            Loaded::Other => return Err(Unreadable::NotOurs),
            Loaded::OtherVersion(version) => {
                return Err(Unreadable::OtherVersion(version.to_string()));
            }
            Loaded::Ours(view) => view,
        };
        let mut bytes = [0; size_of::<View>()];
        fill(&memory, address, &mut bytes)?;
        let view = View::parse(&bytes).ok_or(Unreadable::Nonsense)?;
        if view.table.page == 0 || view.subjects as usize != Subject::ALL.len() {
            return Err(Unreadable::OtherRegistry);
        }
        Ok(Reader { memory, view })
    }

    /// The registry's entry of the descriptor `fd`.
    pub fn entry(&self, fd: u32) -> Result<Entry, Unreadable> {
        let Some(place) = self.place(fd)? else { return Ok(Entry::None) };
        for _ in 0..TRIES {
            let word = self.word(place)?;
            if word & u64::from(self.view.table.names) == 0 {
                return Ok(Entry::None);
            }
            let node = word & !u64::from(self.view.table.marks);
            let address =
                node.checked_add(self.view.table.record.into()).ok_or(Unreadable::Nonsense)?;
            let before = self.record(address)?;
            let record = self.record(address)?;
            let after = self.record(address)?;
            // The state's step counts: between two equal ones the record did not change.
            if self.word(place)? != word || !before.is_same_step(&record) {
                continue;
            }
            let awaits = match record.slot() {
                Some(slot) if record.standing() == Standing::InFlight => {
                    self.handshake(slot, &record)?
                }
                _ => None,
            };
            if record.is_same_step(&after) {
                return Ok(Entry::Record(record, awaits));
            }
        }
        Ok(Entry::Changing)
    }

    /// The stage of the handshake in `slot`, if that is still this record's.
    fn handshake(&self, slot: u32, record: &Image) -> Result<Option<Awaits>, Unreadable> {
        let Some((chunk, index)) = self.view.slot_place(slot) else { return Ok(None) };
        let chunk = self.word(at(self.view.chunks as u64, 8 * u64::from(chunk))?)?;
        let address = u64::from(self.view.slot).checked_mul(index.into());
        let address = address.and_then(|offset| chunk.checked_add(offset));
        let mut bytes = [0; SlotImage::SIZE];
        match address {
            Some(address) if chunk != 0 => fill(&self.memory, address, &mut bytes)?,
            _ => return Ok(None),
        }
        Ok(SlotImage::parse(&bytes).awaits(record.id()))
    }

    /// The count of refusals so far of each subject that has any.
    pub fn refusals(&self) -> Result<Vec<(&'static str, u32)>, Unreadable> {
        let mut counts = [0; 4 * Subject::ALL.len()];
        fill(&self.memory, self.view.refusals as u64, &mut counts)?;
        let numbers = counts.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes));
        let pairs = Subject::ALL.iter().map(|subject| subject.key()).zip(numbers);
        Ok(pairs.filter(|(_, count)| *count != 0).collect())
    }

    /// The name that the cookie of number `cookie` stands for.
    pub fn name(&self, cookie: u32) -> Result<Option<String>, Unreadable> {
        let pool = self.word(self.view.names as u64)?;
        let mut header = [0; 12];
        if pool == 0 {
            return Ok(None);
        }
        fill(&self.memory, pool, &mut header)?;
        let [a, b, c, d, ..] = header;
        let capacity = u64::from(u32::from_ne_bytes([a, b, c, d]));
        if u64::from(cookie) >= capacity {
            return Ok(None);
        }
        let slots = at(pool, 12)?;
        let mut slot = [0; 4];
        fill(&self.memory, at(slots, 4 * u64::from(cookie))?, &mut slot)?;
        let Some(offset) = u32::from_ne_bytes(slot).checked_sub(1) else { return Ok(None) };
        let mut text = [0; NAME];
        let start = at(at(slots, 4 * capacity)?, offset.into())?;
        fill(&self.memory, start, &mut text[..1])?;
        let length = usize::from(text[0]);
        fill(&self.memory, start + 1, &mut text[..length])?;
        // It is printed.
        let name = std::str::from_utf8(&text[..length]).ok();
        Ok(name.filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())).map(str::to_owned))
    }

    /// Address of the word of the descriptor `fd`; `None` if its page is not mapped.
    fn place(&self, fd: u32) -> Result<Option<u64>, Unreadable> {
        let Layout { near, far, page, .. } = self.view.table;
        let registry = self.view.registry as u64;
        let start = match fd / page {
            0 => self.word(at(registry, near.into())?)?,
            number => match self.word(at(registry, far.into())?)? {
                0 => 0,
                pages => self.word(at(pages, 8 * u64::from(number))?)?,
            },
        };
        if start == 0 { Ok(None) } else { at(start, 8 * u64::from(fd % page)).map(Some) }
    }

    fn record(&self, address: u64) -> Result<Image, Unreadable> {
        let mut bytes = [0; Image::SIZE];
        fill(&self.memory, address, &mut bytes)?;
        Ok(Image::parse(&bytes))
    }

    fn word(&self, address: u64) -> Result<u64, Unreadable> {
        let mut bytes = [0; 8];
        fill(&self.memory, address, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

/// An address behind `start`.
fn at(start: u64, offset: u64) -> Result<u64, Unreadable> {
    start.checked_add(offset).ok_or(Unreadable::Nonsense)
}

/// Reads all of `buffer`.
fn fill(memory: &impl ReadAt, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
    match memory.read_at(buffer, address)? {
        count if count == buffer.len() => Ok(()),
        _ => Err(Unreadable::Nonsense),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{Elf64_Ehdr, Elf64_Phdr};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::ptr::without_provenance;

    const BASE: u64 = 0x1000_0000;
    /// Address of the block, behind the headers and the notes.
    const VIEW: u64 = BASE + 0x400;

    /// The start of a library, and anything at every other address.
    struct Hostile {
        start: Vec<u8>,
        seed: u64,
        reads: Cell<u32>,
    }

    impl ReadAt for Hostile {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
            self.reads.set(self.reads.get() + 1);
            for (address, byte) in (offset..).zip(buffer.iter_mut()) {
                let known = address.checked_sub(BASE).and_then(|at| self.start.get(at as usize));
                // Another byte at each read, as in a process that writes.
                let noise = address.wrapping_mul(self.seed | 1).rotate_left(self.reads.get() % 64);
                *byte = known.copied().unwrap_or((noise >> 13) as u8);
            }
            Ok(buffer.len())
        }
    }

    fn bytes<T>(value: &T) -> &[u8] {
        // SAFETY: the tests' types are integers in C's layout, without padding.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
    }

    fn note(kind: u32, description: &[u8]) -> Vec<u8> {
        let head = [11, description.len() as u32, kind].map(u32::to_ne_bytes).concat();
        [&head[..], b"epochsocks\0\0", description].concat()
    }

    /// A library whose headers and notes are right, with this block.
    fn library(view: &View, seed: u64) -> Hostile {
        // SAFETY: plain data, valid as zeroes.
        let mut header: Elf64_Ehdr = unsafe { std::mem::zeroed() };
        header.e_type = libc::ET_DYN;
        header.e_phoff = 64;
        header.e_phentsize = size_of::<Elf64_Phdr>() as u16;
        header.e_phnum = 1;
        // SAFETY: as above.
        let mut segment: Elf64_Phdr = unsafe { std::mem::zeroed() };
        segment.p_type = libc::PT_NOTE;
        segment.p_vaddr = 0x200;
        let mut version = [0; 16];
        let text = env!("CARGO_PKG_VERSION").as_bytes();
        version[..text.len()].copy_from_slice(text);
        let identity = note(1, &version);
        let description_at = BASE + 0x200 + identity.len() as u64 + 12 + 12;
        let distance = (VIEW - description_at) as i32;
        let notes = [identity, note(2, &distance.to_ne_bytes())].concat();
        segment.p_memsz = notes.len() as u64;
        let mut start = vec![0; 0x800];
        for (at, part) in [
            (0, bytes(&header)),
            (64, bytes(&segment)),
            (0x200, &notes[..]),
            ((VIEW - BASE) as usize, bytes(view)),
        ] {
            start[at..at + part.len()].copy_from_slice(part);
        }
        Hostile { start, seed, reads: Cell::new(0) }
    }

    fn view() -> View {
        let null = std::ptr::null();
        let layout = Layout { near: 0, far: 8, page: 1 << 20, names: 1, marks: 3, record: 16 };
        View::new(null, Some(layout), null, null)
    }

    #[test]
    fn a_registry_without_a_table_and_other_builds_are_told() {
        let table = Layout::NONE;
        let found = |view: &View| Reader::at(library(view, 1), BASE).err();
        assert_eq!(found(&view()), None);
        assert_eq!(found(&View { table, ..view() }), Some(Unreadable::OtherRegistry));
        assert_eq!(found(&View { format: 9, ..view() }), Some(Unreadable::Nonsense));
        let mut other = library(&view(), 1);
        // The version in the first note.
        other.start[0x200 + 24] ^= 1;
        let other = Reader::at(other, BASE).err();
        assert!(matches!(other, Some(Unreadable::OtherVersion(_))), "{other:?}");
        let nothing = Hostile { start: vec![0; 4096], seed: 1, reads: Cell::new(0) };
        assert_eq!(Reader::at(nothing, BASE).err(), Some(Unreadable::NotOurs));
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_process_lead_the_reader_astray(
            seed: u64,
            addresses: [u64; 4],
            numbers: [u32; 9],
            fd: u32,
            cookie: u32,
        ) {
            let [registry, chunks, names, refusals] =
                addresses.map(|address| without_provenance(address as usize));
            let [near, far, page, names_bit, marks, record, slot, first_chunk, chunk_count] = numbers;
            let table = Layout { near, far, page, names: names_bit, marks, record };
            let view = View {
                registry, chunks, names, refusals, table, slot, first_chunk, chunk_count, ..view()
            };
            if let Ok(reader) = Reader::at(library(&view, seed), BASE) {
                let _ = reader.entry(fd);
                let _ = reader.refusals();
                let name = reader.name(cookie);
                let is_printable = |name: &String| name.bytes().all(|byte| byte.is_ascii_graphic());
                prop_assert!(name.unwrap_or_default().as_ref().is_none_or(is_printable));
                prop_assert!(reader.memory.reads.get() < 100);
            }
        }
    }
}
