//! Error numbers as values.

/// An errno value, e.g. `Errno(libc::ECONNREFUSED)`; the C variable is set only at a hook's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Splits a raw kernel result into a value or the errno it carries.
    #[inline(always)]
    pub const fn check(result: isize) -> Result<usize, Errno> {
        if result < 0 && result >= -4095 { Err(Errno(-result as i32)) } else { Ok(result as usize) }
    }
}
