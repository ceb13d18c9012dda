//! domain: under construction.
