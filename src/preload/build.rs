//! The backend of the registry, and flags for linking the library. Every program that runs under it
//! pays for its segments, for what the start files look up, and for the pages that are written while it
//! is loaded.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

#[allow(dead_code)]
#[path = "../registry/src/backends.rs"]
mod backends;

/// One segment for code and constants, as each costs an exec a mapping. GNU ld makes one for what is
/// written, too, and its relocated pointers are protected nonetheless; the usual linker of Rust makes
/// two, and has to be told to begin each in a page of its own, so that few pages are written.
const LINKERS: [&[&str]; 2] = [
    &["-fuse-ld=bfd", "-Wl,-z,noseparate-code"],
    &["-Wl,-z,noseparate-code", "-Wl,--no-rosegment", "-Wl,-z,separate-loadable-segments"],
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    warn_of_the_path();
    // What the start files do for C++ and for unloading is needed by no part of this library; the
    // standard library takes a handle of its object from them.
    if !backend().needs_std {
        add("-nostartfiles");
    }
    let links = |arguments: &&&[&str]| links_with(arguments).unwrap_or(false);
    // The crate libc asks for it only where no other package of the build has its feature `std`, as the launcher
    // does. Without it the dynamic linker takes a hook for any version of a function.
    add("-lc");
    // Of Rust's compilers some set the file's name, others nothing.
    add("-Wl,-soname,libepochsocks_preload.so");
    for argument in LINKERS.iter().find(links).copied().unwrap_or_default() {
        add(argument);
    }
}

/// The backend that `--cfg epochsocks_registry="NAME"` asks for, or the default. Lets the compiler know
/// the names that there are.
fn backend() -> &'static backends::Variant {
    let names: Vec<_> = backends::VARIANTS.iter().map(|variant| variant.name).collect();
    println!("cargo::rerun-if-changed=../registry/src/backends.rs");
    let values = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    println!("cargo::rustc-check-cfg=cfg(epochsocks_registry, values({values}))");
    println!("cargo::rustc-check-cfg=cfg(epochsocks_std)");
    let name = env::var("CARGO_CFG_EPOCHSOCKS_REGISTRY").unwrap_or_else(|_| names[0].to_owned());
    let variant = backends::Variant::find(&name).unwrap_or_else(|| {
        println!("cargo::error=no registry is called {name:?}: one of {}", names.join(", "));
        std::process::exit(1);
    });
    if variant.needs_std {
        println!("cargo::rustc-cfg=epochsocks_std");
    }
    variant
}

/// Says before the build what the launcher would refuse after it.
fn warn_of_the_path() {
    let Some(target) = env::var_os("OUT_DIR") else { return };
    let bad = [(' ', "a space"), (':', "a colon"), ('$', "a dollar sign")];
    let target = target.to_string_lossy();
    for (_, name) in bad.into_iter().filter(|(sign, _)| target.contains(*sign)) {
        println!(
            "cargo::warning=the target directory's path has {name}, which LD_PRELOAD can't hold: \
             the library works only where it is installed, or built with another CARGO_TARGET_DIR"
        );
    }
}

fn add(argument: &str) {
    println!("cargo::rustc-link-arg-cdylib={argument}");
}

/// Tells whether an empty library can be linked with these arguments: linkers differ.
fn links_with(arguments: &[&str]) -> io::Result<bool> {
    let variable = |name| env::var_os(name).ok_or(io::ErrorKind::NotFound);
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc.args(["--crate-type", "cdylib", "--crate-name", "probe", "--edition", "2024"]);
    rustc.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    rustc.args(["-C", "panic=abort", "--target"]);
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
