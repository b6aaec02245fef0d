//! The handlers of the hook table: a folder a concept, a file a family of functions.
//!
//! | module | functions |
//! | --- | --- |
//! | [`sockets`] | socket, connect, getpeername, listen, options, and what libc connects itself |
//! | [`descriptors`] | close, dup, fcntl, and what closes or replaces descriptors within libc |
//! | [`data`] | read, write and their kin, messages, descriptors that are passed |
//! | [`waits`] | poll, select, epoll |
//! | [`names`] | getaddrinfo, gethostbyname, res_query and their kin |
//! | [`exec`] | the exec family, posix_spawn, system, fork |
//! | [`loading`] | dlopen, dlsym |
//! | [`syscall`] | system calls by number, each by the way of its function |
//! | [`arguments`], [`c_types`] | C arguments as values, C types that the libc crate lacks |

pub mod arguments;
pub mod c_types;
pub mod data;
pub mod descriptors;
pub mod exec;
pub mod loading;
pub mod names;
pub mod sockets;
pub mod syscall;
pub mod waits;
