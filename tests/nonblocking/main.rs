//! A connect that does not wait, seen from inside a program: tests/probes/nonblocking_*.c play the
//! scenes, against a proxy that answers late.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod epoll;
mod failures;
mod lifetime;
mod many_connects;
mod pollers;
mod programs;
mod proxies;
mod scene;
mod stress;
