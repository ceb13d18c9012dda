//! daemon: under construction.
