//! The pieces of a supervisor, each tried on a child that puts itself under its filter.

use super::report::Report;
use crate::supervisor::pieces::{Lack, PIECES, Piece};
use crate::supervisor::tree;

/// Reports each piece; one that is missing leaves what the library reaches as it is.
pub fn examine(report: &mut Report) {
    let tried = tree::trial();
    for (place, piece) in PIECES.into_iter().enumerate() {
        let step = match piece {
            Piece::Notification => "supervisor calls",
            Piece::Memory => "supervisor memory",
            Piece::Descriptor => "supervisor sockets",
            Piece::Placing => "supervisor places",
        };
        match (tried.and_then(|tried| tried[place]), tried) {
            (Ok(()), _) => report.step(step, Ok::<_, &str>(piece.text())),
            (Err(errno), Ok(_)) => missing(report, step, Lack { piece, errno }),
            (Err(errno), Err(_)) => {
                return missing(report, step, Lack { piece: Piece::Notification, errno });
            }
        }
    }
}

fn missing(report: &mut Report, step: &str, lack: Lack) {
    report.note(step, format!("{lack}; static and Go programs are not run here"));
}
