//! The lines of a configuration file, read without memory of one's own.

use crate::bytes::Bytes;

/// The longest line; of a longer one the rest is not seen.
pub(super) const LINE: usize = 1024;
/// Number of bytes that are read at once.
const PIECE: usize = 1024;

/// Calls `each` with every line, without its end and with whether it was cut, until it answers true; says
/// whether it did. `read` reads on, and answers 0 at the end or where it can't.
/// Async-signal-safe.
pub fn any(
    mut read: impl FnMut(&mut [u8]) -> usize,
    mut each: impl FnMut(&[u8], bool) -> bool,
) -> bool {
    let mut piece = [0; PIECE];
    let (mut line, mut is_cut) = (Bytes::<LINE>::EMPTY, false);
    loop {
        let count = read(&mut piece);
        for byte in piece.get(..count).unwrap_or_default() {
            if *byte != b'\n' {
                is_cut |= !line.extend(&[*byte]);
            } else if each(line.as_slice(), core::mem::take(&mut is_cut)) {
                return true;
            } else {
                line = Bytes::EMPTY;
            }
        }
        if count == 0 {
            return each(line.as_slice(), is_cut);
        }
    }
}
