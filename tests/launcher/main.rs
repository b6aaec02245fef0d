//! The `epochsocks` command, run as a user runs it.
//!
//! - [`sandbox`]: a scratch directory, programs compiled into it, the launcher
//! - [`running`]: what a program that is run gets, and what is left of the launcher
//! - [`refusals`]: programs that can't be protected
//! - [`redirect`]: the processes of a launch with a supervisor
//! - [`supervised_waits`]: how a connect that waits under a supervisor ends
//! - [`direct_calls`]: programs that enter the kernel themselves
//! - [`backstop`]: what the kernel refuses the program
//! - [`inherited`]: what the program does not inherit
//! - [`libraries`]: where the preload library may be, and what must not be taken for one
//! - [`local_ports`]: the local ports of connections to Tor
//! - [`settings`]: the configuration, handed on or refused
//! - [`as_torsocks`]: the command under the name torsocks
//! - [`command_line`]: usage errors, exit statuses
//! - [`shells`]: what bash, zsh, dash and fish evaluate
//! - [`doctor`]: what the doctor finds
//! - [`status`]: the sockets of running programs
//! - [`documents`]: the commands of the documents
//! - [`readme`], [`packaging`]: the documents that are made from the options

mod as_torsocks;
mod backstop;
mod command_line;
mod direct_calls;
mod doctor;
mod documents;
mod inherited;
mod libraries;
mod local_ports;
mod packaging;
mod readme;
mod redirect;
mod refusals;
mod running;
mod settings;
mod shells;
mod status;
mod supervised_waits;
#[allow(dead_code)]
#[path = "../support"]
mod support {
    pub mod preload;
    pub mod process;
    pub mod run;
    pub mod scripted_proxy;
    pub mod skip;
}
mod sandbox;
