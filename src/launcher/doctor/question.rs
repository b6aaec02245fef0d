//! The question to the doctor.

use std::ffi::OsString;

use super::report::Form;

/// The arguments of `epochsocks doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Run a child under the library against servers of our own.
    pub self_test: bool,
    /// The form of the answer.
    pub form: Form,
    /// Programs to look at.
    pub programs: Vec<OsString>,
}
