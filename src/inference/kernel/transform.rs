//! What the operators do to the scores after the base values: logistic, softmax, probit, and the
//! rules of classifiers.
//!
//! The formulas are ONNX Runtime's, in single precision as there, softmax of doubles in double. Single
//! exponentials and logarithms are computed in double precision and rounded, which is nearly always the
//! nearest value; a C library's `expf` and `logf` may differ from it in the last place. So results agree
//! within 1e-6, mostly to the bit; PROBIT, which subtracts nearly equal numbers, within 1e-5.

use super::super::ensemble::{Classifier, Number, PostTransform};

/// The transform of a regressor's targets.
pub(super) fn regression<T: Number>(transform: PostTransform, scores: &mut [T]) {
    // One target: only PROBIT changes anything. ONNX Runtime passes the others by, and models that
    // carry them (softmax of one number would always be 1) were accepted on what it gives.
    if let [score] = scores {
        if transform == PostTransform::Probit {
            *score = probit(*score);
        }
        return;
    }
    several(transform, scores);
}

/// The transform of two or more scores.
fn several<T: Number>(transform: PostTransform, scores: &mut [T]) {
    match transform {
        PostTransform::None => {}
        PostTransform::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
        PostTransform::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        PostTransform::Softmax => softmax(scores),
        PostTransform::SoftmaxZero => softmax_zero(scores),
    }
}

fn logistic<T: Number>(score: T) -> T {
    let x = score.to_f32();
    let v = 1.0 / (1.0 + Number::exp(-x.abs()));
    T::from(if x < 0.0 { 1.0 - v } else { v })
}

/// The normal quantile, by Winitzki's approximation of the inverse error function.
fn probit<T: Number>(score: T) -> T {
    let x = 2.0 * score.to_f32() - 1.0;
    let sign = if x < 0.0 { -1.0_f32 } else { 1.0 };
    let log = libm::log(f64::from((1.0 - x) * (1.0 + x))) as f32;
    let v = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    let w = 1.0_f32 / 0.147 * log;
    T::from(std::f32::consts::SQRT_2 * (sign * (-v + (v * v - w).sqrt()).sqrt()))
}

fn highest<T: Number>(scores: &[T]) -> T {
    // From the lowest number, not from -inf: scores that are all -inf or NaN give NaN.
    scores.iter().fold(T::LOWEST, |highest, score| if *score > highest { *score } else { highest })
}

fn softmax<T: Number>(scores: &mut [T]) {
    let highest = highest(scores);
    let mut sum = T::default();
    for score in &mut *scores {
        *score = (*score + -highest).exp();
        sum = sum + *score;
    }
    for score in scores {
        *score = *score / sum;
    }
}

/// Scores within this of zero count as zero in [`softmax_zero`].
const SOFTMAX_ZERO: f32 = 1e-7;

fn softmax_zero<T: Number>(scores: &mut [T]) {
    let highest = highest(scores);
    let at_zero = (-highest).exp();
    let mut sum = T::default();
    for score in &mut *scores {
        if *score > T::from(SOFTMAX_ZERO) || *score < T::from(-SOFTMAX_ZERO) {
            *score = (*score + -highest).exp();
            sum = sum + *score;
        } else {
            *score = *score * at_zero;
        }
    }
    for score in scores {
        *score = *score / sum;
    }
}

/// The scores of a classifier, one a class. `base_values` is empty, has one value a class or, with two
/// classes, only that of the first.
pub(super) fn classify<T: Number>(
    classifier: Classifier,
    transform: PostTransform,
    base_values: &[T],
    scores: &mut [T],
) {
    for (score, base) in scores.iter_mut().zip(base_values) {
        *score = *score + *base;
    }
    match (classifier, scores) {
        (Classifier::Binary { weights_are_all_positive }, [first, second]) => {
            let score = *first;
            (*first, *second) = match transform {
                PostTransform::Logistic => (logistic(-score), logistic(score)),
                // No other transform takes part here, as in ONNX Runtime.
                _ if weights_are_all_positive => (T::from(1.0) + -score, score),
                _ => (-score, score),
            };
        }
        (_, scores) => regression(transform, scores),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close<T: Number>(found: &[T], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            let found: f64 = (*found).into();
            assert!(
                (found - wanted).abs() <= 1e-6 * wanted.abs() || found == *wanted,
                "{found}, not {wanted}"
            );
        }
    }

    fn transformed<const N: usize>(transform: PostTransform, scores: [f32; N]) -> [f32; N] {
        let mut scores = scores;
        regression(transform, &mut scores);
        scores
    }

    // The numbers are what ONNX Runtime 1.32 gives.
    #[test]
    fn several_targets() {
        use PostTransform::{Logistic, None, Probit, Softmax, SoftmaxZero};
        close(&transformed(None, [0.3, 0.9]), &[0.3, 0.9]);
        close(&transformed(Logistic, [0.3, 0.0, -0.9]), &[0.574_442_5, 0.5, 0.289_050_5]);
        close(&transformed(Softmax, [0.3, 0.0, 0.0]), &[0.402_959_88, 0.298_520_03, 0.298_520_03]);
        close(&transformed(SoftmaxZero, [0.3, 0.0, 0.0]), &[1.0, 0.0, 0.0]);
        close(&transformed(Probit, [0.3, 0.0, 0.9]), &[-0.524_445_9, f64::NEG_INFINITY, 1.281_712_9]);
        assert!(transformed(Probit, [0.5, 1.5])[1].is_nan());
    }

    #[test]
    fn one_target_has_no_transform_but_probit() {
        use PostTransform::{Logistic, Probit, Softmax, SoftmaxZero};
        for transform in [Logistic, Softmax, SoftmaxZero] {
            assert_eq!(transformed(transform, [0.3]), [0.3]);
        }
        close(&transformed(Probit, [0.3]), &[-0.524_445_9]);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        close(&transformed(PostTransform::Softmax, [3e38, 3e38, -3e38]), &[0.5, 0.5, 0.0]);
        close(&transformed(PostTransform::Logistic, [1e30, -1e30]), &[1.0, 0.0]);
        assert!(transformed(PostTransform::Softmax, [f32::INFINITY, 0.0])[0].is_nan());
    }

    #[test]
    fn doubles_stay_doubles_in_softmax() {
        let mut scores = [0.1_f64, 0.2];
        regression(PostTransform::Softmax, &mut scores);
        let wanted = 1.0 / (1.0 + libm::exp(0.1));
        assert!((scores[0] - wanted).abs() < 1e-15, "{scores:?}");
    }

    #[test]
    fn two_classes_with_one_score() {
        use PostTransform::{Logistic, None, Softmax};
        let scores = |positive, transform, base: &[f32], score| {
            let mut scores = [score, 0.0];
            let binary = Classifier::Binary { weights_are_all_positive: positive };
            classify(binary, transform, base, &mut scores);
            scores
        };
        close(&scores(true, None, &[], 0.2), &[0.8, 0.2]);
        close(&scores(true, Softmax, &[0.25], 0.2), &[0.55, 0.45]);
        close(&scores(false, None, &[], -0.2), &[0.2, -0.2]);
        close(&scores(false, None, &[0.25], 0.7), &[-0.95, 0.95]);
        close(&scores(true, Logistic, &[], 0.2), &[0.450_166_05, 0.549_833_95]);
        close(&scores(false, Logistic, &[0.25], -0.2), &[0.487_502_63, 0.512_497_37]);
    }

    #[test]
    fn a_score_for_each_class() {
        let mut scores = [0.2_f32, 0.7];
        classify(Classifier::PerClass, PostTransform::None, &[0.25], &mut scores);
        close(&scores, &[0.45, 0.7]);
        classify(Classifier::PerClass, PostTransform::Logistic, &[], &mut scores);
        close(&scores, &[0.610_639_24, 0.668_187_74]);
    }
}
