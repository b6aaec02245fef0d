//! Each signature of the table is the one that the C headers declare.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::table::{HOOKS, Hook};

/// How C spells a Rust type of the table.
fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(inner) = rust.strip_prefix("*const ") {
        return match inner.starts_with('*') {
            true => format!("{} const *", c_type(inner)),
            false => format!("const {} *", c_type(inner)),
        };
    }
    if let Some(inner) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(inner));
    }
    match rust {
        "c_char" => "char",
        "c_uchar" => "unsigned char",
        "c_int" => "int",
        "c_ushort" => "unsigned short",
        "u32" => "uint32_t",
        "c_uint" => "unsigned int",
        "c_long" => "long",
        "c_ulong" => "unsigned long",
        "c_void" | "()" => "void",
        "sockaddr" | "hostent" | "netent" | "addrinfo" | "msghdr" | "mmsghdr" | "timespec"
        | "timeval" | "pollfd" | "epoll_event" | "iovec" | "sigevent" | "gaicb" | "termios"
        | "winsize" => {
            return format!("struct {rust}");
        }
        other => other,
    }
    .to_owned()
}

fn declaration(hook: &Hook) -> String {
    let fixed = if hook.variadic { hook.fixed() } else { hook.parameters.len() };
    let mut parameters: Vec<_> = hook.parameters[..fixed].iter().map(|t| c_type(t)).collect();
    if hook.variadic {
        parameters.push("...".to_owned());
    }
    if parameters.is_empty() {
        parameters.push("void".to_owned());
    }
    format!("extern {} {}({});", c_type(hook.result), hook.symbol, parameters.join(", "))
}

impl Hook {
    /// How many parameters a variadic C function names: `syscall` one, `fcntl` and `ioctl` two.
    fn fixed(&self) -> usize {
        match self.symbol {
            "syscall" => 1,
            _ => 2,
        }
    }
}

/// The header of what libc keeps for programs of old and no header declares.
const OLD: &str = "none";

/// The rows that a header declares.
fn declared() -> impl Iterator<Item = &'static Hook> {
    HOOKS.iter().filter(|hook| !hook.header.is_empty() && hook.header != OLD)
}

/// A second declaration of a function must be compatible with the header's, or the compiler says so.
#[test]
fn the_c_compiler_agrees_with_every_signature() {
    let mut source = String::from("#define _GNU_SOURCE 1\n");
    for hook in declared() {
        writeln!(source, "#include <{}>", hook.header).expect("a string takes text");
    }
    for alias in HOOKS.iter().filter(|hook| hook.header.is_empty()) {
        // The declared function has the name without the prefix.
        let symbol = alias.symbol;
        let function =
            ["_IO_", "__libc_", "__"].iter().find_map(|prefix| symbol.strip_prefix(prefix));
        let function = function.expect("an alias has a prefix");
        writeln!(source, "extern __typeof__({function}) {symbol};").expect("a string takes text");
    }
    for hook in HOOKS.iter().filter(|hook| hook.header != OLD) {
        // Taking the address fails for what no header declares.
        writeln!(source, "void *use_{0}(void) {{ return (void *){0}; }}", hook.symbol)
            .expect("a string takes text");
        writeln!(source, "{}", declaration(hook)).expect("a string takes text");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signatures.c");
    std::fs::write(&file, source).expect("the scratch directory takes files");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-fsyntax-only"])
        // Only then do the headers declare the `_chk` functions.
        .args(["-O1", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"])
        // An array parameter is a pointer.
        .arg("-Wno-array-parameter")
        .arg(&file)
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
