//! Results in, CSV and one HTML page out.
