//! [`Lanes`] for x86-64 with AVX2: 32 trees at a time.
//!
//! Every block of `unsafe` here is sound for the same reason: `self` is only made by `detect`, after the
//! processor was asked for the instructions; and what is read or written in memory is a reference to
//! exactly as many bytes as the instruction takes, aligned as it wants by their type.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _CMP_LT_OQ, _mm_loadu_si128, _mm256_add_epi8, _mm256_and_si256, _mm256_blendv_epi8,
    _mm256_broadcastsi128_si256, _mm256_cmp_ps, _mm256_cmpeq_epi8, _mm256_load_si256, _mm256_loadu_ps,
    _mm256_min_epu8, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_store_si256,
};

use super::lanes::{Block, Bytes32, Lanes, Ranks, Task, ZEROS_HIGH, ZEROS_LOW};

/// Proof that the processor has AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, if there is one.
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Avx2(()))
    }
}

/// Sixteen bytes in both halves of a register.
#[inline(always)]
fn both_halves(_: Avx2, bytes: &[u8; 16]) -> __m256i {
    // SAFETY: see the head of this file.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

impl Lanes for Avx2 {
    const N: usize = 32;
    type Bytes = Bytes32;
    type Vector = __m256i;
    type Table = [__m256i; 4];

    fn run(self, task: impl Task<Avx2>) {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn inner(lanes: Avx2, task: impl Task<Avx2>) {
            task.work(lanes);
        }
        // SAFETY: see the head of this file.
        unsafe { inner(self, task) };
    }

    fn bytes(byte: u8) -> Bytes32 {
        Bytes32([byte; 32])
    }

    #[inline(always)]
    fn table(self, ranks: &Ranks) -> [__m256i; 4] {
        let (quarters, _) = ranks.as_chunks::<16>();
        let mut table = [self.splat(0); 4];
        for (register, quarter) in table.iter_mut().zip(quarters) {
            *register = both_halves(self, quarter);
        }
        table
    }

    #[inline(always)]
    fn load(self, bytes: &Bytes32) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_load_si256(bytes.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256i, bytes: &mut Bytes32) {
        // SAFETY: see the head of this file.
        unsafe { _mm256_store_si256(bytes.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }

    /// The shuffle looks at the low four bits of a slot only, so each register of the table is asked and
    /// bits 4 and 5, brought to where a blend looks, choose among the four answers.
    #[inline(always)]
    fn look_up(self, [a, b, c, d]: [__m256i; 4], slots: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe {
            let bit4 = _mm256_slli_epi16::<3>(slots);
            let bit5 = _mm256_slli_epi16::<2>(slots);
            let low = _mm256_blendv_epi8(_mm256_shuffle_epi8(a, slots), _mm256_shuffle_epi8(b, slots), bit4);
            let high = _mm256_blendv_epi8(_mm256_shuffle_epi8(c, slots), _mm256_shuffle_epi8(d, slots), bit4);
            _mm256_blendv_epi8(low, high, bit5)
        }
    }

    #[inline(always)]
    fn at_most(self, ranks: __m256i, keys: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_cmpeq_epi8(_mm256_min_epu8(ranks, keys), ranks) }
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn keep(self, plane: __m256i, held: __m256i, mask: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_and_si256(plane, _mm256_or_si256(held, mask)) }
    }

    #[inline(always)]
    fn or_else(self, condition: __m256i, vector: __m256i, other: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_blendv_epi8(vector, other, _mm256_cmpeq_epi8(condition, _mm256_setzero_si256())) }
    }

    #[inline(always)]
    fn trailing_zeros(self, vector: __m256i) -> __m256i {
        let (low, high) = (both_halves(self, &ZEROS_LOW), both_halves(self, &ZEROS_HIGH));
        // SAFETY: see the head of this file.
        unsafe {
            let nibble = _mm256_set1_epi8(15);
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(vector), nibble);
            let lower = _mm256_and_si256(vector, nibble);
            _mm256_min_epu8(_mm256_shuffle_epi8(low, lower), _mm256_shuffle_epi8(high, upper))
        }
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this file.
        unsafe { _mm256_add_epi8(a, b) }
    }

    #[inline(always)]
    fn count_below(self, block: &Block, x: f32) -> usize {
        let (halves, _) = block.0.as_chunks::<8>();
        let mut count = 0;
        for half in halves {
            // SAFETY: see the head of this file.
            let below = unsafe {
                _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(
                    _mm256_loadu_ps(half.as_ptr()),
                    _mm256_set1_ps(x),
                ))
            };
            count += below.count_ones();
        }
        count as usize
    }
}
