//! Progress of the measurement, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Progress of an experiment.
#[derive(Debug)]
pub struct Progress {
    experiment: String,
    steps: usize,
    done: usize,
    started: Instant,
}

impl Progress {
    /// An experiment of a number of steps.
    pub fn new(experiment: &str, steps: usize) -> Progress {
        Progress { experiment: experiment.to_owned(), steps, done: 0, started: Instant::now() }
    }

    /// The next step begins.
    pub fn step(&mut self, what: &str) {
        let line = line(&self.experiment, what, (self.done, self.steps), self.started.elapsed());
        self.done += 1;
        let mut stderr = std::io::stderr();
        // A terminal's line is rewritten, a log gets one line a step.
        let _ = match stderr.is_terminal() {
            true => write!(stderr, "\r\x1b[K{line}"),
            false => writeln!(stderr, "{line}"),
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs();
        let start = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{start}{}: {} steps, {seconds} s", self.experiment, self.done);
    }
}

fn line(experiment: &str, what: &str, (done, steps): (usize, usize), elapsed: Duration) -> String {
    let left = match done {
        0 => String::new(),
        _ => {
            let each = elapsed.as_secs_f64() / done as f64;
            format!(", about {:.0} s left", each * steps.saturating_sub(done) as f64)
        }
    };
    format!("{experiment} [{}/{steps}{left}] {what}", done + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_steps_that_are_done() {
        let first = line("fork", "slots", (0, 4), Duration::from_secs(1));
        assert_eq!(first, "fork [1/4] slots");
        let third = line("fork", "mutex", (2, 4), Duration::from_secs(6));
        assert_eq!(third, "fork [3/4, about 6 s left] mutex");
    }
}
