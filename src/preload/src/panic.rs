//! A panic is a bug; it must not unwind into the program.

use crate::log::log;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log!(Error, Bug, "bug in epochsocks, the program is stopped: {info}");
    epochsocks::sys::exit_group(125)
}

// The prebuilt core is made for unwinding and names this routine; without link-time optimisation
// the name stays. Hidden, so that no other object uses it. A cancelled thread's unwinding that meets it
// goes on (_URC_CONTINUE_UNWIND is 8).
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality,@function",
    "rust_eh_personality:",
    "mov eax, 8",
    "ret",
    ".popsection",
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality,@function",
    "rust_eh_personality:",
    "mov w0, #8",
    "ret",
    ".popsection",
);
