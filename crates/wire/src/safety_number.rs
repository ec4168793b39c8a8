//! The safety number of two principals: 60 digits that both see the same, to be compared over the telephone or face to face. It is the
//! same as long as both are who they are, on whatever device. docs/spec/ids.md.

use crate::ids::PrincipalId;
use sha2::{Digest, Sha512};

const LABEL: &[u8] = b"porchlight/safety-number/1\0";

/// Rounds of hashing: some milliseconds for who compares, and as many for each try of who wants to find a key with the same digits.
const ROUNDS: u32 = 5_200;

/// Digits in one group, and groups of one principal.
const GROUP: u64 = 100_000;
const GROUPS: usize = 6;

/// The safety number of two principals: twelve groups of five digits, whichever way round they are given.
#[must_use]
pub fn safety_number(one: &PrincipalId, other: &PrincipalId) -> String {
    let mut halves = [half(one), half(other)];
    halves.sort();
    halves.concat().join(" ")
}

/// The groups of one of them.
fn half(principal: &PrincipalId) -> Vec<String> {
    let id = principal.as_bytes();
    let mut hash = Sha512::digest([LABEL, id].concat());
    for _ in 0..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(id).finalize();
    }
    let groups = hash.chunks_exact(5).take(GROUPS);
    let numbers = groups.map(|five| five.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    numbers.map(|number: u64| format!("{:05}", number % GROUP)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::RootKey;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn principal(seed: u8) -> PrincipalId {
        RootKey::random(&mut ChaCha20Rng::from_seed([seed; 32])).principal()
    }

    #[test]
    fn both_see_the_same_and_nobody_else_does() {
        let number = safety_number(&principal(1), &principal(2));
        assert_eq!(number, safety_number(&principal(2), &principal(1)));
        assert_eq!(number.split(' ').count(), 12);
        assert!(
            number
                .split(' ')
                .all(|group| group.len() == 5 && group.parse::<u32>().is_ok())
        );
        assert_ne!(number, safety_number(&principal(1), &principal(3)));
    }

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Vector {
        one: String,
        other: String,
        safety_number: String,
    }

    #[test]
    fn vectors_are_as_committed() {
        let (one, other) = (principal(1), principal(2));
        let made = vec![Vector {
            safety_number: safety_number(&one, &other),
            one: one.to_string(),
            other: other.to_string(),
        }];
        crate::vectors::check("safety_number", &made);
    }
}
