//! The key of a forwarding entry and its hash.

use std::fmt;

use wire::Mac;

use crate::ids::DomainId;

/// What forwarding looks up: bridge domain and Ethernet address in 8 bytes, `domain << 48 | mac`.
///
/// Domain zero is never allocated, so no key is zero, and a zero key word marks an empty slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u64);

impl Key {
    /// The key of an address in a bridge domain.
    #[inline]
    #[must_use]
    pub const fn new(domain: DomainId, mac: Mac) -> Self {
        debug_assert!(domain.0 != 0, "domain zero is never allocated");
        Self((domain.0 as u64) << 48 | mac.to_u64())
    }

    /// The key of an address given as [`Mac::to_u64`] gives it, below 2⁴⁸.
    #[inline]
    #[must_use]
    pub const fn of_bits(domain: DomainId, mac: u64) -> Self {
        debug_assert!(
            domain.0 != 0 && mac >> 48 == 0,
            "domain zero is never allocated, an address has 48 bits"
        );
        Self((domain.0 as u64) << 48 | mac)
    }

    /// Of nothing: no entry has it.
    pub(crate) const NONE: Self = Self(0);

    /// The bridge domain.
    #[inline]
    #[must_use]
    pub const fn domain(self) -> DomainId {
        DomainId((self.0 >> 48) as u16)
    }

    /// The address.
    #[inline]
    #[must_use]
    pub const fn mac(self) -> Mac {
        Mac::from_u64(self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.domain().0, self.mac())
    }
}

/// The hash of a key under the database's seed. It stays valid when the table grows.
///
/// ```text
/// 63    56        32        0
/// ├─ tag ┼ distance ┼─ first ─┤      low bits, at most 24 each: the primary bucket; how the secondary differs
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Hash(u64);

/// Most bits that may select a bucket: more would overlap the tag.
pub(super) const MAX_BUCKET_BITS: u32 = 24;

impl Hash {
    /// Of nothing.
    pub(crate) const NONE: Self = Self(0);

    /// The index of the primary bucket in a table of `mask + 1` buckets, a power of two.
    #[inline]
    pub(super) const fn primary(self, mask: usize) -> usize {
        self.0 as usize & mask
    }

    /// The index of the secondary bucket. The distance is odd, so it is another one if there are two.
    #[inline]
    pub(super) const fn secondary(self, mask: usize) -> usize {
        let distance = self.0 >> 32 | 1;
        (self.0 ^ distance) as usize & mask
    }

    /// The eight bits that a value carries to prove which key it belongs to.
    #[inline]
    pub(super) const fn tag(self) -> u8 {
        (self.0 >> 56) as u8
    }
}

/// A keyed hash of 64 bits: two folded 64 × 64 → 128 multiplications, as in wyhash and foldhash. Without the seed,
/// keys that share buckets cannot be chosen.
#[derive(Clone, Copy)]
pub(super) struct Hasher {
    seed: [u64; 4],
}

impl Hasher {
    pub(super) const fn new(seed: [u64; 2]) -> Self {
        // Digits of pi: seeds that differ in few bits, or are small, become full-width odd multipliers.
        let a = folded(seed[0] ^ 0x243f_6a88_85a3_08d3, 0x9e37_79b9_7f4a_7c15);
        let b = folded(seed[1] ^ 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d1);
        let c = folded(a ^ seed[1] ^ 0x082e_fa98_ec4e_6c89, 0x9e37_79b9_7f4a_7c15);
        let d = folded(b ^ seed[0] ^ 0x4528_21e6_38d0_1377, 0xa409_3822_299f_31d1);
        Self { seed: [a, b | 1, c, d | 1] }
    }

    #[inline]
    pub(super) const fn hash(self, key: Key) -> Hash {
        let [a, b, c, d] = self.seed;
        Hash(folded(folded(key.0 ^ a, b) ^ c, d))
    }
}

#[inline]
const fn folded(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_packs_and_unpacks() {
        let mac = Mac([0x02, 0xab, 0xcd, 0xef, 0x01, 0x23]);
        let key = Key::new(DomainId(4095), mac);
        assert_eq!((key.domain(), key.mac()), (DomainId(4095), mac));
        assert_eq!(key.0, 0x0fff_02ab_cdef_0123);
    }

    #[test]
    fn the_two_buckets_differ() {
        let hasher = Hasher::new([1, 2]);
        for number in 1..10_000 {
            let hash = hasher.hash(Key(number));
            for bits in 1..=MAX_BUCKET_BITS {
                let (primary, secondary) = (hash.primary((1 << bits) - 1), hash.secondary((1 << bits) - 1));
                assert_ne!(primary, secondary);
                assert!(primary < 1 << bits && secondary < 1 << bits);
            }
            assert_eq!((hash.primary(0), hash.secondary(0)), (0, 0));
        }
    }

    #[test]
    fn one_key_bit_changes_half_of_the_hash_bits() {
        let hasher = Hasher::new([3, 4]);
        let rounds = 512u32;
        for bit in 0..64 {
            let mut changed = [0u32; 64];
            for round in 0..u64::from(rounds) {
                let key = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let difference = hasher.hash(Key(key)).0 ^ hasher.hash(Key(key ^ 1 << bit)).0;
                for (position, count) in changed.iter_mut().enumerate() {
                    *count += (difference >> position & 1) as u32;
                }
            }
            // Six standard deviations (11.3 each) around half.
            assert!(changed.iter().all(|count| count.abs_diff(rounds / 2) < 68), "bit {bit}: {changed:?}");
        }
    }
}
