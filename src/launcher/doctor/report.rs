//! What the doctor found, a line a step.

use std::fmt::Display;
use std::io::{Write, stdout};

/// Prints each finding at once and remembers whether one was bad.
#[derive(Debug, Default)]
pub struct Report {
    failed: bool,
}

impl Report {
    /// Prints whether `step` went well: what was seen, or what went wrong and what to do.
    pub fn step(&mut self, step: &str, finding: Result<impl Display, impl Display>) {
        match finding {
            Ok(seen) => line("ok", step, &seen),
            Err(wrong) => {
                self.failed = true;
                line("FAILED", step, &wrong);
            }
        }
    }

    /// Prints something that is neither good nor bad.
    pub fn note(&self, step: &str, text: impl Display) {
        line("note", step, &text);
    }

    /// Prints a line of its own.
    pub fn text(&self, text: impl Display) {
        let _ = writeln!(stdout(), "{text}");
    }

    /// Whether every step went well.
    pub fn is_good(&self) -> bool {
        !self.failed
    }
}

fn line(outcome: &str, step: &str, text: &dyn Display) {
    let _ = writeln!(stdout(), "{outcome:<7} {step:<14} {text}");
}
