//! bundle: under construction.
