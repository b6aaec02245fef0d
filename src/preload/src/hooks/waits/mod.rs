//! Waits for several descriptors: poll(2), select(2), epoll(7).

pub mod epoll;
pub mod kernel_waits;
pub mod poll;
pub mod select;
pub mod wait_loop;
