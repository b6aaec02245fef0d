//! The memory of another process.

use epochsocks::program::ReadAt;
use epochsocks::sys::Errno;

/// The memory of a process. An address is an offset.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    process: i32,
}

impl Memory {
    /// That of `process`, which is asked for at each read.
    pub fn of(process: i32) -> Memory {
        Memory { process }
    }
}

impl ReadAt for Memory {
    /// Nothing is read where nothing is mapped. Errors: `EPERM`, `ESRCH`. The process is not stopped
    /// and does not notice.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let own = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let address = std::ptr::with_exposed_provenance_mut(offset as usize);
        let its = libc::iovec { iov_base: address, iov_len: buffer.len() };
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`, and reads the other
        // process's memory only.
        let count = unsafe { libc::process_vm_readv(self.process, &own, 1, &its, 1, 0) };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match std::io::Error::last_os_error().raw_os_error() {
                Some(errno @ (libc::EPERM | libc::ESRCH)) => Err(Errno(errno)),
                _ => Ok(0),
            },
        }
    }
}
