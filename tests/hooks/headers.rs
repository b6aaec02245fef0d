//! Each signature of the table is the one that the C headers declare.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::table::{HOOKS, Hook};

/// C's spelling of a Rust type of the table.
fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    // Of `* const T` and `*const T` the compiler prints either.
    if let Some((kind, inner)) = rust.strip_prefix('*').and_then(|t| t.trim().split_once(' ')) {
        let inner = inner.trim();
        return match kind {
            "mut" => format!("{} *", c_type(inner)),
            _ if inner.starts_with('*') => format!("{} const *", c_type(inner)),
            _ => format!("const {} *", c_type(inner)),
        };
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
        | "winsize" | "aiocb" | "aiocb64" => {
            return format!("struct {rust}");
        }
        "CloneEntry" => "int (*)(void *)",
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
    /// Number of parameters that a variadic C function names: `syscall` and `prctl` one,
    /// `__dprintf_chk` three, `clone` four, the others two.
    fn fixed(&self) -> usize {
        match self.symbol {
            "syscall" | "prctl" => 1,
            "clone" | "__clone" => 4,
            "__dprintf_chk" => 3,
            _ => 2,
        }
    }
}

/// A second declaration of a function must be compatible with the header's, or the compiler says so.
#[test]
fn the_c_compiler_agrees_with_every_signature() {
    let mut source = String::from("#define _GNU_SOURCE 1\n");
    for header in HOOKS.iter().filter_map(|hook| hook.header) {
        writeln!(source, "#include <{header}>").expect("a string takes text");
    }
    for hook in HOOKS {
        let symbol = hook.symbol;
        match (hook.header, hook.alias_of) {
            (Some(_), _) => {}
            (None, Some(function)) => writeln!(source, "extern __typeof__({function}) {symbol};")
                .expect("a string takes text"),
            (None, None) => continue,
        }
        // Taking the address fails for what no header declares.
        writeln!(source, "void *use_{symbol}(void) {{ return (void *){symbol}; }}")
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
