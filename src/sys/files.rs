//! The system calls on files and paths.

use core::ffi::CStr;
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::selinux::Context;
use super::{Errno, syscall6};
use crate::bytes::Bytes;

/// An open file of our own: never 0 to 2, closed at exec and when dropped.
#[derive(Debug)]
pub struct File(i32);

impl File {
    /// Opens `path` (relative to the directory `directory`, or [`libc::AT_FDCWD`]) for reading.
    /// Opening a FIFO or a device does not wait. Errors: those of openat(2).
    pub fn open_at(directory: i32, path: &CStr) -> Result<File, Errno> {
        File::open_with(directory, path, libc::O_RDONLY | libc::O_NONBLOCK, 0)
    }

    /// Names the file at `path` (relative to `directory`, or [`libc::AT_FDCWD`]) without opening it, so
    /// that it need not be readable (`O_PATH`). Errors: those of openat(2).
    pub fn name_at(directory: i32, path: &CStr) -> Result<File, Errno> {
        File::open_with(directory, path, libc::O_PATH, 0)
    }

    /// Opens the file at `path`, relative to `directory`, for writing. Errors: those of openat(2).
    pub fn open_to_write_at(directory: i32, path: &CStr) -> Result<File, Errno> {
        File::open_with(directory, path, libc::O_WRONLY, 0)
    }

    /// Opens the file at `path`, relative to `directory`, for reading and writing. Errors: those of openat(2).
    pub fn open_for_both_at(directory: i32, path: &CStr) -> Result<File, Errno> {
        File::open_with(directory, path, libc::O_RDWR, 0)
    }

    /// Opens `path`, which is not a symbolic link, for appending, made with mode 0600 if it is not
    /// there. Errors: `ELOOP` for a symbolic link, those of openat(2).
    pub fn append_to(path: &CStr) -> Result<File, Errno> {
        File::append(path, libc::O_NOFOLLOW)
    }

    /// Opens what the symbolic link `path` leads to, as [`File::append_to`]. Errors: those of
    /// openat(2).
    pub fn append_through_link(path: &CStr) -> Result<File, Errno> {
        File::append(path, 0)
    }

    fn append(path: &CStr, flags: i32) -> Result<File, Errno> {
        let flags = flags | libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NONBLOCK;
        File::open_with(libc::AT_FDCWD, path, flags, 0o600)
    }

    /// Opens `path`, a file to be locked, made with mode 0600 if it is not there. Errors: those of
    /// openat(2).
    pub fn lock_file(path: &CStr) -> Result<File, Errno> {
        let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_NOFOLLOW;
        File::open_with(libc::AT_FDCWD, path, flags, 0o600)
    }

    fn open_with(directory: i32, path: &CStr, flags: i32, mode: u32) -> Result<File, Errno> {
        let flags = (flags | libc::O_CLOEXEC | libc::O_NOCTTY) as usize;
        // SAFETY: `path` ends with a NUL and outlives the call.
        let fd = Errno::check(unsafe {
            let path = path.as_ptr() as usize;
            syscall6(libc::SYS_openat, directory as usize, path, flags, mode as usize, 0, 0)
        })?;
        File(fd as i32).above_standard_streams()
    }

    /// A file of no name in memory. Errors: those of memfd_create(2).
    pub fn in_memory() -> Result<File, Errno> {
        let flags = libc::MFD_CLOEXEC as usize;
        // SAFETY: the name ends with a NUL.
        let fd = Errno::check(unsafe {
            syscall6(libc::SYS_memfd_create, c"".as_ptr() as usize, flags, 0, 0, 0, 0)
        })?;
        File(fd as i32).above_standard_streams()
    }

    /// Opens for reading what `fd` refers to, through /proc. Errors: those of openat(2).
    pub fn reopen(fd: i32) -> Result<File, Errno> {
        let path = in_proc(fd)?;
        let path = CStr::from_bytes_until_nul(path.as_slice()).map_err(|_| Errno(libc::EBADF))?;
        File::open_at(libc::AT_FDCWD, path)
    }

    /// A duplicate of `fd` with a life of its own. Errors: `EBADF`, `EMFILE`.
    pub fn duplicate(fd: i32) -> Result<File, Errno> {
        // SAFETY: F_DUPFD_CLOEXEC takes integers.
        Errno::check(unsafe {
            let command = libc::F_DUPFD_CLOEXEC as usize;
            syscall6(libc::SYS_fcntl, fd as usize, command, 3, 0, 0, 0)
        })
        .map(|fd| File(fd as i32))
    }

    /// Moves the file away from 0 to 2, which a program may have closed to open something else.
    fn above_standard_streams(self) -> Result<File, Errno> {
        if self.0 > libc::STDERR_FILENO { Ok(self) } else { File::duplicate(self.0) }
    }

    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.0
    }

    /// Reads on into `buffer`, as libc reads its own files: programs' filters of system calls permit that. 0 at
    /// the end of the file. Errors: those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`.
        Errno::check(unsafe {
            let (start, length) = (buffer.as_mut_ptr() as usize, buffer.len());
            syscall6(libc::SYS_read, self.0 as usize, start, length, 0, 0, 0)
        })
    }

    /// Tells whether the rest of the file has `wanted`, which is shorter than half of what is read at once and
    /// not empty. False where it can't be read.
    pub fn contains(&self, wanted: &[u8]) -> bool {
        let mut buffer = [0; 2048];
        let mut kept = 0;
        if wanted.is_empty() || wanted.len() > buffer.len() / 2 {
            return false;
        }
        loop {
            let count = match self.read(buffer.get_mut(kept..).unwrap_or_default()) {
                Ok(0) | Err(_) => return false,
                Ok(count) => count,
            };
            let end = kept + count;
            let seen = buffer.get(..end).unwrap_or_default();
            if seen.windows(wanted.len()).any(|window| window == wanted) {
                return true;
            }
            // The beginning of the text may be at the end of what was read.
            let start = end.saturating_sub(wanted.len() - 1);
            buffer.copy_within(start..end, 0);
            kept = end - start;
        }
    }

    /// Goes back to the start, for [`File::read`]. Errors: those of lseek(2).
    pub fn rewind(&self) -> Result<(), Errno> {
        let start = libc::SEEK_SET as usize;
        // SAFETY: lseek takes integers.
        Errno::check(unsafe { syscall6(libc::SYS_lseek, self.0 as usize, 0, start, 0, 0, 0) })
            .map(drop)
    }

    /// Reads at `offset` into `buffer`; 0 at the end of the file. Errors: those of pread(2).
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`.
        Errno::check(unsafe {
            let (start, length) = (buffer.as_mut_ptr() as usize, buffer.len());
            syscall6(libc::SYS_pread64, self.0 as usize, start, length, offset as usize, 0, 0)
        })
    }

    /// The path of what the descriptor names, without symbolic links, as the kernel has it. Errors:
    /// `ENAMETOOLONG`, those of readlink(2) on /proc.
    pub fn path<const N: usize>(&self) -> Result<Bytes<N>, Errno> {
        let name = in_proc(self.0)?;
        let mut path = [0; N];
        // SAFETY: the name ends with a NUL; the kernel writes at most N bytes.
        let count = Errno::check(unsafe {
            let (name, start) = (name.as_slice().as_ptr() as usize, path.as_mut_ptr() as usize);
            syscall6(libc::SYS_readlinkat, libc::AT_FDCWD as usize, name, start, N, 0, 0)
        })?;
        let path = path.get(..count).filter(|_| count < N).and_then(Bytes::new);
        path.ok_or(Errno(libc::ENAMETOOLONG))
    }

    /// The file's length in bytes. Errors: those of fstat(2).
    pub fn length(&self) -> Result<usize, Errno> {
        status(self.0).map(|status| status.st_size as usize)
    }

    /// The file's owner and its type and permission bits. Errors: those of fstat(2).
    pub fn owner_and_mode(&self) -> Result<(u32, libc::mode_t), Errno> {
        status(self.0).map(|status| (status.st_uid, status.st_mode))
    }

    /// The file's type and permission bits (`st_mode`). Errors: those of fstat(2).
    pub fn mode(&self) -> Result<libc::mode_t, Errno> {
        status(self.0).map(|status| status.st_mode)
    }

    /// Tells whether it is the file that this process runs; false where that can't be known.
    pub fn is_running(&self) -> bool {
        let running = File::open_at(libc::AT_FDCWD, c"/proc/self/exe");
        running
            .and_then(|running| identity(running.0))
            .is_ok_and(|running| identity(self.0) == Ok(running))
    }

    /// Numbers that change with the file's content, and differ from any other file's. Errors: those
    /// of fstat(2).
    pub fn version(&self) -> Result<[u64; 7], Errno> {
        let status = status(self.0)?;
        let [size, modified, modified_ns, changed, changed_ns] = [
            status.st_size,
            status.st_mtime,
            status.st_mtime_nsec,
            status.st_ctime,
            status.st_ctime_nsec,
        ]
        .map(i64::cast_unsigned);
        Ok([status.st_dev, status.st_ino, size, modified, modified_ns, changed, changed_ns])
    }

    /// Tells whether the file has the extended attribute `name`. Errors: those of fgetxattr(2), but
    /// a file system without extended attributes has none.
    pub fn has_attribute(&self, name: &CStr) -> Result<bool, Errno> {
        // SAFETY: `name` ends with a NUL; with size 0 the kernel writes nothing.
        let length = Errno::check(unsafe {
            syscall6(libc::SYS_fgetxattr, self.0 as usize, name.as_ptr() as usize, 0, 0, 0, 0)
        });
        match length {
            Ok(_) => Ok(true),
            Err(Errno(libc::ENODATA | libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// The file's SELinux context. Errors: those of fgetxattr(2), `ERANGE` for one that is too long.
    pub fn context(&self) -> Result<Context, Errno> {
        let mut text = [0; Context::CAPACITY];
        let (name, start) = (c"security.selinux".as_ptr() as usize, text.as_mut_ptr() as usize);
        // SAFETY: the name ends with a NUL; the kernel writes at most that many bytes.
        let length = Errno::check(unsafe {
            syscall6(libc::SYS_fgetxattr, self.0 as usize, name, start, text.len() - 1, 0, 0)
        })?;
        Context::read(text.get(..length).unwrap_or_default())
    }

    /// Locks the file, as other processes may at the same time, until the last reference to this opening of it is
    /// gone; never waits. Errors: `EWOULDBLOCK` while another has it for itself.
    pub fn lock_shared(&self) -> Result<(), Errno> {
        self.lock(libc::LOCK_SH)
    }

    /// The same, for itself. Errors: `EWOULDBLOCK` while another has it at all.
    pub fn lock_alone(&self) -> Result<(), Errno> {
        self.lock(libc::LOCK_EX)
    }

    fn lock(&self, how: i32) -> Result<(), Errno> {
        let how = (how | libc::LOCK_NB) as usize;
        // SAFETY: flock takes integers.
        Errno::check(unsafe { syscall6(libc::SYS_flock, self.0 as usize, how, 0, 0, 0, 0) })
            .map(drop)
    }

    /// Maps `size` bytes of the file so that nothing can be done with them: a reference to the open
    /// file without a descriptor. Errors: those of mmap(2).
    pub fn map_nothing(&self, size: usize) -> Result<NonNull<u8>, Errno> {
        let (flags, fd) = (libc::MAP_PRIVATE as usize, self.0 as usize);
        let protection = libc::PROT_NONE as usize;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address =
            Errno::check(unsafe { syscall6(libc::SYS_mmap, 0, size, protection, flags, fd, 0) })?;
        NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM))
    }

    /// Maps a page as code, as ld.so does, and unmaps it. Errors: `EPERM` on a file system that is
    /// mounted noexec, `EACCES`, `ENODEV` for a file that can't be mapped at all.
    pub fn map_as_code(&self) -> Result<(), Errno> {
        const LENGTH: usize = 4096;
        let protection = (libc::PROT_READ | libc::PROT_EXEC) as usize;
        let (flags, fd) = (libc::MAP_PRIVATE as usize, self.0 as usize);
        // SAFETY: a new private mapping at an address of the kernel's choice, never touched, and
        // unmapped again.
        unsafe {
            let address =
                Errno::check(syscall6(libc::SYS_mmap, 0, LENGTH, protection, flags, fd, 0))?;
            Errno::check(syscall6(libc::SYS_munmap, address, LENGTH, 0, 0, 0, 0)).map(drop)
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = super::close(self.0);
    }
}

/// The name that /proc has for `fd`, with its NUL.
fn in_proc(fd: i32) -> Result<Bytes<32>, Errno> {
    let mut name = Bytes::EMPTY;
    write!(name, "/proc/self/fd/{fd}\0").map_err(|_| Errno(libc::EBADF))?;
    Ok(name)
}

/// Writes once to a descriptor of the program's; see write(2).
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads `bytes.len()` bytes.
    Errno::check(unsafe {
        syscall6(libc::SYS_write, fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0)
    })
}

/// Device and inode of a descriptor of the program's. Errors: `EBADF`.
pub fn identity(fd: i32) -> Result<(u64, u64), Errno> {
    status(fd).map(|status| (status.st_dev, status.st_ino))
}

/// Tells whether a descriptor of the program's is a socket. Errors: `EBADF`.
pub fn is_socket(fd: i32) -> Result<bool, Errno> {
    status(fd).map(|status| status.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

/// Tells whether the process has more than one thread; without /proc it counts as one that has.
pub fn is_threaded() -> bool {
    // One for each thread, one for the name and one for the dot.
    status_at(c"/proc/self/task", 0).map(|status| status.st_nlink) != Ok(3)
}

/// Owner and type and permission bits of a symbolic link itself, or of a file that is none. Errors:
/// those of fstatat(2).
pub fn owner_and_mode_of_link(path: &CStr) -> Result<(u32, libc::mode_t), Errno> {
    let status = status_at(path, libc::AT_SYMLINK_NOFOLLOW)?;
    Ok((status.st_uid, status.st_mode))
}

/// Tells whether a descriptor of the program's is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the kernel writes its own structure, which is shorter than libc's.
    let answer = unsafe {
        let address = settings.as_mut_ptr() as usize;
        syscall6(libc::SYS_ioctl, fd as usize, libc::TCGETS as usize, address, 0, 0, 0)
    };
    Errno::check(answer).is_ok()
}

/// Makes `fd` name /dev/null instead of what it names. Errors: those of openat(2) and dup3(2).
pub fn replace_by_null(fd: i32) -> Result<(), Errno> {
    let null = File::open_with(libc::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0)?;
    // SAFETY: dup3 takes integers; the caller owns `fd`.
    Errno::check(unsafe { syscall6(libc::SYS_dup3, null.fd() as usize, fd as usize, 0, 0, 0, 0) })
        .map(drop)
}

fn status_at(path: &CStr, flags: i32) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure, whose layout libc declares as the kernel's own.
    unsafe {
        let (directory, path) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
        let (address, flags) = (status.as_mut_ptr() as usize, flags as usize);
        Errno::check(syscall6(libc::SYS_newfstatat, directory, path, address, flags, 0, 0))?;
        Ok(status.assume_init())
    }
}

pub(super) fn status(fd: i32) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure, whose layout libc declares as the kernel's own.
    unsafe {
        let address = status.as_mut_ptr() as usize;
        Errno::check(syscall6(libc::SYS_fstat, fd as usize, address, 0, 0, 0, 0))?;
        Ok(status.assume_init())
    }
}

/// Tells whether the calling process may execute the file at `path`, relative to `directory`
/// (effective ids). Errors: `EACCES` when not, `ENOENT`, `ENOTDIR` and the others of faccessat(2).
pub fn may_execute(directory: i32, path: &CStr) -> Result<(), Errno> {
    may(directory, path, libc::X_OK)
}

/// Tells whether the calling process can see that there is a file at `path`, which it need not be
/// able to read. Errors: as [`may_execute`]'s.
pub fn is_there(directory: i32, path: &CStr) -> Result<(), Errno> {
    may(directory, path, libc::F_OK)
}

fn may(directory: i32, path: &CStr, mode: i32) -> Result<(), Errno> {
    let (directory, mode) = (directory as usize, mode as usize);
    let flags = libc::AT_EACCESS as usize;
    // SAFETY: `path` ends with a NUL and outlives the call.
    let result = Errno::check(unsafe {
        syscall6(libc::SYS_faccessat2, directory, path.as_ptr() as usize, mode, flags, 0, 0)
    });
    match result {
        // Before Linux 5.8 there is only the form that asks for the real ids.
        // SAFETY: as above.
        Err(Errno(libc::ENOSYS)) => Errno::check(unsafe {
            syscall6(libc::SYS_faccessat, directory, path.as_ptr() as usize, mode, 0, 0, 0)
        })
        .map(drop),
        other => other.map(drop),
    }
}
