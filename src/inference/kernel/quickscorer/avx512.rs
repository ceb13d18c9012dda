//! [`Lanes`] for x86-64 with AVX-512 VBMI: 64 trees at a time.
//!
//! Every block of `unsafe` here is sound for the same reason: `self` is only made by `detect`, after the
//! processor was asked for the instructions; and what is read or written in memory is a reference to
//! exactly as many bytes as the instruction takes, aligned as it wants by their type.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _CMP_LT_OQ, _mm_loadu_si128, _mm512_add_epi8, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_cmp_ps_mask, _mm512_cmple_epu8_mask, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_min_epu8, _mm512_movm_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_set1_ps, _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_store_si512, _mm512_ternarylogic_epi32,
    _mm512_test_epi8_mask,
};

use super::lanes::{Block, Bytes64, Lanes, Ranks, Task, ZEROS_HIGH, ZEROS_LOW};

/// Proof that the processor has AVX-512 with its byte operations and VBMI, the byte permutation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, if there is one.
    pub(super) fn detect() -> Option<Avx512> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Avx512(()))
    }
}

/// Which of `a & (b | c)` are one: the truth table of `_mm512_ternarylogic_epi32`, a the highest bit.
const A_AND_B_OR_C: i32 = 0b1110_0000;

impl Lanes for Avx512 {
    const N: usize = 64;
    type Bytes = Bytes64;
    type Vector = __m512i;
    type Table = __m512i;

    fn run(self, task: impl Task<Avx512>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,bmi2,popcnt")]
        fn inner(lanes: Avx512, task: impl Task<Avx512>) {
            task.work(lanes);
        }
        // SAFETY: see the head of this file.
        unsafe { inner(self, task) };
    }

    fn bytes(byte: u8) -> Bytes64 {
        Bytes64([byte; 64])
    }

    #[inline(always)]
    fn table(self, ranks: &Ranks) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_loadu_si512(ranks.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load(self, bytes: &Bytes64) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_load_si512(bytes.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512i, bytes: &mut Bytes64) {
        // SAFETY: see the head of this file.
        unsafe { _mm512_store_si512(bytes.0.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    fn look_up(self, table: __m512i, slots: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_permutexvar_epi8(slots, table) }
    }

    #[inline(always)]
    fn at_most(self, ranks: __m512i, keys: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_movm_epi8(_mm512_cmple_epu8_mask(ranks, keys)) }
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn keep(self, plane: __m512i, held: __m512i, mask: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_ternarylogic_epi32::<A_AND_B_OR_C>(plane, held, mask) }
    }

    #[inline(always)]
    fn or_else(self, condition: __m512i, vector: __m512i, other: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_mask_blend_epi8(_mm512_test_epi8_mask(condition, condition), other, vector) }
    }

    #[inline(always)]
    fn trailing_zeros(self, vector: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe {
            let low = _mm512_broadcast_i32x4(_mm_loadu_si128(ZEROS_LOW.as_ptr().cast()));
            let high = _mm512_broadcast_i32x4(_mm_loadu_si128(ZEROS_HIGH.as_ptr().cast()));
            let nibble = _mm512_set1_epi8(15);
            let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(vector), nibble);
            let lower = _mm512_and_si512(vector, nibble);
            _mm512_min_epu8(_mm512_shuffle_epi8(low, lower), _mm512_shuffle_epi8(high, upper))
        }
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this file.
        unsafe { _mm512_add_epi8(a, b) }
    }

    #[inline(always)]
    fn count_below(self, block: &Block, x: f32) -> usize {
        // SAFETY: see the head of this file.
        let below =
            unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_load_ps(block.0.as_ptr()), _mm512_set1_ps(x)) };
        below.count_ones() as usize
    }
}
