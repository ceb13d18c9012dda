//! simulator: under construction.
