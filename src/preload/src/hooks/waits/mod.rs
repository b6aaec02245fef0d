//! Waits for several descriptors: poll(2), select(2), epoll(7).
//!
//! - [`poll`], [`select`], [`epoll`]: the functions of each; [`kernel_waits`]: those of syscall(2)
//! - [`wait_loop`]: the loop of all of them

pub mod epoll;
pub mod kernel_waits;
pub mod poll;
pub mod select;
pub mod wait_loop;
