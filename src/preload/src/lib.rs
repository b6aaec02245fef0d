//! The preload library: the only crate that exports C names. Decisions and states are in the library.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `table` | one row per hook; everything else follows from it |
//! | `exports` | the C symbols, each a call of its handler |
//! | `real` | the functions that the hooks stand in front of |
//! | `unhooked` | other functions of libc, found when they are needed |
//! | `hooks` | the handlers: read C arguments, ask the policy, carry the decision out |
//! | `sockets` | the sockets of the process, over the one registry |
//! | `datagrams`, `nameserver` | UDP sockets, and the questions that they ask a name server |
//! | `harmless` | descriptors that data may be written to without a look |
//! | `own_filter` | what the program's own seccomp filter lets the hooks ask |
//! | `inherited` | network sockets that the program does not inherit |
//! | `destinations` | facts about addresses that the policy asks for |
//! | `destination_tag` | where sockets lead that reach other programs |
//! | `launch` | names that the processes of one launch share |
//! | `settings` | the settings, published once |
//! | `runtime` | how the settings are loaded, and what follows from them |
//! | `constructor` | what runs at load time |
//! | `environment`, `inheritance` | what this process was given, and what one that it executes gets |
//! | `view` | where another process finds all this in the memory of this one |
//! | `cancellation` | cancellation points that are the hooks' own |
//! | `libc_io`, `errno`, `log`, `clock`, `mapped`, `scratch` | what the handlers share |
//! | `panic` | the end of the program where the library has a bug |
//!
//! No hook unwinds, allocates, or keeps a value with a destructor across a call into libc: a
//! cancelled thread unwinds through these frames.
// Nothing here is a unit test, and a harness with these exports would hook itself.
#![cfg(not(test))]
#![cfg_attr(not(epochsocks_std), no_std)]

#[macro_use]
mod table;

mod cancellation;
mod clock;
mod constructor;
mod datagrams;
mod destination_tag;
mod destinations;
mod environment;
mod errno;
pub mod exports;
mod harmless;
mod hooks;
mod inheritance;
mod inherited;
mod launch;
mod libc_io;
mod log;
mod mapped;
mod nameserver;
mod own_filter;
#[cfg(not(epochsocks_std))]
mod panic;
mod real;
mod runtime;
mod scratch;
mod settings;
mod sockets;
mod unhooked;
mod view;

/// By this note the launcher knows the library from any other.
#[used]
#[unsafe(link_section = ".note.epochsocks")]
static IDENTITY: epochsocks::program::note::Identity = epochsocks::program::note::Identity::OURS;
