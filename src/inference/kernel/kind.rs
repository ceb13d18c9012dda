//! The kernels by name.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::quickscorer::Instructions;

/// A way to evaluate tree ensembles. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelKind {
    /// One node after the other, every kind of ensemble: what the others are tested against.
    Reference,
    /// Eight-byte nodes, twelve trees in turns.
    Walk,
    /// All nodes of many trees asked side by side, in plain Rust.
    Quickscorer,
    /// The same with AVX2, 32 trees at a time.
    QuickscorerAvx2,
    /// The same with AVX-512 VBMI, 64 trees at a time.
    QuickscorerAvx512,
    /// The same with NEON, 16 trees at a time.
    QuickscorerNeon,
}

impl KernelKind {
    /// All kernels, on whatever processor.
    pub const ALL: [KernelKind; 6] = [
        KernelKind::Reference,
        KernelKind::Walk,
        KernelKind::Quickscorer,
        KernelKind::QuickscorerAvx2,
        KernelKind::QuickscorerAvx512,
        KernelKind::QuickscorerNeon,
    ];

    /// The name that configurations and reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelKind::Reference => "reference",
            KernelKind::Walk => "walk",
            KernelKind::Quickscorer => "quickscorer",
            KernelKind::QuickscorerAvx2 => "quickscorer-avx2",
            KernelKind::QuickscorerAvx512 => "quickscorer-avx512",
            KernelKind::QuickscorerNeon => "quickscorer-neon",
        }
    }

    /// Why this processor cannot run the kernel; `None` if it can.
    #[must_use]
    pub fn unavailable(self) -> Option<String> {
        match self {
            KernelKind::Reference | KernelKind::Walk => None,
            kind if kind.instructions().is_some_and(Instructions::available) => None,
            KernelKind::QuickscorerAvx512 => Some("the processor has no AVX-512 VBMI".to_owned()),
            KernelKind::QuickscorerNeon => Some("the processor has no NEON".to_owned()),
            _ => Some("the processor has no AVX2".to_owned()),
        }
    }

    /// The instructions of a quickscorer, where this program was built with them.
    pub(super) fn instructions(self) -> Option<Instructions> {
        match self {
            KernelKind::Quickscorer => Some(Instructions::Portable),
            #[cfg(target_arch = "x86_64")]
            KernelKind::QuickscorerAvx2 => Some(Instructions::Avx2),
            #[cfg(target_arch = "x86_64")]
            KernelKind::QuickscorerAvx512 => Some(Instructions::Avx512),
            #[cfg(target_arch = "aarch64")]
            KernelKind::QuickscorerNeon => Some(Instructions::Neon),
            _ => None,
        }
    }
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for KernelKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for KernelKind {
    type Err = String;

    /// # Errors
    /// A name that is none, with all that are.
    fn from_str(name: &str) -> Result<KernelKind, String> {
        KernelKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<&str> = KernelKind::ALL.iter().map(|kind| kind.name()).collect();
            format!("there is no kernel `{name}`; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in KernelKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "avx9".parse::<KernelKind>().unwrap_err();
        assert!(
            error.starts_with("there is no kernel `avx9`; there are reference, walk, quickscorer"),
            "{error}"
        );
    }

    #[test]
    fn every_processor_has_some_and_lacks_some() {
        assert_eq!(KernelKind::Walk.unavailable(), None);
        assert_eq!(KernelKind::Quickscorer.unavailable(), None);
        let both = [KernelKind::QuickscorerAvx2, KernelKind::QuickscorerNeon];
        assert!(
            both.iter()
                .any(|kind| kind.unavailable().is_some_and(|why| why.contains("the processor has no")))
        );
    }
}
