//! monitor: under construction.
