//! The preload library.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// probe
#[unsafe(no_mangle)]
pub extern "C" fn epochsocks_probe() -> i32 {
    epochsocks::sys::getpid()
}
