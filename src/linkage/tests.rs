//! The answers compared with the dynamic linker's own.

use super::*;

fn dlsym(name: &CStr) -> *mut c_void {
    // SAFETY: a C string.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

fn found(name: &'static CStr) -> *mut c_void {
    next(Symbol::new(name)).unwrap_or(core::ptr::null_mut())
}

#[macro_use]
#[path = "../preload/src/table.rs"]
mod rows;

macro_rules! names {
    ($($name:ident $row:tt)*) => {
        /// Every symbol that the preload library stands in front of.
        const HOOKED: &[&str] = &[$(concat!(stringify!($name), "\0")),*];
    };
}
for_each_hook!(names);

#[test]
fn every_object_is_readable_here() {
    assert!(is_readable());
}

#[test]
fn hooked_functions_are_those_that_dlsym_finds() {
    let names = HOOKED.iter().map(|name| CStr::from_bytes_until_nul(name.as_bytes()).unwrap());
    let mut count = 0;
    for name in names {
        // What libc keeps for programs of old has no default version.
        if !dlsym(name).is_null() {
            assert_eq!(found(name), dlsym(name), "{name:?}");
            count += 1;
        }
    }
    assert!(count > 100, "{count} functions");
}

/// All that the objects of this process define, of every type, version and visibility.
#[test]
fn whatever_is_found_is_what_dlsym_finds() {
    let mut count = 0;
    for object in following().flatten() {
        object.each_name(|name| {
            if let Some(address) = next(Symbol::new(name)) {
                assert_eq!(address, dlsym(name), "{name:?}");
                count += 1;
            }
        });
        if object.is_named(LIBC) {
            break;
        }
    }
    assert!(count > 2_000, "{count} symbols");
}

#[test]
fn a_function_of_two_versions_is_the_default_one() {
    // SAFETY: C strings.
    let old = unsafe {
        libc::dlvsym(libc::RTLD_NEXT, c"pthread_cond_wait".as_ptr(), c"GLIBC_2.2.5".as_ptr())
    };
    let default = found(c"pthread_cond_wait");
    assert!(!default.is_null());
    assert_ne!(default, old, "the version for programs of old");
}

#[test]
fn what_libc_lacks_is_not_found() {
    assert_eq!(next(Symbol::new(c"epochsocks_has_no_such_function")), None);
    assert_eq!(next(Symbol::new(c"")), None);
    // Only under a version that programs of old name.
    assert_eq!(next(Symbol::new(c"clnt_create")), None);
}

#[test]
fn a_function_that_is_chosen_at_run_time_is_the_chosen_one_or_none() {
    let chosen = dlsym(c"memcpy");
    assert!(!chosen.is_null());
    // Elsewhere the chooser wants to be told of the processor.
    let is_asked = cfg!(target_arch = "x86_64");
    assert_eq!(found(c"memcpy"), if is_asked { chosen } else { core::ptr::null_mut() });
}

#[test]
fn functions_of_the_first_object_come_first() {
    // This object is the program.
    assert!(come_first(&[Symbol::new(c"connect"), Symbol::new(c"vfork")]));
}
