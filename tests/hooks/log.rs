//! Where the library's lines go.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::scene::{command, echoing_proxy};

/// What arrives at `peer` of a program whose standard error is `standard_error`, and which is refused
/// something.
fn lines(standard_error: impl Into<OwnedFd>, mut peer: impl Read) -> String {
    let mut command = command("sockets", "inbound", &echoing_proxy());
    let status = command.stderr(standard_error.into()).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()));
    // Its end of the connection is closed.
    drop(command);
    let mut seen = String::new();
    peer.read_to_string(&mut seen).expect("lines are text");
    seen
}

/// promise: The log
#[test]
fn no_line_goes_to_the_peer_of_a_network_standard_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("a listener has an address");
    let client = TcpStream::connect(address).expect("it listens");
    let (server, _) = listener.accept().expect("a client has connected");
    assert_eq!(lines(server, client), "");
    let (ours, its) = UnixStream::pair().expect("a pair of sockets");
    assert!(lines(its, ours).contains("warning: "));
}
