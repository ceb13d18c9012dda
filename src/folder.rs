//! folder: under construction.
