//! A byte string of fixed capacity: plain data, no allocation, no pointer; and values made of bytes.

use core::fmt;
use core::mem::MaybeUninit;

/// At most `N` bytes (`N` up to 65,535), stored in place. The unused tail is zero, so that
/// equality and copies need no care. Every method is async-signal-safe.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Bytes<const N: usize> {
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Bytes<N> {
    /// The empty string.
    pub const EMPTY: Self = {
        assert!(N <= u16::MAX as usize);
        Bytes { length: 0, bytes: [0; N] }
    };

    /// Makes it the empty string.
    pub fn clear(&mut self) {
        let length = self.len();
        self.bytes.get_mut(..length).unwrap_or_default().fill(0);
        self.length = 0;
    }

    /// A copy of `bytes`, or `None` if they don't fit.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut copy = Self::EMPTY;
        copy.extend(bytes).then_some(copy)
    }

    /// As much of the start of `bytes` as fits.
    pub fn truncated(bytes: &[u8]) -> Self {
        let mut copy = Self::EMPTY;
        copy.extend(bytes.get(..N).unwrap_or(bytes));
        copy
    }

    /// Appends `more`; if it doesn't fit, appends nothing and answers `false`.
    pub fn extend(&mut self, more: &[u8]) -> bool {
        let start = self.len();
        let Some(room) = self.bytes.get_mut(start..start + more.len()) else { return false };
        room.copy_from_slice(more);
        // The capacity is at most u16::MAX, and `more` fitted into it.
        self.length += more.len() as u16;
        true
    }

    /// The bytes stored so far.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or(&[])
    }

    /// Number of bytes stored.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Tells whether no byte is stored.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Printable ASCII as it is, everything else escaped: safe in one line of a log.
impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_slice().escape_ascii())
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Text is appended whole or refused with `fmt::Error`.
impl<const N: usize> fmt::Write for Bytes<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.extend(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Plain data: any bytes make a value.
///
/// # Safety
/// The type has no padding and no invalid bit pattern.
pub unsafe trait Plain: Copy {}

/// The value of which these are the bytes.
pub fn plain<T: Plain, const N: usize>(bytes: &[u8; N]) -> T {
    const { assert!(N == size_of::<T>()) };
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: as many bytes as the value has, and any of them make one.
    unsafe {
        value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), N);
        value.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_exactly_its_capacity() {
        assert_eq!(Bytes::<3>::new(b"abc").unwrap().as_slice(), b"abc");
        assert_eq!(Bytes::<3>::new(b"abcd"), None);
        assert_eq!(Bytes::<3>::truncated(b"abcd").as_slice(), b"abc");
        assert_eq!(Bytes::<3>::truncated(b"ab").as_slice(), b"ab");
    }

    #[test]
    fn a_refused_extension_changes_nothing() {
        let mut text = Bytes::<3>::new(b"ab").unwrap();
        assert!(!text.extend(b"cd"));
        assert_eq!(text.as_slice(), b"ab");
        assert!(text.extend(b"c"));
        assert_eq!(text.len(), 3);
    }

    #[test]
    fn what_was_cleared_is_empty() {
        let mut text = Bytes::<3>::new(b"ab").unwrap();
        text.clear();
        assert_eq!(text, Bytes::EMPTY);
    }

    #[test]
    fn display_is_one_printable_line() {
        assert_eq!(Bytes::<8>::new(b"a\n\xff\"").unwrap().to_string(), r#"a\n\xff\""#);
    }
}
