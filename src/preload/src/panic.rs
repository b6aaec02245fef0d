//! A panic is a bug; it must not unwind into the program.

use crate::log::log;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log!(Error, "bug in epochsocks, the program is stopped: {info}");
    epochsocks::sys::exit_group(125)
}
