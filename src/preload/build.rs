//! How the library is linked. Every program that runs under it pays for its segments, for what the
//! start files look up, and for the pages that are written while it is loaded.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

/// One segment for code and constants, as far as the linker can, as each costs an exec a mapping; and
/// each at the start of a page, so that what is written lies in as few pages as it can.
const SEGMENTS: [&str; 3] =
    ["-Wl,-z,noseparate-code", "-Wl,--no-rosegment", "-Wl,-z,separate-loadable-segments"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What the start files do for C++ and for unloading is needed by no part of this library; the
    // standard library takes a handle of its object from them.
    if env::var_os("CARGO_FEATURE_STD").is_none() {
        add("-nostartfiles");
    }
    for argument in SEGMENTS {
        if linker_takes(argument).unwrap_or(false) {
            add(argument);
        }
    }
}

fn add(argument: &str) {
    println!("cargo::rustc-link-arg-cdylib={argument}");
}

/// Whether an empty library can be linked so: linkers differ.
fn linker_takes(argument: &str) -> io::Result<bool> {
    let variable = |name| env::var_os(name).ok_or(io::ErrorKind::NotFound);
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc.args(["--crate-type", "cdylib", "--crate-name", "probe", "--edition", "2024"]);
    rustc.args(["-C", "panic=abort", "-C", &format!("link-arg={argument}"), "--target"]);
    rustc.arg(variable("TARGET")?).arg("-o").arg(Path::new(&variable("OUT_DIR")?).join("probe.so"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    let mut child =
        rustc.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let source =
        b"#![no_std]\n#[panic_handler] fn stop(_: &core::panic::PanicInfo) -> ! { loop {} }";
    child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(source)?;
    Ok(child.wait()?.success())
}
