//! ELF notes: Go's build id, and the note by which the launcher knows the preload library.

use core::fmt;

use super::ReadAt;
use super::plain::read;
use crate::sys::Errno;

/// Number of bytes of a vendor's name that are looked at.
const NAME: usize = 12;
/// Number of bytes of a segment that are searched.
const MOST: u64 = 64 * 1024;
/// A note's head: the sizes of name and description, and the type.
const HEAD: u64 = 12;

/// The note that the preload library carries, ready to be put into a section `.note.epochsocks`.
/// Any other library in its place would leave programs unprotected.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Identity {
    name_size: u32,
    description_size: u32,
    kind: u32,
    name: [u8; NAME],
    version: [u8; Identity::VERSION],
}

impl Identity {
    const VERSION: usize = 16;
    const VENDOR: [u8; NAME] = *b"epochsocks\0\0";

    /// The note of this build.
    pub const OURS: Identity = Identity {
        name_size: 11,
        description_size: Identity::VERSION as u32,
        kind: 1,
        name: Identity::VENDOR,
        version: padded(env!("CARGO_PKG_VERSION").as_bytes()),
    };

    /// The version that it tells.
    pub(super) fn version(&self) -> Version {
        Version(self.version)
    }

    /// The version of the preload library, if `note` is its [`Identity`].
    fn version_in(note: &Note) -> Option<Version> {
        let is_identity = note.name == Identity::VENDOR && note.kind == Identity::OURS.kind;
        is_identity.then_some(Version(note.description))
    }

    /// Distance from the description of `note` to the block of [`crate::view`], if the note tells it.
    fn view_in(note: &Note) -> Option<i32> {
        let [a, b, c, d, ..] = note.description;
        let is_view = note.name == Identity::VENDOR && note.kind == VIEW;
        is_view.then(|| i32::from_ne_bytes([a, b, c, d]))
    }

    /// Tells whether `note` says that its file is the preload library of this version.
    pub(super) fn is_ours(note: &Note) -> bool {
        Identity::version_in(note) == Some(Version(Identity::OURS.version))
    }
}

/// The kind of the note that leads to the block of [`crate::view`].
const VIEW: u32 = 2;

/// The version of a preload library, filled up with NULs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; Identity::VERSION]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version(bytes) = self;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        write!(f, "{}", bytes.get(..end).unwrap_or_default().escape_ascii())
    }
}

/// The findings in the notes of a loaded library.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Findings {
    pub(super) version: Option<Version>,
    /// Address at which the block of [`crate::view`] is loaded.
    pub(super) view: Option<u64>,
}

impl Findings {
    /// Takes note of what `note`, which is loaded, says.
    pub(super) fn add(&mut self, note: &Note) {
        self.version = self.version.or(Identity::version_in(note));
        let view = Identity::view_in(note);
        let view = view.map(|distance| note.description_at.wrapping_add_signed(distance.into()));
        self.view = self.view.or(view);
    }
}

/// `text`, cut or filled up with NULs.
const fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N && index < text.len() {
        bytes[index] = text[index];
        index += 1;
    }
    bytes
}

/// One note.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// The vendor's name up to its NUL, cut or filled up with NULs.
    pub(super) name: [u8; NAME],
    /// The vendor's own kind of note.
    kind: u32,
    /// Address of the description.
    description_at: u64,
    /// The start of the description, filled up with NULs.
    description: [u8; Identity::VERSION],
}

/// Calls `each` with every note in the first 64 KiB of a segment.
pub(super) fn for_each(
    file: &(impl ReadAt + ?Sized),
    start: u64,
    size: u64,
    mut each: impl FnMut(&Note),
) -> Result<(), Errno> {
    let end = size.min(MOST);
    let mut position = 0;
    while position + HEAD <= end {
        let Some(offset) = start.checked_add(position) else { return Ok(()) };
        let Some([name, description, kind]) = read::<[u32; 3]>(file, offset)? else {
            return Ok(());
        };
        let aligned = |size: u32| (u64::from(size) + 3) & !3;
        let description_at = offset.saturating_add(HEAD + aligned(name));
        let note = Note {
            name: text(file, offset.saturating_add(HEAD), name, Cut::AtNul)?,
            kind,
            description_at,
            description: text(file, description_at, description, Cut::Nowhere)?,
        };
        each(&note);
        position += HEAD + aligned(name) + aligned(description);
    }
    Ok(())
}

/// Length of a text.
#[derive(PartialEq, Eq)]
enum Cut {
    AtNul,
    Nowhere,
}

/// The first bytes of a text of `size` bytes.
fn text<const N: usize>(
    file: &(impl ReadAt + ?Sized),
    offset: u64,
    size: u32,
    cut: Cut,
) -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    let wanted = bytes.get_mut(..N.min(size as usize)).unwrap_or_default();
    match file.read_at(wanted, offset) {
        Ok(_) | Err(Errno(libc::EINVAL)) => {}
        Err(errno) => return Err(errno),
    }
    let nul = bytes.iter().position(|&byte| byte == 0).filter(|_| cut == Cut::AtNul);
    bytes.get_mut(nul.unwrap_or(N)..).unwrap_or_default().fill(0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], description: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len() as u32, description.len() as u32, 1] {
            note.extend_from_slice(&word.to_ne_bytes());
        }
        for text in [name, description] {
            note.extend_from_slice(text);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    fn ours(bytes: &[u8]) -> usize {
        let mut count = 0;
        for_each(bytes, 0, u64::MAX, |note| count += usize::from(Identity::is_ours(note))).unwrap();
        count
    }

    #[test]
    fn our_note_is_found_among_others() {
        let mut version = [0; Identity::VERSION];
        version.copy_from_slice(&Identity::OURS.version);
        let mine = note(b"epochsocks\0", &version);
        let other = note(b"GNU\0", b"12345");
        assert_eq!(ours(&[other.clone(), mine.clone(), other.clone()].concat()), 1);
        assert_eq!(ours(&[other.clone(), note(b"epochsocks\0", b"0.0.0")].concat()), 0);
        assert_eq!(ours(&note(b"epochsocksX\0", &version)), 0);
        assert_eq!(ours(&mine[..20]), 0);
    }

    #[test]
    fn hostile_sizes_end_the_search() {
        for sizes in [[u32::MAX; 3], [u32::MAX, 0, 0], [0, u32::MAX, 0]] {
            let bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_ne_bytes()).collect();
            assert_eq!(ours(&bytes), 0);
            for_each(&bytes[..], u64::MAX - 4, u64::MAX, |_| {}).unwrap();
        }
    }
}
