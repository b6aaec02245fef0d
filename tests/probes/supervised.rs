// Fetches a page from a host; linked statically by its test.
use std::io::{Read, Write};

fn main() {
    let host = std::env::args().nth(1).expect("a host");
    let mut stream = std::net::TcpStream::connect((&*host, 80)).expect("a connection");
    println!("peer {}", stream.peer_addr().expect("a peer").port());
    stream.write_all(b"GET /peer HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    print!("{}", answer.rsplit("\r\n\r\n").next().expect("a body"));
}
