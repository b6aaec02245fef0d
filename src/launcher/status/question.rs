//! The question to `epochsocks status`.

use crate::doctor::report::Form;

/// The arguments of `epochsocks status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The process; without one, every process that this user may read.
    pub process: Option<i32>,
    /// Ask again each second, until the command is interrupted.
    pub watch: bool,
    /// The form of the answer.
    pub form: Form,
}
