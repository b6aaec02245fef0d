//! A panic is a bug; it must not unwind into the program.

use crate::log::log;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log!(Error, "bug in epochsocks, the program is stopped: {info}");
    epochsocks::sys::exit_group(125)
}

// Without link-time optimisation core's unwind tables name the personality that std has. Nothing
// unwinds here, so it is never called.
core::arch::global_asm!(
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    ".byte 0",
);
