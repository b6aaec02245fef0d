//! Room for copies of a caller's arrays: on the stack as long as they are short.

use epochsocks::sys::{self, Errno};

/// Words on the stack: 128 pollfds, or the sets of a select of 1,024 descriptors.
const SHORT: usize = 144;

/// Calls `call` with `count` zeroed words. `ENOMEM` when there are none. A thread that is cancelled
/// in `call` leaves a long array's mapping behind. Async-signal-safe.
pub fn with_words<R>(count: usize, call: impl FnOnce(&mut [u64]) -> R) -> Result<R, Errno> {
    if count <= SHORT {
        let mut words = [0; SHORT];
        return Ok(call(&mut words[..count]));
    }
    let size = count.checked_mul(size_of::<u64>()).ok_or(Errno(libc::ENOMEM))?;
    let memory = sys::map_zeroed(size)?;
    // SAFETY: a fresh mapping of so many zeroed words.
    let result = call(unsafe { core::slice::from_raw_parts_mut(memory.cast().as_ptr(), count) });
    // SAFETY: the slice is gone.
    unsafe { sys::unmap(memory, size) };
    Ok(result)
}

/// The bytes of some words.
pub fn bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any bytes are words, and the other way round.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// How many words `count` bits need.
pub const fn words_for(count: usize) -> usize {
    count.div_ceil(u64::BITS as usize)
}

/// Bits in words, as in an `fd_set`.
pub trait Bits {
    /// Whether bit `index` is set.
    fn has(&self, index: usize) -> bool;
    /// Sets or clears bit `index`, if it is there.
    fn put(&mut self, index: usize, value: bool);
}

impl Bits for [u64] {
    fn has(&self, index: usize) -> bool {
        self.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    fn put(&mut self, index: usize, value: bool) {
        if let Some(word) = self.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}
