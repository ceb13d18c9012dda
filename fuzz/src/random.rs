//! A small generator of numbers (splitmix64), so that the same seed gives the same change.

/// State of the generator.
pub struct Random(u64);

impl Random {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// An integer at which programs tend to be wrong, or near `around`.
    pub fn int(&mut self, around: i64) -> i64 {
        const EDGES: [i64; 16] =
            [0, 1, -1, 2, 3, 7, 31, 32, 33, 64, 255, 256, i32::MAX as i64, i64::MAX, i64::MIN, 1 << 32];
        match self.below(3) {
            0 => *self.pick(&EDGES),
            1 => self.below(9) as i64 - 1,
            _ => around.wrapping_add(self.below(5) as i64 - 2),
        }
    }

    /// A number at which programs tend to be wrong, or near `around`.
    pub fn float(&mut self, around: f32) -> f32 {
        const EDGES: [f32; 12] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-45,
            1e30,
        ];
        match self.below(4) {
            0 => *self.pick(&EDGES),
            1 => around.next_up(),
            2 => around.next_down(),
            _ => f32::from_bits(self.bits() as u32),
        }
    }
}
