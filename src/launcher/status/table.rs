//! Snapshots as they are printed: a table for people, or one JSON object a line.

use std::fmt::Write;

use crate::doctor::report::Form;
use crate::failure::describe;
use crate::json::quoted;
use epochsocks::sys::Errno;

use super::snapshot::{Snapshot, Socket, State};

/// The heads of the columns.
const COLUMNS: [&str; 7] = ["FD", "STATE", "DESTINATION", "SINCE", "ISOLATION", "SENT", "RECEIVED"];

/// The text that is printed of `snapshots`.
pub fn text(snapshots: &[Snapshot], form: Form) -> String {
    match form {
        Form::Text => snapshots.iter().map(table).collect::<Vec<_>>().join("\n"),
        Form::Json => {
            let processes: Vec<_> = snapshots.iter().map(object).collect();
            format!("{{\"processes\":[{}]}}\n", processes.join(","))
        }
    }
}

fn table(snapshot: &Snapshot) -> String {
    let mut text = format!("{} {}\n", snapshot.pid, snapshot.command);
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(snapshot.sockets.iter().map(row));
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    for row in rows.iter().filter(|_| !snapshot.sockets.is_empty()) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    if snapshot.sockets.is_empty() {
        text.push_str("  no TCP socket\n");
    }
    if !snapshot.refusals.is_empty() {
        let counts = snapshot.refusals.iter().map(|(subject, count)| format!("{subject} {count}"));
        let _ = writeln!(text, "  refused so far: {}", counts.collect::<Vec<_>>().join(", "));
    }
    text
}

fn row(socket: &Socket) -> [String; COLUMNS.len()] {
    let unknown = || "-".to_owned();
    let bytes = |count: Option<u64>| count.map_or_else(unknown, |count| count.to_string());
    [
        socket.fd.to_string(),
        match socket.state {
            State::Failed(errno) => format!("failed: {}", describe(Errno(errno))),
            state => state.word().to_owned(),
        },
        destination(socket).unwrap_or_else(unknown),
        socket.seconds.map_or_else(unknown, |seconds| format!("{} ago", duration(seconds))),
        socket.isolation.clone().unwrap_or_else(unknown),
        bytes(socket.carried.map(|(sent, _)| sent)),
        bytes(socket.carried.map(|(_, received)| received)),
    ]
}

/// By its name where the address is a cookie.
fn destination(socket: &Socket) -> Option<String> {
    let address = socket.address?;
    Some(match &socket.name {
        Some(name) => format!("{name}:{}", address.port()),
        None => address.to_string(),
    })
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn object(snapshot: &Snapshot) -> String {
    let sockets: Vec<_> = snapshot.sockets.iter().map(socket).collect();
    let refusals =
        snapshot.refusals.iter().map(|(subject, count)| format!("\"{subject}\":{count}"));
    format!(
        "{{\"pid\":{},\"command\":{},\"sockets\":[{}],\"refusals\":{{{}}}}}",
        snapshot.pid,
        quoted(&snapshot.command),
        sockets.join(","),
        refusals.collect::<Vec<_>>().join(",")
    )
}

/// The object of a socket, with null for what is not known.
fn socket(socket: &Socket) -> String {
    let text = |text: Option<String>| text.map_or("null".to_owned(), |text| quoted(&text));
    let number =
        |number: Option<u64>| number.map_or("null".to_owned(), |number| number.to_string());
    let errno = match socket.state {
        State::Failed(errno) => errno.unsigned_abs().into(),
        _ => 0,
    };
    format!(
        "{{\"fd\":{},\"state\":\"{}\",\"errno\":{},\"address\":{},\"name\":{},\"seconds\":{},\
         \"isolation\":{},\"sent\":{},\"received\":{}}}",
        socket.fd,
        socket.state.word(),
        number(Some(errno).filter(|errno| *errno != 0)),
        text(socket.address.map(|address| address.to_string())),
        text(socket.name.clone()),
        number(socket.seconds),
        text(socket.isolation.clone()),
        number(socket.carried.map(|(sent, _)| sent)),
        number(socket.carried.map(|(_, received)| received)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> Socket {
        Socket {
            fd: 5,
            state: State::Connected,
            address: Some("127.42.42.9:80".parse().unwrap()),
            name: Some("example.onion".to_owned()),
            seconds: Some(61),
            isolation: Some("key mail".to_owned()),
            carried: Some((7, 9)),
        }
    }

    fn snapshot() -> Snapshot {
        let failed = Socket {
            fd: 12,
            state: State::Failed(libc::ECONNREFUSED),
            address: None,
            name: None,
            seconds: None,
            isolation: None,
            carried: None,
        };
        Snapshot {
            pid: 7,
            command: "a \"b\"".to_owned(),
            sockets: vec![connected(), failed],
            refusals: vec![("connect", 3), ("query", 1)],
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_descriptor() {
        let table = text(&[snapshot()], Form::Text);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "7 a \"b\"");
        assert!(lines[1].starts_with("  FD  STATE "), "{table}");
        let words: Vec<_> = lines[2].split_ascii_whitespace().collect();
        let expected =
            ["5", "connected", "example.onion:80", "1m01s", "ago", "key", "mail", "7", "9"];
        assert_eq!(words, expected);
        assert!(lines[3].starts_with("  12  failed: Connection refused  -"), "{table}");
        assert_eq!(lines[4], "  refused so far: connect 3, query 1");
    }

    #[test]
    fn the_object_is_json_with_null_for_what_is_not_known() {
        let json = text(&[snapshot(), snapshot()], Form::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let process = &value["processes"][1];
        assert_eq!(process["command"], "a \"b\"");
        assert_eq!(process["refusals"]["connect"], 3);
        assert_eq!(process["sockets"][0]["name"], "example.onion");
        assert_eq!(process["sockets"][0]["sent"], 7);
        assert_eq!(process["sockets"][1]["errno"], libc::ECONNREFUSED);
        assert!(process["sockets"][1]["address"].is_null());
    }

    #[test]
    fn times_are_short() {
        let all = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(duration);
        assert_eq!(all, ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d01h"]);
    }
}
