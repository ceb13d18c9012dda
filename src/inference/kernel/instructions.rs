//! Work for `cross/instructions.sh`, which counts the instructions of each test: of two that differ only in their
//! number of rows, the difference is what the rows cost.

use super::large::{Random, Size, large};
use super::*;

/// What the bars of the performance document are set for: 300 trees of 31 leaves on 52 features.
const SIZE: Size = Size { trees: 300, leaves: 31, depth: 8, features: 52, thresholds: 240, missing: false };

/// Three models of one shape, as a unit cooler has.
fn kernels(kind: KernelKind) -> Vec<Kernel> {
    (1..=3).map(|seed| Kernel::undecided(large(SIZE, seed)).with(Some(kind)).unwrap()).collect()
}

fn rows(n: usize) -> Vec<f32> {
    let mut random = Random(7);
    (0..n * SIZE.features).map(|_| random.unit()).collect()
}

/// Predicts all three targets of `n` rows, `batch` rows at a time.
fn one_by_one(kind: KernelKind, n: usize, batch: usize) {
    let kernels = kernels(kind);
    let mut sum = 0.0;
    let mut out = vec![0.0; batch];
    let mut scratch: Vec<Scratch> = kernels.iter().map(Kernel::scratch).collect();
    for rows in rows(n).chunks(batch * SIZE.features) {
        for (kernel, scratch) in kernels.iter().zip(&mut scratch) {
            kernel.predict(rows, SIZE.features, &mut out, scratch);
            sum += out[0];
        }
    }
    assert!(sum.is_finite());
}

/// The same with one ranking for the three.
fn together(kind: KernelKind, n: usize, batch: usize) {
    let kernels = kernels(kind);
    let mut joint = Joint::new(&kernels.iter().collect::<Vec<_>>(), Some(kind)).unwrap();
    let mut sum = 0.0;
    let mut out = vec![0.0; 3 * batch];
    for rows in rows(n).chunks(batch * SIZE.features) {
        joint.predict(rows, SIZE.features, &mut out);
        sum += out[0];
    }
    assert!(sum.is_finite());
}

/// Each with 64 rows and with 192: the script takes the difference over 128.
macro_rules! count {
    ($($name:ident: $how:ident($kind:ident, $batch:expr);)*) => {$(
        mod $name {
            #[test]
            #[ignore = "work for cross/instructions.sh"]
            fn rows_64() {
                super::$how(super::KernelKind::$kind, 64, $batch);
            }

            #[test]
            #[ignore = "work for cross/instructions.sh"]
            fn rows_192() {
                super::$how(super::KernelKind::$kind, 192, $batch);
            }
        }
    )*};
}

count! {
    reference: one_by_one(Reference, 1);
    walk: one_by_one(Walk, 1);
    quickscorer: one_by_one(Quickscorer, 1);
    quickscorer_joint: together(Quickscorer, 1);
    quickscorer_joint_batch_64: together(Quickscorer, 64);
}

#[cfg(target_arch = "aarch64")]
count! {
    neon: one_by_one(QuickscorerNeon, 1);
    neon_joint: together(QuickscorerNeon, 1);
    neon_joint_batch_64: together(QuickscorerNeon, 64);
}
