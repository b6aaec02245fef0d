//! 10,000 handshakes in flight at once. The proxy answers none before it has the requests of all.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::support::process::{finish, probe, text};
use crate::support::{skip, torify};

const MANY: usize = 10_000;
/// Connections that the kernel accepts before the proxy does.
const BACKLOG: i32 = 4_096;
const LIMIT: Duration = Duration::from_secs(120);
/// A greeting without authentication and a request by name (RFC 1928), the text of the probe's address.
const ASKED: usize = 3 + 4 + 1 + "192.0.2.1".len() + 2;
/// No answer, in place of an answer's code.
const SILENT: u8 = u8::MAX;
/// Time limit of a handshake then, in seconds: longer than it takes until all are in flight.
const TIMEOUT: &str = "5";

#[test]
fn ten_thousand_connects_are_in_flight_at_once() {
    for wait in ["epoll", "poll"] {
        // The smaller number is there for its figures: what ten times as many take.
        connect_many(MANY / 10, wait, 0, 0);
        connect_many(MANY, wait, 0, 0);
    }
}

#[test]
fn ten_thousand_connects_fail_at_once() {
    connect_many(MANY, "epoll", 5, libc::ECONNREFUSED);
    connect_many(MANY, "poll", 5, libc::ECONNREFUSED);
}

#[test]
fn ten_thousand_connects_run_out_of_time() {
    connect_many(MANY, "epoll", SILENT, libc::ETIMEDOUT);
    connect_many(MANY, "poll", SILENT, libc::ETIMEDOUT);
}

/// One after the other, so that their time is their own.
fn connect_many(asked: usize, wait: &str, code: u8, errno: i32) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // In an epoll set each socket has a descriptor of the library's own, too.
    let each = if wait == "epoll" { 2 } else { 1 };
    let count = asked.min(files().saturating_sub(100) / each);
    if count < asked / 3 {
        return skip::skip("fewer descriptors are allowed than so many connects need");
    }
    let port = start_proxy(count, code).expect("loopback has ports");
    let mut command = torify(probe("nonblocking_many_connects"));
    command.args([count.to_string(), wait.to_owned(), errno.to_string()]);
    command.env("EPOCHSOCKS_TOR_PORT", port.to_string()).env("EPOCHSOCKS_LOG_LEVEL", "1");
    if code == SILENT {
        command.env("EPOCHSOCKS_HANDSHAKE_TIMEOUT", TIMEOUT);
    }
    let output = finish(&mut command, LIMIT);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.ends_with("done\n"), "{}", text(&output));
    println!("{}", stdout.lines().next().unwrap_or_default());
}

/// Raises this process's limit, and says what it is; the probe raises its own, which is the same.
fn files() -> usize {
    let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls take one structure of ours.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files);
        files.rlim_cur = files.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
    }
    files.rlim_max as usize
}

fn start_proxy(count: usize, code: u8) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: two integers.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) }, 0);
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        if let Err(error) = serve(&listener, count, code) {
            eprintln!("the proxy: {error}");
        }
    });
    Ok(port)
}

/// One thread for all of them: it holds as many connections as it may have descriptors.
fn serve(listener: &TcpListener, count: usize, code: u8) -> io::Result<()> {
    let clients = listener.incoming().take(count).collect::<io::Result<Vec<TcpStream>>>()?;
    let mut ports = vec![[0; 2]; count];
    for (mut client, port) in clients.iter().zip(&mut ports) {
        let mut asked = [0; ASKED];
        client.read_exact(&mut asked)?;
        port.copy_from_slice(&asked[ASKED - 2..]);
    }
    for (mut client, port) in clients.iter().zip(&ports).filter(|_| code != SILENT) {
        // Both answers, and behind an acceptance the port that was asked for.
        let mut answer = vec![5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        if code == 0 {
            answer.extend_from_slice(port);
        }
        client.write_all(&answer)?;
    }
    // Until the clients go.
    clients.into_iter().for_each(|mut client| drop(client.read(&mut [0])));
    Ok(())
}
