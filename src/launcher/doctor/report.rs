//! The doctor's findings: a line a step for people, or one JSON object.

use std::fmt::{Display, Write as _};
use std::io::{Write, stdout};

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
    pub fn advice(&self, text: impl Display) {
        if self.form == Form::Text {
            let _ = writeln!(stdout(), "{text}");
        }
    }

    /// Tells whether every step went well.
    pub fn is_good(&self) -> bool {
        !self.failed
    }

    /// Ends the report: what is left to print is printed.
    pub fn end(&self) {
        if self.form == Form::Json {
            let (good, findings) = (self.is_good(), &self.findings);
            let _ = writeln!(stdout(), "{{\"good\":{good},\"findings\":[{findings}]}}");
        }
    }

    fn line(&mut self, outcome: &str, step: &str, text: &dyn Display) {
        if self.form == Form::Text {
            let _ = writeln!(stdout(), "{outcome:<7} {step:<14} {text}");
            return;
        }
        let comma = if self.findings.is_empty() { "" } else { "," };
        let key = quoted(&step.to_lowercase().replace(' ', "_"));
        let (outcome, text) = (quoted(&outcome.to_lowercase()), quoted(&text.to_string()));
        let _ =
            write!(self.findings, "{comma}{{\"key\":{key},\"outcome\":{outcome},\"text\":{text}}}");
    }
}
