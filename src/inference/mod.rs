//! inference: under construction.
