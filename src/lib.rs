//! epochsocks sends a program's connections through Tor.
//!
//! # The map
//! This is the library that the preload library (`src/preload`), the launcher (`src/launcher`), the
//! tests and the benches share. It exports no C name, opens nothing at load time and starts no
//! thread.
//!
//! | module | what it is for | from a signal handler? |
//! | --- | --- | --- |
//! | [`registry`] | which descriptor names which connection; a crate of its own, `src/registry` | yes, unless the backend lacks guarantee H |
//! | [`socks5`] | the wire: encode, decode, the handshake's states; no I/O | yes |
//! | [`tor`] | dial Tor's SOCKS port, drive a handshake, ask for names; blocks until its deadline | yes |
//! | [`sockets`] | what this process knows of its sockets: their records, and the life of a connect | yes |
//! | [`resolver`] | what a name is, cookie addresses for onion names, C structures for answers | yes |
//! | [`nameserver`] | answers the programs that ask a name server by themselves | yes |
//! | [`policy`] | decisions: a value in, a value out | yes |
//! | [`config`] | one table of options: file, environment, flags, help | yes |
//! | [`program`] | what an executable file is, and whether a preload library can protect it | yes |
//! | [`linkage`] | functions of the loaded objects, found without the dynamic linker's lock | yes |
//! | [`sys`] | raw system calls, for code that must not come back to its own hooks | yes |
//! | [`helper`] | a program that may run although the library can't protect it | yes |
//! | [`inherited`] | descriptors that a program is started with | yes |
//! | [`ancillary`] | descriptors in a message | yes |
//! | [`launch_store`] | what the processes of one launch tell each other | yes |
//! | [`backstop`] | the seccomp filter of a launch, and the secret that its hooks' calls carry | yes |
//! | [`log`] | what a line of the log says, in which form, how often, and in which file | yes |
//! | [`view`] | where the live view finds the sockets of a process in its memory | yes |
//! | [`bytes`] | byte strings of fixed capacity | yes |
//!
//! It is `no_std` without `alloc`, so that nothing here can call into the C library by accident. design/README.md follows a connect through the modules.
#![cfg_attr(not(any(test, crossbeam_loom)), no_std)]

pub use epochsocks_registry as registry;

pub mod ancillary;
pub mod backstop;
pub mod bytes;
pub mod config;
pub mod helper;
pub mod inherited;
pub mod launch_store;
pub mod linkage;
pub mod log;
pub mod nameserver;
pub mod policy;
pub mod program;
pub mod resolver;
pub mod sockets;
pub mod socks5;
pub mod sys;
pub mod tor;
pub mod view;
