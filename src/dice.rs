//! Chance for simulations: the same seed, the same run.

/// xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Any seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `n`; 0 where `n` is.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 |= u64::from(self.0 == 0);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % n.max(1)
    }

    /// True `n` times of a thousand.
    pub(crate) fn chance(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
}
