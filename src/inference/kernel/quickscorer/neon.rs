//! [`Lanes`] for aarch64 with NEON: 16 trees at a time.
//!
//! Every block of `unsafe` here is sound for the same reason: `self` is only made by `detect`, after the
//! processor was asked for the instructions; and what is read or written in memory is a reference to
//! exactly as many bytes as the instruction takes, aligned as it wants by their type.
#![allow(unsafe_code)]

use std::arch::aarch64::{
    uint8x16_t, uint8x16x4_t, vaddq_u8, vaddvq_u32, vandq_u8, vbslq_u8, vcleq_u8, vcltq_f32, vclzq_u8,
    vdupq_n_f32, vdupq_n_u8, vdupq_n_u32, vld1q_f32, vld1q_u8, vld1q_u8_x4, vorrq_u8, vqtbl4q_u8, vrbitq_u8,
    vst1q_u8, vsubq_u32, vtstq_u8,
};

use super::lanes::{Block, Bytes16, Lanes, Ranks, Task};

/// Proof that the processor has NEON, which every processor of this architecture has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon(());

impl Neon {
    /// The proof, if there is one.
    pub(super) fn detect() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

impl Lanes for Neon {
    const N: usize = 16;
    type Bytes = Bytes16;
    type Vector = uint8x16_t;
    type Table = uint8x16x4_t;

    fn run(self, task: impl Task<Neon>) {
        // NEON is in the baseline of the architecture, so everything is compiled for it anyway.
        task.work(self);
    }

    fn bytes(byte: u8) -> Bytes16 {
        Bytes16([byte; 16])
    }

    #[inline(always)]
    fn table(self, ranks: &Ranks) -> uint8x16x4_t {
        // SAFETY: see the head of this file.
        unsafe { vld1q_u8_x4(ranks.as_ptr()) }
    }

    #[inline(always)]
    fn load(self, bytes: &Bytes16) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vld1q_u8(bytes.0.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: uint8x16_t, bytes: &mut Bytes16) {
        // SAFETY: see the head of this file.
        unsafe { vst1q_u8(bytes.0.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vdupq_n_u8(byte) }
    }

    #[inline(always)]
    fn look_up(self, table: uint8x16x4_t, slots: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vqtbl4q_u8(table, slots) }
    }

    #[inline(always)]
    fn at_most(self, ranks: uint8x16_t, keys: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vcleq_u8(ranks, keys) }
    }

    #[inline(always)]
    fn and(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vandq_u8(a, b) }
    }

    #[inline(always)]
    fn keep(self, plane: uint8x16_t, held: uint8x16_t, mask: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vandq_u8(plane, vorrq_u8(held, mask)) }
    }

    #[inline(always)]
    fn or_else(self, condition: uint8x16_t, vector: uint8x16_t, other: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vbslq_u8(vtstq_u8(condition, condition), vector, other) }
    }

    #[inline(always)]
    fn trailing_zeros(self, vector: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vclzq_u8(vrbitq_u8(vector)) }
    }

    #[inline(always)]
    fn add(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: see the head of this file.
        unsafe { vaddq_u8(a, b) }
    }

    #[inline(always)]
    fn count_below(self, block: &Block, x: f32) -> usize {
        let (quarters, _) = block.0.as_chunks::<4>();
        // SAFETY: see the head of this file. A comparison that holds is a lane of ones, that is minus one.
        unsafe {
            let x = vdupq_n_f32(x);
            let mut counts = vdupq_n_u32(0);
            for quarter in quarters {
                counts = vsubq_u32(counts, vcltq_f32(vld1q_f32(quarter.as_ptr()), x));
            }
            vaddvq_u32(counts) as usize
        }
    }
}
