//! Where tests take their choices from.

use std::collections::VecDeque;

/// `SplitMix64`: a stream of test inputs that is the same on every run.
pub struct Random(pub u64);

impl Random {
    #[allow(clippy::should_implement_trait, reason = "it never ends, and is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// Random ones, or those that a fuzzer made: its bytes are read as far as they go, and then as zeros.
pub enum Choices {
    Random(Random),
    Tape(VecDeque<u8>),
}

impl Choices {
    pub fn below(&mut self, bound: u64) -> u64 {
        match self {
            Self::Random(random) => random.below(bound),
            // As many bytes as the bound has, so that small choices do not use the tape up.
            Self::Tape(_) => {
                (0..bound.next_power_of_two().ilog2().div_ceil(8)).fold(0, |n, _| n << 8 | u64::from(self.byte()))
                    % bound
            }
        }
    }

    pub fn byte(&mut self) -> u8 {
        match self {
            Self::Random(random) => random.next().to_le_bytes()[0],
            Self::Tape(tape) => tape.pop_front().unwrap_or(0),
        }
    }

    pub fn ended(&self) -> bool {
        matches!(self, Self::Tape(tape) if tape.is_empty())
    }
}
