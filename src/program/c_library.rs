//! Recognition of a C library, whatever the name of its file: a second one in a process makes its
//! calls past the hooks.

use core::ffi::CStr;

/// The function that starts a program's `main`: every C library exports one, and no other library does.
pub const STARTS_PROGRAMS: [&CStr; 3] = [c"__libc_start_main", c"__libc_init", c"__uClibc_main"];

/// Tells whether a library that calls itself so (`DT_SONAME`) is a C library or a dynamic linker:
/// glibc's, musl's, bionic's, uClibc's.
pub fn is_name_of_whole(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"libc.so", b"libc.musl-", b"ld-"];
    NAMES.iter().any(|start| name.starts_with(start))
}

/// Tells whether a library that calls itself so is a part of a C library which reaches the network,
/// or one that enters the kernel itself and whose functions the hooks stand for (liburing).
pub fn is_name_of_part(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"libresolv.so",
        b"libnsl.so.1",
        b"libanl.so",
        b"libnss_",
        b"libpthread.so",
        b"libutil.so",
        b"liburing.so",
        b"liburing-ffi.so",
    ];
    is_name_of_whole(name) || NAMES.iter().any(|start| name.starts_with(start))
}

/// Tells whether a library that defines a version of this name belongs to glibc.
pub fn is_version(name: &[u8]) -> bool {
    name.starts_with(b"GLIBC_")
}
