//! Random numbers that are the same on every platform.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014): one 64-bit counter advanced by the golden ratio and
//! mixed. Its statistics are far better than a simulator needs, it is four lines long, and it uses
//! integer arithmetic only. Every purpose of every unit draws from its own [`Stream`], whose start
//! is derived from the seed, the unit and the purpose's *name*: adding a sensor or a fault
//! therefore never reshuffles what the others see.

/// 2^64 divided by the golden ratio: `SplitMix64`'s increment.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// One independent sequence of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    state: u64,
    /// The second normal deviate of the last pair, not yet handed out.
    spare: Option<f64>,
}

impl Stream {
    /// The stream of `purpose` in unit number `unit` of a run seeded with `seed`.
    pub(super) fn new(seed: u64, unit: u32, purpose: &str) -> Self {
        let key = mix(seed ^ mix(u64::from(unit).wrapping_add(GOLDEN_GAMMA)));
        Self { state: mix(key ^ fnv1a(purpose.as_bytes())), spare: None }
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Uniform in [0, 1), 53 random bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Uniform in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Whether an event of mean waiting time `mean_s` happens within the next `dt_s` seconds.
    pub(super) fn event(&mut self, dt_s: f64, mean_s: f64) -> bool {
        self.uniform() < 1.0 - libm::exp(-dt_s / mean_s)
    }

    /// Standard normal deviate (Marsaglia's polar method, which needs no trigonometry).
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * libm::log(square) / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }
}

/// A slow disturbance: an Ornstein-Uhlenbeck process around zero, updated exactly for any step,
/// so its spread does not depend on the reporting period.
#[derive(Debug, Clone)]
pub(super) struct Wander {
    stream: Stream,
    value: f64,
    deviation: f64,
    time_constant_s: f64,
}

impl Wander {
    /// A process of standard deviation `deviation` that forgets within `time_constant_s` seconds,
    /// started from its stationary distribution.
    pub(super) fn new(mut stream: Stream, deviation: f64, time_constant_s: f64) -> Self {
        let value = deviation * stream.normal();
        Self { stream, value, deviation, time_constant_s }
    }

    /// Advance by `dt_s` seconds and return the new value.
    pub(super) fn step(&mut self, dt_s: f64) -> f64 {
        let keep = libm::exp(-dt_s / self.time_constant_s);
        self.value = self.value * keep + self.deviation * (1.0 - keep * keep).sqrt() * self.stream.normal();
        self.value
    }
}

/// `SplitMix64`'s output function.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// FNV-1a: turns a purpose's name into a stream key.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_matches_the_published_sequence() {
        let mut stream = Stream { state: 1_234_567, spare: None };
        let first: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn normal_deviates_have_the_right_moments() {
        let mut stream = Stream::new(7, 0, "moments");
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.05, "variance {variance}");
    }

    #[test]
    fn a_wander_keeps_its_spread_at_any_step() {
        for dt_s in [1.0, 10.0, 3600.0] {
            let mut wander = Wander::new(Stream::new(3, 0, "wander"), 2.0, 600.0);
            let square: f64 = (0..50_000).map(|_| wander.step(dt_s)).map(|x| x * x).sum();
            let deviation = (square / 50_000.0).sqrt();
            assert!((1.4..2.6).contains(&deviation), "step {dt_s} s: deviation {deviation}");
        }
    }

    #[test]
    fn streams_differ_by_seed_unit_and_purpose() {
        let first = |seed, unit, purpose| Stream::new(seed, unit, purpose).next_u64();
        let all = [first(1, 0, "a"), first(2, 0, "a"), first(1, 1, "a"), first(1, 0, "b")];
        let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
