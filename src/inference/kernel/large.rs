//! Every kernel against the reference on ensembles of real size.

use super::super::ensemble::Ensemble;
use super::super::testing::{Arrays, Tree, leaf};
use super::*;

/// A generator that is good enough for test data (xorshift64*).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % n
    }

    pub(super) fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }
}

/// The shape of a random ensemble.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) trees: usize,
    pub(super) leaves: usize,
    pub(super) depth: usize,
    pub(super) features: usize,
    /// Different thresholds of a feature.
    pub(super) thresholds: usize,
    /// Rows miss values, and nodes send these either way: alike in two thirds of the features.
    pub(super) missing: bool,
}

/// What the nodes of a feature do with missing values.
#[derive(Debug, PartialEq)]
enum Missing {
    Fails,
    Passes,
    Mixed,
}

fn missing_of(feature: usize) -> Missing {
    match feature % 3 {
        0 => Missing::Fails,
        1 => Missing::Passes,
        _ => Missing::Mixed,
    }
}

fn grow(size: &Size, random: &mut Random, leaves: usize, depth: usize) -> Tree {
    if leaves < 2 || depth == 0 {
        return leaf(random.unit() - 0.5);
    }
    let most = |levels: usize| 1_usize.checked_shl(levels as u32).unwrap_or(usize::MAX);
    let cap = most(depth - 1);
    let left = (1 + random.below(leaves - 1)).clamp(leaves.saturating_sub(cap).max(1), cap.min(leaves - 1));
    let feature = random.below(size.features);
    let missing = size.missing
        && match missing_of(feature) {
            Missing::Fails => false,
            Missing::Passes => true,
            Missing::Mixed => random.below(2) == 0,
        };
    Tree::Branch {
        mode: "BRANCH_LEQ",
        feature: feature as i64,
        threshold: random.below(size.thresholds) as f32 / size.thresholds as f32,
        missing,
        children: Box::new([
            grow(size, random, left, depth - 1),
            grow(size, random, leaves - left, depth - 1),
        ]),
    }
}

pub(super) fn large(size: Size, seed: u64) -> Ensemble {
    let mut random = Random(seed | 1);
    let most_leaves = size.leaves.min(1_usize.checked_shl(size.depth as u32).unwrap_or(usize::MAX));
    let trees: Vec<Tree> =
        (0..size.trees).map(|_| grow(&size, &mut random, most_leaves, size.depth)).collect();
    Arrays::new(1, "SUM", &[0.25], &trees).build().unwrap()
}

/// Rows of which half the values are thresholds or the floats beside them. Where values are missing, a few are in three of
/// four rows, and most in the fourth.
fn rows(size: &Size, n: usize, random: &mut Random) -> Vec<f32> {
    let mut value = |row: usize| {
        let threshold = random.below(size.thresholds) as f32 / size.thresholds as f32;
        match random.below(12) {
            _ if size.missing && row.is_multiple_of(4) && random.below(4) > 0 => f32::NAN,
            0 | 1 => threshold,
            2 | 3 => threshold.next_up(),
            4 | 5 => threshold.next_down(),
            6 => [f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, f32::MAX, f32::MIN][random.below(6)],
            7 if size.missing => f32::NAN,
            _ => random.unit() * 1.2 - 0.1,
        }
    };
    (0..n * size.features).map(|i| value(i / size.features)).collect()
}

/// Compares all kernels that fit on some rows; gives their names.
fn compare(size: Size, n: usize, seed: u64) -> Vec<&'static str> {
    let ensemble = large(size, seed);
    let rows = rows(&size, n, &mut Random(seed.wrapping_mul(31) | 1));
    let outputs = |kernel: &Kernel| {
        let mut out = vec![0.0; n];
        kernel.predict(&rows, size.features, &mut out, &mut kernel.scratch());
        out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let wanted = outputs(&Kernel::undecided(ensemble.clone()).with(Some(KernelKind::Reference)).unwrap());
    let fitting = KernelKind::ALL.into_iter().filter_map(|kind| {
        let kernel = Kernel::undecided(ensemble.clone()).with(Some(kind)).ok()?;
        assert!(outputs(&kernel) == wanted, "{kind} differs on {size:?}, seed {seed}");
        Some(kind.name())
    });
    fitting.collect()
}

#[test]
fn kernels_agree_on_ensembles_of_real_size() {
    let size = |trees, leaves, depth, features, thresholds, missing| Size {
        trees,
        leaves,
        depth,
        features,
        thresholds,
        missing,
    };
    let mut random = Random(20_261_123);
    // As gradient boosting makes them, at the limits of the layouts and beyond.
    for (shape, scored) in [
        (size(180, 31, 8, 52, 240, true), true),
        (size(300, 32, 31, 64, 254, false), true),
        (size(65, 33, 12, 40, 400, true), true),
        (size(100, 64, 6, 30, 500, false), true),
        (size(40, 64, 40, 20, 300, true), true),
        (size(300, 31, 8, 65, 100, false), false),
        (size(1200, 16, 5, 17, 5000, false), false),
        (size(20, 1000, 40, 30, 2000, true), false),
        (size(2000, 8, 7, 10, 90, true), true),
    ] {
        let names = compare(shape, 150, random.0);
        random.below(2);
        assert_eq!(names.contains(&"quickscorer"), scored, "{shape:?}: {names:?}");
        assert!(names.contains(&"walk"), "{shape:?}: {names:?}");
    }
}

#[test]
fn kernels_agree_on_ensembles_of_any_size() {
    let mut random = Random(41);
    for round in 0..16 {
        let size = Size {
            trees: 1 + random.below(if round % 10 == 0 { 2000 } else { 200 }),
            leaves: 1 + random.below(140),
            depth: 1 + random.below(40),
            features: 1 + random.below(80),
            thresholds: 1 + random.below(600),
            missing: random.below(2) == 0,
        };
        compare(size, 40, random.0);
    }
}

#[test]
fn ensembles_together_give_what_each_gives_alone() {
    let mut random = Random(97);
    // Of different numbers of trees and leaves, on the same thresholds.
    let shapes = [(40, 31), (70, 8), (33, 64), (17, 1), (90, 16)].map(|(trees, leaves)| Size {
        trees,
        leaves,
        depth: 9,
        features: 20,
        thresholds: 250,
        missing: true,
    });
    let ensembles = shapes.map(|shape| {
        random.below(2);
        large(shape, random.0)
    });
    let width = shapes[0].features;
    let all = rows(&shapes[0], 70, &mut random);
    let scored = KernelKind::ALL.into_iter().filter(|kind| kind.instructions().is_some());
    for kind in scored.filter(|kind| kind.unavailable().is_none()) {
        let kernels = ensembles.each_ref().map(|e| Kernel::undecided(e.clone()).with(Some(kind)).unwrap());
        for together in 1..=kernels.len() {
            let kernels = &kernels[..together];
            let mut joint = Joint::new(&kernels.iter().collect::<Vec<_>>(), Some(kind)).unwrap();
            for n in [1, 3, 4, 5, 31, 32, 33, 70] {
                let rows = &all[..n * width];
                let mut wanted = vec![0.0; n * together];
                for (at, kernel) in kernels.iter().enumerate() {
                    let mut alone = vec![0.0; n];
                    kernel.predict(rows, width, &mut alone, &mut kernel.scratch());
                    wanted.iter_mut().skip(at).step_by(together).zip(alone).for_each(|(w, a)| *w = a);
                }
                let mut found = vec![7.0; n * together];
                joint.predict(rows, width, &mut found);
                assert!(found == wanted, "{kind}, {together} ensembles, {n} rows");
            }
        }
    }
}

/// The proof that docs/safety-proofs.md dates; too long for every run, and for unoptimised code.
#[test]
#[ignore = "a minute with: cargo test --release --lib --no-default-features a_million_rows -- --ignored"]
fn a_million_rows_of_each_kernel_have_the_bits_of_the_reference() {
    let mut random = Random(1_000_000);
    for (trees, leaves, depth) in [(180, 31, 14), (300, 31, 8), (100, 64, 12), (60, 16, 6)] {
        for missing in [false, true] {
            let size = Size { trees, leaves, depth, features: 40, thresholds: 230, missing };
            random.below(2);
            let names = compare(size, 130_000, random.0);
            let available = KernelKind::ALL.into_iter().filter(|kind| kind.unavailable().is_none());
            assert_eq!(names, available.map(KernelKind::name).collect::<Vec<_>>(), "{size:?}");
        }
    }
}
