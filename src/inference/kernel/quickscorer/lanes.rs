//! What the scorer asks of a processor: some operations on as many bytes as fit in a register.
//!
//! [`Lanes`] is implemented once without any `unsafe` ([`Portable`]) and once for each instruction set
//! (`avx2`, `avx512`, `neon`). A value of such a type is the proof that the processor has the
//! instructions: it is only made after the processor was asked.

/// Ranks of one row, one byte a slot.
pub(super) type Ranks = [u8; 64];

/// Thresholds that are compared at once; one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Block(pub(super) [f32; 16]);

/// Trailing zeros of a byte's low half, and of its high half; 8 where that half has no one bit.
#[cfg(target_arch = "x86_64")]
pub(super) const ZEROS_LOW: [u8; 16] = [8, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0];
#[cfg(target_arch = "x86_64")]
pub(super) const ZEROS_HIGH: [u8; 16] = [8, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4];

/// Work that is compiled once for each instruction set.
pub(super) trait Task<L> {
    /// Does it. To be marked `inline(always)`, with everything in it: only then it is compiled with the
    /// instructions of `lanes`.
    fn work(self, lanes: L);
}

/// Operations on vectors of [`Lanes::N`] bytes, one byte for each of `N` trees.
pub(super) trait Lanes: Copy {
    /// Bytes of a vector.
    const N: usize;
    /// A vector in memory, aligned for loading.
    type Bytes: Copy + std::fmt::Debug + AsRef<[u8]> + AsMut<[u8]>;
    /// A vector in a register.
    type Vector: Copy;
    /// The ranks of a row in registers.
    type Table: Copy;

    /// Does the work with the instructions of these lanes.
    fn run(self, task: impl Task<Self>);
    /// Bytes in memory, all the same.
    fn bytes(byte: u8) -> Self::Bytes;
    /// Brings the ranks of a row into registers.
    fn table(self, ranks: &Ranks) -> Self::Table;
    /// Reads a vector.
    fn load(self, bytes: &Self::Bytes) -> Self::Vector;
    /// Writes a vector.
    fn store(self, vector: Self::Vector, bytes: &mut Self::Bytes);
    /// The same byte in each lane.
    fn splat(self, byte: u8) -> Self::Vector;
    /// `table[slots]`, lane by lane; all slots are below 64.
    fn look_up(self, table: Self::Table, slots: Self::Vector) -> Self::Vector;
    /// 0xff in lanes where `ranks <= keys`, 0 in the others.
    fn at_most(self, ranks: Self::Vector, keys: Self::Vector) -> Self::Vector;
    /// `a & b`.
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `plane & (held | mask)`.
    fn keep(self, plane: Self::Vector, held: Self::Vector, mask: Self::Vector) -> Self::Vector;
    /// `vector` where `condition` is not zero, `other` elsewhere.
    fn or_else(self, condition: Self::Vector, vector: Self::Vector, other: Self::Vector) -> Self::Vector;
    /// Index of the lowest one bit of each byte; none of the bytes is zero.
    fn trailing_zeros(self, vector: Self::Vector) -> Self::Vector;
    /// `a + b`, lane by lane.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// How many thresholds of the block are less than `x`; none for NaN.
    fn count_below(self, block: &Block, x: f32) -> usize;
}

/// A type for as many bytes as a register has.
macro_rules! bytes {
    ($name:ident, $n:literal) => {
        #[doc = concat!(stringify!($n), " bytes in memory, aligned for one load.")]
        #[derive(Debug, Clone, Copy)]
        #[repr(align($n))]
        pub(super) struct $name(pub(super) [u8; $n]);

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl AsMut<[u8]> for $name {
            fn as_mut(&mut self) -> &mut [u8] {
                &mut self.0
            }
        }
    };
}

bytes!(Bytes16, 16);
#[cfg(target_arch = "x86_64")]
bytes!(Bytes32, 32);
#[cfg(target_arch = "x86_64")]
bytes!(Bytes64, 64);

/// The operations in plain Rust: the twin that the others are tested against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Lanes for Portable {
    const N: usize = 16;
    type Bytes = Bytes16;
    type Vector = [u8; 16];
    type Table = Ranks;

    fn run(self, task: impl Task<Portable>) {
        task.work(self);
    }

    fn bytes(byte: u8) -> Bytes16 {
        Bytes16([byte; 16])
    }

    #[inline(always)]
    fn table(self, ranks: &Ranks) -> Ranks {
        *ranks
    }

    #[inline(always)]
    fn load(self, bytes: &Bytes16) -> [u8; 16] {
        bytes.0
    }

    #[inline(always)]
    fn store(self, vector: [u8; 16], bytes: &mut Bytes16) {
        bytes.0 = vector;
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> [u8; 16] {
        [byte; 16]
    }

    #[inline(always)]
    fn look_up(self, table: Ranks, slots: [u8; 16]) -> [u8; 16] {
        // In range whatever the byte holds: there are 64 ranks.
        #[allow(clippy::indexing_slicing)]
        slots.map(|slot| table[usize::from(slot & 63)])
    }

    #[inline(always)]
    fn at_most(self, ranks: [u8; 16], keys: [u8; 16]) -> [u8; 16] {
        zip(ranks, keys, |rank, key| if rank <= key { 0xff } else { 0 })
    }

    #[inline(always)]
    fn and(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        zip(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn keep(self, plane: [u8; 16], held: [u8; 16], mask: [u8; 16]) -> [u8; 16] {
        zip(plane, zip(held, mask, |held, mask| held | mask), |plane, kept| plane & kept)
    }

    #[inline(always)]
    fn or_else(self, condition: [u8; 16], vector: [u8; 16], other: [u8; 16]) -> [u8; 16] {
        let chosen = condition.map(|byte| if byte == 0 { 0 } else { 0xff });
        zip(zip(chosen, vector, |c, v| c & v), zip(chosen, other, |c, o| !c & o), |v, o| v | o)
    }

    #[inline(always)]
    fn trailing_zeros(self, vector: [u8; 16]) -> [u8; 16] {
        vector.map(|byte| byte.trailing_zeros() as u8)
    }

    #[inline(always)]
    fn add(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        zip(a, b, u8::wrapping_add)
    }

    #[inline(always)]
    fn count_below(self, block: &Block, x: f32) -> usize {
        block.0.iter().map(|threshold| u8::from(*threshold < x)).sum::<u8>().into()
    }
}

#[inline(always)]
fn zip(a: [u8; 16], b: [u8; 16], f: impl Fn(u8, u8) -> u8) -> [u8; 16] {
    let mut out = a;
    for (out, b) in out.iter_mut().zip(b) {
        *out = f(*out, b);
    }
    out
}
