//! The doctor's findings: a line a step for people, or one JSON object.

use std::fmt::{Display, Write as _};

use crate::failure::{Failure, one_line, print};
use crate::json::quoted;

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Lines, each printed at once.
    #[default]
    Text,
    /// `{"good": …, "findings": [{"key": …, "outcome": "ok"|"note"|"failed", "text": …}]}` at the end.
    /// The key is the step's name with underscores; it stays the same in later versions.
    Json,
}

/// Prints each finding and remembers whether one was bad.
#[derive(Debug, Default)]
pub struct Report {
    form: Form,
    failed: bool,
    /// The findings in JSON, with commas between them.
    findings: String,
    /// The first line that could not be written.
    unwritten: Option<Failure>,
}

impl Report {
    /// A report in this form.
    pub fn new(form: Form) -> Report {
        Report { form, ..Report::default() }
    }

    /// Reports whether `step` went well: what was seen, or what went wrong and what to do.
    pub fn step(&mut self, step: &str, finding: Result<impl Display, impl Display>) {
        match finding {
            Ok(seen) => self.line("ok", step, &seen),
            Err(wrong) => {
                self.failed = true;
                self.line("FAILED", step, &wrong);
            }
        }
    }

    /// Reports something that is neither good nor bad.
    pub fn note(&mut self, step: &str, text: impl Display) {
        self.line("note", step, &text);
    }

    /// Prints advice, which is for people only.
    pub fn advice(&mut self, text: impl Display) {
        if self.form == Form::Text {
            self.print(&format!("{text}\n"));
        }
    }

    /// Tells whether every step went well.
    pub fn is_good(&self) -> bool {
        !self.failed
    }

    /// Ends the report: what is left to print is printed. Errors: standard output could not be written.
    pub fn end(mut self) -> Result<(), Failure> {
        if self.form == Form::Json {
            let (good, findings) = (self.is_good(), &self.findings);
            self.print(&format!("{{\"good\":{good},\"findings\":[{findings}]}}\n"));
        }
        self.unwritten.map_or(Ok(()), Err)
    }

    fn line(&mut self, outcome: &str, step: &str, text: &dyn Display) {
        if self.form == Form::Text {
            let line = one_line(format_args!("{outcome:<7} {step:<18} {text}"));
            self.print(&format!("{line}\n"));
            return;
        }
        let comma = if self.findings.is_empty() { "" } else { "," };
        let key = quoted(&step.to_lowercase().replace(' ', "_"));
        let (outcome, text) = (quoted(&outcome.to_lowercase()), quoted(&text.to_string()));
        let _ =
            write!(self.findings, "{comma}{{\"key\":{key},\"outcome\":{outcome},\"text\":{text}}}");
    }

    fn print(&mut self, text: &str) {
        if let Err(failure) = print(text.as_bytes()) {
            self.unwritten.get_or_insert(failure);
        }
    }
}
